"""Addresses and networks as text, and as numbers.

The law: an address is (is it IPv6, number); an IPv4 address that is mapped into IPv6 is an IPv4 address. What is none
raises ValueError with a text that quotes it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

BITS = {False: 32, True: 128}
"""Of an address, by whether it is IPv6."""

_MAPPED = bytes(10) + b"\xff\xff"


def address(text: str) -> tuple[bool, int]:
    """The number behind an address."""
    try:
        if ":" not in text:
            return False, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
        raw = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):  # ValueError: a NUL in it
        raise ValueError(f"{text[:80]!r} is not an IP address") from None
    if raw.startswith(_MAPPED):
        return False, int.from_bytes(raw[12:], "big")
    return True, int.from_bytes(raw, "big")


def prefix(text: str) -> tuple[bool, int, int]:
    """A network, "10.0.0.0/8", or a single address: is it IPv6, its first address, the bits of its prefix.

    Bits of the address behind the prefix are ignored.
    """
    base, slash, length = text.strip().partition("/")
    six, number = address(base)
    bits = BITS[six]
    if not slash:
        return six, number, bits
    size = _number(length, text)
    if ":" in base and not six:
        size -= 96  # ::ffff:10.0.0.0/104 is 10.0.0.0/8
    if not 0 <= size <= bits:
        raise ValueError(f"{text[:80]!r} is not a network: the prefix has at most {bits} bits")
    return six, number >> (bits - size) << (bits - size), size


def prefixes(six: bool, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest networks that have just the addresses from first to last: first address and bits of the prefix."""
    bits = BITS[six]
    while first <= last:
        free = min((first & -first).bit_length() - 1 if first else bits, (last - first + 1).bit_length() - 1)
        yield first, bits - free
        first += 1 << free


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise ValueError(f"{whole[:80]!r} is not a network")
    return int(text)
