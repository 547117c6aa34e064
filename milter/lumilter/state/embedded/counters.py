"""Counters and locks in LMDB.

The law: one record each.

    c <path>    ->    value, since, relaxed
    l <name>    ->    end of the lease, number of the process, owner
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable

import lmdb

from lumilter.state.contract import Counted, clamped
from lumilter.state.embedded.environment import REST, Environment, records
from lumilter.state.embedded.slots import Slots

LOCK = b"l"
_COUNTER, _LEASE = struct.Struct("<qq?"), struct.Struct("<dI")


class EmbeddedCounters:
    """contract.CounterStore."""

    def __init__(self, env: Environment, clock: Callable[[], float] = time.time) -> None:
        self._env, self._clock = env, clock

    def add(self, path: bytes, amount: int, relaxed: bool = False) -> int:
        """See contract.CounterStore."""
        key = b"c" + path

        def work(txn: lmdb.Transaction) -> int:
            held = txn.get(key)
            if held is None:
                self._env.check_room()
            value, since, kind = _COUNTER.unpack(held) if held else (0, int(self._clock()), relaxed)
            value = clamped(value + amount)
            txn.put(key, _COUNTER.pack(value, since, kind))
            return value

        return self._env.write(work)

    def read(self, path: bytes) -> int:
        """See contract.CounterStore."""
        held = self._env.read(lambda txn: txn.get(b"c" + path))
        return int(_COUNTER.unpack(held)[0]) if held else 0

    def reset(self, path: bytes) -> None:
        """See contract.CounterStore."""
        key, now = b"c" + path, int(self._clock())

        def work(txn: lmdb.Transaction) -> None:
            held = txn.get(key)
            txn.put(key, _COUNTER.pack(0, now, _COUNTER.unpack(held)[2] if held else False))

        self._env.write(work)

    def unlink(self, path: bytes) -> bool:
        """See contract.CounterStore."""
        return bool(self._env.write(lambda txn: txn.delete(b"c" + path)))

    def all(self) -> list[Counted]:
        """See contract.CounterStore."""

        def work(txn: lmdb.Transaction) -> list[Counted]:
            return [Counted(key[1:], *_COUNTER.unpack(value)) for key, value in records(txn, b"c", b"c" + REST)]

        return self._env.read(work)


class EmbeddedLocks:
    """contract.LockStore. A lock whose process is dead is free at once."""

    def __init__(self, env: Environment, slots: Slots, clock: Callable[[], float] = time.time) -> None:
        self._env, self._slots, self._clock = env, slots, clock
        self._held: dict[bytes, set[bytes]] = {}
        """Owners of this process: what they took."""
        self._guard = threading.Lock()

    def acquire(self, name: bytes, owner: bytes, lease: float) -> bool:
        """See contract.LockStore."""
        now, key = self._clock(), LOCK + name

        def work(txn: lmdb.Transaction) -> bool:
            held = txn.get(key)
            if held is not None:
                end, slot = _LEASE.unpack_from(held)
                if end > now and self._slots.alive(slot):
                    return False
            txn.put(key, _LEASE.pack(now + lease, self._slots.own) + owner)
            return True

        taken = self._env.write(work)
        if taken:
            with self._guard:
                self._held.setdefault(owner, set()).add(name)
        return taken

    def release(self, name: bytes, owner: bytes) -> bool:
        """See contract.LockStore."""
        now, key = self._clock(), LOCK + name

        def work(txn: lmdb.Transaction) -> bool:
            held = txn.get(key)
            if held is None or held[_LEASE.size :] != owner:
                return False
            end, slot = _LEASE.unpack_from(held)
            txn.delete(key)
            return bool(end > now and self._slots.alive(slot))

        with self._guard:
            names = self._held.get(owner, set())
            names.discard(name)
            if not names:
                self._held.pop(owner, None)
        return self._env.write(work)

    def release_all(self, owner: bytes) -> None:
        """See contract.LockStore."""
        with self._guard:
            names = list(self._held.get(owner, ()))
        for name in names:
            self.release(name, owner)


def drop_lock_if_over(txn: lmdb.Transaction, key: bytes, now: float, alive: Callable[[int], bool]) -> bool:
    """Forget a lock that nobody holds any more; whether it did."""
    held = txn.get(key)
    if held is None:
        return False
    end, slot = _LEASE.unpack_from(held)
    return bool((end <= now or not alive(slot)) and txn.delete(key))
