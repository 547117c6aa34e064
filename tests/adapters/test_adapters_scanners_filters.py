"""spamd, rspamd and c-icap: real ones, with rules that the tests made."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.peer import Secured
from lumilter.adapters.scanners.contract import Envelope, Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import Special
from lumilter.adapters.tls import context_of
from lumilter.config.address import SocketAddress
from support.certificates import Authority
from support.clamd import CUSTOM, EICAR, clamd
from support.filters import SPAM, c_icap, rspamd, spamd
from support.scanners import scanner
from support.tls_front import tls_front

KNOWN = Envelope(
    sender="ann@example.org",
    recipients=("bob@example.com", "carol@example.com"),
    helo="client.example",
    client_ip="192.0.2.1",
    client_name="host.example",
    user="ann",
    ident="QUEUE1",
    receiver="mx.example.com",
)
"""What the rules LUMILTER_KNOWS of both filters want to see."""
HAM = b"From: Ann <ann@example.org>\r\nSubject: hello\r\n\r\nwords\r\n"
SOME = b"From: Ann <ann@example.org>\r\nSubject: some\r\n\r\nwords\r\n"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """In /tmp: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="lumilter-filters-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def spam_daemon(directory: Path) -> Iterator[SocketAddress]:
    with spamd(directory) as address:
        yield address


@pytest.fixture(scope="module")
def rspam_daemon(directory: Path) -> Iterator[SocketAddress]:
    with rspamd(directory) as address:
        yield address


@pytest.fixture(scope="module")
def icap_server(directory: Path) -> Iterator[SocketAddress]:
    (directory / "clamd").mkdir()
    with clamd(directory / "clamd") as running, c_icap(directory, running) as address:
        yield address


def soon() -> float:
    return time.monotonic() + 60


# --- spamd ------------------------------------------------------------------------------------------------------------


def test_spamd(spam_daemon: SocketAddress) -> None:
    scan = scanner("spamd", [spam_daemon], timeout=60)
    ham = scan.scan(Sample((HAM,)), soon())
    assert (ham.verdict, ham.score, ham.required, ham.rules) == (Verdict.CLEAN, 0.0, 5.0, ())
    some = scan.scan(Sample((SOME,)), soon())
    assert (some.verdict, some.score, some.rules) == (Verdict.CLEAN, 1.0, ("LUMILTER_SOME",))
    spam = scan.scan(Sample((SOME, memoryview(SPAM))), soon())
    assert (spam.verdict, spam.score, spam.code) == (Verdict.SPAM, 8.1, "True")
    assert set(spam.rules) == {"LUMILTER_SOME", "LUMILTER_SPAM"}


def test_spamd_learns_who_the_client_is(spam_daemon: SocketAddress) -> None:
    scan = scanner("spamd", [spam_daemon], timeout=60)
    assert scan.scan(Sample((HAM,), KNOWN), soon()).rules == ("LUMILTER_KNOWS",)
    forged = Envelope(helo="client.example) by x (y", client_ip="198.51.100.7", sender="a@b\r\nX-Forged: yes")
    assert scan.scan(Sample((HAM,), forged), soon()).rules == ()


@pytest.mark.parametrize("content", [b"", b"\0\xff" * 1000, b"no header at all", b"x" * 300_000])
def test_spamd_takes_anything(spam_daemon: SocketAddress, content: bytes) -> None:
    assert scanner("spamd", [spam_daemon], timeout=60).scan(Sample((content,)), soon()).verdict is Verdict.CLEAN


# --- rspamd -----------------------------------------------------------------------------------------------------------


def test_rspamd(rspam_daemon: SocketAddress) -> None:
    scan = scanner("rspamd", [rspam_daemon], timeout=60)
    ham = scan.scan(Sample((HAM,)), soon())
    assert (ham.verdict, ham.info, ham.score, ham.rules) == (Verdict.CLEAN, "no action", 0.0, ())
    some = scan.scan(Sample((SOME,)), soon())
    assert (some.verdict, some.info, some.score, some.rules) == (Verdict.SPAM, "add header", 7.0, ("LUMILTER_SOME",))
    spam = scan.scan(Sample((HAM, memoryview(SPAM))), soon())
    assert (spam.verdict, spam.info, spam.required) == (Verdict.SPAM, "reject", 15.0)


