"""msys.extended.vctx: the recipient list, and holding a session back.

The law: declarations only. The list may change until its phases are over; then the table of phases refuses.
"""

from __future__ import annotations

from lumilter.calls import Here, ZeroBased
from lumilter.errors import LumilterError
from lumilter.registry import api
from lumilter.session.address import Path
from lumilter.session.context import ValidateContext
from lumilter.session.mail import Recipients

PACKAGE = "msys.extended.vctx"


@api("vctx:add_recipient", package=PACKAGE, phases="data, data_spool, data_spool_each_rcpt, rcptto", also="mailfrom")
def add_recipient(vctx: ValidateContext, address: str | list[str], *, here: Here) -> None:
    """Add an address, or a table of addresses, to the message's recipients; one that is there is not added again."""
    recipients = _recipients(here)
    recipients.add(*_paths(address, recipients))


@api("vctx:recipient_list", package=PACKAGE, phases="", since="4.0")
def recipient_list(vctx: ValidateContext, addresses: str | list[str] | None = None, *, here: Here) -> ZeroBased | None:
    """The recipients' addresses, from index 0; or, given an address or a table, replace them."""
    recipients = _recipients(here)
    if addresses is None:
        return ZeroBased(recipients.addresses())
    wanted = _paths(addresses, recipients)
    kept = set(wanted)
    recipients.remove(*(address for address in recipients.addresses() if address not in kept))
    recipients.add(*wanted)
    return None


@api("vctx:remove_recipient", package=PACKAGE, phases="data, data_spool, data_spool_each_rcpt, mailfrom, rcptto")
def remove_recipient(vctx: ValidateContext, address: str | list[str], *, here: Here) -> None:
    """Remove an address, or a table of addresses, from the message's recipients; without any left it is discarded."""
    recipients = _recipients(here)
    recipients.remove(*_paths(address))


@api("vctx:tarpit", package=PACKAGE, phases="connect", also="ehlo, mailfrom, rcptto, data, data_spool")
def tarpit(vctx: ValidateContext, interval: float) -> None:
    """Hold this phase's reply back for so many seconds; nobody else waits. An MTA's milter timeout bounds it."""
    if interval < 0:
        raise LumilterError("the interval is negative")
    vctx.tcost += interval


def _recipients(here: Here) -> Recipients:
    if here.session is None or here.session.message is None:
        raise LumilterError("there is no message whose recipients could be meant")
    found: Recipients = here.session.recipients
    return found


def _paths(address: str | list[str], added_to: Recipients | None = None) -> list[str]:
    texts = [address] if isinstance(address, str) else address
    paths = [Path.parse(text) for text in texts]
    known = set(added_to.addresses()) if added_to is not None else set()
    for text, path in zip(texts, paths, strict=True):
        if not path.address or (added_to is not None and path.address not in known and not path.is_sendable):
            raise LumilterError(f"{text!r} is not an address")
    return [path.address for path in paths]
