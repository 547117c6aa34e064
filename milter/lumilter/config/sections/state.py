"""Where counters, windows, gauges and locks live, and what the daemon counts by itself.

The law: as in `config.schema`.
"""

# ruff: noqa: RUF009 -- key() returns dataclasses.field()

from __future__ import annotations

import re
from dataclasses import dataclass

from lumilter.config.address import SocketAddress
from lumilter.config.declare import key
from lumilter.config.kinds import (
    BOOLEAN,
    SIZE,
    SOCKET,
    TEXT,
    TRANSPORT,
    Kind,
    choice,
    got,
    integer,
    list_of,
    optional,
    seconds,
)

ON_FAILURE = choice("open", "error")


@dataclass(frozen=True, slots=True)
class State:
    """What the workers of a machine share: audit series, counters, gauge caches, locks, open sessions."""

    directory: str = key(
        TEXT,
        "Where it is kept; one daemon a directory. What audit series persist survives a restart there. Empty is a "
        "temporary directory, and nothing survives.",
        "",
        example="/var/lib/lumilter/state",
        path=True,
    )
    size: int = key(
        SIZE,
        "Size of each of the two files in it, which are allocated whole. When one is full, items that are not in it "
        "yet are not counted until others have expired, and the log says so.",
        "128M",
    )
    on_failure: str = key(
        ON_FAILURE,
        'What scripts get while the state can\'t be reached or is full: "open" is the last value that was seen, or 0, '
        'and what they add is lost; "error" is an error at their line, with which [policy] on_error deals.',
        "open",
    )
    lock_lease: float = key(
        seconds(1),
        "Seconds after which a lock of msys.lock is free again though it was not given back.",
        60,
    )


@dataclass(frozen=True, slots=True)
class Redis:
    """A Redis 7 or Valkey that several machines share: scripts that ask for it count for all of them there."""

    server: SocketAddress | None = key(
        optional(SOCKET),
        'Where it is: "inet:6379@host" or "unix:/path". Empty is nowhere: this machine is alone.',
        "",
        example="inet:6379@redis.example.com",
    )
    cluster: bool = key(BOOLEAN, "It is a Redis Cluster, of which the server is one node.", False)
    database: int = key(integer(0, 65535), "Number of the database; a cluster has only 0.", 0)
    user: str = key(
        TEXT, "The user of its access control list (ACL); empty is the default one.", "", example="lumilter"
    )
    password: str = key(TEXT, "The password; empty is none.", "", example="secret", secret=True)
    password_file: str = key(
        TEXT, "A file with the password, read when a worker starts.", "", example="/etc/lumilter/redis", path=True
    )
    tls: bool = key(BOOLEAN, "Speak TLS, and check the server's certificate and name.", False)
    ca: str = key(
        TEXT,
        "Certificates that the server's is checked with; empty is the system's.",
        "",
        example="/etc/lumilter/redis-ca.pem",
        path=True,
    )
    certificate: str = key(
        TEXT, "Our certificate, if the server wants one.", "", example="/etc/lumilter/redis.pem", path=True
    )
    private_key: str = key(TEXT, "Its private key.", "", example="/etc/lumilter/redis.key", path=True)
    prefix: str = key(TRANSPORT, "What the names of all keys there begin with.", "lumilter")
    timeout: float = key(
        seconds(0.01),
        "Seconds that an answer may take. After one that took longer, or a lost connection, nothing waits for the "
        "server until it is back.",
        0.5,
    )
    shared: tuple[str, ...] = key(
        list_of(choice("sessions", "monitors", "series", "gauges", "counters", "locks")),
        'What is there for scripts that do not ask for it as well: "sessions" (inbound_session_count), "monitors" '
        '(msys.audit.*), all "series", "gauges", "counters", "locks".',
        [],
        example=["sessions", "series"],
    )


@dataclass(frozen=True, slots=True)
class Series:
    """How one audit series differs from what its script and [state] say."""

    name: str = key(TEXT, "The name that the script gives it.", example="rcpt_valid")
    on_failure: str | None = key(optional(ON_FAILURE), "As in [state], for this series.", "", example="error")
    shared: str = key(
        choice("as_defined", "yes", "no"),
        'Whether it is in Redis, for all machines: "as_defined" is if its script says replicate = "cluster".',
        "as_defined",
    )


def _monitor(value: object) -> tuple[int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,7})\s*,\s*([0-9]{1,4})\s*", value) if isinstance(value, str) else None
    if not found or not 0 < int(found[1]) <= 31_536_000 or not 0 < int(found[2]) <= 4096:
        raise ValueError(f"expected {MONITOR.expected}, got {got(value)}")
    return int(found[1]), int(found[2])


MONITOR = Kind('"seconds,windows" such as "300,6"', _monitor)


@dataclass(frozen=True, slots=True)
class InboundAudit:
    """What the daemon counts for msys.audit.*: connections, receptions and rejections by client address."""

    monitors: tuple[tuple[int, int], ...] = key(
        list_of(MONITOR),
        'Each "seconds,windows": windows that long, and how many of them are kept beside the running one. Scripts name '
        "them like that.",
        [],
        example=["300,6", "1800,4"],
    )
    persist: bool = key(BOOLEAN, "The counts survive a restart of the daemon.", False)
    log_dir: str = key(
        TEXT,
        "Directory of the files that audit series with serialize = true are written to; empty is nowhere.",
        "",
        example="/var/log/lumilter/audit_series",
        path=True,
    )
