"""Reads a body as a tree of MIME entities.

The law: any bytes are an entity. Reading takes time in proportion to the body: nesting and numbers are bounded, and
beyond the bounds an entity is one part.
"""

from __future__ import annotations

import re

from lumilter.session.buffers import Buffer
from lumilter.session.headers import HeaderList
from lumilter.session.mime import Part, Tree, octets

MAX_DEPTH = 40
MAX_PARTS = 10_000
_MAX_HEADERS = 1 << 20
"""Bytes of a part's header section; more is no header section but text."""

_LONG = 1 << 14

_FIELD = re.compile(rb"[!-9;-~\x80-\xff]++[ \t]*+:|From |>From ")
_SECTION = re.compile(rb"(?:[!-9;-~\x80-\xff]++[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+)*+")
_EMPTY = re.compile(rb"\r?\n")
_EMPTY_LINE = re.compile(rb"(?<=\n)\r?\n")
_LINE_END = re.compile(rb"(--)?[ \t]*+\r?(?:\n|\Z)")


def read_message(headers: HeaderList, body: Buffer, tree: Tree) -> Part:
    """The top of a message; its headers are the message's own."""
    size = headers.size + 2
    top = Part(tree, body=body, _headers=headers)
    read_body(top, 0, [MAX_PARTS], size)
    return top


def read_entity(raw: Buffer, tree: Tree, depth: int, left: list[int], offset: int, default_type: str) -> Part:
    """An entity below the top. left: how many more parts there may be; offset: where it begins in the message."""
    header_end, body_start = split(raw)
    part = Part(
        tree,
        separator=bytes(raw[header_end:body_start]),
        body=raw[body_start:],
        default_type=default_type,
        offset=offset,
        raw=raw,
        section=raw[:header_end],
    )
    read_body(part, depth, left, offset + body_start)
    return part


def split(raw: Buffer) -> tuple[int, int]:
    """Where the header section ends and where the body begins."""
    if empty := _EMPTY.match(raw):
        return 0, empty.end()
    if not _FIELD.match(raw):
        return 0, 0
    if (empty := _EMPTY_LINE.search(raw)) is None:
        section = _SECTION.match(raw)
        end = section.end() if section else 0
        return (end, end) if end <= _MAX_HEADERS else (0, 0)
    return (empty.start(), empty.end()) if empty.start() <= _MAX_HEADERS else (0, 0)


def read_body(part: Part, depth: int, left: list[int], offset: int = 0) -> None:
    """Find a part's children in its body, if it has any."""
    if depth >= MAX_DEPTH or part.encoding not in ("", "7bit", "8bit", "binary"):
        return
    kind = part.content_type.value
    body = part.body
    if kind in ("message/rfc822", "message/global") and len(body) and left[0] > 0:
        left[0] -= 1
        child = read_entity(body, part.tree, depth + 1, left, offset, "text/plain")
        child.parent = part
        part.children, part.body, part.read = [child], b"", body
        return
    boundary = part.boundary
    if not boundary:
        return
    delimiters, closing = _delimiters(body, octets(boundary), left[0])
    if not delimiters:
        return
    left[0] -= len(delimiters)
    if len(body) > _LONG:
        body = memoryview(body)  # parts of it are no copies then
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    ends = [*(start for start, _ in delimiters[1:]), closing]
    children = [
        read_entity(body[start:end], part.tree, depth + 1, left, offset + start, default)
        for (_, start), end in zip(delimiters, ends, strict=True)
    ]
    for place, child in enumerate(children):
        child.parent, child.place = part, place
    part.preamble, part.closing = body[: delimiters[0][0]], body[closing:]
    part.delimiters = [bytes(body[start:end]) for start, end in delimiters]
    part.children, part.body, part.read = children, b"", body


def _delimiters(body: Buffer, boundary: bytes, most: int) -> tuple[list[tuple[int, int]], int]:
    """Start and end of the delimiter before each child, and where the closing one starts; none beyond `most`."""
    found: list[tuple[int, int]] = []
    previous = 0
    for mark in re.finditer(re.escape(b"--" + boundary), body):
        start = mark.start()
        if start < previous or (start and body[start - 1] != 10):
            continue
        line = _LINE_END.match(body, mark.end())
        if line is None:
            continue
        start = max(previous, _before_line_break(body, start))
        if line[1]:
            return found, start
        if len(found) >= most:
            return [], 0
        previous = line.end()
        found.append((start, previous))
    return found, len(body)


def _before_line_break(body: Buffer, at: int) -> int:
    if at and body[at - 1] == 10:
        at -= 1
        if at and body[at - 1] == 13:
            at -= 1
    return at
