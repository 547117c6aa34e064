"""Every spelling of a socket that Postfix, Sendmail and libmilter know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.config import SocketAddress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:/run/x.sock", SocketAddress("unix", path="/run/x.sock")),
        ("local:/run/x.sock", SocketAddress("unix", path="/run/x.sock")),
        ("/run/x:y.sock", SocketAddress("unix", path="/run/x:y.sock")),
        ("inet:8890@127.0.0.1", SocketAddress("inet", host="127.0.0.1", port=8890)),
        ("inet:127.0.0.1:8890", SocketAddress("inet", host="127.0.0.1", port=8890)),
        ("inet:mx.example.org:8890", SocketAddress("inet", host="mx.example.org", port=8890)),
        ("inet:8890", SocketAddress("inet", host="127.0.0.1", port=8890)),
        ("inet6:8890@[::1]", SocketAddress("inet6", host="::1", port=8890)),
        ("inet6:8890@::1", SocketAddress("inet6", host="::1", port=8890)),
        ("inet6:[::1]:8890", SocketAddress("inet6", host="::1", port=8890)),
        ("inet6:8890", SocketAddress("inet6", host="::1", port=8890)),
    ],
)
def test_spellings(text: str, expected: SocketAddress) -> None:
    address = SocketAddress.parse(text)
    assert address == expected
    assert SocketAddress.parse(str(address)) == expected


def test_as_the_mtas_want_it() -> None:
    assert SocketAddress.parse("inet6:[::1]:8890").for_postfix() == "inet:[::1]:8890"
    assert SocketAddress.parse("inet:8890@127.0.0.1").for_postfix() == "inet:127.0.0.1:8890"
    assert SocketAddress.parse("local:/x").for_postfix() == "unix:/x"
    assert str(SocketAddress.parse("inet6:[::1]:8890")) == "inet6:8890@[::1]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected"),
        ("8890", "expected"),
        ("tcp:8890@127.0.0.1", 'the family "tcp"'),
        ("unix:relative", "absolute path"),
        ("unix:/" + "x" * 107, "107 bytes"),
        ("unix:/a\0b", "NUL"),
        ("inet:x@127.0.0.1", "port number"),
        ("inet:0@127.0.0.1", "from 1 to 65535"),
        ("inet:65536@127.0.0.1", "from 1 to 65535"),
        ("inet:8890@::1", 'IPv6 is "inet6:"'),
        ("inet6:8890@127.0.0.1", 'IPv4 is "inet:"'),
        ("inet:8890@a b", "host name"),
    ],
)
def test_errors_say_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SocketAddress.parse(text)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.from_regex(r"(unix|local|inet6?):[\w@:./\[\]]*"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = SocketAddress.parse(text)
    except ValueError:
        return
    assert SocketAddress.parse(str(address)) == address
