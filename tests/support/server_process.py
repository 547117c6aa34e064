"""A real server that a test starts on the loopback address, in a directory of its own, and ends by its pid.

The law: no system service is touched; a server that can't be started is an error, not a reason to skip.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
"""Seconds for a server to come up: machines are slow now and then."""


def account(name: str) -> str | None:
    """The account that a server runs under which refuses to be root; None where we are somebody else already."""
    return name if os.getuid() == 0 else None


def prepared(command: Sequence[object], user: str | None = None, data: bytes = b"") -> None:
    """Run what a server needs before its first start."""
    done = subprocess.run(
        list(map(str, command)), input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user=user, cwd="/"
    )
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout.decode(errors='replace')[-3000:]}"


@contextmanager
def own_directory(user: str | None = None) -> Iterator[Path]:
    """A directory for a server; short, as paths of Unix sockets have to be."""
    path = Path(tempfile.mkdtemp(prefix="lum-"))
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass
class ServerProcess:
    """A server that can be stopped, frozen and started again. ready: whether it serves; it may raise until it does."""

    command: Sequence[str]
    log: Path
    ready: Callable[[], object]
    user: str | None = None
    stop_by: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None, cwd="/",
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while True:
            problem: Exception | None = None
            try:
                if self.ready():
                    return
            except Exception as error:  # not yet, whatever the library says
                problem = error
            said = f"{self.command[0]}: {problem}\n{self.log.read_text(errors='replace')[-3000:]}"
            assert self.process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, now."""
        if self.process is not None:
            self.thaw()
            self.process.send_signal(self.stop_by)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        self._signal(signal.SIGSTOP)
        until = time.monotonic() + PATIENCE
        while self.process is not None and not all(map(_is_stopped, (self.process.pid, *_children(self.process.pid)))):
            assert time.monotonic() < until  # threads on other processors go on for a moment
            time.sleep(0.01)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            for pid in (self.process.pid, *_children(self.process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    @contextmanager
    def running(self) -> Iterator[None]:
        """From start to stop."""
        try:
            self.start()
            yield
        finally:
            self.stop()


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in tasks.read_text().split()] if tasks.exists() else []


def _is_stopped(pid: int) -> bool:
    """Whether each of its threads is."""
    states = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            states.append(task.read_text().rpartition(")")[2].split()[0])
    return set(states) <= {"T", "t", "Z"}
