"""adapters.outbox: mail that waits in a directory is sent, once, whatever fails meanwhile."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.outbox import Outbox, OutboxError, Runner
from lumilter.adapters.outbox_file import BadFile, Envelope, Stored
from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
from support.scripted_server import Talk, scripted

MILTER = str(Path(__file__).parents[2] / "milter")
TEXT = b"Subject: a\r\n\r\nsecret\r\n"


def until(true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


class Server:
    """Keeps (recipients, content) of messages. replies: to a recipient, to MAIL or to the dot, instead of 250."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], bytes]] = []
        self.replies: dict[str, str] = {}
        self.connections = 0

    def __call__(self, talk: Talk, number: int) -> None:
        self.connections += 1
        talk.hello()
        recipients: list[str] = []
        while True:
            command = talk.command().decode()
            verb = command.partition(" ")[0]
            reply = self.replies.get(verb, "250 fine")
            if verb == "RCPT":
                recipient = command.removeprefix("RCPT TO:<").removesuffix(">")
                reply = self.replies.get(recipient, "250 fine")
                recipients += [recipient] * reply.startswith("2")
            elif verb == "DATA":
                talk.say(b"354 go")
                content = talk.data()
                if reply.startswith("2"):
                    self.messages.append((recipients, content))
                recipients = []
            elif verb == "QUIT":
                return
            if not reply:
                return
            talk.say(reply.encode())


class Rig:
    """An outbox in a directory, and a server on a Unix socket beside it that is there or not."""

    def __init__(self, directory: Path) -> None:
        self.outbox = Outbox(directory / "box")
        self.directory = directory / "box"
        self.path = directory / "server"
        self.events: list[str] = []
        self.server = Server()

    @contextmanager
    def up(self) -> Iterator[None]:
        with scripted(self.server, path=self.path):
            yield
        self.path.unlink()

    def connect(self) -> Connection:
        return Connection(MailServer.parse(f"smtp:unix:{self.path}"), "mx.test", 5, 5)

    @contextmanager
    def running(self, retry: float = 0.05, give_up: float = 1000, poll: float = 0.02) -> Iterator[Runner]:
        runner = Runner(self.outbox, self.connect, retry=retry, give_up=give_up, poll=poll, on_event=self.events.append)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop(20)

    def put(self, *recipients: str, content: bytes = TEXT) -> str:
        return self.outbox.put("a@a.test", recipients or ("b@b.test",), [content])

    def make_due(self) -> None:
        """What waits is due now; while nobody runs."""
        for path in self.files("waiting"):
            with Stored(path) as stored:
                self.outbox.keep(path.name, replace(stored.envelope, next=0.0), stored.content)

    def files(self, kind: str) -> list[Path]:
        return sorted((self.directory / kind).iterdir())

    def envelope(self, path: Path) -> Envelope:
        with Stored(path) as stored:
            return stored.envelope


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    # Not tmp_path for the socket: its name may be too long for one.
    with tempfile.TemporaryDirectory() as directory:
        yield Rig(Path(directory))


def test_nothing_waits_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert Outbox(tmp_path / "none").waiting() == 0


def test_put_writes_one_private_file(rig: Rig) -> None:
    name = rig.outbox.put("\udcff@a", ["\u00fc\n@b", "c", "c"], [b"a\n", memoryview(b"\0\xff\r")])
    assert rig.outbox.waiting() == 1
    assert rig.outbox.names() == [name]
    (file,) = rig.files("waiting")
    first, _, content = file.read_bytes().partition(b"\n")
    assert content == b"a\n\0\xff\r"
    fields = json.loads(first.decode("ascii"))
    assert (fields["sender"], fields["recipients"]) == ("\udcff@a", ["\u00fc\n@b", "c"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in [rig.directory, *rig.directory.iterdir()]} == {0o700}


TEXTS = st.text(st.characters(codec=None), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Envelope,
        TEXTS,
        st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(0, 10**30),
        TEXTS,
    )
)
def test_envelopes_are_read_as_they_were_written(envelope: Envelope) -> None:
    assert Envelope.parse(envelope.line()) == envelope


