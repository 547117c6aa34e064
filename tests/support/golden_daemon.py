"""A daemon for a golden case, and a milter client that asks it as an MTA would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lumilter.daemon.printable import one_line
from lumilter.session.events import (
    Abort,
    AddRecipient,
    ChangeSender,
    Close,
    Connect,
    Data,
    DeleteRecipient,
    Edit,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Rcpt,
)
from support import daemon
from support.golden import Case
from support.golden_play import Heard
from support.milter_client import Answer, MilterClient

_PRINTED = re.compile(r"\S+ (?P<text>.*) module=\S+ phase=\S+(?: queue_id=\S+)?")


def write(case: Case, directory: Path, socket: Path, wire: str = "python") -> Path:
    """The case's scripts and configuration; the configuration's path."""
    return daemon.write(directory, socket, case.policies, f'wire = "{wire}"\n{case.config}')


@contextmanager
def serving(case: Case, directory: Path, socket: Path, wire: str = "python", prints: bool = False) -> Iterator[None]:
    """`lumilter serve` for the case; what it logged is checked at the end: errors, lines asked for, what was printed.

    prints: an MTA's own probing would print too, so only the wire's runner has that compared.
    """
    with daemon.Daemon(write(case, directory, socket, wire), directory / "daemon.log") as running:
        yield
    assert len(running.errors) == len(case.errors), running.log
    for line, wanted in zip(running.errors, case.errors, strict=True):
        assert wanted in line, running.log
    left = running.log
    for wanted in case.logs:
        assert wanted in left, f"expected {wanted!r} in\n{left}\nwhich is what is left of\n{running.log}"
        left = left.partition(wanted)[2]
    if prints and case.prints is not None:
        printed = [match["text"] for line in running.log.splitlines() if (match := _PRINTED.fullmatch(line))]
        assert printed == [one_line(line) for line in case.prints], running.log


class WirePeer:
    """A milter connection; it asks for what was negotiated, as an MTA does."""

    def __init__(self, socket: Path) -> None:
        self.client = MilterClient(str(socket))
        self.client.negotiate()

    def ask(self, event: Event) -> Heard:
        if isinstance(event, Close):
            self.client.quit()
            return Heard("accept")
        if isinstance(event, Abort):
            self.client.abort()
            return Heard("accept")
        letter = {Connect: "C", Helo: "H", Mail: "M", Rcpt: "R", Data: "T", EndOfMessage: "E"}[type(event)]
        macros = {name if len(name) == 1 else f"{{{name}}}": value for name, value in event.macros.items()}
        if macros:
            self.client.macros(letter, macros)
        return _heard(self._tell(event))

    def _tell(self, event: Event) -> Answer:
        match event:
            case Connect():
                family = "6" if event.family == "inet6" else "4"
                return self.client.connect(event.hostname, family, event.address, event.port)
            case Helo():
                return self.client.helo(event.name)
            case Mail():
                return self.client.mail(event.address, *event.params)
            case Rcpt():
                return self.client.rcpt(event.address, *event.params)
            case Data():
                return self.client.data()
            case EndOfMessage():
                for name, value in event.headers:
                    self.client.header(name, value)
                self.client.eoh()
                self.client.body(event.body)
                return self.client.eom()
        raise AssertionError(event)


def _heard(answer: Answer) -> Heard:
    """A milter reply as the language says it: the code and text of several lines joined."""
    edits = tuple(_undone(edit) for edit in answer.edits)
    if answer.kind in ("continue", "accept", "none", "off"):
        return Heard("accept", edits)
    if answer.kind == "discard":
        return Heard("discard")
    lines = answer.text.split("\r\n")
    head, texts = lines[0][:3], [line[4:] for line in lines]
    status = texts[0].split(" ", 1)[0]
    rest = [text.removeprefix(status).strip() if status[:1] in "45" and status[1:2] == "." else text for text in texts]
    status = f"{status} " if status[:1] in "45" and status[1:2] == "." else ""
    return Heard(f"{head} {status}{' / '.join(rest)}")


def _undone(edit: Edit) -> Edit:
    """What the wire does for MTAs: indices count the MTA's own Received, addresses have angle brackets."""
    match edit:
        case InsertHeader():
            return replace(edit, index=edit.index - 1)
        case AddRecipient() | ChangeSender():
            return replace(edit, address=edit.address.removeprefix("<").removesuffix(">"))
        case DeleteRecipient():
            return edit
    return edit
