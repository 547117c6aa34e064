"""msys.commtouch: Commtouch's (Cyren's) function, served by whichever scanner is configured for it.

The law: declarations only.

Source: manual, msys.commtouch.diagnose and module commtouch_ctasd. The two pages have different words: the table that
is returned has those of the function's page, the context variables those of the module's.
"""

from __future__ import annotations

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.api.opinions import line_of, score_of
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, context_of, message_of, missing, note, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import AcceptConstruct, MailMessage

PACKAGE = "msys.commtouch"

_CLASSES = {
    "unknown": ("Unknown", "unknown"),
    "nonspam": ("Unknown", "none"),
    "suspect": ("Suspected", "suspect"),
    "suspected": ("Suspected", "suspect"),
    "bulk": ("Bulk", "bulk"),
    "confirmed": ("Spam", "confirmed"),
}
_THREATS = {
    "unknown": ("non-virus", "unknown"),
    "nonvirus": ("non-virus", "nonvirus"),
    "medium": ("medium", "medium"),
    "high": ("high", "high"),
    "virus": ("virus", "virus"),
}
"""ctasd's words: in the table, in the context."""
_OTHERS = {Verdict.SPAM: "confirmed", Verdict.BULK: "bulk", Verdict.SUSPECT: "suspect"}

Found = dict[str, str] | tuple[None, str]


@api("msys.commtouch.diagnose", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def diagnose(
    msg: MailMessage | None = None, accept: AcceptConstruct | None = None, vctx: ValidateContext | None = None,
    *, here: Here,
) -> Elsewhere | Found:  # fmt: skip
    """Ask the scanner of [engines] commtouch. A table, and the context variables commtouch-class and so on.

    class: Unknown, Suspected, Bulk or Spam. virus-threat: non-virus, medium, high or virus. ref-id: for a header. No
    answer: nil and why.
    """
    message, context = message_of(msg, here), context_of(vctx, here)
    scanner = here.services.scanners.serving("commtouch")
    if scanner is None:
        return None, missing("msys.commtouch.diagnose", "commtouch")
    minimum = here.services.scanners.minimum_score

    def told(answer: Answer) -> Found:
        if not isinstance(answer, Result) or answer.verdict is Verdict.UNSCANNABLE:
            note(message, context, {f"commtouch-{name}": None for name in ("class", "virus-threat", "ref-id")})
            return None, answer.info if isinstance(answer, Result) else str(answer)
        words = answer.details
        spam = words.get("spam") or _OTHERS.get(answer.verdict, "unknown")
        virus = words.get("virus") or ("virus" if answer.verdict is Verdict.INFECTED else "nonvirus")
        kind, threat = _CLASSES.get(spam, _CLASSES["unknown"]), _THREATS.get(virus, _THREATS["unknown"])
        ident = words.get("refid") or line_of(answer, score_of(answer, minimum))
        note(
            message,
            context,
            {"commtouch-class": kind[1], "commtouch-virus-threat": threat[1], "commtouch-ref-id": ident},
        )
        return {"class": kind[0], "virus-threat": threat[0], "ref-id": ident}

    return ask(scanner, sample_of(message, here), told)
