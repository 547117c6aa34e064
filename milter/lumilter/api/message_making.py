"""Messages and parts that scripts make: new messages, copies, parts, containers, rendered text.

The law: declarations only. A message that a script made is no recipient's: every function works on it in every phase.

Source: manual, msg:makePart, msg:makeContainer, msg:makeBoundary; C API ec_message_builder,
ec_message_render_to_string; what public policies do with them.
"""

from __future__ import annotations

import secrets

from lumilter.api.core import context_get as core_context_get
from lumilter.api.core import context_set as core_context_set
from lumilter.api.core_io import opened
from lumilter.api.extended_message import CONTENT, PACKAGE, code
from lumilter.api.message_content import empty, without_mark
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api, constants
from lumilter.session import mime_edits
from lumilter.session.mail import MailMessage, copy_of, script_message
from lumilter.session.mime import Part, Tree
from lumilter.session.strings import EcString, Gathered, IoObject

CORE = "msys.core"

OMIT_DOT, LENGTH_ONLY, HEADERS_ONLY, XML, OMIT_HEADERS, _EPILOGUE, UNSTUFFED, _DEBUG, _NO_IO, _QUIET = (
    1 << bit for bit in range(10)
)
constants(
    CORE,
    {
        "EC_MSG_RENDER_OMIT_DOT": OMIT_DOT,
        "EC_MSG_RENDER_CALCULATE_LENGTH_ONLY": LENGTH_ONLY,
        "EC_MSG_RENDER_HEADERS_ONLY": HEADERS_ONLY,
        "EC_MSG_RENDER_XML": XML,
        "EC_MSG_RENDER_OMIT_HEADERS": OMIT_HEADERS,
        "EC_MSG_RENDER_OMIT_EPILOGUE": _EPILOGUE,
        "EC_MSG_RENDER_UNSTUFFED": UNSTUFFED,
        "EC_MSG_RENDER_DEBUG": _DEBUG,
        "EC_MSG_RENDER_AVOID_IO": _NO_IO,
        "EC_MSG_RENDER_SUPPRESS_WRITE_ERRORS": _QUIET,
    },
)

_ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")
"""By msys.core.EC_MIME_TE_*."""


# --- messages ---------------------------------------------------------------------------------------------------------


@api("msys.core.ec_message_new", package=CORE, extension=True)
def ec_message_new(now: int | None = None, *, here: Here) -> MailMessage:
    """A new, empty message. now: not used."""
    return script_message(here.new_id())


@api("msys.core.ec_message_builder", package=CORE, extension=True)
def ec_message_builder(msg: MailMessage, size_hint: int | None = None) -> IoObject:
    """An io_object: what is written to it becomes the content of the empty message when it is closed."""
    empty(msg, "msys.core.ec_message_builder")
    return IoObject(Gathered(lambda content: msg.content.set_raw(without_mark(content))))


@api("msg:copy", package=PACKAGE, extension=True)
def copy(msg: MailMessage, *, here: Here) -> MailMessage:
    """A message of the script's own with this one's content, envelope and context."""
    return copy_of(msg, here.new_id())


@api("msg:snapshot", package=PACKAGE, extension=True)
def snapshot(msg: MailMessage, *, here: Here) -> MailMessage:
    """The message as it is now: a copy that later changes do not reach."""
    return copy_of(msg, here.new_id())


@api("msg:set_code", package=CORE, extension=True)
def set_code(msg: MailMessage, number: int, string: str) -> None:
    """Set the message's response text, as msg:code(number, string) does."""
    code(msg, number, string)


@api("msg:render_to_string", package=CORE, extension=True)
def render_to_string(msg: MailMessage, str: EcString, flags: int | None = None) -> int:
    """Write the message into an ec_string, or into the io_object behind it; its length in bytes.

    flags: a sum of msys.core.EC_MSG_RENDER_*. Without OMIT_DOT the end-of-data mark follows; lines that begin with a
    dot are not stuffed, with or without UNSTUFFED, which has LF as line end.
    """
    flags = flags or 0
    if flags & XML:
        raise LumilterError("EC_MSG_RENDER_XML is Momentum's own format: render without it")
    headers, gap, body = msg.content.pieces()
    text = b"".join(
        ([] if flags & OMIT_HEADERS else [headers, gap])
        + ([] if flags & HEADERS_ONLY else [body])
        + ([] if flags & (OMIT_DOT | HEADERS_ONLY) else [b".\r\n"])
    )
    if flags & UNSTUFFED:
        text = text.replace(b"\r\n", b"\n")
    if not flags & LENGTH_ONLY:
        str.take(text)
    return len(text)


