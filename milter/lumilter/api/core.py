"""msys.core: constants, the validation context, the message's contexts, and what belongs to no other package.

The law: declarations only. The numbers of constants are ours (Momentum does not publish them) except where an operating
system or a public policy fixes them (O_*, AF_*, LOG_*, P_ESMTP); scripts are to use the names.
"""

from __future__ import annotations

import os
import socket
import syslog
import time

from lumilter.api.objects import MessageConstruct
from lumilter.errors import LumilterError
from lumilter.registry import api, constants
from lumilter.session import phases
from lumilter.session.context import CONN, MESS, ValidateContext
from lumilter.session.mail import P_ESMTP, AcceptConstruct, Endpoint, MailMessage
from lumilter.session.strings import EcString

PACKAGE = "msys.core"
MESSAGE_PHASES = "data, data_spool, data_spool_each_rcpt, set_binding"
ANY_MESSAGE = "mailfrom, rcptto"
"""Scripts reach the message in these phases by mc.message and by validate_rcptto's msg."""

ENV_FROM, ENV_TO, ENV_COMPLETE = 1, 2, 4

constants(
    PACKAGE,
    {
        "VALIDATE_CONT": phases.VALIDATE_CONT,
        "VALIDATE_DONE": phases.VALIDATE_DONE,
        "VALIDATE_AGAIN": phases.VALIDATE_AGAIN,
        "EC_HOOK_CONT": phases.HOOK_CONT,
        "EC_HOOK_DONE": phases.HOOK_DONE,
        "EC_HOOK_RETRY": phases.HOOK_RETRY,
        "VCTX_CONN": CONN,
        "VCTX_MESS": MESS,
        "ECMESS_CTX_CONN": CONN,
        "ECMESS_CTX_MESS": MESS,
        "EC_MSG_ENV_FROM": ENV_FROM,
        "EC_MSG_ENV_TO": ENV_TO,
        "EC_MSG_ENV_COMPLETE": ENV_COMPLETE,
        "P_INTERNAL": 0,
        "P_ESMTP": P_ESMTP,
        "FAILED": -1,
        "AF_UNSPEC": socket.AF_UNSPEC,
        "AF_UNIX": socket.AF_UNIX,
        "AF_INET": socket.AF_INET,
        "AF_INET6": socket.AF_INET6,
        "STRING_TYPE_STATIC": -100,
        "STRING_TYPE_DISK_BACKED": -101,
        "STRING_TYPE_IO_OBJECT": -102,
        "STRING_TYPE_GROWBUF": -103,
        "STRING_TYPE_GROWABLE_STATIC": -104,
        **{
            f"O_{name}": getattr(os, f"O_{name}")
            for name in ("RDONLY", "WRONLY", "RDWR", "APPEND", "CREAT", "TRUNC", "EXCL")
        },
        **{
            f"LOG_{name}": getattr(syslog, f"LOG_{name}")
            for name in ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")
        },
        **{
            f"STANDARD_KEY_{key.upper()}": key
            for key in (
                "mailfrom_string", "mailfrom_localpart", "mailfrom_domain",
                "rcptto_string", "rcptto_localpart", "rcptto_domain", "ehlo_string", "ehlo_domain",
            )
        },
    },
)  # fmt: skip


# --- functions --------------------------------------------------------------------------------------------------------


@api("msys.core.get_now_ts", package=PACKAGE)
def get_now_ts() -> int:
    """Seconds since the epoch, UTC."""
    return int(time.time())


@api("msys.core.string_new", package=PACKAGE)
def string_new() -> EcString:
    """A new, empty ec_string, for functions that write their result into one."""
    return EcString()


@api("msys.core.accept_construct_get_message_construct", package=PACKAGE, extension=True)
def accept_construct_get_message_construct(ac: AcceptConstruct) -> MessageConstruct:
    """The SMTP state of the connection; its `message` is the way to the message in validate_mailfrom."""
    return MessageConstruct(ac)


@api("msys.core.ec_sockaddr_family", package=PACKAGE, extension=True)
def ec_sockaddr_family(sockaddr: Endpoint) -> int:
    """msys.core.AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC where the MTA did not say."""
    families = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}
    return int(families.get(sockaddr.family, socket.AF_UNSPEC))


# --- vctx -------------------------------------------------------------------------------------------------------------


