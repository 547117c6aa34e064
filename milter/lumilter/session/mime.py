"""A message body as a tree of MIME entities, which renders to the very bytes that it was read from.

The law: what no one touched is a slice of the body as it came, boundary lines, preambles, missing terminators and all.
`mime_reading` makes the tree, `mime_edits` changes it.

A multipart body is its preamble, then for each child a delimiter and the child, then the closing. A delimiter is the
line break before the boundary line and that line with its own line break (RFC 2046 5.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lumilter.errors import LumilterError
from lumilter.session.buffers import Buffer, joined
from lumilter.session.headers import Header, HeaderList, raw_fields
from lumilter.session.parameters import Parameters

_MAX_BOUNDARY = 998
"""RFC 2046 allows 70 characters; no line can hold more than this."""


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
    place: int = 0
    """Where it was last seen among its parent's children."""
    raw: Buffer | None = None
    """The whole entity as it came, as long as nothing in it was touched."""
    read: Buffer | None = None
    """The body as it came, of one that has parts, as long as nothing in it was touched."""
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
        at = index_of(self)
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

    def body_text(self) -> Buffer:
        """As body_bytes, and no copy where nothing in it was touched."""
        if self.children is None:
            return self.body
        return self.body_bytes() if self.read is None else self.read

    def to_bytes(self) -> bytes:
        """The entity."""
        return b"".join(self.pieces())

    def text(self) -> Buffer:
        """As to_bytes, and no copy where nothing in it was touched."""
        return joined(self.pieces()) if self.raw is None else self.raw

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
            part.raw = part.read = None
            part = part.parent

    def move_to(self, tree: Tree) -> None:
        """Belong to another tree, with all parts below."""
        for part in self.walk():
            part.tree = tree

    def forget(self) -> None:
        """Let go of the text: the message is over, and its body may be the view of a file."""
        self.tree.attached = False
        self.raw = self.read = None
        self.body = self.preamble = self.closing = self.section = b""


def index_of(part: Part) -> int:
    """Which of its parent's children a part is."""
    siblings = (part.parent.children if part.parent else None) or [part]
    if part.place >= len(siblings) or siblings[part.place] is not part:
        part.place = next(at for at, sibling in enumerate(siblings) if sibling is part)
    return part.place


def octets(text: str) -> bytes:
    """Text as the bytes that it came from."""
    return text.encode("utf-8", "surrogateescape")


def type_field(value: bytes) -> Header:
    """A Content-Type field with that raw value."""
    return Header(b"Content-Type", value)


def texts(top: Part) -> Iterable[Part]:
    """The text parts of a tree."""
    return (part for part in top.walk() if part.is_text)
