"""What a script wanted done with a message before it was there.

The law: called on the Lua thread, answered there; the work is done on a pool thread. An errand that fails is logged:
mail goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lumilter.errors import LumilterError
from lumilter.session.steps import Errand

if TYPE_CHECKING:
    from lumilter.host.host import Host

log = logging.getLogger("lumilter.mail")


def perform(host: Host, request: Errand, answer: Callable[[None], None]) -> None:
    """Answer a session's request."""
    begun = time.monotonic()

    def done(future: Future[None]) -> None:
        error = future.exception()
        host.tasks.on_wait("errand", time.monotonic() - begun, "ok" if error is None else "failed")
        if isinstance(error, LumilterError):
            log.error("what a script wanted done with a message was not done: %s", error)
        elif error is not None:
            log.error("internal error while something was done with a message", exc_info=error)
        answer(None)

    try:
        future = host.loop.pool.submit(request.begin())
    except RuntimeError as error:  # the system has no thread left
        log.error("what a script wanted done with a message was not done: %s", error)
        answer(None)
        return
    future.add_done_callback(lambda f: host.loop.post(lambda: done(f)))
