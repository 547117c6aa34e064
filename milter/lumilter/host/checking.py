"""What a session asks about who mail is from.

The law: called on the Lua thread, answered there; the work is done on a pool thread. A check that fails in a way that
nobody foresaw is logged and finds nothing out: mail goes on.
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

    def work() -> Checked:
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
        answer(Checked(found=request.found))

    host.works.begin("check", work, done)
