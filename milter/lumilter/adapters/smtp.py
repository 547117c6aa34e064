"""Sending mail to one SMTP or LMTP server (RFC 5321, RFC 2033), several messages over one connection.

The law: when `send` returns, every recipient was either taken by the server or is in what it returns; when it raises
SendError, nobody was taken, as far as can be known: SendError.unanswered says that the server had the whole message and
gave no answer, so that it may have taken it (RFC 1047). Nothing is repeated once the final dot was sent. smtplib is
imported with the first connection: ssl comes with it, and a worker that sends nothing need not have 4 MB more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.smtp_address import unsendable
from lumilter.adapters.smtp_content import Content, blocks, has_8bit
from lumilter.errors import LumilterError

if TYPE_CHECKING:
    from lumilter.adapters.smtp_session import Session

__all__ = ["Address", "Connection", "Content", "Refusal", "SendError", "Server"]

FINAL_SECONDS = 600.0
"""For the answer to the final dot: RFC 5321 4.5.3.2.6. Who gives up earlier makes duplicates (RFC 1047)."""
_ENOUGH = 100
"""Recipients that every server takes in one transaction: RFC 5321 4.5.3.1.8."""
_QUIT_SECONDS = 1.0


class SendError(LumilterError):
    """The server is away, hangs, speaks nonsense, or wants no mail from us: nothing was taken.

    str(): with the name of the server. permanent: it said so, with a code from 500. unanswered: see above.
    """

    def __init__(self, message: str, *, permanent: bool = False, unanswered: bool = False) -> None:
        super().__init__(message)
        self.permanent, self.unanswered = permanent, unanswered


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a recipient was not taken. code: 400 to 599; text: the server's or ours, on one line."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"

    @property
    def permanent(self) -> bool:
        """Whether it is of no use to try again."""
        return self.code >= 500


class Server(Protocol):
    """A mail server (lumilter.config.address.MailServer); str() is what errors call it."""

    @property
    def protocol(self) -> str:
        """ "smtp" or "lmtp"."""

    @property
    def address(self) -> Address:
        """Where it listens. A host name is looked up by the C library, in a time of its own."""


class Connection:
    """A context manager; opened when it is first needed and again when the server closed it between two messages.

    hostname: what EHLO says. timeout: seconds for one answer, and for each block of the message to be taken.
    final: seconds for the answer to the final dot, if that is longer. One thread at a time.
    """

    def __init__(self, server: Server, hostname: str, timeout: float, final: float = FINAL_SECONDS) -> None:
        self._server, self._hostname, self._timeout = server, hostname, timeout
        self._final = max(final, timeout)
        self._lmtp = server.protocol == "lmtp"
        self._session: Session | None = None
        self._used = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, deadline: float) -> None:
        """Connect and say hello, if that was not done. deadline: a time.monotonic() value. Raises SendError."""
        if self._session is None:
            from lumilter.adapters.smtp_session import Session

            with self._during("connecting"):
                self._session = Session(self._server.address, self._lmtp, self._hostname, self._timeout, deadline)
            self._used = False
            with self._during("the greeting"):
                self._welcome(*self._session.getreply(), "in its greeting")
            hello = "LHLO" if self._lmtp else "EHLO"
            with self._during(hello):
                self._session.allow(self._timeout, deadline)
                reply = self._session.ehlo()
                if reply[0] >= 400 and not self._lmtp:
                    self._session.allow(self._timeout, deadline)
                    reply = self._session.helo()
                self._welcome(*reply, f"to {hello}")

    def close(self) -> None:
        """Say goodbye, if connected; it can be opened again."""
        if self._session is not None:
            try:
                self._session.allow(_QUIT_SECONDS, float("inf"))
                self._session.docmd("QUIT")
            except OSError:
                pass  # all answers that count were had
            self._drop()

    def send(self, sender: str, recipients: Sequence[str], content: Content, deadline: float) -> dict[str, Refusal]:
        """Send a message; the recipients that were refused, no matter at what command, and why.

        sender: "" for none. Addresses are UTF-8 with surrogateescape, without angle brackets; one that can't be sent
        to this server is refused with 553. content: bare CR and LF are made good, dots are doubled, a last line end
        is added (smtp_content); pieces are read twice, what they raise is passed on. deadline: a time.monotonic()
        value for everything. Raises SendError.
        """
        left = list(dict.fromkeys(recipients))
        parameters = " BODY=8BITMIME" if has_8bit(content) else ""
        refused: dict[str, Refusal] = {}
        first = True
        while left:
            try:
                left = self._transaction(sender, left, parameters, content, deadline, refused)
            except SendError as error:
                if first:
                    raise
                refused.update(dict.fromkeys(left, Refusal(451, f"4.4.2 {error}")))
                break
            first = False
        return refused

    def _transaction(
        self, sender: str, recipients: list[str], body: str, content: Content, deadline: float,
        refused: dict[str, Refusal],
    ) -> list[str]:  # fmt: skip
        """One message to as many of the recipients as the server takes at once. Those who need another one."""
        session, able = self._begin(sender, recipients, body, deadline, refused)
        taken: list[str] = []
        later: list[str] = []
        for at, recipient in enumerate(able):
            refusal = self._command(session, f"RCPT TO:<{recipient}>", deadline)
            if refusal is None:
                taken.append(recipient)
            elif refusal.code in (452, 552) and len(taken) >= _ENOUGH:
                later = able[at:]  # RFC 5321 4.5.3.1.10: too many recipients, the rest goes in another transaction
                break
            else:
                refused[recipient] = refusal
        if taken and (refusal := self._command(session, "DATA", deadline, 3)):
            refused.update(dict.fromkeys(taken, refusal))
            taken = []
        if taken:
            self._message(session, content, deadline)
            self._answers(session, taken, deadline, refused)
        elif able:
            self._reset(session, deadline)
        return later

    def _begin(
        self, sender: str, recipients: list[str], body: str, deadline: float, refused: dict[str, Refusal]
    ) -> tuple[Session, list[str]]:
        """MAIL, on another connection if the one in use turns out to be closed. Who can be named in RCPT."""
        while True:
            reused = self._session is not None and self._used
            self.open(deadline)
            assert self._session is not None
            utf8 = self._session.has_extn("smtputf8")
            wrong = unsendable(sender, utf8)
            why = {recipient: wrong or unsendable(recipient, utf8) or _empty(recipient) for recipient in recipients}
            able = [recipient for recipient in recipients if not why[recipient]]
            local = {recipient: Refusal(553, text) for recipient, text in why.items() if text}
            parameters = body if self._session.has_extn("8bitmime") else ""
            if not "".join((sender, *able)).isascii():
                parameters += " SMTPUTF8"
            try:
                line = f"MAIL FROM:<{sender}>{parameters}"
                refusal = self._command(self._session, line, deadline) if able else None
            except SendError:
                if reused:
                    continue
                raise
            self._used = True
            refused.update(local)
            if refusal:
                refused.update(dict.fromkeys(able, refusal))
                return self._session, []
            return self._session, able

    def _message(self, session: Session, content: Content, deadline: float) -> None:
        """All but the final dot. Whatever fails here, the connection is closed without it: the server forgets all."""
        try:
            for block in blocks(content):
                with self._during("the message"):
                    session.allow(self._timeout, deadline)
                    session.send(block)
        except BaseException:
            self._drop()
            raise

    def _answers(self, session: Session, taken: list[str], deadline: float, refused: dict[str, Refusal]) -> None:
        """The final dot and what it is answered: once, or in LMTP once for each recipient."""
        with self._during("the final dot"):
            session.allow(self._timeout, deadline)
            session.send(b".\r\n")
        groups = [[recipient] for recipient in taken] if self._lmtp else [taken]
        for at, group in enumerate(groups):
            try:
                with self._during("the end of the message", unanswered=True):
                    session.allow(self._final, deadline)
                    refusal = self._refusal(*session.getreply(), 2)
            except SendError as error:
                if at == 0:
                    raise
                rest = [recipient for others in groups[at:] for recipient in others]
                refused.update(dict.fromkeys(rest, Refusal(451, f"4.4.2 {error}")))
                return
            if refusal:
                refused.update(dict.fromkeys(group, refusal))

    def _command(self, session: Session, line: str, deadline: float, good: int = 2) -> Refusal | None:
        """None if the first digit of the answer is `good`. Raises SendError on 421, with which a server hangs up."""
        with self._during(line.partition(" ")[0]):
            session.allow(self._timeout, deadline)
            refusal = self._refusal(*session.docmd(line), good)
            if refusal and refusal.code == 421:
                raise ConnectionAbortedError(f"answered {refusal}")
            return refusal

    def _refusal(self, code: int, text: bytes, good: int) -> Refusal | None:
        if code // 100 == good:
            return None
        if code < 400:
            raise ConnectionAbortedError(f"answered {code} {printable(text)}")
        return Refusal(code, printable(text))

    def _reset(self, session: Session, deadline: float) -> None:
        """End a transaction without a message; if that can't be done, the next one gets another connection."""
        try:
            if self._command(session, "RSET", deadline):
                self._drop()
        except SendError:
            pass  # and the connection is gone

    def _welcome(self, code: int, text: bytes, where: str) -> None:
        if code // 100 != 2:
            self._drop()
            raise SendError(f"{self._server}: said {code} {printable(text)} {where}", permanent=code >= 500)

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    @contextmanager
    def _during(self, what: str, unanswered: bool = False) -> Iterator[None]:
        """Whatever goes wrong ends the connection."""
        try:
            yield
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that is none
            self._drop()
            text = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or error
            doubt = "; it may have taken the message" if unanswered else ""
            raise SendError(f"{self._server}: {text} at {what}{doubt}", unanswered=unanswered) from error


def _empty(recipient: str) -> str:
    return "" if recipient else "5.1.3 not an address: it is empty"
