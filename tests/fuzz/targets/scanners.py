"""scanners: whatever a server of any kind says is a result, or a ScanError that fits into a log line, in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, soup
from lumilter.adapters.scanners import cloudmark, ctasd, icap, rspamd, spamd
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import KINDS, Special
from lumilter.adapters.scanners.scanner import Scanner, Terms
from lumilter.api.opinions import read
from lumilter.config.address import SocketAddress

PIECES = [
    "HTTP/1.1 200 OK", "HTTP/1.0 500 no", "HTTP/1.1 100 Continue", "ICAP/1.0 200 OK", "ICAP/1.0 204 none",
    "ICAP/1.0 100 ", "SPAMD/1.1 0 EX_OK", "SPAMD/1.5 79 EX_TIMEOUT", "stream: OK", "stream: A FOUND", " ERROR",
    "\r\n", "\r\n\r\n", "\n", "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999",
    "Transfer-Encoding: chunked", "Encapsulated: res-hdr=0, res-body=5", "Encapsulated: null-body=0", "Preview: 0",
    "Preview: 1024", "Methods: RESPMOD", "X-Infection-Found: Type=0; Resolution=2; Threat=A;", "X-Virus-ID: ",
    "Spam: True ; 7.1 / 5.0", "Spam: nan ; nan / 0", '{"score": 1', ', "action": "reject"', ', "symbols": {"A": {}}',
    "}", "NaN", "1e999", "null", "[", "\\u0000", "X-CTCH-Spam: Confirmed", "X-CTCH-VOD: High", "X-CTCH-Error: x",
    ": ", "5", "0", "ffffffff", "hello", "\0", "\u00fc",
]  # fmt: skip
ANSWER = soup(PIECES, 14).map(lambda text: text.encode("latin-1", "replace")) | BYTES


def good(result: Result) -> None:
    assert result.verdict in set(Verdict)
    assert "\n" not in result.info + str(result.code)
    assert all("\n" not in text for text in (*result.rules, *result.details.values()))
    assert result.score is None or -1e16 < result.score < 1e16


@target(ANSWER, st.dictionaries(soup(PIECES, 2), soup(PIECES, 2), max_size=4), st.integers(0, 999), examples=400)
def texts(body: bytes, fields: dict[str, str], status: int) -> None:
    """Any body and any fields are a result, or a ScanError of one line."""
    for parse in (
        rspamd.result_of,
        cloudmark.result_of,
        ctasd.result_of,
        lambda body: spamd.result_of(fields, body),
        lambda body: icap.verdict_of(
            {name.lower(): value.replace("\n", " ") for name, value in fields.items()}, status
        ),
    ):
        try:
            good(parse(body))
        except ScanError as error:
            assert error.word in ("nonsense", "refused")
            assert "\n" not in str(error)
    read(body.decode("utf-8", "replace"))


class Liar:
    """A server that says what it is told to, once it has heard something."""

    def __init__(self) -> None:
        self.answers = [b""]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = SocketAddress("inet", host="127.0.0.1", port=self._listener.getsockname()[1])
        self._count = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock, suppress(OSError):
                    sock.settimeout(5)
                    sock.recv(4096)
                    sock.sendall(self.answers[self._count % len(self.answers)])
                    self._count += 1
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def liar() -> Iterator[Liar]:
    lying = Liar()
    try:
        yield lying
    finally:
        lying.close()


@target(
    st.sampled_from([kind for kind in KINDS if kind != "command"]),
    st.lists(ANSWER, min_size=1, max_size=2),
    st.integers(0, 3000),
    using=liar,
    examples=60,
)
def servers(lying: Liar, kind: str, answers: list[bytes], size: int) -> None:
    """Whatever a server says is a result or a ScanError of one line, and a scan ends by its deadline."""
    lying.answers = answers
    scan = Scanner(
        kind, KINDS[kind](Special(service="x")), [lying.address], Terms(timeout=2, retries=0, failures=0, cache=0)
    )
    began = time.monotonic()
    try:
        good(scan.scan(Sample((b"x" * size,)), began + 4))
    except ScanError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 500
    assert time.monotonic() - began < 30
