"""Changes to a tree of MIME entities.

The law: a change stays in its part, and every part above knows of it. The result reads again as the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from lumilter.session.buffers import Buffer
from lumilter.session.headers import HeaderList, raw_fields
from lumilter.session.mime import MimeError, Part, Tree, index_of, octets, type_field
from lumilter.session.mime_reading import MAX_PARTS, read_body, split
from lumilter.session.parameters import with_parameter


def set_body(part: Part, body: Buffer) -> None:
    """A new body, encoded as it is to stand; parts that it had leave the tree."""
    part.touch()
    for child in part.children or ():
        child.parent = None
    if not part.separator and body:
        part.separator = b"\r\n"
    part.body, part.children, part.delimiters, part.preamble, part.closing = body, None, [], b"", b""
    read_body(part, 0, [MAX_PARTS])


def set_raw(part: Part, raw: bytes) -> None:
    """New headers and a new body."""
    header_end, body_start = split(raw)
    part.touch()
    part.headers = HeaderList(raw_fields(raw[:header_end]))
    part.separator = raw[header_end:body_start]
    set_body(part, raw[body_start:])


def insert(part: Part, at: int, child: Part) -> None:
    """Put a part that is in no tree among the children. Raises MimeError."""
    if part.children is None or not part.is_container:
        raise MimeError(f"a part of type {part.content_type.value} has no children")
    if child.parent is not None or any(above is child for above in _ancestors(part)):
        raise MimeError("the part is in a tree already: unlink it first")
    part.touch()
    child.move_to(part.tree)
    _avoid(part, child)
    boundary = octets(part.boundary)
    if at == 0 and not part.preamble:
        new = b"--" + boundary + b"\r\n"
        if part.delimiters and part.delimiters[0].startswith(b"--"):
            part.delimiters[0] = b"\r\n" + part.delimiters[0]
    else:
        new = b"\r\n--" + boundary + b"\r\n"
    if not part.closing:
        part.closing = b"\r\n--" + boundary + b"--\r\n"
    part.children.insert(at, child)
    part.delimiters.insert(at, new)
    child.parent = part


def unlink(part: Part) -> None:
    """Leave the tree, children and all. The top of a message can't."""
    part.touch()
    parent = part.parent
    if parent is None or parent.children is None:
        raise MimeError("the part is in no other one")
    at = index_of(part)
    del parent.children[at]
    if parent.delimiters:
        del parent.delimiters[at]
    else:
        parent.children, parent.body = None, b""
    part.parent = None
    part.move_to(Tree(writable=True))


def rebound(part: Part, boundary: str) -> None:
    """Use another boundary."""
    part.touch()
    old, new = octets(part.boundary), octets(boundary)
    part.delimiters = [delimiter.replace(b"--" + old, b"--" + new, 1) for delimiter in part.delimiters]
    part.closing = bytes(part.closing).replace(b"--" + old + b"--", b"--" + new + b"--", 1)
    name = part.headers.first("Content-Type")
    if name is not None:
        part.headers.put(type_field(with_parameter(name.value, "boundary", boundary)))


def _avoid(part: Part, child: Part) -> None:
    """Take another boundary if the child holds a line that looks like ours."""
    boundary = part.boundary
    number = 0
    while b"\n--" + octets(boundary) in b"\n" + child.to_bytes():
        number += 1
        boundary = f"{part.boundary[:60]}={number}"
    if number:
        rebound(part, boundary)


def _ancestors(part: Part) -> Iterator[Part]:
    above: Part | None = part
    while above is not None:
        yield above
        above = above.parent
