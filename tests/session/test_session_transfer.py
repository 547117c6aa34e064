"""Transfer encodings and charsets step by step: where a step ends changes nothing."""

from __future__ import annotations

import base64
import binascii
import encodings.aliases
import quopri
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.session import rfc2047
from lumilter.session.buffers import collected, is_ascii, is_same, joined
from lumilter.session.transfer import BASE64, QUOTED, decoded, encoded, from_utf8, in_utf8, steps

SIZES = st.integers(1, 70)
LETTERS = st.text("aé€日\r\n= .\t", max_size=200)
SOUP = st.lists(
    st.sampled_from(
        [b"QUJD", b"QQ==", b"=", b"==", b"A", b"\r\n", b"!", b"=\r\n", b"=4", b"=41", b" \n", b"\xff", b"-"]
    ),
    max_size=40,
).map(b"".join)


@given(st.binary(max_size=400), SIZES, st.sampled_from(["", "8bit", BASE64]))
def test_what_was_encoded_is_decoded(raw: bytes, size: int, encoding: str) -> None:
    there = b"".join(encoded(raw, encoding, size))
    assert b"".join(decoded(there, encoding, size)) == raw
    if encoding == BASE64:
        assert there == base64.encodebytes(raw).replace(b"\n", b"\r\n")


@given(LETTERS.map(str.encode) | st.binary(max_size=300), SIZES)
def test_quoted_printable(raw: bytes, size: int) -> None:
    there = b"".join(encoded(raw, QUOTED, size))
    assert there == b"".join(encoded(raw, QUOTED))
    assert b"".join(decoded(there, QUOTED, size)) == quopri.decodestring(there)


@given(SOUP, SIZES, st.sampled_from([BASE64, QUOTED]))
def test_any_bytes_decode_to_the_same(body: bytes, size: int, encoding: str) -> None:
    whole = b"".join(decoded(body, encoding))
    assert b"".join(decoded(body, encoding, size)) == whole
    if encoding == QUOTED:
        assert whole == binascii.a2b_qp(body)


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        (b"aGVsbG8=\r\n", b"hello"),
        (b"aGVs!!bG8=\r\n\r\n", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsb", b"hel"),
        (b"aGVs\r\n=\r\nbG8=", b"hello"),
        (b"", b""),
        (b"=", b""),
    ],
)
def test_base64_that_is_not_well_formed(body: bytes, raw: bytes) -> None:
    assert b"".join(decoded(body, BASE64)) == raw


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "shift_jis", "iso-2022-jp", "utf-16", "windows-1251", "gb18030", "utf-8"]
)
@given(text=st.text("aé日本語ж\n", max_size=60), size=SIZES)
def test_charsets(charset: str, text: str, size: int) -> None:
    try:
        raw = text.encode(charset)
    except UnicodeError:
        with pytest.raises(UnicodeError):
            b"".join(from_utf8(steps(text.encode(), size), charset))
        return
    assert b"".join(in_utf8(steps(raw, size), charset)).decode() == text
    assert b"".join(from_utf8(steps(text.encode(), size), charset)) == raw


def known_charsets() -> list[str]:
    """Every charset that text can be in."""
    names = {name.lower() for pair in encodings.aliases.aliases.items() for name in pair}
    return sorted(name for name in names if rfc2047.is_charset(name))


@pytest.mark.parametrize("charset", known_charsets())
def test_any_bytes_are_text_in_any_charset(charset: str) -> None:
    """As one text they are the same as step by step; Python's decoders do not all agree with themselves."""
    chance = random.Random(charset)
    for raw in (b"", b"a", b"--", b"\xff", b"\xff\xfea\0", b"a\x1b$B!", *(chance.randbytes(40) for _ in range(10))):
        whole = rfc2047.text_in(charset, raw)
        assert whole is not None
        stepped = b"".join(in_utf8(steps(raw, 3), charset))
        if charset in rfc2047.AS_UTF8:
            assert stepped == raw
        else:
            assert stepped.decode() == whole


@given(st.binary(max_size=100), SIZES)
def test_a_charset_that_is_not_known_changes_nothing(raw: bytes, size: int) -> None:
    assert b"".join(in_utf8(steps(raw, size), "x-klingon")) == raw
    assert b"".join(from_utf8(steps(raw, size), "x-klingon")) == raw


def test_long_texts_in_pieces() -> None:
    long = bytes(range(256)) * 10_000
    assert joined([b"a", memoryview(long), b"", b"b"]) == b"a" + long + b"b"
    assert collected([long, b"x"]) == long + b"x"
    assert is_same(memoryview(long), long)
    assert not is_same(long, long[:-1] + b"x")
    assert not is_same(long, long[:-1])
    assert is_ascii(b"a" * 2_000_000)
    assert not is_ascii(b"a" * 2_000_000 + b"\xff")
