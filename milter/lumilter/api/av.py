"""msys.av: virus scanners.

The law: a message is clean only if every engine that was asked said so.

Source: manual, pages of msys.av.engines, scan and scan_part, modules antivirus and clamav. It leaves the constants'
numbers and the variables' values open; "virus" and "error" are those of its sample policies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lumilter.adapters.scanners.contract import Sample, ScanError, Verdict
from lumilter.adapters.scanners.scanner import Scanner
from lumilter.api.scanning import (
    SCAN_PHASES,
    Answer,
    ask_all,
    context_of,
    is_noted,
    message_of,
    note,
    part_sample,
    sample_of,
)
from lumilter.calls import Elsewhere, Here
from lumilter.registry import api, constants
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage
from lumilter.session.mime import Part

PACKAGE = "msys.av"
LONGEST_NAME = 40

CLEAN, INFECTED, UNSCANNABLE, ERROR, NO_ENGINE, NAME_TOO_LONG, CONTAINER, NOT_SUITABLE = range(8)

constants(
    PACKAGE,
    {
        "EC_AV_CLEAN": CLEAN,
        "EC_AV_INFECTED": INFECTED,
        "EC_AV_UNSCANNABLE": UNSCANNABLE,
        "EC_AV_ERROR": ERROR,
        "EC_AV_NO_ENGINE": NO_ENGINE,
        "EC_AV_NAME_TOO_LONG": NAME_TOO_LONG,
        "EC_AV_PART_IS_CONTAINER": CONTAINER,
        "EC_AV_NOT_SUITABLE_FOR_STREAMING": NOT_SUITABLE,
    },
)

Scan = tuple[int, str, str | None, str | None]
"""Status, informational string, the engine that found something, its scan code."""


@api("msys.av.engines", package=PACKAGE, phases=SCAN_PHASES, also="init, load")
def engines(*, here: Here) -> list[str]:
    """The names of the scanners that msys.av asks, in that order."""
    return [scanner.name for scanner in here.services.scanners.engines]


@api("msys.av.scan", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def scan(
    av_engine_name: str | None = None, msg: MailMessage | None = None, validate_context: ValidateContext | None = None,
    *, here: Here,
) -> Elsewhere | Scan:  # fmt: skip
    """Let one engine, or all up to the first that finds something, scan a message as it stands.

    Returns status (msys.av.EC_AV_*), an informational string such as the virus's name, the engine that found something
    or nil, and its scan code or nil. Unless the message is clean, context variables say so ([antivirus]).
    """
    message = message_of(msg, here)
    vctx = context_of(validate_context, here)
    return _scan(av_engine_name, message, lambda: _ready(sample_of(message, here)), True, vctx, here)


@api("msys.av.scan_part", package=PACKAGE, phases=SCAN_PHASES, blocking=True)
def scan_part(
    msg_part: Part | MailMessage, av_engine_name: str | None = None, validate_context: ValidateContext | None = None,
    *, here: Here,
) -> Elsewhere | Scan:  # fmt: skip
    """As msys.av.scan, for what is in one part, without its transfer encoding.

    A message stands for its top part. A container gives EC_AV_PART_IS_CONTAINER: scan what is in it; an engine that
    only takes whole messages EC_AV_NOT_SUITABLE_FOR_STREAMING.
    """
    part = msg_part.content.mime(writable=False) if isinstance(msg_part, MailMessage) else msg_part
    message = msg_part if isinstance(msg_part, MailMessage) else here.session and here.session.message
    if part.children is not None:
        return CONTAINER, "the part is a container: scan the parts in it", None, None
    vctx = context_of(validate_context, here)
    return _scan(av_engine_name, message, lambda: part_sample(part), False, vctx, here)


def _ready(sample: Sample) -> Callable[[], Sample]:
    return lambda: sample


def _scan(
    name: str | None,
    message: MailMessage | None,
    prepare: Callable[[], Callable[[], Sample]],
    whole: bool,
    vctx: ValidateContext | None,
    here: Here,
) -> Elsewhere | Scan:
    """prepare: called here; what it returns makes the sample on the scanner's thread."""
    scanners = here.services.scanners
    settings = scanners.antivirus
    if name is not None and len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        return NAME_TOO_LONG, f"the name of an engine has at most {LONGEST_NAME} characters", None, None
    chosen: Sequence[Scanner] = [each for each in scanners.engines if name in (None, each.name)]
    if not chosen:
        return NO_ENGINE, _no_engine(name, [each.name for each in scanners.engines]), None, None
    unsuitable = [each.name for each in chosen if each.engine.messages_only]
    if unsuitable and not whole:
        return NOT_SUITABLE, f"{', '.join(unsuitable)} scans whole messages only", None, None
    if is_noted(message, vctx, settings.skip_context_variable):
        return CLEAN, f"not scanned: {settings.skip_context_variable} is set", None, None

    def told(answers: list[Answer]) -> Scan:
        answer = _gravest(answers)
        found = _scan_of(answer)
        if found[0] != CLEAN:
            _write_down(found, answer.scanner, message, vctx, here)
        return found

    return ask_all(chosen, prepare(), told)


def _no_engine(name: str | None, known: Sequence[str]) -> str:
    if name is not None and known:
        return f"there is no engine {name!r}: [antivirus] engines has {', '.join(known)}"
    return "no engine is configured: a [[scanner]] that finds viruses is needed in the configuration"


def _gravest(answers: Sequence[Answer]) -> Answer:
    """A virus before a failure before what could not be looked into; the last one where all is well."""

    def gravity(answer: Answer) -> int:
        if isinstance(answer, ScanError):
            return 2
        return {Verdict.INFECTED: 3, Verdict.UNSCANNABLE: 1}.get(answer.verdict, 0)

    return max(reversed(answers), key=gravity)


def _scan_of(answer: Answer) -> Scan:
    if isinstance(answer, ScanError):
        return ERROR, str(answer), None, None
    status = {Verdict.INFECTED: INFECTED, Verdict.UNSCANNABLE: UNSCANNABLE}.get(answer.verdict, CLEAN)
    return status, answer.info if status != CLEAN else "", answer.scanner if status == INFECTED else None, answer.code


def _write_down(
    found: Scan, engine: str, message: MailMessage | None, vctx: ValidateContext | None, here: Here
) -> None:
    """What the configuration says is to come of a message that is not clean."""
    settings = here.services.scanners.antivirus
    status, info, *_ = found
    variable = settings.context_variable or f"{engine}_status"
    value = {INFECTED: "virus", UNSCANNABLE: "unscannable"}.get(status, "error")
    note(message, vctx, {variable: value, f"{variable}_info": info})
    if settings.action == "reject" and vctx is not None:
        if status == ERROR:
            vctx.code, vctx.note = settings.error_code, "the message could not be scanned for viruses"
        else:
            vctx.code, vctx.note = 550, f"{'virus' if status == INFECTED else 'unscannable content'} found: {info}"
