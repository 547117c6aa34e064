"""msys.lock and msys.unlock: one session of all workers at a time.

The law: declarations only. A lock belongs to the session that took it (outside sessions: to the timer or closure), is
given back when the session or its process ends, and is free again after [state] lock_lease whatever happens.

Source: manual, msys.lock, msys.unlock.
"""

from __future__ import annotations

import os
import time

from lumilter.api.audit_keys import text_key
from lumilter.calls import Elsewhere, Here, Job
from lumilter.errors import LumilterError
from lumilter.registry import api

PACKAGE = "msys"
_FIRST, _LONGEST = 0.001, 0.02
"""Seconds between two tries."""


@api("msys.lock", package=PACKAGE, blocking=True)
def lock(mutexname: str, *, here: Here) -> Elsewhere | None:
    """Take the lock of that name, and wait for it as long as another session has it, of whichever worker.

    It stays taken while the script waits for something else. To take it twice is an error: it would never come free.
    """
    locks, name, owner = here.services.state.locks, text_key(mutexname), _owner(here)
    if here.session is None and not here.task.owns:
        here.task.owns.append(lambda: locks.ended(owner))
    if locks.owns(name, owner):
        raise LumilterError(f'"{mutexname}" is locked by this session already: it would wait for itself')
    if not locks.shared and locks.acquire(name, owner):
        return None

    def run(deadline: float) -> None:
        pause = _FIRST
        while time.monotonic() < deadline:
            if locks.acquire(name, owner):
                if time.monotonic() < deadline:
                    return
                locks.release(name, owner)  # it came too late: nobody would give it back
                break
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST)
        raise LumilterError(f'"{mutexname}" did not come free')

    # Threads of their own: who has the lock may need one of the pool's to come to where it is given back.
    return Elsewhere(lambda deadline: locks.threads.submit(run, deadline), "lock", _same, _raised)


@api("msys.unlock", package=PACKAGE, blocking=True)
def unlock(mutexname: str, *, here: Here) -> Job | None:
    """Give the lock of that name back; an error if this session does not have it, or had it for too long."""
    locks, name, owner = here.services.state.locks, text_key(mutexname), _owner(here)

    def run(deadline: float) -> None:
        if not locks.release(name, owner):
            raise LumilterError(
                f'"{mutexname}" is not locked by this session: it never was, or for longer than [state] lock_lease'
            )

    if locks.shared:
        return Job(run, "lock")
    run(0.0)
    return None


def _same(result: None) -> None:
    return result


def _raised(error: LumilterError) -> None:
    raise error


def _owner(here: Here) -> bytes:
    if here.session is not None:
        owner: bytes = here.session.ac.conn_id.encode()
        return owner
    return b"process %d task %d" % (os.getpid(), id(here.task))
