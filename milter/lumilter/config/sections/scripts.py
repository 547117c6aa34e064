"""[lua], [policy], [momentum], [[context]], [[script]]: the policies, and what they run in.

The law: what a key means is said here and nowhere else (see schema).
"""

# ruff: noqa: RUF009 -- key() returns dataclasses.field()

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import (
    ACTION,
    BOOLEAN,
    NETWORK,
    SIZE,
    STRINGS,
    TEMPLATE,
    TEXT,
    Network,
    choice,
    integer,
    list_of,
    optional,
    seconds,
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
        'Of "ffi", "io.popen" (with it, pipe:) and "os.execute", what scripts may use.',
        [],
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of mail when a script fails, and of scripts that ask to be called again."""

    on_error: str = key(
        ACTION,
        "What a script error does to the mail at hand: tempfail (4xx, the client comes back), accept or reject (5xx).",
        "tempfail",
    )
    on_error_text: str = key(TEXT, "The text of that 4xx or 5xx.", "local policy error")
    again_interval: float = key(
        seconds(0.001), "Seconds until a hook that returned VALIDATE_AGAIN is called again.", 1.0
    )
    again_limit: float = key(
        seconds(0), "Seconds of such pauses in one phase, after which the hook has failed (on_error).", 60
    )


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
        optional(NETWORK),
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
