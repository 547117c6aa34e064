"""[milter], [workers], [limits]: the sockets, the processes, and how much they take on.

The law: what a key means is said here and nowhere else (see schema).
"""

# ruff: noqa: RUF009 -- key() returns dataclasses.field()

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.address import SocketAddress
from lumilter.config.declare import key
from lumilter.config.kinds import ACTION, AS_ERROR, MODE, SIZE, SOCKET, TEXT, choice, integer, seconds, size


@dataclass(frozen=True, slots=True)
class Milter:
    """The milter socket: where the MTA finds lumilter."""

    socket: SocketAddress = key(
        SOCKET,
        'Where to listen: "unix:/path", "inet:port@host" or "inet6:port@host"; Postfix\'s "inet:host:port" is read '
        "too. A Unix socket is faster. A chrooted smtpd (Debian's default) sees only what is below Postfix's queue "
        "directory, and is told the path from there.",
        "unix:/run/lumilter/milter.sock",
    )
    socket_mode: int = key(MODE, "Permissions of a Unix socket.", "0660")
    socket_group: str = key(
        TEXT,
        "Group that a Unix socket is given to, so that the MTA may connect; empty leaves it.",
        "",
        example="postfix",
    )
    workers: int = key(
        integer(1),
        "Worker processes, which share the socket. Each has a Lua state of its own: what scripts keep in globals "
        "exists once in every worker; for timers see [timers] workers.",
        1,
    )
    wire: str = key(
        choice("python", "libmilter"),
        'Who speaks the milter protocol: "python" is lumilter itself, "libmilter" the C library through pymilter, '
        "which is slower, cannot write 8-bit header values and does not take 8-bit HELO and header names.",
        "python",
    )
    timeout: float = key(
        seconds(1),
        "Seconds that the MTA may be silent on a connection before it is given up (libmilter's timeout).",
        7210,
    )


@dataclass(frozen=True, slots=True)
class Workers:
    """When worker processes are replaced. A new one takes sessions before the old one stops to."""

    stuck: float = key(
        seconds(1),
        "Seconds without a sign of life after which a worker is killed and replaced. Its sessions end without an "
        "answer, as the MTA's milter_default_action or F= flag decides. Below systemd's WatchdogSec, which would "
        "restart the whole daemon.",
        30,
    )
    max_rss: int = key(SIZE, "Resident memory of a worker beyond which it is replaced; 0 is no limit.", "1G")
    max_messages: int = key(integer(0), "Messages after which a worker is replaced; 0 is never.", 0)
    max_age: float = key(seconds(0), "Seconds after which a worker is replaced; 0 is never.", 0)
    drain: float = key(
        seconds(0),
        "Seconds that the open sessions of a replaced worker, or of the scripts before a reload, are given to end.",
        3600,
    )
    stop: float = key(seconds(0), "Seconds that open sessions are given when the daemon is told to end.", 30)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken on, and what happens to mail beyond it; each time it does is counted in the metrics.

    What one hook may use is in [lua], what a lookup may in [dns].
    """

    sessions: int = key(integer(1), "Connections of the MTA that one worker serves at the same time.", 1000)
    on_sessions: str = key(ACTION, "What becomes of connections beyond that.", "tempfail")
    message_size: int = key(SIZE, "Largest message that scripts judge; 0 is no limit but the MTA's own.", 0)
    on_message_size: str = key(ACTION, "What becomes of larger ones.", "tempfail")
    headers: int = key(SIZE, "Memory for the headers of one message, which are never in a file; 0 is no limit.", "64M")
    on_headers: str = key(ACTION, "What becomes of messages with more.", "tempfail")
    memory_body: int = key(SIZE, "Size of a body above which it is kept in a file instead of in memory.", "1M")
    spool: str = key(
        TEXT,
        "Directory of these files, which have no name in it; empty is the system's for temporary files.",
        "",
        example="/var/lib/lumilter",
        path=True,
    )
    on_spool: str = key(
        ACTION, "What becomes of messages whose body can't be written there: the disk is full, for one.", "tempfail"
    )
    packet: int = key(
        size("128K"), "Largest packet of the MTA that is taken: a header field is in one, a body is not.", "16M"
    )
    on_packet: str = key(
        ACTION,
        'What becomes of messages with a larger one. With [milter] wire = "libmilter" it is libmilter that reads '
        "packets: it ends the connection, and the MTA does what it does without a milter.",
        "tempfail",
    )
    lookups: int = key(
        integer(1),
        "Lookups (DNS, scanners) of one worker at the same time; more wait, within their hook's deadline.",
        256,
    )
    on_deadline: str = key(
        AS_ERROR,
        'What becomes of mail whose hook passed [lua] deadline; "on_error" is as for script errors.',
        "on_error",
    )
    on_instructions: str = key(AS_ERROR, "What becomes of mail whose hook passed [lua] instructions.", "on_error")
    on_memory: str = key(AS_ERROR, "What becomes of mail whose hook ran into [lua] max_memory.", "on_error")
