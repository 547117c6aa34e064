"""The cache and the threads before a driver: what is kept, what is counted, who waits and for how long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from lumilter.adapters.datasources.cache import AnswerCache
from lumilter.adapters.datasources.contract import Answer, Cut, DatasourceError, Request
from lumilter.adapters.datasources.datasource import Behaviour, Datasource, Place
from lumilter.adapters.datasources.lanes import Alarm, Lanes, Task
from lumilter.adapters.datasources.service import Datasources, Settings


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(size: int = 10) -> Answer:
    return Answer(("n",), [(1,)], True, size)


def test_answers_live_for_a_while() -> None:
    clock = Clock()
    cache = AnswerCache(10, 5, 1000, clock)
    kept = answer()
    cache.put("a", kept)
    clock.now = 109.9
    assert cache.get("a") is kept
    clock.now = 110
    assert cache.get("a") is None
    assert (len(cache), cache.counts.hits, cache.counts.expired, cache.counts.inserts) == (0, 1, 1, 1)


def test_the_least_recently_used_goes_first() -> None:
    clock = Clock()
    cache = AnswerCache(10, 2, 1000, clock)
    for key in ("a", "b"):
        cache.put(key, answer())
    cache.get("a")
    cache.put("c", answer())
    assert (cache.get("a"), cache.get("b"), cache.get("c")) != (None, None, None)
    assert cache.get("b") is None
    assert cache.counts.evicted == 1
    assert cache.flush() == 2
    assert (len(cache), cache.counts.manual) == (0, 2)


def test_memory_is_bounded() -> None:
    cache = AnswerCache(10, 100, 100)
    cache.put("large", answer(101))
    assert len(cache) == 0
    for number in range(30):
        cache.put(number, answer(30))
    assert len(cache) == 3
    cache.put(29, answer(100))
    assert len(cache) == 1


@pytest.mark.parametrize(("life", "entries"), [(0, 5), (10, 0)])
def test_nothing_is_kept(life: float, entries: int) -> None:
    cache = AnswerCache(life, entries, 1000)
    cache.put("a", answer())
    assert len(cache) == 0


def test_requests_with_the_same_answer() -> None:
    assert Request("q", {1: 1, "a": "b"}).key() == Request("q", {"a": "b", 1: 1}).key()
    keys = [Request("q", params).key() for params in ({1: 1}, {1: "1"}, {1: True}, {1: 1.5}, {2: 1}, {"1": 1}, {})]
    assert len(set(keys)) == len(keys)


def test_an_alarm_rings_in_order_and_not_when_it_was_cancelled() -> None:
    alarm, rung, done = Alarm(), [], threading.Event()
    now = time.monotonic()
    alarm.at(now + 0.3, done.set)
    alarm.at(now + 0.2, lambda: rung.append("late"))
    alarm.at(now + 0.1, lambda: rung.append("early"))
    alarm.at(now + 0.15, lambda: rung.append("never"))()
    for _ in range(5000):
        alarm.at(now + 1000, lambda: None)()
    assert done.wait(30)
    assert rung == ["early", "late"]
    assert len(alarm._heap) < 2500


def test_figures_and_flush(tmp_path: Path) -> None:
    datasources = Datasources([Settings(name, (f"sqlite:{tmp_path}/x.db",)) for name in ("a", "b")])
    for name in ("a", "a", "b"):
        request = Request("select 1 as n")
        if datasources.cached(name, request) is None:
            datasources.submit(name, request, time.monotonic() + 60).result(60)
    assert datasources.flush("nowhere") is None
    assert datasources.flush("a") == 1
    assert datasources.flush() == 1
    stats = datasources.stats()
    assert list(stats) == ["a", "b"]
    figures = {key: stats["a"][key] for key in ("entries", "hits", "misses", "inserts", "manual", "busy", "queued")}
    assert figures == {"entries": 0, "hits": 1, "misses": 1, "inserts": 1, "manual": 1, "busy": 0, "queued": 0}
    assert stats["b"]["places"] == [
        {"uri": f"sqlite:{tmp_path}/x.db", "up": True, "error": "", "queries": 1, "failures": 0}
    ]
    datasources.close()


class Stubborn:
    """A driver that answers when it is told to, and does not hear of cuts."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = 0

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        self.asked += 1
        if request.text == "wait":
            assert self.go_on.wait(60)
        return answer()

    def close(self) -> None:
        self.go_on.set()


def test_threads_that_hang_are_given_up_and_come_back() -> None:
    driver = Stubborn()
    source = Datasource("db", [Place("shown", driver)], Behaviour(timeout=1.5, connections=2), Alarm())

    def ask(text: str) -> Future[Answer]:
        return source.submit(Request(text), time.monotonic() + 60, nocache=True)

    hanging = [ask("wait"), ask("wait")]
    waiting = ask("now")
    assert [str(future.exception(30)) for future in hanging] == ["db: the query took too long"] * 2
    assert str(waiting.exception(30)) == "db: no connection was free in time (2 are busy)"
    assert str(ask("now").exception(30)) == "db: all 2 connections are busy with queries that do not end"
    assert source.stats()["busy"] == 2
    driver.go_on.set()
    until = time.monotonic() + 30
    while source.stats()["busy"] and time.monotonic() < until:
        time.sleep(0.01)
    assert ask("now").result(30).rows == [(1,)]
    assert driver.asked == 3
    source.close()


def test_a_hook_that_has_little_time_left_gets_its_error_before_that() -> None:
    driver = Stubborn()
    source = Datasource("db", [Place("shown", driver)], Behaviour(timeout=60), Alarm())
    deadline = time.monotonic() + 2
    with pytest.raises(DatasourceError, match="took too long"):
        source.submit(Request("wait"), deadline).result(30)
    late = source.submit(Request("now"), deadline - 100).exception(30)
    assert str(late) == "db: there is no time left for a query"
    source.close()


def test_a_task_is_settled_once() -> None:
    outcomes: list[Any] = []
    task: Task[int] = Task(lambda cut: 1, outcomes.append)
    for number in range(3):
        task.settle(number)
    assert outcomes == [0]


def test_an_error_of_our_own_does_not_end_a_thread() -> None:
    lanes, done = Lanes("x", 1, Alarm()), threading.Event()
    outcomes: list[Any] = []

    def settle(outcome: Any) -> None:
        outcomes.append(outcome)
        done.set()

    for work in (lambda cut: 1 // 0, lambda cut: "fine"):
        done.clear()
        lanes.submit(Task(work, settle), time.monotonic() + 60)
        assert done.wait(30)
    assert str(outcomes[0]).startswith("internal error: ZeroDivisionError")
    assert outcomes[1] == "fine"
    lanes.close()
