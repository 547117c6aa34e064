"""msys.expurgate: eleven's eXpurgate, served by whichever scanner is configured for it.

The law: declarations only. Types that no scanner tells of are constants, and never returned.

Source: manual, msys.expurgate.scan and module eleven. The page lists texts before numbers, and its example takes
numbers before texts; what a policy was made from is the example. The numbers of the constants are ours.
"""

from __future__ import annotations

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, context_of, message_of, missing, note, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api, constants
from lumilter.session.context import ValidateContext
from lumilter.session.mail import AcceptConstruct, MailMessage

PACKAGE = "msys.expurgate"

_MAJOR = ("unknown", "clean", "suspect", "spam", "bulk", "dangerous")
_MINOR = (
    "NORMAL", "CLEAN_EMPTY", "CLEAN_ALMOST_EMPTY", "CLEAN_EMPTY_BODY", "CLEAN_BOUNCE", "BULK_ADV", "BULK_PORN",
    "DANGEROUS_VIRUS", "DANGEROUS_ATTACHMENT", "DANGEROUS_CODE", "DANGEROUS_IFRAME", "DANGEROUS_OUTBREAK",
    "SUSPECT_URL", "SUSPECT_URL_COUNT", "SUSPECT_MAIL_COUNT", "SUSPECT_SENDER",
    *(f"SUSPECT_USER{number}" for number in range(1, 10)),
)  # fmt: skip

constants(PACKAGE, {f"TYPE_{name.upper()}": number for number, name in enumerate(_MAJOR)})
constants(PACKAGE, {f"SUBTYPE_{name}": number for number, name in enumerate(_MINOR)})

_TYPES = {
    Verdict.CLEAN: ("clean", "normal", "NORMAL"),
    Verdict.SUSPECT: ("suspect", "normal", "NORMAL"),
    Verdict.SPAM: ("spam", "normal", "NORMAL"),
    Verdict.BULK: ("bulk", "normal", "NORMAL"),
    Verdict.INFECTED: ("dangerous", "virus", "DANGEROUS_VIRUS"),
}

Found = tuple[int, int, str, str] | tuple[None, str]


@api("msys.expurgate.scan", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def scan(
    msg: MailMessage | None = None, accept: AcceptConstruct | None = None, vctx: ValidateContext | None = None,
    *, here: Here,
) -> Elsewhere | Found:  # fmt: skip
    """Ask the scanner of [engines] expurgate: major and minor type as numbers, then both as texts.

    The context variables eleven-majorscore, eleven-minorscore, eleven-result and eleven-result-subtype say the same. No
    answer: nil and why; the variables are "error" and why.
    """
    message, context = message_of(msg, here), context_of(vctx, here)
    scanner = here.services.scanners.serving("expurgate")
    if scanner is None:
        return _failed(message, context, missing("msys.expurgate.scan", "expurgate"))

    def told(answer: Answer) -> Found:
        if not isinstance(answer, Result) or answer.verdict is Verdict.UNSCANNABLE:
            return _failed(message, context, answer.info if isinstance(answer, Result) else str(answer))
        result, subtype, constant = _TYPES[answer.verdict]
        major, minor = _MAJOR.index(result), _MINOR.index(constant)
        _write_down(message, context, str(major), str(minor), result, subtype)
        return major, minor, result, subtype

    return ask(scanner, sample_of(message, here), told)


def _failed(message: MailMessage, context: ValidateContext | None, why: str) -> tuple[None, str]:
    _write_down(message, context, "error", why, "error", why)
    return None, why


def _write_down(message: MailMessage, context: ValidateContext | None, *values: str) -> None:
    names = ("eleven-majorscore", "eleven-minorscore", "eleven-result", "eleven-result-subtype")
    note(message, context, dict(zip(names, values, strict=True)))
