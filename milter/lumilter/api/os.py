"""msys.os: how full file systems are.

The law: declarations only. Source: manual, msys.os.statvfs_subscribe, msys.os.statvfs_read.
"""

from __future__ import annotations

from lumilter.adapters.filesystems import Record, Statvfs
from lumilter.calls import Here, Job
from lumilter.errors import LookupFailed
from lumilter.registry import api, field, lua_class

PACKAGE = "msys.os"

lua_class("ec_statvfs_record_t", Record)
lua_class("ec_statvfs_t", Statvfs)


@api("msys.os.statvfs_subscribe", package=PACKAGE)
def statvfs_subscribe(path: str, interval: float, *, here: Here) -> Record:
    """A subscription to snapshots of the file system that a path is on, no older than so many seconds (0: 10)."""
    record: Record = here.services.filesystems.subscribe(path, interval)
    return record


@api("msys.os.statvfs_read", package=PACKAGE, blocking=True)
def statvfs_read(path: Record | str | None, *, here: Here) -> Statvfs | Job:
    """The latest snapshot of a subscription, or of a path that was subscribed to; nil and why where there is none.

    version, kilobytes_available, kilobytes_total, objects_available, objects_total. The script waits where the snapshot
    is too old, others go on.
    """
    record = here.services.filesystems.record(path) if isinstance(path, str) else path
    if record is None:
        raise LookupFailed(f"there is no subscription to {path}" if path else "no subscription was given")
    return record.latest() or Job(record.refresh, "statvfs")


@field("ec_statvfs_t.version", package=PACKAGE)
def version(statvfs: Statvfs) -> int:
    """Of Momentum's struct: 1."""
    return statvfs.version


@field("ec_statvfs_t.kilobytes_total", package=PACKAGE)
def kilobytes_total(statvfs: Statvfs) -> int:
    """The size of the file system in kilobytes."""
    return statvfs.kilobytes_total


@field("ec_statvfs_t.kilobytes_available", package=PACKAGE)
def kilobytes_available(statvfs: Statvfs) -> int:
    """Kilobytes that are free for everybody."""
    return statvfs.kilobytes_available


@field("ec_statvfs_t.objects_total", package=PACKAGE)
def objects_total(statvfs: Statvfs) -> int:
    """Files and directories that it has place for."""
    return statvfs.objects_total


@field("ec_statvfs_t.objects_available", package=PACKAGE)
def objects_available(statvfs: Statvfs) -> int:
    """Files and directories that can be added by everybody."""
    return statvfs.objects_available
