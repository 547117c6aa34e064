"""Every configuration key, declared once with its kind, default and meaning.

The law: what a key means is said here and nowhere else; the checks, conf/lumilter.toml and the manual are derived.
Instances are immutable; a reload makes a new Config.
"""

# ruff: noqa: RUF009 -- key(), table() and tables() return dataclasses.field()

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from lumilter.config.address import SocketAddress
from lumilter.config.declare import key, table, tables
from lumilter.config.kinds import (
    BOOLEAN,
    MODE,
    NETWORK,
    SERVER,
    SIZE,
    SOCKET,
    STRINGS,
    TEMPLATE,
    TEXT,
    Kind,
    Network,
    choice,
    got,
    integer,
    list_of,
    seconds,
)


def _workers(value: object) -> object:
    count = integer(1).read(value)
    if count != 1:
        raise ValueError(f"expected 1, got {count}: this version runs one worker process")
    return count


def _target(value: object) -> object:
    if value != "stderr" and not (isinstance(value, str) and value.startswith("/")):
        raise ValueError(f'expected "stderr" or an absolute path, got {got(value)}')
    return TEXT.read(value)


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
    workers: int = key(Kind("1", _workers), "Worker processes. This version runs one.", 1)
    timeout: float = key(
        seconds(1),
        "Seconds that the MTA may be silent on a connection before it is given up (libmilter's timeout).",
        7210,
    )


@dataclass(frozen=True, slots=True)
class Lua:
    """The scripts' Lua: where it finds modules, and how much it may use."""

    path: tuple[str, ...] = key(
        list_of(TEMPLATE),
        'Where `require` and a script\'s `source` look for a module; "?" is its name with dots as slashes. '
        "Relative paths start at this file's directory.",
        ["/etc/lumilter/lua/?.lua"],
        path=True,
    )
    max_memory: int = key(SIZE, "Memory of the Lua state of a worker; 0 is no limit.", "256M")
    instructions: int = key(
        integer(0),
        "Lua instructions that one hook may use before it is stopped as runaway; 0 is no limit.",
        100_000_000,
    )
    deadline: float = key(
        seconds(0),
        "Seconds of wall clock that one hook may take, its waits included, before it is stopped; 0 is no limit.",
        60,
    )
    jit: bool = key(
        BOOLEAN,
        "Turn LuaJIT's compiler on. Faster for scripts that compute, but then neither `instructions` nor `deadline` "
        "stops a loop that was compiled.",
        False,
    )
    allow: tuple[str, ...] = key(
        list_of(choice("ffi", "io.popen", "os.execute")),
        'Of "ffi", "io.popen" and "os.execute", what scripts may use.',
        [],
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of mail when a script fails, and of scripts that ask to be called again."""

    on_error: str = key(
        choice("tempfail", "accept", "reject"),
        "What a script error does to the mail at hand: tempfail (4xx, the client comes back), accept or reject (5xx).",
        "tempfail",
    )
    on_error_text: str = key(TEXT, "The text of that 4xx or 5xx.", "local policy error")
    again_interval: float = key(
        seconds(0.001), "Seconds until a hook that returned VALIDATE_AGAIN is called again.", 1.0
    )


@dataclass(frozen=True, slots=True)
class Dns:
    """Lookups made by scripts."""

    servers: tuple[str, ...] = key(
        list_of(SERVER), "IP addresses of name servers; empty takes the system's.", [], example=["127.0.0.1"]
    )
    timeout: float = key(seconds(0.001), "Seconds that a lookup may take in all, retries included.", 5.0)
    cache_entries: int = key(integer(0), "Answers that are kept until their TTL ends; 0 keeps none.", 10_000)


@dataclass(frozen=True, slots=True)
class Pcre:
    """What one match of msys.pcre may use, so that no message makes a pattern run on."""

    match_limit: int = key(
        integer(1), "Calls of the matching function within one match (PCRE2's match limit).", 1_000_000
    )
    depth_limit: int = key(integer(1), "Depth of backtracking within one match (PCRE2's depth limit).", 250_000)
    heap_limit: int = key(SIZE, "Memory for backtracking within one match (PCRE2's heap limit).", "20M")


@dataclass(frozen=True, slots=True)
class Log:
    """Where lumilter and what scripts print are logged."""

    format: str = key(choice("text", "json"), '"text", or "json": one object a line.', "text")
    target: str = key(
        Kind('"stderr" or an absolute path', _target),
        '"stderr" (systemd\'s journal keeps it), or a file that is appended to.',
        "stderr",
    )
    level: str = key(choice("debug", "info", "warning", "error"), "The least severe that is logged.", "info")


@dataclass(frozen=True, slots=True)
class Momentum:
    """An existing Momentum configuration to take the scripts from."""

    config: str = key(
        TEXT,
        "A file in Momentum's own syntax, such as ecelerity.conf: its scriptlet stanzas are read after the "
        "[[script]] tables below, its directory is searched for their sources, everything else in it is skipped. "
        "Empty reads none.",
        "",
        example="/etc/lumilter/ecelerity.conf",
        path=True,
    )


@dataclass(frozen=True, slots=True)
class Context:
    """Connection context variables for clients of a network, as `context` of a Momentum listener's Peer sets them."""

    set: Mapping[str, str] = key(STRINGS, "The variables.", example={"trusted_mx": "yes"})
    network: Network | None = key(
        Kind(f"{NETWORK.expected}, or nothing", lambda value: NETWORK.read(value) if value != "" else None),
        "The clients. Empty is every client. Where networks overlap, the more specific one wins for each variable.",
        "",
        example="10.0.0.0/8",
    )


@dataclass(frozen=True, slots=True)
class Script:
    """A policy script; they run in the order in which they stand here."""

    name: str = key(TEXT, "How the log and the tests name it.", example="policy")
    source: str = key(
        TEXT,
        "A file, if it ends in .lua or begins with a slash; otherwise a module name that is looked up on [lua] path.",
        example="/etc/lumilter/policy.lua",
    )
    file: str = ""
    """The file behind `source`, once it was found."""
    declared_at: str = ""
    """"file:line" of its declaration."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. file: where it was read, "" without one.

    warnings: what is probably a mistake; notes: what was read and has no effect here. Each begins with "file:line: ".
    """

    milter: Milter = table(Milter)
    lua: Lua = table(Lua)
    policy: Policy = table(Policy)
    dns: Dns = table(Dns)
    pcre: Pcre = table(Pcre)
    log: Log = table(Log)
    momentum: Momentum = table(Momentum)
    contexts: tuple[Context, ...] = tables(Context, "context")
    scripts: tuple[Script, ...] = tables(Script, "script")
    file: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def connection_context(self, client: str) -> dict[str, str]:
        """The variables that a new session starts with. client: its IP address, or anything else if it has none."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            address = None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        matching = [c for c in self.contexts if c.network is None or (address is not None and address in c.network)]
        matching.sort(key=lambda c: -1 if c.network is None else c.network.prefixlen)
        return {name: value for c in matching for name, value in c.set.items()}
