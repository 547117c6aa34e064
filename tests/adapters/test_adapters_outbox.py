"""adapters.outbox: mail that waits is sent once, whatever the server and the disk do meanwhile."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.outbox_file import Envelope
from support.outbox import TEXT, Rig, Server
from support.patience import until
from support.scripted_server import Talk


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    # Not tmp_path for the socket: its name may be too long for one.
    with tempfile.TemporaryDirectory() as directory:
        yield Rig(Path(directory))


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
