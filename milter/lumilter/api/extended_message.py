"""msys.extended.message: headers, envelope, disposition and origin of a message.

The law: declarations only; what a header or an address is, the session's model knows.
"""

from __future__ import annotations

import re

from lumilter.api.core import ENV_COMPLETE, ENV_FROM, ENV_TO
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session import address as addresses
from lumilter.session.address import Path
from lumilter.session.headers import HeaderList
from lumilter.session.mail import Endpoint, MailMessage
from lumilter.session.strings import EcString
from lumilter.session.verdict import reply

PACKAGE = "msys.extended.message"
CONTENT = "data, data_spool, data_spool_each_rcpt"
CONTENT_AND_BINDING = f"{CONTENT}, set_binding"
ENVELOPE = f"{CONTENT}, rcptto, set_binding"

DISCARDED = "550 5.7.0 discarded by policy"
DISCARDED_WITHOUT_CODE = "550 5.7.1 [internal] discarded by policy"

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What the reason of a quarantine can't hold; scripts make it from headers, where anything may stand."""


@api("msg:code", package=PACKAGE, phases=CONTENT)
def code(msg: MailMessage, number: int | None = None, string: str | None = None) -> str:
    """The message's response text; with arguments, set it first: number 0 takes the code from the string.

    During reception this is a note on the message; the client's reply is set by vctx:set_code.
    """
    if number is not None or string is not None:
        msg.code = _response(number or 0, string or "")
    return msg.code


@api("msg:discard", package=PACKAGE, phases=CONTENT, also="rcptto")
def discard(msg: MailMessage, reason: str | None = None) -> None:
    """Drop the message silently: the client is told that it was accepted.

    In validate_rcptto and the phases for each recipient only that recipient is dropped. reason begins with an SMTP
    code; it goes to the log. Execution continues after the call.
    """
    if reason is None:
        reason = DISCARDED
    elif not reason[:3].isdigit() or not 200 <= int(reason[:3]) <= 599:
        reason = DISCARDED_WITHOUT_CODE
    msg.discarded = msg.code = reason


@api("msg:quarantine", package=PACKAGE, phases=CONTENT, extension=True)
def quarantine(msg: MailMessage, reason: str | None = None) -> None:
    """Accept the message and let the MTA hold it in its queue (Postfix: the hold queue; `postsuper -H` releases it)."""
    msg.held = _UNPRINTABLE.sub("?", " ".join((reason or "").split())) or "held by policy"


@api("msg:get_envelope2", package=PACKAGE, phases=CONTENT_AND_BINDING, also="mailfrom, rcptto")
def get_envelope2(msg: MailMessage, flags: int, localpart_str: EcString, domain_str: EcString | None) -> int:
    """Write the sender's (EC_MSG_ENV_FROM) or recipient's (EC_MSG_ENV_TO) local part and domain into two ec_strings.

    With EC_MSG_ENV_COMPLETE the whole address goes into the first one. 1 on success, 0 for an address that is none.
    """
    if (flags & ENV_FROM and flags & ENV_TO) or not flags & (ENV_FROM | ENV_TO):
        raise LumilterError("flags must hold one of EC_MSG_ENV_FROM and EC_MSG_ENV_TO")
    path = Path.parse(msg.content.mailfrom if flags & ENV_FROM else msg.content.rcptto)
    if flags & ENV_COMPLETE:
        localpart_str.buffer = _bytes(path.address)
        return 1
    localpart_str.buffer = _bytes(path.localpart)
    if domain_str is not None:
        domain_str.buffer = _bytes(path.domain)
    return int(bool(path.domain) or flags & ENV_FROM != 0)


@api("msg:header", package=PACKAGE, phases=CONTENT_AND_BINDING)
def header(
    msg: MailMessage, hdr: str, value: str | list[str] | None = None, mode: str | None = None
) -> list[str] | bool:
    """All values of a header, decoded; or set, add or delete it.

    value "" deletes every header of that name; a table is several headers. mode: "replace" (default: the others of that
    name go, the new one comes last), "append", "prepend" (before all headers). Returns true if anything changed.
    """
    if value is None:
        return msg.content.headers.get(hdr)
    return change_header(msg.content.headers, hdr, value, mode)


