"""Delivery status: what a response means, and any text is read without an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.session.delivery_status import (
    Action,
    Known,
    action_of,
    message_fields,
    read,
    recipient_fields,
    rendered,
    status_of,
)
from lumilter.session.headers import HeaderList, raw_fields
from lumilter.session.mime import Tree
from lumilter.session.mime_reading import read_message, split


def read_raw(raw: bytes) -> list[tuple[str, str]] | None:
    header_end, body_start = split(raw)
    headers = HeaderList(raw_fields(raw[:header_end]))
    return read(read_message(headers, raw[body_start:], Tree(writable=False)))


@pytest.mark.parametrize(
    ("response", "action", "status"),
    [
        ("550 5.1.1 no such user", Action.FAILED, "5.1.1"),
        ("550-5.1.1 no such user", Action.FAILED, "5.1.1"),
        ("550 no such user", Action.FAILED, "5.0.0"),
        ("550", Action.FAILED, "5.0.0"),
        ("451 4.4.1 given up", Action.FAILED, "4.4.1"),
        ("451 4.4.1 later", Action.DELAYED, "4.4.1"),
        ("550 5.1.1 no such user", Action.DELAYED, "4.0.0"),
        ("550 4.1.1 a class that does not fit", Action.FAILED, "5.0.0"),
        ("550 5.1.1.1 no status", Action.FAILED, "5.0.0"),
        ("250 2.1.5 fine", Action.RELAYED, "2.1.5"),
        ("", Action.EXPANDED, "2.0.0"),
        ("nonsense", Action.FAILED, "5.0.0"),
    ],
)
def test_the_status_of_a_response(response: str, action: Action, status: str) -> None:
    assert status_of(response, action) == status


def test_the_action_of_a_response() -> None:
    assert [action_of(text) for text in ("250 ok", "451 x", "550 x", "x", "")] == [
        Action.RELAYED, Action.DELAYED, Action.FAILED, Action.FAILED, Action.FAILED,
    ]  # fmt: skip


def test_what_is_written_is_read() -> None:
    known = Known("mx.example", "client.example", "Mon, 23 Nov 2026 10:00:00 +0000", "Mon, 23 Nov 2026 10:00:01 +0000")
    about = message_fields(known)
    recipient = recipient_fields("bob@example.com", Action.FAILED, "550 5.1.1 no\r\nX-Evil: 1", known)
    body = f"{rendered(about)}\r\n\r\n{rendered(recipient)}\r\n\r\nFinal-Recipient: rfc822; other@example.com\r\n"
    found = read_raw(b"Content-Type: message/delivery-status\r\n\r\n" + body.encode())
    assert found == [*about, *recipient]
    assert ("Diagnostic-Code", "smtp; 550 5.1.1 no X-Evil: 1") in recipient


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: x\r\n\r\nbody\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n",
        b"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; no message fields\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n" + b"\r" * 100_000,
        b"Content-Type: message/delivery-status\r\n\r\n" + b"\n" * 100_000,
    ],
)
def test_what_is_no_notification(raw: bytes) -> None:
    assert read_raw(raw) is None


PIECES = [b"Reporting-MTA: ", b"\r\n", b"\n", b":", b" x", b"\xff", b"A: b", b"\0"]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_text_is_read(body: bytes) -> None:
    found = read_raw(b"Content-Type: message/delivery-status\r\n\r\n" + body)
    assert found is None or any(name.lower() == "reporting-mta" for name, _ in found)
