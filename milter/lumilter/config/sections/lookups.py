"""[dns], [pcre]: what lookups and searches of scripts may take.

The law: what a key means is said here and nowhere else (see schema).
"""

from __future__ import annotations

from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import SERVER, SIZE, integer, list_of, seconds


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
