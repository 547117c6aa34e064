"""cli.eml: any bytes are a message."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lumilter.cli.eml import read_message

NAME = st.text("ABCabc-123", min_size=1, max_size=8).filter(lambda name: not name.startswith("From")).map(str.encode)
LINE = st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
VALUE = st.tuples(LINE, st.lists(LINE.map(lambda line: b" " + line), max_size=2)).map(
    lambda v: b"\n".join([v[0], *v[1]])
)


@given(
    st.lists(st.tuples(NAME, VALUE), max_size=4), st.lists(LINE, max_size=4), st.sampled_from([b"\n", b"\r\n", b"\r"])
)
def test_what_is_written_is_read_whatever_the_line_ends(
    fields: list[tuple[bytes, bytes]], body: list[bytes], end: bytes
) -> None:
    raw = end.join([name + b":" + value.replace(b"\n", end) for name, value in fields] + [b"", *body])
    headers, read = read_message(raw)
    assert headers == tuple(fields)
    assert read == b"\r\n".join(body)


def test_a_field_of_a_million_lines() -> None:
    headers, body = read_message(b"A: b" + b"\n c" * 1_000_000 + b"\n\nbody")
    assert headers == ((b"A", b" b" + b"\n c" * 1_000_000),)
    assert body == b"body"


@given(st.binary(max_size=60))
@example(b"From \n")
@example(b"\r")
@example(b":\n\n")
def test_nothing_is_lost_and_nothing_raises(raw: bytes) -> None:
    headers, body = read_message(raw)
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert all(name and b":" not in name for name, _ in headers)
