"""daemon.figures: counting from many threads, snapshots as JSON, and sums of them."""

from __future__ import annotations

import json
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.daemon import figures
from lumilter.daemon.figures import (
    FAMILIES,
    HISTOGRAM,
    LIMITS,
    MAX_SERIES,
    Figures,
    Snapshot,
    by_label,
    merge,
    value_of,
)

NAMES = st.text(max_size=8) | st.sampled_from(["policy", "caf\udce9", 'a"b\\c\nd'])


@st.composite
def counted(draw: st.DrawFn) -> Snapshot:
    """What a worker may have counted; whole seconds, so that sums are exact."""
    made = Figures()
    for _ in range(draw(st.integers(0, 12))):
        family = draw(st.sampled_from([name for name in FAMILIES if FAMILIES[name].kind != figures.GAUGE]))
        labels = tuple(draw(NAMES) for _ in FAMILIES[family].labels)
        if FAMILIES[family].kind == HISTOGRAM:
            made.observe(family, labels, draw(st.integers(0, 100)))
        else:
            made.add(family, labels, draw(st.integers(1, 5)))
    value = draw(st.integers(0, 10))
    made.read(lambda: {"sessions_open": value, "dns_cache_hits": value})
    return made.snapshot()


def plain(snapshot: Snapshot) -> dict[str, dict[tuple[str, ...], object]]:
    return {name: {tuple(labels): value for labels, value in series} for name, series in snapshot.items()}


@settings(max_examples=100)
@given(counted(), counted(), counted())
def test_merging_is_a_sum(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    assert plain(merge((a, b))) == plain(merge((b, a)))
    assert plain(merge((merge((a, b)), c))) == plain(merge((a, merge((b, c))))) == plain(merge((a, b, c)))
    assert plain(merge((a, {}))) == plain(merge((a,))) == plain(a)
    assert plain(merge((json.loads(json.dumps(a)), b))) == plain(merge((a, b)))


@settings(max_examples=50)
@given(counted(), counted())
def test_merging_leaves_its_parts_alone(a: Snapshot, b: Snapshot) -> None:
    before = json.dumps([a, b])
    merge((a, b))
    assert json.dumps([a, b]) == before


@given(counted())
def test_what_is_true_only_while_a_process_runs(a: Snapshot) -> None:
    kept = merge((a,), gauges=False)
    assert "sessions_open" not in kept
    assert set(kept) == {name for name in a if FAMILIES[name].kind != figures.GAUGE}


def test_threads_lose_nothing() -> None:
    made = Figures()

    def count() -> None:
        for number in range(2000):
            made.add("replies", ("5xx",))
            made.observe("hook_seconds", ("policy", f"hook{number % 3}"), 1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = made.snapshot()
    assert value_of(taken, "replies") == 16_000
    assert sum(value[-1] for _, value in taken["hook_seconds"]) == 16_000


def test_scripts_cannot_make_it_grow() -> None:
    made = Figures()
    for number in range(3 * MAX_SERIES):
        made.add("script_errors", (f"module{number}",))
        made.observe("hook_seconds", (f"module{number}", "init"), 1)
    taken = made.snapshot()
    assert len(taken["script_errors"]) == MAX_SERIES + 1
    assert len(taken["hook_seconds"]) == MAX_SERIES + 1
    assert by_label(taken, "script_errors")["other"] == 2 * MAX_SERIES
    assert value_of(taken, "script_errors") == 3 * MAX_SERIES


def test_values_fall_into_the_bucket_that_ends_with_them() -> None:
    made = Figures()
    bounds = FAMILIES["hook_seconds"].bounds
    for value in (*bounds, 0.0, 1e9):
        made.observe("hook_seconds", ("m", "h"), value)
    ((_, value),) = made.snapshot()["hook_seconds"]
    assert value[:-1] == [2] + [1] * (len(bounds) - 1) + [1]
    assert bounds[0] == 0.0001
    assert bounds[-1] == 60


def test_counters_begin_at_zero() -> None:
    taken = Figures().snapshot()
    assert taken["messages"] == [[[], 0]]
    assert [labels for labels, value in taken["limits_hit"] if value == 0] == [[limit] for limit in LIMITS]
