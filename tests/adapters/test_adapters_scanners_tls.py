"""Every engine that can speaks TLS with its server, and none with a server that is another one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lumilter.adapters.peer import Secured
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import Special
from lumilter.adapters.tls import context_of
from lumilter.config.address import SocketAddress
from lumilter.config.sections.scanners import _ONLY
from support.certificates import Authority
from support.scanners import scanner
from support.scripted_server import Talk, scripted
from support.tls_front import tls_front

MESSAGE = b"Subject: x\r\n\r\n" + b"body\r\n" * 100_000 + b"the very end\r\n"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
REPLIES = {
    "rspamd": b'{"score": 20, "required_score": 15, "action": "reject", "symbols": {}}',
    "cloudmark": b'{"score": 99}',
    "ctasd": b"X-CTCH-PVer: 0000001\r\nX-CTCH-Spam: Confirmed\r\nX-CTCH-VOD: Unknown\r\nX-CTCH-RefID: x\r\n",
}
ANSWERS = {
    **{kind: HTTP % (len(reply), reply) for kind, reply in REPLIES.items()},
    "spamd": b"SPAMD/1.1 0 EX_OK\r\nContent-length: 4\r\nSpam: True ; 7.1 / 5.0\r\n\r\nRULE",
    "icap": b"ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Some.Virus;\r\n\r\n",
}
OPTIONS = b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n"


def answer(kind: str, talk: Talk, number: int) -> None:
    """Read the whole request, and answer it."""
    heard = b""
    if kind == "icap" and number % 2 == 0:
        talk.sock.recv(65536)
        talk.sock.sendall(OPTIONS)
        return
    wanted = MESSAGE[-14:] + {"icap": b"\r\n0\r\n\r\n"}.get(kind, b"")
    while wanted not in heard[-65536 * 2 :]:
        if not (data := talk.sock.recv(65536)):
            return
        heard += data
    talk.sock.sendall(ANSWERS[kind])
    if kind in REPLIES:  # the end of a form may still come
        talk.wait()


def scanned(kind: str, address: SocketAddress, ca: Path) -> Result:
    server = Secured(address, context_of(str(ca)))
    scan = scanner(kind, [server], special=Special(service="avscan"), timeout=60, retries=0)
    return scan.scan(Sample((MESSAGE,)), time.monotonic() + 60)


def test_every_kind_that_can_is_tried() -> None:
    assert set(_ONLY["tls"]) == set(ANSWERS)


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer(kind: str, authority: Authority) -> None:
    files = authority.certificate("localhost")
    with (
        scripted(lambda talk, number: answer(kind, talk, number)) as server,
        tls_front(server.server.address, files) as address,
    ):
        found = scanned(kind, address, authority.file)
    assert found.verdict is (Verdict.INFECTED if kind == "icap" else Verdict.SPAM)


@pytest.mark.parametrize("kind", ANSWERS)
def test_another_server(kind: str, authority: Authority) -> None:
    """It is down: another server of the scanner may be the right one."""
    files = authority.certificate("mx.example.com")
    with (
        scripted(lambda talk, number: talk.wait()) as server,
        tls_front(server.server.address, files) as address,
        pytest.raises(ScanError) as error,
    ):
        scanned(kind, address, authority.file)
    assert error.value.word == "down"
    assert "(TLS): the certificate of localhost is not accepted: Hostname mismatch" in str(error.value)
    assert all(not talk.heard for talk in server.talks)


def test_a_server_that_answers_early(authority: Authority) -> None:
    """c-icap does; both directions are open at the same time then."""
    body = b"x" * 30_000_000

    def talk(talk: Talk, number: int) -> None:
        talk.sock.recv(65536)
        if number == 0:
            talk.sock.sendall(OPTIONS)
            return
        head = b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        talk.sock.sendall(head + b"%x\r\n" % len(body))
        for at in range(0, len(body), 1 << 20):
            talk.sock.sendall(body[at : at + (1 << 20)])
            talk.sock.recv(1 << 20)
        talk.sock.sendall(b"\r\n0\r\n\r\n")
        talk.wait()

    with (
        scripted(talk) as server,
        tls_front(server.server.address, authority.certificate("localhost")) as address,
    ):
        secured = Secured(address, context_of(str(authority.file)))
        scan = scanner("icap", [secured], special=Special(service="avscan"), timeout=60, retries=0)
        assert scan.scan(Sample((body,)), time.monotonic() + 60).verdict is Verdict.CLEAN
