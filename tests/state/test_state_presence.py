"""state.presence: who is connected, and a session's own place in the line."""

from __future__ import annotations

import pytest

from lumilter.state.contract import StateError
from lumilter.state.keys import packed
from lumilter.state.memory import MemorySessions, MemoryStore
from lumilter.state.places import ERROR, Rules
from lumilter.state.presence import CONNECTIONS, RECEPTIONS
from lumilter.state.state import State

ONE, OTHER = packed("192.0.2.1"), packed("192.0.2.2")
assert ONE
assert OTHER


@pytest.fixture
def state() -> State:
    return State(MemoryStore(), Rules(monitors={"300,2": (300, 2)}))


def test_a_session_finds_its_own_place_as_long_as_it_is_judged(state: State) -> None:
    presence = state.presence
    for number in range(5):
        presence.arrive(number, ONE)
    presence.arrive("other", OTHER)
    assert [presence.present(ONE, 32, False, number) for number in range(5)] == [1, 2, 3, 4, 5]
    assert [presence.present(ONE, 24, False, number) for number in (0, 4, "other")] == [1, 5, 6]
    assert presence.present(OTHER, 24, False, "other") == 6
    assert presence.present(ONE, 23, False, 0) == 6  # no sum is kept for that mask: as of now
    assert presence.present(ONE, 32, False) == 5
    assert [presence.audited(CONNECTIONS, "300,2", ONE, 32, 0, 0, False, number) for number in range(5)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert presence.audited(CONNECTIONS, "300,2", ONE, 32, 0, 2, False, None) == 5
    presence.happened(0, RECEPTIONS)
    assert presence.audited(RECEPTIONS, "300,2", ONE, 24, 0, 2, True, 0) == 1


def test_whoever_leaves_is_not_counted_and_nobody_twice(state: State) -> None:
    presence = state.presence
    presence.arrive("a", ONE)
    presence.arrive("a", ONE)
    presence.arrive("b", None)
    assert presence.present(ONE, 0, False) == 1
    presence.happened("b", RECEPTIONS)
    for session in ("a", "a", "b", "nobody"):
        presence.depart(session)
    assert presence.present(ONE, 0, False) == 0


class Broken(MemorySessions):
    """A store that is away."""

    def enter(self, address: bytes) -> dict[int, int]:
        raise StateError("away")

    def present(self, address: bytes, bits: int) -> int:
        raise StateError("away")


@pytest.mark.parametrize("rule", ["open", ERROR])
def test_a_store_that_is_away_fails_no_session(rule: str) -> None:
    store = MemoryStore()
    store.sessions = Broken()
    state = State(store, Rules(on_failure=rule))
    state.presence.arrive("a", ONE)
    state.presence.depart("a")
    if rule == ERROR:
        with pytest.raises(StateError):
            state.presence.present(ONE, 32, False)
    else:
        assert state.presence.present(ONE, 32, False) == 0
    assert state.places.failures()[0] >= 2
