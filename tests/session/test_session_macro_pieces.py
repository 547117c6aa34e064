"""session.macro_pieces: pieces of plain and of MIME messages, and of bytes that are neither."""

from __future__ import annotations

import base64
import encodings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.session.macro_pieces import leaves, piece

PLAIN = (b"From: a@example.com\r\nSubject: caf\xe9\r\n", b"one\r\ntwo \xff\r\nthree")
WHOLE = (PLAIN[0] + b"\r\n" + PLAIN[1]).decode("utf-8", "surrogateescape")

HTML = b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable"
IMAGE = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo="
MIXED = (
    b'Content-Type: multipart/mixed;\r\n\tboundary="o \\"x\\""\r\n',
    b"preamble\r\n"
    b'--o "x"  \r\n'
    b"Content-Type: Multipart/Alternative; charset=x; BOUNDARY = in\r\n\r\n"
    b"--in\r\n\r\nplain \xc3\xa9\r\n\r\n"
    b"--in\r\n" + HTML + b"\r\n\r\n<p>caf=E9=\r\n!\r\nb\r\n"
    b"--in--\r\nignored\r\n"
    b'--o "x"\r\n' + IMAGE + b'\r\n--o "x"--\r\nepilogue\r\n',
)


def of(message: tuple[bytes, bytes], wanted: str) -> str | None:
    return piece(wanted, lambda: message)


# --- whole and cut ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("message", WHOLE + "\r\n"),
        ("headers", "From: a@example.com\r\nSubject: caf\udce9\r\n"),
        ("body", "one\r\ntwo \udcff\r\nthree\r\n"),
        ("message,0", ""),
        ("message,1", "From: a@example.com\r\n"),
        ("message,4", "From: a@example.com\r\nSubject: caf\udce9\r\n\r\none\r\n"),
        ("message,99999999999999999999999", WHOLE + "\r\n"),
        ("message,0b", ""),
        ("message,4b", "From\r\n"),
        ("body,2", "one\r\ntwo \udcff\r\n"),
        ("body,3b", "one\r\n"),
        ("body,4b", "one\r\n"),
        ("body,5b", "one\r\n"),
        ("body,6b", "one\r\nt\r\n"),
        ("text", "one\r\ntwo \udcff\r\nthree\r\n"),
        ("text,1,1", "one\r\n"),
        ("part,1", WHOLE + "\r\n"),
        ("text,1", WHOLE + "\r\n"),
        ("part,2", ""),
        ("part,0", ""),
        ("text,2,9", ""),
    ],
)
def test_a_plain_message(wanted: str, expected: str) -> None:
    assert of(PLAIN, wanted) == expected


@pytest.mark.parametrize(
    "wanted", ["", "x", "message,", "message,b", "headers,1", "part", "part,b", "text,,1", "body, 1"]
)
def test_unknown_pieces(wanted: str) -> None:
    assert of(PLAIN, wanted) is None


@pytest.mark.parametrize("wanted", ["message", "headers", "body", "body,3", "text", "part,1", "text,1,1"])
def test_without_a_message_every_piece_is_empty(wanted: str) -> None:
    assert of((b"", b""), wanted) == ""


# --- MIME -------------------------------------------------------------------------------------------------------------


def test_parts_are_leaves_with_their_headers_as_they_came() -> None:
    assert of(MIXED, "part,1") == "\r\nplain é\r\n"
    assert of(MIXED, "part,2") == (HTML + b"\r\n\r\n<p>caf=E9=\r\n!\r\nb\r\n").decode()
    assert of(MIXED, "part,3") == (IMAGE + b"\r\n").decode()
    assert of(MIXED, "part,4") == ""
    assert of(MIXED, "text,2") == of(MIXED, "part,2")
    assert of(MIXED, "text,3") == ""


def test_text_is_decoded() -> None:
    assert of(MIXED, "text") == "plain é\r\n"
    assert of(MIXED, "text,2,1") == "<p>café!\r\n"
    assert of(MIXED, "text,2,9") == "<p>café!\r\nb\r\n"


