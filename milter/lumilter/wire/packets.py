"""Milter packets: bytes to (command, payload), replies and edits to bytes.

The law: no state but the bytes of a packet that has not come whole, no input or output, and never an exception for
what an MTA sent. Protocol as in Sendmail's include/libmilter/mfdef.h: 4 bytes of length, a command byte, arguments.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from lumilter.session.events import Action
from lumilter.wire.edits import Call

LARGEST = 16 << 20
"""Bytes in one packet of the MTA, unless told otherwise. Postfix sends a header of up to header_size_limit (102,400)
in one."""
CHUNK = 65535
"""Bytes of a body in one packet, MILTER_CHUNK_SIZE."""
MALFORMED = -1
"""The command of a packet whose length is wrong: nothing that follows it can be read."""
TOO_LARGE = 256
"""Is added to the command of a packet that is too large, whose payload is passed over."""

_head = struct.Struct("!IB").unpack_from
_number = struct.Struct("!I").pack

CONTINUE = b"\0\0\0\1c"
PROGRESS = b"\0\0\0\1p"
PLAIN = {
    Action.CONTINUE: CONTINUE,
    Action.ACCEPT: b"\0\0\0\1a",
    Action.REJECT: b"\0\0\0\1r",
    Action.TEMPFAIL: b"\0\0\0\1t",
    Action.DISCARD: b"\0\0\0\1d",
}


class Framer:
    """Cuts a stream into packets, however it was cut before. largest: bytes of a packet that is taken."""

    __slots__ = ("_largest", "_missing", "_parts", "_unwanted")

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._parts: list[bytes] = []
        """The beginning of a packet. A list, because adding 16 MiB in small pieces to one string takes seconds."""
        self._missing = 0
        """How many bytes are wanted, at least, before looking again."""
        self._unwanted = 0
        """How many bytes of a packet that is too large are still to come."""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The packets that are whole now; after one that is MALFORMED nothing else must be fed."""
        if self._unwanted:
            passed = min(self._unwanted, len(data))
            self._unwanted -= passed
            data = data[passed:]
        elif self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        packets = []
        at, end = 0, len(data)
        while end - at > 4:
            length, command = _head(data, at)
            if not length:
                packets.append((MALFORMED, data[at : at + 5]))
                return packets
            stop = at + 4 + length
            if length > self._largest:
                packets.append((TOO_LARGE + command, b""))
                self._unwanted = max(0, stop - end)
                at = stop
                continue
            if stop > end:
                self._parts.append(data[at:])
                self._missing = stop - end
                return packets
            packets.append((command, data[at + 5 : stop]))
            at = stop
        if at < end:
            self._parts.append(data[at:])
            self._missing = at + 5 - end
        return packets


def packet(command: bytes, payload: bytes) -> bytes:
    return _number(len(payload) + 1) + command + payload


def text(command: bytes, value: bytes) -> bytes:
    """A packet with one string."""
    return _number(len(value) + 2) + command + value + b"\0"


def agreement(version: int, actions: int, steps: int, symbols: dict[int, str]) -> bytes:
    """The answer to the MTA's offer. symbols: the macros to send, by the number of the stage."""
    lists = b"".join(_number(stage) + names.encode() + b"\0" for stage, names in symbols.items())
    return packet(b"O", _number(version) + _number(actions) + _number(steps) + lists)


def _header(command: bytes) -> Callable[[int, bytes, bytes], bytes]:
    return lambda index, name, value: packet(command, _number(index) + name + b"\0" + value + b"\0")


def body(content: bytes) -> Iterator[bytes | memoryview]:
    """The packets of a new body, which is not copied. An empty one is one empty packet, as libmilter sends it."""
    view = memoryview(content)
    for start in range(0, len(view) or 1, CHUNK):
        chunk = view[start : start + CHUNK]
        yield _number(len(chunk) + 1) + b"b"
        yield chunk


_EDITS: dict[str, Callable[..., bytes]] = {
    "insheader": _header(b"i"),
    "chgheader": _header(b"m"),
    "addrcpt": lambda address: text(b"+", address),
    "delrcpt": lambda address: text(b"-", address),
    "chgfrom": lambda address: text(b"e", address),
    "quarantine": lambda reason: text(b"q", reason),
}


def edit(call: Call) -> Iterator[bytes | memoryview]:
    """The packets of a checked edit, in pieces."""
    if call[0] == "replacebody":
        yield from body(*call[1:])
    else:
        yield _EDITS[call[0]](*call[1:])
