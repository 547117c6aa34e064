"""bench/miltload.c: that it builds, tells a real filter what Postfix would, and reports what came back.

The law: the filter is libmilter's, in a process of its own; only what no good filter does (to vanish, to break the
protocol) comes from a socket of the test.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import Ran
from support.ports import free_port

BENCH = Path(__file__).parents[1] / "bench"

FILTER = """
import sys
import Milter

class Filter(Milter.Base):
    def envfrom(self, sender, *rest):
        self.sender, self.seen, self.size = sender, [], 0
        return Milter.REJECT if "reject" in sender else Milter.CONTINUE
    def envrcpt(self, recipient, *rest):
        if "later" in recipient:
            self.setreply("451", "4.7.1", "not now")
            return Milter.TEMPFAIL
        return Milter.CONTINUE
    @Milter.noreply
    def header(self, name, value):
        self.seen.append(name)
        return Milter.CONTINUE
    def body(self, chunk):
        self.size += len(chunk)
        return Milter.SKIP if "skip" in self.sender else Milter.CONTINUE
    def eom(self):
        if "discard" in self.sender:
            return Milter.DISCARD
        i, size, client = self.getsymval("i"), self.size, self.getsymval("{client_addr}")
        self.addheader("X-Seen", f"{self.seen[3]} {len(self.seen)} {size} {i} {client}")
        return Milter.ACCEPT if "accept" in self.sender else Milter.CONTINUE

Milter.factory = Filter
Milter.set_flags(Milter.ADDHDRS)
Milter.runmilter("filter", sys.argv[1], timeout=60)
"""

Miltload = Callable[..., Ran]


@pytest.fixture(scope="module")
def miltload(tmp_path_factory: pytest.TempPathFactory) -> Miltload:
    program = tmp_path_factory.mktemp("miltload") / "miltload"
    sources = sorted(BENCH.glob("*.c"))
    subprocess.run(["gcc", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, *sources], check=True)

    def run(*arguments: object) -> Ran:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module", params=["unix", "inet"])
def filter_at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the filter listens."""
    if request.param == "unix":
        path = tmp_path_factory.mktemp("filter") / "s"
        where, family, target = f"unix:{path}", socket.AF_UNIX, str(path)
    else:
        port = free_port()
        where, family, target = f"inet:{port}@127.0.0.1", socket.AF_INET, ("127.0.0.1", port)
    with subprocess.Popen([sys.executable, "-c", FILTER, where]) as process:
        try:
            until = time.monotonic() + 20
            while True:
                with socket.socket(family) as probe:
                    if probe.connect_ex(target) == 0:
                        break
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.02)
            yield where
        finally:
            process.kill()


