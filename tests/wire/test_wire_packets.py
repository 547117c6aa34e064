"""Packets: cut anywhere, too long, empty; and what is written."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.wire import packets
from lumilter.wire.packets import CHUNK, LARGEST, MALFORMED, TOO_LARGE, Framer, edit, packet

PACKETS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=20)


def fed(pieces: list[bytes]) -> list[tuple[int, bytes]]:
    framer = Framer()
    return [each for piece in pieces if piece for each in framer.feed(piece)]


@settings(max_examples=200)
@given(PACKETS, st.data())
def test_packets_are_the_same_however_they_are_cut(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(packet(bytes([command]), payload) for command, payload in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    assert fed([stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == sent
    assert fed([stream[at : at + 1] for at in range(len(stream))]) == sent


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_can_be_fed(pieces: list[bytes]) -> None:
    framer = Framer()
    for piece in pieces:
        if piece and any(command == MALFORMED for command, _ in framer.feed(piece)):
            break


@pytest.mark.parametrize(
    ("length", "told"), [(0, MALFORMED), *((n, TOO_LARGE + ord("L")) for n in (LARGEST + 1, 2**32 - 1))]
)
def test_a_wrong_length_is_told_after_what_came_before(length: int, told: int) -> None:
    bad = struct.pack("!I", length) + b"Lx"
    assert [command for command, _ in fed([packet(b"A", b"") + bad])] == [ord("A"), told]


@settings(max_examples=200)
@given(st.data())
def test_a_packet_that_is_too_large_is_passed_over_however_it_is_cut(data: st.DataObject) -> None:
    stream = packet(b"A", b"") + packet(b"L", b"x" * 100) * 2 + packet(b"B", b"y" * 99)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    framer = Framer(100)
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = [each for piece in pieces if piece for each in framer.feed(piece)]
    assert found == [(ord("A"), b""), *[(TOO_LARGE + ord("L"), b"")] * 2, (ord("B"), b"y" * 99)]


def test_the_largest_packet_comes_in_small_pieces() -> None:
    stream = memoryview(packet(b"L", b"x" * (LARGEST - 1)) + packet(b"A", b""))
    pieces = [bytes(stream[at : at + 5000]) for at in range(0, len(stream), 5000)]
    (_, payload), last = fed(pieces)
    assert (len(payload), last) == (LARGEST - 1, (ord("A"), b""))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_a_body_is_replaced_in_chunks(size: int, kind: type) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    written = fed([b"".join(edit(("replacebody", kind(body[:size]))))])
    assert all(command == ord("b") for command, _ in written)
    assert b"".join(payload for _, payload in written) == body[:size]
    assert [len(payload) for _, payload in written] == [CHUNK] * (size // CHUNK) + (
        [size % CHUNK] if size % CHUNK else []
    ) or [0]


def test_an_agreement_asks_for_macros_by_the_number_of_the_stage() -> None:
    ((command, payload),) = fed([packets.agreement(6, 1, 2, {0: "j {x}", 5: "i"})])
    assert (command, payload[:12]) == (ord("O"), struct.pack("!III", 6, 1, 2))
    assert payload[12:] == b"\0\0\0\0j {x}\0\0\0\0\5i\0"
