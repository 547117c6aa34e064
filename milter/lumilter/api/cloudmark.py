"""msys.cloudmark: Cloudmark Authority's functions, served by whichever scanner is configured for them.

The law: declarations only. ActiveFilter, which acts on mail whose score changes later, is told by messages whose form
is not public: its functions are errors unless the configuration says to go on without it. Then its settings are
checked, mail is scored, and nobody is told.

Source: manual, pages of msys.cloudmark.* and module cloudmark. Where the pages name a context variable in two ways
(cmae-isspam and cmae-is_spam, cmae-subcategory and cmae-sub-category), both are set.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from lumilter.adapters.scanners.contract import Result, Verdict
from lumilter.adapters.scanners.service import ActiveFilter
from lumilter.api.opinions import is_spam, line_of, read, score_of
from lumilter.api.scanning import SCAN_PHASES, Answer, ask, context_of, message_of, missing, note, sample_of
from lumilter.calls import Elsewhere, Here
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.context import ValidateContext
from lumilter.session.mail import AcceptConstruct, MailMessage

PACKAGE = "msys.cloudmark"
_PARTIAL = (
    'An error, unless [engines] active_filter = "none": then it is checked and no more, as the form of messages to '
    "ActiveFilter is not public."
)
_WANTED = (
    "there is no ActiveFilter: the form of messages to it is not public. Take this call out, or set [engines] "
    'active_filter = "none" to go on without it; msys.cloudmark.score gives the score'
)
_VARIABLES = {
    "score": ("cmae-score",),
    "is_spam": ("cmae-isspam", "cmae-is_spam"),
    "category": ("cmae-category",),
    "category-desc": ("cmae-category-desc",),
    "sub-category": ("cmae-subcategory", "cmae-sub-category"),
    "sub-category-desc": ("cmae-subcategory-desc", "cmae-sub-category-desc"),
    "rescan": ("cmae-rescan",),
    "analysis": ("cmae-analysis",),
}
"""Keys of the table to context variables."""

log = logging.getLogger("lumilter.scan")

Table = dict[str, Any]
Found = Table | tuple[None, str]


@api("msys.cloudmark.score", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def score(
    msg: MailMessage | None = None, accept: AcceptConstruct | None = None, vctx: ValidateContext | None = None,
    *, here: Here,
) -> Elsewhere | Found:  # fmt: skip
    """Ask the scanner of [engines] cloudmark. A table, and the context variables cmae-score and so on.

    score: 0 to 100. is_spam: true where minimum_score is configured and passed. category, category-desc, sub-category,
    sub-category-desc: the engine's words. rescan: "yes" or "no" (in the context 1 or 0). analysis: for a header. No
    answer: nil and why.
    """
    return _scored("msys.cloudmark.score", msg, vctx, here)


@api("msys.cloudmark.analyze", package=PACKAGE, phases=SCAN_PHASES)
def analyze(hdr: str, msg: MailMessage | None = None, vctx: ValidateContext | None = None, *, here: Here) -> Found:
    """The same table for an `analysis` that msys.cloudmark.score gave, and the context variables but cmae-analysis.

    An analysis of Cloudmark's own server can only be read again by the process that it was given to: what it means is
    Cloudmark's secret. Any other text: nil and why.
    """
    message, context = message_of(msg, here), context_of(vctx, here)
    scanners = here.services.scanners
    own = read(hdr)
    if own is not None:
        rules = tuple(own["rules"].split(",")) if own["rules"] else ()
        result = Result(Verdict(own["verdict"]), rules=rules, scanner=own["engine"])
        found = _table(result, int(own["score"]), scanners.minimum_score, hdr.strip())
    else:
        kept = scanners.analyses.get(hdr.strip().encode("utf-8", "surrogateescape"))
        if kept is None:
            return None, "this is no analysis that msys.cloudmark.score gave to this process"
        found = _table_of(kept, scanners.minimum_score)
    _write_down({name: value for name, value in found.items() if name != "analysis"}, message, context)
    return found


def _scored(function: str, msg: MailMessage | None, vctx: ValidateContext | None, here: Here) -> Elsewhere | Found:
    message, context = message_of(msg, here), context_of(vctx, here)
    scanners = here.services.scanners
    scanner = scanners.serving("cloudmark")
    if scanner is None:
        return None, missing(function, "cloudmark")

    def told(answer: Answer) -> Found:
        if not isinstance(answer, Result) or answer.verdict is Verdict.UNSCANNABLE:
            _write_down({}, message, context)
            return None, answer.info if isinstance(answer, Result) else str(answer)
        found = _table_of(answer, scanners.minimum_score)
        if analysis := answer.details.get("analysis"):
            scanners.analyses.put(analysis.encode("utf-8", "surrogateescape"), answer)
        _write_down(found, message, context)
        return found

    return ask(scanner, sample_of(message, here), told)


def _table_of(result: Result, minimum: int) -> Table:
    if "analysis" in result.details:  # Cloudmark's own
        scored = round(result.score or 0)
        return _table(result, scored, minimum, result.details["analysis"])
    scored = score_of(result, minimum)
    return _table(result, scored, minimum, line_of(result, scored))


def _table(result: Result, scored: int, minimum: int, analysis: str) -> Table:
    words = result.details
    cloudmark = "analysis" in words
    found: Table = {
        "score": scored,
        "category": words.get("category", "" if cloudmark else str(result.verdict)),
        "category-desc": words.get("category-desc", result.info),
        "sub-category": words.get("sub-category", "" if cloudmark else next(iter(result.rules), "")),
        "sub-category-desc": words.get("sub-category-desc", ""),
        "rescan": "yes" if words.get("rescan", "").lower() in ("1", "yes", "true") else "no",
        "analysis": analysis,
    }
    if minimum and (scored > minimum if cloudmark else is_spam(result)):
        found["is_spam"] = True
    return found


def _write_down(found: Table, message: MailMessage, context: ValidateContext | None) -> None:
    variables: dict[str, str | None] = {}
    for key, names in _VARIABLES.items():
        value = found.get(key)
        if key == "rescan" and value is not None:
            value = int(value == "yes")
        for name in names:
            variables[name] = None if value is None else str(value).lower() if value is True else str(value)
    note(message, context, variables)


# --- ActiveFilter -----------------------------------------------------------------------------------------------------


@api("msys.cloudmark.score_af", package=PACKAGE, phases=SCAN_PHASES, blocking=True, extension=True, partial=_PARTIAL)
def score_af(
    msg: MailMessage, accept: AcceptConstruct, vctx: ValidateContext, af_threshold: str, *, here: Here
) -> Elsewhere | Found:
    """As msys.cloudmark.score. af_threshold: the score beyond which ActiveFilter would have acted later, 0 to 100."""
    filter_ = _filter(here)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", af_threshold) or float(af_threshold) > 100:
        raise LumilterError(f"{af_threshold!r} is no score from 0 to 100")
    if not filter_.mode or not filter_.address:
        raise LumilterError("ActiveFilter has no mode or no address: call set_af_mode_* and set_af_msi_address first")
    if not filter_.told:
        filter_.told = True
        log.warning("msys.cloudmark.score_af: messages are scored; none is sent to ActiveFilter at %s", filter_.address)
    return _scored("msys.cloudmark.score_af", msg, vctx, here)


@api("msys.cloudmark.set_af_mode_discard", package=PACKAGE, extension=True, partial=_PARTIAL)
def set_af_mode_discard(*, here: Here) -> None:
    """ActiveFilter's mode DISCARD."""
    _filter(here).mode = "DISCARD"


