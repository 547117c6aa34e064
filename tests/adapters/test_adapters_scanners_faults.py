"""Every engine that has a server, against servers that are wrong in every way: one contract, for all of them."""

from __future__ import annotations

import base64
import io
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lumilter.adapters.scanners.contract import Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import KINDS, Special
from lumilter.adapters.scanners.scanner import Scanner
from lumilter.config.address import SocketAddress
from support.clamd import EICAR, Clamd, clamd
from support.postfix import free_port
from support.scanners import scanner
from support.scripted_server import Talk, scripted

SERVED = [kind for kind in KINDS if kind != "command"]
HTTP = ("rspamd", "cloudmark", "ctasd")
OPTIONS = b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nPreview: 100\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n"
MESSAGE = b"Subject: x\r\n\r\n" + b"body\r\n" * 10_000

HALF = {
    "clamd": b"stream: Some.Vir",
    "icap": b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n10\r\nSubj",
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 100\r\nSpam: True ; 7.1 / 5.0\r\n\r\nRULE",
    "rspamd": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"score": 1, "action": "reject"}',
    "cloudmark": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"score": 1}',
    "ctasd": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nX-CTCH-Spam: Confirmed\r\n",
}
OTHER_VERSION = {
    "clamd": b"UNKNOWN COMMAND\n",
    "icap": b"ICAP/2.0 200 OK\r\n\r\n",
    "spamd": b"SPAMD/2.0 0 EX_OK\r\n\r\n",
    "rspamd": b'HTTP/1.1 200 OK\r\n\r\n{"default": {"score": 1}}',
    "cloudmark": b'HTTP/1.1 200 OK\r\n\r\n{"version": 3}',
    "ctasd": b"HTTP/1.1 200 OK\r\n\r\nX-CTCH-PVer: 0000002\r\n",
}


def made(kind: str, address: SocketAddress, timeout: float = 30, retries: int = 0) -> Scanner:
    return scanner(kind, [address], special=Special(service="avscan"), timeout=timeout, retries=retries, failures=0)


def failure(scan: Scanner) -> ScanError:
    with pytest.raises(ScanError) as caught:
        scan.scan(Sample((MESSAGE,)), time.monotonic() + 60)
    assert caught.value.scanner == scan.name
    assert len(str(caught.value)) < 500
    return caught.value


def word_for(kind: str, answer: bytes, timeout: float = 30) -> str:
    """How a scan ends with a server that reads, says that, and hangs up."""

    def talk(talk: Talk, number: int) -> None:
        if kind == "icap" and number == 0:
            talk.sock.recv(65536)
            talk.sock.sendall(OPTIONS)
            return
        talk.sock.recv(1 << 20)
        talk.sock.sendall(answer)

    with scripted(talk) as server:
        return failure(made(kind, server.server.address, timeout)).word


@pytest.mark.parametrize("kind", SERVED)
def test_down(kind: str, tmp_path: Path) -> None:
    assert failure(made(kind, SocketAddress("inet", host="127.0.0.1", port=free_port()))).word == "down"
    assert failure(made(kind, SocketAddress("unix", path=f"{tmp_path}/none"))).word == "down"


@pytest.mark.parametrize("kind", SERVED)
def test_it_accepts_and_says_nothing(kind: str) -> None:
    gate = threading.Event()

    def talk(talk: Talk, number: int) -> None:
        gate.wait(60)

    with scripted(talk) as server:
        assert failure(made(kind, server.server.address, timeout=0.5)).word == "timeout"
        gate.set()


@pytest.mark.parametrize("kind", SERVED)
def test_it_does_not_even_read(kind: str) -> None:
    """More than the buffers of both sides hold."""
    gate = threading.Event()

    def talk(talk: Talk, number: int) -> None:
        if kind == "icap" and number == 0:
            talk.sock.recv(65536)
            talk.sock.sendall(OPTIONS)
        else:
            gate.wait(60)

    with scripted(talk) as server:
        scan = made(kind, server.server.address, timeout=0.5)
        with pytest.raises(ScanError) as caught:
            scan.scan(Sample((b"x" * 30_000_000,)), time.monotonic() + 60)
        gate.set()
    assert caught.value.word == "timeout"


@pytest.mark.parametrize("kind", SERVED)
def test_a_byte_now_and_then(kind: str) -> None:
    def talk(talk: Talk, number: int) -> None:
        while True:
            talk.sock.sendall(b"x")
            time.sleep(0.02)

    with scripted(talk) as server:
        assert failure(made(kind, server.server.address, timeout=0.5)).word == "timeout"


