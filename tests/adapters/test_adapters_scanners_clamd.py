"""clamd: a real one, with signatures that the tests made; what a broken one says; pyclamd as it is used here."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.scanners.contract import Sample, ScanError, Verdict
from support.clamd import CUSTOM, EICAR, HASHED, Clamd, clamd
from support.scanners import scanner
from support.scripted_server import Talk, scripted


@pytest.fixture(scope="module")
def running() -> Iterator[Clamd]:
    """In /tmp: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="lumilter-clamd-", dir="/tmp") as name, clamd(Path(name)) as made:
        yield made


def soon() -> float:
    return time.monotonic() + 60


@pytest.mark.parametrize("where", ["unix", "tcp"])
@pytest.mark.parametrize(
    ("content", "verdict", "info", "code"),
    [
        (b"hello", Verdict.CLEAN, "", "OK"),
        (b"", Verdict.CLEAN, "", "OK"),
        (EICAR, Verdict.INFECTED, "Test.EICAR.UNOFFICIAL", "FOUND"),
        (b"words " * 50_000 + CUSTOM, Verdict.INFECTED, "Test.Custom-1.UNOFFICIAL", "FOUND"),
        (HASHED, Verdict.INFECTED, "Test.Hashed.UNOFFICIAL", "FOUND"),
        (b"x" * 6_000_000, Verdict.UNSCANNABLE, "more than clamd's StreamMaxLength", "ERROR"),
    ],
    ids=["clean", "empty", "eicar", "custom", "hash", "too-long"],
)
def test_what_clamd_finds(running: Clamd, where: str, content: bytes, verdict: Verdict, info: str, code: str) -> None:
    scan = scanner("clamd", [getattr(running, where)], timeout=60, cache=0)
    pieces = (content[:7], b"", memoryview(content)[7:])
    found = scan.scan(Sample(pieces), soon())
    assert (found.verdict, found.info, found.code) == (verdict, info, code)


def test_a_message_with_a_virus_in_base64(running: Clamd) -> None:
    import base64

    message = (
        b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(EICAR)
        + b"\r\n--b--\r\n"
    )
    assert scanner("clamd", [running.unix]).scan(Sample((message,)), soon()).info == "Test.EICAR.UNOFFICIAL"


def test_what_it_could_not_look_into_is_not_clean(running: Clamd) -> None:
    """An archive in an archive, beyond MaxRecursion: clamd gives that a name."""
    import io
    import zipfile

    content = b"x"
    for _ in range(20):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner.zip", content)
        content = made.getvalue()
    found = scanner("clamd", [running.unix], timeout=60).scan(Sample((content,), whole=False), soon())
    assert found.verdict is Verdict.UNSCANNABLE, found
    assert found.info.startswith("Heuristics.Limits.Exceeded")


@pytest.mark.parametrize(
    ("answer", "word", "text"),
    [
        (b"stream: OK", "nonsense", "half an answer"),
        (b"", "nonsense", "closed before the answer"),
        (b"HTTP/1.1 400 Bad Request\r\n", "nonsense", "not an answer of clamd: HTTP/1.1 400 Bad Request"),
        (b"\xff\0\x01\n", "nonsense", "not an answer of clamd"),
        (b"UNKNOWN COMMAND\n", "nonsense", "not an answer of clamd: UNKNOWN COMMAND"),
        (b"x" * 100_000 + b"\n", "nonsense", "more than a line"),
        (b"stream: Can't allocate memory ERROR\n", "refused", "Can't allocate memory"),
        (b"COMMAND READ TIMED OUT ERROR\n", "refused", ""),
    ],
)
def test_what_a_broken_one_says(answer: bytes, word: str, text: str) -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.sock.recv(65536)
        talk.sock.sendall(answer)

    with scripted(talk) as server:
        scan = scanner("clamd", [server.server.address], retries=0, timeout=30)
        with pytest.raises(ScanError) as caught:
            scan.scan(Sample((b"x",)), soon())
    assert caught.value.word == word
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"clamd at {server.server.address}: ")


def test_an_answer_in_pieces_is_one_answer() -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.sock.recv(65536)
        for byte in b"stream: A.Virus FOUND\n":
            talk.sock.sendall(bytes([byte]))

    with scripted(talk) as server:
        found = scanner("clamd", [server.server.address], timeout=30).scan(Sample((b"x",)), soon())
    assert (found.verdict, found.info) == (Verdict.INFECTED, "A.Virus")


def test_pyclamds_own_sockets_have_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why they are not used: the timeout of an operation is taken five times before it is an error."""
    import pyclamd

    timeouts: list[float] = []
    monkeypatch.setattr(pyclamd.pyclamd.time, "sleep", timeouts.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = pyclamd.ClamdNetworkSocket("127.0.0.1", server.getsockname()[1], timeout=0.05)
        with pytest.raises(pyclamd.ConnectionError):
            client.scan_stream(b"x")
    assert len(timeouts) == 5
