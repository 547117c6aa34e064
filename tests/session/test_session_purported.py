"""The Purported Responsible Address: RFC 4407 2, step by step."""

from __future__ import annotations

import pytest

from lumilter.session.headers import Header, HeaderList
from lumilter.session.purported import purported

NONE = ("", "")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("From: a@a", ("from", "a@a")),
        ("From: Ann <a@a>", ("from", "a@a")),
        ("From: a@a|From: b@b", NONE),
        ("From: a@a, b@b", NONE),
        ("From: |FROM: b@b", ("from", "b@b")),
        ("", NONE),
        ("From: nobody", NONE),
        ("From: nobody@", NONE),
        ("From: a@a|Sender: s@s", ("sender", "s@s")),
        ("From: a@a|Sender:", ("from", "a@a")),
        ("From: a@a|Sender: s@s|Sender: t@t", NONE),
        ("From: a@a|Sender: s@s, t@t", NONE),
        ("Resent-From: r@r|Sender: s@s|From: a@a", ("resent-from", "r@r")),
        ("Resent-From: r@r|Resent-From: q@q|From: a@a", ("resent-from", "r@r")),
        ("Resent-From: r@r, q@q|From: a@a", NONE),
        ("Resent-Sender: x@x|Resent-From: r@r|From: a@a", ("resent-sender", "x@x")),
        ("Resent-From: r@r|Resent-Sender: x@x|From: a@a", ("resent-sender", "x@x")),
        ("Resent-From: r@r|Received: by y|Resent-Sender: x@x|From: a@a", ("resent-from", "r@r")),
        ("Resent-From: r@r|Return-Path: <>|Resent-Sender: x@x|From: a@a", ("resent-from", "r@r")),
        ("Resent-From:|Received: by y|Resent-Sender: x@x|From: a@a", ("resent-sender", "x@x")),
        ("Received: by y|Resent-From: r@r|Resent-Sender: x@x", ("resent-sender", "x@x")),
    ],
)
def test_which_field(fields: str, found: tuple[str, str]) -> None:
    pairs = [field.partition(":") for field in fields.split("|") if field]
    assert purported(HeaderList(Header(name.encode(), value.encode()) for name, _, value in pairs)) == found
