"""Signs what leaves, sends what can't stay on the message that the MTA holds, and takes its recipients off it.

The law: nobody is taken off before their message was sent, and nobody is sent one that an earlier try has sent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from lumilter.session import split
from lumilter.session.buffers import Buffer
from lumilter.session.headers import HeaderList
from lumilter.session.mail import MailMessage, Recipient, Recipients
from lumilter.session.sealing import Unsealed, sealed
from lumilter.session.split import Group, Outgoing
from lumilter.session.steps import Answer, Recall, Recalled, Request, Send


@dataclass(frozen=True, slots=True)
class Parted:
    """stays: what the MTA's message is to become; None where nobody is left for it. sent: what went by itself.

    served: keys to be forgotten when the MTA has the answer.
    """

    stays: MailMessage | None
    sent: list[Outgoing] = field(default_factory=list)
    served: tuple[str, ...] = ()


def part_ways(
    members: Sequence[tuple[Recipient, MailMessage]],
    recipients: Recipients,
    headers: HeaderList,
    body: Buffer,
    sender: str,
    remembers: Callable[[], bool],
) -> Generator[Request, Answer, Parted]:
    """members: recipients and their messages, at least one. headers, body, sender: what was received.

    remembers: whether an earlier try may have served anybody. Is thrown SplitError where not all could be sent, and
    SealError where one can't be signed.
    """
    first = members[0][1]
    members = [member for member in members if member[0] in recipients.wanted]  # a later hook may remove one
    found = split.groups(members, body)
    if len(found) <= 1 and not remembers():
        yield from _seal(found)
        return Parted(found[0].message if found else first)
    received = split.digest(headers, body, sender)
    keys = {recipient: split.key(received, recipient) for recipient, _ in members}
    recalled = yield Recall(tuple(keys.values()))
    assert isinstance(recalled, Recalled)
    for group in found:
        for recipient, _ in group.members:
            if keys[recipient] in recalled.keys:  # by a try that did not come to its end
                recipients.drop(recipient)
        group.members = [member for member in group.members if keys[member[0]] not in recalled.keys]
    found = [group for group in found if group.members]
    if not found:
        by_script_alone = bool(recipients.wanted)
        return Parted(first if by_script_alone else None, served=tuple(keys.values()))
    stays = split.staying(found)
    yield from _seal(found)
    others = [group for group in found if group is not stays]
    sent = [split.outgoing(group, keys) for group in others]
    if sent:
        yield Send(tuple(sent))
    for group in others:
        for recipient, _ in group.members:
            recipients.drop(recipient)
    return Parted(stays.message, sent, tuple(keys.values()) if others or recalled.keys else ())


def _seal(groups: Sequence[Group]) -> Generator[Request, Answer, None]:
    yield from sealed([Unsealed(group.message.content, tuple(group.message.seals)) for group in groups])
