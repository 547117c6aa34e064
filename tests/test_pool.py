"""pool: work is done once or refused, and its future is told how it ended."""

from __future__ import annotations

import threading

import pytest

from lumilter.pool import Pool


def none(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_is_refused_is_not_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    pool = Pool(3)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(threading.Thread, "start", none)
        pool.submit(done.append, "refused")
    pool.submit(done.append, "taken").result(60)
    pool.shutdown()
    assert done == ["taken"]


def test_what_is_refused_beside_other_work_is_not_done_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(60)

    pool = Pool(3)
    held = pool.submit(hold)
    assert begun.wait(60)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(threading.Thread, "start", none)
        pool.submit(done.append, "refused")
    gate.set()
    held.result(60)
    pool.shutdown()
    assert not done


def test_how_work_ended() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(60)

    pool = Pool(1)
    assert pool.submit(divmod, 7, 2).result(60) == (3, 1)
    assert isinstance(pool.submit(divmod, 7, 0).exception(60), ZeroDivisionError)
    held, waiting, unwanted = pool.submit(hold), pool.submit(int), pool.submit(int)
    assert begun.wait(60)
    assert unwanted.cancel()
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    gate.set()
    assert held.result(60) is None
    with pytest.raises(RuntimeError):
        pool.submit(int)
