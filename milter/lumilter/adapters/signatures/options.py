"""What the configuration and a script's options say about a DKIM signature, put together.

The law: a script's option wins over the domain's, the domain's over the general one. A lack is an error that names both
places where it can be set.

Source: manual, module opendkim and msys.validate.opendkim.sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.fields import names_of
from lumilter.adapters.signatures.signing import DkimSeal, KeySource
from lumilter.adapters.signatures.verification import is_within


@dataclass(frozen=True, slots=True)
class General:
    """[dkim]. key: a path, perhaps with %{d} and %{s}. lifetime: seconds. condition: see sign_condition; "" is none."""

    selector: str = ""
    key: str = ""
    header_canon: str = "simple"
    body_canon: str = "simple"
    digest: str = ""
    headers: tuple[str, ...] = ()
    oversigned: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    identity: str = ""
    length: bool = False
    lifetime: int = 0
    copy_headers: bool = False
    condition: str = "can_relay"


@dataclass(frozen=True, slots=True)
class ForDomain:
    """[[dkim_domain]]: what is different for one responsible domain; None or "" is not."""

    sign: bool = True
    base_domain: str = ""
    selector: str = ""
    key: str = ""
    header_canon: str = ""
    body_canon: str = ""
    digest: str = ""
    length: bool | None = None
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Signing:
    """Everything that is configured."""

    general: General = field(default_factory=General)
    domains: Mapping[str, ForDomain] = field(default_factory=dict)

    @property
    def configured(self) -> bool:
        """Whether any message may be signed without a script."""
        general = self.general
        return bool(general.key and general.selector) or any(
            (own.key or general.key) and (own.selector or general.selector) for own in self.domains.values() if own.sign
        )

    def of_message(self, responsible: str, exists: Callable[[str], bool]) -> DkimSeal | None:
        """What signs mail of a domain; None is nothing. exists: whether there is a context variable of that name.

        A domain that is not configured by itself is signed for where there is a file with its key.
        """
        responsible = ascii_domain(responsible)
        own = self.domains.get(responsible, ForDomain())
        key = key_of_message(responsible, own, self.general, responsible not in self.domains, exists)
        return None if key is None else self._seal({}, responsible, own, key, strict=False)

    def of_script(self, options: Mapping[Any, Any], responsible: str, strict: bool) -> DkimSeal:
        """What a script asks for. strict: as the older module reads headerlist. Raises SignatureError."""
        own = self.domains.get(responsible, ForDomain())
        buffer = text_of(options, "keybuf")
        file = "" if buffer else text_of(options, "keyfile") or own.key or self.general.key
        if not buffer and not file:
            raise SignatureError("no key: give options.keyfile or options.keybuf, or set [dkim] key")
        return self._seal(options, responsible, own, KeySource(file, buffer), strict)

    def key_of(self, responsible: str) -> tuple[str, str]:
        """The key's path and the selector that are configured for a domain, "" where none is."""
        own, general = self.domains.get(responsible, ForDomain()), self.general
        return own.key or general.key, own.selector or general.selector

    def base_of(self, responsible: str) -> str:
        """The domain that signs for it, where one is configured."""
        return self.domains.get(responsible, ForDomain()).base_domain

    def _seal(
        self, options: Mapping[Any, Any], responsible: str, own: ForDomain, key: KeySource, strict: bool
    ) -> DkimSeal:
        general = self.general
        domain = text_of(options, "base_domain") or text_of(options, "signing_domain") or own.base_domain or responsible
        selector = text_of(options, "selector") or own.selector or general.selector
        if not domain:
            raise SignatureError("no domain: give options.base_domain, as there is none in Sender or From")
        if not selector:
            raise SignatureError("no selector: give options.selector, or set [dkim] selector")
        length = general.length if own.length is None else own.length
        return DkimSeal(
            domain=domain.lower(),
            selector=selector,
            key=key,
            responsible=responsible or domain.lower(),
            digest=(text_of(options, "digest") or own.digest or general.digest).lower(),
            header_canon=(text_of(options, "header_canon") or own.header_canon or general.header_canon).lower(),
            body_canon=(text_of(options, "body_canon") or own.body_canon or general.body_canon).lower(),
            headers=_names(options, "headerlist") or general.headers,
            oversigned=_names(options, "oversign_headerlist") or general.oversigned,
            skipped=_names(options, "skip_headerlist") or general.skipped,
            identity=text_of(options, "identity") or _identity(general.identity, domain),
            length=_length(options.get("body_length_limit"), length),
            lifetime=int(_hours(options) or general.lifetime),
            copy_headers=_true(options.get("copy_headers"), general.copy_headers),
            strict=strict,
        )


class Signs(Protocol):
    """What is configured of all domains, or of one: General, ForDomain, domainkeys_options.DomainKeys."""

    @property
    def selector(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def condition(self) -> str | None: ...


class SignsFor(Signs, Protocol):
    """What is configured of one domain."""

    @property
    def sign(self) -> bool: ...


def key_of_message(
    responsible: str, own: SignsFor, general: Signs, optional: bool, exists: Callable[[str], bool]
) -> KeySource | None:
    """The key that signs mail of a domain without a script; None where none does.

    own: what is configured of the domain; optional: nothing is. exists: see Signing.of_message.
    """
    condition = general.condition if own.condition is None else own.condition
    key, selector = own.key or general.key, own.selector or general.selector
    if not responsible or not own.sign or (condition and not exists(condition)):
        return None
    if not key or not selector or (optional and "%{d}" not in key):
        return None
    return KeySource(key, optional=optional)


def ascii_domain(domain: str) -> str:
    """A domain as DNS has it; "" for what is none."""
    if domain.isascii():
        return domain
    import idna

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


def _identity(text: str, domain: str) -> str:
    """The configured identity, where it is in the domain that signs."""
    return text if text and is_within(text.rpartition("@")[2], domain) else ""


def text_of(options: Mapping[Any, Any], name: str) -> str:
    """An option that is a text, "" where it is not there. Raises SignatureError for another kind."""
    value = options.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SignatureError(f"options.{name} is not a string")
    return value.strip()


def _names(options: Mapping[Any, Any], name: str) -> tuple[str, ...]:
    value = options.get(name)
    if value is None:
        return ()
    parts = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(part, str) for part in parts):
        raise SignatureError(f"options.{name} is not a list of header names")
    return names_of(parts)


def _hours(options: Mapping[Any, Any]) -> float:
    value = options.get("lifetime", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise SignatureError("options.lifetime is not a number of hours")
    return value * 3600


def _length(value: object, otherwise: bool) -> int | bool:
    """A switch as the manual has it, or a number of bytes above 1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 1:
        return int(value)
    return _true(value, otherwise)


def _true(value: object, otherwise: bool) -> bool:
    if value is None or value == "":
        return otherwise
    return value not in (False, 0, "false", "0", "no")
