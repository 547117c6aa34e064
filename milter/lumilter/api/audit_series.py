"""msys.audit_series: counts in sliding windows, by address or by string.

The law: declarations only. Windows are cut at multiples of the interval since the epoch.

Source: manual, msys.audit_series.define, add, count, remove_item.
"""

from __future__ import annotations

from typing import Any

from lumilter.api.audit_keys import flag, item, number, window
from lumilter.api.later import waited
from lumilter.calls import Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.state.contract import MAX_WINDOWS, Series
from lumilter.state.windows import NONE, REPLICATES, Defined

PACKAGE = "msys.audit_series"

_TYPES = ("cidr", "cidr_ipv6", "string")
_LONGEST = 366 * 86400


@api("msys.audit_series.define", package=PACKAGE, phases="init", also="load")
def define(
    name: str, type: str, interval: int, num_windows: int, options: dict[str, Any] | None = None, *, here: Here
) -> None:
    """Define a series: num_windows windows of interval seconds each, counted by what type says.

    type: "cidr" (IPv4), "cidr_ipv6" or "string". options: persist = true keeps the counts over a restart of the daemon;
    replicate = "cluster" counts for all machines together, where [redis] server is configured; "manager" on this
    machine alone, as "none": there is no cluster manager to be sent the counts, and the log says so. serialize = true
    writes each window, when it is over, to a file in [inbound_audit] log_dir.
    """
    given = options or {}
    if type not in _TYPES:
        raise LumilterError(f'"{type}" is no type of series: "cidr", "cidr_ipv6" or "string"')
    if not 0 < interval <= _LONGEST or not 0 < num_windows <= MAX_WINDOWS:
        raise LumilterError(f"a series has 1 to {MAX_WINDOWS} windows of 1 to {_LONGEST} seconds")
    replicate = given.get("replicate") or NONE
    if replicate not in REPLICATES:
        raise LumilterError('replicate is "none", "cluster" or "manager"')
    series = Series(name, type, interval, num_windows, flag(given, "persist"))
    if not here.services.state.windows.define(series, replicate, flag(given, "serialize")):
        raise LumilterError(f'the series "{name}" is defined already, and otherwise')


@api("msys.audit_series.add", package=PACKAGE, blocking=True)
def add(name: str, options: Any = None, *, here: Here) -> Job | None:
    """Add to the running window of a series. options: count (1), key; anything but a table is the key.

    The key of a cidr series is an address or a connection, without one the client; a string series needs one. An
    address of the family that the series does not count is not counted.
    """
    defined, given = _defined(name, here), _options(options)
    found = item(defined.series, given.get("key"), here)
    if found is None:
        return None
    windows = here.services.state.windows
    return waited(windows.add(defined, found.address, number(given, "count", 1), here.turn), here)


@api("msys.audit_series.count", package=PACKAGE, blocking=True)
def count(name: str, options: Any = None, *, here: Here) -> int | Job:
    """The sum of a series' windows startv to endv (0, the running one). options: startv, endv, key.

    The key of a cidr series is an address, a network ("192.0.2.0/24", "/24" around the client) or a connection, without
    one the client; anything but a table is the key. Straight after an add of the same hook, and of the same key, it is
    what that add made: whoever adds at the same time, no two find the same number.
    """
    defined, given = _defined(name, here), _options(options)
    found = item(defined.series, given.get("key"), here)
    if found is None:
        return 0
    windows, (first, last) = here.services.state.windows, window(given)
    return waited(windows.count(defined, found.address, found.bits, first, last, here.turn), here)


@api("msys.audit_series.remove_item", package=PACKAGE, blocking=True)
def remove_item(name: str, key: Any = None, *, here: Here) -> Job | None:
    """Take an item out of all windows of a series: the key is as for add."""
    defined = _defined(name, here)
    found = item(defined.series, key, here)
    if found is None:
        return None
    return waited(here.services.state.windows.remove(defined, found.address), here)


def _defined(name: str, here: Here) -> Defined:
    found: Defined | None = here.services.state.windows.defined.get(name)
    if found is None:
        raise LumilterError(f'there is no series "{name}": msys.audit_series.define defines one, in init')
    return found


def _options(given: Any) -> dict[Any, Any]:
    return given if isinstance(given, dict) else {"key": given}
