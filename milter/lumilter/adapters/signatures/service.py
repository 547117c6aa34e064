"""What signatures cost at start: nothing. The parts that do the work, and their libraries, are loaded when first used.

The law: any thread may call; a call blocks, at most until its deadline.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.scopes import Scopes, Way

if TYPE_CHECKING:
    from lumilter.adapters.signatures.authentication import Found, Methods
    from lumilter.adapters.signatures.canonical import Buffer
    from lumilter.adapters.signatures.chain import Chain
    from lumilter.adapters.signatures.content import Content, Field
    from lumilter.adapters.signatures.domainkeys import DomainKeysSeal
    from lumilter.adapters.signatures.domainkeys_options import DomainKeysSigning
    from lumilter.adapters.signatures.options import Signing
    from lumilter.adapters.signatures.private_keys import KeyRing
    from lumilter.adapters.signatures.signing import DkimSeal
    from lumilter.adapters.signatures.verification import Rules, Verified

log = logging.getLogger("lumilter.signatures")


class Signatures:
    """rules: what counts as a good signature. signing, domainkeys: what is signed; None is nothing without a script.
    scopes: by the way that mail leaves.

    unsigned: mail that can't be signed as it is configured leaves as it is. methods: what is checked of all mail; None
    is nothing.
    """

    def __init__(
        self,
        rules: Callable[[], Rules] | None = None,
        signing: Callable[[], Signing] | None = None,
        unsigned: bool = False,
        methods: Callable[[], Methods] | None = None,
        domainkeys: Callable[[], DomainKeysSigning] | None = None,
        scopes: Scopes = Scopes(),  # noqa: B008 (immutable)
    ) -> None:
        self._make_rules = rules
        self._make_signing = signing
        self._rules: Rules | None = None
        self._signing: Signing | None = None
        self._keys: KeyRing | None = None
        self._unsigned = unsigned
        self._make_methods = methods
        self._methods: Methods | None = None
        self._make_domainkeys = domainkeys
        self._domainkeys: DomainKeysSigning | None = None
        self._scopes = scopes

    @property
    def rules(self) -> Rules:
        """What counts as a good signature."""
        if self._rules is None:
            from lumilter.adapters.signatures.verification import Rules

            self._rules = self._make_rules() if self._make_rules else Rules()
        return self._rules

    @property
    def signing(self) -> Signing:
        """What is configured for signing."""
        if self._signing is None:
            from lumilter.adapters.signatures.options import Signing

            self._signing = self._make_signing() if self._make_signing else Signing()
        return self._signing

    @property
    def domainkeys(self) -> DomainKeysSigning:
        """What is configured for signing with DomainKeys."""
        if self._domainkeys is None:
            from lumilter.adapters.signatures.domainkeys_options import DomainKeysSigning

            self._domainkeys = self._make_domainkeys() if self._make_domainkeys else DomainKeysSigning()
        return self._domainkeys

    @property
    def keys(self) -> KeyRing:
        """The private keys."""
        if self._keys is None:
            from lumilter.adapters.signatures.private_keys import KeyRing

            self._keys = KeyRing()
        return self._keys

    @property
    def signs(self) -> bool:
        """Whether the configuration signs anything."""
        dkim = self._make_signing is not None and self.signing.configured
        return dkim or (self._make_domainkeys is not None and self.domainkeys.configured)

    @property
    def reads_all(self) -> bool:
        """Whether the configuration has every message signed or checked."""
        return self.signs or self.methods is not None

    # --- checking ----------------------------------------------------------------------------------------------------

    def verify(self, content: Content, resolver: Lookup, deadline: float) -> Verified:
        """Check the DKIM signatures of a message."""
        from lumilter.adapters.signatures import verification

        return verification.verify(content, resolver, self.rules, deadline)

    def verify_chain(self, content: Content, resolver: Lookup, deadline: float) -> Chain:
        """Check the ARC chain of a message."""
        from lumilter.adapters.signatures import chain

        return chain.verify(content, resolver, self.rules, deadline)

    @property
    def methods(self) -> Methods | None:
        """What is checked of all mail."""
        if self._methods is None and self._make_methods is not None:
            self._methods = self._make_methods()
        return self._methods

    def check(
        self,
        client: str,
        helo: str,
        sender: str,
        message: tuple[Sequence[Field], Buffer] | None,
        found: Any,
        authors: Sequence[str],
        responsible: str,
        purported: tuple[str, str],
        resolver: Lookup,
    ) -> Found:
        """Do what is configured about a sender (message None), or about the message; see authentication."""
        from lumilter.adapters.signatures import authentication

        methods = self.methods
        assert methods is not None
        if message is None:
            return authentication.check_sender(methods, client, helo, sender, resolver)
        fields, body = message
        return authentication.check_message(
            methods, fields, body, found, authors, responsible, resolver, self.rules, purported
        )

    def claims(self, fields: Sequence[Field]) -> set[int]:
        """Positions of the fields of a message that must go, also where it can't be checked; see authentication."""
        from lumilter.adapters.signatures import authentication

        methods = self.methods
        return set() if methods is None else authentication.claims(methods, fields)

    # --- signing -----------------------------------------------------------------------------------------------------

    def configured(self, responsible: str, exists: Callable[[str], bool], way: Way = Way()) -> Sequence[Hashable]:  # noqa: B008
        """What signs mail of a domain by configuration. exists: whether there is a context variable of that name."""
        from lumilter.adapters.signatures.signing import Impossible

        dkim, domainkeys = self._scopes.of(way)
        seals: list[Hashable] = []
        try:
            if domainkeys and self._make_domainkeys is not None:
                seals.append(self.domainkeys.of_message(responsible, exists))
            if dkim and self._make_signing is not None:
                seals.append(self.signing.of_message(responsible, exists))
        except SignatureError as error:
            return (Impossible(str(error)),)  # what becomes of the mail is decided where it would be signed
        return tuple(seal for seal in seals if seal is not None)

    def asked(self, options: Mapping[Any, Any], responsible: str, strict: bool = False) -> DkimSeal:
        """What a script's options ask for. Raises SignatureError."""
        return self.signing.of_script(options, responsible, strict)

    def asked_domainkeys(self, options: Mapping[Any, Any], responsible: str) -> DomainKeysSeal:
        """What a script's options ask for. Raises SignatureError."""
        return self.domainkeys.of_script(options, responsible, self.signing)

    @property
    def ident(self) -> str:
        """Our name in Authentication-Results, "" where none is configured."""
        return self.methods.ident if self.methods is not None else ""

    def ready(self, seal: Any) -> None:
        """Read the key of a seal. Raises SignatureError where it can't sign."""
        from lumilter.adapters.signatures.signing import algorithm_for

        key = seal.load(self.keys)
        if key is not None:
            algorithm_for(key, seal.digest)

    def seal_all(self, messages: Sequence[tuple[Sequence[Field], Buffer, Sequence[Any]]]) -> list[list[Field]]:
        """`seal` for several messages; a body that many of them share is hashed once. Raises SignatureError."""
        known: dict[int, dict[object, Any]] = {}
        return [self.seal(fields, body, seals, known.setdefault(id(body), {})) for fields, body, seals in messages]

    def seal(
        self, fields: Sequence[Field], body: Buffer, seals: Sequence[Any], known: dict[object, Any] | None = None
    ) -> list[Field]:
        """The fields that seals put before all others of a message, each over what the ones before it made.

        fields: folded with LF or CRLF; what comes back is folded with LF. known: what was computed of the body. Raises
        SignatureError.
        """
        from lumilter.adapters.signatures.content import Content

        if not seals:
            return []
        made: list[Field] = []
        now = int(time.time())
        content = Content.of(fields, body, known)
        for seal in sorted(seals, key=lambda each: each.last):  # an ARC set goes over everything
            try:
                new = seal.fields(content, self.keys, now)
            except SignatureError as error:
                if not self._unsigned:
                    raise
                log.error("a message leaves without a signature: %s", error)
                continue
            content = content.below(new)
            made = [*new, *made]
        return [(name, value.replace(b"\r\n", b"\n")) for name, value in made]
