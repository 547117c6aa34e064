"""What the daemon counts by itself, for msys.audit and ac:inbound_session_count.

The law: a session is counted before its first hook runs, and until the MTA has closed it. On the thread that handles
the event, whichever it is; nothing here fails a session.
"""

from __future__ import annotations

from lumilter.session.events import Action, Close, Connect, EndOfMessage, Event, Outcome
from lumilter.session.session import Session
from lumilter.state.keys import packed
from lumilter.state.presence import RECEPTIONS, REJECTIONS
from lumilter.state.state import State


def arrived(state: State, session: Session, event: Event) -> None:
    """An event is about to be handled."""
    if isinstance(event, Connect):
        state.presence.arrive(session, packed(event.address))


def observe(state: State, session: Session, event: Event, outcome: Outcome) -> None:
    """An event was handled.

    A reception is a message that was taken (or discarded, of which its sender knows nothing); a rejection is any
    command that was refused, for good or for now.
    """
    if isinstance(event, Close):
        state.presence.depart(session)
        state.locks.ended(owner_of(session))
    elif outcome.action in (Action.REJECT, Action.TEMPFAIL):
        state.presence.happened(session, REJECTIONS)
    elif isinstance(event, EndOfMessage):
        state.presence.happened(session, RECEPTIONS)


def owner_of(session: Session) -> bytes:
    """What a session's locks are held by."""
    return session.ac.conn_id.encode()
