"""DKIM signatures checked (RFC 6376 6, RFC 8301, RFC 8463), with libopendkim's results.

The law: every DKIM-Signature field is in the result; its `error`, a text of codes.ERRORS, says what is wrong with it.
PASSED means that the signature and the body hash are right: libopendkim sets it for the first alone, and scripts have
no function that asks for the second.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as default

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures import codes
from lumilter.adapters.signatures.content import Content, Digests, without_value
from lumilter.adapters.signatures.keys import Malformed, PublicKey, Refused, fetch, tags_of

HEADER = b"dkim-signature"
DRIFT = 300
"""Seconds that a clock may be wrong (libopendkim's default)."""
ALGORITHMS = {"rsa-sha1": ("rsa", "sha1"), "rsa-sha256": ("rsa", "sha256"), "ed25519-sha256": ("ed25519", "sha256")}
_NUMBER = re.compile(r"[0-9]{1,76}", re.ASCII)
_QUOTED = re.compile(r"=([0-9A-Fa-f]{2})")
TOO_MANY = "more signatures than are looked at"


@dataclass(frozen=True, slots=True)
class Rules:
    """signatures: how many of a message are checked. min_bits: smallest RSA key. sha1: whether rsa-sha1 counts.

    timeout: seconds for all keys of one message. now: seconds since the epoch.
    """

    signatures: int = 20
    min_bits: int = 1024
    sha1: bool = False
    timeout: float = 10.0
    now: Callable[[], float] = time.time


@dataclass(slots=True, eq=False)
class Signature:
    """One signature: Momentum's DKIM_SIGINFO. What is not known is "" or 0. flags: DKIM_SIGFLAG_*."""

    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    header_canon: str = ""
    body_canon: str = ""
    signed: tuple[str, ...] = ()
    length: int | None = None
    key_bits: int = 0
    flags: int = 0
    error: str = codes.ERRORS[-1]

    @property
    def passed(self) -> bool:
        """Whether everything is right."""
        return bool(self.flags & codes.PASSED)

    @property
    def status(self) -> int:
        """DKIM_STAT_* as libopendkim makes it of the first signature that counts."""
        if self.passed:
            return codes.OK
        return _STATUS.get(self.error, codes.CANTVRFY)


_STATUS = {
    "signature verification failed": codes.BADSIG,
    "key not found in DNS": codes.NOKEY,
    "key DNS query failed": codes.KEYFAIL,
    "key revoked": codes.REVOKED,
    codes.ERRORS[-1]: codes.BADSIG,
}


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """signatures: top first. best: the first that passed, else the first that was looked at; None without any.

    status: DKIM_STAT_* of the message.
    """

    signatures: tuple[Signature, ...] = ()
    best: Signature | None = None
    status: int = codes.NOSIG


@dataclass(slots=True)
class Parsed:
    """A signature field that can be checked. hashed: names of the signed fields, in lower case."""

    info: Signature
    kind: str = ""
    hash: str = ""
    hashed: tuple[bytes, ...] = ()
    body_hash: bytes = b""
    signature: bytes = b""
    tags: dict[str, str] = default(default_factory=dict)


def verify(content: Content, resolver: Lookup, rules: Rules, deadline: float) -> Verified:
    """Check every signature of a message, within `rules`."""
    digests = Digests(content)
    places = digests.positions(HEADER)
    until = min(deadline, time.monotonic() + rules.timeout)
    found = []
    for number, at in enumerate(places):
        parsed = parse(content.fields[at][1], rules)
        if number >= rules.signatures:
            parsed.info.flags, parsed.info.error = codes.IGNORE, TOO_MANY
        elif parsed.info.error == codes.ERRORS[-1]:
            _check(parsed, at, digests, resolver, rules, until)
        found.append(parsed.info)
    if not found:
        return Verified()
    best = next((info for info in found if info.passed), found[0])
    return Verified(tuple(found), best, best.status)


def _check(parsed: Parsed, own: int, digests: Digests, resolver: Lookup, rules: Rules, deadline: float) -> None:
    info = parsed.info
    try:
        key = fetch(resolver, info.domain, info.selector, deadline)
        info.flags |= codes.PROCESSED | key.flags
        info.key_bits = key.bits
        check_key(parsed, key, rules)
        if not check_hashes(parsed, own, digests, key):
            raise Refused("signature verification failed")
        if len(digests.positions(b"from")) > parsed.hashed.count(b"from"):
            raise Refused("unprotected header field")  # RFC 6376 8.15: readers may show the one that is not signed
        if key.flags & codes.NOSUBDOMAIN and info.identity.rpartition("@")[2].lower() != info.domain.lower():
            raise Refused("unauthorized subdomain")
    except Refused as refused:
        info.flags |= codes.PROCESSED
        info.error = str(refused)
        return
    info.flags |= codes.PASSED
    info.error = codes.ERRORS[0]


def check_key(parsed: Parsed, key: PublicKey, rules: Rules) -> None:
    """Raises Refused where a key is not for a signature."""
    if key.kind != parsed.kind:
        raise Refused("unknown key type")
    if key.hashes and parsed.hash not in key.hashes:
        raise Refused("signature-key hash mismatch")
    if key.kind == "rsa" and key.bits < rules.min_bits:
        raise Refused("signing key too small")


def check_hashes(parsed: Parsed, own: int, digests: Digests, key: PublicKey) -> bool:
    """Whether body hash and signature are right. own: position of its field. Raises Refused for a length too large."""
    info = parsed.info
    if info.length is not None and info.length > digests.body_size(info.body_canon):
        raise Refused("length tag value exceeds body size")
    if digests.body_hash(info.body_canon, parsed.hash, info.length) != parsed.body_hash:
        return False
    field = digests.content.fields[own]
    return key.verifies(
        parsed.signature, signed_data(parsed.hashed, info.header_canon, field, digests, own), parsed.hash
    )


def signed_data(
    names: Sequence[bytes], form: str, own: tuple[bytes, bytes], digests: Digests, position: int = -1
) -> bytes:
    """What a signature signs: the fields, then its own without the b= value and the line end (RFC 6376 3.7).

    position: of its own field, if it is there already.
    """
    from lumilter.adapters.signatures.canonical import HEADERS

    last = HEADERS[form](own[0], without_value(own[1], b"b")).removesuffix(b"\r\n")
    return b"".join([*digests.headers(names, form, position), last])


# --- reading a signature ----------------------------------------------------------------------------------------------


def parse(value: bytes, rules: Rules) -> Parsed:
    """A signature field; its info.error is still "unknown error" if it can be checked."""
    info = Signature()
    parsed = Parsed(info)
    try:
        tags = tags_of(value)
    except Malformed:
        info.error = "signature data corrupt"
        return parsed
    parsed.tags = tags
    info.domain, info.selector = tags.get("d", ""), tags.get("s", "")
    info.algorithm = tags.get("a", "").lower()
    info.identity = _unquoted(tags["i"]) if "i" in tags else f"@{info.domain}"
    info.signed = tuple(name.strip() for name in tags.get("h", "").split(":"))
    header_canon, _, body_canon = tags.get("c", "simple/simple").lower().partition("/")
    info.header_canon, info.body_canon = header_canon, body_canon or "simple"
    try:
        _present(tags, ("d", "domain tag"), ("s", "selector tag"), ("v", "version"))
        if tags["v"] != "1":
            raise Refused("unsupported signature version")
        if not is_within(info.identity.rpartition("@")[2], info.domain):
            raise Refused("invalid domain coverage")
        _times(tags, rules.now())
        read_common(parsed, tags, rules)
    except Refused as refused:
        info.error = str(refused)
    return parsed


def read_common(parsed: Parsed, tags: dict[str, str], rules: Rules) -> None:
    """What DKIM-Signature and ARC-Message-Signature share. Raises Refused."""
    info = parsed.info
    if info.header_canon not in ("simple", "relaxed"):
        raise Refused("invalid header canonicalization")
    if info.body_canon not in ("simple", "relaxed"):
        raise Refused("invalid body canonicalization")
    parsed.kind, parsed.hash = algorithm_of(tags, rules)
    _present(tags, ("h", "header list tag", "header list missing"))
    parsed.hashed = tuple(name.encode("utf-8", "surrogateescape").lower() for name in info.signed)
    if b"from" not in parsed.hashed:
        raise Refused("header list missing required entries")
    if "l" in tags:
        if not _NUMBER.fullmatch(tags["l"]):
            raise Refused("body length value invalid")
        info.length = int(tags["l"])
    if "q" in tags and "dns/txt" not in [method.strip().lower() for method in tags["q"].split(":")]:
        raise Refused("query method invalid")
    _present(tags, ("bh", "body hash"), ("b", "signature data"))
    parsed.body_hash = decoded(tags["bh"], "body hash corrupt")
    parsed.signature = decoded(tags["b"], "signature data corrupt")


def algorithm_of(tags: dict[str, str], rules: Rules) -> tuple[str, str]:
    """Kind of the key and hash. Raises Refused."""
    if "a" not in tags:
        raise Refused("signature algorithm missing")
    kind, algorithm = ALGORITHMS.get(tags["a"].lower(), ("", ""))
    if not kind or (algorithm == "sha1" and not rules.sha1):
        raise Refused("signature algorithm invalid")
    return kind, algorithm


def decoded(text: str, otherwise: str) -> bytes:
    """Base64 with white space in it. Raises Refused."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(otherwise) from None


def is_within(domain: str, parent: str) -> bool:
    """Whether a domain is another one, or below it."""
    domain, parent = domain.lower(), parent.lower()
    return bool(parent) and (domain == parent or domain.endswith("." + parent))


def _present(tags: dict[str, str], *wanted: tuple[str, ...]) -> None:
    for name, what, *missing in wanted:
        if name not in tags:
            raise Refused(missing[0] if missing else f"{what} missing")
        if not tags[name]:
            raise Refused(f"{what} empty")


def _times(tags: dict[str, str], now: float) -> None:
    """t= and x=; what is no number is taken for out of order."""
    for name in ("t", "x"):
        if name in tags and not _NUMBER.fullmatch(tags[name]):
            raise Refused("signature timestamp order error")
    signed, expires = (int(tags[name]) if name in tags else None for name in ("t", "x"))
    if expires is not None and expires + DRIFT < now:
        raise Refused("signature expired")
    if signed is not None and signed - DRIFT > now:
        raise Refused("signature timestamp in the future")
    if signed is not None and expires is not None and expires < signed:
        raise Refused("signature timestamp order error")


def _unquoted(text: str) -> str:
    """DKIM's quoted-printable (RFC 6376 2.11); white space means nothing."""
    return _QUOTED.sub(lambda found: chr(int(found[1], 16)), "".join(text.split()))
