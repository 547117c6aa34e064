"""Constant databases: the values of a key, one a row.

    /path/to/data.cdb?key       the file may stand in the URI, and then be left out

The law: whatever bytes a file has, a search ends: it looks at each slot of one table once, and within the file only.

Source: D. J. Bernstein, "A structure for constant databases"; manual, "ds_core" (CDB). pure-cdb, a library for it,
searches a damaged table for ever, which is why the format's few lines are here.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from lumilter.adapters.datasources.contract import Answer, Cut, DatasourceError, Options, Request
from lumilter.adapters.datasources.files import key_of, located, refuse_execute

_PAIR = struct.Struct("<II")
_HEADER = 256 * _PAIR.size


class CdbDriver:
    """See contract.Driver. place: the URI without "cdb:"."""

    def __init__(self, place: str, options: Options) -> None:
        self._place, self._options = place, options

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """See contract.Driver."""
        refuse_execute(request, "a CDB file")
        path, key = located(request, self._place)
        rows = self._options.rows()
        try:
            with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for value in values(data, key_of(key, request)):
                    if rows.full or cut.fired:
                        break
                    rows.add((self._options.decoded(value),))
        except OSError as error:
            raise DatasourceError(self._options.clean(f"{path} can't be read: {error.strerror}")) from None
        except (struct.error, ValueError):  # an empty file, or a place beyond its end
            raise DatasourceError(self._options.clean(f"{path} is no CDB file")) from None
        return rows.answer()

    def close(self) -> None:
        """See contract.Driver."""


def values(data: mmap.mmap | bytes, key: bytes) -> Iterator[bytes]:
    """The values of a key, in the order in which they were written. Raises struct.error, ValueError for other files."""
    if len(data) < _HEADER:
        raise ValueError("shorter than its header")
    hashed = hash_of(key)
    table, slots = _PAIR.unpack_from(data, hashed % 256 * _PAIR.size)
    if slots * _PAIR.size > len(data) - table:
        raise ValueError("a table beyond the end")
    for number in range(slots):
        slot = table + (hashed // 256 + number) % slots * _PAIR.size
        found, at = _PAIR.unpack_from(data, slot)
        if not at:
            return
        if found == hashed:
            key_size, size = _PAIR.unpack_from(data, at)
            at += _PAIR.size
            if at + key_size + size > len(data):
                raise ValueError("a record beyond the end")
            if data[at : at + key_size] == key:
                yield data[at + key_size : at + key_size + size]


def hash_of(key: bytes) -> int:
    """The format's hash of a key."""
    value = 5381
    for byte in key:
        value = ((value << 5) + value) & 0xFFFFFFFF ^ byte
    return value
