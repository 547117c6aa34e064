"""Recipients whose messages have become different: groups of the same, one of which stays on the message that the MTA
holds; the others are sent on their own.

The law: pure. Recipients in one group get the very same bytes. A recipient has a key, made of what was received for it,
by which a second try knows that its message was sent already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lumilter.errors import SplitError
from lumilter.session.buffers import Buffer
from lumilter.session.headers import HeaderList
from lumilter.session.mail import MailMessage, Recipient


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent: recipients' addresses without angle brackets, content in pieces with CRLF line ends.

    keys: by which each recipient is remembered, in the same order.
    """

    sender: str
    recipients: tuple[str, ...]
    keys: tuple[str, ...]
    content: tuple[Buffer, ...]


@dataclass(slots=True)
class Group:
    """message: what its recipients get. members: each recipient of the MTA's and its message."""

    message: MailMessage
    members: list[tuple[Recipient, MailMessage]]


def groups(messages: Sequence[tuple[Recipient, MailMessage]], received: Buffer) -> list[Group]:
    """Groups in the order of their first recipients. received: the body as it came, which most share."""
    if len(messages) == 1:  # the most frequent case by far
        return [Group(messages[0][1], list(messages))]
    found: dict[object, Group] = {}
    last: Group | None = None
    for recipient, message in messages:
        content = message.content
        if last is not None and _is_alike(last.message, message):
            last.members.append((recipient, message))
            continue
        body = None if content.body is received else bytes(content.body)
        key = (content.headers.to_bytes(), body, content.mailfrom, message.held, tuple(message.seals))
        group = found.get(key)
        if group is None:
            group = found[key] = Group(message, [])
        group.members.append((recipient, message))
        last = group
    return list(found.values())


def _is_alike(one: MailMessage, other: MailMessage) -> bool:
    """Whether two messages are the same at a glance: that is the most frequent case with several recipients."""
    a, b = one.content, other.content
    same = a.headers.is_shared(b.headers) and a.body is b.body and one.seals == other.seals
    return same and (a.mailfrom, one.held) == (b.mailfrom, other.held)


def staying(found: Sequence[Group]) -> Group:
    """The group that stays with the MTA: the one that is to be held, else the largest. Raises SplitError."""
    held = [group for group in found if group.message.held is not None]
    if len(held) > 1:
        raise SplitError("recipients need different messages to be held, and only one can be")
    return held[0] if held else max(found, key=lambda group: len(group.members))


def outgoing(group: Group, keys: Mapping[Recipient, str]) -> Outgoing:
    """A group's message, to be sent."""
    content = group.message.content
    return Outgoing(
        sender=content.mailfrom,
        recipients=tuple(recipient.address for recipient, _ in group.members),
        keys=tuple(keys[recipient] for recipient, _ in group.members),
        content=content.pieces(),
    )


def digest(headers: HeaderList, body: Buffer, sender: str) -> hashlib._Hash:
    """What was received, to make keys of."""
    made = hashlib.sha256(headers.to_bytes())
    made.update(b"\0" + sender.encode("utf-8", "surrogateescape") + b"\0")
    made.update(body)
    return made


def key(received: hashlib._Hash, recipient: Recipient) -> str:
    """By which it is remembered that this recipient's message was sent."""
    made = received.copy()
    made.update(b"\0" + (recipient.received or recipient.address).encode("utf-8", "surrogateescape"))
    return made.hexdigest()
