"""The scripts of this folder, run by miltertest(8) against a real daemon: lumilter as another implementation sees it.

The law: NAME.lua talks to a daemon that runs NAME.policy.lua, or conf/demo/policy.lua where there is none; no script
needs an entry here. Its lines `-- log: PATTERN` are what the daemon logs meanwhile, in that order: miltertest shows no
reply's text before the end of a message.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEMO = ROOT / "conf/demo/policy.lua"
MILTERTEST = shutil.which("miltertest") or "/usr/bin/miltertest"
SCRIPTS = sorted(file for file in HERE.glob("*.lua") if not file.name.endswith(".policy.lua"))


@dataclass(frozen=True)
class Daemon:
    """A running `lumilter serve`. socket: as miltertest spells it."""

    socket: str
    log: Path


class Daemons:
    """One daemon for each policy, started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[Path, Daemon] = {}

    def running(self, policy: Path) -> Daemon:
        """The daemon with this policy, ready for connections."""
        if policy not in self._running:
            self._running[policy] = self._stack.enter_context(serving(policy))
        return self._running[policy]


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    with ExitStack() as stack:
        yield Daemons(stack)


@contextmanager
def serving(policy: Path) -> Iterator[Daemon]:
    """A daemon from its start to its end, which has to be a clean one."""
    # In /tmp whatever TMPDIR says: a Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="lumilter-miltertest-", dir="/tmp") as name:
        daemon = Daemon(f"unix:{name}/milter.sock", Path(name) / "log")
        config = Path(name) / "lumilter.toml"
        config.write_text(f"""
[milter]
socket = "{daemon.socket}"

[[context]]
network = "127.0.0.0/8"
set = {{ where = "loopback" }}

[[script]]
name = "policy"
source = "{policy}"
""")
        command = [sys.executable, "-m", "lumilter", "serve", "-c", str(config)]
        environment = {"PYTHONPATH": str(ROOT / "milter"), "PATH": "/usr/bin:/bin"}
        with (
            daemon.log.open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
        ):
            try:
                while b" serving on " not in daemon.log.read_bytes():
                    assert process.poll() is None, daemon.log.read_text(errors="replace")
                    time.sleep(0.02)
                yield daemon
            finally:
                process.terminate()
        assert process.returncode == 0, daemon.log.read_text(errors="replace")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script(script: Path, daemons: Daemons) -> None:
    own = script.with_suffix(".policy.lua")
    daemon = daemons.running(own if own.exists() else DEMO)
    before = len(daemon.log.read_bytes())
    ran = subprocess.run(
        [MILTERTEST, "-D", f"socket={daemon.socket}", "-s", script.name],
        cwd=HERE,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    logged = daemon.log.read_bytes()[before:].decode(errors="replace")
    said = ran.stdout + ran.stderr or "Nothing was printed: that is how miltertest treats a script that does not parse."
    assert ran.returncode == 0, f"{said}\nThe daemon's log:\n{logged}"
    left = logged
    for pattern in re.findall(r"^-- log: (.+)$", script.read_text(), re.MULTILINE):
        found = re.search(pattern, left)
        assert found, f"expected {pattern!r} in\n{left}\nwhich is what is left of\n{logged}"
        left = left[found.end() :]


def test_every_policy_has_a_script() -> None:
    policies = {file.name.removesuffix(".policy.lua") for file in HERE.glob("*.policy.lua")}
    assert policies <= {script.stem for script in SCRIPTS}
