"""msys.extended.message: the parts of a MIME tree.

The law: declarations only. A part stands where the tree has it: there is no copy that could differ from the message.

Source: manual, pages of msgpart:* and struct ec_message_part (next, parts, thread, parent, body_start, body_end).
"""

from __future__ import annotations

from functools import partial

from lumilter.api import matching
from lumilter.api.extended_message import CONTENT, PACKAGE, addresses_in, change_header
from lumilter.api.matching import Found
from lumilter.api.message_content import without_mark
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api, constants, field, lua_class, writer
from lumilter.session import mime as tree
from lumilter.session import mime_edits, rfc2047
from lumilter.session import text as texts
from lumilter.session.mime import MimeError, Part

CORE = "msys.core"

lua_class("ec_message_part", Part)

constants(
    CORE,
    {
        "EC_MIME_TE_7BIT": 0,
        "EC_MIME_TE_8BIT": 1,
        "EC_MIME_TE_BINARY": 2,
        "EC_MIME_TE_QUOTED_PRINTABLE": 3,
        "EC_MIME_TE_BASE64": 4,
    },
)


# --- the tree ---------------------------------------------------------------------------------------------------------


@field("msgpart.thread", package=PACKAGE)
def thread(part: Part) -> Part | None:
    """The next part of the whole tree, in the order of the message; nil after the last."""
    return part.thread


@field("msgpart.parts", package=PACKAGE)
def parts(part: Part) -> Part | None:
    """The first part in this one; nil where it is no container. The others follow by `next`."""
    return part.children[0] if part.children else None


@field("msgpart.next", package=PACKAGE)
def next_part(part: Part) -> Part | None:
    """The next part of the same container; nil after the last."""
    return part.next


@field("msgpart.parent", package=PACKAGE)
def parent(part: Part) -> Part | None:
    """The container that holds this part; nil at the top."""
    return part.parent


@field("msgpart.body_start", package=PACKAGE)
def body_start(part: Part) -> int:
    """Where the part's body begins in the message as it was read; of a part that a script made, in what it gave."""
    return part.offset + len(part.section) + len(part.separator) if part.given is None else part.given_start


@writer("msgpart.body_start")
def write_body_start(part: Part, value: int) -> None:
    _cut(part, value, part.given_end)


@field("msgpart.body_end", package=PACKAGE)
def body_end(part: Part) -> int:
    """Where the part's body ends, counted as body_start is."""
    return body_start(part) + part.body_size if part.given is None else part.given_end


@writer("msgpart.body_end")
def write_body_end(part: Part, value: int) -> None:
    _cut(part, part.given_start, value)


def _cut(part: Part, start: int, end: int) -> None:
    """Let a part that a script made hold a section of what was given for it."""
    if part.given is None:
        raise LumilterError("only of a part that msg:makePart made")
    if not 0 <= start <= end <= len(part.given):
        raise LumilterError(f"{start} to {end} is not within the {len(part.given)} bytes that msg:makePart was given")
    part.given_start, part.given_end = start, end
    mime_edits.set_body(part, part.given[start:end])


@api("msgpart:addFirstChild", package=PACKAGE, phases=CONTENT)
def add_first_child(part: Part, child: Part) -> bool:
    """Make a part the first one in this container; false where this is none."""
    return _insert(part, 0, child)


@api("msgpart:addLastChild", package=PACKAGE, phases=CONTENT)
def add_last_child(part: Part, child: Part) -> bool:
    """Make a part the last one in this container; false where this is none."""
    return _insert(part, len(part.children or ()), child)


@api("msgpart:insertAfter", package=PACKAGE, phases=CONTENT)
def insert_after(part: Part, after: Part) -> bool:
    """Put this part behind another one; false where that is in no container."""
    return _insert_beside(part, after, 1)


@api("msgpart:insertBefore", package=PACKAGE, phases=CONTENT)
def insert_before(part: Part, before: Part) -> bool:
    """Put this part before another one; false where that is in no container."""
    return _insert_beside(part, before, 0)


@api("msgpart:unlink", package=PACKAGE, phases=CONTENT)
def unlink(part: Part) -> None:
    """Take the part out of the tree, with all that is in it."""
    mime_edits.unlink(part)


def _insert(container: Part, at: int, child: Part) -> bool:
    container.check_writable()
    if not container.is_container:
        return False
    mime_edits.insert(container, at, child)
    return True


