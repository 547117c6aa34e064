"""loop: everything happens on one thread, in order, and what fails there hurts nobody else."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lumilter.loop import Loop
from support.patience import until


@pytest.fixture
def thread() -> Iterator[Loop]:
    running = Loop(pool_size=2)
    running.start()
    yield running
    running.stop()


def flush(thread: Loop) -> None:
    """Wait until everything that was posted before has run."""
    thread.call(lambda answer: answer(None))


def test_one_thread_in_the_order_of_posting(thread: Loop) -> None:
    seen: list[tuple[int, int]] = []
    for number in range(100):
        thread.post(lambda n=number: seen.append((n, threading.get_ident())))
    flush(thread)
    assert [number for number, _ in seen] == list(range(100))
    assert len({ident for _, ident in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_a_call_answers_now_or_later(thread: Loop) -> None:
    assert thread.call(lambda answer: answer(42)) == 42
    assert thread.call(lambda answer: thread.at(time.monotonic() + 0.001, lambda: answer("later"))) == "later"


def test_calls_from_many_threads(thread: Loop) -> None:
    found: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            found.append(thread.call(lambda answer: answer(number)) - number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [0] * 400


def test_an_exception_is_raised_where_the_call_was_made(thread: Loop) -> None:
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda answer: answer(1 / 0))
    with pytest.raises(KeyError, match="answered"):
        thread.call(lambda answer: answer(KeyError("answered")))
    assert thread.call(lambda answer: answer("still there")) == "still there"


def test_an_exception_carries_no_frames_across(thread: Loop) -> None:
    def begin(answer: object) -> None:
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise ValueError("effect") from error

    with pytest.raises(ValueError, match="effect") as caught:
        thread.call(begin)
    assert caught.value.__cause__ is None
    assert not any(frame.name == "begin" for frame in caught.traceback)


def test_a_failing_item_or_timer_does_not_end_the_thread(thread: Loop, caplog: pytest.LogCaptureFixture) -> None:
    thread.post(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    thread.post(lambda: thread.at(0.0, lambda: [][0]) and None)
    flush(thread)
    flush(thread)
    assert caplog.text.count("internal error on the loop") == 2


def test_timers_run_in_the_order_of_their_times_and_can_be_cancelled(thread: Loop) -> None:
    seen: list[str] = []
    done = threading.Event()

    def set_up() -> None:
        now = time.monotonic()
        thread.at(now + 0.02, lambda: seen.append("second"))
        thread.at(now + 0.01, lambda: seen.append("first"))
        thread.at(now + 0.015, lambda: seen.append("cancelled")).cancel()
        thread.at(now + 0.02, lambda: seen.append("third, of the same time"))
        thread.at(now + 0.03, done.set)
        thread.at(now - 1, lambda: seen.append("due before"))

    thread.post(set_up)
    assert done.wait(30)
    assert seen == ["due before", "first", "second", "third, of the same time"]


def test_a_timer_runs_while_items_keep_coming(thread: Loop) -> None:
    fired = threading.Event()

    def again() -> None:
        if not fired.is_set():
            thread.post(again)

    thread.post(lambda: thread.at(time.monotonic() + 0.01, fired.set) and None)
    thread.post(again)
    assert fired.wait(30)


def test_the_stop_comes_after_what_was_posted() -> None:
    running = Loop(1)
    running.start()
    seen: list[int] = []
    for number in range(10):
        running.post(lambda n=number: seen.append(n))
    running.stop()
    assert seen == list(range(10))


def test_before_run_a_call_turns_the_loop_itself() -> None:
    here = Loop(1)
    assert here.call(lambda answer: here.at(time.monotonic() + 0.001, lambda: answer(threading.get_ident()))) == (
        threading.get_ident()
    )
    with pytest.raises(ZeroDivisionError):
        here.call(lambda answer: answer(1 / 0))
    here.close()


def test_a_socket_is_watched_until_it_is_not(thread: Loop) -> None:
    ours, theirs = socket.socketpair()
    got: list[bytes] = []
    thread.call(lambda answer: answer(thread.watch(ours, lambda: got.append(ours.recv(10)))))
    theirs.send(b"one")
    until(lambda: got == [b"one"])
    thread.call(lambda answer: answer(thread.unwatch(ours)))
    theirs.send(b"two")
    flush(thread)
    thread.call(
        lambda answer: answer(thread.watch(ours, None, lambda: got.append(b"writable") or thread.unwatch(ours)))
    )
    until(lambda: b"writable" in got)
    flush(thread)
    assert got == [b"one", b"writable"]
    ours.close()
    theirs.close()


def test_a_callback_may_end_the_watch_of_another_event_of_its_turn() -> None:
    here = Loop(1)
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def readable(number: int) -> None:
        called.append(number)
        for ours, _ in pairs:
            here.unwatch(ours)

    for number, (ours, theirs) in enumerate(pairs):
        here.watch(ours, lambda n=number: readable(n))
        theirs.send(b"x")
    here.turn()
    assert len(called) == 1
    for ours, theirs in pairs:
        ours.close()
        theirs.close()
    here.close()


def test_a_vanished_peer_is_told_to_whoever_watches(thread: Loop) -> None:
    ours, theirs = socket.socketpair()
    told = threading.Event()
    thread.call(lambda answer: answer(thread.watch(ours, lambda: told.set() or thread.unwatch(ours))))
    theirs.close()
    assert told.wait(30)
    ours.close()


def test_cancelled_timers_do_not_pile_up() -> None:
    here = Loop(1)
    seen: list[str] = []
    here.at(time.monotonic() + 0.01, lambda: seen.append("kept"))
    for _ in range(100_000):
        here.at(time.monotonic() + 3600, lambda: seen.append("cancelled")).cancel()
    assert len(here._timers) < 5000
    while not seen:
        here.turn(1)
    assert seen == ["kept"]
    here.close()


@pytest.mark.parametrize("seconds", [math.inf, 1e18, 1e8])
def test_a_far_timer_stops_nothing(thread: Loop, seconds: float) -> None:
    fired: list[float] = []
    thread.call(lambda answer: answer(thread.at(time.monotonic() + seconds, lambda: fired.append(seconds))))
    assert thread.call(lambda answer: thread.at(time.monotonic() + 0.05, lambda: answer(1))) == 1
    assert thread.call(lambda answer: answer(1)) == 1
    assert fired == []


def test_posts_wake_a_loop_that_sleeps(thread: Loop) -> None:
    for _ in range(2000):
        assert thread.call(lambda answer: answer(1)) == 1
