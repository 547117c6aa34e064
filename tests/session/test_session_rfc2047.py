"""Encoded words: the cases of RFC 2047 8, what real mail gets wrong, and the round trip."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.session import rfc2047
from lumilter.session.rfc2047 import decode, encode


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"(=?ISO-8859-1?Q?a?=)", "(a)"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\n  =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?utf-8?B?w6Q=?=", "ä"),
        (b"=?utf-8?b?w6Q?=", "ä"),
        (b"=?UTF-8?Q?=C3?= =?UTF-8?Q?=A4?=", "ä"),
        (b"=?iso-8859-1*de?Q?=E4?=", "ä"),
        (b"=?no-such-charset?Q?=E4?=", "=?no-such-charset?Q?=E4?="),
        (b"=?utf-8?B?!!!?= x", "=?utf-8?B?!!!?= x"),
        (b"=?utf-8?Q?=zz?=", "=zz"),
        (b"=?utf-8?Q?open", "=?utf-8?Q?open"),
        (b"=?rot13?Q?nop?=", "=?rot13?Q?nop?="),
        ("roh ä".encode(), "roh ä"),
        (b"8bit \xe4", "8bit \udce4"),
        (b"x =?utf-8?Q?=FF?= y", "x \udcff y"),
        (b"=?utf-7?Q?+2AA-?=", "?"),
        (b"=?punycode?Q?a-b?=", "=?punycode?Q?a-b?="),
        (b"=?koi8-u?B?9MXT1CDU1c/Hz8g=?=", "Тест туогох"),
        (b"=?gb2312?B?6Jc=?=", "钘"),
        (b"=?windows-874?Q?=A1?=", "ก"),
        (b"=?windows-1252?Q?=80?= =?koi8-r?Q?=C1?= =?gb2312?B?xOO6ww==?= =?latin1?Q?=E4?=", "€а你好ä"),
    ],
)
def test_decode(value: bytes, text: str) -> None:
    assert decode(value) == text


@given(st.binary(max_size=200))
def test_decode_takes_anything(value: bytes) -> None:
    assert isinstance(decode(value), str)
    assert isinstance(decode(b"=?utf-8?Q?" + value + b"?= =?x?B?" + value + b"?="), str)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=200))
def test_round_trip(text: str) -> None:
    value = encode(text)
    assert value.isascii()
    assert decode(value.replace(b"\n ", b" ")) == text
    assert all(len(word) <= 75 for word in value.split() if word.startswith(b"=?"))


@given(st.binary(max_size=80))
def test_round_trip_of_bytes_that_are_no_utf8(raw: bytes) -> None:
    text = raw.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")
    assert decode(encode(text).replace(b"\n ", b" ")) == text


def test_only_words_that_need_it_are_encoded() -> None:
    assert encode("Grüße <a@example.com>") == b"=?utf-8?B?R3LDvMOfZQ==?= <a@example.com>"


def test_text_that_looks_encoded_survives() -> None:
    assert decode(encode("=?utf-8?Q?a?=")) == "=?utf-8?Q?a?="


@pytest.mark.parametrize("charset", sorted(rfc2047._CHARSETS))
@settings(max_examples=5)
@given(st.binary(max_size=40))
def test_no_charset_raises(charset: str, raw: bytes) -> None:
    decode(b"=?" + charset.encode() + b"?B?" + base64.b64encode(raw) + b"?=").encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Müller, Jo" <a@example.com>', b"=?utf-8?B?Ik3DvGxsZXIsIEpvIg==?= <a@example.com>"),
        ('"a \\" ü" <a@example.com>', b"=?utf-8?B?ImEgXCIgw7wi?= <a@example.com>"),
        ('5" ü x', b'5" =?utf-8?B?w7w=?= x'),
        ('"plain, name" ü', b'"plain, name" =?utf-8?B?w7w=?='),
    ],
)
def test_a_quoted_string_is_encoded_whole_or_not(text: str, value: bytes) -> None:
    assert encode(text) == value
    assert decode(value) == text


def test_lines_with_encoded_words_are_short() -> None:
    text = "Ж" * 30 + " plain words," * 10 + " " + "Ж" * 50 + " <a.long.address@of.some.example.com>"
    lines = (b"Subject: " + encode(text, 9)).split(b"\n")
    assert all(len(line) <= 76 for line in lines if b"=?" in line)
    assert decode(encode(text, 9).replace(b"\n ", b" ")) == text


def test_half_surrogates_do_not_raise() -> None:
    assert decode(encode("a \ud800 \udfff b")) == "a ? ? b"


@pytest.mark.parametrize("text", ['ü"\\"' * 20_000, "ü b " * 20_000, "ü\t" * 40_000, '"' * 80_000 + "ü", "ü" * 80_000])
def test_huge_text(text: str) -> None:
    assert decode(encode(text).replace(b"\n ", b" ")) == text


@pytest.mark.parametrize(("word", "text"), [(b"=?x?q?a?=", "=?x?q?a?= "), (b"=?utf-8?q?a?=", "a")])
def test_a_million_words(word: bytes, text: str) -> None:
    assert decode(word * 1_000_000) == (text * 1_000_000).strip()


def test_long_text_is_split_between_characters() -> None:
    words = encode("ж" * 200).split(b"\n ")
    assert len(words) > 1
    for word in words:
        base64.b64decode(word.split(b"?")[3]).decode("utf-8")
