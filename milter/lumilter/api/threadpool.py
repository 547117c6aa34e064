"""Closures beside the session: msys.runInPool, msys.runInInst, and what the pools do: msys.threadpool.

The law: declarations only. Source: manual, msys.runInPool, msys.runInInst, msys.threadpool.*, threadpool.
"""

from __future__ import annotations

from lumilter.calls import Here, LuaFunction, LuaValue, Until
from lumilter.errors import LumilterError
from lumilter.host.pools import Pool
from lumilter.registry import api, constants

PACKAGE = "msys.threadpool"

CALLBACK, CALLBACK_SCHED = 3, 6
constants("msys.core", {"ECTP_COMPLETE_CALLBACK": CALLBACK, "ECTP_COMPLETE_CALLBACK_SCHED": CALLBACK_SCHED})


@api("msys.runInPool", package="msys", blocking=True)
def run_in_pool(
    pool: int | str, closure: LuaFunction, *rest: LuaFunction | bool | float | str | None, here: Here
) -> Until | tuple[()]:
    """Run a closure in a pool ([[pool]] in the configuration, or one of Momentum's own), by the pool's name or number.

    Without more arguments, or with false, the script waits and gets what pcall would give. With true the closure runs
    when the script waits or returns, and nothing is returned. With a function, that is called after the closure: in the
    pool, or outside of it if msys.core.ECTP_COMPLETE_CALLBACK_SCHED follows. Where a pool's queue is full, the script
    waits for a place in it. Closures run beside each other as sessions do, on the one Lua thread.
    """
    pools, found = here.host.pools, _pool(pool, here)
    how = rest[0] if rest else None
    if isinstance(how, LuaFunction):
        scheduled = len(rest) > 1 and rest[1] == CALLBACK_SCHED
        posted: Until | tuple[()] = pools.post(found, closure, how, not scheduled, here)
        return posted
    if how is None or how is False:
        called: Until = pools.call(found, closure, here)
        return called
    posted = pools.post(found, closure, None, True, here)
    return posted  # noqa: RET504 -- its type


@api("msys.runInInst", package="msys", since="4.3", extension=True, blocking=True)
def run_in_inst(inst: int, closure: LuaFunction, *, here: Here) -> Until:
    """Run a closure in an event loop (msys.core.scheduler_for_domain) while the script waits; results as of pcall.

    There is one event loop, so it runs as in a pool without limits.
    """
    called: Until = here.host.pools.call(here.host.pools.scheduler, closure, here)
    return called


@api("msys.core.scheduler_for_domain", package="msys.core", since="4.3", extension=True)
def scheduler_for_domain(domain: str) -> int:
    """The event loop that a domain belongs to, for msys.runInInst: there is one."""
    return 0


def _pool(which: int | str, here: Here) -> Pool:
    found: Pool | None = here.host.pools.find(which)
    if found is None:
        shown = f"number {which}" if isinstance(which, int) else f'"{which}"'
        raise LumilterError(f'there is no thread pool {shown}; [[pool]] name = "..." in the configuration declares one')
    return found


@api("msys.threadpool.count", package=PACKAGE)
def count(*, here: Here) -> int:
    """How many pools there are: Momentum's, those of the configuration, and "lookups", whose threads do what waits."""
    return len(here.host.pools.names())


@api("msys.threadpool.find", package=PACKAGE)
def find(threadpoolname: int | str | None = None, jobclassID: int | None = None, *, here: Here) -> int | str | None:
    """The number of a pool by its name, or its name by its number; nil if there is none."""
    names: list[str] = here.host.pools.names()
    wanted = jobclassID if threadpoolname is None else threadpoolname
    if isinstance(wanted, int):
        return names[wanted] if 0 <= wanted < len(names) else None
    lower = [name.lower() for name in names]
    return lower.index(wanted.lower()) if wanted is not None and wanted.lower() in lower else None


@api("msys.threadpool.stat", package=PACKAGE, lua="threadpool_stat")
def stat(threadpoolname: LuaValue = None, jobclassID: LuaValue = None) -> None:  # type: ignore[assignment]
    """Figures of a pool by its name or number; nil if there is none. tostring() of the table shows them as text.

    name, invocations, avg_concurrency, saturation (percent of the operations that took the last place),
    avg_wallclock_time_per_op (milliseconds), queue_sz, num_threads, num_active_threads, num_inactive_threads,
    job_num_queued, job_num_running.
    """
