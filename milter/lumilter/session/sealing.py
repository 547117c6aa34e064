"""Signing: the last step, on the bytes that leave. What signs a message is asked for fields that go before all others.

The law: pure. Recipients' messages are in groups by then, and nothing is changed after. What a seal is, only those who
made it and the host know; equal ones make of one message the same.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass

from lumilter.errors import LumilterError
from lumilter.session.headers import Header
from lumilter.session.message import Message


class SealError(LumilterError):
    """A message that was to be signed could not be."""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A message and what is to sign it, in order."""

    content: Message
    seals: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Seal:
    """Ask for the fields of messages; to be sent a Sealed, or thrown SealError where one can't be signed."""

    messages: tuple[Unsealed, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """For each message its new fields, the topmost first."""

    fields: tuple[tuple[Header, ...], ...]


def sealed(messages: Sequence[Unsealed]) -> Generator[Seal, object, None]:
    """Put what signs each message at its top. Is thrown SealError."""
    wanted = tuple(message for message in messages if message.seals)
    if not wanted:
        return
    answer = yield Seal(wanted)
    assert isinstance(answer, Sealed)
    for message, fields in zip(wanted, answer.fields, strict=True):
        message.content.headers.put_first(fields)