GOOD = json.loads(Envelope("a", ("b",), 1.0, 2.0).line())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=50)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.tuples(st.sampled_from(sorted(GOOD)), JSON).map(lambda pair: json.dumps(GOOD | {pair[0]: pair[1]}).encode())
    | st.sampled_from([b"[" * 100_000, b"1" * 10_000])
)
def test_other_lines_are_bad_files(line: bytes) -> None:
    try:
        envelope = Envelope.parse(line)
    except BadFile:
        return
    assert Envelope.parse(envelope.line()) == envelope
    assert envelope.recipients
    assert all(isinstance(text, str) for text in (envelope.sender, *envelope.recipients, envelope.reason))


def test_what_is_put_is_sent(rig: Rig) -> None:
    with rig.up(), rig.running():
        for number in range(20):
            rig.put(f"{number}@b.test", content=b"%d" % number)
        until(lambda: rig.outbox.waiting() == 0)
    assert sorted(rig.server.messages) == sorted(([f"{n}@b.test"], b"%d\r\n" % n) for n in range(20))
    assert rig.events == ["sent"] * 20
    assert [len(rig.files(kind)) for kind in ("waiting", "failed", "bad", "new")] == [0, 0, 0, 0]


def test_one_connection_for_what_waits_oldest_first(rig: Rig) -> None:
    for number in range(10):
        rig.put(f"{number}@b.test")
    with rig.up(), rig.running():
        until(lambda: rig.outbox.waiting() == 0)
    assert [recipients for recipients, _ in rig.server.messages] == [[f"{number}@b.test"] for number in range(10)]
    assert rig.server.connections == 1


def test_wake_looks_at_once(rig: Rig) -> None:
    with rig.up(), rig.running(poll=1000) as runner:
        until(lambda: (rig.directory / "lock").exists())
        rig.put()
        runner.wake()
        until(lambda: rig.outbox.waiting() == 0)


def test_large_contents_arrive_whole_after_they_were_deferred(rig: Rig) -> None:
    content = b"".join(b"%d\r\n" % number for number in range(500_000))
    rig.server.replies = {"DATA": "451 4.3.0 later"}
    with rig.up(), rig.running():
        rig.put(content=content)
        until(lambda: rig.events)
        rig.server.replies = {}
        until(lambda: rig.outbox.waiting() == 0)
    assert [text == content for _, text in rig.server.messages] == [True]


def test_a_callback_that_fails_stops_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(list[str]):
        def append(self, event: str) -> None:
            raise FileNotFoundError(event)

    rig.events = Failing()
    for _ in range(3):
        rig.put()
    with rig.up(), rig.running():
        until(lambda: rig.outbox.waiting() == 0)
        rig.put()
        until(lambda: rig.outbox.waiting() == 0)
    assert len(rig.server.messages) == 4


def test_a_directory_that_is_removed_meanwhile_has_a_lock_of_its_own(rig: Rig) -> None:
    with rig.up(), rig.running():
        rig.put()
        until(lambda: rig.events == ["sent"])
        rig.directory.rename(rig.path.parent / "elsewhere")
        rig.put()
        until(lambda: rig.events == ["sent", "sent"])
        assert rig.outbox.lock() is None


