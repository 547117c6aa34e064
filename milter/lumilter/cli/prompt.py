"""The console: `lumilter ctl` without a verb. Commands are typed in, with history and completion, or come from a pipe.

The law: knows no command but those that end it, and Lua; any other line is split as a shell splits it, for `ask`.
"""

from __future__ import annotations

import contextlib
import os
import readline
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

_HISTORY = "~/.lumilter_history"
_LINES = 1000
_ENDS = ("quit", "exit")
_LUA = ("scriptlet", "eval")
"""What follows these is Lua, with quotes of its own."""

Ask = Callable[[list[str]], int]


def run(place: str, ask: Ask, names: Callable[[], list[str]]) -> int:
    """Until the end of the input; the status of the last command that failed, 0 if none did.

    place: what the prompt shows. ask: runs a command, and returns its status. names: the commands, for completion.
    """
    typed = sys.stdin.isatty()
    if typed:
        _begin(names)
    status = 0
    try:
        while True:
            line = _read(f"{time.strftime('%H:%M:%S')} {place}> " if typed else "")
            if line is None:
                break
            words = _words(line)
            if words and words[0] in _ENDS:
                break
            if words:
                status = _run(ask, words) or status
    finally:
        if typed:
            _save()
    return status


def _read(prompt: str) -> str | None:
    """The next line; None at the end."""
    try:
        return input(prompt)
    except EOFError:
        if prompt:
            print()
        return None
    except KeyboardInterrupt:  # what was typed is given up
        print()
        return ""
    except UnicodeDecodeError as error:
        print(f"lumilter ctl: {error}", file=sys.stderr)
        return ""


def _words(line: str) -> list[str]:
    verb, _, rest = line.strip().partition(" ")
    action, _, lua = rest.strip().partition(" ")
    if (verb, action) == _LUA and lua.strip():
        return [verb, action, lua]
    try:
        return shlex.split(line)
    except ValueError as error:
        print(f"lumilter ctl: {error}", file=sys.stderr)
        return []


def _run(ask: Ask, words: list[str]) -> int:
    try:
        return ask(words)
    except SystemExit as end:  # argparse has said what is wrong, or helped
        return end.code if isinstance(end.code, int) else 2


def completions(names: list[str], line: str) -> list[str]:
    """Words that can stand where the last word of a line is, or begins.

    names: as help lists them: a word in capitals is any word, brackets are not completed.
    """
    *before, part = line.lstrip().split(" ") if line.strip() else [""]
    place = len(before)
    phrases = [name.split(" [")[0].split() for name in names]
    found = {phrase[place] for phrase in phrases if len(phrase) > place and all(map(_fits, phrase, before))}
    return sorted(word for word in found if word.startswith(part) and not word.isupper())


def _fits(word: str, typed: str) -> bool:
    return word.isupper() or word == typed


def _begin(names: Callable[[], list[str]]) -> None:
    with contextlib.suppress(OSError):
        readline.read_history_file(Path(_HISTORY).expanduser())
    readline.set_history_length(_LINES)
    known = names()

    def complete(text: str, state: int) -> str | None:
        line = readline.get_line_buffer()[: readline.get_endidx()]
        found = completions(known, line)
        return f"{found[state]} " if state < len(found) else None

    readline.set_completer_delims(" ")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")


def _save() -> None:
    """History may hold what nobody else should read."""
    file = Path(_HISTORY).expanduser()
    with contextlib.suppress(OSError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        file.chmod(0o600)
        readline.write_history_file(file)
