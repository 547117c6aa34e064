"""The header section: msg:header's modes, what a script can't do, and size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.session.headers import Header, HeaderError, HeaderList


def made(*fields: tuple[str, str]) -> HeaderList:
    return HeaderList(Header(name.encode(), value.encode()) for name, value in fields)


def names(headers: HeaderList) -> list[str]:
    return [field.name.decode() for field in headers]


def test_get_is_case_insensitive_unfolds_and_decodes() -> None:
    headers = made(("X-A", " one\n\ttwo "), ("x-a", " =?utf-8?Q?=C3=A4?="), ("X-AB", " no"))
    assert headers.get("x-A") == ["one two", "ä"]
    assert headers.raw("X-a") == [b" one\n\ttwo ", b" =?utf-8?Q?=C3=A4?="]
    assert headers.get("absent") == []


def test_modes() -> None:
    headers = made(("A", " 1"), ("B", " 1"), ("a", " 2"))
    headers.replace("A", ["3"])
    assert names(headers) == ["B", "A"]
    headers.append("A", ["4", "5"])
    headers.prepend("C", ["x", "y"])
    assert [(f.name, f.value) for f in headers] == [
        (b"C", b" x"), (b"C", b" y"), (b"B", b" 1"), (b"A", b" 3"), (b"A", b" 4"), (b"A", b" 5"),
    ]  # fmt: skip
    assert headers.delete("c") is True
    assert headers.delete("c") is False


def test_a_copy_is_independent_and_keeps_the_objects() -> None:
    headers = made(("A", " 1"), ("B", " 1"))
    twin = headers.copy()
    assert twin.is_same(headers)
    twin.append("C", ["1"])
    assert names(headers) == ["A", "B"]
    headers.delete("A")
    assert names(twin) == ["A", "B", "C"]
    assert next(iter(headers)) is list(twin)[1]


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\n", "a\x00"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(HeaderError):
        made().append(name, ["x"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x\nBcc: evil@example.com", b" x\n Bcc: evil@example.com"),
        ("x\r\n\r\nbody", b" x\n body"),
        ("x\r", b" x"),
        ("folded\r\n\tmore", b" folded\n\tmore"),
        ("nul\x00bell\x07", b" nul?bell?"),
        ("\xfc\ny", b" =?utf-8?B?w7w=?=\n y"),
        ("\xfc\n \xfc", b" =?utf-8?B?w7wgw7w=?="),
        ("\udcff\udc0a", b" =?unknown-8bit?B?/z8=?="),
        ("\n\n", b" "),
    ],
)
def test_a_value_can_not_leave_its_field(text: str, value: bytes) -> None:
    headers = made()
    headers.append("X", [text])
    assert headers.raw("X") == [value]


@given(st.text(max_size=300))
def test_any_text_stays_in_one_field(text: str) -> None:
    headers = made()
    headers.append("X", [text])
    lines = headers.to_bytes().split(b"\r\n")
    assert lines[0].startswith(b"X: ")
    assert all(line.startswith((b" ", b"\t")) and line.strip() for line in lines[1:-1])
    assert headers.to_bytes().isascii()
    assert headers.size == len(headers.to_bytes())


def test_ascii_is_written_as_the_script_has_it() -> None:
    headers = made()
    headers.append("Subject", ["=?utf-8?Q?=C3=A4?= and  so\ton " + "x" * 200, "one\r\n\ttwo\n   three  "])
    assert headers.raw("Subject") == [
        b" =?utf-8?Q?=C3=A4?= and  so\ton " + b"x" * 200,
        b" one\n\ttwo\n   three",
    ]
    assert headers.get("Subject")[1] == "one two three"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=400))
def test_what_is_set_is_read_again(text: str) -> None:
    headers = made()
    headers.append("Subject", [text + " ä"])
    assert headers.get("Subject") == [(text + " ä").strip(" ")]


def test_fields_to_parse_are_not_decoded() -> None:
    headers = made(("From", " =?utf-8?Q?a=2C_b=40evil.example?=\n <real@example.com>"))
    assert headers.undecoded("from") == ["=?utf-8?Q?a=2C_b=40evil.example?= <real@example.com>"]
    assert headers.get("from") == ["a, b@evil.example <real@example.com>"]


@pytest.mark.parametrize("blank", [" ", "\t", " \t", "\n ", "\r", "\r\n\t"])
def test_huge_white_space(blank: str) -> None:
    text = "a" + blank * 200_000 + "b"
    headers = made(("X", text))
    assert headers.get("X")[0].split() == ["a", "b"]
    headers.append("Y", [text, "ä" + text])
    assert [value.split() for value in headers.get("Y")] == [["a", "b"], ["äa", "b"]]


def test_long_values_are_folded_where_they_must_be() -> None:
    headers = made()
    headers.append("X", [" ".join(["word"] * 400)])
    assert max(map(len, headers.to_bytes().split(b"\r\n"))) <= 998
    assert headers.get("X") == [" ".join(["word"] * 400)]
    headers.append("Y", ["w" * 2000])
    assert headers.get("Y") == ["w" * 2000]


def test_hundred_thousand_fields() -> None:
    headers = HeaderList(Header(b"X-%d" % (n % 1000), b" v") for n in range(100_000))
    assert len(headers.get("x-7")) == 100
    headers.replace("X-7", ["new"])
    assert len(headers) == 100_000 - 99
