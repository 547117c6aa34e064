"""Every error that lumilter raises on purpose, in one tree.

    LumilterError
    ├── ConfigError          the configuration is wrong: file, line, and what would be right
    ├── ScriptError          a script is wrong or failed: script, line, message
    │   ├── DialectError     it does not parse as Momentum's Lua
    │   ├── LimitError       it passed a limit: instructions, wall clock, memory
    │   └── MisuseError      it called a function where or how that function can't work
    ├── LookupFailed         an adapter could not answer; a script sees `nil, message`
    │   └── WebError         an HTTP request got no answer (adapters.http_request)
    ├── NegotiationError     the MTA does not grant what the loaded scripts need
    ├── WireError            libmilter did not start, or ended by itself (wire.serve)
    ├── Unwritable           an edit that the milter protocol can't carry (wire.edits)
    ├── HeaderError          a script gave a header name that is none (session.headers)
    ├── PatternError         a regular expression does not compile (adapters.pcre_code)
    ├── MatchLimitError      a search passed its limits (adapters.pcre_code)
    ├── MimeError            a change to a MIME tree that can't be made (session.mime)
    ├── SendError            a mail server is away or refuses everything (adapters.smtp)
    ├── OutboxError          a promised message can't be put on disk (adapters.outbox_store)
    ├── ScanError            a scanner gave no answer (adapters.scanners.contract)
    ├── SentError            who was served can't be remembered (adapters.sent)
    ├── StateError           counters and locks can't be reached, or there is no room for more (state.contract)
    ├── CommandError         a console command that can't be done (state.console)
    ├── AddressError         a script named an address or network that is none (state.keys)
    ├── SealError            a message that was to be signed could not be (session.sealing)
    ├── NotDone              work that a session waited for was given up (host.work)
    ├── SignatureError       a message can't be signed as it is asked for (adapters.signatures)
    └── SplitError           recipients need different messages, which could not be sent

The law: code outside this package never sees another exception type from us, a script never sees a Python exception,
and the one place that turns an error into an answer for the MTA is `session.verdict`.
"""

from __future__ import annotations


class LumilterError(Exception):
    """Root of the tree."""


class ConfigError(LumilterError):
    """The configuration can't be used.

    file: path of the configuration file; line: 1-based, 0 where no line is to blame; message: got and expected.
    """

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        self.message, self.file, self.line = message, file, line
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + message)


class ScriptError(LumilterError):
    """A script failed.

    script: chunk name as the author knows it; line: 1-based, 0 where unknown; message: without the position;
    traceback: Lua's, or "". module: whose hook failed, "" outside sessions; ms: how long the hook had taken.
    """

    def __init__(self, message: str, script: str = "", line: int = 0, traceback: str = "") -> None:
        self.message, self.script, self.line, self.traceback = message, script, line, traceback
        where = f"{script}:{line}: " if script and line else f"{script}: " if script else ""
        super().__init__(where + message)
        self.module, self.ms = "", 0.0


class DialectError(ScriptError):
    """The source is not Momentum's Lua."""


class LimitError(ScriptError):
    """A script passed a limit and was stopped.

    limit: which one: "deadline", "instructions", "memory", or "again" (VALIDATE_AGAIN for too long).
    """

    def __init__(self, message: str, script: str = "", line: int = 0, traceback: str = "", limit: str = "") -> None:
        super().__init__(message, script, line, traceback)
        self.limit = limit


class MisuseError(ScriptError):
    """A function was called in a phase, or with arguments, that can't work."""


class LookupFailed(LumilterError):
    """An adapter got no answer: str() is the text that a script sees as its second result."""


class NegotiationError(LumilterError):
    """The MTA did not offer an action or event that the loaded scripts need."""


class SplitError(LumilterError):
    """A policy gave recipients different messages, and not all of them could be sent."""
