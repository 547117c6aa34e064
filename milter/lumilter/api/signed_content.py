"""A message as the adapters of signatures want it.

The law: raw bytes; nothing is decoded, nothing is changed.
"""

from __future__ import annotations

from lumilter.adapters.signatures.content import Content
from lumilter.session.headers import Header
from lumilter.session.message import Message


def content_of(message: Message) -> Content:
    """Fields without a name, which are none, are left out."""
    return Content(tuple(field_of(header) for header in message.headers if header.name), message.body)


def field_of(header: Header) -> tuple[bytes, bytes]:
    """Name and raw value, folded with CRLF."""
    value = header.value
    return header.name, value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if b"\n" in value else value
