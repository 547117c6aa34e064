"""rspamd's HTTP interface: /checkv2.

The law: what rspamd does not say is not made up; its action is the verdict.

Source: rspamd's documentation, "Rspamd protocol".
"""

from __future__ import annotations

import json
import math

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.http import post

KIND = "rspamd"

_VERDICTS = {
    "no action": Verdict.CLEAN,
    "greylist": Verdict.SUSPECT,
    "soft reject": Verdict.SUSPECT,
    "add header": Verdict.SPAM,
    "rewrite subject": Verdict.SPAM,
    "quarantine": Verdict.SPAM,
    "discard": Verdict.SPAM,
    "reject": Verdict.SPAM,
}
_SPAM = ("add header", "rewrite subject", "quarantine", "discard", "reject")
"""Actions by which spam is told, as `thresholds` names them."""


class Rspamd:
    """The engine."""

    kind = KIND
    messages_only = True
    wants_envelope = True

    def __init__(self, password: str = "") -> None:
        self._password = password

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        envelope = sample.envelope
        fields = [
            ("From", envelope.sender),
            *(("Rcpt", recipient) for recipient in envelope.recipients),
            ("IP", envelope.client_ip),
            ("Helo", envelope.helo),
            ("Hostname", envelope.client_name),
            ("User", envelope.user),
            ("Queue-Id", envelope.ident),
            ("MTA-Name", envelope.receiver),
            ("Password", self._password),
        ]
        return result_of(post(server, "/checkv2", [field for field in fields if field[1]], sample, deadline))


def result_of(body: bytes) -> Result:
    """A reply. Raises ScanError."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        raise ScanError("nonsense", f"not a reply of rspamd: {printable(body)}") from None
    if not isinstance(reply, dict):
        raise ScanError("nonsense", f"not a reply of rspamd: {printable(body)}")
    if "error" in reply:
        raise ScanError("refused", _text(reply["error"]))
    action, score, required = _text(reply.get("action")), _number(reply.get("score")), _number(_spam_score(reply))
    verdict = _VERDICTS.get(action)
    if score is None or verdict is None:
        raise ScanError("nonsense", f"a reply of rspamd without a score or a known action: {printable(body)}")
    symbols = reply.get("symbols")
    return Result(
        verdict,
        info=action,
        code=action,
        score=score,
        required=required,
        rules=tuple(map(_text, symbols)) if isinstance(symbols, dict) else (),
        details={name: _text(reply[name]) for name in ("message-id", "subject") if name in reply},
    )


def _spam_score(reply: dict[str, object]) -> object:
    """The lowest score that is spam; rspamd's required_score is that of its gravest action."""
    thresholds = reply.get("thresholds")
    if isinstance(thresholds, dict):
        known = [number for name in _SPAM if (number := _number(thresholds.get(name))) is not None]
        if known:
            return min(known)
    return reply.get("required_score")


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
    return float(value) if good and math.isfinite(value) else None  # type: ignore[arg-type]


def _text(value: object) -> str:
    return printable(str(value).encode("utf-8", "replace"), 1000) if value is not None else ""
