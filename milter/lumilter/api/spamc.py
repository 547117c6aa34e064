"""msys.spamc: Momentum 5's SpamAssassin client, served by whichever scanner is configured for it.

The law: declarations only.

Source: manual, module spamassassin.
"""

from __future__ import annotations

import logging

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.api.opinions import MIDDLE, is_spam, score_of
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, missing, note, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api
from lumilter.session.mail import MailMessage

PACKAGE = "msys.spamc"

log = logging.getLogger("lumilter.scan")


@api("msys.spamc.spamc_scan", package=PACKAGE, phases=SCAN_PHASES, blocking=True, extension=True, since="5.0")
def spamc_scan(msg: MailMessage, *, here: Here) -> Elsewhere | None:
    """Ask the scanner of [engines] spamc. What it says is in the message's context variables.

    spamc_status: "ok", or "failed", and then none of the others is there. spamc_spam: "true" or "false". spamc_score,
    spamc_thresh: with two decimals. spamc_symbols: names with "," between them.
    """
    scanner = here.services.scanners.serving("spamc")
    if scanner is None:
        _failed(msg, missing("msys.spamc.spamc_scan", "spamc"))
        return None

    def told(answer: Answer) -> None:
        if not isinstance(answer, Result) or answer.verdict is Verdict.UNSCANNABLE:
            _failed(msg, answer.info if isinstance(answer, Result) else str(answer))
            return
        known = answer.score is not None and answer.required is not None
        score = answer.score if known else score_of(answer, 0)
        note(
            msg,
            None,
            {
                "spamc_status": "ok",
                "spamc_spam": str(is_spam(answer)).lower(),
                "spamc_score": f"{score:.2f}",
                "spamc_thresh": f"{answer.required if known else MIDDLE:.2f}",
                "spamc_symbols": ",".join(answer.rules),
            },
        )

    return ask(scanner, sample_of(msg, here), told)


def _failed(msg: MailMessage, why: str) -> None:
    log.warning("msys.spamc.spamc_scan: %s", why)
    note(msg, None, {f"spamc_{name}": None for name in ("spam", "score", "thresh", "symbols")})
    note(msg, None, {"spamc_status": "failed"})
