"""adapters.tls: whose certificate is accepted, what a handshake may take, and two threads on one connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.peer import Secured
from lumilter.adapters.scanners.contract import ScanError
from lumilter.adapters.scanners.link import Link
from lumilter.adapters.tls import TlsError, context_of
from lumilter.config.address import SocketAddress
from support.certificates import Authority
from support.scripted_server import Talk, scripted
from support.tls_front import tls_front


def soon() -> float:
    return time.monotonic() + 60


def echo(talk: Talk, number: int) -> None:
    """Give everything back until the client is silent for good."""
    while data := talk.sock.recv(65536):
        talk.sock.sendall(data)


@pytest.fixture(scope="module")
def echoing() -> Iterator[SocketAddress]:
    with scripted(echo) as server:
        yield server.server.address


def linked(address: SocketAddress, ca: Path, deadline: float | None = None) -> Link:
    return Link(Secured(address, context_of(str(ca))), deadline or soon())


def test_a_good_certificate(echoing: SocketAddress, authority: Authority) -> None:
    with (
        tls_front(echoing, authority.certificate("localhost")) as address,
        linked(address, authority.file) as link,
    ):
        link.sendall(b"hello\r\n")
        assert link.line() == b"hello"


def test_certificates_that_are_not_accepted(echoing: SocketAddress, authority: Authority, tmp_path: Path) -> None:
    """A wrong name, an expired one, an unknown authority, and nothing but what the system trusts."""
    old, other = Authority.make(tmp_path / "old"), Authority.make(tmp_path / "other")
    cases = [
        (authority.certificate("mx.example.com"), authority.file, "Hostname mismatch"),
        (old.certificate("localhost", days=-1), old.file, "certificate has expired"),
        (authority.certificate("localhost"), other.file, "unable to get local issuer certificate"),
        (authority.certificate("localhost"), None, "unable to get local issuer certificate"),
    ]
    for files, ca, problem in cases:
        with tls_front(echoing, files) as address:
            with pytest.raises(TlsError, match="the certificate of localhost is not accepted: ") as error:
                Link(Secured(address, context_of(str(ca) if ca else "")), soon())
            assert problem in str(error.value)


def test_a_client_with_a_certificate(echoing: SocketAddress, authority: Authority) -> None:
    certificate, key = authority.certificate("client.example")
    with tls_front(echoing, authority.certificate("localhost"), authority.file) as address:
        ours = context_of(str(authority.file), str(certificate), str(key))
        with Link(Secured(address, ours), soon()) as link:
            link.sendall(b"hello\r\n")
            assert link.line() == b"hello"
        with pytest.raises((OSError, ScanError)), linked(address, authority.file) as link:
            link.sendall(b"hello\r\n")
            link.line()


def test_a_server_without_tls(echoing: SocketAddress, authority: Authority) -> None:
    with pytest.raises(TlsError, match="no TLS: "):
        linked(echoing, authority.file)
    with scripted(lambda talk, number: None) as server, pytest.raises(OSError, match=r"no TLS: |reset"):
        linked(server.server.address, authority.file)


def test_a_handshake_ends_by_the_deadline(authority: Authority) -> None:
    """The server says nothing, or a byte of it now and then."""

    def talk(talk: Talk, number: int) -> None:
        talk.sock.recv(65536)
        while number:
            talk.sock.sendall(b"\x16")
            time.sleep(0.02)
        talk.wait()

    with scripted(talk) as server:
        with pytest.raises(TimeoutError):
            linked(server.server.address, authority.file, time.monotonic() + 0.3)
        with pytest.raises(OSError, match=r"in time|timed out|no TLS"):
            linked(server.server.address, authority.file, time.monotonic() + 0.5)


def test_a_record_that_comes_byte_by_byte(authority: Authority) -> None:
    """Each byte must not be given the whole time anew."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.certificate("localhost"))

    def talk(talk: Talk, number: int) -> None:
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(coming, going, server_side=True)
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            talk.sock.sendall(going.read())
            coming.write(talk.sock.recv(65536))
        tls.write(b"x" * 16000)
        for byte in going.read():
            talk.sock.sendall(bytes((byte,)))
            time.sleep(0.01)

    with scripted(talk) as server:
        place = SocketAddress("inet", host="localhost", port=server.server.address.port)
        with pytest.raises(TimeoutError), linked(place, authority.file, time.monotonic() + 1) as link:
            link.rest(100)


def test_much_in_both_directions_at_once(echoing: SocketAddress, authority: Authority) -> None:
    """More than any buffer on the way holds: who only sent, or only read, would wait for ever."""
    sent = bytes(range(256)) * 80_000
    with (
        tls_front(echoing, authority.certificate("localhost")) as address,
        linked(address, authority.file) as link,
    ):
        sender = threading.Thread(target=link.sendall, args=(sent,))
        sender.start()
        assert link.reader.read(len(sent)) == sent
        sender.join()


def test_an_answer_stops_what_is_sent(authority: Authority) -> None:
    """The session tickets that come right after a handshake are no answer."""

    gate = threading.Event()

    def talk(talk: Talk, number: int) -> None:
        gate.wait(60)
        talk.say(b"enough")
        echo(talk, number)

    with (
        scripted(talk) as server,
        tls_front(server.server.address, authority.certificate("localhost")) as address,
        linked(address, authority.file) as link,
    ):
        time.sleep(0.2)  # for the tickets to be there, if there is no load
        assert link.deliver([b"a", b"b", b"c"])
        gate.set()
        until = soon()
        while link.deliver([b"d"]):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert link.line() == b"enough"


def test_a_connection_that_is_cut_off(authority: Authority) -> None:
    def talk(talk: Talk, number: int) -> None:
        talk.sock.recv(100)
        talk.sock.sendall(b"half")

    with (
        scripted(talk) as server,
        tls_front(server.server.address, authority.certificate("localhost")) as address,
        linked(address, authority.file) as link,
    ):
        link.sendall(b"x")
        assert link.rest(100) == b"half"
        link.end()
        link.hang_up()


def test_files_that_can_not_be_used(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    certificate, _ = authority.certificate("localhost")
    with pytest.raises(OSError, match=f"ca_file {tmp_path}/none.pem can't be used: No such file"):
        context_of(f"{tmp_path}/none.pem")
    with pytest.raises(OSError, match=rf"ca_file {tmp_path}/junk.pem can't be used: "):
        context_of(f"{tmp_path}/junk.pem")
    with pytest.raises(OSError, match=rf"certificate .* with {tmp_path}/junk.pem can't be used: "):
        context_of(str(authority.file), str(certificate), f"{tmp_path}/junk.pem")


def test_nobody_is_asked_for_a_pass_phrase(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.certificate("localhost")
    closed = tmp_path / "closed.key"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", str(key), "-out", str(closed)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(OSError, match="the private key has a pass phrase"):
        context_of("", str(certificate), str(closed))


def test_the_socket_is_closed_where_there_is_no_tls(authority: Authority) -> None:
    gone = threading.Event()

    def talk(talk: Talk, number: int) -> None:
        talk.sock.sendall(b"220 plain\r\n")
        talk.wait()
        gone.set()

    with scripted(talk) as server:
        with pytest.raises(OSError, match=r"no TLS|reset"):
            linked(server.server.address, authority.file)
        assert gone.wait(60)


def test_plain_connections_load_no_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = SocketAddress("inet", host="127.0.0.1", port=server.getsockname()[1])
        with Link(address, soon()) as link:
            assert isinstance(link.sock, socket.socket)