def test_a_server_that_is_down_and_comes_up(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        rig.put(f"{number}@b.test")
    with rig.running(retry=0.05):
        until(lambda: caplog.records)
        time.sleep(0.3)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert str(rig.path) in caplog.records[0].getMessage()
        assert {rig.envelope(path).tries for path in rig.files("waiting")} == {0}
        with rig.up():
            until(lambda: rig.outbox.waiting() == 0)
    assert [record.getMessage() for record in caplog.records[1:]] == ["outbox: the server takes mail again"]
    assert len(rig.server.messages) == 5
    assert rig.events == ["sent"] * 5


def test_permanent_and_temporary_refusals_in_one_message(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.server.replies = {"no@b.test": "550 5.1.1 nobody", "full@b.test": "452 4.2.2 full"}
    name = rig.put("yes@b.test", "no@b.test", "full@b.test")
    with rig.up():
        with rig.running(retry=100):
            until(lambda: len(rig.events) == 3)
        assert Counter(rig.events) == {"sent": 1, "failed": 1, "deferred": 1}
        (waiting,), (failed,) = rig.files("waiting"), rig.files("failed")
        envelope = rig.envelope(waiting)
        assert (waiting.name, envelope.recipients, envelope.tries) == (name, ("full@b.test",), 1)
        assert "452 4.2.2 full" in envelope.reason
        assert 100 <= envelope.next - envelope.created < 150
        assert rig.envelope(failed).recipients == ("no@b.test",)
        assert "550 5.1.1 nobody" in rig.envelope(failed).reason
        assert failed.read_bytes().partition(b"\n")[2] == TEXT
        del rig.server.replies["full@b.test"]
        rig.make_due()
        with rig.running():
            until(lambda: rig.outbox.waiting() == 0)
    assert [recipients for recipients, _ in rig.server.messages] == [["yes@b.test"], ["full@b.test"]]
    assert not any("secret" in record.getMessage() for record in caplog.records)
    assert any("no@b.test" in record.getMessage() for record in caplog.records)


def test_a_file_moved_from_failed_is_tried_again(rig: Rig) -> None:
    rig.server.replies = {"b@b.test": "550 5.1.1 nobody"}
    rig.put()
    with rig.up(), rig.running():
        until(lambda: rig.events)
        rig.server.replies = {}
        (failed,) = rig.files("failed")
        failed.rename(rig.directory / "waiting" / failed.name)
        until(lambda: rig.events == ["failed", "sent"])


def test_the_time_between_attempts_is_doubled_up_to_an_hour(rig: Rig) -> None:
    rig.server.replies = {"MAIL": "451 4.3.0 later"}
    rig.put()
    waits = []
    with rig.up():
        for count in range(1, 7):
            with rig.running(retry=200, give_up=100_000):
                until(lambda count=count: rig.events == ["deferred"] * count)
            (file,) = rig.files("waiting")
            waits.append(rig.envelope(file).next - file.stat().st_mtime)
            assert rig.envelope(file).tries == count
            rig.make_due()
    assert waits == pytest.approx([200, 400, 800, 1600, 3200, 3600], abs=60)


@pytest.mark.parametrize("down", [True, False])
def test_give_up(rig: Rig, caplog: pytest.LogCaptureFixture, down: bool) -> None:
    rig.server.replies = {"DATA": "451 4.3.0 not yet"}
    rig.put("b@b.test", "c@c.test")
    if down:
        with rig.running(retry=0.05, give_up=0.5):
            until(lambda: rig.events)
    else:
        with rig.up(), rig.running(retry=0.05, give_up=0.5):
            until(lambda: "failed" in rig.events)
    assert rig.events[-2:] == ["failed", "failed"]
    assert rig.outbox.waiting() == 0
    (failed,) = rig.files("failed")
    envelope = rig.envelope(failed)
    assert envelope.recipients == ("b@b.test", "c@c.test")
    assert ("unix:" if down else "451 4.3.0 not yet") in envelope.reason
    lines = [record.getMessage() for record in caplog.records if "failed now" in record.getMessage()]
    assert len(lines) == 1
    assert "b@b.test" in lines[0]
    assert "c@c.test" in lines[0]
    assert "secret" not in lines[0]


def test_a_message_that_the_server_dies_of_does_not_hold_up_others(rig: Rig) -> None:
    rig.server.replies = {"poison@b.test": ""}
    rig.put("poison@b.test")
    for number in range(10):
        rig.put(f"{number}@b.test")
    with rig.up(), rig.running(retry=100):
        until(lambda: Counter(rig.events) == {"deferred": 1, "sent": 10})
        assert rig.envelope(rig.files("waiting")[0]).recipients == ("poison@b.test",)


def test_a_server_that_dies_of_everything_is_left_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.server.replies = {"MAIL": ""}
    for _ in range(10):
        rig.put()
    with rig.up(), rig.running(retry=100):
        until(lambda: len(rig.events) == 2)
        time.sleep(0.2)
        assert rig.events == ["deferred"] * 2
        assert rig.server.connections == 2
    assert len(caplog.records) == 2


def test_files_that_are_no_messages_are_set_aside(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.put()
    waiting = rig.directory / "waiting"
    (waiting / "empty").touch()
    (waiting / "half").write_bytes(Envelope("a", ("b",), 1, 2).line()[:-3])
    (waiting / "version").write_bytes(Envelope("a", ("b",), 1, 2).line().replace(b'"version": 1', b'"version": 2'))
    (waiting / "nobody").write_bytes(Envelope("a", (), 1, 2).line())
    (waiting / "endless").write_bytes(b"[" * 100_000 + b"\n")
    (waiting / "directory").mkdir()
    (waiting / "link").symlink_to("/etc/passwd")
    (waiting / "dangling").symlink_to("/nowhere")
    os.mkfifo(waiting / "fifo")
    with rig.up(), rig.running():
        until(lambda: rig.outbox.waiting() == 0)
    names = ["dangling", "directory", "empty", "endless", "fifo", "half", "link", "nobody", "version"]
    assert [path.name for path in rig.files("bad")] == names
    assert len([record for record in caplog.records if "is no message" in record.getMessage()]) == len(names)
    assert len(rig.server.messages) == 1


def test_a_message_without_recipients(rig: Rig) -> None:
    with pytest.raises(OutboxError, match="without recipients"):
        rig.outbox.put("a", [], [b""])


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outbox = Outbox(tmp_path / "file" / "box")
    with pytest.raises(OutboxError, match="file"):
        outbox.put("a", ["b"], [b""])


FULL = """
import pathlib, resource, sys
from lumilter.adapters.outbox import Outbox, OutboxError
outbox = Outbox(pathlib.Path(sys.argv[1]))
outbox.put("a", ["b"], [b"before"])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    outbox.put("a", ["b"], [b"x" * 1000] * 5)
except OutboxError as error:
    print(error)
outbox.put("a", ["b"], [b"after"])
"""


def test_a_full_disk_leaves_nothing_of_the_message(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], env={**os.environ, "PYTHONPATH": MILTER}, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout == f"{tmp_path}: File too large\n"
    assert sorted(path.read_bytes()[-5:] for path in (tmp_path / "waiting").iterdir()) == [b"after", b"efore"]
    assert list((tmp_path / "new").iterdir()) == []


def test_an_answer_that_can_not_be_written_is_not_asked_for_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """`new` is not there while the results of a message are to be written: it is held until they are."""
    rig.server.replies = {"later@b.test": "452 4.2.2 full"}
    rig.put("now@b.test", "later@b.test")
    with rig.running(retry=0.02):
        until(lambda: caplog.records)  # it has the lock; the server is away
        (rig.directory / "new").rename(rig.directory / "gone")
        (rig.directory / "new").touch()
        with rig.up():
            until(lambda: rig.server.messages)
            time.sleep(0.3)
            assert [recipients for recipients, _ in rig.server.messages] == [["now@b.test"]]
            assert len([record for record in caplog.records if "is held" in record.getMessage()]) == 1
            rig.server.replies = {}
            (rig.directory / "new").unlink()
            (rig.directory / "gone").rename(rig.directory / "new")
            until(lambda: rig.outbox.waiting() == 0)
    assert [recipients for recipients, _ in rig.server.messages] == [["now@b.test"], ["later@b.test"]]


def test_stop_ends_after_the_message_in_hand(rig: Rig) -> None:
    in_hand, go_on = threading.Event(), threading.Event()

    class Slow(Server):
        def __call__(self, talk: Talk, number: int) -> None:
            talk.hello()
            talk.commands(b"250 a", b"250 b", b"354 c")
            talk.data()
            in_hand.set()
            go_on.wait(20)
            talk.say(b"250 d")
            talk.wait()

    rig.server = Slow()
    rig.put()
    rig.put()
    with rig.up(), rig.running() as runner:
        assert in_hand.wait(20)
        runner.stop(0.05)
        assert rig.outbox.waiting() == 2
        go_on.set()
        runner.stop(20)
        assert rig.outbox.waiting() == 1
        assert rig.outbox.lock() is not None


def test_abandoned_files_are_removed(rig: Rig) -> None:
    rig.put()
    for name, age in (("old", 4000), ("young", 10)):
        path = rig.directory / "new" / name
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    with rig.up(), rig.running():
        until(lambda: rig.outbox.waiting() == 0)
    assert [path.name for path in rig.files("new")] == ["young"]


def test_only_one_sends_and_the_other_takes_over(rig: Rig) -> None:
    other = Rig(rig.path.parent)
    with rig.up(), other.running() as other_runner:
        rig.put()
        until(lambda: other.events == ["sent"])
        with rig.running():
            for _ in range(10):
                rig.put()
            until(lambda: len(other.events) == 11)
            other_runner.stop(20)
            rig.put()
            until(lambda: rig.events == ["sent"])
    assert len(other.events) == 11


SENDER = """
import pathlib, sys, threading
from lumilter.adapters.outbox import Outbox, Runner
from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
server = MailServer.parse(sys.argv[2])
Runner(
    Outbox(pathlib.Path(sys.argv[1])), lambda: Connection(server, "mx.test", 10),
    retry=0.05, give_up=1000, poll=0.02, on_event=lambda event: None,
).start()
threading.Event().wait()
"""


def holder(directory: Path) -> int | None:
    """The process that has the lock, from the kernel's table."""
    try:
        inode = (directory / "lock").stat().st_ino
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


def test_killed_at_random_moments_nothing_is_lost_and_only_what_was_unanswered_comes_twice(rig: Rig) -> None:
    """A client that goes on after an answer has seen it, and has removed the file: it must not come again."""
    count, random = 200, Random(1)
    delivered: list[str] = []
    seen: set[str] = set()
    repeated: list[str] = []

    def serve(talk: Talk, number: int) -> None:
        talk.hello()
        answered = ""
        while True:
            command = talk.command()
            if answered:
                seen.add(answered)
            answered = ""
            if command == b"DATA":
                talk.say(b"354 go")
                text = talk.data().decode().strip()
                if text in seen:
                    repeated.append(text)
                delivered.append(text)
                time.sleep(0.004)
                answered = text
            talk.say(b"250 fine")

    def sender() -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", SENDER, str(rig.directory), f"smtp:unix:{rig.path}"]
        return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": MILTER})

    def put() -> None:
        for number in range(count):
            rig.put(content=b"%d\r\n" % number)

    senders = [sender(), sender()]
    putting = threading.Thread(target=put)
    kills = 0
    with scripted(serve, path=rig.path):
        try:
            putting.start()
            while len(set(delivered)) < count:
                until(lambda: holder(rig.directory) in [process.pid for process in senders])
                time.sleep(random.uniform(0, 0.2))
                killed = next(process for process in senders if process.pid == holder(rig.directory))
                killed.kill()
                killed.wait()
                kills += 1
                senders.remove(killed)
                senders.append(sender())
            putting.join()
            until(lambda: rig.outbox.waiting() == 0)
        finally:
            for process in senders:
                process.kill()
                process.wait()
            putting.join()
    assert set(delivered) == {str(number) for number in range(count)}
    assert kills >= 3
    assert len(delivered) - count <= kills
    print(f"{kills} kills, {len(delivered) - count} messages twice")
    assert repeated == []
    assert [len(rig.files(kind)) for kind in ("waiting", "failed", "bad")] == [0, 0, 0]
