"""daemon.timekeeper: whatever workers come and go, timers of one place fire in one of them at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.daemon.timekeeper import Timekeeper


@dataclass(eq=False)
class Process:
    """A worker that does as it is told: what it was sent, and whether it fires."""

    index: int
    fires: bool = False
    told_to_stop: bool = False
    sent: list[Any] = field(default_factory=list)

    @property
    def channel(self) -> Process:
        return self

    def send(self, message: dict[str, bool]) -> None:
        if message["timers"]:
            self.fires = True
        else:
            self.told_to_stop = True


STEPS = st.lists(st.tuples(st.sampled_from(["start", "drain", "die", "pause", "mode"]), st.integers(0, 3)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_never_two_at_once_and_never_none_for_ever(steps: list[tuple[str, int]]) -> None:
    keeper, everywhere = Timekeeper(), False
    serving: list[Process] = []
    alive: list[Process] = []

    def look() -> None:
        keeper.look(serving, alive, everywhere)
        firing = [worker for worker in alive if worker.fires]
        if not everywhere and not any(worker.told_to_stop for worker in firing):
            assert len(firing) <= 1
        indexes = [worker.index for worker in firing]
        assert len(set(indexes)) == len(indexes), "two of one index fire"

    def pause(worker: Process) -> None:
        worker.fires = worker.told_to_stop = False
        keeper.paused(worker)

    for what, number in steps:
        if what == "start":
            new = Process(number)
            for old in [worker for worker in serving if worker.index == number]:
                serving.remove(old)
            serving.append(new)
            alive.append(new)
        elif what == "drain" and serving:
            serving.remove(serving[number % len(serving)])
        elif what == "die" and alive:
            gone = alive[number % len(alive)]
            alive.remove(gone)
            if gone in serving:
                serving.remove(gone)
        elif what == "pause":
            for worker in [worker for worker in alive if worker.told_to_stop][: number + 1]:
                pause(worker)
        elif what == "mode":
            everywhere = not everywhere
        look()
    for _ in range(3):  # once everybody has done as told, all is as it should be
        for worker in [worker for worker in alive if worker.told_to_stop]:
            pause(worker)
        look()
    firing = {worker for worker in alive if worker.fires}
    assert firing <= set(serving)
    assert len(firing) == (len({w.index for w in serving}) if everywhere else min(1, len(serving)))


def test_what_a_worker_says() -> None:
    assert Timekeeper.says({"timers": "paused"})
    assert not Timekeeper.says({"timers": True})
    assert not Timekeeper.says({"beat": {}})