def test_sends_as_many_messages_as_it_was_told(miltload: Miltload, filter_at: str) -> None:
    ran = miltload("-c", 4, "-n", 50, "-N", filter_at)
    assert (ran.status, ran.err) == (0, "")
    found = ran.json
    assert found["messages"] == found["sent"] == found["connections"] == 50
    assert found["verdicts"] == {"continue": 50, "accept": 0, "reject": 0, "tempfail": 0, "discard": 0}
    assert found["edits"]["add_header"] == 50 and sum(found["edits"].values()) == 50
    assert [found[name] for name in ("wrong", "errors", "resets", "refused", "timeouts")] == [0] * 5
    latency = found["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]
    assert found["messages_per_second"] == pytest.approx(50 / found["seconds"], rel=0.1)


def test_several_messages_in_one_connection(miltload: Miltload, filter_at: str) -> None:
    ran = miltload("-k", 7, "-n", 20, "-N", filter_at)
    assert (ran.status, ran.json["messages"], ran.json["connections"]) == (0, 20, 3)


def test_runs_for_a_time_after_a_warm_up(miltload: Miltload, filter_at: str) -> None:
    ran = miltload("-c", 2, "-w", 0.2, "-d", 0.3, "-N", filter_at)
    found = ran.json
    assert (ran.status, found["seconds"]) == (0, 0.3)
    assert 0 < found["messages"] < found["sent"]
    assert found["messages"] - 2 <= found["edits"]["add_header"] <= found["messages"] + 2


@pytest.mark.parametrize("verdict", ["reject", "discard", "accept"])
def test_counts_verdicts(miltload: Miltload, filter_at: str, verdict: str) -> None:
    ran = miltload("-n", 3, "-f", f"{verdict}@client.example", "-x", verdict, "-N", filter_at)
    assert (ran.status, ran.json["verdicts"][verdict], ran.json["wrong"]) == (0, 3, 0)


def test_accept_is_what_continue_expects(miltload: Miltload, filter_at: str) -> None:
    assert miltload("-n", 1, "-f", "accept@client.example", "-N", filter_at).status == 0


def test_another_verdict_than_expected_is_printed_and_fails(miltload: Miltload, filter_at: str) -> None:
    ran = miltload("-n", 2, "-v", "-t", "later@mx.test", "-N", filter_at)
    assert (ran.status, ran.json["wrong"], ran.json["verdicts"]["tempfail"]) == (1, 2, 2)
    assert ran.json["rejected_recipients"] == 2
    assert ran.err.splitlines() == [
        f"miltload: message {number}: tempfail at R, expected continue: 451 4.7.1 not now" for number in (1, 2)
    ]


def test_skip_ends_the_body(miltload: Miltload, filter_at: str) -> None:
    ran = miltload("-n", 2, "-b", 300_000, "-p", 1000, "-f", "skip@client.example", "-N", filter_at)
    assert (ran.status, ran.json["skips"], ran.json["edits"]["add_header"]) == (0, 2, 2)


def test_large_bodies_without_a_pause(miltload: Miltload, filter_at: str) -> None:
    assert miltload("-c", 3, "-n", 6, "-b", 3_000_000, "-N", filter_at).status == 0


def test_bad_usage(miltload: Miltload) -> None:
    wrong = (["-c", 0, "unix:/x"], ["-x", "fine", "unix:/x"], ["-n", 1, "-d", 1, "unix:/x"], ["elsewhere"], [], ["-?"])
    for arguments in wrong:
        assert miltload(*arguments).status == 64, arguments


class BadFilter:
    """A filter that answers the negotiation with all-silent terms, and anything else as `answer` does.

    answer: called with the number of the connection and the connection once the end of a message was seen; what it
    returns is sent, None closes.
    """

    def __init__(self, path: Path, answer: Callable[[int], bytes | None]) -> None:
        self.where, self.packets, self._answer = f"unix:{path}", [], answer
        self.packets: list[list[bytes]]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> BadFilter:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                self.packets.append([])
                while header := stream.read(4):
                    packet = stream.read(struct.unpack("!I", header)[0])
                    self.packets[-1].append(packet)
                    if packet[:1] == b"O":
                        connection.sendall(self.packet(b"O" + struct.pack("!III", 6, 0x1, 0x1FF880)))
                    elif packet[:1] == b"E":
                        answer = self._answer(len(self.packets))
                        if answer is None:
                            break
                        connection.sendall(answer)

    @staticmethod
    def packet(data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + data


def test_says_what_postfix_says(miltload: Miltload, tmp_path: Path) -> None:
    with BadFilter(tmp_path / "s", lambda number: BadFilter.packet(b"c")) as peer:
        assert miltload("-n", 2, "-k", 2, "-r", 2, "-b", 1500, "-p", 1000, peer.where).status == 0
    (packets,) = peer.packets
    message = "MRRT" + 13 * "L" + "NBBE" + "A"
    assert b"".join(p[:1] for p in packets if p[:1] != b"D").decode() == "OCH" + message + message + "Q"
    assert packets[0] == b"O" + struct.pack("!III", 6, 0x1FF, 0x1FFFFF)
    assert packets[2] == b"Cclient.example\x004\x9c\x40192.0.2.1\0"
    assert [p[:2] for p in packets if p[:1] == b"D"][:6] == [b"DC", b"DH", b"DM", b"DR", b"DR", b"DT"]
    assert b"L" + b"From\0 sender@client.example\0" in packets
    assert b"R<user@mx.test>\0" in packets and b"M<sender@client.example>\0BODY=8BITMIME\0" in packets
    assert sum(len(p) - 1 for p in packets if p[:1] == b"B") == 2 * 1500
    assert len({p for p in packets if p[:2] == b"DE"}) == 2, "each message has an id of its own"


def test_a_lost_connection_ends_the_run_or_is_counted(miltload: Miltload, tmp_path: Path) -> None:
    with BadFilter(tmp_path / "s", lambda number: BadFilter.packet(b"c") if number % 3 else None) as peer:
        ran = miltload("-n", 10, "-v", peer.where)
        assert (ran.status, ran.json["resets"], ran.json["messages"]) == (2, 1, 2)
        assert ran.err == "miltload: message 3: the filter closed the connection\n"
        ran = miltload("-n", 10, "-g", peer.where)
        assert (ran.status, ran.json["messages"], ran.err) == (0, 10, "")
        assert ran.json["resets"] >= 3 and ran.json["sent"] == 10 + ran.json["resets"]


def test_nobody_listens(miltload: Miltload, tmp_path: Path) -> None:
    ran = miltload("-n", 1, f"unix:{tmp_path}/none")
    assert (ran.status, ran.json["refused"], ran.json["messages"]) == (2, 1, 0)
    ran = miltload("-n", 1, "-g", "-o", "0.2", f"unix:{tmp_path}/none")
    assert (ran.status, ran.json["refused"] > 1) == (1, True)


def test_silence_is_a_timeout(miltload: Miltload, tmp_path: Path) -> None:
    with BadFilter(tmp_path / "s", lambda number: b"") as peer:
        ran = miltload("-n", 1, "-o", "0.2", peer.where)
        assert (ran.status, ran.json["timeouts"]) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\0\0\0\1z", "unknown: reply z"),
        (b"\0\0\0\0", "an impossible length"),
        (b"\xff\xff\xff\xff", "an impossible length"),
        (b"\0\0\0\2cx", "data where none belongs: reply c"),
        (b"\0\0\0\1c\0\0\0\1c", "bytes behind the reply that ended the message"),
        (b"\0\0\0\5bdata", "an edit that was not negotiated: reply b"),
        (b"\0\0\0\5y250 ", "no SMTP reply in it: reply y"),
        (b"\0\0\0\1s", "a skip out of place: reply s"),
    ],
)
def test_breaking_the_protocol_fails(miltload: Miltload, tmp_path: Path, answer: bytes, why: str) -> None:
    with BadFilter(tmp_path / "s", lambda number: answer) as peer:
        ran = miltload("-n", 1, peer.where)
        assert (ran.status, ran.json["errors"], ran.json["messages"]) == (2, 1, 0)
        assert why in ran.err
