"""How scanners are asked by a script's call: the message as a sample, the wait, and where results are written down.

The law: the message is handed on as it stands, without a copy of its body. A scan runs on threads of its scanner's own;
contexts are only written on the Lua thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lumilter.adapters.scanners.contract import Envelope, Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.scanner import Scanner
from lumilter.calls import Elsewhere, Here
from lumilter.errors import LumilterError
from lumilter.session.context import ValidateContext
from lumilter.session.mail import MailMessage
from lumilter.session.mime import Part
from lumilter.session.transfer import content_of

SCAN_PHASES = "data, data_spool, data_spool_each_rcpt"

Answer = Result | ScanError


def message_of(msg: MailMessage | None, here: Here) -> MailMessage:
    """The message that a script gave or, where it gave none, the one at hand."""
    found = msg or (here.session.message if here.session is not None else None)
    if not isinstance(found, MailMessage):
        raise LumilterError("there is no message to scan")
    return found


def context_of(vctx: ValidateContext | None, here: Here) -> ValidateContext | None:
    """The validation context that a script gave, or the one at hand."""
    if vctx is not None or here.session is None:
        return vctx
    found: ValidateContext = here.session.vctx
    return found


def sample_of(message: MailMessage, here: Here) -> Sample:
    """A message with what is known about its way here."""
    envelope = Envelope(sender=message.content.mailfrom, receiver=here.services.hostname)
    if (session := here.session) is not None:
        one = message.own and message.content.rcptto
        name = session.client_name
        envelope = Envelope(
            sender=message.content.mailfrom,
            recipients=(message.content.rcptto,) if one else tuple(session.recipients.addresses()),
            helo=session.helo,
            client_ip=session.ac.remote.address,
            client_name=name if name and not name.startswith("[") else "",
            user=session.vctx.conn.get("auth_user", ""),
            ident=session.queue_id or message.id,
            receiver=here.services.hostname,
        )
    return Sample(tuple(map(_lasting, message.content.pieces())), envelope)


def part_sample(part: Part) -> Callable[[], Sample]:
    """What is in a part, without its transfer encoding; to be called on any thread, as decoding takes time."""
    body, encoding = _lasting(part.body), part.encoding
    return lambda: Sample((content_of(body, encoding),), whole=False)


def _lasting(piece: bytes | memoryview) -> bytes | memoryview:
    """A view of a file that is still good when the message is over before its scan is."""
    return memoryview(piece) if isinstance(piece, memoryview) else piece


def ask(scanner: Scanner, sample: Sample, told: Callable[[Answer], Any]) -> Elsewhere:
    """A scan; told: makes what the script gets of the answer, on the Lua thread."""

    def start(deadline: float) -> Future[Result]:
        return scanner.pool.submit(scanner.scan, sample, deadline)

    return Elsewhere(start, "scan", told, lambda error: told(_kept(error)))


def ask_all(
    scanners: Sequence[Scanner], sample: Callable[[], Sample], told: Callable[[list[Answer]], Any]
) -> Elsewhere:
    """Scans one after the other, up to the first that finds a virus. sample: makes it, on a thread of the first's."""

    def run(deadline: float) -> list[Answer]:
        made = sample()
        answers: list[Answer] = []
        for left, scanner in zip(range(len(scanners), 0, -1), scanners, strict=True):
            now = time.monotonic()
            try:
                answers.append(scanner.scan(made, now + (deadline - now) / left))
            except ScanError as error:
                answers.append(error)
            last = answers[-1]
            if isinstance(last, Result) and last.verdict is Verdict.INFECTED:
                break
        return answers

    return Elsewhere(
        lambda deadline: scanners[0].pool.submit(run, deadline), "scan", told, lambda error: told([_kept(error)])
    )


def _kept(error: LumilterError) -> ScanError:
    return error if isinstance(error, ScanError) else ScanError("refused", str(error))


def missing(function: str, key: str) -> str:
    """What a function says that has no scanner."""
    return f"{function} has no engine: [engines] {key} names none in the configuration"


def note(message: MailMessage | None, vctx: ValidateContext | None, variables: Mapping[str, str | None]) -> None:
    """Write variables into the message's context, which nearly always is the validation context's too.

    None removes one, so that nothing of an earlier scan is taken for this one's.
    """
    for context in _contexts(message, vctx):
        for name, value in variables.items():
            if value is None:
                context.pop(name, None)
            else:
                context[name] = value


def _contexts(message: MailMessage | None, vctx: ValidateContext | None) -> Iterable[dict[str, str]]:
    if vctx is not None:
        yield vctx.mess
    if message is not None and (vctx is None or message.mess is not vctx.mess):
        yield message.mess


def is_noted(message: MailMessage | None, vctx: ValidateContext | None, name: str) -> bool:
    """Whether a variable is set, for the message or its connection."""
    found = [*_contexts(message, vctx)] + ([vctx.conn] if vctx is not None else [])
    return bool(name) and any(context.get(name) for context in found)
