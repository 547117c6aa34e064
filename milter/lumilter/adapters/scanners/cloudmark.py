"""Cloudmark's HTTP server: the message and its envelope as a multipart form, JSON as the answer.

The law: the fields that public sources name are `score`, `analysis` and `appendHeaders`; others of the names that
Momentum gives them are taken where the server sends them.

Source: rspamd's scanner for it (POST /score/v2/message). Neither the server nor its manual is public.
"""

from __future__ import annotations

import json
import math
import secrets

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.http import header_value, post

KIND = "cloudmark"

SPAM = 90
"""The score from which it is spam where nobody configured one; rspamd's."""

_DETAILS = {
    "category": ("category",),
    "category-desc": ("categoryDescription", "category-desc", "categoryDesc"),
    "sub-category": ("subCategory", "sub-category", "subcategory"),
    "sub-category-desc": ("subCategoryDescription", "sub-category-desc", "subCategoryDesc"),
    "rescan": ("rescan",),
    "analysis": ("analysis",),
}


class Cloudmark:
    """The engine."""

    kind = KIND
    messages_only = True
    wants_envelope = True

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        envelope = sample.envelope
        boundary = secrets.token_hex(24).encode()
        fields = {
            "heloDomain": envelope.helo,
            "mailFrom": envelope.sender,
            "rcptTo": ",".join(envelope.recipients),
            "connIp": envelope.client_ip,
            "fromHost": envelope.client_name,
        }
        before = b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (boundary, name.encode(), header_value(value))
            for name, value in fields.items()
            if value
        )
        before += b'--%b\r\nContent-Disposition: form-data; name="rfc822"\r\n' % boundary
        before += b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        body = post(
            server,
            "/score/v2/message",
            [("Content-Type", f'multipart/form-data; boundary="{boundary.decode()}"')],
            sample,
            deadline,
            before,
            b"\r\n--%b--\r\n" % boundary,
        )
        return result_of(body)


def result_of(body: bytes) -> Result:
    """An answer. Raises ScanError."""
    try:
        reply = json.loads(body)
        score = float(reply["score"])
        if not math.isfinite(score):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise ScanError("nonsense", f"not an answer of Cloudmark's server: {printable(body)}") from None
    score = min(100.0, max(0.0, score))
    details = {
        ours: printable(str(reply[name]).encode("utf-8", "replace"), 4000)
        for ours, names in _DETAILS.items()
        for name in names
        if isinstance(reply.get(name), str | int | float)
    }
    return Result(
        Verdict.SPAM if score >= SPAM else Verdict.CLEAN,
        info=details.get("category-desc", ""),
        code=f"{score:.14g}",
        score=score,
        required=float(SPAM),
        details=details,
    )
