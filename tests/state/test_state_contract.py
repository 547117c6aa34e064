"""state.contract: what every store does."""

from __future__ import annotations

import socket

import pytest

from lumilter.state.contract import LIMIT, Gauge, Series, Store
from state.conftest import Clock

CIDR = Series("clients", "cidr", 300, 6)
CIDR6 = Series("clients6", "cidr_ipv6", 300, 6)
WORDS = Series("words", "string", 10, 3)
KEPT = Series("kept", "string", 10, 3, keep=True)
GAUGE = Gauge("open", 3, 60.0)


def v4(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, text)


def v6(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


# --- series -----------------------------------------------------------------------------------------------------------


def test_what_is_added_moves_through_the_windows_and_out(store: Store, clock: Clock) -> None:
    store.series.add(WORDS, b"a", 5)
    for past in range(4):
        held = [store.series.count(WORDS, b"a", 0, window, window) for window in range(3)]
        assert held == [5 if window == past else 0 for window in range(3)]
        assert store.series.count(WORDS, b"a", 0, 0, 2) == (5 if past < 3 else 0)
        clock.now += 10


def test_windows_are_cut_at_multiples_of_the_interval(store: Store, clock: Clock) -> None:
    clock.now = 1_800_000_009.9
    store.series.add(WORDS, b"a", 1)
    clock.now = 1_800_000_010.0
    store.series.add(WORDS, b"a", 2)
    assert [store.series.count(WORDS, b"a", 0, w, w) for w in range(3)] == [2, 1, 0]


def test_a_long_pause_empties_all_windows(store: Store, clock: Clock) -> None:
    store.series.add(WORDS, b"a", 1)
    clock.now += 10_000
    assert store.series.count(WORDS, b"a", 0, 0, 2) == 0
    assert store.series.add(WORDS, b"a", 3) == {0: (3, 0, 0)}


@pytest.mark.parametrize(("series", "item", "bits"), [(WORDS, b"a", 0), (CIDR, v4("192.0.2.1"), 24)])
def test_a_clock_that_steps_back(store: Store, clock: Clock, series: Series, item: bytes, bits: int) -> None:
    def windows() -> list[int]:
        return [store.series.count(series, item, bits, window, window) for window in range(3)]

    store.series.add(series, item, 1)
    clock.now -= series.interval
    assert windows() == [0, 0, 0], "what is to come is not there yet"
    assert store.series.add(series, item, 1)[bits][:2] == (1, 0)
    clock.now += series.interval
    assert windows() == [1, 1, 0]
    clock.now -= 1000 * series.interval  # it was wrong before
    for amount in (1, 2, 3):
        assert store.series.add(series, item, 1)[bits][:3] == (amount, 0, 0)
    assert windows() == [3, 0, 0]
    clock.now += 1000 * series.interval  # or it was wrong now
    assert store.series.add(series, item, 1)[bits][:3] == (1, 0, 0)
    assert windows() == [1, 0, 0]


def test_a_range_is_a_sum_and_windows_that_are_not_there_hold_nothing(store: Store, clock: Clock) -> None:
    for amount in (1, 10, 100):
        store.series.add(WORDS, b"a", amount)
        clock.now += 10
    clock.now -= 10
    ranges = {(0, 0): 100, (0, 1): 110, (1, 2): 11, (2, 2): 1, (0, 99): 111, (-5, 0): 100, (2, 1): 0, (3, 9): 0}
    assert {pair: store.series.count(WORDS, b"a", 0, *pair) for pair in ranges} == ranges


def test_networks_are_sums_of_their_addresses(store: Store) -> None:
    for number, address in enumerate(("192.0.2.1", "192.0.2.2", "192.0.3.1", "10.0.0.1", "255.255.255.255"), 1):
        store.series.add(CIDR, v4(address), 10**number)
    wanted = {0: 111110, 1: 101110, 8: 1110, 16: 1110, 22: 1110, 23: 1110, 24: 110, 25: 110, 30: 110, 31: 10, 32: 10}
    assert {bits: store.series.count(CIDR, v4("192.0.2.1"), bits, 0, 5) for bits in wanted} == wanted
    assert store.series.count(CIDR, v4("255.255.255.254"), 31, 0, 0) == 100000
    assert store.series.count(CIDR, v4("9.255.255.255"), 8, 0, 0) == 0


def test_networks_of_ipv6(store: Store) -> None:
    for number, address in enumerate(("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:dbf::1", "::1"), 1):
        store.series.add(CIDR6, v6(address), 10**number)
    wanted = {0: 111110, 3: 11110, 32: 1110, 29: 11110, 63: 1110, 64: 110, 100: 110, 126: 110, 127: 10, 128: 10}
    assert {bits: store.series.count(CIDR6, v6("2001:db8::1"), bits, 0, 5) for bits in wanted} == wanted


def test_an_addition_says_what_it_led_to(store: Store, clock: Clock) -> None:
    store.series.add(CIDR, v4("192.0.2.1"), 1)
    clock.now += 300
    store.series.add(CIDR, v4("192.0.2.9"), 2)
    standing = store.series.add(CIDR, v4("192.0.2.1"), 4)
    assert standing == {
        0: (6, 1, 0, 0, 0, 0),
        8: (6, 1, 0, 0, 0, 0),
        16: (6, 1, 0, 0, 0, 0),
        24: (6, 1, 0, 0, 0, 0),
        32: (4, 1, 0, 0, 0, 0),
    }


def test_an_item_that_is_removed_is_in_no_sum(store: Store, clock: Clock) -> None:
    store.series.add(CIDR, v4("192.0.2.1"), 5)
    clock.now += 300
    store.series.add(CIDR, v4("192.0.2.1"), 7)
    clock.now += 600
    store.series.add(CIDR, v4("192.0.2.2"), 1)
    store.series.remove(CIDR, v4("192.0.2.1"))
    assert [store.series.count(CIDR, v4("192.0.2.1"), bits, 0, 5) for bits in (0, 8, 16, 24, 25, 32)] == [
        1,
        1,
        1,
        1,
        1,
        0,
    ]
    store.series.remove(CIDR, v4("192.0.2.1"))
    store.series.remove(CIDR, v4("203.0.113.1"))
    assert store.series.count(CIDR, v4("192.0.2.1"), 0, 0, 5) == 1
    store.series.add(WORDS, b"a", 1)
    store.series.remove(WORDS, b"a")
    assert store.series.count(WORDS, b"a", 0, 0, 2) == 0


def test_series_do_not_mix(store: Store) -> None:
    other = Series("clients", "cidr", 300, 7)
    store.series.add(CIDR, v4("192.0.2.1"), 1)
    store.series.add(other, v4("192.0.2.1"), 2)
    store.series.add(Series("clients", "string", 300, 6), v4("192.0.2.1"), 4)
    store.series.add(KEPT, b"a", 8)
    assert store.series.count(CIDR, v4("192.0.2.1"), 32, 0, 5) == 1
    assert store.series.count(other, v4("192.0.2.1"), 0, 0, 6) == 2
    assert store.series.count(KEPT, b"a", 0, 0, 2) == 8
    assert store.series.count(WORDS, b"a", 0, 0, 2) == 0


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff" * 400, b"a" * 400, "caf\xe9".encode(), b"{x}:y", b"a\nb"])
def test_any_bytes_are_a_key(store: Store, key: bytes) -> None:
    store.series.add(WORDS, key, 1)
    store.series.add(WORDS, key + b"b" if len(key) < 400 else key[:-1], 10)
    assert store.series.count(WORDS, key, 0, 0, 2) == 1


def test_sums_stop_at_the_limit(store: Store) -> None:
    store.series.add(WORDS, b"a", LIMIT)
    assert store.series.add(WORDS, b"a", 5) == {0: (LIMIT, 0, 0)}
    store.series.add(WORDS, b"a", -1)
    assert store.series.count(WORDS, b"a", 0, 0, 2) == LIMIT - 1
    store.series.add(WORDS, b"b", -LIMIT)
    store.series.add(WORDS, b"b", -LIMIT)
    assert store.series.count(WORDS, b"b", 0, 0, 2) == -LIMIT


def test_items_with_their_windows(store: Store, clock: Clock) -> None:
    store.series.add(CIDR, v4("192.0.2.1"), 1)
    clock.now += 300
    store.series.add(CIDR, v4("192.0.2.2"), 2)
    store.series.add(CIDR, v4("192.0.9.1"), 3)
    store.series.add(WORDS, b"a\xff", 4)
    in_network = [(item, list(counts)) for item, counts in store.series.items(CIDR, v4("192.0.2.0"), 24)]
    assert sorted(in_network) == [(v4("192.0.2.1"), [0, 1, 0, 0, 0, 0]), (v4("192.0.2.2"), [2, 0, 0, 0, 0, 0])]
    assert len(list(store.series.items(CIDR, v4("0.0.0.0"), 0))) == 3
    assert [(item, list(counts)) for item, counts in store.series.items(WORDS, b"", 0)] == [(b"a\xff", [4, 0, 0])]


# --- gauges -----------------------------------------------------------------------------------------------------------


def test_a_gauge_goes_up_and_down(store: Store) -> None:
    gauges = store.gauges
    assert [gauges.add(GAUGE, b"a", by) for by in (1, 1, -1, -5)] == [1, 2, 1, -4]
    assert gauges.get(GAUGE, b"a") == -4
    assert gauges.get(GAUGE, b"b") == 0
    gauges.remove(GAUGE, b"a")
    gauges.remove(GAUGE, b"a")
    assert gauges.get(GAUGE, b"a") == 0
    assert gauges.add(GAUGE, b"a", 1) == 1
    assert gauges.get(Gauge("other", 3, 60.0), b"a") == 0


def test_a_key_too_many_drops_the_one_that_was_changed_the_longest_ago(store: Store) -> None:
    for key in (b"a", b"b", b"c", b"a"):
        store.gauges.add(GAUGE, key, 1)
    store.gauges.add(GAUGE, b"d", 1)
    assert [store.gauges.get(GAUGE, key) for key in (b"a", b"b", b"c", b"d")] == [2, 0, 1, 1]
    store.gauges.remove(GAUGE, b"c")
    store.gauges.add(GAUGE, b"e", 1)
    assert [store.gauges.get(GAUGE, key) for key in (b"a", b"b", b"c", b"d", b"e")] == [2, 0, 0, 1, 1]


def test_a_key_is_forgotten_after_its_time(store: Store, clock: Clock) -> None:
    store.gauges.add(GAUGE, b"a", 1)
    store.gauges.add(GAUGE, b"b", 1)
    clock.now += 59.9
    store.gauges.add(GAUGE, b"b", 1)
    clock.now += 0.1
    assert store.gauges.get(GAUGE, b"a") == 0
    assert store.gauges.get(GAUGE, b"b") == 2
    assert store.gauges.add(GAUGE, b"a", 1) == 1
    clock.now += 59.0
    assert store.gauges.get(GAUGE, b"a") == 1


# --- counters ---------------------------------------------------------------------------------------------------------


def test_counters(store: Store, clock: Clock) -> None:
    counters = store.counters
    assert counters.read(b"/a") == 0
    assert counters.all() == []
    assert [counters.add(b"/a", by) for by in (1, 41, -2)] == [1, 42, 40]
    assert counters.add(b"/b", 7, relaxed=True) == 7
    clock.now += 5
    counters.reset(b"/b")
    counters.reset(b"/c")
    assert [(c.path, c.value, c.since, c.relaxed) for c in counters.all()] == [
        (b"/a", 40, 1_800_000_000, False),
        (b"/b", 0, 1_800_000_005, True),
        (b"/c", 0, 1_800_000_005, False),
    ]
    assert counters.unlink(b"/a")
    assert not counters.unlink(b"/a")
    assert counters.read(b"/a") == 0
    assert counters.add(b"/a", LIMIT) == LIMIT
    assert counters.add(b"/a", LIMIT) == LIMIT


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_lock_has_one_owner(store: Store) -> None:
    locks = store.locks
    assert locks.acquire(b"x", b"one", 60)
    assert not locks.acquire(b"x", b"two", 60)
    assert not locks.acquire(b"x", b"one", 60)
    assert locks.acquire(b"y", b"two", 60)
    assert not locks.release(b"x", b"two")
    assert locks.release(b"x", b"one")
    assert not locks.release(b"x", b"one")
    assert locks.acquire(b"x", b"two", 60)


def test_a_lease_ends(store: Store, clock: Clock) -> None:
    assert store.locks.acquire(b"x", b"one", 60)
    clock.now += 59.9
    assert not store.locks.acquire(b"x", b"two", 60)
    clock.now += 0.1
    assert not store.locks.release(b"x", b"one")
    assert store.locks.acquire(b"x", b"two", 60)
    assert not store.locks.release(b"x", b"one")
    assert store.locks.release(b"x", b"two")


def test_all_locks_of_an_owner(store: Store) -> None:
    for name in (b"x", b"y"):
        assert store.locks.acquire(name, b"one", 60)
    assert store.locks.acquire(b"z", b"two", 60)
    store.locks.release_all(b"one")
    store.locks.release_all(b"nobody")
    assert [store.locks.acquire(name, b"three", 60) for name in (b"x", b"y", b"z")] == [True, True, False]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_open_sessions(store: Store) -> None:
    sessions = store.sessions
    assert sessions.enter(v4("192.0.2.1")) == {0: 1, 8: 1, 16: 1, 24: 1, 32: 1}
    assert sessions.enter(v4("192.0.2.9")) == {0: 2, 8: 2, 16: 2, 24: 2, 32: 1}
    assert sessions.enter(v4("192.0.2.1")) == {0: 3, 8: 3, 16: 3, 24: 3, 32: 2}
    assert sessions.enter(v6("2001:db8::1")) == {0: 1, 16: 1, 32: 1, 48: 1, 64: 1, 128: 1}
    wanted = {0: 3, 23: 3, 24: 3, 28: 3, 29: 2, 32: 2}
    assert {bits: sessions.present(v4("192.0.2.1"), bits) for bits in wanted} == wanted
    assert sessions.present(v6("2001:db8::1"), 40) == 1
    sessions.leave(v4("192.0.2.1"))
    assert sessions.present(v4("192.0.2.1"), 32) == 1
    sessions.leave(v4("192.0.2.1"))
    assert [sessions.present(v4("192.0.2.1"), bits) for bits in (0, 24, 32)] == [1, 1, 0]


# --- sweeping ---------------------------------------------------------------------------------------------------------


def test_sweeping_frees_what_has_expired_and_nothing_else(store: Store, clock: Clock) -> None:
    for number in range(500):
        store.series.add(WORDS, b"old %d" % number, 1)
        store.series.add(KEPT, b"old %d" % number, 1)
    store.gauges.add(GAUGE, b"old", 1)
    store.counters.add(b"/a", 1)
    store.locks.acquire(b"x", b"one", 5)
    clock.now += 1000
    store.series.add(WORDS, b"new", 3)
    store.gauges.add(GAUGE, b"new", 4)
    store.locks.acquire(b"y", b"one", 5)
    store.sessions.enter(v4("192.0.2.1"))
    for _ in range(200):
        if not store.sweep(50):
            break
    else:
        pytest.fail("there is always more to look at")
    assert [item for item, counts in store.series.items(WORDS, b"", 0) if any(counts)] == [b"new"]
    assert not [item for item, counts in store.series.items(KEPT, b"", 0) if any(counts)]
    assert store.series.count(WORDS, b"new", 0, 0, 2) == 3
    assert store.gauges.get(GAUGE, b"new") == 4
    assert store.counters.read(b"/a") == 1
    assert not store.locks.acquire(b"y", b"two", 5)
    assert store.sessions.present(v4("192.0.2.1"), 32) == 1
