"""The language of golden conversations: what a client says, what it must be answered, and what must come out.

The law: a case says nothing about how it is run; tests/conversations/README.md is the language's manual.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RUNNERS = ("core", "wire", "postfix", "sendmail")
VERBS = frozenset(
    "connect helo auth tls macro mail rcpt data message rset vanish quit".split()  # noqa: SIM905 (reads better)
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(r|n|t|\\))")
_REPEAT = re.compile(rb"\{(.) x (\d+)\}")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


@dataclass
class Gives:
    """What must come out of a message: envelope, headers and body; held is the reason for which it is held."""

    sender: str | None = None
    recipients: tuple[str, ...] | None = None
    held: str | None = None
    message: bytes | None = None


@dataclass
class Step:
    """A command, and the answer that it must get: "accept", "discard", or a code with text, lines joined by " / "."""

    line: int
    verb: str
    args: list[str]
    answer: str = "accept"
    message: bytes = b""
    gives: Gives | None = None


@dataclass
class Case:
    """One conversation."""

    file: Path
    title: str
    on: tuple[str, ...] = ("core", "wire")
    config: str = ""
    policies: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    prints: list[str] | None = None
    errors: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.file.stem}: {self.title}"


def cases(directory: Path, runner: str) -> list[Case]:
    """The cases of a directory that are marked for a runner."""
    return [case for file in sorted(directory.glob("*.case")) for case in parse(file) if runner in case.on]


def parse(file: Path) -> list[Case]:
    """The cases of a file. Raises ValueError with file and line for anything that is not in the language."""
    found: list[Case] = []
    for number, word, rest, block in _statements(file):
        try:
            if word == "==":
                found.append(Case(file, rest))
            else:
                _statement(found[-1], number, word, rest, block)
        except (ValueError, IndexError) as error:
            raise ValueError(f"{file}:{number}: {error}") from error
    return found


def _statement(case: Case, number: int, word: str, rest: str, block: list[str]) -> None:
    match word:
        case "on":
            case.on = tuple(rest.split())
            if unknown := set(case.on) - set(RUNNERS):
                raise ValueError(f"no such runner: {unknown}")
        case "config":
            case.config = "\n".join(block)
        case "policy":
            case.policies.append("\n".join(block))
        case "prints":
            case.prints = block
        case "errors":
            case.errors = block
        case "logs":
            case.logs = block
        case "gives":
            case.steps[-1].gives = _gives(block)
        case _ if word in VERBS:
            command, arrow, answer = rest.partition("->")
            step = Step(number, word, command.split(), answer.strip() if arrow else "accept")
            if word == "message":
                step.message = wire_form(block)
            case.steps.append(step)
        case _:
            raise ValueError(f"unknown statement {word!r}")


def _gives(block: list[str]) -> Gives:
    gives, rest = Gives(), list(block)
    while rest and (match := re.fullmatch(r"(from|to|held)(?: (.*))?", rest[0])):
        value = match[2] or ""
        if match[1] == "from":
            gives.sender = value
        elif match[1] == "to":
            gives.recipients = tuple(value.split())
        else:
            gives.held = value
        rest.pop(0)
    if rest:
        gives.message = wire_form(rest)
    return gives


def wire_form(block: list[str]) -> bytes:
    r"""Lines as they cross the wire: CRLF line ends, \xNN \r \n \t \\ escapes, and {a x 1000} for repetition."""
    lines = []
    for line in block:
        raw = _REPEAT.sub(lambda m: m[1] * int(m[2]), line.encode())
        lines.append(_ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else _PLAIN[m[2]], raw))
    return b"\r\n".join(lines) + b"\r\n"


def _statements(file: Path) -> Iterator[tuple[int, str, str, list[str]]]:
    """(line, first word, rest, indented block without its indentation)."""
    lines = file.read_text(encoding="utf-8").split("\n")
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            raise ValueError(f"{file}:{number}: an indented line that belongs to nothing")
        block: list[str] = []
        while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
            block.append(lines[at][4:])
            at += 1
        while block and not block[-1].strip():
            block.pop()
        word, _, rest = line.partition(" ")
        yield number, word, rest.strip(), block
