"""A message and its views."""

from lumilter.session.headers import Header, HeaderList
from lumilter.session.message import Message


def made(body: bytes = b"body\r\n") -> Message:
    return Message(HeaderList([Header(b"A", b" 1\n 2")]), body, "a@example.com", "b@example.com")


def test_size_is_that_on_the_wire() -> None:
    message = made()
    assert message.headers.to_bytes() + b"\r\n" + message.body == b"A: 1\r\n 2\r\n\r\nbody\r\n"
    assert message.size == len(b"A: 1\r\n 2\r\n\r\nbody\r\n")


def test_a_view_shares_and_does_not_reach_back() -> None:
    message = made()
    view = message.view()
    assert view.body is message.body
    assert view.same_content(message)
    view.headers.append("B", ["1"])
    view.rcptto = "c@example.com"
    assert (len(message.headers), message.rcptto) == (1, "b@example.com")
    assert not view.same_content(message)


def test_same_content_is_that_of_the_bytes() -> None:
    assert made().same_content(made())
    assert not made().same_content(made(b"other\r\n"))
