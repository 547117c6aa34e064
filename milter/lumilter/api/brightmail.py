"""msys.brightmail: Symantec Brightmail's function, served by whichever scanner is configured for it.

The law: declarations only.

Source: manual, msys.brightmail.scan and module brightmail. It leaves open what is returned where there is no answer:
here nil and a message, with the context variable brightmail::error.
"""

from __future__ import annotations

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.api.opinions import is_spam, line_of, score_of
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, missing, note, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import AcceptConstruct, MailMessage

PACKAGE = "msys.brightmail"
ERROR = "brightmail::error"

Found = tuple[str | None, bool | str, str | None, str | None] | tuple[None, str]


@api("msys.brightmail.scan", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def scan(msg: MailMessage, accept: AcceptConstruct, vctx: ValidateContext, *, here: Here) -> Elsewhere | Found:
    """Ask the scanner of [engines] brightmail: "spam" or "inbox", is_default, the names of rules, and a tracker.

    is_default: the mail goes where it was to go. tracker: for a header. No answer: nil, why, and the context variable
    brightmail::error.
    """
    scanner = here.services.scanners.serving("brightmail")
    if scanner is None:
        return failed(msg, vctx, missing("msys.brightmail.scan", "brightmail"))
    minimum = here.services.scanners.minimum_score

    def told(answer: Answer) -> Found:
        if not isinstance(answer, Result) or answer.verdict is Verdict.UNSCANNABLE:
            return failed(msg, vctx, answer.info if isinstance(answer, Result) else str(answer))
        note(msg, vctx, {ERROR: None})
        spam = is_spam(answer)
        tracker = line_of(answer, score_of(answer, minimum))
        return "spam" if spam else "inbox", not spam, " ".join(answer.rules), tracker

    return ask(scanner, sample_of(msg, here), told)


def failed(msg: MailMessage, vctx: ValidateContext, why: str) -> tuple[None, str]:
    """What a script gets where there is no answer."""
    note(msg, vctx, {ERROR: why})
    return None, why
