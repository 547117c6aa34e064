"""adapters.smtp_content: what arrives of any bytes, and that nothing but the final dot ends them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.adapters.smtp import Connection
from lumilter.adapters.smtp_content import BLOCK, blocks, has_8bit
from lumilter.config.address import MailServer
from support.sink import Sink


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def smtp(port: int) -> MailServer:
    return MailServer.parse(f"smtp:inet:{port}@127.0.0.1")


def normalised(content: bytes) -> bytes:
    """What a server must get, by another way than the adapter's."""
    if content and not content.endswith(b"\n"):
        content += b"\n"
    lines = [line.rstrip(b"\r").replace(b"\r", b" ") + b"\r\n" for line in content.split(b"\n")]
    return b"".join(lines[:-1])


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield server


@pytest.fixture(scope="module")
def connection(sink: Sink) -> Iterator[Connection]:
    """One for all examples of a property."""
    with Connection(smtp(sink.port), "mx.test", 10) as connection:
        yield connection


SMUGGLED = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\0", b"\xff", b"a"]), max_size=30
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200) | SMUGGLED, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_what_arrives_is_the_content_with_its_line_ends_normalised(
    sink: Sink, connection: Connection, content: bytes, cuts: list[int]
) -> None:
    ends = sorted(cuts)
    pieces = [content[start:end] for start, end in zip([0, *ends], [*ends, len(content)], strict=True)]
    assert b"".join(pieces) == content
    sent = b"".join(blocks(pieces))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", sent)
    assert not re.search(rb"(?:^|\n)\.(?:\r|\n)", sent)
    before = len(sink.messages)
    assert connection.send("a@a.test", ["b@b.test"], [memoryview(piece) for piece in pieces], soon()) == {}
    assert [message.raw for message in sink.messages[before:]] == [normalised(content)]


@pytest.mark.parametrize("around", range(-3, 4))
@pytest.mark.parametrize("text", [b"\r\n.\r\n", b"\r\r\n.", b"\n.", b"\r.", b"\r" * (2 * BLOCK + 5)])
def test_line_ends_that_lie_across_blocks(around: int, text: bytes) -> None:
    content = b"a" * (BLOCK + around - len(text)) + text + b"b"
    unstuffed = re.sub(rb"(^|\n)\.", rb"\1", b"".join(blocks([content])))
    assert unstuffed == normalised(content)


def test_8bit_is_seen_anywhere() -> None:
    assert has_8bit([b"a" * BLOCK + b"\x80"])
    assert not has_8bit([b"a" * BLOCK, b"\x7f\0", b""])


def test_100_mb_go_block_by_block() -> None:
    line = b"." + b"x" * 1022 + b"\n"
    piece = memoryview(line * 1024)
    sizes = [len(block) for block in blocks([piece] * 100)]
    assert sum(sizes) == 100 * 1024 * (1024 + 2)
    assert max(sizes) < BLOCK * 1.1
