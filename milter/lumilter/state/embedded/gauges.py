"""Gauges in LMDB.

The law: a gauge's keys are in the order of their last changes, and both what has expired and what is too much goes from
the beginning of it.

    n <gauge: 6>                   ->    how many keys, last stamp, seconds * 10^6 that a key lives
    g <gauge: 6> <key>             ->    value, stamp
    o <gauge: 6> <stamp: 8>        ->    key
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable

import lmdb

from lumilter.state.contract import Gauge, clamped
from lumilter.state.embedded.environment import REST, Environment, records

META = b"n"
_META, _VALUE, _STAMP = struct.Struct("<QQQ"), struct.Struct("<qQ"), struct.Struct(">Q")


class EmbeddedGauges:
    """contract.GaugeStore."""

    def __init__(self, env: Environment, clock: Callable[[], float] = time.time) -> None:
        self._env, self._clock = env, clock
        self._idents: dict[str, bytes] = {}

    def _ident(self, gauge: Gauge) -> bytes:
        found = self._idents.get(gauge.name)
        if found is None:
            found = self._idents[gauge.name] = hashlib.blake2b(
                gauge.name.encode("utf-8", "surrogateescape"), digest_size=6
            ).digest()
        return found

    def add(self, gauge: Gauge, key: bytes, amount: int) -> int:
        """See contract.GaugeStore."""
        ident, now, ttl = self._ident(gauge), int(self._clock() * 1e6), int(gauge.ttl * 1e6)
        place = b"g" + ident + key

        def work(txn: lmdb.Transaction) -> int:
            meta = txn.get(META + ident)
            known, last, _ = _META.unpack(meta) if meta else (0, 0, 0)
            stamp = max(now, last + 1)
            held = txn.get(place)
            value = 0
            if held:
                value, then = _VALUE.unpack(held)
                txn.delete(b"o" + ident + _STAMP.pack(then))
                if then <= now - ttl:
                    value = 0
            else:
                self._env.check_room()
                known += 1
            value = clamped(value + amount)
            txn.put(place, _VALUE.pack(value, stamp))
            txn.put(b"o" + ident + _STAMP.pack(stamp), key)
            while known > gauge.most:
                known -= _drop_oldest(txn, ident, None)
            txn.put(META + ident, _META.pack(known, stamp, ttl))
            return value

        return self._env.write(work)

    def get(self, gauge: Gauge, key: bytes) -> int:
        """See contract.GaugeStore."""
        held = self._env.read(lambda txn: txn.get(b"g" + self._ident(gauge) + key))
        if held is None:
            return 0
        value: int
        value, stamp = _VALUE.unpack(held)
        return value if stamp > int(self._clock() * 1e6) - int(gauge.ttl * 1e6) else 0

    def remove(self, gauge: Gauge, key: bytes) -> None:
        """See contract.GaugeStore."""
        ident = self._ident(gauge)

        def work(txn: lmdb.Transaction) -> None:
            held = txn.pop(b"g" + ident + key)
            meta = txn.get(META + ident)
            if held is not None and meta is not None:
                known, last, ttl = _META.unpack(meta)
                txn.delete(b"o" + ident + _STAMP.pack(_VALUE.unpack(held)[1]))
                txn.put(META + ident, _META.pack(known - 1, last, ttl))

        self._env.write(work)


def drop_expired(txn: lmdb.Transaction, meta_key: bytes, now: float, most: int) -> int:
    """Forget keys of a gauge that have expired, `most` of them at most; how many went."""
    meta = txn.get(meta_key)
    if meta is None:
        return 0
    ident, dropped = meta_key[len(META) :], 0
    known, last, ttl = _META.unpack(meta)
    while dropped < most and known > dropped and _drop_oldest(txn, ident, int(now * 1e6) - ttl):
        dropped += 1
    if dropped:
        txn.put(meta_key, _META.pack(known - dropped, last, ttl))
    return dropped


def _drop_oldest(txn: lmdb.Transaction, ident: bytes, until: int | None) -> int:
    """Forget the key that was changed the longest ago, if that was by `until`; 1 if it did."""
    for key, name in records(txn, b"o" + ident, b"o" + ident + REST):
        if until is not None and _STAMP.unpack(key[7:])[0] > until:
            return 0
        txn.delete(b"g" + ident + name)
        txn.delete(key)
        return 1
    return 1 if until is None else 0
