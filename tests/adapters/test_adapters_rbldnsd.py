"""adapters.networks.rbldnsd: files are read as Debian's rbldnsd reads them."""

from __future__ import annotations

import ipaddress
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lumilter.adapters.networks import rbldnsd
from lumilter.adapters.networks.table import Builder, Table
from support.rbldnsd import Rbldnsd
from support.rbldnsd import rbldnsd as serving

SET = """\
# comment
; another
$SOA 3600 a.example b.example 1 2 3 4 5
$1 See http://rbl.example
$TTL 300
:127.0.0.5:Default $
10.0.0.1
10.0.0.2 :2:text $$ $1 here
10.0.0.3 only text $ ; no comment
10.0.0.4:7:no space
10.0.0.5 :9:
10.0.0.6 :9
10.0.0.7 # comment
10.0.0.8;comment
10.0.0.9 :3:  padded text\t
\t10.0.0.10\ttab
10.0.0.11 "quoted"
10.0.1
!10.0.1.5
10.0.1.5 :8:listed and excluded
10.0.3.7/24 :11:bits behind the prefix
10.0.4.1-20 :12:range
10.0.5-10.0.6 :13:prefixes
10.0.7-8 :14:suffix
10.0.10.1 :300:bad
10.0.11.1 ::bad
10.0.12.1 : 5 : bad
10.0.13.1 :2:=sign $
10.0.14.1 :0.5:two octets
10.0.14.2 :0:none
10.0.14.3 :127.0.0.3 bad
nonsense
300.1.1.1
10.0.18.0/33
10.0.19.0-10.0.18.0
! 10.0.20.1
10.0.20.0/24
:6:
10.0.15.1
10.0.15.2 after another default
:8
10.0.16.1
caf\udce9
10.0.17.1 caf\udce9
"""
TRIE = """\
:2:all $
0/0
10.0.0.0/8 :3:eight
10.0.2.0/24 :4:net
10.0.2.128/25 :6:half
10.0.2.130 :7:one
!10.0.2.132/30
10.0.2.133 :9:in an excluded one
10.0.9.1 :1.2.3.4:first
10.0.9.1 :1.2.3.5:second
"""
BASE = """\
$= See http://rbl.example/?$= ($) for $1 $$
$1 details
10.0.0.1 r123
10.0.0.2
10.0.0.3 =own $
10.0.0.4 :4:
"""
SIX = """\
:127.0.1.2: Listed, $
2001:21ab:c000/36
2001:21ab:def7:4242 :127.0.1.3: This one
2605:6001:42::/52
::1   # loopback
!2605:6001:42::bead
2001:db8:1:2:3:4:5:6 :4:whole
2001:db8::1/32 :5:bits behind the prefix
"""
ZONES = {"set": ("ip4set", SET), "trie": ("ip4trie", TRIE), "base": ("ip4trie", BASE), "six": ("ip6trie", SIX)}


@pytest.fixture(scope="module")
def real() -> Iterator[Rbldnsd]:
    chance = random.Random(20261128)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        files = {**{zone: text for zone, (_, text) in ZONES.items()}, "random": random_trie(chance)}
        for zone, text in files.items():
            (directory / zone).write_text(text, "utf-8", "surrogateescape")
            (directory / zone).chmod(0o644)
        kinds = {**{zone: kind for zone, (kind, _) in ZONES.items()}, "random": "ip4trie"}
        with serving(directory, kinds) as server:
            server.random = files["random"]  # type: ignore[attr-defined]
            yield server


def random_trie(chance: random.Random) -> str:
    """Networks around 10.0.0.0, nested in many ways.

    None is there twice: of those an exclusion wins in a set, the first one in a trie.
    """
    lines: list[str] = []
    known: set[str] = set()
    for _ in range(400):
        length = chance.choice([16, 20, 23, 24, 25, 28, 30, 31, 32])
        number = (10 << 24 | chance.getrandbits(14)) >> (32 - length) << (32 - length)
        text = f"{ipaddress.IPv4Address(number)}/{length}"
        if text in known:
            continue
        known.add(text)
        lines.append(f"!{text}" if chance.random() < 0.2 else f"{text} :{chance.randrange(1, 256)}:t{len(lines)} $")
    return "\n".join(lines)


def table(text: str, want_text: bool, problems: list[int] | None = None) -> Table:
    builder = Builder()
    lines = text.encode("utf-8", "surrogateescape").split(b"\n")
    rbldnsd.load(lines, builder, want_text, lambda n, _: problems.append(n) if problems is not None else None)
    return builder.table()