@pytest.mark.parametrize("kind", SERVED)
def test_it_hangs_up_at_once(kind: str) -> None:
    with scripted(lambda talk, number: None) as server:
        assert failure(made(kind, server.server.address)).word in ("nonsense", "down")


@pytest.mark.parametrize("kind", SERVED)
def test_half_an_answer(kind: str) -> None:
    assert word_for(kind, HALF[kind]) in ("nonsense", "down")


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize(
    "answer", [b"\0" * 100, b"\xff\xfe\n\n\n", b"\r\n" * 200, b"a: b\r\n" * 1000, b"x" * 1_000_000]
)
def test_garbage(kind: str, answer: bytes) -> None:
    assert word_for(kind, answer) in ("nonsense", "down")


@pytest.mark.parametrize("kind", SERVED)
def test_another_version(kind: str) -> None:
    assert word_for(kind, OTHER_VERSION[kind]) == "nonsense"


@pytest.mark.parametrize("kind", HTTP)
def test_headers_without_end(kind: str) -> None:
    assert word_for(kind, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000) in ("nonsense", "down")


@pytest.mark.parametrize("kind", SERVED)
def test_the_second_try_succeeds(kind: str) -> None:
    good = {
        "clamd": b"stream: OK\n",
        "icap": b"ICAP/1.0 204 No Content\r\n\r\n",
        "spamd": b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0.0 / 5.0\r\n\r\n\r\n",
        "rspamd": b'HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\n{"score": 0, "action": "no action"}',
        "cloudmark": b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"score": 0}',
        "ctasd": b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\nX-CTCH-Spam: Unknown\r\n",
    }
    first = 1 if kind == "icap" else 0

    def talk(talk: Talk, number: int) -> None:
        if kind == "icap" and number == 0:
            talk.sock.recv(65536)
            talk.sock.sendall(OPTIONS)
        elif number > first:
            talk.sock.recv(65536)
            talk.sock.sendall(good[kind])
            talk.wait()

    with scripted(talk) as server:
        found = made(kind, server.server.address, retries=2).scan(Sample((b"x",)), time.monotonic() + 60)
    assert found.verdict is Verdict.CLEAN


# --- a real clamd -----------------------------------------------------------------------------------------------------


@pytest.fixture
def running() -> Iterator[Clamd]:
    with tempfile.TemporaryDirectory(prefix="lumilter-clamd-", dir="/tmp") as name, clamd(Path(name)) as made:
        yield made


def test_it_is_started_again_under_load(running: Clamd) -> None:
    """While it is away a scan fails at once; whatever is answered is right; afterwards all is well."""
    scan = scanner("clamd", [running.unix], timeout=30, concurrency=4, cache=0, failures=5, pause=0.05)
    stop = threading.Event()
    words: list[str] = []

    def load() -> None:
        while not stop.is_set():
            for content, verdict in ((b"clean" * 1000, Verdict.CLEAN), (EICAR, Verdict.INFECTED)):
                try:
                    assert scan.scan(Sample((content,)), time.monotonic() + 60).verdict is verdict
                    words.append("ok")
                except ScanError as error:
                    words.append(error.word)

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        try:
            for _ in range(3):
                _wait_for(words, "ok")
                running.stop()
                _wait_for(words, "circuit")
                running.start()
            _wait_for(words, "ok")
        finally:
            stop.set()
        for each in loads:
            each.result(60)
    assert set(words) <= {"ok", "down", "nonsense", "circuit"}
    assert scan.scan(Sample((EICAR,)), time.monotonic() + 60).verdict is Verdict.INFECTED


def _wait_for(words: list[str], word: str) -> None:
    """Until the next scan that ends so."""
    seen, until = len(words), time.monotonic() + 60
    while word not in words[seen:]:
        assert time.monotonic() < until, f"no {word} among {words[-10:]}"
        time.sleep(0.01)


def test_a_zip_bomb_is_the_engines(running: Clamd) -> None:
    """100 MB in 100 kB: clamd's MaxScanSize ends it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100 << 20))
    message = (
        b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: application/zip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(packed.getvalue())
    )
    found = scanner("clamd", [running.unix], timeout=60).scan(Sample((message,)), time.monotonic() + 60)
    assert found.verdict is Verdict.UNSCANNABLE, found


@pytest.mark.parametrize("kind", HTTP)
def test_a_chunk_of_less_than_nothing(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert word_for(kind, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}") == "nonsense"
    assert "Traceback" not in caplog.text


def test_an_icap_server_that_says_nothing() -> None:
    """Neither a threat nor content: that is no virus."""
    assert word_for("icap", b"ICAP/1.0 200 OK\r\n\r\n") == "nonsense"
