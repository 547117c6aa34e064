"""adapters.networks: tables against a plain search, addresses against ipaddress, lists that are loaded again."""

from __future__ import annotations

import ipaddress
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.datasources.contract import Answer, Request
from lumilter.adapters.networks import addresses, sources, table
from lumilter.adapters.networks.lists import CidrList, CidrLists, Report
from lumilter.adapters.networks.table import EMPTY, Builder, Table
from lumilter.errors import LookupFailed
from lumilter.loop import Loop

IPV4 = st.integers(0, 2**32 - 1) | st.integers(10 << 24, (10 << 24) + 300)
IPV6 = st.integers(0, 2**128 - 1) | st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 300)
NETWORKS = st.booleans().flatmap(
    lambda six: st.tuples(
        st.just(six), IPV6 if six else IPV4, st.integers(0, 128 if six else 32), st.sampled_from([None, "a", "b", True])
    )
)
LATER = 10**9


def network(six: bool, number: int, length: int) -> tuple[bool, int, int]:
    host = addresses.BITS[six] - length
    return six, number >> host << host, length


@settings(max_examples=200)
@given(st.lists(NETWORKS, max_size=30), st.lists(IPV4 | IPV6, max_size=10))
def test_the_smallest_network_decides(given_networks: list, probes: list[int]) -> None:
    networks = [(network(six, number, length), value) for six, number, length, value in given_networks]
    builder = Builder()
    for (six, first, length), value in networks:
        builder.add(six, first, length, value)
    made = builder.table()
    assert made.size == len(networks)
    for six in (False, True):
        bits, top = addresses.BITS[six], 2 ** addresses.BITS[six] - 1
        edges = [first for (kind, first, _), _ in networks if kind == six]
        ends = [first + 2 ** (bits - length) for (kind, first, length), _ in networks if kind == six]
        for at in {0, top, *edges, *ends, *(p - 1 for p in edges + ends), *probes}:
            if 0 <= at <= top:
                holding = [(n[2], v) for n, v in networks if n[0] == six and network(six, at, n[2]) == n]
                longest = max((length for length, _ in holding), default=None)
                values = [value for length, value in holding if length == longest]
                wanted = None if not values or None in values else values[0]
                assert made.find(six, at) == wanted


def test_many_networks_are_put_in_order_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def built() -> Table:
        chance, builder = random.Random(1), Builder()
        for number in range(2000):
            builder.add(
                *network(False, 10 << 24 | chance.getrandbits(12), chance.randrange(20, 33)), number % 3 or None
            )
        return builder.table()

    whole = built()
    assert len(whole.starts[False]) > 500
    monkeypatch.setattr(table, "_SORTED", 7)
    assert built() == whole


@given(st.booleans(), st.data())
def test_a_range_is_the_fewest_networks(six: bool, data: st.DataObject) -> None:
    numbers = IPV6 if six else IPV4
    first, last = sorted((data.draw(numbers), data.draw(numbers)))
    kind = ipaddress.IPv6Address if six else ipaddress.IPv4Address
    wanted = list(ipaddress.summarize_address_range(kind(first), kind(last)))
    assert list(addresses.prefixes(six, first, last)) == [(int(n.network_address), n.prefixlen) for n in wanted]


