"""ARC (RFC 8617): the chain of seals that a message has collected, checked and made longer.

The law: a chain is none, pass or fail, whatever is in the fields; at most 50 sets are looked at, and nothing of a
message with more.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures.canonical import relaxed_header
from lumilter.adapters.signatures.content import Content, Digests, Field, without_value
from lumilter.adapters.signatures.errors import SignatureError
from lumilter.adapters.signatures.fields import covered, value
from lumilter.adapters.signatures.keys import Malformed, Refused, fetch, tags_of
from lumilter.adapters.signatures.private_keys import KeyRing, PrivateKey
from lumilter.adapters.signatures.signing import FORMS, KeySource, algorithm_for, signed_field
from lumilter.adapters.signatures.verification import (
    Parsed,
    Rules,
    Signature,
    algorithm_of,
    check_hashes,
    check_key,
    decoded,
    read_common,
)

NONE, PASS, FAIL = "none", "pass", "fail"
LIMIT = 50
"""RFC 8617 4.2.1."""
NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,4})[ \t\r\n]*(?:;|$)")
DEFAULT_HEADERS = ("from", "to", "subject", "date", "message-id", "mime-version", "content-type", "dkim-signature")


@dataclass(frozen=True, slots=True)
class Chain:
    """status: "none", "pass" or "fail". length: how many sets there are. reason: of a failure. domains: d= of the
    seals, the oldest first, if it passed."""

    status: str
    length: int = 0
    reason: str = ""
    domains: tuple[str, ...] = ()


def verify(content: Content, resolver: Lookup, rules: Rules, deadline: float) -> Chain:
    """Check the chain (RFC 8617 5.2)."""
    found = [(at, name.lower()) for at, (name, _) in enumerate(content.fields) if name.lower() in NAMES]
    if not found:
        return Chain(NONE)
    if len(found) > LIMIT * len(NAMES):
        return Chain(FAIL, LIMIT, "too many ARC sets")
    try:
        sets = _sets(content, found)
    except Refused as refused:
        return Chain(FAIL, len(found) // 3, str(refused.__cause__ or refused))
    except Malformed as error:
        return Chain(FAIL, len(found) // 3, str(error))
    until = min(deadline, time.monotonic() + rules.timeout)
    try:
        _message_signature(content, sets[-1], resolver, rules, until)
        domains = [_seal(content, sets[:number], resolver, rules, until) for number in range(len(sets), 0, -1)]
    except Refused as refused:
        return Chain(FAIL, len(sets), str(refused))
    except Malformed as error:
        return Chain(FAIL, len(sets), str(error))
    return Chain(PASS, len(sets), "", tuple(reversed(domains)))


def _sets(content: Content, found: Sequence[tuple[int, bytes]]) -> list[tuple[int, int, int]]:
    """Positions of each set's three fields, the oldest set first. Raises Malformed."""
    by_instance: dict[int, dict[bytes, int]] = {}
    for at, name in found:
        number = _instance(name, content.fields[at][1])
        own = by_instance.setdefault(number, {})
        if name in own:
            raise Malformed(f"two {name.decode()} fields of instance {number}")
        own[name] = at
    sets = []
    for number in range(1, max(by_instance) + 1):
        own = by_instance.get(number, {})
        if len(own) < len(NAMES):
            raise Malformed(f"the ARC set of instance {number} is not whole")
        sets.append((own[NAMES[0]], own[NAMES[1]], own[NAMES[2]]))
        status = tags_of(content.fields[own[NAMES[2]]][1]).get("cv", "").lower()
        if status != (NONE if number == 1 else PASS):
            raise Malformed(f"the seal of instance {number} says cv={status[:20]}")
    return sets


def _instance(name: bytes, text: bytes) -> int:
    if name == NAMES[0]:
        match = _INSTANCE.match(text)
        number = match[1].decode() if match else ""
    else:
        number = tags_of(text).get("i", "")
    if not re.fullmatch("[0-9]{1,2}", number) or not 1 <= int(number) <= LIMIT:
        raise Malformed(f"{name.decode()} without an instance from 1 to {LIMIT}")
    return int(number)


def _message_signature(
    content: Content, own: tuple[int, int, int], resolver: Lookup, rules: Rules, deadline: float
) -> None:
    """Check the youngest message signature. Raises Refused."""
    tags = tags_of(content.fields[own[1]][1])
    info = Signature(domain=tags.get("d", ""), selector=tags.get("s", ""))
    info.signed = tuple(name.strip() for name in tags.get("h", "").split(":"))
    header_canon, _, body_canon = tags.get("c", "relaxed/relaxed").lower().partition("/")
    info.header_canon, info.body_canon = header_canon, body_canon or "simple"
    parsed = Parsed(info, tags=tags)
    read_common(parsed, tags, rules)
    if NAMES[2] in parsed.hashed:
        raise Refused("header list missing required entries")
    key = fetch(resolver, info.domain, info.selector, deadline)
    check_key(parsed, key, rules)
    if not check_hashes(parsed, own[1], Digests(content), key):
        raise Refused("signature verification failed")


