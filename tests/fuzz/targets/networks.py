"""adapters.networks: files of rbldnsd, networks and addresses as text."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, TEXT, soup
from lumilter.adapters.networks import addresses, rbldnsd
from lumilter.adapters.networks.table import Builder

WORDS = [
    "10", "10.0.0.1", "255", "256", "0", ".", "/", "/8", "/0", "/33", "/129", "-", "-20", "!", ":", "::", ":2:", ": ",
    "2001:db8", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "$", "$1 x", "$=", "$= a $= b", "$$", "$DATASET ip4set x",
    "$DATASET dnset x", "#", ";", " ", "\t", "text", "=", "\n", "\r\n", "\r", "\0", "\udce9", "\u0663", "99999999999",
]  # fmt: skip


@target(soup(WORDS, 40) | TEXT, st.booleans(), BYTES, examples=800)
def rbldnsd_files(text: str, want_text: bool, more: bytes) -> None:
    """Any file is read; what is left out is reported by lines that exist; every edge of a network can be looked up."""
    lines = (text.encode("utf-8", "surrogatepass") + b"\n" + more).split(b"\n")
    reported: list[int] = []
    builder = Builder()
    rbldnsd.load(lines, builder, want_text, lambda number, why: reported.append(number))
    assert all(1 <= number <= len(lines) for number in reported)
    table = builder.table()
    for six in (False, True):
        assert list(table.starts[six]) == sorted(set(table.starts[six]))
        for at in (*table.starts[six], 0, 2 ** addresses.BITS[six] - 1):
            value = table.find(six, at)
            assert value is None or isinstance(rbldnsd.interpolated(value, "192.0.2.1"), str)


@target(soup(WORDS, 6) | TEXT, examples=500)
def networks(text: str) -> None:
    """Any text is a network within its family's bits, or a ValueError that quotes little of it."""
    try:
        six, first, length = addresses.prefix(text)
    except ValueError as error:
        assert len(str(error)) < 600
        return
    bits = addresses.BITS[six]
    assert 0 <= length <= bits
    assert 0 <= first < 2**bits
    assert first % 2 ** (bits - length) == 0
