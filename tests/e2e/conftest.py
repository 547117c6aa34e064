"""A Postfix that asks `lumilter serve` on a socket, and a sink where its mail ends; shared by the tests of a worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.postfix import PrivatePostfix
from support.sink import Sink
from support.site import Serve, Site


@pytest.fixture(scope="session")
def postfix() -> Iterator[Site]:
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    if not shutil.which("postfix"):
        pytest.skip("Postfix is not installed")
    # In /tmp whatever TMPDIR says: Postfix has to reach it, and a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        socket = directory / "m.sock"
        extra = {"smtpd_authorized_xclient_hosts": "127.0.0.1", "mynetworks": "127.0.0.1 192.0.2.0/24"}
        with Sink() as sink, PrivatePostfix(directory / "mta", f"unix:{socket}", 0, sink.port, extra) as mta:
            yield Site(mta, socket, sink)


@pytest.fixture
def site(postfix: Site) -> Iterator[Site]:
    postfix.sink.messages.clear()
    yield postfix
    postfix.mta.wait_empty()


@pytest.fixture
def serve(site: Site, tmp_path: Path) -> Iterator[Serve]:
    """serve(policy, config=""): a daemon with that policy behind the site's Postfix, stopped after the test."""
    with ExitStack() as stack:
        count = 0

        def start(policy: str, config: str = "") -> Daemon:
            nonlocal count
            count += 1
            directory = tmp_path / f"daemon{count}"
            return stack.enter_context(Daemon(write(directory, site.socket, [policy], config), directory / "log"))

        yield start