def _seal(
    content: Content, sets: Sequence[tuple[int, int, int]], resolver: Lookup, rules: Rules, deadline: float
) -> str:
    """Check the seal of the last of these sets; its domain. Raises Refused."""
    tags = tags_of(content.fields[sets[-1][2]][1])
    if "h" in tags:
        raise Refused("header list missing required entries")
    info = Signature(domain=tags.get("d", ""), selector=tags.get("s", ""))
    parsed = Parsed(info)
    parsed.kind, parsed.hash = algorithm_of(tags, rules)
    signature = decoded(tags.get("b", ""), "signature data corrupt")
    key = fetch(resolver, info.domain, info.selector, deadline)
    check_key(parsed, key, rules)
    if not key.verifies(signature, sealed_data([content.fields[at] for own in sets for at in own]), parsed.hash):
        raise Refused("signature verification failed")
    return info.domain


def sealed_data(fields: Sequence[Field]) -> bytes:
    """What a seal signs: the fields of all sets, the oldest first, its own, which is the last, without b= (5.1.1)."""
    name, text = fields[-1]
    last = relaxed_header(name, without_value(text, b"b")).removesuffix(b"\r\n")
    return b"".join([*(relaxed_header(*field) for field in fields[:-1]), last])


@dataclass(frozen=True, slots=True)
class ArcSeal:
    """A set that is added to a chain. status: of the chain so far, "none" or "pass". results: what the
    ARC-Authentication-Results says behind the identifier."""

    domain: str
    selector: str
    key: KeySource
    ident: str
    status: str
    results: str
    digest: str = ""
    body_canon: str = "relaxed"
    headers: tuple[str, ...] = ()
    oversigned: tuple[str, ...] = ()
    last = True

    def __post_init__(self) -> None:
        if not self.domain or not self.selector:
            raise SignatureError("options.signing_domain and options.selector are needed")
        if self.body_canon not in FORMS:
            raise SignatureError(f'body_canon is "simple" or "relaxed", not {self.body_canon!r}')
        if self.digest not in ("", "rsa-sha1", "rsa-sha256"):
            raise SignatureError(f"digest is rsa-sha256 or rsa-sha1, not {self.digest!r}")
        if not (self.domain + self.selector + self.ident).isascii():
            raise SignatureError("domain, selector and authservid are ASCII: write them as xn-- names")

    def saying(self, status: str, results: str) -> ArcSeal:
        """The same with what was found out."""
        return replace(self, status=status, results=results)

    def load(self, keys: KeyRing) -> PrivateKey | None:
        """The key. Raises KeyUnreadable."""
        return self.key.load(keys, (self.domain,), self.selector)

    def fields(self, content: Content, keys: KeyRing, now: int) -> list[Field]:
        """See Seal."""
        key = self.load(keys)
        if key is None:
            return []
        algorithm, kind = algorithm_for(key, self.digest)
        chain = [(at, name.lower()) for at, (name, _) in enumerate(content.fields) if name.lower() in NAMES]
        try:
            sets = _sets(content, chain) if chain else []
        except Malformed as error:
            raise SignatureError(f"the ARC chain can't be sealed: {error}") from None
        if len(sets) >= LIMIT:
            raise SignatureError(f"the ARC chain has {LIMIT} sets, which is the most that it may have")
        number = str(len(sets) + 1)
        results = (b"ARC-Authentication-Results", f" i={number}; {self.ident};\r\n\t{self.results}".encode("ascii"))
        digests = Digests(content)
        wanted = [name for name in self.headers or DEFAULT_HEADERS if name.encode() not in NAMES]
        names = covered(digests, wanted, self.oversigned, (), strict=False)
        hashed = base64.b64encode(digests.body_hash(self.body_canon, kind)).decode()
        common = [("d", self.domain), ("s", self.selector), ("t", str(now))]
        tags = [
            ("i", number), ("a", algorithm), ("c", f"relaxed/{self.body_canon}"), *common, ("h", ":".join(names)),
            ("bh", hashed),
        ]  # fmt: skip
        message = signed_field(b"ARC-Message-Signature", tags, names, "relaxed", digests, key, kind)
        own = [("i", number), ("a", algorithm), ("cv", self.status if sets else NONE), *common]
        before = [content.fields[at] for positions in sets for at in positions]
        data = sealed_data([*before, results, message, (b"ARC-Seal", value(own))])
        seal = (b"ARC-Seal", value(own, base64.b64encode(key.sign(data, kind)).decode()))
        return [seal, message, results]