@api("msg:listener_addr", package=PACKAGE, phases=CONTENT, also="mailfrom, rcptto, set_binding")
def listener_addr(msg: MailMessage, flag: str | None = None) -> str:
    """The MTA's own address that took the connection: "ip", "port" or "all" (default)."""
    return _part(msg.ac.local, flag)


@api("msg:mailfrom", package=PACKAGE, phases=ENVELOPE, also="mailfrom")
def mailfrom(msg: MailMessage, value: str | None = None) -> str:
    """The envelope sender, "" for the null sender; with an argument, set it first (from the data phase on)."""
    if value is not None:
        path = Path.parse(value)
        if path.address != msg.content.mailfrom and not path.is_sendable:
            raise LumilterError(f"{value!r} is not an address")
        msg.content.mailfrom = path.address
    return msg.content.mailfrom


@api("msg:rcptto", package=PACKAGE, phases=ENVELOPE, also="mailfrom")
def rcptto(msg: MailMessage, value: str | None = None) -> str:
    """This recipient's address; with an argument, set it first, which only works in the phases for each recipient."""
    if value is not None:
        path = Path.parse(value)
        if not path.address or (path.address != msg.content.rcptto and not path.is_sendable):
            raise LumilterError(f"{value!r} is not an address")
        if not msg.own:
            raise LumilterError("the recipient can be changed from validate_data_spool_each_rcpt on, not before")
        msg.content.rcptto = path.address
    return msg.content.rcptto


@api("msg:reception_peer", package=PACKAGE, phases=CONTENT, also="mailfrom, rcptto, set_binding")
def reception_peer(msg: MailMessage, flag: str | None = None) -> str:
    """The client's address: "ip", "port" or "all" (default)."""
    return _part(msg.ac.remote, flag)


@api("msg:address_header", package=PACKAGE, phases=CONTENT_AND_BINDING, extension=True)
def address_header(msg: MailMessage, headername: str, component: str | None = None) -> list[str]:
    """The addresses in every header of that name.

    component: "all" (default, the whole address), "localpart", "user", "detail" (of user+detail) or "domain".
    """
    return addresses_in(msg.content.headers, headername, component)


def change_header(headers: HeaderList, name: str, value: str | list[str], mode: str | None) -> bool:
    """Set, add or delete a header; whether anything changed."""
    if value == "":
        return headers.delete(name)
    values = [value] if isinstance(value, str) else value
    match (mode or "replace").lower():
        case "replace":
            headers.replace(name, values)
        case "append":
            headers.append(name, values)
        case "prepend":
            headers.prepend(name, values)
        case other:
            raise LumilterError(f"mode {other!r} is none of replace, append, prepend")
    return True


def addresses_in(headers: HeaderList, name: str, component: str | None) -> list[str]:
    """That component of the addresses in every header of that name."""
    found: list[str] = []
    for text in headers.undecoded(name):  # an encoded word can't spell an address
        found.extend(addresses.addresses(text, component or "all"))
    return found


def _part(endpoint: Endpoint, flag: str | None) -> str:
    match flag or "all":
        case "ip":
            return endpoint.address
        case "port":
            return str(endpoint.port)
        case "all":
            return f"{endpoint.address}:{endpoint.port}"
    raise LumilterError(f"{flag!r} is none of ip, port, all")


def _response(number: int, text: str) -> str:
    """A response of one or more lines, each with its code, as RFC 5321 4.2.1 has it."""
    if number == 0:
        if not text[:3].isdigit():
            raise LumilterError("the text must begin with a code when the number is 0")
        number, text = int(text[:3]), text[3:].lstrip(" -")
    if not 200 <= number <= 599:
        raise LumilterError(f"{number} is not an SMTP reply code (200 to 599)")
    lines = [
        " ".join(part for part in (parsed.xcode, line) if part)
        for parsed in [reply(number, text)]
        for line in parsed.lines
    ]
    return "\r\n".join(f"{number}{'-' if index < len(lines) - 1 else ' '}{line}" for index, line in enumerate(lines))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
