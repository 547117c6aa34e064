"""What a script wanted done with a message before it was there.

The law: called on the Lua thread, answered there; the work is done on a pool thread. An errand that fails is logged:
mail goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from lumilter.errors import LumilterError
from lumilter.session.steps import Errand

if TYPE_CHECKING:
    from lumilter.host.host import Host

log = logging.getLogger("lumilter.mail")


def perform(host: Host, request: Errand, answer: Callable[[None], None]) -> None:
    """Answer a session's request."""

    def done(result: BaseException | None) -> None:
        if isinstance(result, LumilterError):
            log.error("what a script wanted done with a message was not done: %s", result)
        elif result is not None:
            log.error("internal error while something was done with a message", exc_info=result)
        answer(None)

    try:
        work = request.begin()
    except Exception as error:
        done(error)
        return
    host.works.begin("errand", work, done)
