"""The protocol without a socket: cut anywhere, out of order, at random; macros; old MTAs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.session.events import (
    CONTINUE,
    Abort,
    Action,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Rcpt,
    Reply,
)
from lumilter.session.needs import Edits, Needs
from lumilter.wire.content import Limits
from lumilter.wire.packets import Framer, packet
from lumilter.wire.protocol import Protocol

ALL = 0x1FFFFF
OFFER = struct.pack("!III", 6, 0x1FF, ALL)


def z(*strings: bytes) -> bytes:
    return b"".join(string + b"\0" for string in strings)


def played(
    pieces: Iterable[bytes],
    answer: Callable[[Event], Outcome] = lambda event: CONTINUE,
    needs: Needs = Needs(),  # noqa: B008 (immutable)
    limits: Limits = Limits(),  # noqa: B008
) -> tuple[list[Event], list[tuple[int, bytes]]]:
    """The events and what the MTA is answered; the MTA is gone after the last piece."""
    protocol, told, written = Protocol(lambda: needs, limits), [], b""
    steps = protocol.run()
    next(steps)
    waiting = [piece for piece in pieces if piece]
    given: bytes | Outcome = waiting.pop(0) if waiting else b""
    try:
        while True:
            event = steps.send(given)
            written += b"".join(protocol.output)
            protocol.output.clear()
            if event is None:
                given = waiting.pop(0) if waiting else b""
            else:
                told.append(event)
                given = answer(event)
    except StopIteration:
        written += b"".join(protocol.output)
        return told, Framer().feed(written)


def kinds(told: list[Event]) -> str:
    return " ".join(type(event).__name__ for event in told)


def macros(command: bytes, **values: bytes) -> bytes:
    return packet(b"D", command + z(*(part for name, value in values.items() for part in (name.encode(), value))))


NEGOTIATION = packet(b"O", OFFER)
CONNECT = packet(b"C", z(b"client.test") + b"4\x9c\x40" + z(b"192.0.2.1"))
HELO = packet(b"H", z(b"client.test"))
MAIL, RCPT, DATA = packet(b"M", z(b"<a@b>", b"SIZE=1")), packet(b"R", z(b"<c@d>")), packet(b"T", b"")
HEADER, EOH, BODY, EOM = packet(b"L", z(b"X", b" y")), packet(b"N", b""), packet(b"B", b"body\r\n"), packet(b"E", b"")
ABORT, QUIT, NEW = packet(b"A", b""), packet(b"Q", b""), packet(b"K", b"")
START = NEGOTIATION + CONNECT + HELO
MESSAGE = macros(b"M", i=b"4ZK3") + MAIL + RCPT + DATA + HEADER + HEADER + EOH + BODY + BODY + EOM
SESSION = START + MESSAGE + MAIL + RCPT + ABORT + MESSAGE + NEW + CONNECT + MESSAGE + QUIT


def test_a_session_in_one_piece() -> None:
    told, written = played([SESSION])
    message = "Mail Rcpt Data EndOfMessage"
    assert kinds(told) == f"Connect Helo {message} Mail Rcpt Abort {message} Close Connect {message} Close"
    body = told[5]
    assert isinstance(body, EndOfMessage)
    assert (body.headers, body.body, body.macros) == (((b"X", b" y"),) * 2, b"body\r\nbody\r\n", {"i": "4ZK3"})
    assert written[0][0] == ord("O")
    assert {command for command, _ in written[1:]} == {ord("c")}
    assert len(written) == 1 + sum(not isinstance(event, Abort | Close) for event in told)


@settings(max_examples=200)
@given(st.data())
def test_the_same_events_and_answers_however_a_session_is_cut(data: st.DataObject) -> None:
    def answer(event: Event) -> Outcome:
        return Outcome(Action.REJECT, Reply(550, "5.1.1", ("no",))) if isinstance(event, Rcpt) else CONTINUE

    cuts = sorted(data.draw(st.lists(st.integers(0, len(SESSION)), max_size=40)))
    pieces = [SESSION[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(SESSION)], strict=True)]
    assert played(pieces, answer) == played([SESSION], answer)


COMMANDS = st.one_of(
    st.sampled_from([NEGOTIATION, CONNECT, HELO, MAIL, RCPT, DATA, HEADER, EOH, BODY, EOM, ABORT, NEW, QUIT, MESSAGE]),
    st.builds(packet, st.sampled_from([bytes([byte]) for byte in b"OCHMRTLNBEADUQKxZ\0"]), st.binary(max_size=20)),
)


def keeps_its_promises(told: list[Event]) -> None:
    """What `handler.Conversation` is promised, for the conversations of one connection."""
    in_transaction, opened = False, False
    for event in told:
        match event:
            case Mail():
                assert not in_transaction
                in_transaction = True
            case EndOfMessage() | Abort():
                assert in_transaction
                in_transaction = False
            case Rcpt() | Data():
                assert in_transaction
            case Close():
                assert not in_transaction
        assert isinstance(event, Close) or opened is not isinstance(event, Connect)
        opened = not isinstance(event, Close)
    assert not opened


@settings(max_examples=200)
@given(st.lists(COMMANDS, max_size=30), st.lists(st.sampled_from(list(Action)), min_size=1, max_size=10), st.booleans())
def test_whatever_is_sent_the_conversation_gets_what_was_promised(
    sent: list[bytes], actions: list[Action], silent: bool
) -> None:
    answers = iter(actions * 1000)
    needs = Needs(frozenset({"message"})) if silent else Needs()
    told, written = played([NEGOTIATION + b"".join(sent)], lambda event: Outcome(next(answers)), needs)
    keeps_its_promises(told)
    assert {command for command, _ in written} <= set(b"Ocartd")


@settings(max_examples=200)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_end_the_connection_and_nothing_else(junk: bytes, negotiated: bool) -> None:
    told, _ = played([NEGOTIATION if negotiated else b"", junk])
    keeps_its_promises(told)
    assert kinds(told[-1:]) == ("Close" if told else "")


@pytest.mark.parametrize(
    "wrong",
    [
        *(CONNECT, NEGOTIATION, NEW + HELO, NEW + MAIL, RCPT, DATA, HEADER, BODY, EOH, EOM),
        *(MAIL + DATA + DATA, MAIL + DATA + RCPT, MAIL + HEADER + DATA, MAIL + EOH + HEADER, MAIL + BODY + EOH),
        packet(b"Z", b""),
        packet(b"H", b"no end"),
        packet(b"M", b""),
        packet(b"M", b"no end"),
        MAIL + packet(b"R", b"no end"),
        MAIL + packet(b"L", b"X\0no end"),
        MAIL + packet(b"L", b"X\0"),
        MAIL + packet(b"L", b""),
        b"\0\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_out_of_order_or_malformed_ends_the_connection(wrong: bytes, caplog: pytest.LogCaptureFixture) -> None:
    told, _ = played([START + wrong + MESSAGE])
    assert not any(isinstance(event, EndOfMessage) for event in told)
    keeps_its_promises(told)
    assert "a connection of an MTA is closed" in caplog.text


@pytest.mark.parametrize("large", [packet(b"L", b"X\0" + b"y" * 300 + b"\0"), packet(b"B", b"y" * 300)], ids=["L", "B"])
def test_a_message_with_a_packet_that_is_too_large_is_answered_for_at_its_end(large: bytes) -> None:
    hit: list[str] = []
    limits = Limits(packet=200, on_packet=Outcome(Action.REJECT), on_limit=hit.append)
    told, written = played([START + MAIL + RCPT + DATA + HEADER + large + large + EOM + MESSAGE + QUIT], limits=limits)
    assert kinds(told) == "Connect Helo Mail Rcpt Data Abort Mail Rcpt Data EndOfMessage Close"
    assert [command for command, _ in written].count(ord("r")) == 1
    assert hit == ["packet"]


def test_any_other_packet_that_is_too_large_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    hit: list[str] = []
    limits = Limits(packet=200, on_limit=hit.append)
    told, _ = played([START + packet(b"M", b"x" * 300) + MESSAGE], limits=limits)
    assert kinds(told) == "Connect Helo Close"
    assert hit == ["packet"]
    assert "a packet of the command 'M' is larger than 200 bytes" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        b"client.test\0",
        b"no end",
        b"",
        b"c\0004\0\0" + b"192.0.2.1",
        b"c\0004\0\0" + b"192.0.2\0",
        b"c\0006\0\0" + b"192.0.2.1\0",
        b"c\0006\0\0" + b"\xff\0",
        b"c\0X\0\0x\0",
    ],
)
def test_a_client_without_a_name_or_an_address_is_none(wrong: bytes) -> None:
    assert played([NEGOTIATION + packet(b"C", wrong) + HELO])[0] == [Close()]


@pytest.mark.parametrize("first", [HELO, MAIL, ABORT, NEW, packet(b"U", b"x\0"), packet(b"O", b"short")])
def test_nothing_is_told_to_who_has_not_negotiated(first: bytes) -> None:
    assert played([first + SESSION]) == ([], [])


def test_a_string_ends_at_its_nul() -> None:
    sent = packet(b"H", b"a\0b\0") + MAIL + packet(b"L", b"X\0 y\0z\0") + EOM
    told, _ = played([NEGOTIATION + CONNECT + sent])
    assert told[1] == Helo("a")
    assert isinstance(told[3], EndOfMessage)
    assert told[3].headers == ((b"X", b" y"),)


def test_a_last_chunk_may_come_with_the_end() -> None:
    (*_, end, _), _ = played([START + MAIL + BODY + packet(b"E", b"more")])
    assert isinstance(end, EndOfMessage)
    assert end.body == b"body\r\nmore"


def test_an_unknown_smtp_command_goes_on() -> None:
    _, written = played([START + packet(b"U", b"XYZZY\0")])
    assert [chr(command) for command, _ in written] == ["O", "c", "c", "c"]


# --- macros ----------------------------------------------------------------------------------------------------------


def known(told: list[Event]) -> list[dict[str, str]]:
    return [dict(event.macros) for event in told if not isinstance(event, Abort | Close)]


def test_macros_outlive_their_stage_and_end_with_the_stage_before() -> None:
    """As libmilter's mi_clr_macros and smfi_getsymval have it."""
    sent = [macros(b"C", j=b"mx", c=b"1"), CONNECT, macros(b"H", h=b"1"), HELO]
    sent += [macros(b"M", m=b"1", j=b"later"), MAIL, macros(b"R", r=b"1"), RCPT, macros(b"R", r=b"2"), RCPT]
    sent += [macros(b"E", e=b"1"), EOM]
    sent += [MAIL, RCPT, ABORT, macros(b"M", n=b"1"), MAIL, ABORT, HELO, MAIL]
    told, _ = played([NEGOTIATION + b"".join(sent)])
    connect = {"j": "mx", "c": "1"}
    helo = {**connect, "h": "1"}
    mail = {**helo, "m": "1", "j": "later"}
    first = [connect, helo, mail, {**mail, "r": "1"}, {**mail, "r": "2"}, {**mail, "r": "2", "e": "1"}]
    assert known(told) == [*first, mail, mail, {**helo, "n": "1"}, helo, helo]