def test_rspamd_is_told_the_envelope(rspam_daemon: SocketAddress) -> None:
    scan = scanner("rspamd", [rspam_daemon], timeout=60)
    assert scan.scan(Sample((HAM,), KNOWN), soon()).rules == ("LUMILTER_KNOWS",)
    odd = Envelope(sender="a\r\nb\0@example.org", helo="\udcff", client_ip="192.0.2.1")
    assert scan.scan(Sample((HAM,), odd), soon()).rules == ()


@pytest.mark.parametrize("content", [b"", b"\0\xff" * 1000, b"no header at all", b"x" * 3_000_000])
def test_rspamd_takes_anything(rspam_daemon: SocketAddress, content: bytes) -> None:
    assert scanner("rspamd", [rspam_daemon], timeout=60).scan(Sample((content,)), soon()).verdict is Verdict.CLEAN


# --- ICAP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["respmod", "reqmod"])
@pytest.mark.parametrize("service", ["virus_scan", "avscan"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", ""),
        (b"hello", ""),
        (b"p" * 1024, ""),
        (b"p" * 1025, ""),
        (b"p" * 100_000, ""),
        (b"p" * 3_000_000, ""),
        (EICAR, "Test.EICAR.UNOFFICIAL"),
        (b"words " * 100 + CUSTOM, "Test.Custom-1.UNOFFICIAL"),
        (b"words " * 20_000 + CUSTOM, "Test.Custom-1.UNOFFICIAL"),
        (b"words " * 400_000 + CUSTOM, "Test.Custom-1.UNOFFICIAL"),
    ],
    ids=["empty", "small", "preview", "preview+1", "100k", "3M", "eicar", "in-preview", "120k", "2.4M"],
)
def test_icap(icap_server: SocketAddress, service: str, method: str, content: bytes, found: str) -> None:
    """virus_scan sends content back before it has seen all of it, and breaks off; avscan waits, and names the virus."""
    scan = scanner("icap", [icap_server], special=Special(service=service, method=method), timeout=60)
    result = scan.scan(Sample((content[:10], memoryview(content)[10:]), whole=False), soon())
    if not found:
        assert result.verdict is Verdict.CLEAN, result
    else:
        assert result.verdict is Verdict.INFECTED, result
        assert result.info in ((found,) if service == "avscan" else (found, "the content was replaced"))


@pytest.mark.parametrize("method", ["respmod", "reqmod"])
@pytest.mark.parametrize("content", [b"", b"x", b"y" * 200_000, b"z" * 4_000_000])
def test_a_server_that_sends_everything_back(icap_server: SocketAddress, method: str, content: bytes) -> None:
    scan = scanner("icap", [icap_server], special=Special(service="echo", method=method), timeout=60)
    assert scan.scan(Sample((content,)), soon()).verdict is Verdict.CLEAN


def test_a_service_that_is_not_there(icap_server: SocketAddress) -> None:
    scan = scanner("icap", [icap_server], special=Special(service="none"))
    with pytest.raises(ScanError, match="404") as caught:
        scan.scan(Sample((b"x",)), soon())
    assert caught.value.word == "refused"


# --- TLS --------------------------------------------------------------------------------------------------------------


def through_tls(kind: str, address: SocketAddress, authority: Authority, bad: bytes) -> None:
    context, special = context_of(str(authority.file)), Special(service="avscan")
    scan = scanner(kind, [Secured(address, context)], special=special, timeout=60, retries=0)
    for _ in range(3):
        assert scan.scan(Sample((HAM,)), soon()).verdict is Verdict.CLEAN
        assert scan.scan(Sample((bad,)), soon()).verdict in (Verdict.SPAM, Verdict.INFECTED)
        large = HAM + b"words\r\n" * 10_000
        assert scan.scan(Sample((large,)), soon()).verdict is Verdict.CLEAN


@pytest.fixture
def own_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lumilter-filters-", dir="/tmp") as name:
        yield Path(name)


def test_spamd_with_tls(own_directory: Path, authority: Authority) -> None:
    with spamd(own_directory, authority.certificate("localhost")) as address:
        through_tls("spamd", address, authority, HAM + SPAM)


def test_c_icap_with_tls(own_directory: Path, authority: Authority) -> None:
    (own_directory / "clamd").mkdir()
    files = authority.certificate("localhost")
    with clamd(own_directory / "clamd") as running, c_icap(own_directory, running, files) as address:
        through_tls("icap", address, authority, EICAR)


def test_rspamd_behind_tls(rspam_daemon: SocketAddress, authority: Authority) -> None:
    with tls_front(rspam_daemon, authority.certificate("localhost")) as address:
        through_tls("rspamd", address, authority, HAM + SPAM)
