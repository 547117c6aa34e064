"""What a session asks of the mailer: which recipients were served already, and to serve some now.

The law: called on the Lua thread, answered there; the work is done on a pool thread. In shadow nothing is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from lumilter.errors import LumilterError, SplitError
from lumilter.session.session import Session
from lumilter.session.steps import Recall, Recalled, Send

if TYPE_CHECKING:
    from lumilter.host.host import Host

log = logging.getLogger("lumilter.mail")


def perform(
    host: Host, request: Recall | Send, session: Session, answer: Callable[[Recalled | SplitError | None], None]
) -> None:
    """Answer a session's request."""
    mail = host.bridge.here.services.mail
    if isinstance(request, Send) and not mail.configured:
        answer(SplitError("recipients need different messages: that needs [inject] server in the configuration"))
        return
    if session.shadow or not mail.configured:
        answer(Recalled(frozenset()) if isinstance(request, Recall) else None)
        return

    def work() -> Recalled | None:
        if isinstance(request, Recall):
            return Recalled(frozenset(mail.recall(request.keys)))
        mail.send(request.messages, session.trace_line)
        return None

    def done(result: Recalled | BaseException | None) -> None:
        if not isinstance(result, BaseException):
            answer(result)
            return
        if not isinstance(result, LumilterError):
            log.error("internal error while mail was sent", exc_info=result)
        answer(SplitError(f"recipients need different messages, and not all could be sent: {result}"))

    host.works.begin("inject", work, done)