@api("msys.core.ec_message_context_get", package=CORE, extension=True)
def context_get(msg: MailMessage, type: int, key: str) -> str:
    """As msg:context_get."""
    found: str = core_context_get(msg, type, key)
    return found


@api("msys.core.ec_message_context_set", package=CORE, extension=True)
def context_set(msg: MailMessage, type: int, key: str, value: str | bool) -> None:
    """As msg:context_set."""
    core_context_set(msg, type, key, value)


# --- parts ------------------------------------------------------------------------------------------------------------


@api("msg:makeBoundary", package=PACKAGE, phases=CONTENT)
def make_boundary(msg: MailMessage, *parts: Part) -> str:
    """A boundary that no part of the message, nor of the parts given, has as a beginning or begins with."""
    return new_boundary([msg.content.mime(writable=False), *parts])


@api("msg:makeContainer", package=PACKAGE, phases=CONTENT)
def make_container(
    msg: MailMessage, mimetype: str, boundary: str | None = None, add_terminator: bool | None = None
) -> Part:
    """A multipart of that type without parts, which is in no tree yet.

    boundary: makeBoundary's unless given. add_terminator: has no effect, the end-of-data mark is never part of a
    message here.
    """
    boundary = boundary or new_boundary([msg.content.mime(writable=False)])
    part = Part(Tree(writable=True, made=msg.made), children=[])
    part.headers.append("Content-Type", [f'{mimetype}; boundary="{boundary}"'])
    if part.boundary != boundary.rstrip():
        raise LumilterError(f"{mimetype!r} with the boundary {boundary!r} is not a multipart type")
    return part


@api("msg:makePart", package=PACKAGE, phases=CONTENT, blocking=True)
def make_part(
    msg: MailMessage, mimetype: str, body: IoObject | bytes | None = None, encoding: int | None = None
) -> Job | Part:
    """A part of that type, which is in no tree yet; nil and why not where the body can't be read.

    body: as it is to stand in the message, encoded already: an io_object, which is read to its end, or a string.
    encoding: one of msys.core.EC_MIME_TE_*, which says how; 7BIT unless given.
    """
    if encoding is not None and not 0 <= encoding < len(_ENCODINGS):
        raise LumilterError(f"{encoding} is none of msys.core.EC_MIME_TE_*")

    def made(content: bytes) -> Part:
        part = made_part(mimetype, content, _ENCODINGS[encoding or 0])
        part.tree.made = msg.made
        return part

    if not isinstance(body, IoObject):
        return made(body or b"")
    stream = opened(body)
    return Job(stream.read_all, "file", made)


def made_part(mimetype: str, body: bytes, encoding: str = "7bit") -> Part:
    """A part in no tree, whose body is encoded already."""
    part = Part(Tree(writable=True), given=body, given_end=len(body))
    part.headers.append("Content-Type", [mimetype])
    if encoding != "7bit":
        part.headers.append("Content-Transfer-Encoding", [encoding])
    mime_edits.set_body(part, body)
    return part


def container(kind: str, boundary: str) -> Part:
    """A multipart without parts, in no tree."""
    part = made_part("text/plain", b"")
    part.headers.write("Content-Type", f'{kind}; boundary="{boundary}"')
    part.children = []
    return part


def new_boundary(tops: list[Part]) -> str:
    """A boundary that is no beginning of one in these trees, nor the other way round."""
    taken = [each.boundary for top in tops for each in top.walk() if each.boundary]
    while True:
        made = f"=_{secrets.token_hex(12)}"
        if not any(made.startswith(other) or other.startswith(made) for other in taken):
            return made
