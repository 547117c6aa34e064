"""msys.symantec_beik: Brightmail's integration kit's function, served by whichever scanner is configured for it.

The law: declarations only.

Source: manual, msys.symantec_beik.scan and module beik. Brightmail's own codes are not public: 1 is success here, 0 an
error as there.
"""

from __future__ import annotations

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.api.opinions import is_spam, line_of, score_of
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, missing, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage

PACKAGE = "msys.symantec_beik"

Found = tuple[int, str, int | None, str | None]


@api("msys.symantec_beik.scan", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def scan(msg: MailMessage, vctx: ValidateContext, *, here: Here) -> Elsewhere | Found:
    """Ask the scanner of [engines] symantec_beik: 1, "is-spam" or "inbox", is_default (0 or 1), and a tracker.

    is_default 1: the mail goes where it was to go. tracker: for a header. No answer: 0 and why.
    """
    scanner = here.services.scanners.serving("symantec_beik")
    if scanner is None:
        return 0, missing("msys.symantec_beik.scan", "symantec_beik"), None, None
    minimum = here.services.scanners.minimum_score

    def told(answer: Answer) -> Found:
        if not isinstance(answer, Result):
            return 0, str(answer), None, None
        if answer.verdict is Verdict.UNSCANNABLE:
            return 0, answer.info, None, None
        spam = is_spam(answer)
        return 1, "is-spam" if spam else "inbox", int(not spam), line_of(answer, score_of(answer, minimum))

    return ask(scanner, sample_of(msg, here), told)
