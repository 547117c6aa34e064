"""The state as the configuration wants it: opened by each worker, and swept by one of them.

The law: after the fork, and on no other process's behalf.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lumilter.config import Config
from lumilter.config.sections.state import Redis
from lumilter.errors import ConfigError
from lumilter.loop import Loop
from lumilter.state.contract import StateError
from lumilter.state.embedded import EmbeddedStore
from lumilter.state.places import Rules, SeriesRule
from lumilter.state.state import State

if TYPE_CHECKING:
    from lumilter.state.shared import SharedStore

log = logging.getLogger("lumilter.state")

_EVERY = 1.0
"""Seconds between two rounds of sweeping."""
_STEP, _STEPS = 2000, 50
"""Records of a step, and steps of a round at most."""
_BREATH = 0.005
"""Seconds between two steps, for everybody else."""
_SHARED = {"as_defined": None, "yes": True, "no": False}


def open_state(config: Config, directory: Path) -> State:
    """The state as a worker works with it. Raises ConfigError."""
    try:
        store = EmbeddedStore(directory, config.state.size, keep=bool(config.state.directory))
    except StateError as error:
        raise ConfigError(f"[state] directory: {error}") from None
    return State(store, rules_of(config), shared_store(config.redis))


def rules_of(config: Config) -> Rules:
    """What the configuration says about state."""
    return Rules(
        on_failure=config.state.on_failure,
        shared=frozenset(config.redis.shared),
        series={each.name: SeriesRule(each.on_failure, _SHARED[each.shared]) for each in config.series},
        lock_lease=config.state.lock_lease,
        monitors={f"{seconds},{windows}": (seconds, windows) for seconds, windows in config.inbound_audit.monitors},
        keep_monitors=config.inbound_audit.persist,
        survives=bool(config.state.directory),
        log_dir=config.inbound_audit.log_dir,
    )


def shared_store(settings: Redis) -> SharedStore | None:
    """The store in Redis; None if there is none. Raises ConfigError."""
    if settings.server is None:
        return None
    from lumilter.state.shared import Server, SharedStore

    server = Server(
        host=settings.server.host,
        port=settings.server.port,
        path=settings.server.path,
        database=settings.database,
        user=settings.user,
        password=password_of(settings),
        tls=settings.tls,
        ca=settings.ca,
        certificate=settings.certificate,
        key=settings.private_key,
        cluster=settings.cluster,
        timeout=settings.timeout,
        prefix=settings.prefix,
    )
    return SharedStore(server)


def password_of(settings: Redis) -> str:
    """The password, wherever it is. Raises ConfigError."""
    if not settings.password_file:
        return settings.password
    try:
        return Path(settings.password_file).read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"[redis] password_file can't be read: {error}") from None


def sweep(loop: Loop, state: State) -> None:
    """Free what has expired, and write what is over, from now on, on the loop's pool."""
    store = state.places.machine

    def work() -> None:
        try:
            if isinstance(store, EmbeddedStore) and store.leads():
                state.windows.journal.step()
            for _ in range(_STEPS):
                if not store.sweep(_STEP):
                    return
                time.sleep(_BREATH)
        except Exception as error:
            log.error("what has expired could not be freed: %s", error)

    def again() -> None:
        try:
            future = loop.pool.submit(work)
        except RuntimeError:  # the system has no thread left: later, perhaps
            wait()
            return
        future.add_done_callback(lambda _: loop.post(wait))

    def wait() -> None:
        loop.at(time.monotonic() + _EVERY, again)

    wait()
