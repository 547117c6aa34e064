"""Open sessions in LMDB: how many each process has, and sums over all of them.

The law: the sums are always those of the processes that are registered; one that died is taken out as soon as anybody
asks, or ends or begins a session, but is looked for no more often than every LOOK seconds.

    p <process: 2>                                        ->    nothing: it may have sessions
    s <process: 2> <address>                              ->    its sessions from there
    t <bytes of an address: 1> <prefix length: 1> <...>   ->    all sessions from there
"""

from __future__ import annotations

import struct
import time

import lmdb

from lumilter.state.embedded.environment import REST, Environment, records
from lumilter.state.embedded.slots import Slots
from lumilter.state.keys import LEVELS, bounds, level_for

LOOK = 0.1
_COUNT, _SLOT = struct.Struct("<q"), struct.Struct(">H")


class EmbeddedSessions:
    """contract.SessionStore."""

    def __init__(self, env: Environment, slots: Slots) -> None:
        self._env, self._slots = env, slots
        self._looked = 0.0
        own = _SLOT.pack(slots.own)

        def work(txn: lmdb.Transaction) -> None:
            _reap(txn, own)  # what a dead process of that number left
            txn.put(b"p" + own, b"")

        env.write(work)
        self._own = b"s" + own

    def enter(self, address: bytes) -> dict[int, int]:
        """See contract.SessionStore."""
        self.reap()

        def work(txn: lmdb.Transaction) -> dict[int, int]:
            _change(txn, self._own + address, 1)
            return {bits: _change(txn, key, 1) for bits, key in _networks(address)}

        return self._env.write(work)

    def leave(self, address: bytes) -> None:
        """See contract.SessionStore."""

        def work(txn: lmdb.Transaction) -> None:
            _change(txn, self._own + address, -1)
            for _, key in _networks(address):
                _change(txn, key, -1)

        self._env.write(work)

    def present(self, address: bytes, bits: int) -> int:
        """See contract.SessionStore."""
        self.reap()
        level = level_for(len(address), bits)
        low, high = (bound[: level // 8] for bound in bounds(address, bits))
        start = b"t" + bytes([len(address), level])

        def work(txn: lmdb.Transaction) -> int:
            if level == bits:
                held = txn.get(start + low)
                return _COUNT.unpack(held)[0] if held else 0
            found = records(txn, start + low, start + high)
            return sum(_COUNT.unpack(value)[0] for _, value in found)

        return self._env.read(work)

    def reap(self, now: bool = False) -> None:
        """Take processes that died out of the sums, if that was not looked at a moment ago."""
        moment = time.monotonic()
        if moment < self._looked + LOOK and not now:
            return
        self._looked = moment

        def registered(txn: lmdb.Transaction) -> list[bytes]:
            return [key[1:] for key, _ in records(txn, b"p", b"p" + REST)]

        dead = [slot for slot in self._env.read(registered) if not self._slots.alive(_SLOT.unpack(slot)[0])]

        def work(txn: lmdb.Transaction) -> None:
            for slot in dead:
                if not self._slots.alive(_SLOT.unpack(slot)[0]):  # a new process may have the number by now
                    _reap(txn, slot)

        if dead:
            self._env.write(work)


def _reap(txn: lmdb.Transaction, slot: bytes) -> None:
    """Take a process's sessions out of the sums."""
    start = b"s" + slot
    found = [(key[3:], _COUNT.unpack(value)[0]) for key, value in records(txn, start, start + REST)]
    for address, count in found:
        txn.delete(start + address)
        for _, key in _networks(address):
            _change(txn, key, -count)
    txn.delete(b"p" + slot)


def _networks(address: bytes) -> list[tuple[int, bytes]]:
    size = len(address)
    return [(bits, b"t" + bytes([size, bits]) + address[: bits // 8]) for bits in LEVELS[size]]


def _change(txn: lmdb.Transaction, key: bytes, by: int) -> int:
    held = txn.get(key)
    count: int = (_COUNT.unpack(held)[0] if held else 0) + by
    if count > 0:
        txn.put(key, _COUNT.pack(count))
    elif held:
        txn.delete(key)
    return count
