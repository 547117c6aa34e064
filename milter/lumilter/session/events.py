"""What the wire tells a session, and what a session answers.

The law: plain immutable data. Envelope addresses, macros and replies are `str` (UTF-8 with surrogateescape, so that
any byte survives); header names, header values and bodies are `bytes`, as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Macros = Mapping[str, str]
"""Milter macros known so far, without braces: {"i": "4ZK3...", "client_addr": "192.0.2.1"}."""


# --- events, in the order in which an MTA sends them ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """A client connected. family is "inet", "inet6", "unix" or "unknown"; port is 0 where the MTA gave none."""

    hostname: str
    family: str
    address: str
    port: int
    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Helo:
    """HELO or EHLO; comes again after STARTTLS."""

    name: str
    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM. address as the client wrote it, angle brackets included; params such as "SIZE=100"."""

    address: str
    params: tuple[str, ...] = ()
    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO."""

    address: str
    params: tuple[str, ...] = ()
    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """DATA."""

    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndOfMessage:
    """The whole message.

    headers: (name, value) in order; a value is everything after the colon, its leading white space included, folded
    lines joined by "\\n". body: as the MTA sent it, CRLF line ends.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | memoryview
    macros: Macros = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Abort:
    """The transaction ended without a message (RSET, a second MAIL, a lost client): the connection goes on."""


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is gone."""


Event = Connect | Helo | Mail | Rcpt | Data | EndOfMessage | Abort | Close


# --- answers --------------------------------------------------------------------------------------------------------


class Action(Enum):
    """The milter reply that ends an event."""

    CONTINUE = "continue"
    ACCEPT = "accept"
    REJECT = "reject"
    TEMPFAIL = "tempfail"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply: code 400 to 599; xcode an RFC 3463 status such as "5.7.1" or ""; lines without code or CRLF."""

    code: int
    xcode: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddHeader:
    """Append a header. value as in EndOfMessage.headers: leading white space included."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """Insert a header so that it becomes number `index` (0 is the top) of all headers that the MTA showed us."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Replace the value of the nth (1-based, names compared without case) header of that name; b"" deletes it."""

    nth: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """The whole new body, CRLF line ends."""

    body: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """Address without angle brackets."""

    address: str


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    """Address exactly as in the Rcpt event."""

    address: str


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """New MAIL FROM, without angle brackets; "" is the null sender."""

    address: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Hold the message in the MTA's queue (Postfix: hold)."""

    reason: str


Edit = (
    AddHeader | InsertHeader | ChangeHeader | ReplaceBody | AddRecipient | DeleteRecipient | ChangeSender | Quarantine
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A session's whole answer to one event. Edits come only with EndOfMessage; they are applied in order, first."""

    action: Action
    reply: Reply | None = None
    edits: tuple[Edit, ...] = ()


CONTINUE = Outcome(Action.CONTINUE)
