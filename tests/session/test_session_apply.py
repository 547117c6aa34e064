"""The model of an MTA: what each edit does, as Postfix 3.7 and Sendmail 8.17 were seen to do it."""

import pytest

from lumilter.session.apply import apply
from lumilter.session.events import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    Edit,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)

RECEIVED = [(b"A", b" 1"), (b"B", b" 1"), (b"a", b" 2")]


def headers(*edits: Edit, renumber: bool = True) -> list[tuple[bytes, bytes]]:
    return apply(RECEIVED, b"", "", [], edits, renumber)[0]


def test_every_kind_of_edit() -> None:
    edits = [
        ChangeSender("new@example.com"),
        AddRecipient("c@example.com"),
        DeleteRecipient("<b@example.com>"),
        ReplaceBody(b"new\r\n"),
        Quarantine("why"),
    ]
    assert apply(RECEIVED, b"old\r\n", "a@example.com", ["<b@example.com>"], edits) == (
        RECEIVED, b"new\r\n", "new@example.com", ["c@example.com"], "why",
    )  # fmt: skip
    assert apply(RECEIVED, b"x", "a", ["b"], []) == (RECEIVED, b"x", "a", ["b"], None)


@pytest.mark.parametrize(
    ("index", "place"),
    [(0, 0), (1, 1), (3, 3), (99, 3)],
)
def test_insert(index: int, place: int) -> None:
    assert headers(InsertHeader(index, b"X", b" x")).index((b"X", b" x")) == place


def test_names_are_compared_without_case_and_changed() -> None:
    assert headers(ChangeHeader(2, b"A", b" new")) == [(b"A", b" 1"), (b"B", b" 1"), (b"A", b" new")]


def test_a_field_that_is_not_there_is_added_or_left() -> None:
    assert headers(ChangeHeader(3, b"A", b" new")) == [*RECEIVED, (b"A", b" new")]
    assert headers(ChangeHeader(3, b"A", b"")) == RECEIVED


def test_a_deleted_number_goes_to_the_next_or_to_none() -> None:
    twice = (ChangeHeader(1, b"A", b""), ChangeHeader(1, b"A", b""))
    assert headers(*twice) == [(b"B", b" 1")]
    assert headers(*twice, renumber=False) == [(b"B", b" 1"), (b"a", b" 2")]
    back = (ChangeHeader(1, b"A", b""), ChangeHeader(1, b"A", b" back"))
    assert headers(*back) == [(b"B", b" 1"), (b"A", b" back")]
    assert headers(*back, renumber=False) == [(b"A", b" back"), (b"B", b" 1"), (b"a", b" 2")]


@pytest.mark.parametrize("renumber", [True, False])
def test_fields_above_are_counted(renumber: bool) -> None:
    edits = (ChangeHeader(1, b"A", b""), InsertHeader(0, b"A", b" top"), AddHeader(b"A", b" end"))
    assert headers(*edits, renumber=renumber) == [(b"A", b" top"), (b"B", b" 1"), (b"a", b" 2"), (b"A", b" end")]
    assert headers(edits[1], ChangeHeader(1, b"A", b" x"), renumber=renumber)[0] == (b"A", b" x")
