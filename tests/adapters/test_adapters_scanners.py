"""What is the same for every scanner: time, tries, servers that are left alone, the cache, the number at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lumilter.adapters.scanners import circuit
from lumilter.adapters.scanners.contract import MOST_RULES, Envelope, Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.kinds import KINDS
from lumilter.adapters.scanners.scanner import Scanner
from lumilter.config.sections import scanners as tables
from support.scanners import with_engine

SAMPLE = Sample((b"Subject: x\r\n", b"\r\n", b"body\r\n"))


@dataclass
class Told:
    """An engine that does what a test says; asked: the servers, in order."""

    does: Callable[[Any], Result]
    asked: list[Any] = field(default_factory=list)
    kind: str = "told"
    messages_only: bool = False
    wants_envelope: bool = False

    def scan(self, sample: Sample, server: Any, deadline: float) -> Result:
        self.asked.append(server)
        return self.does(server)


@dataclass
class Clock:
    """In the place of the module `time`."""

    now: float = 0

    def monotonic(self) -> float:
        return self.now


def clean(server: Any) -> Result:
    return Result(Verdict.CLEAN)


def refused(server: Any) -> Result:
    raise ConnectionRefusedError(111, "Connection refused")


def slow(server: Any) -> Result:
    raise TimeoutError


def soon() -> float:
    return time.monotonic() + 60


def word(scan: Scanner, sample: Sample = SAMPLE) -> str:
    """How a scan ends."""
    try:
        return str(scan.scan(sample, soon()).verdict)
    except ScanError as error:
        assert error.scanner == scan.name
        return error.word


def test_every_kind_can_be_configured_and_no_other() -> None:
    assert set(KINDS) == set(tables.KINDS)
    assert set(tables.ANTIVIRUS) < set(KINDS)


def test_servers_take_turns() -> None:
    engine = Told(clean)
    scan = with_engine(engine, ["a", "b", "c"], cache=0)
    assert [word(scan) for _ in range(6)] == ["clean"] * 6
    assert sorted(engine.asked[:3]) == sorted(engine.asked[3:]) == ["a", "b", "c"]


def test_another_server_is_asked_after_a_failure() -> None:
    engine = Told(lambda server: clean(server) if server == "b" else refused(server))
    scan = with_engine(engine, ["a", "b"], cache=0, retries=1)
    assert [word(scan) for _ in range(4)] == ["clean"] * 4


def test_a_server_that_did_not_answer_in_time_is_not_asked_again() -> None:
    engine = Told(slow)
    assert word(with_engine(engine, ["a"], retries=5)) == "timeout"
    assert engine.asked == ["a"]
    engine = Told(slow)
    assert word(with_engine(engine, ["a", "b"], retries=5)) == "timeout"
    assert sorted(engine.asked) == ["a", "b"]


def test_what_an_engine_refuses_is_its_last_word() -> None:
    def no(server: Any) -> Result:
        raise ScanError("refused", "no licence")

    engine = Told(no)
    scan = with_engine(engine, ["a", "b"], retries=5, failures=1)
    with pytest.raises(ScanError, match=r"^engine at [ab]: no licence$"):
        scan.scan(SAMPLE, soon())
    assert len(engine.asked) == 1
    assert scan.stats()["servers_left_alone"] == 0


def test_the_circuit_opens_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(circuit, "time", clock)
    engine = Told(refused)
    scan = with_engine(engine, ["a"], retries=0, failures=3, pause=30, cache=0)
    assert [word(scan) for _ in range(5)] == ["down", "down", "down", "circuit", "circuit"]
    assert scan.stats()["servers_left_alone"] == 1
    assert len(engine.asked) == 3
    clock.now = 31
    assert [word(scan), word(scan)] == ["down", "circuit"]
    assert len(engine.asked) == 4
    engine.does = clean
    clock.now = 62
    assert [word(scan), word(scan)] == ["clean", "clean"]
    assert scan.stats()["servers_left_alone"] == 0


def test_only_one_scan_tries_a_server_that_was_left_alone() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def does(server: Any) -> Result:
        begun.set()
        assert go_on.wait(60)
        return clean(server)

    engine = Told(refused)
    scan = with_engine(engine, ["a"], retries=0, failures=1, pause=0.01, cache=0)
    assert word(scan) == "down"
    time.sleep(0.05)
    engine.does = does
    first = scan.pool.submit(word, scan)
    assert begun.wait(60)
    assert word(scan) == "circuit"
    go_on.set()
    assert first.result(60) == "clean"
    assert word(scan) == "clean"


def test_a_server_that_works_takes_over_from_one_that_is_left_alone() -> None:
    engine = Told(lambda server: clean(server) if server == "b" else refused(server))
    scan = with_engine(engine, ["a", "b"], retries=1, failures=2, pause=60, cache=0)
    assert [word(scan) for _ in range(20)] == ["clean"] * 20
    assert engine.asked.count("a") == 2


def test_results_are_kept_for_the_same_content() -> None:
    engine = Told(clean)
    scan = with_engine(engine, ["a"])
    whole = b"".join(bytes(piece) for piece in SAMPLE.pieces)
    assert [word(scan), word(scan, Sample((memoryview(whole),)))] == ["clean", "clean"]
    assert len(engine.asked) == 1
    assert word(scan, Sample((whole + b"x",))) == "clean"
    assert word(scan, Sample((whole,), whole=False)) == "clean"
    assert len(engine.asked) == 3
    assert scan.stats()["outcomes"] == {"clean": 3, "cached": 1}


def test_the_envelope_counts_where_the_engine_asks_for_it() -> None:
    for wants, asked in ((False, 1), (True, 2)):
        engine = Told(clean, wants_envelope=wants)
        scan = with_engine(engine, ["a"])
        for sender in ("a@example.org", "b@example.org", "b@example.org"):
            scan.scan(Sample((b"x",), Envelope(sender=sender)), soon())
        assert len(engine.asked) == asked


@pytest.mark.parametrize("terms", [{"cache": 0}, {"cache_time": 0.0}, {"cache": 1}, {"cache_time": 0.05}])
def test_results_are_kept_within_bounds(terms: dict[str, Any]) -> None:
    engine = Told(clean)
    scan = with_engine(engine, ["a"], **terms)
    for content in (b"1", b"2", b"1"):
        word(scan, Sample((content,)))
        time.sleep(0.06 if "cache_time" in terms else 0)
    assert len(engine.asked) == 3


def test_failures_are_not_kept() -> None:
    engine = Told(refused)
    scan = with_engine(engine, ["a"], retries=0)
    assert word(scan) == "down"
    engine.does = clean
    assert word(scan) == "clean"


def test_what_is_too_large_is_not_sent() -> None:
    engine = Told(clean)
    scan = with_engine(engine, ["a"], size_limit=10)
    found = scan.scan(Sample((b"x" * 6, b"y" * 5)), soon())
    assert (found.verdict, found.info) == (
        Verdict.UNSCANNABLE, "11 bytes are more than the size_limit of engine (10)",
    )  # fmt: skip
    assert scan.scan(Sample((b"x" * 10,)), soon()).verdict is Verdict.CLEAN
    assert len(engine.asked) == 1


def test_so_many_at_a_time_and_no_more() -> None:
    lock, running, most = threading.Lock(), 0, 0
    everybody = threading.Barrier(3, timeout=60)

    def does(server: Any) -> Result:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        everybody.wait()
        with lock:
            running -= 1
        return clean(server)

    scan = with_engine(Told(does), ["a"], concurrency=3, cache=0)
    others = with_engine(Told(clean), ["a"], concurrency=9).pool  # threads that come from elsewhere
    ends = [(scan.pool if at % 2 else others).submit(word, scan) for at in range(9)]
    assert [end.result(60) for end in ends] == ["clean"] * 9
    assert most == 3


def test_no_time_left() -> None:
    engine = Told(clean)
    scan = with_engine(engine, ["a"])
    with pytest.raises(ScanError, match="no time was left") as caught:
        scan.scan(SAMPLE, time.monotonic() - 1)
    assert caught.value.word == "timeout"
    assert engine.asked == []


def test_a_hooks_own_deadline_is_no_failure_of_the_server() -> None:
    engine = Told(slow)
    scan = with_engine(engine, ["a"], failures=1, timeout=60, retries=0)
    for _ in range(3):
        with pytest.raises(ScanError, match="no answer in time"):
            scan.scan(SAMPLE, time.monotonic() + 0.9)
    assert scan.stats()["servers_left_alone"] == 0
    assert len(engine.asked) == 3
    with pytest.raises(ScanError, match="no answer in time"):
        scan.scan(SAMPLE, time.monotonic() + 30)
    assert scan.stats()["servers_left_alone"] == 1


def test_an_engine_that_breaks_is_a_failure_like_others(caplog: pytest.LogCaptureFixture) -> None:
    def broken(server: Any) -> Result:
        raise IndexError("list index out of range")

    scan = with_engine(Told(broken), ["a"], failures=2, retries=0)
    assert [word(scan) for _ in range(3)] == ["nonsense", "nonsense", "circuit"]
    assert "the engine failed" in caplog.text


def test_waiting_for_a_slot_ends_in_time() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def does(server: Any) -> Result:
        begun.set()
        assert go_on.wait(60)
        return clean(server)

    scan = with_engine(Told(does), ["a"], concurrency=1, cache=0)
    first = scan.pool.submit(word, scan)
    assert begun.wait(60)
    with pytest.raises(ScanError, match="no scan ended in time, 1 are running"):
        scan.scan(SAMPLE, time.monotonic() + 0.1)
    go_on.set()
    assert first.result(60) == "clean"


def test_a_result_has_a_bounded_number_of_rules() -> None:
    engine = Told(lambda server: Result(Verdict.SPAM, rules=tuple(map(str, range(100_000)))))
    assert len(with_engine(engine, ["a"]).scan(SAMPLE, soon()).rules) == MOST_RULES


def test_every_scan_is_told_of() -> None:
    told: list[tuple[str, str]] = []
    engine = Told(clean)
    scan = with_engine(engine, ["a"], retries=0)
    scan.on_scan = lambda name, seconds, outcome: told.append((name, outcome))
    word(scan)
    word(scan)
    engine.does = refused
    word(scan, Sample((b"other",)))
    assert told == [("engine", "clean"), ("engine", "cached"), ("engine", "down")]
    assert scan.stats() | {"mean_seconds": 0} == {
        "kind": "told", "scans": 3, "outcomes": {"clean": 1, "cached": 1, "down": 1}, "mean_seconds": 0, "servers": 1,
        "servers_left_alone": 0, "cached": 1,
    }  # fmt: skip
