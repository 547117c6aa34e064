"""What may be asked in the DNS, and of whom: record types, names and servers from a script's text.

The law: text is hostile. A name that the DNS can't hold is answered like one that it doesn't hold, NXDOMAIN: policies
refuse for good on that word and ask the client to come back on any other.
"""

from __future__ import annotations

import ipaddress
import re

import dns.exception
import dns.name
import dns.reversename

from lumilter.errors import LookupFailed, LumilterError

TYPES = frozenset({"A", "AAAA", "TXT", "MX", "PTR", "NS"})
"""What the manual's msys.dnsLookup lists."""

NXDOMAIN = "NXDOMAIN"
PORT = 53

_DOT = re.compile("[.\u3002\uff0e\uff61]")
"""RFC 3490 3.1: what separates labels."""
_MAX_LABEL = 63
_MAX_NAME = 1000
"""Characters, far more than RFC 1035 2.3.4's 255 octets: what is longer is not even looked at."""
_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]\s]+))(?::([0-9]{1,5}))?")


class RecordTypeError(LumilterError):
    """A type of record that can't be looked up: a mistake in the script, no failed lookup."""


def record_type(text: str) -> str:
    """The type in upper case; RecordTypeError if it is none of TYPES."""
    wanted = text.upper()
    if wanted not in TYPES:
        raise RecordTypeError(f"record type {text!r} is not one of A, AAAA, TXT, MX, PTR, NS")
    return wanted


def question(name: str, rtype: str) -> dns.name.Name:
    """The name to ask for: with or without a final dot, in Unicode or not; an IP address will do for a PTR record.

    Raises LookupFailed("NXDOMAIN") for what is no name.
    """
    if rtype == "PTR" and is_ip(name):
        return dns.reversename.from_address(name)
    if name == ".":
        return dns.name.root
    try:
        labels = [_label(label) for label in _DOT.split(name[: _MAX_NAME + 1].removesuffix("."))]
        if len(name) > _MAX_NAME or b"" in labels:
            raise LookupFailed(NXDOMAIN)
        return dns.name.Name([*labels, b""])
    except (dns.exception.DNSException, UnicodeError):
        raise LookupFailed(NXDOMAIN) from None


def _label(text: str) -> bytes:
    """ASCII as it is, without the escapes of zone files; anything else by IDNA."""
    if text.isascii():
        return text.encode("ascii")
    if len(text) > _MAX_LABEL:
        raise LookupFailed(NXDOMAIN)
    return dns.name.IDNA_2003_Practical.encode(text)


def text_of(name: dns.name.Name) -> str:
    """A name without the final dot, odd bytes escaped as in zone files; "." for the root."""
    return name.to_text(omit_final_dot=True)


def is_ip(text: str) -> bool:
    """Whether it is an IP address, without a scope."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def host_and_port(text: str) -> tuple[str, int]:
    """A server written as host, host:port, [v6]:port or v6; LookupFailed for anything else."""
    if is_ip(text):
        return text, PORT
    found = _HOST_AND_PORT.fullmatch(text)
    port = int(found[3] or PORT) if found else 0
    if not found or not 0 < port < 65536 or (found[1] and not is_ip(found[1])):
        raise LookupFailed(f"name server {text!r}: expected an address, address:port or [IPv6 address]:port")
    return found[1] or found[2], port
