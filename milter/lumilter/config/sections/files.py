"""[files]: what scripts read and write."""

from __future__ import annotations

from dataclasses import dataclass
from logging.handlers import SysLogHandler

from lumilter.config.declare import key
from lumilter.config.kinds import SIZE, TEXT, choice


@dataclass(frozen=True, slots=True)
class Files:
    """What scripts open with msys.readfile and msys.core.io_wrapper_open."""

    max_read: int = key(
        SIZE, "The most that one read may give, and the longest line; more is an error to the script.", "32M"
    )
    persist: str = key(
        TEXT,
        "Where persist: keeps the last copy of what it read, for when it can't be read. Copies of names that are not "
        "read any more stay. Empty is none, and persist: an error.",
        "",
        example="/var/lib/lumilter/persist",
        path=True,
    )
    syslog_socket: str = key(TEXT, "Where syslog: sends its lines: the system log's socket.", "/dev/log", path=True)
    syslog_ident: str = key(TEXT, "What those lines begin with.", "lumilter")
    syslog_facility: str = key(
        choice(*SysLogHandler.facility_names), "Their facility, unless the URI names another.", "mail"
    )
