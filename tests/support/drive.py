"""A session driven by hand: its generator, with hooks that are Python functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence

from lumilter.errors import ScriptError, SplitError
from lumilter.session.checking import Check, Checked, Checking
from lumilter.session.events import Connect, Data, EndOfMessage, Event, Helo, Mail, Outcome, Rcpt
from lumilter.session.headers import Header
from lumilter.session.mail import MailMessage
from lumilter.session.routing import Routing
from lumilter.session.sealing import Seal, Sealed, SealError
from lumilter.session.session import Session
from lumilter.session.split import Outgoing
from lumilter.session.steps import HookDone, Module, Pause, Recall, Recalled, RunHook, Send
from lumilter.session.verdict import Options

Decide = Callable[[RunHook], object]

HEADERS = ((b"From", b" ann@example.org"), (b"Subject", b" Hello"))
BODY = b"Hello.\r\n"
CONNECT = Connect("client.example", "inet", "192.0.2.1", 40000)


class Drive:
    """A session of modules, or of one module "policy" with these hooks.

    decide: gets each RunHook and gives what the hook returns, or a ScriptError that it raises. ran: "module.hook" of
    every hook that ran; paused: seconds of every pause.
    """

    def __init__(
        self,
        *hooks: str,
        decide: Decide = lambda request: None,
        options: Options | None = None,
        modules: Sequence[Module] = (),
        peer_context: Callable[[str], Mapping[str, str]] = lambda address: {},
        routing: Routing | None = None,
        sealing: Callable[[MailMessage], Sequence[Hashable]] = lambda message: (),
        checking: Checking = Checking(),  # noqa: B008 (immutable)
    ) -> None:
        numbers = itertools.count(1)
        self.session = Session(
            modules or [Module("policy", frozenset(hooks))],
            options or Options(),
            lambda: f"id-{next(numbers)}",
            peer_context,
            routing or Routing(),
            lambda: bool(self.remembered),
            sealing,
            checking,
        )
        self.remembered: set[str] = set()
        """Keys of recipients that were served before."""
        self.sent: list[Outgoing] = []
        self.refuse_to_send: set[str] = set()
        """Addresses that no server takes."""
        self.refuse_to_seal = False
        self.questions: list[Check] = []
        self.answer: Callable[[Check], Checked] = lambda question: Checked()
        """What a question about a sender is answered."""
        self.decide = decide
        self.ran: list[str] = []
        self.requests: list[RunHook] = []
        self.paused: list[float] = []

    def handle(self, event: Event) -> Outcome:
        """Run one event to its Outcome."""
        steps = self.session.handle(event)
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    self.paused.append(request.seconds)
                    request = steps.send(None)
                    continue
                if isinstance(request, Recall):
                    request = steps.send(Recalled(frozenset(request.keys) & self.remembered))
                    continue
                if isinstance(request, Check):
                    self.questions.append(request)
                    request = steps.send(self.answer(request))
                    continue
                if isinstance(request, Seal):
                    request = (
                        steps.throw(SealError("no key")) if self.refuse_to_seal else steps.send(self.seal(request))
                    )
                    continue
                if isinstance(request, Send):
                    problem = self.send(request)
                    request = steps.throw(problem) if problem else steps.send(None)
                    continue
                self.ran.append(f"{request.module.name}.{request.hook.name}")
                self.requests.append(request)
                value = self.decide(request)
                request = steps.throw(value) if isinstance(value, ScriptError) else steps.send(HookDone(value, 1.0))
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome

    def message(
        self, *recipients: str, sender: str = "ann@example.org", headers: Sequence[tuple[bytes, bytes]] = HEADERS
    ) -> Outcome:
        """A whole transaction: the first refusal, or the answer to the message."""
        events: list[Event] = [CONNECT, Helo("client.example"), Mail(f"<{sender}>")]
        events += [Rcpt(f"<{recipient}>") for recipient in recipients]
        events += [Data({"i": "QUEUE"}), EndOfMessage(tuple(headers), BODY, {"i": "QUEUE"})]
        for event in events:
            outcome = self.handle(event)
            if outcome.reply is not None and not isinstance(event, Rcpt):
                break
        return outcome

    def seal(self, request: Seal) -> Sealed:
        """A field for each seal: its name, and how much stood before it."""
        fields = []
        for message in request.messages:
            size = len(b"".join(message.content.pieces()))
            fields.append(tuple(Header(b"X-Seal", b" %s %d" % (str(seal).encode(), size)) for seal in message.seals))
        return Sealed(tuple(fields))

    def send(self, request: Send) -> SplitError | None:
        """As a mailer does it: message by message, each recipient that was served is remembered."""
        for message in request.messages:
            if self.refuse_to_send & set(message.recipients):
                return SplitError("the server is down")
            self.sent.append(message)
            self.remembered.update(message.keys)
        return None
