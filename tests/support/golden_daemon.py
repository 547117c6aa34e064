"""A daemon for a golden case, and a milter client that asks it as an MTA would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

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
from support.golden import Case
from support.golden_play import Heard
from support.milter_client import Answer, MilterClient

READY = b"serving on"


def write(case: Case, directory: Path, socket: Path) -> Path:
    """The case's scripts and configuration; the configuration's path."""
    scripts = []
    for number, text in enumerate(case.policies, 1):
        name = "policy" if number == 1 else f"policy{number}"
        (directory / f"{name}.lua").write_text(f'local mod = {{}}\n{text}\nmsys.registerModule("{name}", mod)\n')
        scripts.append(f'[[script]]\nname = "{name}"\nsource = "{name}.lua"\n')
    file = directory / "lumilter.toml"
    milter = f'[milter]\nsocket = "unix:{socket}"\nsocket_mode = "0666"\n'
    file.write_text("\n".join([milter, case.config, *scripts]))
    return file


@contextmanager
def daemon(case: Case, directory: Path, socket: Path) -> Iterator[None]:
    """`lumilter serve` for the case; what it printed is checked at the end: script errors, and nothing unexpected."""
    log = directory / "daemon.log"
    command = [sys.executable, "-m", "lumilter", "serve", "-c", str(write(case, directory, socket))]
    root = Path(__file__).parents[2]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, env={**os.environ, "PYTHONPATH": str(root / "milter")})
    try:
        while READY not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        yield
    finally:
        process.terminate()
        process.wait(30)
    text = log.read_text()
    found = [line for line in text.splitlines() if " error: " in line]
    assert len(found) == len(case.errors), text
    for line, wanted in zip(found, case.errors, strict=True):
        assert wanted in line, text
    assert "Traceback" not in text, text


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
