"""Events and outcomes, as strategies: what any MTA could send, in any order, and what any policy could answer.

The law: every value that the types of `session.events` allow, hostile ones first.
"""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.targets.soup import BYTES, FROM_MTA, ODD
from lumilter.session import events
from lumilter.session.events import Action, Event, Outcome

MACRO_NAMES = ["i", "j", "_", "daemon_addr", "daemon_port", "client_addr", "auth_authen", "auth_type", "tls_version"]
MACROS = st.dictionaries(
    st.sampled_from([*MACRO_NAMES, "cipher", "verify", "cert_subject", "", "{x"]), FROM_MTA, max_size=4
)
FAMILY = st.sampled_from(["inet", "inet6", "unix", "unknown"])
CLIENT = st.sampled_from(["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "/run/x", "", "no address"])
ADDRESS = st.sampled_from(
    [
        "<>",
        "<a@b>",
        "<bob@example.com>",
        "bob@example.com",
        "<A@B>",
        "<a@b",
        "a",
        "",
        "<@r:a@b>",
        '<"a b"@c>',
        "<a@b> x",
        "<a\u00fc@b>",
    ]
) | FROM_MTA.map(lambda text: f"<{text}>")
NAME = st.sampled_from([b"From", b"To", b"Subject", b"subject", b"X", b"X-\xe9", b"", b"a b"]) | BYTES
VALUE = BYTES.map(lambda raw: raw.replace(b"\0", b"")) | st.sampled_from(
    [b"", b" ", b" =?utf-8?Q?=C3=A9?=", b" a\n b", b" x\r\n y"]
)
HEADERS = st.lists(st.tuples(NAME, VALUE), max_size=5).map(tuple)
CONTENT = st.one_of(BYTES, st.sampled_from([b"", b"Hello.\r\n", b"\0" * 100, b"x" * 5000]))
BODY = st.one_of(CONTENT, CONTENT.map(memoryview))
TUPLE = st.lists(FROM_MTA, max_size=2).map(tuple)

CONNECT = st.builds(events.Connect, FROM_MTA, FAMILY, CLIENT, st.integers(0, 65535), MACROS)
MAIL = st.builds(events.Mail, ADDRESS, TUPLE, MACROS)
RCPT = st.builds(events.Rcpt, ADDRESS, TUPLE, MACROS)
END = st.builds(events.EndOfMessage, HEADERS, BODY, MACROS)
EVENT: st.SearchStrategy[Event] = st.one_of(
    CONNECT,
    st.builds(events.Helo, FROM_MTA, MACROS),
    MAIL,
    RCPT,
    RCPT,
    st.builds(events.Data, MACROS),
    END,
    st.builds(events.Abort),
)
ANY_ORDER = st.lists(EVENT, max_size=10)
IN_ORDER = st.tuples(
    CONNECT,
    st.builds(events.Helo, FROM_MTA, MACROS),
    st.lists(
        st.tuples(
            MAIL,
            st.lists(RCPT, min_size=1, max_size=3),
            st.builds(events.Data, MACROS),
            st.one_of(END, END, st.builds(events.Abort)),
        ),
        min_size=1,
        max_size=2,
    ),
).map(lambda t: [t[0], t[1], *(e for mail, rcpts, data, end in t[2] for e in (mail, *rcpts, data, end))])

EDIT_TEXT = FROM_MTA | st.sampled_from(ODD)
EDITS = st.lists(
    st.one_of(
        st.builds(events.AddHeader, NAME, VALUE),
        st.builds(events.InsertHeader, st.integers(-1, 2**32), NAME, VALUE),
        st.builds(events.ChangeHeader, st.integers(-1, 2**32), NAME, VALUE),
        st.builds(events.ReplaceBody, CONTENT),
        st.builds(events.AddRecipient, FROM_MTA),
        st.builds(events.DeleteRecipient, FROM_MTA),
        st.builds(events.ChangeSender, FROM_MTA),
        st.builds(events.Quarantine, FROM_MTA),
    ),
    max_size=5,
).map(tuple)
REPLY = st.builds(
    events.Reply,
    st.integers(390, 610),
    st.sampled_from(["", "5.7.1", "4.0.0", "x", "5.\u0663.1"]),
    st.lists(EDIT_TEXT, max_size=3).map(tuple),
)
OUTCOME = st.builds(Outcome, st.sampled_from(Action), st.none() | REPLY, EDITS)


def check_outcome(event: Event, outcome: Outcome) -> None:
    """What a session may answer to an event."""
    assert isinstance(outcome.action, Action)
    if outcome.action in (Action.REJECT, Action.TEMPFAIL):
        assert outcome.reply is not None
        assert (outcome.reply.code >= 500) == (outcome.action is Action.REJECT)
    else:
        assert outcome.reply is None
    assert not outcome.edits or isinstance(event, events.EndOfMessage)
    if isinstance(event, events.Abort | events.Close):
        assert outcome.action is Action.CONTINUE