def compare(real: Rbldnsd, zone: str, text: str, addresses: list[str]) -> None:
    records, texts = table(text, False), table(text, True)
    for ip in addresses:
        record, words = records.of(ip), texts.of(ip)
        assert ([record] if record is not None else None) == real.answers(zone, ip, "A"), ip
        shown = None if words is None else [rbldnsd.interpolated(words, ip)] if words else []
        assert shown == real.answers(zone, ip, "TXT"), ip


def test_sets(real: Rbldnsd) -> None:
    hosts = [f"10.0.{net}.{host}" for net in range(21) for host in (0, 1, 2, 3, 5, 20, 21, 255)]
    compare(real, "set", SET, [*hosts, *(f"10.0.0.{host}" for host in range(12)), "11.0.0.1"])


def test_tries(real: Rbldnsd) -> None:
    nets = [f"10.0.2.{host}" for host in range(0, 256, 1)]
    compare(real, "trie", TRIE, [*nets, "10.0.9.1", "10.9.9.9", "192.0.2.1", "0.0.0.0", "255.255.255.255"])


def test_base_templates(real: Rbldnsd) -> None:
    compare(real, "base", BASE, [f"10.0.0.{host}" for host in range(1, 4)])


def test_ipv6(real: Rbldnsd) -> None:
    addresses = [
        "2001:21ab:c000::1", "2001:21ab:d000::1", "2001:21ab:def7:4242::1", "2605:6001:42::1", "2605:6001:42::bead",
        "::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:7", "2001:db8::1",
    ]  # fmt: skip
    compare(real, "six", SIX, addresses)


def test_random_networks(real: Rbldnsd) -> None:
    text = real.random  # type: ignore[attr-defined]
    chance = random.Random(1)
    compare(real, "random", text, [str(ipaddress.IPv4Address(10 << 24 | chance.getrandbits(14))) for _ in range(600)])


def test_what_is_left_out_is_reported_with_its_line() -> None:
    problems: list[int] = []
    table(SET, True, problems)
    lines = SET.split("\n")
    assert [lines[number - 1].split()[0] for number in problems] == [
        "10.0.3.7/24", "10.0.10.1", "10.0.11.1", "10.0.12.1", "10.0.14.2", "10.0.14.3", "nonsense", "300.1.1.1",
        "10.0.18.0/33", "10.0.19.0-10.0.18.0", "caf\udce9",
    ]  # fmt: skip


def test_lines_that_are_only_a_network_are_read_as_others_are() -> None:
    """They go another way, by a few calls of C; what is behind them makes a line one of the others."""
    chance = random.Random(3)
    networks = [f"{ipaddress.ip_address(chance.getrandbits(32))}" for _ in range(200)]
    networks += [f"10.{number}.0.0/{number}" for number in range(8, 33)] + ["0.0.0.0/0", "10.0.0.0/33", "10.0.0.0/7"]
    networks += ["10.0.0.1/24", "010.0.0.9", "10.0.0.8/+32", "10.0.0.8/3_2", "10.0.0.8/", "10.0.0.8/032", "1.2.3.4/٣٢"]
    lines = [":127.0.0.9:$1 $", "$1 one", *networks[:9], "$1 two", ":4", *networks]

    def read(behind: str, want_text: bool) -> tuple[Table, list[int]]:
        builder, left_out = Builder(), list[int]()
        whole = [f"{line}{behind if line[0].isdigit() else ''}".encode() for line in lines]
        rbldnsd.load(whole, builder, want_text, lambda number, problem: left_out.append(number))
        return builder.table(), left_out

    for want_text in (False, True):
        table, left_out = read("", want_text)
        assert (table, left_out) == read(" # x", want_text)
        assert len(left_out) >= 5


def test_one_file_for_both_families_and_sections_of_other_kinds() -> None:
    found = table(
        "10.79:2:four\n1111::0000 :3:six\n1111::1111:5:no\n$DATASET dnset @\nspam.example :4:x\n10.0.0.1\n"
        "$DATASET ip4set:x y\n10.0.0.2\n",
        True,
    )
    assert found.of("10.79.1.1") == "four"
    assert found.of("1111::") == "six"
    assert found.of("1111::1") is None
    assert found.of("10.0.0.1") is None
    assert found.of("10.0.0.2") == ""
