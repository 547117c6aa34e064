"""DomainKeys (RFC 4870), DKIM's forerunner: signatures checked and made. Nobody should rely on it any more: it is
SHA-1.

The law: the words of Momentum's dk_status are the results. A signature covers what stands below its field.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures import canonical
from lumilter.adapters.signatures.content import Content, Field
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.fields import value
from lumilter.adapters.signatures.keys import Malformed, Refused, fetch, tags_of
from lumilter.adapters.signatures.private_keys import KeyRing, PrivateKey
from lumilter.adapters.signatures.signing import KeySource
from lumilter.adapters.signatures.verification import decoded, is_within

HEADER = b"domainkey-signature"
STATUS = b"DomainKey-Status"
GOOD, BAD, NO_SIGNATURE, ERROR = "good", "bad", "no signature", "error"
_UNSIGNED = ("x-lumilter-", "domainkey-", "return-path", "authentication-results", "arc-", "received-spf")
"""What others change or take out on the way."""
NO_RSA = "DomainKeys only knows RSA keys"
_OF_KEY = {
    "key not found in DNS": "bad (no key)", "key revoked": "bad (key revoked)", "unknown key type": "bad (key type)",
    "key DNS query failed": ERROR,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DomainKeysResult:
    """status: as in DomainKey-Status. domain: d=."""

    status: str
    domain: str = ""

    @property
    def word(self) -> str:
        """What DomainKey-Status says: good, bad, error or no signature."""
        return BAD if self.status.startswith(BAD) else self.status

    @property
    def method_result(self) -> str:
        """As RFC 8601 has it for the method domainkeys."""
        words = {GOOD: "pass", NO_SIGNATURE: "none", ERROR: "temperror", BAD: "fail"}
        return words.get(self.status, "permerror")


def verify(content: Content, sender: str, resolver: Lookup, timeout: float, deadline: float) -> DomainKeysResult:
    """Check the topmost signature. sender: the address in Sender or From."""
    at = next((at for at, (name, _) in enumerate(content.fields) if name.lower() == HEADER), -1)
    if at < 0:
        return DomainKeysResult(NO_SIGNATURE)
    try:
        tags = tags_of(content.fields[at][1])
    except Malformed:
        return DomainKeysResult("bad (malformed signature)")
    domain, selector = tags.get("d", ""), tags.get("s", "")
    form, names = tags.get("c", "simple"), tags.get("h")
    if tags.get("q", "dns").split("/")[0] != "dns":
        return DomainKeysResult("bad (unsupported query type)", domain)
    if not domain or not selector or form not in ("simple", "nofws") or tags.get("a", "rsa-sha1") != "rsa-sha1":
        return DomainKeysResult("bad (malformed signature)", domain)
    local, _, author = sender.rpartition("@")
    try:
        signature = decoded(tags.get("b", ""), "signature data corrupt")
        key = fetch(resolver, domain, selector, min(deadline, time.monotonic() + timeout))
    except Refused as refused:
        text = str(refused)
        known = "bad (malformed signature)" if text == "signature data corrupt" else "bad (public key)"
        return DomainKeysResult(_OF_KEY.get(text, known), domain)
    if key.kind != "rsa":
        return DomainKeysResult("bad (key type)", domain)
    if not is_within(author, domain) or key.granularity not in ("*", "", local):
        return DomainKeysResult(BAD, domain)
    data = signed(content, at + 1, form, None if names is None else [name.strip().lower() for name in names.split(":")])
    return DomainKeysResult(GOOD if key.verifies(signature, data, "sha1") else BAD, domain)


def signed(content: Content, start: int, form: str, names: Sequence[str] | None) -> bytes:
    """What is signed: the fields from `start` on in their order, all or those named, an empty line, and the body."""
    wanted = None if names is None else {name.encode("utf-8", "surrogateescape") for name in names}
    header = canonical.nofws_header if form == "nofws" else canonical.simple_header
    fields = [
        header(name, text)
        for name, text in content.fields[start:]
        if wanted is None or name.rstrip(b" \t").lower() in wanted
    ]
    body = canonical.nofws_body(content.body) if form == "nofws" else canonical.domainkeys_simple_body(content.body)
    return b"".join([*fields, b"\r\n" if body else b"", bytes(body)])


@dataclass(frozen=True, slots=True)
class DomainKeysSeal:
    """A signature to be made over all fields that the message then has. headers: names, () is all that may be signed.

    From is always signed. Without the file of an optional key there is no signature.
    """

    domain: str
    selector: str
    key: KeySource
    responsible: str
    canon: str = "nofws"
    headers: tuple[str, ...] = ()
    digest = "rsa-sha1"
    last = False

    def load(self, keys: KeyRing) -> PrivateKey | None:
        """The key. Raises SignatureError."""
        key = self.key.load(keys, (self.responsible, self.domain), self.selector)
        if key is not None and key.kind != "rsa":
            raise SignatureError(NO_RSA)
        return key

    def fields(self, content: Content, keys: KeyRing, now: int) -> list[Field]:
        """See Seal."""
        key = self.load(keys)
        if key is None:
            return []
        names = [name.decode("latin-1").strip().lower() for name, _ in content.fields]
        names = [name for name in names if name.isascii() and not name.startswith(_UNSIGNED)]
        if (
            self.headers
        ):  # in the message's order: what is signed is read from its beginning to its end (RFC 4870 3.4.2)
            names = [name for name in names if name in self.headers or name == "from"]
        data = signed(content, 0, self.canon, names)
        tags = [
            ("a", "rsa-sha1"), ("q", "dns"), ("c", self.canon), ("s", self.selector), ("d", self.domain),
            ("h", ":".join(names)),
        ]  # fmt: skip
        return [(b"DomainKey-Signature", value(tags, base64.b64encode(key.sign(data, "sha1")).decode()))]
