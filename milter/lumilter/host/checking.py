"""What a session asks about who mail is from.

The law: called on the Lua thread, answered there; the work is done on a pool thread. A check that fails in a way that
nobody foresaw is logged and finds nothing out: mail goes on, without what it claims of us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from lumilter.errors import LumilterError
from lumilter.session.checking import Check, Checked
from lumilter.session.headers import Header

if TYPE_CHECKING:
    from lumilter.host.host import Host

log = logging.getLogger("lumilter.signatures")


def perform(host: Host, request: Check, answer: Callable[[Checked], None]) -> None:
    """Answer a session's request."""
    services = host.bridge.here.services
    content = request.content
    raw = None
    if content is not None:
        raw = [(header.name, header.value) for header in content.headers], content.body

    removed: frozenset[int] | None = None

    def claims() -> frozenset[int]:
        try:
            return frozenset() if raw is None else frozenset(services.signatures.claims(raw[0]))
        except Exception:
            log.exception("internal error while fields of a message were looked at")
            return frozenset()

    def work() -> Checked:
        nonlocal removed
        try:
            found = services.signatures.check(
                request.client,
                request.helo,
                request.sender,
                raw,
                request.found,
                request.authors,
                request.responsible,
                request.purported,
                services.resolver,
            )
        except Exception:
            removed = claims()  # here: it may take a while
            raise
        fields = tuple(Header(name, value) for name, value in found.fields)
        return Checked(found.variables, found.found, frozenset(found.removed), fields)

    def done(result: Checked | BaseException) -> None:
        if isinstance(result, Checked):
            answer(result)
            return
        if isinstance(result, LumilterError):
            log.error("a sender could not be checked: %s", result)
        else:
            log.error("internal error while a sender was checked", exc_info=result)
        answer(Checked(found=request.found, removed=claims() if removed is None else removed))

    host.works.begin("check", work, done)
