"""What a session asks about who mail is from.

The law: called on the Lua thread, answered there; the work is done on a pool thread. A check that fails in a way that
nobody foresaw is logged and finds nothing out: mail goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

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
    begun = time.monotonic()

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

    def done(future: Future[Checked]) -> None:
        error = future.exception()
        host.tasks.on_wait("check", time.monotonic() - begun, "ok" if error is None else "failed")
        if error is not None:
            log.error("internal error while a sender was checked", exc_info=error)
        answer(future.result() if error is None else Checked(found=request.found))

    try:
        future = host.loop.pool.submit(work)
    except RuntimeError as error:  # the system has no thread left
        log.error("a sender could not be checked: %s", error)
        answer(Checked(found=request.found))
        return
    future.add_done_callback(lambda f: host.loop.post(lambda: done(f)))