def _insert_beside(part: Part, other: Part, after: int) -> bool:
    container = other.parent
    return container is not None and _insert(container, tree.index_of(other) + after, part)


# --- headers ----------------------------------------------------------------------------------------------------------


@api("msgpart:header", package=PACKAGE, phases=CONTENT)
def header(part: Part, name: str, *value: str | list[str] | None) -> list[str] | bool:
    """All values of a header of this part, decoded; or set, add or delete it.

    header(name, nil) and header(name, "") delete every header of that name; header(name, value, mode) sets it, mode as
    for msg:header.
    """
    if not value:
        return part.headers.get(name)
    new, mode = (*value, None)[:2]
    if mode is not None and not isinstance(mode, str):
        raise LumilterError("mode is not a string")
    part.touch()
    return change_header(part.headers, name, "" if new is None else new, mode)


@api("msgpart:address_header", package=PACKAGE, phases=CONTENT)
def address_header(part: Part, headername: str, component: str | None = None) -> list[str]:
    """The addresses in every header of that name; component as for msg:address_header."""
    return addresses_in(part.headers, headername, component)


@api("msgpart:content_type", package=PACKAGE, phases=CONTENT)
def content_type(part: Part) -> dict[str, str | bool | None]:
    """A table: mimetype, charset (of text), encoding, is_attachment, filename.

    The filename is that of Content-Disposition, else the name of Content-Type; a part that has one is an attachment.
    """
    kind, disposition = part.content_type, part.disposition
    filename = disposition.parameters.get("filename") or kind.parameters.get("name")
    return {
        "mimetype": kind.value,
        "charset": kind.parameters.get("charset") or (texts.charset_of(part) if part.is_text else None),
        "encoding": part.encoding or "7bit",
        "is_attachment": bool(filename) or disposition.value == "attachment",
        "filename": rfc2047.decode(filename.encode("utf-8", "surrogateescape")) if filename else None,
    }


# --- text -------------------------------------------------------------------------------------------------------------


@api("msgpart:text", package=PACKAGE, phases=CONTENT)
def text(
    part: Part, value: bytes | None = None, type: str | None = None, charset: str | None = None
) -> list[bytes] | bytes | bool | None:
    """The part's text, decoded, in UTF-8; nil where it has none, a table for a container of several text parts.

    With a value, that becomes the part's text, as in msg:text.
    """
    if value is not None:
        is_message = part.tree.whole and part.parent is None
        texts.replace_text(part, without_mark(value) if is_message else value, type or "text/plain", charset or "")
        return True
    found = [bytes(texts.text_of(each)) for each in tree.texts(part) if each.body_size]
    return found if len(found) > 1 else found[0] if found else None


@api("msgpart:raw_match", package=PACKAGE, phases=CONTENT, blocking=True)
def raw_match(part: Part, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the part as it stands, its headers and body: a table, or false."""
    return matching.match([part.text()], pattern, here)


@api("msgpart:raw_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def raw_replace(part: Part, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the part as it stands: a table of what matched, or false."""
    part.check_writable()
    if part.parent is None and part.tree.whole:
        raise MimeError("this is the whole message: use msg:raw_replace")
    return matching.replace(part.text(), pattern, replacement, here, partial(mime_edits.set_raw, part), marked=False)


@api("msgpart:body_match", package=PACKAGE, phases=CONTENT, blocking=True)
def body_match(part: Part, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the part's body as it stands, still transfer-encoded: a table, or false."""
    return matching.match([part.body_text()], pattern, here)


@api("msgpart:body_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def body_replace(part: Part, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the part's body as it stands: a table of what matched, or false."""
    part.check_writable()
    return matching.replace(
        part.body_text(), pattern, replacement, here, partial(mime_edits.set_body, part), marked=False
    )


@api("msgpart:text_match", package=PACKAGE, phases=CONTENT, blocking=True)
def text_match(part: Part, pattern: bytes, *, here: Here) -> Found | Job:
    """All matches in the text of the part and the parts in it, decoded, in UTF-8: a table, or false."""
    return matching.match_texts(part, pattern, here)


@api("msgpart:text_replace", package=PACKAGE, phases=CONTENT, blocking=True)
def text_replace(part: Part, pattern: bytes, replacement: bytes, *, here: Here) -> Found | Job:
    """Replace all matches in the text of the part and the parts in it: a table of what matched, or false."""
    return matching.replace_texts(part, pattern, replacement, here)
