"""What a session asks for, step by step, and what it remembers of it.

The law: plain data. A session yields requests and is sent answers; its trace and last envelope are for those
who write about it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from lumilter.errors import ScriptError, SplitError
from lumilter.session.checking import Check, Checked
from lumilter.session.events import Outcome
from lumilter.session.phases import Hook
from lumilter.session.sealing import Seal, Sealed, SealError
from lumilter.session.split import Outgoing


@dataclass(frozen=True, slots=True)
class Module:
    """A registered module as the session knows it: its name and the hooks it defines."""

    name: str
    hooks: frozenset[str]


@dataclass(frozen=True, slots=True)
class RunHook:
    """Ask for one hook of one module to be run."""

    module: Module
    hook: Hook
    args: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class HookDone:
    """What the hook returned, and how long it took in milliseconds."""

    value: object
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Ask to be sent None after that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask which of these keys are remembered; to be sent them as Recalled. See split."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recalled:
    """Those of the keys that are remembered."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Send:
    """Ask for messages to be sent now, each recipient once; SplitError is thrown where not all could be.

    Those of its recipients who are remembered are left out, and each one who was served is remembered.
    """

    messages: tuple[Outgoing, ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """Ask for what a script wanted done with a message that was not there yet; to be sent None when that has ended.

    begin: called on the Lua thread; what it returns is called on a pool thread, and may raise LumilterError.
    """

    begin: Callable[[], Callable[[], None]]


Request = RunHook | Pause | Recall | Send | Seal | Check | Errand
Answer = HookDone | Recalled | Sealed | Checked | None
Steps = Generator[Request, Answer, Outcome]
"""What `Session.handle` returns."""


@dataclass(frozen=True, slots=True)
class HookRun:
    """One line of the session's trace."""

    phase: str
    module: str
    hook: str
    result: str
    ms: float
    recipient: str = ""


@dataclass(slots=True)
class Trace:
    """What happened since the last message, for logs and `lumilter test`."""

    runs: list[HookRun] = field(default_factory=list)
    errors: list[ScriptError | SplitError | SealError] = field(default_factory=list)
    decided: tuple[str, str] | None = None
    """Phase and module of the hook whose word about the last event was the last one; None where none said anything."""
    begun: int = 0
    """How many of the runs are older than the last event."""

    def begin(self) -> None:
        """A new event."""
        self.decided, self.begun = None, len(self.runs)

    def clear(self) -> None:
        self.runs.clear()
        self.errors.clear()
        self.begun = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of the last message as the MTA showed it, which outlives its transaction, for logs."""

    msg_id: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    discarded: str = ""
