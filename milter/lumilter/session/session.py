"""One SMTP session: milter events in, hooks to run and pauses out, an Outcome at the end of each event.

The law: sans-IO. `Session.handle(event)` is a generator; it yields RunHook and Pause, is sent a HookDone (or thrown a
ScriptError) for each RunHook, and returns the Outcome. Which hooks run is in `phases`, what follows in `verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import replace

from lumilter.errors import LimitError, LumilterError, ScriptError, SplitError
from lumilter.session import context, phases, routing, verdict
from lumilter.session.address import Path
from lumilter.session.buffers import Buffer
from lumilter.session.context import ValidateContext
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
    AcceptConstruct,
    Endpoint,
    MailMessage,
    Recipient,
    Recipients,
    linked,
    new_message,
)
from lumilter.session.parting import part_ways
from lumilter.session.phases import Arg, Hook, Result
from lumilter.session.routing import Routing
from lumilter.session.sealing import SealError
from lumilter.session.split import Outgoing
from lumilter.session.steps import (
    Answer,
    Envelope,
    HookDone,
    HookRun,
    Module,
    Pause,
    Request,
    RunHook,
    Steps,
    Trace,
)
from lumilter.session.strings import EcString


class Session:
    """One client's connection.

    modules: in the order in which they were registered. new_id: makes Momentum-style identifiers. peer_context: the
    configured connection variables for a client address. remembers: whether any recipient's message is remembered as
    sent (steps.Recall). sealing: what the configuration signs a message with, beside what scripts do.
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
    ) -> None:
        self.modules = modules
        self.options = options
        self.new_id = new_id
        self.peer_context = peer_context
        self.routing = routing
        self.remembers = remembers
        self.sealing = sealing
        self.vctx = ValidateContext()
        self.ac = AcceptConstruct(new_id(), self.vctx)
        self.recipients = Recipients()
        self.macros: dict[str, str] = {}
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
        self.trace = Trace()
        self.shadow = False
        """The MTA is told to go on whatever is decided (session.shadow)."""
        self._buffer = EcString()
        self._closing = False
        self._called: set[str] = set()
        """Modules whose Lua code ran: only those get validate_dealloc."""

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
        if self._closing:
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
            case Rcpt():
                path = Path.parse(event.address)
                text = path.address
                recipient = self.recipients.accept(text, event.address)
                context.counted(self.vctx.conn)
                context.recipient(self.vctx.mess, path)
                if self.message:
                    self.message.content.rcptto = text
            case Data():
                self._first_recipient()
                if not self.recipients.wanted:  # all were dropped silently: scripts rely on a list with a first node
                    hooks = ()
        refused = yield from self._hooks(hooks, text, self.message)
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
            if module.name in self._called and phases.DEALLOC.name in module.hooks:
                try:
                    yield from self._run(module, phases.DEALLOC, "", None)
                except ScriptError as error:
                    self.trace.errors.append(error)
        self._end_transaction()
        return CONTINUE

    def _end_transaction(self) -> None:
        for message in (self.ac.message, *self.messages):
            if message is not None:
                message.forget()
        self.ac.message = None
        self.recipients = Recipients()
        self.vctx.mess = {}

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
        self.messages, self.sent = [], []
        addresses = tuple(_canonical(recipient.received) for recipient in self.recipients.received)
        self.envelope = replace(self.envelope, recipients=addresses)
        outcome = yield from self._hooks(phases.MESSAGE, "", message)
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

    def _each_recipient(
        self, message: MailMessage, members: list[tuple[Recipient, MailMessage]]
    ) -> Generator[Request, Answer, Outcome | None]:
        """Run the hooks of each recipient; those that are left, with their messages, are put into `members`."""
        shared = self.vctx.mess
        for recipient in list(self.recipients):
            own = message.for_recipient(recipient.address, message.id if not self.messages else self.new_id())
            context.recipient(own.mess, Path.parse(recipient.address))
            self.vctx.mess = own.mess
            self.ac.message = own
            outcome = yield from self._hooks(phases.EACH_RCPT, "", own)
            self.vctx.mess = shared
            self.ac.message = message
            if outcome is not None:
                return outcome
            if own.discarded is not None:
                self.envelope = replace(self.envelope, discarded=own.discarded)
                self.recipients.drop(recipient)
                own.forget()
            elif recipient in self.recipients.wanted:
                self._route(own)
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

    # --- hooks -------------------------------------------------------------------------------------------------------

    def _hooks(
        self, hooks: Sequence[Hook], text: str, message: MailMessage | None
    ) -> Generator[Request, Answer, Outcome | None]:
        """Run hooks in order until one decides against the command; None is "go on"."""
        self.vctx.begin_phase()
        for hook in hooks:
            for module in self.modules:
                if hook.name not in module.hooks:
                    continue
                before = self._said(message)
                try:
                    done = yield from self._run(module, hook, text, message)
                    routed = hook.result is Result.ROUTE and self._routed(module, message, done)
                except ScriptError as error:
                    self.trace.errors.append(error)
                    refused = verdict.of_error(error, self.options)
                    if refused:
                        self.trace.decided = hook.phase, module.name
                        return refused
                    continue
                if self._said(message) != before:
                    self.trace.decided = hook.phase, module.name
                if hook.result is Result.STATUS and (refused := verdict.of_status(done)):
                    self.trace.decided = hook.phase, module.name
                    return refused
                if routed:
                    break
                if hook.result is Result.VALIDATE and done == phases.VALIDATE_DONE:
                    break
            if refused := verdict.of_context(self.vctx):
                self._closing = self.vctx.disconnect
                return refused
            if message is not None and message.discarded is not None:
                return None
        return None

    def _said(self, message: MailMessage | None) -> tuple[object, ...]:
        """What a hook can say about the command, to tell whose word was the last."""
        return self.vctx.code, self.vctx.note, self.vctx.disconnect, message and message.discarded

    def _run(
        self, module: Module, hook: Hook, text: str, message: MailMessage | None
    ) -> Generator[Request, Answer, object]:
        """Run one hook of one module, again as long as it says VALIDATE_AGAIN."""
        args = tuple(self._argument(arg, text, message) for arg in hook.args)
        spent = waited = 0.0
        self._called.add(module.name)
        try:
            while True:
                done = yield RunHook(module, hook, args)
                assert isinstance(done, HookDone)
                spent += done.ms
                if hook.result is not Result.VALIDATE or done.value != phases.VALIDATE_AGAIN:
                    break
                waited += self.options.again_interval
                if waited > self.options.again_limit:
                    raise LimitError(
                        f"{hook.name} still says VALIDATE_AGAIN after {self.options.again_limit:g} s", limit="again"
                    )
                yield Pause(self.options.again_interval)
        except ScriptError as error:
            error.module = module.name
            self._traced(hook, module, "limit" if isinstance(error, LimitError) else "error", spent + error.ms)
            raise
        names: dict[object, str] = {phases.VALIDATE_CONT: "cont", phases.VALIDATE_DONE: "done", None: "cont"}
        value = done.value
        self._traced(hook, module, names.get(value, str(value)) if _hashable(value) else str(value), spent)
        return value

    def _traced(self, hook: Hook, module: Module, result: str, ms: float) -> None:
        recipient = self.ac.message.content.rcptto if hook.each_rcpt and self.ac.message else ""
        self.trace.runs.append(HookRun(hook.phase, module.name, hook.name, result, ms, recipient))

    def _routed(self, module: Module, message: MailMessage | None, answer: object) -> bool:
        """Take the routing domain that a hook wrote into its buffer, unless it says that it did not."""
        if not answer or message is None:
            return False
        try:
            domain = routing.domain_of(str(self._buffer))
            if domain:
                self.routing.check(self.macros.get("v", ""))
        except LumilterError as problem:
            error = ScriptError(f"{phases.ROUTING.name}: {problem}")
            error.module = module.name
            raise error from None
        message.route.domain = domain or message.route.domain
        return bool(domain)

    def _argument(self, arg: Arg, text: str, message: MailMessage | None) -> object:
        match arg:
            case Arg.AC:
                return self.ac
            case Arg.VCTX:
                return self.vctx
            case Arg.MSG:
                return message
            case Arg.STR:
                return EcString(text.encode("utf-8", "surrogateescape"))
            case Arg.BUFFER:
                self._buffer = EcString()
                return self._buffer
            case Arg.LENGTH:
                return _DOMAIN_ROOM
            case Arg.CLOSURE:
                return None
        return linked(self.recipients.addresses())

    def _tarpit(self) -> Generator[Request, Answer, None]:
        seconds, self.vctx.tcost = min(self.vctx.tcost, self.options.max_tarpit), 0.0
        if seconds > 0:
            yield Pause(seconds)


_DOMAIN_ROOM = 256
"""Bytes of a domain, and one that C would need."""


def _canonical(received: str | None) -> str:
    return Path.parse(received or "").address


def _hashable(value: object) -> bool:
    return isinstance(value, int | float | str | bool) or value is None
