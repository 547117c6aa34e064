"""The Python wire: streams of packets that were damaged, any policy's answers to them, and edits of any content."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.events import EDITS, OUTCOME
from fuzz.targets.soup import BYTES, damaged
from lumilter.session.events import Abort, Close, Connect, Data, Edit, EndOfMessage, Event, Mail, Outcome, Rcpt
from lumilter.session.needs import REPLY_EVENTS, Edits, Needs
from lumilter.wire import edits, packets
from lumilter.wire.content import Limits
from lumilter.wire.negotiation import Terms
from lumilter.wire.packets import Framer, packet
from lumilter.wire.protocol import Protocol


@contextmanager
def no_internal_error() -> Iterator[list[str]]:
    """What is logged with a traceback, or says that it is an internal error; it has to stay empty."""
    found: list[str] = []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info or "internal error" in record.getMessage():
                found.append(self.format(record))

    root, handler, level = logging.getLogger("lumilter"), Seen(), logging.getLogger("lumilter").level
    propagate, root.propagate = root.propagate, False
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield found
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        root.propagate = propagate


OFFER = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
OLD = packet(b"O", struct.pack("!III", 2, 0x3F, 0x7F))
MACROS = [
    packet(b"D", each)
    for each in (b"Cj\0mx\0{daemon_addr}\0::1\0", b"Mi\0Q1\0{auth_authen}\0ann\0", b"Ri\0Q1\0", b"C", b"")
]
CONNECTS = [
    packet(b"C", each)
    for each in (
        b"client\0004\x9c\x40192.0.2.1\0",
        b"[x]\0006\0\0IPv6:2001:db8::1\0",
        b"local\0L\0\0/run/x\0",
        b"who\0U",
        b"",
    )
]
REST = [
    *(
        packet(b"H", b"client\0"),
        packet(b"M", b"<a@b>\0SIZE=1\0"),
        packet(b"M", b"<>\0"),
        packet(b"R", b"<c@d>\0"),
        packet(b"T", b""),
    ),
    *(
        packet(b"L", b"Subject\0 x\0"),
        packet(b"L", b"\0\0"),
        packet(b"N", b""),
        packet(b"B", b"body\r\n"),
        packet(b"E", b""),
    ),
    *(packet(b"A", b""), packet(b"K", b""), packet(b"Q", b""), packet(b"U", b"XYZZY\0")),
]
MESSAGE = b"".join([MACROS[1], REST[1], REST[3], REST[3], REST[4], REST[5], REST[7], REST[8], REST[9]])
SESSIONS = [
    OFFER + MACROS[0] + CONNECTS[0] + REST[0] + MESSAGE + MESSAGE + REST[12],
    OLD + CONNECTS[1] + REST[0] + MESSAGE + REST[1] + REST[3] + REST[10] + REST[11] + CONNECTS[2] + MESSAGE,
    OFFER + CONNECTS[3] + b"".join(REST),
]
ANY = st.lists(st.sampled_from([OFFER, OLD, *MACROS, *CONNECTS, *REST, MESSAGE]), max_size=25).map(b"".join)
NEEDS = st.builds(
    Needs, st.sets(st.sampled_from(REPLY_EVENTS)).map(frozenset), st.integers(0, 127).map(Edits), st.booleans()
)
LIMITS = st.builds(
    Limits, st.sampled_from([0, 3]), st.just(""), st.sampled_from([0, 5, 30]), headers=st.sampled_from([300, 64 << 20])
)


def check_order(told: list[Event]) -> None:
    """What wire.handler promises to a conversation."""
    transaction = opened = False
    for event in told:
        if isinstance(event, Mail):
            assert not transaction
            transaction = True
        elif isinstance(event, Rcpt | Data):
            assert transaction
        elif isinstance(event, EndOfMessage | Abort):
            assert transaction
            transaction = False
        elif isinstance(event, Close):
            assert not transaction
        elif isinstance(event, Connect):
            assert not opened
        opened = not isinstance(event, Close)
    assert not opened


@target(
    st.booleans().flatmap(
        lambda first: damaged(SESSIONS, [*MACROS, *CONNECTS, *REST]) if first else ANY.map(lambda s: OFFER + s)
    ),
    st.lists(OUTCOME, min_size=1, max_size=8),
    NEEDS,
    LIMITS,
    st.integers(1, 60),
    using=no_internal_error,
    examples=300,
)
def stream(found: list[str], sent: bytes, answers: list[Outcome], needs: Needs, limits: Limits, cut: int) -> None:
    """Whatever is sent and answered, events come in order, packets go out whole, and nothing fails inside."""
    protocol, told, written, answered = Protocol(lambda: needs, limits), [], b"", 0
    steps = protocol.run()
    next(steps)
    at = 0
    given: bytes | Outcome = sent[:cut]
    try:
        while True:
            event = steps.send(given)
            written += b"".join(protocol.output)
            protocol.output.clear()
            if event is None:
                at += cut
                given = sent[at : at + cut]
            else:
                told.append(event)
                given = answers[answered % len(answers)]
                answered += 1
    except StopIteration:
        written += b"".join(protocol.output)
    check_order(told)
    assert not found, found
    framer = Framer()
    out = framer.feed(written)
    assert {command for command, _ in out} <= set(b"Ocartdyhimb+-eq")
    assert sum(5 + len(payload) for _, payload in out) == len(written)


NULS = {"insheader": 2, "chgheader": 2, "addrcpt": 1, "delrcpt": 1, "chgfrom": 1, "quarantine": 1}


@target(EDITS, st.integers(0, 127).map(Edits), st.booleans(), examples=400)
def edit_packets(wanted: tuple[Edit, ...], allowed: Edits, spaced: bool) -> None:
    """Edits are all refused before the first is made, or each is one packet (a body some) whose strings nothing ends
    or begins early, and in which no line could be taken for another header."""
    terms = Terms(0xFF, 0x100000 if spaced else 0, allowed)
    try:
        calls = edits.check(wanted, terms)
    except edits.Unwritable as error:
        str(error).encode("utf-8", "backslashreplace")
        return
    for edit, call in zip(wanted, calls, strict=True):
        out = Framer().feed(b"".join(packets.edit(call)))
        if call[0] == "replacebody":
            assert b"".join(payload for _, payload in out) == edit.body  # type: ignore[union-attr]
            continue
        ((_, payload),) = out
        payload = payload[4:] if call[0].endswith("header") else payload
        assert payload.count(b"\0") == NULS[call[0]]
        assert payload.endswith(b"\0")
        assert not re.search(rb"\r|\n(?![ \t])", payload)


@target(st.lists(BYTES, max_size=6), examples=200)
def framer(parts: list[bytes]) -> None:
    """However a stream is cut, the packets are the same, up to one that is malformed."""
    whole = b"".join(parts)
    expected = Framer().feed(whole)
    found: list[tuple[int, bytes]] = []
    cutting = Framer()
    for part in parts:
        found += cutting.feed(part) if part else []
        if found and found[-1][0] == packets.MALFORMED:
            break
    assert [each for each in found if each[0] >= 0] == [each for each in expected if each[0] >= 0]
