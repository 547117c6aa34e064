"""Cyren's (Commtouch's) daemon ctasd: an HTTP request whose body is fields, an empty line and the message.

The law: its words (X-CTCH-Spam, X-CTCH-VOD) are kept in `details`; what they mean to Momentum is not decided here.

Source: public clients of it (Halon's, MailScanner's): POST /ctasd/ClassifyMessage_Inline, protocol version 0000001.
Neither the server nor its manual is public.
"""

from __future__ import annotations

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.http import header_value, named_lines, post

KIND = "ctasd"

_SPAM = {
    "unknown": Verdict.CLEAN,
    "nonspam": Verdict.CLEAN,
    "suspect": Verdict.SUSPECT,
    "suspected": Verdict.SUSPECT,
    "bulk": Verdict.BULK,
    "confirmed": Verdict.SPAM,
}
_VIRUS = ("virus", "high")
"""X-CTCH-VOD: Unknown, NonVirus, Medium, High, Virus."""


class Ctasd:
    """The engine."""

    kind = KIND
    messages_only = True
    wants_envelope = True

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        envelope = sample.envelope
        fields = (
            ("X-CTCH-PVer", "0000001"),
            ("X-CTCH-MailFrom", envelope.sender),
            ("X-CTCH-SenderIP", envelope.client_ip),
        )
        before = b"".join(f"{name}: ".encode() + header_value(value) + b"\r\n" for name, value in fields if value)
        body = post(
            server,
            "/ctasd/ClassifyMessage_Inline",
            [("Content-Type", "application/octet-stream")],
            sample,
            deadline,
            before + b"\r\n",
        )
        return result_of(body)


def result_of(body: bytes) -> Result:
    """An answer. Raises ScanError."""
    found = named_lines(body)
    if error := found.get("x-ctch-error"):
        raise ScanError("refused", error)
    spam, virus = found.get("x-ctch-spam", "").lower(), found.get("x-ctch-vod", "").lower()
    if not spam and not virus:
        raise ScanError("nonsense", f"not an answer of ctasd: {printable(body)}")
    infected = virus in _VIRUS
    return Result(
        Verdict.INFECTED if infected else _SPAM.get(spam, Verdict.CLEAN),
        info=f"virus threat {virus}" if infected else f"spam {spam}" if spam else "",
        code=found.get("x-ctch-vod" if infected else "x-ctch-spam"),
        rules=tuple(rule.strip() for rule in found.get("x-ctch-rules", "").split(",") if rule.strip()),
        details={"spam": spam, "virus": virus, "refid": found.get("x-ctch-refid", "")},
    )