def test_a_message_without_text_has_none() -> None:
    assert of((b"Content-Type: image/png\r\n", b"x"), "text") == ""
    assert of((b"Content-Type: image/png\r\n", b"x"), "part,1") == "Content-Type: image/png\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (base64.encodebytes("größe".encode()), "größe\r\n"),
        (b"Z3LDtsOf ZQ==!", "größe\r\n"),
        (b"Z3LDtsOfZ", "größ\r\n"),
        (b"A", ""),
        (b"", ""),
    ],
)
def test_base64_however_broken(body: bytes, text: str) -> None:
    headers = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: BASE64\r\n"
    assert of((headers, body), "text") == text


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("iso-8859-15", b"\xa4", "€\r\n"),
        ('"utf-16-le"', b"h\0i\0", "hi\r\n"),
        ("utf-7", b"+2AA-", "?\r\n"),
        ("gb2312", b"\xff", "\ufffd\r\n"),
        ("no-such", b"caf\xe9", "caf\udce9\r\n"),
        ("punycode", b"a-b-c", "a-b-c\r\n"),
        ("unicode_escape", b"\\ud800", "\\ud800\r\n"),
        ("rot13", b"abc", "abc\r\n"),
        ("undefined", b"abc", "abc\r\n"),
        ("x\0y", b"abc", "abc\r\n"),
        ("", b"abc", "abc\r\n"),
    ],
)
def test_charsets(charset: str, body: bytes, text: str) -> None:
    assert of((f"Content-Type: text/plain; charset={charset}\r\n".encode(), body), "text") == text


def test_charsets_that_nobody_knows_are_not_remembered() -> None:
    """Python keeps every name of a codec that it was ever asked for."""
    known = len(encodings._cache)  # type: ignore[attr-defined]
    for number in range(100):
        test_charsets(f"nobody-{number}", b"abc", "abc\r\n")
    assert len(encodings._cache) == known  # type: ignore[attr-defined]


def test_broken_multiparts() -> None:
    headers = b"Content-Type: multipart/mixed; boundary=b\r\n"
    assert of((headers, b"--b\r\nX: y\r\n\r\none\r\n--b\r\n\r\ntwo"), "part,2") == "\r\ntwo\r\n"
    assert of((headers, b"--b\r\n--b\r\n\r\ntwo\r\n--bb\r\n--b--"), "part,2") == "\r\ntwo\r\n--bb\r\n"
    assert of((headers, b"--b\nX: y\n\none\n--b--\n"), "text,1,1") == "one\r\n"
    assert of((headers, b"no delimiter"), "part,1") == (headers + b"\r\nno delimiter\r\n").decode()
    assert of((b"Content-Type: multipart/mixed\r\n", b"--b\r\n\r\nx"), "part,2") == ""


def test_nesting_is_bounded() -> None:
    body = b"end"
    for depth in range(3000):
        body = b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (depth, depth - 1) + body
    found = leaves(b"Content-Type: multipart/mixed; boundary=b2999\r\n", body)
    assert len(found) == 1 and bytes(found[0].body).endswith(b"end")


lines = st.sampled_from(
    [b"\r\n", b"\n", b"--b", b"--b\r\n", b"--b--\r\n", b"Content-Type: multipart/x; boundary=b\r\n", b"Content-Type:",
     b' text/plain; charset="', b"Content-Transfer-Encoding: base64\r\n",
     b"Content-Transfer-Encoding:quoted-printable\n"]
)  # fmt: skip
raw = st.lists(lines | st.binary(max_size=8), max_size=20).map(b"".join)
names = st.sampled_from(
    ["message", "body,2", "message,7b", "text", "text,1", "text,2,1", "part,1", "part,2", "headers"]
)


@settings(max_examples=200, deadline=None)
@given(raw, raw, names)
def test_any_bytes_are_a_message(headers: bytes, body: bytes, wanted: str) -> None:
    found = of((headers, body), wanted)
    assert found is not None and (found == "" or found.endswith("\r\n"))
    found.encode("utf-8", "surrogateescape")


def test_a_big_message_is_read_in_linear_steps() -> None:
    for unit in (
        b"--b\r\n",
        b"--b \t \t",
        b"\r\n",
        b"A: b\r\n ",
        b"--b\r\nContent-Type: multipart/x; boundary=b\r\n\r\n",
    ):
        for headers in (b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: x/y" + b';boundary="' * 9000):
            assert of((headers, unit * (1_000_000 // len(unit))), "text,2,1") is not None
