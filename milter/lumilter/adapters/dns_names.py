"""What may be asked in the DNS, and of whom: record types and servers from a script's text.

The law: text is hostile. No dnspython here: every worker has this.
"""

from __future__ import annotations

import ipaddress
import re

from lumilter.errors import ConfigError, LookupFailed, LumilterError

TYPES = frozenset({"A", "AAAA", "TXT", "MX", "PTR", "NS"})
"""What the manual's msys.dnsLookup lists."""

NXDOMAIN = "NXDOMAIN"
PORT = 53

_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]\s]+))(?::([0-9]{1,5}))?")


class RecordTypeError(LumilterError):
    """A type of record that can't be looked up: a mistake in the script, no failed lookup."""


def record_type(text: str) -> str:
    """The type in upper case; RecordTypeError if it is none of TYPES."""
    wanted = text.upper()
    if wanted not in TYPES:
        raise RecordTypeError(f"record type {text!r} is not one of A, AAAA, TXT, MX, PTR, NS")
    return wanted


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


def configured(server: str) -> tuple[str, int]:
    """Address and port of a server in the configuration; ConfigError for anything else."""
    try:
        host, port = host_and_port(server)
    except LookupFailed as error:
        raise ConfigError(str(error)) from None
    if not is_ip(host):
        raise ConfigError(f"name server {server!r}: expected an IP address, not a name")
    return host, port
