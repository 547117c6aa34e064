"""One Postfix and one Sendmail for all tests of a worker; what is on their milter socket is the test's or its file's.

The law: a test leaves nothing in the queue. Tests that share a daemon have recipients of their own; for the others the
sink begins empty.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.redis_server import redis_server, valkey_server
from support.sendmail import Unavailable
from support.site import PostfixSite, Serve, Site, postfix_site, sendmail_site

__all__ = ["redis_server", "valkey_server"]

MAIN = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "mynetworks": "127.0.0.0/8 192.0.2.0/24",
    "header_size_limit": "200000",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
}
SERVICES = {
    "old": "-o milter_protocol=2",
    "tls": "-o smtpd_tls_chain_files={}/key.pem -o smtpd_tls_security_level=may",
    "auth": "-o smtpd_sasl_auth_enable=yes",
    "second": "-o smtpd_milters=unix:{}/second.sock",
}


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """In /tmp whatever TMPDIR says: Postfix has to reach it, and a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="lumilter-e2e-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def place(directory: Path) -> Path:
    """A directory of this test's own that an MTA can reach; its name is short, as a socket's has to be."""
    made = Path(tempfile.mkdtemp(prefix="", dir=directory))
    made.chmod(0o755)
    return made


@pytest.fixture(scope="session")
def reachable(directory: Path) -> Callable[[str], Path]:
    """Makes a directory that an MTA can reach, for a whole file of tests."""

    def make(name: str) -> Path:
        made = Path(tempfile.mkdtemp(prefix=name, dir=directory))
        made.chmod(0o755)
        return made

    return make


@pytest.fixture(scope="session")
def postfix(directory: Path) -> Iterator[PostfixSite]:
    if os.geteuid():
        pytest.skip("a Postfix of one's own needs root")
    if not shutil.which("postfix"):
        pytest.skip("Postfix is not installed")
    place = directory / "postfix"
    place.mkdir()
    services = {name: options.format(place) for name, options in SERVICES.items()}
    with postfix_site(place, MAIN, services) as made:
        yield made


@pytest.fixture(scope="session")
def sendmail(directory: Path) -> Iterator[Site]:
    place = directory / "sendmail"
    place.mkdir()
    with ExitStack() as stack:
        try:
            made = stack.enter_context(sendmail_site(place))
        except Unavailable as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def site(postfix: PostfixSite) -> Iterator[PostfixSite]:
    """Postfix and an empty sink."""
    postfix.sink.messages.clear()
    yield postfix
    postfix.mta.wait_empty()


@pytest.fixture
def serve(site: PostfixSite, tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:
        count = 0

        def start(policy: str, config: str = "") -> Site:
            nonlocal count
            count += 1
            return stack.enter_context(site.serving(tmp_path / f"daemon{count}", policy, config)).daemon

        yield start
