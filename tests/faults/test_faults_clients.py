"""MTAs that vanish, hang, or send what no MTA sends, while others send mail: nobody else gets a wrong answer."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.load import Load
from support.milter_client import ALL_ACTIONS, ALL_STEPS, Gone, MilterClient
from support.patience import until

POLICY = """
function mod:validate_connect(ac, vctx) end
function mod:validate_ehlo(str, ac, vctx) end
function mod:validate_mailfrom(str, ac, vctx) if tostring(str) == "slow@x.test" then msys.sleep(0.3) end end
function mod:validate_rcptto(msg, str, ac, vctx) vctx:set(msys.core.VCTX_MESS, "rcpt", tostring(str)) end
function mod:validate_rcptto_list(list, vctx) end
function mod:validate_data(msg) msg:header('X-Seen', '1') end
"""
VANISH = int(os.environ.get("LUMILTER_VANISH", "1500"))
"""Sessions; bench/SOAK.md has longer runs."""
WIRES = pytest.mark.parametrize("wire", ["python", "libmilter"])
NASTY = b"\xff\xfe\x80 \xe9\x01\x7f\xc3"

Serving = Callable[..., Daemon]
Loading = Callable[..., Load]


def packets() -> list[bytes]:
    """A session as an MTA sends it, packet by packet."""

    def packet(command: bytes, data: bytes = b"") -> bytes:
        return struct.pack("!I", len(data) + 1) + command + data

    return [
        packet(b"O", struct.pack("!III", 6, ALL_ACTIONS, ALL_STEPS)),
        packet(b"D", b"Cj\0mx.test\0{client_addr}\x00192.0.2.1\0"),
        packet(b"C", b"client.test\x004" + struct.pack("!H", 4000) + b"192.0.2.1\0"),
        packet(b"H", b"client.test\0"),
        packet(b"M", b"<a@x.test>\0SIZE=10\0"),
        packet(b"R", b"<b@y.test>\0"),
        packet(b"T"),
        packet(b"L", b"Subject\0 x\0"),
        packet(b"N"),
        packet(b"B", b"x\r\n"),
        packet(b"E"),
        packet(b"Q"),
    ]


def connection(tmp_path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(tmp_path / "m.sock"))
    return client


def is_right(tmp_path: Path) -> bool:
    with MilterClient(str(tmp_path / "m.sock")) as client:
        client.negotiate()
        client.connect()
        client.helo()
        right = bool(client.message().edits)
        client.quit()
        return right


def settled(daemon: Daemon, before: tuple[int, ...]) -> bool:
    """Descriptors are as few as before."""
    return all(now <= then for now, then in zip(descriptors(daemon), before, strict=True))


def descriptors(daemon: Daemon) -> tuple[int, ...]:
    return tuple(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (daemon.pid, *daemon.workers))


@WIRES
def test_sessions_that_vanish_anywhere(serving: Serving, load: Loading, tmp_path: Path, wire: str) -> None:
    parts, chance = packets(), random.Random(1)
    with serving(POLICY, f'wire = "{wire}"\n') as daemon:
        assert is_right(tmp_path)
        before = descriptors(daemon)
        with load("-c", 2, "-d", VANISH / 300) as running:
            for number in range(VANISH):
                sent = b"".join(parts[: chance.randrange(len(parts))])
                if number % 3 == 0:
                    sent = sent[: chance.randrange(len(sent) + 1)]  # in the middle of a packet
                if number % 7 == 0:
                    sent = sent.replace(b"<a@x.test>", b"<slow@x.test>")  # while a hook waits
                with connection(tmp_path) as client:
                    client.sendall(sent)
                    if number % 2 and len(sent) > len(parts[0]):
                        client.recv(10)  # the rest is never read
        running.all_right()
        assert len(daemon.workers) == 1
        until(lambda: settled(daemon, before))


@WIRES
def test_packets_that_are_cut_anywhere_come_together(serving: Serving, tmp_path: Path, wire: str) -> None:
    whole = b"".join(packets()[:-1])
    with serving(POLICY, f'wire = "{wire}"\n'):
        for cut in range(1, len(whole), 1 if wire == "python" else 7):
            with connection(tmp_path) as client:
                client.sendall(whole[:cut])
                client.sendall(whole[cut:])
                got = b""
                while b"X-Seen" not in got or not got.endswith((b"\0\0\0\1c", b"\0\0\0\1a")):
                    more = client.recv(65536)
                    assert more, got
                    got += more


def test_garbage_ends_its_own_connection_only(serving: Serving, load: Loading, tmp_path: Path) -> None:
    parts, chance = packets(), random.Random(2)
    garbage = [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\0\0\0\1?",
        b"\0\0\0\5Mabcd",
        b"GET / HTTP/1.1\r\n\r\n",
        *(bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200))) for _ in range(200)),
    ]
    with serving(POLICY) as daemon:
        before = descriptors(daemon)
        with load("-c", 4, "-d", 4) as running:
            for junk in garbage:
                for start in (b"", parts[0], b"".join(parts[: chance.randrange(len(parts))])):
                    with connection(tmp_path) as client:
                        try:
                            client.sendall(start + junk)
                            client.shutdown(socket.SHUT_WR)
                            while client.recv(65536):
                                pass
                        except (BrokenPipeError, ConnectionResetError):
                            pass
        running.all_right()
        until(lambda: settled(daemon, before))


def test_half_open_and_slow_connections(serving: Serving, load: Loading, tmp_path: Path) -> None:
    with serving(POLICY, "timeout = 4\n") as daemon:
        silent = [connection(tmp_path) for _ in range(50)]
        greeted = [MilterClient(str(tmp_path / "m.sock")) for _ in range(50)]
        for client in greeted:
            client.negotiate()
            client.connect()
        with load("-c", 4, "-d", 5) as running:
            with connection(tmp_path) as slow:  # a byte now and then is a sign of life
                for byte in b"".join(packets()[:3]):
                    slow.sendall(bytes([byte]))
                    time.sleep(0.005)
                assert slow.recv(100)
            for client in silent:
                assert client.recv(1) == b""  # given up
            for client in greeted:
                with pytest.raises(Gone):
                    client.receive()
        running.all_right()
        assert "has been silent for" in daemon.log


def test_any_byte_anywhere(serving: Serving, load: Loading, tmp_path: Path) -> None:
    with serving(POLICY) as daemon, load("-c", 2, "-d", 3) as running:
        for raw in (NASTY, b"a\0b", b"\0", b"\xff" * 5000, b"=?utf-8?q?=ff?=", b"\r\n.\r\n"):
            text = raw.replace(b"\0", b"")
            with MilterClient(str(tmp_path / "m.sock")) as client:
                client.negotiate()
                client.macros("C", {"j": text, "{client_addr}": text, text.decode("latin-1"): "x"})
                assert client.connect(text, "U").kind == "continue"
                assert client.helo(text).kind == "continue"
                assert client.mail(b"<" + text + b">", b"X=" + text).kind == "continue"
                assert client.rcpt(b"<" + text + b">", text).kind == "continue"
                assert client.data().kind == "continue"
                client.header(text or b"X", raw)
                client.header(b"Subject", text)
                client.eoh()
                client.body(raw)
                assert client.eom().edits
                client.quit()
    running.all_right()
    assert "Traceback" not in daemon.log


def test_large_messages(serving: Serving, load: Loading, tmp_path: Path) -> None:
    with serving(POLICY) as daemon, load("-c", 2, "-d", 4) as running:
        (worker,) = daemon.workers
        with MilterClient(str(tmp_path / "m.sock"), timeout=60) as client:
            client.negotiate()
            client.connect()
            client.helo()
            assert client.message(headers=((b"X", b" y"),) * 100_000).edits
            assert client.message(headers=((b"X", b" " + b"y" * 1_000_000),)).edits
            assert client.message(body=b"x" * 100_000_000).edits
            peak = int(Path(f"/proc/{worker}/status").read_text().partition("RssAnon:")[2].split()[0])
            client.quit()
        assert peak < 150_000, peak  # kB: the body is in a file
    running.all_right()
