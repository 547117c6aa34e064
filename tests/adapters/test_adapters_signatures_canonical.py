"""Canonical bodies and fields: the RFCs' own examples, and long bodies in pieces."""

from __future__ import annotations

import dkim.canonicalization
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.adapters.signatures import canonical
from lumilter.adapters.signatures.content import Content, Digests, without_value


def whole(form: str, body: bytes) -> bytes:
    return b"".join(bytes(piece) for piece in canonical.BODIES[form](body))


def test_the_examples_of_rfc_6376() -> None:
    """3.4.5."""
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert whole("relaxed", body) == b" C\r\nD E\r\n"
    assert whole("simple", body) == b" C \r\nD \t E\r\n"
    assert canonical.relaxed_header(b"A", b" X") == b"a:X\r\n"
    assert canonical.relaxed_header(b"B ", b" Y\t\r\n\tZ  ") == b"b:Y Z\r\n"
    assert canonical.simple_header(b"B ", b" Y\t\r\n\tZ  ") == b"B : Y\t\r\n\tZ  \r\n"


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""), (b"\r\n", b"\r\n", b""), (b" \r\n\r\n", b" \r\n", b""), (b"a", b"a\r\n", b"a\r\n"),
        (b"a \t", b"a \t\r\n", b"a\r\n"), (b"\r\n\r\na\r\n\r\n", b"\r\n\r\na\r\n", b"\r\n\r\na\r\n"),
        (b"a\n\n", b"a\n\n\r\n", b"a\n\n\r\n"), (b"\t \r\na", b"\t \r\na\r\n", b"\r\na\r\n"),
    ],
)  # fmt: skip
def test_bodies(body: bytes, simple: bytes, relaxed: bytes) -> None:
    assert (whole("simple", body), whole("relaxed", body)) == (simple, relaxed)
    assert (whole("simple", memoryview(body)), whole("relaxed", memoryview(body))) == (simple, relaxed)  # type: ignore[arg-type]


LINES = st.lists(st.sampled_from([b"", b" ", b"a", b"a \t b", b" a ", b"\t", b"\n", b"x" * 50]), max_size=30)


@given(LINES, st.integers(1, 40))
def test_pieces_make_the_whole(lines: list[bytes], size: int) -> None:
    body = b"\r\n".join(lines)
    body = body + b"\r\n" if body else body
    known = dkim.canonicalization.Relaxed.canonicalize_body(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_PIECE", size)
        assert whole("relaxed", body) == known
        digests = Digests(Content((), body))
        assert digests.body_size("relaxed") == len(known)
        for length in (0, 1, size, len(known)):
            patch.setattr(canonical, "_PIECE", size)
            part = digests.body_hash("relaxed", "sha256", length)
            patch.setattr(canonical, "_PIECE", 1 << 20)
            assert part == Digests(Content((), body)).body_hash("relaxed", "sha256", length)


def test_the_signature_itself_is_left_out() -> None:
    value = b" v=1; bh=b=; b = abc\r\n\tdef ; d=x"
    assert without_value(value, b"b") == b" v=1; bh=b=; b =; d=x"
    assert without_value(b" b=abc", b"b") == b" b="
