"""A message and its views."""

from lumilter.session import mime_edits
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


def test_messages_that_are_settled_share_equal_bodies() -> None:
    """A disclaimer for a thousand recipients is one body in memory, and the parts that it was made of are none."""
    message, bodies = made(), {}
    views = [message.view() for _ in range(3)]
    for number, view in enumerate(views):
        top = view.mime(writable=True)
        mime_edits.set_body(top, b"Hello, %d.\r\n" % (number % 2))
        assert view.mime(writable=False).body == b"Hello, %d.\r\n" % (number % 2)
        view.settle(bodies)
        assert top.body == b""
        assert not top.tree.attached
    assert [bytes(view.body) for view in views] == [b"Hello, 0.\r\n", b"Hello, 1.\r\n", b"Hello, 0.\r\n"]
    assert views[0].body is views[2].body
    assert message.body == b"body\r\n"


def test_parts_of_a_long_body_are_no_copies() -> None:
    body = b"--b\r\n\r\n" + b"text\r\n" * 10_000 + b"--b--\r\n"
    message = Message(HeaderList([Header(b"Content-Type", b" multipart/mixed; boundary=b")]), body, "", "")
    (part,) = message.mime(writable=False).children or ()
    assert isinstance(part.body, memoryview)
    assert part.body.obj is body
    assert message.mime(writable=True).body_bytes() == body
