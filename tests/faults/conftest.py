"""A daemon under load: what every fault is tried on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.load import Load

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="session")
def miltload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load driver, built for this run."""
    program = tmp_path_factory.mktemp("miltload") / "miltload"
    subprocess.run(["gcc", "-O2", "-std=gnu11", "-o", program, *sorted(BENCH.glob("*.c"))], check=True)
    return program


@pytest.fixture
def load(miltload: Path, tmp_path: Path) -> Callable[..., Load]:
    """load(seconds): messages to the daemon of `serving`, each of which has to pass with one header added."""
    return lambda *options: Load(miltload, tmp_path / "m.sock", [str(option) for option in options])


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., Iterator[Daemon]]:
    """serving(policy, config): a daemon at m.sock, whose log must hold no traceback at the end."""

    @contextmanager
    def start(policy: str, config: str = "", status: int = 0) -> Iterator[Daemon]:
        file = write(tmp_path / "etc", tmp_path / "m.sock", [policy], config)
        with Daemon(file, tmp_path / "log", status=status) as daemon:
            yield daemon

    return start