@api("msys.cloudmark.set_af_mode_keep", package=PACKAGE, extension=True, partial=_PARTIAL)
def set_af_mode_keep(*, here: Here) -> None:
    """ActiveFilter's mode KEEP."""
    _filter(here).mode = "KEEP"


@api("msys.cloudmark.set_af_mode_movemsg", package=PACKAGE, extension=True, partial=_PARTIAL)
def set_af_mode_movemsg(inbox: str, spam: str, unread_only: str, *, here: Here) -> None:
    """ActiveFilter's mode MOVEMSG. inbox, spam: folders; unread_only: "yes" or "no"."""
    if unread_only not in ("yes", "no"):
        raise LumilterError(f'{unread_only!r} is neither "yes" nor "no"')
    if not inbox or not spam:
        raise LumilterError("a folder has no name")
    _filter(here).mode = "MOVEMSG"


@api("msys.cloudmark.set_af_msi_address", package=PACKAGE, extension=True, partial=_PARTIAL)
def set_af_msi_address(addr: str, *, here: Here) -> None:
    """Where messages to ActiveFilter would have gone."""
    if "@" not in addr:
        raise LumilterError(f"{addr!r} is not an address")
    _filter(here).address = addr


@api("msys.cloudmark.add_af_data", package=PACKAGE, extension=True, partial=_PARTIAL)
def add_af_data(addr: str, data: dict[str, Any], *, here: Here) -> None:
    """Data for ActiveFilter about a recipient: a table of strings and numbers."""
    _filter(here)
    if "@" not in addr:
        raise LumilterError(f"{addr!r} is not an address")
    for key, value in data.items():
        if not isinstance(value, str | int | float | bool):
            raise LumilterError(f"the value of {key} is neither a string nor a number")


def _filter(here: Here) -> ActiveFilter:
    found: ActiveFilter = here.services.scanners.active_filter
    if found.wanted:
        raise LumilterError(_WANTED)
    return found
