"""msys: modules, types, time, DNS, macros, the log. No require is needed for any of it.

The law: declarations only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lumilter.adapters.dns_names import record_type
from lumilter.calls import Here, Job, LuaValue, Sleep
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.address import Path
from lumilter.session.macros import expand
from lumilter.session.mail import MailMessage

PACKAGE = "msys"

log = logging.getLogger("lumilter.script")


@api("msys.registerModule", package=PACKAGE, lua="register_module")
def register_module(name: str, functable: LuaValue) -> None:
    """Register a module: the functions in the table that are named like hooks become its hooks.

    Modules run in the order in which they were registered. A table without any hook is reported and not kept.
    """


@api("msys.type", package=PACKAGE, lua="type_of")
def type_of(parameter: LuaValue) -> None:
    """Like Lua's type(); for Momentum's objects the name of their class instead of "userdata"."""


@api("msys.cast", package=PACKAGE, lua="cast")
def cast(object: LuaValue, classnamestring: str) -> None:
    """The object, if it is of that class; an error otherwise, where Momentum would crash."""


@api("msys.getClassMetaTable", package=PACKAGE, lua="get_class_metatable")
def get_class_metatable(classnamestring: str) -> None:
    """The metatable of a class; functions put into it become methods of every object of the class."""


@api("msys.asyncOk", package=PACKAGE, lua="async_ok")
def async_ok() -> None:
    """True where a blocking call suspends only this session; false inside a comparator of table.sort and the like."""


@api("msys.sleep", package=PACKAGE, blocking=True)
def sleep(duration_in_seconds: float) -> Sleep:
    """Suspend the session for so many seconds; other sessions go on."""
    return Sleep(duration_in_seconds)


@api("msys.dnsLookup", package=PACKAGE, blocking=True)
def dns_lookup(name: str, recordtype: str | None = None, options: dict[str, Any] | None = None, *, here: Here) -> Job:
    """Look up A (default), AAAA, TXT, MX, PTR or NS records; the type in either case.

    options: priority = true gives {preference, name} for MX records; server = "ip" or "ip:port" asks that server.
    Returns a list of texts, best preference first, or nil and why not ("NXDOMAIN"); another type raises an error.
    """
    wanted = record_type(recordtype or "A")
    given = options or {}
    server = given.get("server")
    if not isinstance(server, str | None):
        raise LumilterError("options.server is not a string")
    priority = given.get("priority") is True
    services = here.services

    def run(deadline: float) -> list[Any]:
        until = min(deadline, time.monotonic() + services.dns_timeout)
        found = services.resolver.lookup(name, wanted, server=server, deadline=until)
        return [[preference, text] if priority and preference is not None else text for preference, text in found]

    return Job(run, "dns")


@api("msys.expandMacro", package=PACKAGE, blocking=True)
def expand_macro(string: str, *, here: Here) -> str | Job:
    """Expand macros: %{vctx_conn:key}, %{vctx_mess:key}, %{spfv1:...}, the SPF letters, %{rfc822:date}, %{rfc2822:...}.

    Values that are put in are never expanded again. Outside a session there is nothing to expand from: an error.
    """
    if "%" not in string:
        return string
    if here.session is None:
        raise LumilterError("there is no session whose values could be put in")
    source = SessionMacros.of(here)
    return expand(string, source)


@dataclass(frozen=True, slots=True)
class SessionMacros:
    """A session as the source of macros."""

    conn: Mapping[str, str]
    mess: Mapping[str, str]
    sender: str
    helo: str
    client_ip: str
    client_name: str
    domain: str
    receiver: str
    now: int
    content: Callable[[], tuple[bytes, bytes]]

    @staticmethod
    def of(here: Here) -> SessionMacros:
        """The running session."""
        session = here.session
        message: MailMessage | None = session.message
        sender = message.content.mailfrom if message else ""
        name = session.client_name
        return SessionMacros(
            conn=session.vctx.conn,
            mess=session.vctx.mess,
            sender=sender,
            helo=session.helo,
            client_ip=session.ac.remote.address,
            client_name=name if name and not name.startswith("[") else "unknown",
            domain=Path.parse(sender).domain,
            receiver=here.services.hostname,
            now=int(time.time()),
            content=lambda: (
                (message.content.headers.to_bytes(), bytes(message.content.body)) if message else (b"", b"")
            ),
        )


@api("msys.log", package=PACKAGE, extension=True)
def write_log(level: int, message: str, *, here: Here) -> None:
    """Write a line to the log; level is one of msys.core.LOG_*."""
    levels = {7: logging.DEBUG, 6: logging.INFO, 5: logging.INFO, 4: logging.WARNING}
    queue_id = here.session.queue_id if here.session else ""
    fields = {"module": here.module, "phase": here.phase, "queue_id": queue_id}
    log.log(levels.get(level, logging.ERROR), "%s", message, extra={"fields": fields})


@api("gethostname", package=PACKAGE, extension=True)
def gethostname(*, here: Here) -> str:
    """This machine's name, in lower case."""
    return str(here.services.hostname)
