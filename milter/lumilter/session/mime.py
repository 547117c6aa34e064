"""A message body as a tree of MIME entities, which renders to the very bytes that it was read from.

The law: any bytes are an entity. What no one touched is a slice of the body as it came, boundary lines, preambles,
missing terminators and all. Reading takes time in proportion to the body: nesting and numbers are bounded, and beyond
the bounds an entity is one part.

A multipart body is its preamble, then for each child a delimiter and the child, then the closing. A delimiter is the
line break before the boundary line and that line with its own line break (RFC 2046 5.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lumilter.errors import LumilterError
from lumilter.session.headers import Header, HeaderList, raw_fields
from lumilter.session.parameters import Parameters, with_parameter

Buffer = bytes | memoryview

MAX_DEPTH = 40
MAX_PARTS = 10_000
_MAX_HEADERS = 1 << 20
"""Bytes of a part's header section; more is no header section but text."""
_MAX_BOUNDARY = 998
"""RFC 2046 allows 70 characters; no line can hold more than this."""

_FIELD = re.compile(rb"[!-9;-~\x80-\xff]++[ \t]*+:|From |>From ")
_SECTION = re.compile(rb"(?:[!-9;-~\x80-\xff]++[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+)*+")
_EMPTY = re.compile(rb"\r?\n")
_EMPTY_LINE = re.compile(rb"(?<=\n)\r?\n")
_LINE_END = re.compile(rb"(--)?[ \t]*+\r?(?:\n|\Z)")


class MimeError(LumilterError):
    """A change to the tree that can't be made."""


@dataclass(eq=False, slots=True)
class Tree:
    """What the parts of one reading share. changed: the body is not any more what was read."""

    writable: bool
    changed: bool = False
    attached: bool = True
    """The message still has this tree's body."""
    whole: bool = False
    """The top is a whole message, not a part that a script made."""
    made: bool = False
    """A script made it, and may use it in every phase."""


