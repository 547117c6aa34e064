"""Messages with signatures, as the adapters take them."""

from __future__ import annotations

from lumilter.adapters.signatures.content import Content
from lumilter.session.headers import raw_fields


def content(raw: bytes) -> Content:
    """A message in CRLF lines."""
    section, _, body = raw.partition(b"\r\n\r\n")
    fields = raw_fields(section + b"\r\n")
    return Content(tuple((field.name, field.value.replace(b"\n", b"\r\n")) for field in fields), body)
