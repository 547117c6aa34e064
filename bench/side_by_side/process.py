"""A filter as the kernel sees it: started, waited for, its processes' CPU time and memory, stopped.

The law: everything is read from /proc, for every filter in the same way; nothing is asked of the filter itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

TICK = 1e6 / os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0


class DidNotStart(Exception):
    """Says what the filter printed."""


@dataclass(frozen=True)
class Usage:
    """cpu: us, user and system, since the process began. rss, pss: bytes; pss shares what is shared."""

    cpu: float
    rss: int
    pss: int


class Running:
    """A context manager: the process of `command` and all its descendants. where: "unix:PATH" or "inet:PORT@HOST"."""

    def __init__(self, command: Sequence[str], where: str, output: Path, environment: dict[str, str]) -> None:
        self._command, self._where, self._output = command, where, output
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Running:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment
            )
        until = time.monotonic() + PATIENCE
        while not answers(self._where):
            if self._process.poll() is not None or time.monotonic() > until:
                self._stop()
                raise DidNotStart(self._output.read_text(errors="replace").strip() or "no output")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        descendants = set(self._tree()) - {self._process.pid}
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in descendants:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # as it should be
                continue

    def cpu(self) -> dict[int, float]:
        """us by process."""
        return {pid: each for pid in self._tree() if (each := _cpu(pid)) is not None}

    def usage(self) -> dict[int, Usage]:
        """By process."""
        found = {}
        for pid, cpu in self.cpu().items():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            except OSError:  # it ended
                continue
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
            found[pid] = Usage(cpu, sizes["Rss"], sizes["Pss"])
        return found

    def _tree(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:  # grows meanwhile
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += map(int, task.read_text().split())
                except OSError:
                    continue
        return found


def _cpu(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) * TICK


def answers(where: str) -> bool:
    """Whether somebody listens there."""
    kind, _, rest = where.partition(":")
    port, _, host = rest.partition("@")
    family, target = (socket.AF_UNIX, rest) if kind == "unix" else (socket.AF_INET, (host, int(port)))
    with socket.socket(family) as probe:
        return probe.connect_ex(target) == 0
