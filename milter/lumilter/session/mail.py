"""What a script sees as `ac`, `mc`, `msg` and the recipient list: the objects of one SMTP session.

The law: plain state. What may be done to it in which phase is the API's business, what it leads to the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from lumilter.session.address import Path
from lumilter.session.context import ValidateContext
from lumilter.session.headers import HeaderList
from lumilter.session.message import Message
from lumilter.session.routing import Route

P_ESMTP = 2
"""recv_method and accept_construct.protocol of mail that came by SMTP (msys.core.P_ESMTP)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket address as a script sees it: str() is "ip:port" for IPv4, "ip.port" for IPv6."""

    family: str = "unknown"
    address: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.family == "inet":
            return f"{self.address}:{self.port}"
        if self.family == "inet6":
            return f"{self.address}.{self.port}"
        return self.address


@dataclass(eq=False, slots=True)
class AcceptConstruct:
    """The connection: Momentum's accept_construct."""

    conn_id: str
    vctx: ValidateContext
    remote: Endpoint = field(default_factory=Endpoint)
    local: Endpoint = field(default_factory=Endpoint)
    message: MailMessage | None = None
    """The message of the running transaction, from MAIL on (message_construct.message)."""


@dataclass(eq=False, slots=True)
class MailMessage:
    """A message in one recipient's view: Momentum's ec_message.

    content: headers, body and envelope. mess: this message's context, shared with `vctx` except in the phases that run
    for each recipient, where every recipient has its own. discarded: the reason, once a script discarded it. own: it is
    one recipient's view.
    """

    id: str
    batch_id: str
    ac: AcceptConstruct
    content: Message
    mess: dict[str, str]
    code: str = ""
    priority: int = 0
    recv_method: int = P_ESMTP
    discarded: str | None = None
    held: str | None = None
    own: bool = False
    made: bool = False
    route: Route = field(default_factory=Route)
    seals: list[Hashable] = field(default_factory=list)
    """What signs it when it leaves (session.sealing), in order."""
    errands: list[Callable[[], Callable[[], None]]] = field(default_factory=list)
    """What is to be done with it when it has come, before any script sees it (steps.Errand)."""

    @property
    def conn(self) -> dict[str, str]:
        """The connection context."""
        return self.ac.vctx.conn

    def for_recipient(self, address: str, ident: str) -> MailMessage:
        """This message as one recipient's own: copy-on-write content, a context of its own."""
        content = self.content.view()
        content.rcptto = address
        return MailMessage(
            ident, self.batch_id, self.ac, content, dict(self.mess), self.code, self.priority, self.recv_method,
            self.discarded, self.held, own=True, route=self.route.copy(), seals=list(self.seals),
        )  # fmt: skip

    def forget(self) -> None:
        """Let go of headers and body. A script may hold the object long after; the envelope and the contexts stay."""
        self.content.forget()


P_INTERNAL = 0
"""recv_method of a message that a script made (msys.core.P_INTERNAL)."""


def script_message(ident: str) -> MailMessage:
    """An empty message of a script's own."""
    vctx = ValidateContext()
    content = Message(HeaderList(), b"", "", "")
    content.made = True
    return MailMessage(
        ident, ident, AcceptConstruct("", vctx), content, vctx.mess, recv_method=P_INTERNAL, own=True, made=True
    )


def copy_of(message: MailMessage, ident: str) -> MailMessage:
    """A message of a script's own with the content, the envelope and the contexts of another one."""
    copy = script_message(ident)
    copy.content = message.content.of_its_own()
    copy.mess.update(message.mess)
    copy.conn.update(message.conn)
    copy.content.made = True
    copy.priority = message.priority
    return copy


def new_message(ident: str, ac: AcceptConstruct, sender: Path) -> MailMessage:
    """The message of a transaction that just began: an envelope, no content yet."""
    return MailMessage(ident, ident, ac, Message(HeaderList(), b"", sender.address, ""), ac.vctx.mess)


@dataclass(eq=False, slots=True)
class Recipient:
    """received: the address as the MTA showed it, by which it must be deleted; None if a script added it."""

    address: str
    received: str | None = None


@dataclass(slots=True)
class Recipients:
    """The recipient list of a transaction: what the MTA has, and what the scripts want.

    Both are sets in order (the values of the dictionaries mean nothing): Sendmail limits the recipients of a message
    only where it is told to, so nothing here looks through all of them for each of them.
    """

    wanted: dict[Recipient, None] = field(default_factory=dict)
    received: dict[Recipient, None] = field(default_factory=dict)

    @property
    def first(self) -> Recipient | None:
        """The first of those that are wanted."""
        return next(iter(self.wanted), None)

    def accept(self, address: str, received: str) -> Recipient:
        """A RCPT that is being decided on."""
        recipient = Recipient(address, received)
        self.wanted[recipient] = self.received[recipient] = None
        return recipient

    def refuse(self, recipient: Recipient) -> None:
        """The RCPT was answered with an error: the MTA does not have it."""
        del self.received[recipient]
        self.drop(recipient)

    def drop(self, recipient: Recipient) -> None:
        """No longer wanted; a script may have removed it already."""
        self.wanted.pop(recipient, None)

    def addresses(self) -> list[str]:
        """What the scripts want, in order."""
        return [recipient.address for recipient in self.wanted]

    def add(self, *addresses: str) -> None:
        """Add each address that is not there."""
        there = {recipient.address for recipient in self.wanted}
        missing = [address for address in dict.fromkeys(addresses) if address not in there]
        back = {recipient.address: recipient for recipient in reversed(self.received)} if missing else {}
        for address in missing:
            self.wanted[back.get(address) or Recipient(address)] = None

    def remove(self, *addresses: str) -> None:
        """Remove every entry of these addresses, compared without case."""
        gone = {address.lower() for address in addresses}
        self.wanted = {r: None for r in self.wanted if r.address.lower() not in gone}

    def __iter__(self) -> Iterator[Recipient]:
        return iter(self.wanted)


@dataclass(eq=False, slots=True)
class ListNode:
    """One node of the list that validate_rcptto_list sees (struct ec_list_node)."""

    object: str
    next: ListNode | None = None


def linked(addresses: list[str]) -> ListNode | None:
    """The addresses as Momentum's singly linked list; None if there are none."""
    node: ListNode | None = None
    for address in reversed(addresses):
        node = ListNode(address, node)
    return node
