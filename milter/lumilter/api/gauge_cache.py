"""msys.gauge_cache: numbers by key that go up and down, and are forgotten when nobody changes them.

The law: declarations only.

Source: manual, msys.gauge_cache.define, inc, dec, get, remove_item.
"""

from __future__ import annotations

from lumilter.api.audit_keys import text_key
from lumilter.calls import Here
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.state.contract import Gauge

PACKAGE = "msys.gauge_cache"


@api("msys.gauge_cache.define", package=PACKAGE)
def define(name: str, maxelems: int, ttl: float, replicated: bool = False, *, here: Here) -> None:
    """Define a cache of maxelems keys at most, each forgotten ttl seconds after its last change.

    A key too many takes the place of the one that was changed the longest ago.
    """
    if maxelems < 1 or not 0 < ttl <= 10**9:
        raise LumilterError("a gauge cache has 1 key or more, and each lives more than 0 seconds")
    gauge = Gauge(name, maxelems, ttl)
    if here.services.state.gauges.setdefault(name, gauge) != gauge:
        raise LumilterError(f'the gauge cache "{name}" is defined already, and otherwise')


@api("msys.gauge_cache.inc", package=PACKAGE)
def inc(cachename: str, keystring: str, *, here: Here) -> int:
    """Add 1 to a key's value; returns the new value, which no other call of inc or dec has returned for it."""
    return int(here.services.state.gauge_add(_gauge(cachename, here), text_key(keystring), 1))


@api("msys.gauge_cache.dec", package=PACKAGE)
def dec(cachename: str, keystring: str, *, here: Here) -> int:
    """Subtract 1 from a key's value, which may go below 0; returns the new value."""
    return int(here.services.state.gauge_add(_gauge(cachename, here), text_key(keystring), -1))


@api("msys.gauge_cache.get", package=PACKAGE)
def get(cachename: str, keystring: str, *, here: Here) -> int:
    """A key's value; 0 for one that is not there."""
    return int(here.services.state.gauge_get(_gauge(cachename, here), text_key(keystring)))


@api("msys.gauge_cache.remove_item", package=PACKAGE)
def remove_item(cachename: str, keystring: str, *, here: Here) -> None:
    """Forget a key."""
    here.services.state.gauge_remove(_gauge(cachename, here), text_key(keystring))


def _gauge(name: str, here: Here) -> Gauge:
    found: Gauge | None = here.services.state.gauges.get(name)
    if found is None:
        raise LumilterError(f'there is no gauge cache "{name}": msys.gauge_cache.define defines one')
    return found
