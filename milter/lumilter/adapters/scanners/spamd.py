"""SpamAssassin's daemon: SYMBOLS.

The law: SpamAssassin learns from the topmost Received field who the client was, and a milter's message has none of this
machine's yet; one is put before it, as spamass-milter does, and nothing else is changed.

Source: spamd's PROTOCOL.
"""

from __future__ import annotations

import email.utils
import re

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Envelope, Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.http import header_value
from lumilter.adapters.scanners.link import Link

KIND = "spamd"

_STATUS = re.compile(rb"SPAMD/1\.[0-9]{1,3} ([0-9]{1,3}) ([A-Za-z_]{1,40}.*)")
_SPAM = re.compile(r"(True|Yes|False|No)\s*;\s*(-?[0-9.]{1,20}|nan)\s*/\s*(-?[0-9.]{1,20})", re.IGNORECASE)
_MOST = 1 << 20
"""Bytes that the names of all symbols may have."""
_ODD = re.compile(r"[^!-'*+\-./:=?@A-Z\[\]_a-z{}~0-9]")
"""What has no place in a Received field of ours, parentheses and semicolons first of all."""


class Spamd:
    """The engine. user: whose preferences are used."""

    kind = KIND
    messages_only = True
    wants_envelope = True

    def __init__(self, user: str = "") -> None:
        self._user = user

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        trace = trace_of(sample.envelope)
        head = b"SYMBOLS SPAMC/1.5\r\n"
        if self._user:
            head += b"User: " + header_value(self._user) + b"\r\n"
        last = next((piece for piece in reversed(sample.pieces) if piece), b"\n")
        end = b"" if last[-1:] == b"\n" else b"\r\n"  # it waits for the end of a line, and TLS has no other one
        head += b"Content-length: %d\r\n\r\n" % (len(trace) + sample.size + len(end))
        with Link(server, deadline) as link:
            link.deliver((head + trace, *sample.chunks(), end))
            link.end()
            status = link.line()
            found = _STATUS.fullmatch(status)
            if not found:
                raise ScanError("nonsense", f"not an answer of spamd: {printable(status)}")
            if found[1] != b"0":
                raise ScanError("refused", printable(found[2]))
            fields = link.fields()
            body = link.rest(_MOST)
        return result_of(fields, body)


def result_of(fields: dict[str, str], body: bytes) -> Result:
    """What an answer's fields and body say. Raises ScanError."""
    length = fields.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 10 and len(body) < int(length):
        raise ScanError("nonsense", "half an answer")
    found = _SPAM.fullmatch(fields.get("spam", ""))
    try:
        score, required = (float(found[2]), float(found[3])) if found else (0.0, 0.0)
    except ValueError:
        found = None
    if not found:
        raise ScanError("nonsense", f"an answer of spamd without a verdict: {fields.get('spam', '')!r}")
    is_spam = found[1].lower() in ("true", "yes")
    rules = [name for name in re.split(r"[,\s]+", printable(body, _MOST)) if name and name != "none"]
    return Result(
        Verdict.SPAM if is_spam else Verdict.CLEAN,
        code=found[1],
        score=0.0 if score != score else score,  # spamd prints nan for a rule that has no score
        required=required,
        rules=tuple(rules),
    )


def trace_of(envelope: Envelope) -> bytes:
    """The fields that an MTA would have put before the message; nothing where the client is not known."""
    if not envelope.client_ip:
        return b""
    ip = f"IPv6:{envelope.client_ip}" if ":" in envelope.client_ip else envelope.client_ip
    helo, name, host = (
        _ODD.sub("", text) or "unknown" for text in (envelope.helo, envelope.client_name, envelope.receiver)
    )
    how = "ESMTPA" if envelope.user else "ESMTP"
    return (
        f"Return-Path: <{_ODD.sub('', envelope.sender)}>\r\n"
        f"Received: from {helo} ({name} [{ip}])\r\n"
        f"\tby {host} (lumilter) with {how} id {_ODD.sub('', envelope.ident) or 'unknown'};\r\n"
        f"\t{email.utils.formatdate()}\r\n"
    ).encode("ascii", "replace")
