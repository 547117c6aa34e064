"""api.pcre: what a script gets from msys.pcre."""

from __future__ import annotations

from lumilter.api import pcre
from lumilter.calls import Here
from lumilter.registry import FUNCTIONS
from lumilter.services import Services

HERE = Here(services=Services())


def test_match_is_a_table_from_zero_with_names() -> None:
    assert pcre.match(b"a@b", b"(?<local>[^@]+)@(.+)", here=HERE) == {0: b"a@b", 1: b"a", 2: b"b", "local": b"a"}
    assert pcre.match(b"a", b"b", here=HERE) is None


def test_an_unset_capture_is_empty_and_trailing_ones_are_left_out() -> None:
    assert pcre.match(b"b", b"(a)?(b)(?<c>c)?", here=HERE) == {0: b"b", 1: b"", 2: b"b", "c": b""}


def test_a_bad_pattern_is_nil_message_and_offset() -> None:
    wanted = (None, "missing closing parenthesis", 4)
    assert pcre.match(b"x", b"asd(", here=HERE) == wanted
    assert pcre.replace(b"x", b"asd(", b"", here=HERE) == wanted
    assert pcre.split(b"x", b"asd(", here=HERE) == wanted
    assert pcre.match(b"x", b"", here=HERE) == (None, "the pattern is empty", 0)


def test_a_limit_is_nil_message_and_number() -> None:
    assert pcre.match(b"a" * 40 + b"!", b"(a+)+$", here=HERE) == (None, "match limit exceeded", -47)


def test_replace_and_split() -> None:
    assert pcre.replace(b"aXbX", b"X", b"-", here=HERE) == b"a-b-"
    assert pcre.split(b"aXbX", b"X", here=HERE) == [b"a", b"b"]


def test_parameters_are_the_manuals() -> None:
    declared = {name: ", ".join(map(str, f.params)) for name, f in FUNCTIONS.items() if f.package == "msys.pcre"}
    assert declared == {
        "msys.pcre.match": "str, pattern",
        "msys.pcre.replace": "subject, pattern, replacement",
        "msys.pcre.split": "subject, pattern",
    }
