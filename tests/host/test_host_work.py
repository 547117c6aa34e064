"""host.work: what a session waits for on pool threads is answered once, and is given up at the worker's end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lumilter.host.work import NotDone, Works
from lumilter.loop import Loop


@contextmanager
def works(pool: int = 1) -> Iterator[tuple[Loop, Works, list[str]]]:
    """With the outcomes of what was waited for."""
    loop, outcomes = Loop(pool), []
    try:
        yield loop, Works(loop, lambda kind, seconds, outcome: outcomes.append(f"{kind} {outcome}")), outcomes
    finally:
        loop.pool.shutdown(wait=True)
        loop.close()


def turn_until(loop: Loop, condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        loop.turn(0.01)
    raise AssertionError("it did not happen within 30 s")


def test_results_and_exceptions_are_answered_on_the_loop() -> None:
    answers: list[Any] = []
    with works() as (loop, made, outcomes):
        made.begin("seal", lambda: 42, answers.append)
        made.begin("check", lambda: {}["x"], answers.append)
        assert not answers
        turn_until(loop, lambda: len(answers) == 2)
        assert answers[0] == 42
        assert isinstance(answers[1], KeyError)
        assert outcomes == ["seal ok", "check failed"]


def test_what_is_under_way_is_given_up_and_answered_once() -> None:
    answers: list[Any] = []
    gate, begun = threading.Event(), threading.Event()

    def held() -> int:
        begun.set()
        assert gate.wait(60)
        return 1

    with works() as (loop, made, outcomes):
        made.begin("inject", held, answers.append)
        made.begin("inject", lambda: pytest.fail("it was cancelled in the queue"), answers.append)
        assert begun.wait(60)
        made.give_up()
        assert [str(answer) for answer in answers] == ["it was given up: the worker's time is over"] * 2
        gate.set()
        loop.pool.submit(int).result(60)
        for _ in range(3):
            loop.turn(0.01)
        assert len(answers) == 2
        assert outcomes == ["inject cancelled"] * 2
        made.begin("seal", lambda: pytest.fail("it is too late"), answers.append)
        assert isinstance(answers[2], NotDone)


def test_without_a_thread_nothing_begins() -> None:
    answers: list[Any] = []
    with works() as (loop, made, _):
        loop.pool.shutdown()
        made.begin("seal", int, answers.append)
        assert isinstance(answers[0], NotDone)
