"""The end-of-data mark around searches: put behind a content, and taken off what a replacement made of both."""

from __future__ import annotations

import mmap
import tempfile

import pytest

from lumilter.api.matching import MARK, with_mark, without_end
from lumilter.wire.content import Mapped


@pytest.mark.parametrize(
    ("content", "marked"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a\n", b"a\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b".\r\n.\r\n"),
    ],
)
def test_on_and_off(content: bytes, marked: bytes) -> None:
    assert bytes(with_mark(content)) == marked
    assert without_end([marked]) in (content, content + b"\r\n")
    for cut in range(len(marked) + 1):
        assert without_end([marked[:cut], b"", marked[cut:]]) == without_end([marked])


def test_only_a_mark_is_taken_off() -> None:
    for text in (b"a.\r\n", b"", b"a", b"\r\n", b"..\r\n"):
        assert without_end([text]) == text


def test_what_the_wire_left_behind_a_body_is_used() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"body\r\n" + MARK)
        file.flush()
        with Mapped(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            body = memoryview(mapped)[:6]
            marked = with_mark(body)
            assert isinstance(marked, memoryview)
            assert marked.obj is mapped
            assert bytes(marked) == b"body\r\n.\r\n"
            marked.release()
            part = body[:2]
            assert with_mark(part) == b"bo\r\n.\r\n"
            part.release()
            body.release()
