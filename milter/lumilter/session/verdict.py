"""What a phase's end means to the MTA: the one table of precedence, and the texts of replies.

The law: every Outcome that is not plain "continue" is made here.

    first that holds                                   answer
    1  the connection was ended earlier                421, whatever the command
    2  a script failed                                 as `on_error` says: tempfail, reject; accept goes on
    3  vctx.disconnect or vctx:disconnect()            its code (421 where none is set), then 421 to all that follows
    4  vctx.code / vctx:set_code() is 5xx or 4xx       that reply: reject or tempfail
    5  core_final_validation2 returned DONE / RETRY    554 / 451
    6  recipients need different messages              451, until an injection address is configured
    6a a message can't be signed                       451
    7  msg:discard(), or no recipient is left          discard
    8  msg:quarantine()                                the edits, and the MTA holds the message
    9  otherwise                                       the edits

In the phases that run for each recipient, rows 3 to 5 answer for the whole message: there is one reply to it.
4xx before 5xx or the other way round does not arise: a phase has one code, and the first phase that sets one is last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from lumilter.errors import LimitError, ScriptError, SplitError
from lumilter.session.context import ValidateContext
from lumilter.session.events import Action, Edit, Outcome, Reply
from lumilter.session.phases import HOOK_DONE, HOOK_RETRY
from lumilter.session.sealing import SealError

CLOSING = Outcome(Action.TEMPFAIL, Reply(421, "4.7.0", ("Service closing transmission channel",)))
DISCARD = Outcome(Action.DISCARD)

_TEXTS = {
    2: ("2.0.0", "Ok"),
    3: ("", "Go on"),
    4: ("4.7.1", "Service unavailable, try again later"),
    5: ("5.7.1", "Rejected by policy"),
}
"""Where a script gives none: only 4 and 5 are a client's answer, but msg:code takes every code."""
_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)", re.ASCII)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LINE = 480
"""RFC 5321 4.5.3.1.5 allows 512 octets in a reply line, code, status and CRLF included."""


class OnError(Enum):
    """What happens to mail when a script fails."""

    TEMPFAIL = "tempfail"
    REJECT = "reject"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Options:
    """How a session decides where no script does; seconds throughout.

    on_limit: instead of on_error for what passed a limit, by the limit's name (LimitError.limit).
    again_interval: pause before a hook that returned VALIDATE_AGAIN runs again; again_limit: how long in all.
    max_tarpit: longest time that a reply is held back, as an MTA gives up on a milter (Postfix: milter_command_timeout,
    30 s).
    """

    on_error: OnError = OnError.TEMPFAIL
    on_error_text: str = "local policy error"
    on_limit: Mapping[str, OnError] = field(default_factory=dict)
    again_interval: float = 1.0
    again_limit: float = 60.0
    max_tarpit: float = 25.0


def of_error(error: ScriptError, options: Options) -> Outcome | None:
    """The answer to a failed script; None goes on as if the module were not there."""
    action = options.on_limit.get(error.limit, options.on_error) if isinstance(error, LimitError) else options.on_error
    if action is OnError.ACCEPT:
        return None
    return refused(action, options.on_error_text)


def refused(action: OnError, text: str) -> Outcome:
    """The answer where no script decides; ACCEPT lets the rest of the connection, or the message, pass unseen."""
    if action is OnError.ACCEPT:
        return Outcome(Action.ACCEPT)
    code, status = (451, "4.3.0") if action is OnError.TEMPFAIL else (554, "5.3.0")
    return refusal(code, f"{status} {text}")


def of_context(vctx: ValidateContext) -> Outcome | None:
    """Rows 3 and 4 of the table."""
    if vctx.disconnect and vctx.code < 400:
        return refusal(421, vctx.note)
    return refusal(vctx.code, vctx.note) if vctx.code >= 400 else None


def of_status(status: object) -> Outcome | None:
    """Row 5: the status that core_final_validation2 returned."""
    if status == HOOK_DONE:
        return refusal(554, "5.7.0 Final validation failed")
    if status == HOOK_RETRY:
        return refusal(451, "4.7.0 Final validation failed for now")
    return None


def of_split(error: SplitError) -> Outcome:
    """Row 6."""
    return refusal(451, f"4.3.5 {error}")


def of_seal(error: SealError) -> Outcome:
    """Row 6a; why is nothing that a client needs to know."""
    return refusal(451, "4.3.5 The message could not be signed, try again later")


def accepted(edits: tuple[Edit, ...]) -> Outcome:
    """Rows 8 and 9."""
    return Outcome(Action.CONTINUE, None, edits)


def refusal(code: int, note: str | None) -> Outcome:
    """The Outcome of a 4xx or 5xx reply; note may hold a status code and several lines."""
    if not 400 <= code <= 599:
        code = 451
    action = Action.TEMPFAIL if code < 500 else Action.REJECT
    return Outcome(action, reply(code, note))


def reply(code: int, note: str | None) -> Reply:
    """A valid SMTP reply from whatever a script gave as its text.

    An RFC 3463 status at the start is taken as one, its class made to fit the code; a code that the script repeated at
    the start of a line is dropped; what an SMTP reply can't hold becomes "?". Postfix calls a reply malformed whose
    text begins with a digit that is not the code's first ("550 192.0.2.1 is listed"), answers 451 and tempfails the
    rest of the connection: such a text gets a status.
    """
    kind = code // 100
    lines = re.split(r"\r\n|\r|\n", (note or "").strip()) or [""]
    lines = [re.sub(rf"^{code}[ -]", "", line) for line in lines]
    xcode = ""
    status = _STATUS.match(lines[0])
    if status:
        xcode = f"{kind}{status[1][1:]}"
        lines = [line.removeprefix(status[1]).lstrip() for line in lines]
    elif re.match(rf"(?!{kind})[0-9]", lines[0].lstrip()):
        xcode = f"{kind}.0.0"
    clean = [_UNPRINTABLE.sub("?", line) for line in lines]
    short = [line[i : i + _LINE] for line in clean for i in range(0, max(len(line), 1), _LINE)]
    if not any(short):
        status_of_kind, text = _TEXTS[kind]
        short, xcode = [text], xcode or status_of_kind
    return Reply(code, xcode, tuple(short[:32]))
