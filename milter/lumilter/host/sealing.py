"""What a session asks to be signed.

The law: called on the Lua thread, answered there; the work is done on a pool thread. In shadow nothing leaves, so
nothing is signed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lumilter.errors import LumilterError
from lumilter.session.headers import Header
from lumilter.session.sealing import Seal, Sealed, SealError
from lumilter.session.session import Session

if TYPE_CHECKING:
    from lumilter.host.host import Host

log = logging.getLogger("lumilter.signatures")


def perform(host: Host, request: Seal, session: Session, answer: Callable[[Sealed | SealError], None]) -> None:
    """Answer a session's request."""
    signatures = host.bridge.here.services.signatures
    if session.shadow:
        answer(Sealed(((),) * len(request.messages)))
        return
    wanted = [
        ([(header.name, header.value) for header in message.content.headers], message.content.body, message.seals)
        for message in request.messages
    ]
    begun = time.monotonic()

    def work() -> Sealed:
        made = signatures.seal_all(wanted)
        return Sealed(tuple(tuple(Header(name, value) for name, value in fields) for fields in made))

    def done(future: Future[Sealed]) -> None:
        error = future.exception()
        host.tasks.on_wait("seal", time.monotonic() - begun, "ok" if error is None else "failed")
        if error is None:
            answer(future.result())
            return
        if not isinstance(error, LumilterError):
            log.error("internal error while a message was signed", exc_info=error)
        answer(SealError(f"a message is tempfailed, it could not be signed: {error}"))

    try:
        future = host.loop.pool.submit(work)
    except RuntimeError as error:  # the system has no thread left
        answer(SealError(f"a message is tempfailed, it could not be signed: {error}"))
        return
    future.add_done_callback(lambda f: host.loop.post(lambda: done(f)))
