"""What a session asks to be signed.

The law: called on the Lua thread, answered there; the work is done on a pool thread. In shadow nothing leaves, so
nothing is signed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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

    def work() -> Sealed:
        made = signatures.seal_all(wanted)
        return Sealed(tuple(tuple(Header(name, value) for name, value in fields) for fields in made))

    def done(result: Sealed | BaseException) -> None:
        if isinstance(result, Sealed):
            answer(result)
            return
        if not isinstance(result, LumilterError):
            log.error("internal error while a message was signed", exc_info=result)
        answer(SealError(f"a message is tempfailed, it could not be signed: {result}"))

    host.works.begin("seal", work, done)
