"""Public keys: key records of DNS, read and used (RFC 6376 3.6.1, RFC 8463).

The law: a record is either a key or a Refused with libopendkim's number of the reason. OpenSSL does the arithmetic:
it lets the interpreter go on meanwhile, and takes no large exponent with a large modulus.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lumilter.adapters.dns_lookup import Lookup
from lumilter.adapters.signatures import codes
from lumilter.errors import LookupFailed, LumilterError

MAX_RECORD = 16_384
"""Bytes of a key record; one of 16,384 bits takes 2,800. Longer ones are taken for corrupt."""
MAX_BITS = 16_384
"""OpenSSL's own limit."""
MAX_TAGS = 100


class Refused(LumilterError):
    """Why a signature or its key can't be used: a text of codes.ERRORS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.number = codes.NUMBERS[reason]


class Malformed(ValueError):
    """Not a list of tags."""


def tags_of(text: bytes) -> dict[str, str]:
    """A list of tags (RFC 6376 3.2), white space around names and values left out. Raises Malformed."""
    from dkim.util import InvalidTagValueList, parse_tag_value

    if text.count(b";") > MAX_TAGS:
        raise Malformed("too many tags")
    try:
        found = parse_tag_value(text) if text.strip() else {}
        return {name.decode("ascii"): value.decode("utf-8", "surrogateescape") for name, value in found.items()}
    except (InvalidTagValueList, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None
    except Exception as error:  # its InvalidTagSpec is not of that family
        raise Malformed(type(error).__name__) from None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """kind: "rsa" or "ed25519". bits: its size. flags: DKIM_SIGFLAG_TESTKEY, _NOSUBDOMAIN. hashes: allowed; () is any.

    granularity: the old g= tag, of which DomainKeys still knows; "*" where there is none.
    """

    kind: str
    bits: int
    flags: int
    hashes: tuple[str, ...]
    granularity: str
    key: Any

    def verifies(self, signature: bytes, data: bytes, algorithm: str) -> bool:
        """Whether a signature of that data is right. algorithm: "sha1" or "sha256"."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            if self.kind == "ed25519":
                digest = hashes.Hash(hashes.SHA256())
                digest.update(data)
                self.key.verify(signature, digest.finalize())
            else:
                self.key.verify(
                    signature, data, padding.PKCS1v15(), hashes.SHA1() if algorithm == "sha1" else hashes.SHA256()
                )
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def fetch(resolver: Lookup, domain: str, selector: str, deadline: float) -> PublicKey:
    """The key of a selector. Raises Refused; "key DNS query failed" is the one reason that may pass."""
    if time.monotonic() >= deadline:
        raise Refused("key DNS query failed")
    try:
        records = resolver.lookup(f"{selector}._domainkey.{domain}", "TXT", deadline=deadline)
    except LookupFailed as error:
        gone = str(error) in ("NXDOMAIN", "NODATA")
        raise Refused("key not found in DNS" if gone else "key DNS query failed") from None
    return of_records(tuple(text for _, text in records))


def of_records(records: tuple[str, ...]) -> PublicKey:
    """The key in the TXT records of a selector; others that stand beside it are no keys. Raises Refused."""
    candidates = [text for text in records if "p=" in text or "p =" in text] or list(records)
    if len(candidates) > 1:
        raise Refused("multiple keys found")
    found = _read(candidates[0].encode("utf-8", "surrogatepass")) if candidates else "key not found in DNS"
    if isinstance(found, str):
        raise Refused(found)
    return found


@lru_cache(maxsize=2048)
def _read(record: bytes) -> PublicKey | str:
    """A key record, or why it is none: the text of the error."""
    if len(record) > MAX_RECORD:
        return "key DNS reply corrupt"
    try:
        tags = tags_of(record)
    except Malformed:
        return "key DNS reply corrupt"
    if tags.get("v", "DKIM1") != "DKIM1":
        return "unknown key version"
    hashes = _listed(tags.get("h", ""))
    if hashes and not {"sha1", "sha256"} & set(hashes):
        return "unknown key hash"
    if "s" in tags and not {"*", "email"} & set(_listed(tags["s"])):
        return "not an e-mail key"
    if "p" not in tags:
        return "key DNS reply corrupt"
    encoded = "".join(tags["p"].split())
    if not encoded:
        return "key revoked"
    flags = _listed(tags.get("t", ""))
    bits = (codes.TESTKEY if "y" in flags else 0) | (codes.NOSUBDOMAIN if "s" in flags else 0)
    kind = tags.get("k", "rsa").lower()
    if kind not in ("rsa", "ed25519"):
        return "unknown key type"
    try:
        data = base64.b64decode(encoded, validate=True)
        key, size = _ed25519(data) if kind == "ed25519" else _rsa(data)
    except (ValueError, binascii.Error):
        return "unable to apply public key"
    return PublicKey(kind, size, bits, hashes, tags.get("g", "*"), key)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(":") if part.strip())


def _ed25519(data: bytes) -> tuple[Any, int]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(data) == 32:  # RFC 8463 4.2: the key alone
        return Ed25519PublicKey.from_public_bytes(data), 256
    key = serialization.load_der_public_key(data)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return key, 256


def _rsa(data: bytes) -> tuple[Any, int]:
    """A SubjectPublicKeyInfo, or an RSAPublicKey as RFC 8301 clarified."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from dkim.crypto import UnparsableKeyError, parse_public_key

    try:
        numbers = parse_public_key(data)
    except (UnparsableKeyError, AssertionError, IndexError, TypeError, RecursionError):
        raise ValueError("no RSA key") from None
    modulus, exponent = numbers["modulus"], numbers["publicExponent"]
    size = modulus.bit_length()
    if size > MAX_BITS:
        raise ValueError("too large")
    return RSAPublicNumbers(exponent, modulus).public_key(), size