@given(st.ip_addresses())
def test_addresses(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = getattr(ip, "ipv4_mapped", None)
    assert addresses.address(str(ip)) == ((False, int(mapped)) if mapped else (ip.version == 6, int(ip)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.0/8", (False, 10 << 24, 8)),
        ("10.1.2.3/8", (False, 10 << 24, 8)),
        (" 10.0.0.1 ", (False, (10 << 24) + 1, 32)),
        ("0.0.0.0/0", (False, 0, 0)),
        ("::/0", (True, 0, 0)),
        ("2001:db8::/32", (True, 0x20010DB8 << 96, 32)),
        ("::ffff:10.0.0.0/104", (False, 10 << 24, 8)),
    ],
)
def test_networks(text: str, found: tuple[bool, int, int]) -> None:
    assert addresses.prefix(text) == found


@pytest.mark.parametrize(
    "text", ["", "x", "10", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/", "1.2.3.4/8/8", "1.2.3.4\0",
             "::ffff:10.0.0.0/8", "10.0.0.256", "10.0.0.1/\u0663", "fe80::1%eth0"],
)  # fmt: skip
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        addresses.prefix(text)


def asked(answer: Answer | Exception) -> Callable[[Request, float], Future[Answer]]:
    def ask(request: Request, deadline: float) -> Future[Answer]:
        future: Future[Answer] = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    return ask


def test_rows_of_a_datasource(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        ("10.0.0.0/8", 1.0), ("x", 2), (None, 3), ("10.1.0.0/16", None), (b"10.2.0.0/16", b"b"), ("::/8", ["l"]),
        ("10.3.0.0/16", True),
    ]  # fmt: skip
    answer = Answer(("net", "value"), rows, True)
    entry = CidrList("l", "datasource", sources.datasource(asked(answer), "q", 7, "net", 2))
    with caplog.at_level(logging.WARNING):
        assert entry.load(LATER) == 3
    assert [entry.find(f"10.{n}.0.1") for n in range(4)] == ["1", "1", "b", "true"]
    assert [record.message for record in caplog.records] == [
        "list l: entry 2 is left out: 'x' is not an IP address",
        "list l: entry 3 is left out: it has no network",
        "list l: entry 6 is left out: a value is a list, not text",
        "the query 'q' gave 7 rows, which is max_rows: there may be more",
    ]


@pytest.mark.parametrize(("cidr", "value"), [(3, None), (None, "none"), ("none", None), (None, 3)])
def test_columns_that_are_not_there(cidr: str | int | None, value: str | int | None) -> None:
    answer = Answer(("net", "value"), [("10.0.0.0/8", "x")], True)
    reports: list[str] = []
    builder = Builder()
    sources.datasource(asked(answer), "q", -1, cidr, value)(builder, lambda n, text: reports.append(text), LATER)
    assert builder.size == 0
    assert reports[0].startswith("there is no column ")


def test_rows_by_name() -> None:
    answer = Answer(None, [{"net": "10.0.0.0/8", "who": "me"}], True)
    entry = CidrList("l", "datasource", sources.datasource(asked(answer), "q", -1, None, "who"))
    assert entry.load(LATER) == 1
    assert entry.find("10.0.0.1") == "me"


def test_a_query_that_is_not_answered() -> None:
    entry = CidrList("l", "datasource", sources.datasource(lambda request, deadline: Future(), "q", -1, None, None))
    with pytest.raises(LookupFailed, match="not answered in time"):
        entry.load(time.monotonic())
    assert entry.problem == "the query was not answered in time"
    assert entry.table is EMPTY


def test_a_list_is_loaded_again_until_another_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumilter.adapters.networks.lists.RETRY", 0.02)
    loads: list[int] = []

    def fill(into: Builder, report: Report, deadline: float) -> None:
        loads.append(len(loads))
        if loads[-1] == 2:
            raise LookupFailed("gone")
        if loads[-1] == 4:
            raise KeyError("a fault of ours")
        into.add(False, 10 << 24, 8, str(loads[-1]))

    lists, loop = CidrLists(), Loop()
    entry = CidrList("l", "rbldnsd", fill, refresh=0.02)
    lists.put(entry)
    entry.load(LATER)
    lists.keep_fresh(entry, loop)
    seen: list[tuple[str, str]] = []
    until = time.monotonic() + 60
    while len(loads) < 8 and time.monotonic() < until:
        loop.turn(0.1)
        if (entry.find("10.0.0.1"), entry.problem) not in seen:
            seen.append((entry.find("10.0.0.1"), entry.problem))
    assert ("1", "gone") in seen  # what it had is kept
    assert ("3", "internal error, see the log") in seen
    assert ("7", "") in seen or entry.find("10.0.0.1") == "7"
    assert lists.all() == {"l": entry}
    lists.put(CidrList("l", "empty"))
    loop.turn(0.1)
    loop.turn(0.1)
    count = len(loads)
    for _ in range(5):
        loop.turn(0.05)
    assert len(loads) == count
    loop.pool.shutdown()
    loop.close()


def test_queries_go_on_while_a_list_is_loaded() -> None:
    """Loading a large list lets other threads run."""

    def fill(into: Builder, report: Report, deadline: float) -> None:
        for number in range(60_000):
            into.add(False, number << 8, 24, "x")

    entry = CidrList("l", "rbldnsd", fill)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(entry.load, LATER)
        turns = 0
        while not loading.done():
            time.sleep(0.001)
            entry.find("0.0.1.1")
            turns += 1
    assert loading.result() == 60_000
    assert turns >= 10
    assert entry.find("0.0.1.1") == "x"


def test_a_list_that_no_thread_is_free_for_is_loaded_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumilter.adapters.networks.lists.RETRY", 0.02)
    loads: list[float] = []
    lists, loop = CidrLists(), Loop()
    entry = CidrList("l", "rbldnsd", lambda into, report, deadline: loads.append(deadline), refresh=0.02)
    lists.put(entry)
    loop.pool.shutdown()  # it refuses work as a system does that has no thread left
    lists.keep_fresh(entry, loop)
    until = time.monotonic() + 60
    while not entry.problem and time.monotonic() < until:
        loop.turn(0.1)
    assert entry.problem and not loads
    loop.pool = ThreadPoolExecutor(1)
    while not (loads and not entry.problem) and time.monotonic() < until:
        loop.turn(0.1)
    assert loads and not entry.problem
    loop.pool.shutdown()
    loop.close()
