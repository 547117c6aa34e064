"""What things are counted under: addresses as bytes, the networks they are in, and the forms in which scripts say so.

The law: pure functions. IPv4 is 4 bytes, IPv6 16; an IPv4 address that comes as IPv6 (::ffff:192.0.2.1) is IPv4.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from dataclasses import dataclass

from lumilter.errors import LumilterError
from lumilter.state.contract import MAX_KEY

LEVELS = {4: (0, 8, 16, 24, 32), 16: (0, 16, 32, 48, 64, 128), 0: (0,)}
"""Prefix lengths for which stores keep sums, by bytes of an address; 0 is for items that are no addresses.

A sum for any other length is put together from the next longer ones: at most 128 of them for IPv4.
"""


class AddressError(LumilterError):
    """A script named an address or a network that is none, or of the other family."""


@dataclass(frozen=True, slots=True)
class Network:
    """An address and how many of its first bits count."""

    address: bytes
    bits: int


def level_for(length: int, bits: int) -> int:
    """The shortest prefix of LEVELS that is at least that long. length: bytes of the address."""
    return next(level for level in LEVELS[length] if level >= bits)


def packed(text: str) -> bytes | None:
    """An address as bytes; None if it is none. Square brackets around it may be there."""
    text = text.removeprefix("[").removesuffix("]")
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        pass
    try:
        found = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return found[12:] if found.startswith(b"\0" * 10 + b"\xff\xff") else found


def shown(address: bytes, bits: int | None = None) -> str:
    """As text: "192.0.2.0/24"; without bits the address alone."""
    text = str(ipaddress.ip_address(masked(address, len(address) * 8 if bits is None else bits)))
    return text if bits is None else f"{text}/{bits}"


def masked(address: bytes, bits: int) -> bytes:
    """The address with everything after its first bits set to 0."""
    spare = len(address) * 8 - bits
    return (int.from_bytes(address) >> spare << spare).to_bytes(len(address)) if spare else address


def bounds(address: bytes, bits: int) -> tuple[bytes, bytes]:
    """First and last address of a network."""
    low = int.from_bytes(masked(address, bits))
    high = low | ((1 << (len(address) * 8 - bits)) - 1)
    return low.to_bytes(len(address)), high.to_bytes(len(address))


def network(text: str, own: bytes | None) -> Network:
    """What a script means by "/24", "addr", "addr/24" or "addr/255.255.255.0"; "" and "/24" are of the client's own.

    own: the client's address; None where there is none. A name in place of an address is not looked up, but for
    "localhost", which the manual's example has. Raises AddressError.
    """
    given, slash, mask = text.strip().partition("/")
    if given:
        address = packed("127.0.0.1" if given.lower() == "localhost" else given)
        if address is None:
            raise AddressError(f'"{text}" is neither an address nor a network nor a mask such as "/24"')
    elif own is None:
        raise AddressError(f'"{text}" is about the client, and there is no client with an IP address here')
    else:
        address = own
    mapped = ":" in given and len(address) == 4
    return Network(address, _bits(mask, len(address) * 8, text, mapped) if slash else len(address) * 8)


def _bits(mask: str, most: int, text: str, mapped: bool) -> int:
    """mapped: ::ffff:192.0.2.0/120 is 192.0.2.0/24."""
    if mask.isascii() and mask.isdigit() and len(mask) <= 3:
        bits = int(mask) - (96 if mapped else 0)
        if 0 <= bits <= most:
            return bits
    dotted = packed(mask)
    if dotted is not None and len(dotted) * 8 == most:
        value = int.from_bytes(dotted)
        bits = value.bit_count()
        if value == ((1 << bits) - 1) << (most - bits):
            return bits
    least = 96 if mapped else 0
    raise AddressError(f'the mask of "{text}" is none: expected a number from {least} to {least + most}')


def shortened(key: bytes) -> bytes:
    """A key that a store can take: a long one is cut, and told from others like it by a hash of the whole."""
    if len(key) <= MAX_KEY:
        return key
    return key[: MAX_KEY - 32] + hashlib.blake2b(key, digest_size=32).digest()
