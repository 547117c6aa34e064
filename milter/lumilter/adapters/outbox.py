"""Sends what waits in an outbox, from one of the processes that share it.

The law: a message leaves the outbox after the server has answered for each of its recipients, or into `failed`; a
recipient who was answered for is not sent to again. What the server said about a message is on disk before the next one
is sent, and a message whose last answer could not be written is not sent before that is made good.

Twice, and when: a recipient gets a message again if the server has taken it and we do not know. That is so when its
answer to the final dot is lost on the way (it died, or took longer than Connection's `final`: RFC 1047, RFC 5321
4.5.3.2.6), and when this process is killed, or the disk fails, between that answer and the removal of the file, which
is the very next thing done. SMTP has no way to ask; the other choice would be to lose mail.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Protocol

from lumilter.adapters.outbox_file import BadFile, Envelope, Stored
from lumilter.adapters.outbox_store import Outbox, OutboxError
from lumilter.adapters.smtp import Refusal, SendError

__all__ = ["Outbox", "OutboxError", "Runner", "Sending"]

log = logging.getLogger("lumilter.outbox")

LONGEST_WAIT = 3600.0
"""Seconds up to which the time between two attempts is doubled."""
_MESSAGE_SECONDS = 3600.0
"""For one message: a server that takes it byte by byte does not hold up the others for ever."""
_SHOWN = 10


class Sending(Protocol):
    """A connection to the server (smtp.Connection)."""

    def open(self, deadline: float) -> None:
        """Raises SendError: the server is away."""

    def send(
        self, sender: str, recipients: Sequence[str], content: Sequence[bytes], deadline: float
    ) -> dict[str, Refusal]:
        """The refused recipients. Raises SendError: it failed at this message."""
        ...

    def close(self) -> None:
        """Nothing is to be sent for now."""


class Runner:
    """A thread that sends while its process holds the outbox's lock, and else waits for it.

    retry, give_up: seconds, for a message and for a server that is away; the first is doubled up to an hour. poll: how
    often to look for messages of other processes and for the lock. on_event: called in that thread with "sent",
    "deferred" or "failed" for each recipient, once what it says is on disk.
    """

    def __init__(
        self, outbox: Outbox, connect: Callable[[], Sending], *, retry: float, give_up: float, poll: float = 1.0,
        on_event: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._outbox, self._connect, self._on_event = outbox, connect, on_event
        self._retry, self._give_up, self._poll = retry, give_up, poll
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._forget()

    def start(self) -> None:
        """Start the thread, once, in the process that is to send (a lock does not survive a fork)."""
        self._thread = threading.Thread(target=self._main, name="lumilter-outbox", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """No further message; the one that is being sent may take so long. Then another process has the outbox."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def wake(self) -> None:
        """Look now: this process has put something."""
        self._wake.set()

    def _forget(self) -> None:
        """All that is known without looking at the disk; another process may have had the lock meanwhile."""
        self._connection: Sending | None = None
        self._index: dict[str, tuple[float, float]] = {}  # name to when it is due and when it was created
        self._unsaved: dict[str, Envelope | None] = {}  # answers that could not be written; None: the file is to go
        self._failures = 0  # of the server, one after the other
        self._away = ""  # why the server is left alone, and until when
        self._until = -inf

    def _main(self) -> None:
        lock, trouble = None, ""
        while not self._stopping.is_set():
            try:
                if lock is not None and not self._outbox.holds(lock):
                    os.close(lock)
                    lock = None
                if lock is None and (lock := self._outbox.lock()) is not None:
                    self._hang_up()
                    self._forget()
                    self._outbox.sweep()
                if lock is not None:
                    self._round()
                trouble = ""
            except Exception as error:  # the thread goes on: it is the only one that sends
                if trouble != str(error):
                    log.error("the outbox does not work: %s", error, exc_info=not isinstance(error, OutboxError))
                trouble = str(error)
            self._wake.wait(self._poll)
            self._wake.clear()
        self._hang_up()
        if lock is not None:
            os.close(lock)

    def _round(self) -> None:
        """Each message that is due, the one that is due longest first."""
        now = time.time()
        self._learn()
        due = sorted((at, name) for name, (at, _) in self._index.items() if at <= now)
        if not due:
            self._hang_up()
        for _, name in due:
            if self._stopping.is_set():
                return
            created = self._index[name][1]
            if self._is_away() and name not in self._unsaved and not self._is_old(created):
                continue
            try:
                self._deliver(name)
            except FileNotFoundError:
                self._index.pop(name, None)
            except BadFile as error:
                self._set_aside(name, error)
            except Exception as error:
                log.error("outbox: message %s can't be sent now: %s", name, error, exc_info=error)
                if name in self._index:
                    self._index[name] = time.time() + self._retry, created

    def _learn(self) -> None:
        """Look at files that are new, forget those that are gone."""
        names = set(self._outbox.names())
        for name in self._index.keys() - names:
            del self._index[name]
            self._unsaved.pop(name, None)
        for name in names - self._index.keys():
            try:
                with self._outbox.open(name) as stored:
                    self._remember(name, stored.envelope)
            except FileNotFoundError:
                pass
            except BadFile as error:
                self._set_aside(name, error)
            except OSError as error:
                log.error("outbox: message %s can't be read now: %s", name, error)
                self._index[name] = time.time() + self._retry, inf

    def _remember(self, name: str, envelope: Envelope) -> None:
        # No later than we would set it ourselves: the clock may have been put back since.
        latest = time.time() + max(self._retry, LONGEST_WAIT)
        self._index[name] = min(envelope.next, latest), envelope.created

    def _set_aside(self, name: str, why: Exception) -> None:
        self._index.pop(name, None)
        try:
            self._outbox.set_aside(name)
        except OSError as error:
            self._index[name] = inf, inf
            log.error("outbox: %s is no message (%s), and it can't be moved to bad: %s", name, why, error)
        else:
            log.error("outbox: %s is no message (%s), it is in bad now", name, why)

    def _deliver(self, name: str) -> None:
        with self._outbox.open(name) as stored:
            if name in self._unsaved:
                self._save(name, stored, self._unsaved[name])
                return
            refused = None if self._is_away() else self._send(stored)
            if refused is None:
                if not self._is_old(stored.envelope.created):
                    return
                refused = dict.fromkeys(stored.envelope.recipients, Refusal(451, f"4.4.1 {self._away}"))
            self._settle(name, stored, refused)

    def _send(self, stored: Stored) -> dict[str, Refusal] | None:
        """The refused recipients; None if the server is away, so that it says nothing about this message."""
        if self._connection is None:
            self._connection = self._connect()
        deadline = time.monotonic() + _MESSAGE_SECONDS
        envelope = stored.envelope
        try:
            self._connection.open(deadline)
        except SendError as error:
            self._failures += 1
            self._leave_alone(error)
            return None
        try:
            refused = self._connection.send(envelope.sender, envelope.recipients, stored.content, deadline)
        except SendError as error:
            # One message may be what the server dies of, so that the others go on; two in a row are the server.
            self._failures += 1
            if self._failures > 1:
                self._leave_alone(error)
            return dict.fromkeys(envelope.recipients, Refusal(451, f"4.4.2 {error}"))
        if self._away:
            log.warning("outbox: the server takes mail again")
        self._failures, self._away = 0, ""
        return refused

    def _leave_alone(self, error: SendError) -> None:
        if not self._away:
            log.error("outbox: %s; all mail waits", error)
        self._away = str(error)
        self._until = time.monotonic() + _wait(self._retry, self._failures)

    def _is_away(self) -> bool:
        return time.monotonic() < self._until

    def _is_old(self, created: float) -> bool:
        return time.time() - created >= self._give_up

    def _settle(self, name: str, stored: Stored, refused: dict[str, Refusal]) -> None:
        """Write down what became of the recipients."""
        old, now = stored.envelope, time.time()
        tried = replace(old, tries=old.tries + 1, next=now + _wait(self._retry, old.tries + 1))
        expired = self._is_old(old.created)
        failed = {who: why for who, why in refused.items() if why.permanent or expired}
        if failed and not self._fail(name, stored, tried, failed):
            failed = {}
        left = {who: why for who, why in refused.items() if who not in failed}
        if left:
            last = old.created + self._give_up
            due = min(tried.next, last) if last > now else tried.next
            self._save(name, stored, replace(tried, recipients=tuple(left), next=due, reason=_reasons(left)))
            if not self._away:
                log.warning("outbox: message %s waits: %s", name, _reasons(left, _SHOWN))
        else:
            self._save(name, stored, None)
        for event, count in (
            ("sent", len(old.recipients) - len(refused)), ("deferred", len(left)), ("failed", len(failed)),
        ):  # fmt: skip
            for _ in range(count):
                self._on_event(event)

    def _fail(self, name: str, stored: Stored, tried: Envelope, failed: dict[str, Refusal]) -> bool:
        envelope = replace(tried, recipients=tuple(failed), next=time.time(), reason=_reasons(failed))
        try:
            self._outbox.fail(name, envelope, stored.content)
        except OSError as error:
            log.error("outbox: message %s can't be put into failed, so it stays: %s", name, error)
            return False
        log.error("outbox: message %s failed, it is in failed now: %s", name, _reasons(failed, _SHOWN))
        return True

    def _save(self, name: str, stored: Stored, envelope: Envelope | None) -> None:
        """Make durable who is still to be sent to; None: nobody."""
        try:
            if envelope is None:
                self._outbox.done(name)
            else:
                self._outbox.keep(name, envelope, stored.content)
        except OSError as error:
            if name not in self._unsaved:
                log.error("outbox: what became of message %s can't be written, so it is held: %s", name, error)
            self._unsaved[name] = envelope
            self._index[name] = time.time() + self._retry, stored.envelope.created
            return
        self._unsaved.pop(name, None)
        if envelope is None:
            self._index.pop(name, None)
        else:
            self._remember(name, envelope)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _wait(retry: float, attempts: int) -> float:
    """Seconds until the next attempt, after so many."""
    return min(retry * 2.0 ** min(attempts - 1, 30), max(retry, LONGEST_WAIT))


def _reasons(refused: dict[str, Refusal], shown: int | None = None) -> str:
    """Who was refused and why; an address as Python writes it, so that it stays on the line."""
    texts = [f"{who!r}: {why}" for who, why in list(refused.items())[:shown]]
    more = len(refused) - len(texts)
    return "; ".join(texts) + (f"; and {more} more" if more else "")
