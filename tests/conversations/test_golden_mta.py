"""The golden conversations that are marked so, through a real Postfix and a real Sendmail."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.golden import Case, cases
from support.golden_daemon import serving
from support.golden_smtp import SmtpPlay
from support.ports import free_port
from support.postfix import PrivatePostfix
from support.sendmail import PrivateSendmail, Unavailable
from support.sink import Sink

HERE = Path(__file__).parent


@dataclass
class Site:
    """An MTA whose milter socket is `socket`, and where its mail ends."""

    mta: PrivatePostfix | PrivateSendmail
    socket: Path
    sink: Sink

    def held(self) -> list[str]:
        assert isinstance(self.mta, PrivatePostfix)
        queue = [entry for entry in self.mta.queue() if entry["queue_name"] == "hold"]
        return [recipient["address"] for entry in queue for recipient in entry["recipients"]]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def postfix(directory: Path) -> Iterator[Site]:
    socket = directory / "m.sock"
    with (
        Sink() as sink,
        PrivatePostfix(
            directory / "mta",
            f"unix:{socket}",
            relay_port=sink.port,
            extra_main={"smtpd_authorized_xclient_hosts": "127.0.0.1", "mynetworks": "127.0.0.1 192.0.2.0/24"},
        ) as mta,
    ):
        yield Site(mta, socket, sink)


@pytest.fixture(scope="module")
def sendmail(directory: Path) -> Iterator[Site]:
    socket = directory / "run" / "m.sock"  # Sendmail refuses a socket in a directory that others can write to
    socket.parent.mkdir(mode=0o755)
    with Sink() as sink:
        try:
            mta = PrivateSendmail(directory / "mta", f"local:{socket}", free_port(), sink.port)
            mta.start()
        except Unavailable as error:
            pytest.skip(str(error))
        try:
            yield Site(mta, socket, sink)
        finally:
            mta.stop()


def play(case: Case, site: Site, tmp_path: Path) -> None:
    with serving(case, tmp_path, site.socket):
        SmtpPlay(case, site.mta.smtp_port, site.sink, site.held).run()


@pytest.mark.parametrize("case", cases(HERE, "postfix"), ids=lambda case: case.name)
def test_postfix(case: Case, postfix: Site, tmp_path: Path) -> None:
    play(case, postfix, tmp_path)


@pytest.mark.parametrize("case", cases(HERE, "sendmail"), ids=lambda case: case.name)
def test_sendmail(case: Case, sendmail: Site, tmp_path: Path) -> None:
    play(case, sendmail, tmp_path)
