"""Replies: whatever a script gives as code and text, and what the wire makes of any Reply.

The law: what leaves is an SMTP reply that libmilter and Postfix take.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import ODD, TEXT, soup
from lumilter.session import verdict
from lumilter.session.events import Reply
from lumilter.wire import reply as wire_reply

NOTES = [
    "550",
    "550 ",
    "550-",
    "450 ",
    "5.7.1",
    "5.7.1 ",
    "4.0.0 ",
    "2.0.0 ",
    "5.\u0663.1 ",
    "5.7.1\u00a0",
    "\u00a05.7.1 x",
    "\u0665.7.1",
    "192.0.2.1",
    " ",
    "\n",
    "\r\n",
    "%",
    "text",
    "x" * 480,
    "5.7.1234 ",
    "5.1234.1",
    ".",
]


def smtp(reply: Reply) -> None:
    """RFC 5321 4.2.1, 4.5.3.1.5: a code, the same in all lines, text in printable ASCII, at most 512 octets a line."""
    lines = wire_reply.text(reply).split(b"\r\n")
    for number, line in enumerate(lines):
        sign = b"-" if number < len(lines) - 1 else b" "
        assert re.fullmatch(rb"%d%s[\t\x20-\x7e]*" % (reply.code, sign), line), line
        assert len(line.replace(b"%%", b"%")) <= 510
    if reply.xcode or len(lines) > 1:
        assert len({line[4:].split(b" ")[0] for line in lines}) == 1 or not reply.xcode
    # Postfix calls a reply malformed whose text begins with another class's digit, and tempfails the connection.
    assert not re.match(rb"(?!%d)[0-9]" % (reply.code // 100), lines[0][4:].lstrip()), lines[0]


@target(st.integers(0, 700), soup(NOTES, 10) | TEXT | st.none(), examples=600)
def replies(code: int, note: str | None) -> None:
    """Whatever code and text a script sets, what the wire sends is a valid SMTP reply with a 4xx or 5xx code."""
    outcome = verdict.refusal(code, note)
    assert outcome.reply is not None
    assert outcome.reply.code == (code if 400 <= code <= 599 else 451)
    assert (outcome.action.value == "reject") == (outcome.reply.code >= 500)
    smtp(outcome.reply)


LINES = st.lists(st.lists(st.sampled_from([*ODD, "%", "5.7.1 "]), max_size=8).map("".join) | TEXT, max_size=40).map(
    tuple
)


@target(
    st.integers(390, 610), st.sampled_from(["", "5.7.1", "4.1234.1", "5.\u0663.1", "x", "9.1.1"]), LINES, examples=300
)
def replies_on_the_wire(code: int, xcode: str, lines: tuple[str, ...]) -> None:
    """Any Reply at all is lines that libmilter takes, or a ValueError."""
    try:
        raw = wire_reply.text(Reply(code, xcode, lines))
    except ValueError:
        assert not 400 <= code <= 599 or not re.fullmatch(r"|[245]\.[0-9]{1,3}\.[0-9]{1,3}", xcode)
        return
    sent = raw.split(b"\r\n")
    assert 1 <= len(sent) <= 32
    for line in sent:
        assert not re.search(rb"[\0-\x08\x0a-\x1f]", line)
        assert line.startswith(b"%d" % code)
        assert len(line) <= 980 + len(f"{code} {xcode or '5.0.0'} ")
        line.decode()
