"""One generator that asks for hooks (a session's event, the loading of scripts), driven to its end by coroutines.

The law: on the Lua thread. A Drive is in no reference cycle once it has ended: with one for each command of each
session, the collector would have nothing but them to do.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lumilter.calls import Here
from lumilter.errors import ScriptError, SplitError
from lumilter.host import checking, errands, mailing, sealing
from lumilter.session.checking import Check, Checked
from lumilter.session.sealing import Seal, Sealed, SealError
from lumilter.session.session import Session
from lumilter.session.steps import Errand, HookDone, Pause, Recall, Recalled, Request, RunHook, Send

if TYPE_CHECKING:
    from lumilter.host.host import Host


@dataclass(frozen=True, slots=True)
class HookEnd:
    """A hook has returned or failed.

    seconds: from its start, waits included; waited: how many of them for what, by Wait.kind. session: None for init.
    """

    session: Session | None
    module: str
    hook: str
    seconds: float
    waited: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunLua:
    """Ask for a piece of Lua outside a session: begin as for Tasks.start."""

    phase: str
    begin: Callable[[int, float], Any]


class Drive:
    """answer: gets what the generator returns, or the exception that it raises."""

    __slots__ = ("_answer", "_begun", "_following", "_host", "_inside", "_request", "_session", "_steps", "_waited")

    def __init__(
        self, host: Host, steps: Generator[Any, Any, Any], answer: Callable[[Any], None], session: Session | None
    ) -> None:
        self._host, self._steps, self._answer, self._session = host, steps, answer, session
        self._inside = False
        self._following: tuple[Callable[[Any], Any], Any] | None = None

    def go_on(self, advance: Callable[[Any], Any], value: Any) -> None:
        """advance(value) gives the next request, or ends the generator."""
        self._following = advance, value
        if self._inside:
            return  # it goes on in the loop below, not deeper in the stack: a message may have 1,000 recipients
        self._inside = True
        while self._following is not None:
            advance, value = self._following
            self._following = None
            try:
                request = advance(value)
            except StopIteration as stop:
                self._answer(stop.value)
            except Exception as error:
                self._answer(error)
            else:
                self._perform(request)
        self._inside = False

    def _perform(self, request: Request | RunLua) -> None:
        host = self._host
        if isinstance(request, Pause):
            go_on = functools.partial(self.go_on, self._steps.send, None)
            if self._session is None:
                host.loop.at(time.monotonic() + request.seconds, go_on)
            else:
                host.pause(request.seconds, go_on)
            return
        if isinstance(request, Recall | Send):
            assert self._session is not None
            mailing.perform(host, request, self._session, self._performed)
            return
        if isinstance(request, Check):
            checking.perform(host, request, self._performed)
            return
        if isinstance(request, Errand):
            errands.perform(host, request, self._performed)
            return
        if isinstance(request, Seal):
            assert self._session is not None
            sealing.perform(host, request, self._session, self._performed)
            return
        self._request, self._begun = request, time.perf_counter()
        self._waited: dict[str, float] = {}
        if isinstance(request, RunLua):
            begin, here = request.begin, Here(request.phase, "", self._session)
        else:
            begin = host.begin(request, self._session)
            here = Here(request.hook.phase, request.module.name, self._session)
        host.tasks.start(begin, here, self._done, self._failed, self._waited)

    def _performed(self, answer: Recalled | Sealed | Checked | SplitError | SealError | None) -> None:
        """What was asked of the mailer, to be signed, or about a sender."""
        failed = isinstance(answer, SplitError | SealError)
        self.go_on(self._steps.throw if failed else self._steps.send, answer)

    def _done(self, values: tuple[Any, ...]) -> None:
        self.go_on(self._steps.send, HookDone(values[0] if values else None, self._ended()))

    def _failed(self, error: ScriptError) -> None:
        error.ms = self._ended()
        self.go_on(self._steps.throw, error)

    def _ended(self) -> float:
        """Milliseconds since the start."""
        seconds, request = time.perf_counter() - self._begun, self._request
        if isinstance(request, RunHook):
            self._host.on_hook(HookEnd(self._session, request.module.name, request.hook.name, seconds, self._waited))
        return seconds * 1000
