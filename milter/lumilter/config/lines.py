"""On which line of a TOML text each key stands, which tomllib does not tell.

The law: the text was accepted by tomllib before, so nothing is checked here; what tomllib parsed is never contradicted
(a test compares the paths). A path is the keys from the top, with numbers for the elements of lists and of arrays of
tables: `("script", 0, "source")`.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SHORT = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'  # two of the closing quotes may belong to the text
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_OTHER = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[Path, int]:
    """The 1-based line of every table, key and list element of a TOML text; the first one where there are several."""
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}
        """How many elements each array of tables has so far."""
        self._line, self._counted = 1, 0

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BETWEEN)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                self._at += 2
                table = self._note(self._header(self._keys(), new=True))
                self._at += 2
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._note(self._header(self._keys(), new=False))
                self._at += 1
            else:
                self._pair(table)
            self._skip(_BETWEEN)
        return self._lines

    def _header(self, keys: list[str], *, new: bool) -> Path:
        """The path that the keys of a table header mean: the last element of every array of tables on the way."""
        path: Path = ()
        for key in keys[:-1]:
            path = self._note((*path, key))
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        path = (*path, keys[-1])
        if not new:
            return path
        self._note(path)
        self._elements[path] = self._elements.get(path, 0) + 1
        return (*path, self._elements[path] - 1)

    def _pair(self, table: Path) -> None:
        start = self._at
        keys = self._keys()
        end, self._at = self._at, start
        path = table
        for key in keys:
            path = self._note((*path, key))
        self._at = end + 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._at += 1
            self._skip(_BETWEEN)
            index = 0
            while self._text[self._at] != "]":
                self._value(self._note((*path, index)))
                self._comma()
                index += 1
            self._at += 1
        elif opening == "{":
            self._at += 1
            self._skip(_BETWEEN)
            while self._text[self._at] != "}":
                self._pair(path)
                self._comma()
            self._at += 1
        else:
            self._skip(_OTHER)

    def _comma(self) -> None:
        self._skip(_BETWEEN)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BETWEEN)

    def _keys(self) -> list[str]:
        """A dotted key; what follows it is an equals sign or a bracket."""
        keys = []
        while True:
            self._skip(_BLANK)
            if self._text[self._at] in "\"'":
                quoted = self._skip(_STRING)
                keys.append(quoted[1:-1] if quoted[0] == "'" else _ESCAPE.sub(_unescape, quoted[1:-1]))
            else:
                keys.append(self._skip(_BARE_KEY))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise AssertionError(f"not the TOML that tomllib accepts: {self._text[self._at : self._at + 40]!r}")
        self._at = found.end()
        return found[0]

    def _note(self, path: Path) -> Path:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self._lines.setdefault(path, self._line)
        return path


def _unescape(found: re.Match[str]) -> str:
    if code := found[1] or found[2]:
        return chr(int(code, 16))
    return _SHORT.get(found[3], found[3])