@api("vctx:get", package=PACKAGE)
def vctx_get(vctx: ValidateContext, type: int, key: str) -> str:
    """The value of a context variable, always text; "" if it does not exist (validate_context_get)."""
    return _dictionary(vctx, type).get(key, "")


@api("vctx:set", package=PACKAGE)
def vctx_set(vctx: ValidateContext, type: int, key: str, value: str | bool) -> None:
    """Set a context variable; numbers and booleans become text as tostring() gives it."""
    _dictionary(vctx, type)[key] = _text(value)


@api("vctx:exists", package=PACKAGE, extension=True)
def vctx_exists(vctx: ValidateContext, type: int, key: str) -> int:
    """1 if the context variable exists, else 0."""
    return int(key in _dictionary(vctx, type))


@api("vctx:set_code", package=PACKAGE)
def set_code(vctx: ValidateContext, codenum: int, message: str | None) -> None:
    """Set the SMTP code and text that answer the running phase; 4xx and 5xx refuse the command.

    The text may begin with an RFC 3463 status and may have several lines. A milter can't change a positive reply's
    text, so a 2xx code only takes an earlier refusal of the same phase back.
    """
    if not 200 <= codenum <= 599:
        raise LumilterError(f"{codenum} is not an SMTP reply code (200 to 599)")
    vctx.code, vctx.note = codenum, message


@api("vctx:disconnect", package=PACKAGE)
def disconnect(vctx: ValidateContext, code: int = 421, message: str | None = None) -> None:
    """End the connection with this phase's reply: code (421 by default) and message.

    Only 421 makes an MTA hang up; after any other code every further command gets 421.
    """
    if not 400 <= code <= 599:
        raise LumilterError(f"{code} does not refuse anything; disconnect needs a 4xx or 5xx code")
    vctx.code, vctx.note, vctx.disconnect = code, message, True


# --- msg --------------------------------------------------------------------------------------------------------------


@api("msg:context_delete", package=PACKAGE, phases=MESSAGE_PHASES, also=ANY_MESSAGE)
def context_delete(msg: MailMessage, type: int, key: str) -> int:
    """Delete a context variable: 1 if it existed, else 0."""
    return int(_context(msg, type).pop(key, None) is not None)


@api("msg:context_exists", package=PACKAGE, phases=MESSAGE_PHASES, also=ANY_MESSAGE)
def context_exists(msg: MailMessage, type: int, key: str) -> int:
    """1 if the context variable exists, else 0; a number, and 0 is true in Lua."""
    return int(key in _context(msg, type))


@api("msg:context_exists_and_get", package=PACKAGE, phases=MESSAGE_PHASES, also=ANY_MESSAGE)
def context_exists_and_get(msg: MailMessage, type: int, key: str) -> tuple[int, str | None]:
    """1 and the value, or 0 and nil."""
    value = _context(msg, type).get(key)
    return int(value is not None), value


@api("msg:context_get", package=PACKAGE, phases=MESSAGE_PHASES, also=ANY_MESSAGE)
def context_get(msg: MailMessage, type: int, key: str) -> str:
    """The value of a context variable, always text; "" if it does not exist."""
    return _context(msg, type).get(key, "")


@api("msg:context_set", package=PACKAGE, phases=MESSAGE_PHASES, also=ANY_MESSAGE)
def context_set(msg: MailMessage, type: int, key: str, value: str | bool) -> None:
    """Set a context variable; numbers and booleans become text as tostring() gives it."""
    _context(msg, type)[key] = _text(value)


@api("msg:get_message_size", package=PACKAGE, phases="data, data_spool, data_spool_each_rcpt", also="set_binding")
def get_message_size(msg: MailMessage) -> int:
    """Size of the message in bytes, headers and line ends included."""
    return msg.content.size


def _dictionary(vctx: ValidateContext, which: int) -> dict[str, str]:
    try:
        return vctx.dictionary(which)
    except ValueError as error:
        raise LumilterError(str(error)) from None


def _context(msg: MailMessage, which: int) -> dict[str, str]:
    if which not in (CONN, MESS):
        raise LumilterError(f"{which} is neither ECMESS_CTX_CONN ({CONN}) nor ECMESS_CTX_MESS ({MESS})")
    return msg.conn if which == CONN else msg.mess


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()
