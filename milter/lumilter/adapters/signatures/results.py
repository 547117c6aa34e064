"""Authentication-Results (RFC 8601): written with authres, one for all methods; those that claim to be ours removed.

The law: what others can write is only looked at for whom it claims to be from, in linear time.
"""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Iterable, Sequence
from encodings.aliases import aliases
from typing import Any

from lumilter.adapters.signatures.content import Field
from lumilter.adapters.signatures.dmarc import DmarcResult
from lumilter.adapters.signatures.domainkeys import DomainKeysResult
from lumilter.adapters.signatures.sender_policy import SpfResult
from lumilter.adapters.signatures.verification import Signature

NAME = b"Authentication-Results"
_ID = re.compile(rb'[ \t\r\n]*(?:"((?:[^"\\]|\\.)*)"|([^\s;("]+))')
_COMMENT = re.compile(rb"\((?:[^()\\]|\\.)*\)")
_WORD = re.compile(rb"=\?([^?*]*)(?:\*[^?]*)?\?([BbQq])\?(.*?)\?=", re.DOTALL)
_CODECS = frozenset(aliases) | frozenset(aliases.values())
"""No others are looked up: Python remembers every name that it does not know, for ever."""
_SPACE = b" \t\r\n"
_LOOSE = 1000
"""Bytes of a value in which a careless reader finds an identifier."""
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,128}@[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")
_DKIM = {0: "pass", 1: "fail", 3: "permerror", 4: "permerror", 8: "permerror", 11: "temperror"}
"""DKIM_STAT_* as RFC 8601 2.7.1 has them."""


def authserv_id(value: bytes) -> bytes:
    """Whom a field claims to be from, in lower case; b"" where that can't be seen."""
    found = _ID.match(_without_comments(value))
    if not found:
        return b""
    return (found[1] if found[1] is not None else found[2]).replace(b"\\", b"").lower()


def _without_comments(value: bytes) -> bytes:
    """The value without comments before the identifier."""
    at, depth = 0, 0
    while at < len(value):
        octet = value[at : at + 1]
        if depth and octet == b"\\":
            at += 1
        elif octet == b"(":
            depth += 1
        elif octet == b")" and depth:
            depth -= 1
        elif not depth and octet not in b" \t\r\n":
            break
        at += 1
    return value[at:]


def claimed(fields: Sequence[Field], ident: str) -> list[int]:
    """Positions of the fields that claim to be ours, as RFC 8601 reads them or as a careless reader might."""
    own = ident.lower().encode("utf-8", "surrogateescape")
    return [
        at
        for at, (name, value) in enumerate(fields)
        if name.rstrip(b" \t").lower() == NAME.lower() and (authserv_id(value) == own or _loose_id(value) == _bare(own))
    ]


def own(fields: Sequence[Field], ident: str) -> list[int]:
    """Positions of the fields that are ours by the letter."""
    wanted = ident.lower().encode("utf-8", "surrogateescape")
    return [
        at for at, (name, value) in enumerate(fields) if name.lower() == NAME.lower() and authserv_id(value) == wanted
    ]


def _loose_id(value: bytes) -> bytes:
    """What stands before the first semicolon for those who decode encoded words, drop comments wherever they are, or
    skip what they don't know. A version may be in it, at its end."""
    head = _WORD.sub(_decoded, value[:_LOOSE])
    head = _COMMENT.sub(b"", head).lstrip(b" \t\r\n\0\x0b\x0c;").partition(b";")[0]
    head = head.lower().rstrip(_SPACE)
    name = head.rstrip(b"0123456789")
    return _bare(name if name.endswith((b" ", b"\t", b"\r", b"\n")) else head)


def _decoded(word: re.Match[bytes]) -> bytes:
    """An encoded word in UTF-8, as it stands where it is none. email.policy.default does it in any field, and so does
    msg:header.
    """
    charset, encoding, text = word.groups()
    try:
        raw = binascii.a2b_qp(text, header=True) if encoding in b"Qq" else binascii.a2b_base64(text + b"==")
    except ValueError:
        return word[0]
    codec = charset.decode("latin-1").lower().replace("-", "_")
    if codec in _CODECS:
        with contextlib.suppress(LookupError, ValueError):  # some are of no text
            return raw.decode(codec, "replace").encode("utf-8", "replace")
    return raw


def _bare(ident: bytes) -> bytes:
    """What of an identifier is a host's name."""
    return re.sub(rb"[^a-z0-9._-]", b"", ident).rstrip(b".")


def of_spf(found: SpfResult) -> Any:
    """SPF's part."""
    import authres

    if found.identity == "helo":
        return authres.SPFAuthenticationResult(result=found.result, smtp_helo=_safe(found.helo))
    sender = _safe(found.sender, address=True) or _safe(found.domain)
    return authres.SPFAuthenticationResult(result=found.result, smtp_mailfrom=sender)


def of_sender_id(result: str, name: str, address: str) -> Any:
    """Sender ID's part. name: the field that has the address."""
    import authres

    shown = _safe(address, address=True) or _safe(address.rpartition("@")[2])
    where = {f"header_{name.replace('-', '_')}": shown} if name and shown else {}
    return authres.SenderIDAuthenticationResult(result=result, **where)


def of_dkim(signatures: Iterable[Signature]) -> list[Any]:
    """A part for each signature that was looked at; one that says "none" without any."""
    import authres

    parts = [
        authres.DKIMAuthenticationResult(
            result=_DKIM.get(each.status, "permerror"),
            reason=None if each.passed else each.error,
            header_d=_safe(each.domain),
            header_i=None,
        )
        for each in signatures
        if each.error != "more signatures than are looked at"
    ]
    return parts or [authres.DKIMAuthenticationResult(result="none")]


def of_dmarc(found: DmarcResult) -> Any:
    """DMARC's part."""
    from authres.dmarc import DMARCAuthenticationResult

    return DMARCAuthenticationResult(result=found.result, header_from=_safe(found.domain), policy=found.policy or None)


def of_domainkeys(found: DomainKeysResult) -> Any:
    """DomainKeys' part."""
    import authres

    return authres.DomainKeysAuthenticationResult(
        result=found.method_result, header_d=_safe(found.domain), header_from=None
    )


def value(ident: str, parts: Sequence[Any]) -> bytes:
    """The value of a field with these parts, folded."""
    import authres

    whole = str(authres.AuthenticationResultsHeader(authserv_id=ident, results=list(parts)))
    text = _clean(whole.partition(":")[2].strip())
    return b" " + text.replace("; ", ";\r\n\t").encode("ascii")


def _safe(text: str, address: bool = False) -> str | None:
    """A value that a sender chose, if it is nothing but a name or a plain address: authres does not quote.

    Without that a local part such as "x; dkim=pass" would be a result.
    """
    return text if (_ADDRESS if address else _NAME).fullmatch(text) else None


def _clean(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
