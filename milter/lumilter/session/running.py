"""What hooks see of a session, and how they are run: in order, module by module, until one of them decides.

The law: which hooks there are is in `phases`, what their answers mean in `verdict`; nothing here knows an event.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from lumilter.errors import LimitError, LumilterError, ScriptError
from lumilter.session import phases, routing, verdict
from lumilter.session.context import ValidateContext
from lumilter.session.events import Outcome
from lumilter.session.mail import AcceptConstruct, MailMessage, Recipients, linked
from lumilter.session.phases import Arg, Hook, Result
from lumilter.session.routing import Routing
from lumilter.session.steps import Answer, HookDone, HookRun, Module, Pause, Request, RunHook, Trace
from lumilter.session.strings import EcString

_DOMAIN_ROOM = 256
"""Bytes of a domain, and one that C would need."""


class Running:
    """A connection on which hooks run.

    modules: in the order in which they were registered. closing: the connection ends with this phase. called: modules
    whose Lua code ran.
    """

    def __init__(self, modules: Sequence[Module], options: verdict.Options, conn_id: str, routing: Routing) -> None:
        self.modules = modules
        self.options = options
        self.routing = routing
        self.vctx = ValidateContext()
        self.ac = AcceptConstruct(conn_id, self.vctx)
        self.recipients = Recipients()
        self.macros: dict[str, str] = {}
        self.trace = Trace()
        self.closing = False
        self.called: set[str] = set()
        self._buffer = EcString()

    def run_hooks(
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
                    done = yield from self.run_hook(module, hook, text, message)
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
                self.closing = self.vctx.disconnect
                return refused
            if message is not None and message.discarded is not None:
                return None
        return None

    def _said(self, message: MailMessage | None) -> tuple[object, ...]:
        """What a hook can say about the command, to tell whose word was the last."""
        return self.vctx.code, self.vctx.note, self.vctx.disconnect, message and message.discarded

    def run_hook(
        self, module: Module, hook: Hook, text: str, message: MailMessage | None
    ) -> Generator[Request, Answer, object]:
        """Run one hook of one module, again as long as it says VALIDATE_AGAIN."""
        args = tuple(self._argument(arg, text, message) for arg in hook.args)
        spent = waited = 0.0
        self.called.add(module.name)
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


def _hashable(value: object) -> bool:
    return isinstance(value, int | float | str | bool) or value is None
