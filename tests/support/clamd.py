"""A clamd of the tests' own: signatures that they made, sockets in a directory of theirs, ended by its process.

The law: no signature of ClamAV's is needed, nor is anything else of the machine's ClamAV touched.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lumilter.config.address import SocketAddress
from support.ports import free_port

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""In two pieces, so that this file is no virus."""
CUSTOM = b"lumilter-test-signature-4711"
HASHED = b"the content that is known by its hash"


def signatures(directory: Path) -> None:
    """The database: EICAR and our own words wherever they stand, and a file by its hash."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "test.ndb").write_text(f"Test.EICAR:0:*:{EICAR.hex()}\nTest.Custom-1:0:*:{CUSTOM.hex()}\n")
    (directory / "test.hdb").write_text(
        f"{hashlib.md5(HASHED, usedforsecurity=False).hexdigest()}:{len(HASHED)}:Test.Hashed\n"
    )


@dataclass
class Clamd:
    """unix, tcp: where it listens. directory: what is in it, `clamd.log` among it."""

    directory: Path
    unix: SocketAddress = field(init=False)
    tcp: SocketAddress = field(init=False)
    process: subprocess.Popen[bytes] | None = None
    stream_max: str = "5M"

    def __post_init__(self) -> None:
        self.unix = SocketAddress("unix", path=str(self.directory / "clamd.ctl"))
        self.tcp = SocketAddress("inet", host="127.0.0.1", port=free_port())
        signatures(self.directory / "db")
        settings = {
            "DatabaseDirectory": self.directory / "db",
            "LocalSocket": self.unix.path,
            "TCPSocket": self.tcp.port,
            "TCPAddr": "127.0.0.1",
            "LogFile": self.directory / "clamd.log",
            "TemporaryDirectory": self.directory,
            "Foreground": "yes",
            "StreamMaxLength": self.stream_max,
            "MaxThreads": 4,
            "MaxScanSize": "20M",
            "MaxFileSize": "20M",
            "MaxRecursion": 10,
            "AlertExceedsMax": "yes",
            "AlertEncrypted": "yes",
            "SelfCheck": 0,
            "ExitOnOOM": "yes",
        }
        if os.geteuid() == 0:
            settings["User"] = "root"
        (self.directory / "clamd.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["clamd", "--config-file", str(self.directory / "clamd.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.directory / "clamd.err").open("wb"),
        )
        until = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"clamd did not start: {(self.directory / 'clamd.err').read_text()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.unix.path)
            sock.sendall(b"nPING\n")
            return sock.recv(10) == b"PONG\n"
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def clamd(directory: Path, **settings: str) -> Iterator[Clamd]:
    """A clamd that answers."""
    running = Clamd(directory, **settings)
    running.start()
    try:
        yield running
    finally:
        running.stop()
