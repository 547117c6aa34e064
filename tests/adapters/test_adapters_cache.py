"""adapters.cache: what is kept, for how long, and what makes room."""

from __future__ import annotations

import pytest

from lumilter.adapters.cache import Cache, Stats


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_entry_is_good_for_its_own_life_or_everybody_s() -> None:
    clock = Clock()
    cache: Cache[str] = Cache(10, 5.0, clock)
    cache.put("own", "a", 2.0)
    cache.put("shared", "b")
    cache.put("none", "c", 0)
    clock.now = 1.9
    assert [cache.get(key) for key in ("own", "shared", "none")] == ["a", "b", None]
    clock.now = 2.0
    assert [cache.get(key) for key in ("own", "shared")] == [None, "b"]
    clock.now = 5.0
    assert cache.get("shared") is None
    assert cache.stats() == Stats(hits=3, misses=3, entries=0)


def test_the_one_that_nobody_asked_for_longest_makes_room() -> None:
    cache: Cache[int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert (cache.flush(), cache.get("a")) == (2, None)


@pytest.mark.parametrize(("size", "life"), [(0, 5.0), (5, 0.0)])
def test_nothing_is_kept(size: int, life: float) -> None:
    cache: Cache[int] = Cache(size, life)
    cache.put("a", 1)
    assert cache.get("a") is None
    assert not cache.keeps
    assert Cache(1).keeps
