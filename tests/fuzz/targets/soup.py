"""Inputs that several targets draw from: hostile text, hostile bytes, and texts that were damaged.

The law: strategies only.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

ODD = (
    "\0",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1b",
    "\x7f",
    "\x85",
    "\xa0",
    "\u0663",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\udc80",
    "\udce9",
    "\udcff",
    "\U0001f600",
    "",
    " ",
    "%",
    "\\",
    '"',
    "'",
    "=",
    "?",
    "x" * 1000,
)
"""What text is broken with: controls, digits that are not ASCII, halves of surrogate pairs, bytes that are no UTF-8."""

TEXT = st.lists(st.sampled_from(ODD) | st.text(max_size=5), max_size=8).map("".join) | st.text(max_size=60)
"""Any text, lone surrogates included."""

BYTES = st.binary(max_size=80)
FROM_MTA = BYTES.map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.lists(
    st.sampled_from([odd for odd in ODD if odd != "\ud800"]), max_size=6
).map("".join)
"""Text as the wires make it: any bytes, as UTF-8 with surrogateescape."""


def soup(pieces: Sequence[str], most: int = 30) -> st.SearchStrategy[str]:
    """Pieces in any order, and now and then something odd."""
    likely = st.sampled_from(pieces)
    return st.lists(st.one_of(likely, likely, likely, st.sampled_from(ODD)), max_size=most).map("".join)


@st.composite
def damaged(draw: st.DrawFn, texts: Sequence[bytes], extra: Sequence[bytes] = (b"",)) -> bytes:
    """One of the texts with pieces of it cut out, doubled, moved, or replaced by something extra."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 40)))
        piece = text[start:stop]
        match draw(st.integers(0, 4)):
            case 0:
                text = text[:start] + text[stop:]
            case 1:
                text = text[:stop] + piece + text[stop:]
            case 2:
                to = draw(st.integers(0, len(text)))
                text = text[:to] + piece + text[to:]
            case 3:
                text = text[:start] + draw(st.sampled_from(extra)) + text[stop:]
            case _:
                text = text[:start] + draw(st.binary(max_size=4)) + text[stop:]
    return text