@dataclass(eq=False, slots=True)
class Part:
    """An entity: a header section, the empty line after it, and a body or parts.

    offset: where it begins in the message as it was read; 0 for one that a script made.
    """

    tree: Tree
    separator: bytes = b"\r\n"
    body: Buffer = b""
    """Of a leaf, encoded as it came."""
    children: list[Part] | None = None
    """None for a leaf; one for a message/rfc822."""
    preamble: Buffer = b""
    delimiters: list[bytes] = field(default_factory=list)
    closing: Buffer = b""
    parent: Part | None = None
    default_type: str = "text/plain"
    offset: int = 0
    raw: Buffer | None = None
    """The whole entity as it came, as long as nothing in it was touched."""
    section: Buffer = b""
    """The header section as it came; `headers` once somebody has asked for them."""
    given: bytes | None = None
    """What a script gave for the body of a part of its own, of which given_start to given_end are the body."""
    given_start: int = 0
    given_end: int = 0
    _headers: HeaderList | None = None

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def headers(self) -> HeaderList:
        """The header fields; to change them, `change_headers`."""
        if self._headers is None:
            self._headers = HeaderList(raw_fields(bytes(self.section)))
        return self._headers

    @headers.setter
    def headers(self, headers: HeaderList) -> None:
        self._headers = headers

    @property
    def content_type(self) -> Parameters:
        """Content-Type; RFC 2045 5.2: text/plain where there is none that can be read."""
        found = self._parameters("Content-Type")
        if re.fullmatch(r"[^/\s]+/[^/\s]+", found.value):
            return found
        return Parameters(self.default_type, found.parameters)

    @property
    def disposition(self) -> Parameters:
        """Content-Disposition; value "" where there is none."""
        return self._parameters("Content-Disposition")

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding in lower case; "" where there is none."""
        return self._parameters("Content-Transfer-Encoding").value

    def _parameters(self, name: str) -> Parameters:
        found = self.headers.undecoded(name)
        return Parameters.parse(found[0]) if found else Parameters("")

    @property
    def made(self) -> bool:
        """A script made the message that it is in."""
        return self.tree.made

    @property
    def boundary(self) -> str:
        """Of a multipart, "" for anything else."""
        content_type = self.content_type
        boundary = content_type.parameters.get("boundary", "").rstrip()
        return boundary[:_MAX_BOUNDARY] if content_type.value.startswith("multipart/") else ""

    @property
    def is_text(self) -> bool:
        """Whether it is a leaf of type text/*."""
        return self.children is None and self.content_type.value.startswith("text/")

    @property
    def is_container(self) -> bool:
        """Whether it is a multipart that can take more parts."""
        return self.children is not None and (bool(self.delimiters) or not self.children)

    @property
    def body_size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.body_pieces()))

    @property
    def next(self) -> Part | None:
        """The next part of the same parent."""
        siblings = self.parent.children if self.parent else None
        if not siblings:
            return None
        at = _index(siblings, self)
        return siblings[at + 1] if at + 1 < len(siblings) else None

    @property
    def thread(self) -> Part | None:
        """The next part of the tree, in the order in which the parts stand in the message."""
        if self.children:
            return self.children[0]
        part: Part | None = self
        while part is not None:
            if (following := part.next) is not None:
                return following
            part = part.parent
        return None

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in order."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack += reversed(part.children or [])

    def body_pieces(self) -> Iterator[Buffer]:
        """The body in pieces."""
        if self.children is None:
            yield self.body
            return
        if not self.delimiters:  # message/rfc822
            for child in self.children:
                yield from child.pieces()
            return
        yield self.preamble
        for delimiter, child in zip(self.delimiters, self.children, strict=True):
            yield delimiter
            yield from child.pieces()
        yield self.closing

    def pieces(self) -> Iterator[Buffer]:
        """The entity in pieces."""
        if self.raw is not None:
            yield self.raw
            return
        yield bytes(self.section) if self._headers is None else self._headers.to_bytes()
        yield self.separator
        yield from self.body_pieces()

    def body_bytes(self) -> bytes:
        """The body, encoded as it stands."""
        return b"".join(self.body_pieces())

    def to_bytes(self) -> bytes:
        """The entity."""
        return b"".join(self.pieces())

    # --- changing ----------------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raises MimeError where this part must not be changed."""
        if not self.tree.writable:
            raise MimeError("this MIME part is read-only: msg:mime(false) gives a tree that can be changed")
        if not self.tree.attached:
            raise MimeError("this MIME part is no longer in the message: call msg:mime(false) again")

    def touch(self) -> None:
        """Something in this part is about to change. Raises MimeError where it must not."""
        self.check_writable()
        self.tree.changed = True
        part: Part | None = self
        while part is not None:
            _ = part.headers
            part.raw = None
            part = part.parent

    def set_body(self, body: Buffer) -> None:
        """A new body, encoded as it is to stand; parts that it had leave the tree."""
        self.touch()
        for child in self.children or ():
            child.parent = None
        if not self.separator and body:
            self.separator = b"\r\n"
        self.body, self.children, self.delimiters, self.preamble, self.closing = body, None, [], b"", b""
        read_body(self, 0, [MAX_PARTS])

    def set_raw(self, raw: bytes) -> None:
        """New headers and a new body."""
        header_end, body_start = split(raw)
        self.touch()
        self.headers = HeaderList(raw_fields(raw[:header_end]))
        self.separator = raw[header_end:body_start]
        self.set_body(raw[body_start:])

    def insert(self, at: int, child: Part) -> None:
        """Put a part that is in no tree among the children. Raises MimeError."""
        if self.children is None or not self.is_container:
            raise MimeError(f"a part of type {self.content_type.value} has no children")
        if child.parent is not None or any(part is child for part in self._ancestors()):
            raise MimeError("the part is in a tree already: unlink it first")
        self.touch()
        child.move_to(self.tree)
        self._avoid(child)
        boundary = _octets(self.boundary)
        if at == 0 and not self.preamble:
            new = b"--" + boundary + b"\r\n"
            if self.delimiters and self.delimiters[0].startswith(b"--"):
                self.delimiters[0] = b"\r\n" + self.delimiters[0]
        else:
            new = b"\r\n--" + boundary + b"\r\n"
        if not self.closing:
            self.closing = b"\r\n--" + boundary + b"--\r\n"
        self.children.insert(at, child)
        self.delimiters.insert(at, new)
        child.parent = self

    def unlink(self) -> None:
        """Leave the tree, children and all. The top of a message can't."""
        self.touch()
        parent = self.parent
        if parent is None or parent.children is None:
            raise MimeError("the part is in no other one")
        at = _index(parent.children, self)
        del parent.children[at]
        if parent.delimiters:
            del parent.delimiters[at]
        else:
            parent.children, parent.body = None, b""
        self.parent = None
        self.move_to(Tree(writable=True))

    def move_to(self, tree: Tree) -> None:
        """Belong to another tree, with all parts below."""
        for part in self.walk():
            part.tree = tree

    def forget(self) -> None:
        """Let go of the text: the message is over, and its body may be the view of a file."""
        self.tree.attached = False
        self.raw = None
        self.body = self.preamble = self.closing = self.section = b""

    def rebound(self, boundary: str) -> None:
        """Use another boundary."""
        self.touch()
        old, new = _octets(self.boundary), _octets(boundary)
        self.delimiters = [delimiter.replace(b"--" + old, b"--" + new, 1) for delimiter in self.delimiters]
        self.closing = bytes(self.closing).replace(b"--" + old + b"--", b"--" + new + b"--", 1)
        name = self.headers.first("Content-Type")
        if name is not None:
            self.headers.put(type_field(with_parameter(name.value, "boundary", boundary)))

    def _avoid(self, child: Part) -> None:
        """Take another boundary if the child holds a line that looks like ours."""
        boundary = self.boundary
        number = 0
        while b"\n--" + _octets(boundary) in b"\n" + child.to_bytes():
            number += 1
            boundary = f"{self.boundary[:60]}={number}"
        if number:
            self.rebound(boundary)

    def _ancestors(self) -> Iterator[Part]:
        part: Part | None = self
        while part is not None:
            yield part
            part = part.parent


def index_of(part: Part) -> int:
    """Which of its parent's children it is."""
    return _index(part.parent.children or [], part) if part.parent else 0


def _index(parts: list[Part], wanted: Part) -> int:
    return next(at for at, part in enumerate(parts) if part is wanted)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# --- reading ----------------------------------------------------------------------------------------------------------


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
        part.children, part.body = [child], b""
        return
    boundary = part.boundary
    if not boundary:
        return
    delimiters, closing = _delimiters(body, _octets(boundary), left[0])
    if not delimiters:
        return
    left[0] -= len(delimiters)
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    ends = [*(start for start, _ in delimiters[1:]), closing]
    children = [
        read_entity(body[start:end], part.tree, depth + 1, left, offset + start, default)
        for (_, start), end in zip(delimiters, ends, strict=True)
    ]
    for child in children:
        child.parent = part
    part.preamble, part.closing = body[: delimiters[0][0]], body[closing:]
    part.delimiters = [bytes(body[start:end]) for start, end in delimiters]
    part.children, part.body = children, b""


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


def type_field(value: bytes) -> Header:
    """A Content-Type field with that raw value."""
    return Header(b"Content-Type", value)


def texts(top: Part) -> Iterable[Part]:
    """The text parts of a tree."""
    return (part for part in top.walk() if part.is_text)