def test_a_new_client_on_the_connection_knows_nothing_of_the_one_before() -> None:
    told, _ = played([NEGOTIATION, macros(b"C", j=b"mx"), CONNECT, NEW, CONNECT])
    assert known(told) == [{"j": "mx"}, {}]


def test_names_lose_their_braces_and_nonsense_is_left_out() -> None:
    odd = [b"", b"C", b"Cx", b"Zname\0value\0", b"L", b"Bi\0x\0"]
    sent = b"".join(packet(b"D", payload) for payload in odd)
    sent += packet(b"D", b"C" + z(b"{client_addr}", b"192.0.2.1", b"{x", b"{y}", b"8", b"\xff") + b"odd\0")
    told, _ = played([NEGOTIATION + sent + CONNECT])
    assert known(told) == [{"client_addr": "192.0.2.1", "{x": "{y}", "8": "\udcff"}]


# --- negotiation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "expected"), [(2, 2), (3, 3), (4, 4), (6, 6), (7, 6), (2**32 - 1, 6)])
def test_the_lower_version_is_agreed(version: int, expected: int) -> None:
    _, written = played([packet(b"O", struct.pack("!III", version, 0x1FF, ALL))])
    assert struct.unpack("!I", written[0][1][:4]) == (expected,)


def test_version_2_is_answered_at_every_step() -> None:
    """Sendmail 8.11 to 8.13: no DATA, no flags of no-reply, no list of macros, no leading space."""
    needs = Needs(frozenset({"message"}), Edits.ADD_HEADER | Edits.CHANGE_HEADER)
    sent = packet(b"O", struct.pack("!III", 2, 0x3F, 0x7F)) + CONNECT + HELO + MAIL + RCPT
    told, written = played([sent + packet(b"L", z(b"X", b"y")) + EOH + BODY + EOM], needs=needs)
    assert written[0] == (ord("O"), struct.pack("!III", 2, 0x11, 0))
    assert [chr(command) for command, _ in written[1:]] == ["c"] * 8
    (event,) = [event for event in told if isinstance(event, EndOfMessage)]
    assert event.headers == ((b"X", b" y"),)


def test_an_offer_of_nothing_is_that_of_the_first_version() -> None:
    _, written = played([packet(b"O", struct.pack("!III", 2, 0, 0))], needs=Needs(frozenset(), Edits.ADD_HEADER))
    assert written == [(ord("O"), struct.pack("!III", 2, 1, 0))]


def test_a_version_that_is_too_old_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    assert played([packet(b"O", struct.pack("!III", 1, 0xF, 0x3F))]) == ([], [])
    assert "version 1" in caplog.text
