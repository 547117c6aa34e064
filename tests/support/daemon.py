"""`lumilter serve` in a process of its own, as an administrator would start it.

The law: the real command and a real configuration file; what it says is read from its log, never from its insides.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "lumilter", "serve", "-c")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "milter")}
READY = "serving on"


def write(directory: Path, socket: Path, policies: Sequence[str], config: str = "") -> Path:
    """Scripts and a configuration; the configuration's path.

    policies: what stands between the lines that make `mod` and register it, so a policy begins at line 2 of policy.lua,
    policy2.lua ... config: more TOML. The socket is open to every MTA.
    """
    directory.mkdir(exist_ok=True)
    scripts = []
    for number, text in enumerate(policies, 1):
        name = "policy" if number == 1 else f"policy{number}"
        (directory / f"{name}.lua").write_text(f'local mod = {{}}\n{text}\nmsys.registerModule("{name}", mod)\n')
        scripts.append(f'[[script]]\nname = "{name}"\nsource = "{name}.lua"\n')
    milter = f'[milter]\nsocket = "unix:{socket}"\nsocket_mode = "0666"\n'
    file = directory / "lumilter.toml"
    file.write_text("\n".join([milter, config, *scripts]))
    return file


@dataclass
class Daemon:
    """A context manager: a running daemon; it gets SIGTERM at the end and has to end well (unless it was stopped)."""

    config: Path
    log_file: Path
    listen: socket.socket | None = None
    """A listening socket to inherit, as from systemd."""
    status: int = 0
    """How it has to end: 1 where connections are cut."""
    environment: dict[str, str] = field(default_factory=lambda: ENVIRONMENT)
    _process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Daemon:
        command, inherited = [*COMMAND, str(self.config)], ()
        if self.listen is not None:  # sd_listen_fds(3): descriptor 3, and a process id that only the shell knows
            inherit = f'exec env LISTEN_FDS=1 LISTEN_PID=$$ "$@" 3<&{self.listen.fileno()}'
            command, inherited = ["bash", "-c", inherit, "bash", *command], (self.listen.fileno(),)
        with self.log_file.open("wb") as out:
            self._process = subprocess.Popen(command, stderr=out, env=self.environment, pass_fds=inherited)
        try:
            self.wait_log(READY)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = self.stop()
        if kind is None:
            assert status == self.status, self.log
            assert "Traceback" not in self.log, self.log

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.log_file.read_text(errors="surrogateescape")

    @property
    def errors(self) -> list[str]:
        """The lines of its log that are errors."""
        return [line for line in self.log.splitlines() if " error: " in line]

    @property
    def pid(self) -> int:
        """The supervisor."""
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The worker processes, oldest first."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def log_size(self) -> int:
        """Bytes that it said so far."""
        return self.log_file.stat().st_size

    def wait_log(self, text: str, timeout: float = 30, dead: bool = False, since: int = 0) -> None:
        """Until the log holds the text, after the first `since` bytes; each poll reads what is new.

        dead: also if the supervisor has ended.
        """
        until, sought, said = time.monotonic() + timeout, text.encode(), b""
        with self.log_file.open("rb") as log:
            log.seek(since)
            while sought not in (said := said + log.read()):
                assert dead or self._process.poll() is None, f"it ended with {self._process.poll()}:\n{self.log}"
                assert time.monotonic() < until, f"expected {text!r} in\n{self.log}"
                time.sleep(0.01)

    def signal(self, number: int) -> None:
        """To the supervisor."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        workers = self.workers
        self._process.kill()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, unless it has ended; its exit status: 0, or 1 if connections were cut."""
        if self._process.poll() is None:
            self.terminate()
        return self.wait()

    def wait(self, timeout: float = 60) -> int:
        """Its exit status."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
