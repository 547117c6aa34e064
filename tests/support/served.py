"""A daemon with one policy at m.sock of a directory, and what a new session is told by it: for tests of its life.

The law: a real daemon with the real command, asked as an MTA would; processes are found below its own pid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemon import Daemon, write
from support.milter_client import MilterClient

POLICY = "function mod:validate_mailfrom(str, ac, vctx) vctx:set_code(550, '{}') end"
"""Says a word at MAIL."""


@contextmanager
def serving(tmp_path: Path, config: str = "", policy: str = POLICY.format("one"), status: int = 0) -> Iterator[Daemon]:
    """status: how it has to end."""
    file = write(tmp_path / "etc", tmp_path / "m.sock", [policy], config)
    with Daemon(file, tmp_path / "log", status=status) as daemon:
        yield daemon


def connect(tmp_path: Path) -> MilterClient:
    """A session after HELO."""
    client = MilterClient(str(tmp_path / "m.sock"))
    client.negotiate()
    client.connect()
    client.helo()
    return client


def answer(tmp_path: Path) -> str:
    """What a new session is told at MAIL."""
    with connect(tmp_path) as client:
        return client.mail().text
