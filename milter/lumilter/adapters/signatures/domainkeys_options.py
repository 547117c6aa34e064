"""What the configuration and a script's options say about a DomainKeys signature, put together.

The law: as in `options`. What neither a script nor [domainkeys] says is as DKIM has it: one key does for both.

Source: manual, module domainkeys (dk_sign) and msys.validate.dk.sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lumilter.adapters.signatures.domainkeys import DomainKeysSeal
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.options import Signing, ascii_domain, key_of_message, text_of
from lumilter.adapters.signatures.signing import KeySource


@dataclass(frozen=True, slots=True)
class DomainKeys:
    """[domainkeys], or what a [[dk_domain]] says otherwise: "", () and None are what it leaves out. See options."""

    sign: bool = True
    base_domain: str = ""
    selector: str = ""
    key: str = ""
    canon: str = ""
    headers: tuple[str, ...] = ()
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class DomainKeysSigning:
    """Everything that is configured."""

    general: DomainKeys = field(default_factory=DomainKeys)
    domains: Mapping[str, DomainKeys] = field(default_factory=dict)

    @property
    def configured(self) -> bool:
        """Whether any message may be signed without a script."""
        every = (self.general, *self.domains.values())
        return any((own.key or self.general.key) and (own.selector or self.general.selector) for own in every)

    def of_message(self, responsible: str, exists: Callable[[str], bool]) -> DomainKeysSeal | None:
        """What signs mail of a domain; None is nothing. See Signing.of_message."""
        responsible = ascii_domain(responsible)
        own, general = self.domains.get(responsible, DomainKeys()), self.general
        key = key_of_message(responsible, own, general, responsible not in self.domains, exists)
        return None if key is None else self._seal({}, responsible, own.selector or general.selector, key)

    def of_script(self, options: Mapping[Any, Any], responsible: str, dkim: Signing) -> DomainKeysSeal:
        """What a script asks for. Raises SignatureError."""
        own, general = self.domains.get(responsible, DomainKeys()), self.general
        key, selector = dkim.key_of(responsible)
        buffer = text_of(options, "keybuf")
        file = "" if buffer else text_of(options, "keyfile") or own.key or general.key or key
        selector = text_of(options, "selector") or own.selector or general.selector or selector
        if not buffer and not file:
            raise SignatureError("no key: give options.keyfile or options.keybuf, or set [domainkeys] key")
        return self._seal(options, responsible, selector, KeySource(file, buffer), dkim.base_of(responsible))

    def _seal(
        self, options: Mapping[Any, Any], responsible: str, selector: str, key: KeySource, base: str = ""
    ) -> DomainKeysSeal:
        own, general = self.domains.get(responsible, DomainKeys()), self.general
        domain = text_of(options, "base_domain") or own.base_domain or base or responsible
        canon = text_of(options, "canon").lower() or own.canon or general.canon or "nofws"
        if not domain or not selector or not (domain + selector).isascii():
            raise SignatureError("base_domain and selector are needed, in ASCII")
        if canon not in ("nofws", "simple"):
            raise SignatureError(f'canon is "nofws" or "simple", not {canon!r}')
        return DomainKeysSeal(
            domain.lower(), selector, key, responsible or domain.lower(), canon, own.headers or general.headers
        )
