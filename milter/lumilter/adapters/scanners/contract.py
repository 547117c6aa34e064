"""What an engine is given, what it answers, and how it fails.

The law: nothing of a protocol is here. A Sample is shared by threads and never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from lumilter.errors import LumilterError

Buffer = bytes | memoryview

CHUNK = 1 << 16
"""Bytes that are handed on at a time."""
MOST_RULES = 1000
"""Names of rules that are kept of a result."""


class Verdict(StrEnum):
    """What an engine thinks of a sample."""

    CLEAN = "clean"
    INFECTED = "infected"
    SPAM = "spam"
    BULK = "bulk"
    SUSPECT = "suspect"
    UNSCANNABLE = "unscannable"
    """The engine works, and can't look into this one: too large, encrypted."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a spam filter wants to know besides the message; "" where it is not known. Addresses without brackets."""

    sender: str = ""
    recipients: tuple[str, ...] = ()
    helo: str = ""
    client_ip: str = ""
    client_name: str = ""
    user: str = ""
    """Who the client authenticated as."""
    ident: str = ""
    """The MTA's queue identifier."""
    receiver: str = ""
    """This machine's name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is to be judged. pieces: in order; a long body is a view of a file, and is never copied as a whole.

    whole: it is a message with its headers, not the content of one part.
    """

    pieces: tuple[Buffer, ...]
    envelope: Envelope = field(default_factory=Envelope)
    whole: bool = True

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        return sum(map(len, self.pieces))

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        """The pieces in views of at most so many bytes; no empty ones."""
        for piece in self.pieces:
            view = memoryview(piece)
            for at in range(0, len(view), size):
                yield view[at : at + size]

    def digest(self, envelope: bool) -> bytes:
        """What the same sample has again. envelope: whether it counts."""
        made = hashlib.sha256(repr((self.whole, self.envelope if envelope else None)).encode("utf-8", "replace"))
        for piece in self.pieces:
            made.update(piece)
        return made.digest()


@dataclass(frozen=True, slots=True)
class Result:
    """An engine's answer.

    info: the name of what was found, or a sentence. code: the engine's own word for it. score: as the engine counts,
    with `required` as what makes it spam. rules: names of what matched. details: by the engine's own names.
    scanner: the name in the configuration.
    """

    verdict: Verdict
    info: str = ""
    code: str | None = None
    score: float | None = None
    required: float | None = None
    rules: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    scanner: str = ""


class ScanError(LumilterError):
    """There is no answer. str() is a sentence.

    word: down, timeout, nonsense (what came is not the protocol), refused (the engine said why it would not), circuit
    (nobody was asked). Only the first three are a server's fault, and make it worth asking another one.
    scanner: as in Result.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word
        self.scanner = ""

    @property
    def fault(self) -> bool:
        """Whether it is the server's fault."""
        return self.word in ("down", "timeout", "nonsense")


class Engine(Protocol):
    """One protocol."""

    @property
    def kind(self) -> str:
        """As the configuration names it."""

    @property
    def messages_only(self) -> bool:
        """It judges messages with their headers, not the content of parts."""

    @property
    def wants_envelope(self) -> bool:
        """Its answer depends on the envelope."""

    def scan(self, sample: Sample, server: Any, deadline: float) -> Result:
        """Ask one server. deadline: a time.monotonic() value. Raises ScanError and OSError, TimeoutError too."""
