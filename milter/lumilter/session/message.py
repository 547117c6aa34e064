"""A message in memory: its envelope, its header fields, its body and the body's parts.

The law: a view shares everything with what it was made from until one of them changes; what no one touched is the very
object that came in. The body and its writable tree are one thing: after a change in either the other one follows.
"""

from __future__ import annotations

from lumilter.session.buffers import Buffer, is_of_file, is_same
from lumilter.session.headers import Header, HeaderList, raw_fields
from lumilter.session.mime import Part, Tree
from lumilter.session.mime_reading import read_message, split

_LONG = 1 << 20
"""A body so long stays a part of the text that it was given in."""
END_OF_DATA = b"\r\n.\r\n"
"""What ends a message in SMTP. Momentum's messages hold it; here it is never part of one."""


class Message:
    """headers, body: the content, body with CRLF line ends; a long one is a view of a file.

    mailfrom, rcptto: addresses without angle brackets. made: a script made it.
    """

    __slots__ = ("_body", "_readable", "_readable_of", "_top", "headers", "made", "mailfrom", "rcptto")

    def __init__(self, headers: HeaderList, body: Buffer, mailfrom: str, rcptto: str) -> None:
        self.headers = headers
        self.mailfrom = mailfrom
        self.rcptto = rcptto
        self.made = False
        self._body = body
        self._top: Part | None = None
        self._readable: Part | None = None
        self._readable_of: Buffer = b""
        """The body that the read-only tree was read from."""

    @property
    def body(self) -> Buffer:
        """The body, as the parts make it."""
        if self._top is not None and self._top.tree.changed:
            self._body = self._top.body_bytes()
            self._top.tree.changed = False
        return self._body

    @body.setter
    def body(self, body: Buffer) -> None:
        if self._top is not None:
            self._top.tree.attached = False
        self._top = self._readable = None
        self._body = body

    @property
    def size(self) -> int:
        """Bytes on the wire, the empty line included, the end-of-data mark not."""
        return self.headers.size + 2 + len(self.body)

    def pieces(self) -> tuple[Buffer, ...]:
        """The message as it goes over the wire, in pieces."""
        return self.headers.to_bytes(), b"\r\n", self.body

    def mime(self, writable: bool) -> Part:
        """The top of the MIME tree; of a writable one there is one, as long as the body is not replaced as a whole."""
        if not writable:
            if self._readable is None or self._readable_of is not self.body:
                self._readable = read_message(self.headers, self.body, Tree(writable=False, whole=True, made=self.made))
                self._readable_of = self.body
            return self._readable
        if self._top is None:
            self._top = read_message(self.headers, self.body, Tree(writable=True, whole=True, made=self.made))
        return self._top

    def set_raw(self, raw: Buffer) -> None:
        """Take header section and body from a text; fields that were there before stay the same objects."""
        header_end, body_start = split(raw)
        before: dict[tuple[bytes, bytes], list[Header]] = {}
        for field in reversed(list(self.headers)):
            before.setdefault((field.name, field.value), []).append(field)
        found = [Header(field.name, field.value) for field in raw_fields(bytes(raw[:header_end])) if field.name]
        self.headers = HeaderList(same.pop() if (same := before.get((f.name, f.value))) else f for f in found)
        body = memoryview(raw)[body_start:]
        self.body = self.body if is_same(body, self.body) else body if len(body) > _LONG else bytes(body)

    def view(self) -> Message:
        """A copy for one recipient."""
        return Message(self.headers.copy(), self.body, self.mailfrom, self.rcptto)

    def of_its_own(self) -> Message:
        """A copy that outlives the message: a file that the body is in stays as long as this."""
        copy = self.view()
        if is_of_file(copy.body):
            copy.body = memoryview(copy.body)
        return copy

    def settle(self, bodies: dict[bytes, bytes] | None) -> None:
        """No script changes it any more: let go of its parts, and share its body with others of the same text.

        bodies: those of the others; None where there are no others, as to look for one of 100 MB takes 0.1 s.
        """
        body = self.body
        self._forget_parts()
        self.body = bodies.setdefault(body, body) if bodies is not None and isinstance(body, bytes) else body

    def same_content(self, other: Message) -> bool:
        """Whether headers and body are the same, byte for byte."""
        return self.headers.is_same(other.headers) and is_same(self.body, other.body)

    def forget(self) -> None:
        """Let go of headers and body, in parts too that a script still holds; the envelope stays."""
        self._forget_parts()
        self.headers, self.body = HeaderList(), b""

    def _forget_parts(self) -> None:
        for top in (self._top, self._readable):
            for part in top.walk() if top is not None else ():
                part.forget()
        self._readable_of = b""
