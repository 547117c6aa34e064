"""msys.gauge_cache: numbers by key that go up and down, and are forgotten when nobody changes them.

The law: declarations only.

Source: manual, msys.gauge_cache.define, inc, dec, get, remove_item.
"""

from __future__ import annotations

from lumilter.api.audit_keys import text_key
from lumilter.api.later import waited
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.state.contract import Gauge
from lumilter.state.numbers import Numbers

PACKAGE = "msys.gauge_cache"


@api("msys.gauge_cache.define", package=PACKAGE)
def define(name: str, maxelems: int, ttl: float, replicated: bool = False, *, here: Here) -> None:
    """Define a cache of maxelems keys at most, each forgotten ttl seconds after its last change.

    A key too many takes the place of the one that was changed the longest ago. replicated: one cache for all machines,
    where [redis] server is configured.
    """
    if maxelems < 1 or not 0 < ttl <= 10**9:
        raise LumilterError("a gauge cache has 1 key or more, and each lives more than 0 seconds")
    if not here.services.state.numbers.define(Gauge(name, maxelems, ttl), replicated):
        raise LumilterError(f'the gauge cache "{name}" is defined already, and otherwise')


@api("msys.gauge_cache.inc", package=PACKAGE, blocking=True)
def inc(cachename: str, keystring: str, *, here: Here) -> int | Job:
    """Add 1 to a key's value; returns the new value, which no other call of inc or dec has returned for it."""
    return waited(_numbers(cachename, here).gauge_add(cachename, text_key(keystring), 1), here)


@api("msys.gauge_cache.dec", package=PACKAGE, blocking=True)
def dec(cachename: str, keystring: str, *, here: Here) -> int | Job:
    """Subtract 1 from a key's value, which may go below 0; returns the new value."""
    return waited(_numbers(cachename, here).gauge_add(cachename, text_key(keystring), -1), here)


@api("msys.gauge_cache.get", package=PACKAGE, blocking=True)
def get(cachename: str, keystring: str, *, here: Here) -> int | Job:
    """A key's value; 0 for one that is not there."""
    return waited(_numbers(cachename, here).gauge_get(cachename, text_key(keystring)), here)


@api("msys.gauge_cache.remove_item", package=PACKAGE, blocking=True)
def remove_item(cachename: str, keystring: str, *, here: Here) -> Job | None:
    """Forget a key."""
    return waited(_numbers(cachename, here).gauge_remove(cachename, text_key(keystring)), here)


def _numbers(name: str, here: Here) -> Numbers:
    numbers: Numbers = here.services.state.numbers
    if name not in numbers.gauges:
        raise LumilterError(f'there is no gauge cache "{name}": msys.gauge_cache.define defines one')
    return numbers
