"""One SMTP session: milter events in, hooks to run and pauses out, an Outcome at the end of each event.

The law: sans-IO. `Session.handle(event)` is a generator; it yields RunHook and Pause, is sent a HookDone (or thrown a
ScriptError) for each RunHook, and returns the Outcome. Which hooks run is in `phases`, how in `running`, what
follows in `verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import replace

from lumilter.errors import ScriptError, SplitError
from lumilter.session import context, phases, routing, verdict
from lumilter.session.address import Path
from lumilter.session.buffers import Buffer
from lumilter.session.checking import Check, Checking, about, checked
from lumilter.session.diff import content_edits
from lumilter.session.events import (
    CONTINUE,
    Abort,
    AddRecipient,
    ChangeSender,
    Close,
    Connect,
    Data,
    DeleteRecipient,
    Edit,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
)
from lumilter.session.headers import Header, HeaderList
from lumilter.session.mail import (
    Endpoint,
    MailMessage,
    Recipient,
    Recipients,
    new_message,
)
from lumilter.session.parting import part_ways
from lumilter.session.routing import Routing
from lumilter.session.running import Running
from lumilter.session.sealing import SealError
from lumilter.session.split import Outgoing
from lumilter.session.steps import (
    Answer,
    Envelope,
    Errand,
    Module,
    Pause,
    Request,
    Steps,
)


class Session(Running):
    """One client's connection.

    modules: in the order in which they were registered. new_id: makes Momentum-style identifiers. peer_context: the
    configured connection variables for a client address. remembers: whether any recipient's message is remembered as
    sent (steps.Recall). sealing: what the configuration signs a message with, beside what scripts do. checking:
    what is found out about senders before scripts run.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        options: verdict.Options,
        new_id: Callable[[], str],
        peer_context: Callable[[str], Mapping[str, str]] = lambda address: {},
        routing: Routing = Routing(),  # noqa: B008 (immutable)
        remembers: Callable[[], bool] = lambda: False,
        sealing: Callable[[MailMessage], Sequence[Hashable]] = lambda message: (),
        checking: Checking = Checking(),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__(modules, options, new_id(), routing)
        self.new_id = new_id
        self.peer_context = peer_context
        self.remembers = remembers
        self.sealing = sealing
        self.checking = checking
        self.helo = ""
        self.client_name = ""
        self.messages: list[MailMessage] = []
        """The messages of the last EndOfMessage, one for each recipient that is left."""
        self.sent: list[Outgoing] = []
        """What was sent instead of staying on the MTA's message, at the last EndOfMessage."""
        self.served: tuple[str, ...] = ()
        """Keys of the recipients of an accepted message who were served by themselves; taken when the MTA goes on."""
        self.priority_ignored = False
        """A script gave a message a priority, and there is no transport for it."""
        self.envelope = Envelope()
        self._holders = 0
        self._held: list[MailMessage] = []
        self.shadow = False
        """The MTA is told to go on whatever is decided (session.shadow)."""
        self._found: object = None
        """What was found out about the running transaction's sender."""
        self._checked = False

    @property
    def message(self) -> MailMessage | None:
        """The message of the running transaction."""
        return self.ac.message

    @property
    def queue_id(self) -> str:
        """The MTA's queue id, "" before it has one."""
        return self.macros.get("i", "")

    @property
    def trace_line(self) -> str:
        """What a Received field says about the client: RFC 5321 4.4, as far as it is known."""
        client = f"{self.client_name or 'unknown'} [{self.ac.remote.address}]"
        ident = f" id {self.queue_id}" if self.queue_id else ""
        return f"from {self.helo or 'unknown'} ({client}) by lumilter with ESMTP{ident}"

    def handle(self, event: Event) -> Steps:
        """Run everything that belongs to one event."""
        self.trace.begin()
        if self.sent:  # of the last message, for those who have written about it
            self.sent = []
        if isinstance(event, Abort):
            self._end_transaction()
            return CONTINUE
        if isinstance(event, Close):
            return (yield from self._close())
        if isinstance(event, Mail):
            self.macros.pop("i", None)
        self.macros.update(event.macros)
        if self.closing:
            return verdict.CLOSING
        if isinstance(event, EndOfMessage):
            outcome = yield from self._end_of_message(event)
            self._end_transaction()
        else:
            outcome = yield from self._command(event)
        return outcome

    # --- commands ----------------------------------------------------------------------------------------------------

    def _command(self, event: Connect | Helo | Mail | Rcpt | Data) -> Steps:
        text, recipient = "", None
        hooks = phases.BY_EVENT[type(event)]
        match event:
            case Connect():
                self._connect(event)
            case Helo():
                self.helo = text = event.name
                context.greeted(self.vctx.conn, event)
            case Mail():
                text = self._mail(event)
                yield from self._check_sender("mail")
            case Rcpt():
                path = Path.parse(event.address)
                text = path.address
                recipient = self.recipients.accept(text, event.address)
                context.counted(self.vctx.conn)
                context.recipient(self.vctx.mess, path)
                if self.message:
                    self.message.content.rcptto = text
                yield from self._check_sender("rcpt")
            case Data():
                self._first_recipient()
                if not self.recipients.wanted:  # all were dropped silently: scripts rely on a list with a first node
                    hooks = ()
        refused = yield from self.run_hooks(hooks, text, self.message)
        if recipient:
            self._end_of_rcpt(recipient, refused)
        if self.vctx.tcost:
            yield from self._tarpit()
        return refused or CONTINUE

    def _connect(self, event: Connect) -> None:
        self.client_name = event.hostname
        self.ac.remote = Endpoint(event.family, event.address, event.port)
        host, port = self.macros.get("daemon_addr", ""), self.macros.get("daemon_port", "")
        family = "inet6" if ":" in host else "inet" if host else "unknown"
        self.ac.local = Endpoint(family, host, int(port) if port.isdigit() else 0)
        context.connected(self.vctx.conn)
        self.vctx.conn.update(self.peer_context(event.address))

    def _mail(self, event: Mail) -> str:
        self._end_transaction()
        path = Path.parse(event.address)
        context.secured(self.vctx.conn, self.macros)
        context.authenticated(self.vctx.conn, self.macros)
        context.sender(self.vctx, path)
        self.ac.message = new_message(self.new_id(), self.ac, path)
        self._found, self._checked = None, False
        self.envelope = Envelope(self.ac.message.id, path.address)
        return path.address

    def _first_recipient(self) -> None:
        """Before the recipients part ways, the message's own is the first (message_construct: the others are extra)."""
        if self.message and (first := self.recipients.first):
            path = Path.parse(first.address)
            self.message.content.rcptto = path.address
            context.recipient(self.vctx.mess, path)

    def _end_of_rcpt(self, recipient: Recipient, refused: Outcome | None) -> None:
        """Forget a recipient that was refused; one for which a script discarded the message is dropped silently."""
        if refused:
            self.recipients.refuse(recipient)
        elif self.message and self.message.discarded is not None:
            self.recipients.drop(recipient)
        if self.message:
            self.message.discarded = None

    def _close(self) -> Steps:
        for module in self.modules:
            if module.name in self.called and phases.DEALLOC.name in module.hooks:
                try:
                    yield from self.run_hook(module, phases.DEALLOC, "", None)
                except ScriptError as error:
                    self.trace.errors.append(error)
        self._end_transaction()
        return CONTINUE

    def _end_transaction(self) -> None:
        for message in (self.ac.message, *self.messages):
            if message is not None:
                self._let_go(message)
        self.ac.message = None
        self.recipients = Recipients()
        self.vctx.mess = {}

    def hold(self) -> Callable[[], None]:
        """Keep messages for what runs beside the session, also after their end; what it returns ends that."""
        self._holders += 1
        released = False

        def release() -> None:
            nonlocal released
            if released:
                return
            released = True
            self._holders -= 1
            if not self._holders:
                held, self._held = self._held, []
                for message in held:
                    message.forget()

        return release

    def _let_go(self, message: MailMessage) -> None:
        if self._holders:
            self._held.append(message)
        else:
            message.forget()

    # --- the message -------------------------------------------------------------------------------------------------

    def _end_of_message(self, event: EndOfMessage) -> Steps:
        message = self.message
        if message is None:  # no MAIL was seen: the MTA joined in the middle of a session
            return CONTINUE
        self._first_recipient()
        received = HeaderList(Header(name, value) for name, value in event.headers)
        message.content.headers = received.copy()
        message.content.headers.delete(routing.HEADER.decode())  # a client's own must not be obeyed
        message.content.body = event.body
        for begin in message.errands:
            yield Errand(begin)
        yield from self._check_message(message)
        self.messages, self.sent = [], []
        addresses = tuple(_canonical(recipient.received) for recipient in self.recipients.received)
        self.envelope = replace(self.envelope, recipients=addresses)
        outcome = yield from self.run_hooks(phases.MESSAGE, "", message)
        members: list[tuple[Recipient, MailMessage]] = []
        if outcome is None and message.discarded is None:
            outcome = yield from self._each_recipient(message, members)
        if self.vctx.tcost:
            yield from self._tarpit()
        if outcome is not None:
            return outcome
        if not self.messages:
            why = message.discarded or self.envelope.discarded or "no recipient is left"
            self.envelope = replace(self.envelope, discarded=why)
            return verdict.DISCARD
        try:
            parted = yield from part_ways(
                members, self.recipients, received, event.body, self.envelope.sender, self.remembers
            )
            self.sent, self.served = parted.sent, parted.served
            if parted.stays is None:
                self.envelope = replace(self.envelope, discarded="every recipient was served by an earlier try")
                return verdict.DISCARD
            return verdict.accepted(self._edits(parted.stays, received, event.body))
        except SplitError as error:
            self.trace.errors.append(error)
            return verdict.of_split(error)
        except SealError as error:
            self.trace.errors.append(error)
            return verdict.of_seal(error)

    def _check_sender(self, command: str) -> Generator[Request, Answer, None]:
        """Find out about the sender, once in a transaction, at the command that is configured."""
        if command != self.checking.sender or self._checked or not self._is_checked():
            return
        self._checked = True
        question = Check(self.ac.remote.address, self.helo, self.envelope.sender)
        self._found = yield from checked(question, self.vctx.mess)

    def _check_message(self, message: MailMessage) -> Generator[Request, Answer, None]:
        if self.checking.message and self._is_checked():
            client, sender = self.ac.remote.address, self.envelope.sender
            question = about(message.content, client, self.helo, sender, self._found)
            self._found = yield from checked(question, self.vctx.mess)

    def _is_checked(self) -> bool:
        return self.checking.wanted(self.vctx.conn, self.vctx.mess)

    def _each_recipient(
        self, message: MailMessage, members: list[tuple[Recipient, MailMessage]]
    ) -> Generator[Request, Answer, Outcome | None]:
        """Run the hooks of each recipient; those that are left, with their messages, are put into `members`."""
        shared = self.vctx.mess
        bodies: dict[bytes, bytes] | None = {} if len(self.recipients.wanted) > 1 else None
        for recipient in list(self.recipients):
            own = message.for_recipient(recipient.address, message.id if not self.messages else self.new_id())
            context.recipient(own.mess, Path.parse(recipient.address))
            self.vctx.mess = own.mess
            self.ac.message = own
            outcome = yield from self.run_hooks(phases.EACH_RCPT, "", own)
            self.vctx.mess = shared
            self.ac.message = message
            if outcome is not None:
                return outcome
            if own.discarded is not None:
                self.envelope = replace(self.envelope, discarded=own.discarded)
                self.recipients.drop(recipient)
                self._let_go(own)
            elif recipient in self.recipients.wanted:
                self._route(own)
                own.content.settle(bodies)
                own.seals += self.sealing(own)
                self.messages.append(own)
                members.append((recipient, own))
                recipient.address = own.content.rcptto
        return None

    def _route(self, message: MailMessage) -> None:
        domain = Path.parse(message.content.rcptto).domain
        value = self.routing.header(message.route, message.priority, domain)
        self.priority_ignored = self.priority_ignored or bool(message.priority and not self.routing.priority)
        if value:
            message.content.headers.prepend(routing.HEADER.decode(), [value.decode()])

    def _edits(self, message: MailMessage, headers: HeaderList, body: Buffer) -> tuple[Edit, ...]:
        """What turns the message that the MTA holds into this one."""
        edits: list[Edit] = content_edits(headers, body, message.content)
        if message.content.mailfrom != self.envelope.sender:
            edits.append(ChangeSender(message.content.mailfrom))
        edits.extend(self._recipient_edits())
        if message.held is not None:
            edits.append(Quarantine(message.held))
        return tuple(edits)

    def _recipient_edits(self) -> list[Edit]:
        unchanged = {
            r for r in self.recipients.received if r in self.recipients.wanted and r.address == _canonical(r.received)
        }
        drop = [DeleteRecipient(r.received or "") for r in self.recipients.received if r not in unchanged]
        kept = {r.address for r in unchanged}
        add = dict.fromkeys(r.address for r in self.recipients.wanted if r.address not in kept)
        return [*(AddRecipient(address) for address in add), *drop]

    def _tarpit(self) -> Generator[Request, Answer, None]:
        seconds, self.vctx.tcost = min(self.vctx.tcost, self.options.max_tarpit), 0.0
        if seconds > 0:
            yield Pause(seconds)


def _canonical(received: str | None) -> str:
    return Path.parse(received or "").address
