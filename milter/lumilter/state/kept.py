"""What is to survive a restart, over the death of the machine: snapshots of the kept file, and whether to trust it.

The law: the file itself is never synced, so that no hook waits for a disk. It is whole as long as the machine has not
died since it was written, which is known by the boot's identifier, or by the daemon having ended in order. Otherwise
the last snapshot takes its place: it is synced before it gets its name.

Snapshot and file are read by LMDB without any check, so what might be torn must not be opened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

from lumilter.state.embedded import KEPT

log = logging.getLogger("lumilter.state")

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_IN_ORDER = "ended in order"
_DRIFT = 5
"""Seconds by which the same boot's may differ; no machine comes up again that quickly."""


def make_ready(directory: Path) -> None:
    """Before any process opens the file: put the snapshot in its place if it can't be trusted. Raises OSError."""
    file, snapshot, mark = directory / f"{KEPT}.mdb", directory / f"{KEPT}.snapshot", directory / f"{KEPT}.boot"
    known = mark.read_text() if mark.exists() else ""
    if file.exists() and known != _IN_ORDER and not _is_this_boot(known):
        if snapshot.exists():
            snapshot.replace(file)
            log.warning("the machine was not shut down in order: counts that persist are those of the last snapshot")
        else:
            file.unlink()
            log.warning("the machine was not shut down in order: counts that persist are lost")
        (directory / f"{KEPT}.mdb-lock").unlink(missing_ok=True)
    _write(mark, _boot())


def put_away(directory: Path) -> None:
    """After the last process closed the file: it is whole from now on, whatever becomes of the machine."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(directory / f"{KEPT}.mdb", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        _write(directory / f"{KEPT}.boot", _IN_ORDER)


def _boot() -> str:
    """The boot's identifier; its second since the epoch where that is hidden, as by the unit's ProcSubset=pid."""
    try:
        return _BOOT.read_text().strip()
    except FileNotFoundError:
        return str(round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)))


def _is_this_boot(known: str) -> bool:
    """A clock that was set meanwhile makes it another boot, which costs what came after the last snapshot."""
    boot = _boot()
    if known.isdecimal() and boot.isdecimal():
        return abs(int(known) - int(boot)) <= _DRIFT
    return known == boot


def _write(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    with part.open("w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
