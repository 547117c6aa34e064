"""Which addresses may stand in MAIL FROM:<...> and RCPT TO:<...>.

The law: no address, whoever wrote it, can end the angle brackets or the line: what could is refused and never sent.
"""

from __future__ import annotations

import re

LONGEST = 512
"""Octets: RFC 5321 4.5.3.1.4 obliges no server to read a longer command line, and some hang up on one."""

_PATH = re.compile(r'(?:[^"\\<>\x00-\x20\x7f]|"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*")*')
"""Characters, or quoted strings in which blanks and brackets may stand. A backslash is for quoted strings only: RFC 821
let it quote anywhere, and a server of that school would see other quotation marks open than we do."""


def unsendable(address: str, utf8: bool) -> str:
    """Why the address can't be sent, "" if it can. utf8: to a server that offers SMTPUTF8 (RFC 6531)."""
    if not _PATH.fullmatch(address):
        return "5.1.3 not an address: a control character, or a blank, angle bracket or backslash outside quotes"
    try:
        octets = len(address.encode())
    except UnicodeEncodeError:
        return "5.1.3 not an address: neither ASCII nor UTF-8"
    if octets > LONGEST:
        return f"5.1.3 not an address: {octets} octets, more than {LONGEST}"
    if not utf8 and not address.isascii():
        return "5.6.7 the server takes no addresses beyond ASCII (SMTPUTF8)"
    return ""
