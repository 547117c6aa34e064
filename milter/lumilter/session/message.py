"""A message in memory: its envelope, its header fields and its body.

The law: a view shares everything with what it was made from until one of them changes; what no one touched is the very
object that came in.
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.session.headers import HeaderList


@dataclass(eq=False, slots=True)
class Message:
    """headers, body: the content, body with CRLF line ends; a long one is a view of a file.

    mailfrom, rcptto: addresses without angle brackets.
    """

    headers: HeaderList
    body: bytes | memoryview
    mailfrom: str
    rcptto: str

    @property
    def size(self) -> int:
        """Bytes on the wire, the empty line included, the end-of-data mark not."""
        return self.headers.size + 2 + len(self.body)

    def view(self) -> Message:
        """A copy for one recipient."""
        return Message(self.headers.copy(), self.body, self.mailfrom, self.rcptto)

    def same_content(self, other: Message) -> bool:
        """Whether headers and body are the same, byte for byte."""
        return self.headers.is_same(other.headers) and (self.body is other.body or self.body == other.body)
