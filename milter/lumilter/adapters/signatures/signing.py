"""DKIM signatures made (RFC 6376 5), of RSA or Ed25519.

The law: a seal is plain values and makes of one message at one time always the same. What it lacks is an error before
it is made, not when mail waits.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lumilter.adapters.signatures.content import Content, Digests, Field
from lumilter.adapters.signatures.errors import KeyUnreadable, SignatureError
from lumilter.adapters.signatures.fields import RECOMMENDED, covered, quoted, value
from lumilter.adapters.signatures.private_keys import KeyRing, PrivateKey, path_of
from lumilter.adapters.signatures.verification import is_within, signed_data

FORMS = ("simple", "relaxed")
DIGESTS = {"rsa-sha1": "rsa", "rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}


class Seal(Protocol):
    """What signs a message. last: after all others."""

    last: bool

    def fields(self, content: Content, keys: KeyRing, now: int) -> list[Field]:
        """The fields that go before all others, the topmost first. Raises SignatureError."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """A private key: a file, its path with %{d} and %{s}, or a text. optional: without the file nothing is signed."""

    file: str = ""
    buffer: str = field(default="", repr=False)
    optional: bool = False

    def load(self, keys: KeyRing, domains: Sequence[str], selector: str) -> PrivateKey | None:
        """The key. domains: what %{d} may stand for, each in turn. Raises KeyUnreadable."""
        if self.buffer:
            return keys.of_buffer(self.buffer)
        tried = list(dict.fromkeys(domains)) if "%{d}" in self.file else ["x"]
        for number, domain in enumerate(tried, 1):
            try:
                return keys.of_file(path_of(self.file, domain, selector))
            except KeyUnreadable as error:
                if not error.missing or (number == len(tried) and not self.optional):
                    raise
        return None


@dataclass(frozen=True, slots=True)
class DkimSeal:
    """One DKIM signature. lifetime: seconds, 0 is none. length: bytes of the body, True is all of it with l=.

    digest: "" is what the key can do. responsible: the domain that the mail is from.
    """

    domain: str
    selector: str
    key: KeySource
    responsible: str
    digest: str = ""
    header_canon: str = "simple"
    body_canon: str = "simple"
    headers: tuple[str, ...] = ()
    oversigned: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    identity: str = ""
    length: int | bool = False
    lifetime: int = 0
    copy_headers: bool = False
    strict: bool = False
    last = False

    def __post_init__(self) -> None:
        for name, form in (("header_canon", self.header_canon), ("body_canon", self.body_canon)):
            if form not in FORMS:
                raise SignatureError(f'{name} is "simple" or "relaxed", not {form!r}')
        if self.digest not in ("", *DIGESTS):
            raise SignatureError(f"digest is one of {', '.join(DIGESTS)}, not {self.digest!r}")
        if self.identity and not is_within(self.identity.rpartition("@")[2], self.domain):
            raise SignatureError(f"identity {self.identity!r} is not in the domain {self.domain}")
        if not (self.domain + self.selector).isascii():
            raise SignatureError("domain and selector are ASCII: write them as xn-- names")

    def load(self, keys: KeyRing) -> PrivateKey | None:
        """The key: that of the responsible domain, else of the signing one. Raises KeyUnreadable."""
        return self.key.load(keys, (self.responsible, self.domain), self.selector)

    def fields(self, content: Content, keys: KeyRing, now: int) -> list[Field]:
        """See Seal."""
        key = self.load(keys)
        if key is None:
            return []
        digests = Digests(content)
        algorithm, kind = algorithm_for(key, self.digest)
        names = covered(digests, self.headers or RECOMMENDED, self.oversigned, self.skipped, self.strict)
        length: int | None = None
        if self.length is not False:
            size = digests.body_size(self.body_canon)
            length = size if self.length is True else min(self.length, size)
        hashed = base64.b64encode(digests.body_hash(self.body_canon, kind, length)).decode()
        tags = [
            ("v", "1"), ("a", algorithm), ("c", f"{self.header_canon}/{self.body_canon}"), ("d", self.domain),
            ("s", self.selector), ("t", str(now)),
            *([("x", str(now + self.lifetime))] if self.lifetime else []),
            *([("i", identity_text(self.identity))] if self.identity else []),
            *([("l", str(length))] if length is not None else []),
            ("h", ":".join(names)), ("bh", hashed),
            *([("z", _copies(digests, names))] if self.copy_headers else []),
        ]  # fmt: skip
        return [signed_field(b"DKIM-Signature", tags, names, self.header_canon, digests, key, kind)]


@dataclass(frozen=True, slots=True)
class Impossible:
    """What is configured for a message, and can't be."""

    reason: str
    last = False

    def fields(self, content: Content, keys: KeyRing, now: int) -> list[Field]:
        """See Seal."""
        raise SignatureError(self.reason)


def algorithm_for(key: PrivateKey, digest: str) -> tuple[str, str]:
    """The a= of a key, and the name of its hash. Raises SignatureError where they don't fit."""
    algorithm = digest or f"{key.kind}-sha256"
    if DIGESTS[algorithm] != key.kind:
        raise SignatureError(f"digest {algorithm} does not fit a key of kind {key.kind}")
    return algorithm, algorithm.partition("-")[2]


def signed_field(
    name: bytes,
    tags: list[tuple[str, str]],
    names: tuple[str, ...],
    form: str,
    digests: Digests,
    key: PrivateKey,
    kind: str,
) -> Field:
    """A signature's field: b= is made of the fields that `names` says and of its own other tags."""
    data = signed_data([each.encode() for each in names], form, (name, value(tags)), digests)
    return name, value(tags, base64.b64encode(key.sign(data, kind)).decode())


def identity_text(identity: str) -> str:
    """i= with everything quoted that must be; a domain alone gets its @."""
    text = identity if "@" in identity else f"@{identity}"
    local, _, domain = text.rpartition("@")
    return f"{quoted(local.encode('utf-8', 'surrogateescape'))}@{domain}"


def _copies(digests: Digests, names: tuple[str, ...]) -> str:
    found = digests.selected([name.encode() for name in names])
    fields = [digests.content.fields[at] for at in found]
    return "|".join(f"{quoted(name)}:{quoted(text.removeprefix(b' '))}" for name, text in fields)
