"""msys.core.io_wrapper_open and io_objects, msys.readfile: files and what is named like them.

The law: declarations only. What is opened is used on pool threads, so a disk or another process's lock holds up nobody
else; what is only gathered in memory (ec_message_builder) is written at once.

Source: manual, pages ref-msys-core-io-wrapper-open, ref-msys-readfile; for the methods it refers to the simple I/O
model of Programming in Lua, with write(data, length) as its own example and public policies have it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lumilter.adapters.files import Stream
from lumilter.calls import Here, Items, Job
from lumilter.errors import LumilterError
from lumilter.registry import api, constants, lua_class
from lumilter.session.strings import IoObject

CORE = "msys.core"
_WHENCE = {"set": os.SEEK_SET, "cur": os.SEEK_CUR, "end": os.SEEK_END}

lua_class("io_object", IoObject)
constants(CORE, {"O_BINARY": 0, "O_RDRW": os.O_RDWR, "O_SYNC": os.O_SYNC})  # O_RDRW: the manual's spelling


@api("msys.readfile", package="msys", blocking=True)
def readfile(filename_or_uri: str, *, here: Here) -> Job:
    """The whole of a file, or of what a file:, http:, https: or persist: URI names; nil and why it can't be read."""
    files, web = here.services.files, here.services.web
    return Job(lambda deadline: files.read(filename_or_uri, web, deadline), "file")


@api("msys.core.io_wrapper_open", package=CORE, blocking=True)
def io_wrapper_open(filename: str, options: int | None = None, mode: int | None = None, *, here: Here) -> Job:
    """Open a file, or a file:, http:, https:, jlog:, persist:, pipe: or syslog: URI; an io_object, or nil and why not.

    options: a sum of msys.core.O_*; without it, to read. mode: permissions of a file that is made, 0640 unless given.
    jlog:///PATH=>SUBSCRIBER appends messages to a jlog; syslog://?facility=mail&priority=error sends lines to the
    system's log; pipe:///PROGRAM?arg1=... starts a program, which gets what is written; persist://URI reads what the
    URI names, or its last copy. What is open is closed when the script forgets it, at the latest.
    """
    files, web = here.services.files, here.services.web
    flags = os.O_RDONLY if options is None else options

    def given(stream: Stream) -> IoObject:
        if files.is_crowded():
            here.host.collect()
            files.settle()
        return IoObject(opened=stream)

    return Job(lambda deadline: files.open(filename, flags, mode, web, deadline), "file", given)


@api("io_object:write", package=CORE, extension=True, blocking=True)
def write(io: IoObject, data: bytes, length: int | None = None) -> int | Job:
    """Write the data, or its first `length` bytes; how many were written, or nil and why not.

    What is appended (O_APPEND, jlog:) stays in one piece, whoever else appends to it.
    """
    if length is not None and length < 0:
        raise LumilterError(f"{length} is no length")
    data = data if length is None else data[:length]
    if io.sink is not None:
        io.sink.write(data)
        return len(data)
    stream: Stream = io.opened
    return Job(lambda deadline: stream.write(data, deadline), "file")


@api("io_object:read", package=CORE, extension=True, blocking=True)
def read(io: IoObject, *formats: str) -> Job:
    """Read as Lua's files do: "*l" is a line (the default), "*a" the rest, "*n" a number, N so many bytes at most.

    A result for each; nil at the end, nil and why not where it can't be read.
    """
    stream = opened(io)
    steps = [_reading(stream, each) for each in formats or ("*l",)]

    def run(deadline: float) -> tuple[Any, ...]:
        found: list[Any] = []
        for step in steps:
            found.append(step(deadline))
            if found[-1] is None:
                break
        return tuple(found)

    return Job(run, "file")


@api("io_object:lines", package=CORE, extension=True)
def lines(io: IoObject) -> Items:
    """An iterator over the lines, without their ends."""
    stream = opened(io)
    return Items(lambda: Job(stream.read_line, "file"))


@api("io_object:seek", package=CORE, extension=True, blocking=True)
def seek(io: IoObject, whence: str | None = None, offset: int | None = None) -> Job:
    """Move to an offset from the beginning ("set"), from here ("cur", the default) or from the end ("end").

    The new position in bytes, or nil and why not.
    """
    if whence is not None and whence not in _WHENCE:
        raise LumilterError(f"{whence!r} is none of set, cur, end")
    stream = opened(io)
    return Job(lambda deadline: stream.seek(offset or 0, _WHENCE[whence or "cur"]), "file")


@api("io_object:flush", package=CORE, extension=True)
def flush(io: IoObject) -> bool:
    """True: what was written is with the operating system, nothing is held back."""
    return True


@api("io_object:close", package=CORE, extension=True, blocking=True)
def close(io: IoObject) -> Job | None:
    """Close it; for the io_object of a message, the end of the content. Again is nothing."""
    if io.sink is not None:
        io.sink.close()
        return None
    stream: Stream = io.opened
    return Job(lambda deadline: stream.close(), "file")


def opened(io: IoObject) -> Stream:
    """What an io_object reads from. Raises LumilterError."""
    if io.sink is not None:
        raise LumilterError("it can only be written")
    stream: Stream = io.opened
    return stream


def _reading(stream: Stream, wanted: str) -> Callable[[float], Any]:
    """What reads by one format."""
    kind = wanted.lstrip("*")[:1]
    if kind == "l":
        return stream.read_line
    if kind == "a":
        return stream.read_all
    if kind == "n":
        return lambda deadline: _number(stream, deadline)
    try:
        size = int(float(wanted))
    except (ValueError, OverflowError):
        size = -1
    if not 0 <= size < 2**53:
        raise LumilterError(f"{wanted[:20]!r} is none of *l, *a, *n, nor a number of bytes")
    return lambda deadline: stream.read(size, deadline) or None if size else b""


def _number(stream: Stream, deadline: float) -> float | None:
    """The number that stands next, nil where there is none; what follows it stays."""
    text = b""
    while len(text) < 200 and (byte := stream.read(1, deadline)):
        if byte.isspace() and not text:
            continue
        if byte not in b"0123456789.eE+-":
            stream.seek(-1, os.SEEK_CUR)
            break
        text += byte
    try:
        return float(text)
    except ValueError:
        return None
