"""Addresses: SMTP paths (RFC 5321) and the address lists of header fields (RFC 5322).

The law: any text gives an answer, in time in proportion to it; what is not an address gives an empty one, or none in a
list. Local parts stay as written.

The standard library's getaddresses() is not used: 3.11's ends with a RecursionError at a thousand "(" or ":" in a
field, and later ones refuse a whole field for one odd address (gh-102988); the manual's function finds what it can.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

from lumilter.errors import LumilterError

COMPONENTS = ("all", "localpart", "user", "detail", "domain")

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*(?:(")|\\?\Z)', re.DOTALL)
"""A quoted string; group 1 is missing where it never ends. It matches at every quotation mark, so never goes back."""
_OUTSIDE = re.compile(r'^@|[\s\0-\x1f\x7f<>(),;"\\]')
_ANYWHERE = re.compile("[\0\r\n\ud800-\udfff]")
_ROUTE = re.compile(r"@[^:<>\s]*:")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:(")|\\?\Z)|\[[^][\\\s]*\]|\\.|[ \t\r\n]+|[^\s"\\()<>\[\]@.,:;]+|.', re.DOTALL)
_COMMENT_TOKEN = re.compile(r"[^()\\]+|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse or forward path. address: canonical, without angle brackets and source route; "" is the null sender."""

    localpart: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.localpart}@{self.domain}" if self.domain else self.localpart

    @property
    def is_sendable(self) -> bool:
        """Whether every MTA takes it for this address and no other.

        Of `Ann <ann@y>`, `a b@y` or `a@y> <c@y` between angle brackets Postfix and Sendmail make addresses of their
        own, different ones. Undecodable bytes can't be said through libmilter.
        """
        return not (
            "@" in _masked(self.localpart) or _OUTSIDE.search(_masked(self.address)) or _ANYWHERE.search(self.address)
        )

    @staticmethod
    def parse(text: str) -> Path:
        """Read what came after MAIL FROM: or RCPT TO:, or what a script gave; parameters after ">" are ignored."""
        return _remembered(text) if len(text) < _LONG else _path(text)


def _path(text: str) -> Path:
    text = text.strip()
    if text.startswith("<"):
        end = _masked(text).find(">")
        text = text[1:end] if end >= 0 else text[1:]
    route = _ROUTE.match(text)
    if route:
        text = text[route.end() :]
    at = _masked(text).rfind("@")
    return Path(text, "") if at < 0 else Path(text[:at], text[at + 1 :])


_LONG = 320
"""Characters of an address that is not remembered: RFC 5321 4.5.3.1 allows 320."""
_remembered = functools.lru_cache(1000)(_path)
"""A session reads each of its addresses several times."""


def addresses(text: str, component: str) -> list[str]:
    """That component of every address in a field's value; raises LumilterError for a component that is none.

    text: unfolded, encoded words not decoded (HeaderList.undecoded). component: all: user+detail@domain; localpart:
    before the "@"; user, detail: before and after the first "+"; domain. Source: manual, msys.parseRFC2822Addresses.
    """
    if component not in COMPONENTS:
        raise LumilterError(f"component {component!r} is none of {', '.join(COMPONENTS)}")
    return [_component(Path.parse(address), component) for address in _List().read(text)]


def _component(path: Path, component: str) -> str:
    user, _, detail = path.localpart.partition("+")
    parts = {
        "all": path.address, "localpart": path.localpart, "user": user, "detail": detail, "domain": path.domain,
    }  # fmt: skip
    return parts[component]


def _masked(text: str) -> str:
    """The text with quoted strings blotted out, one that never ends excepted."""
    return _QUOTED.sub(lambda match: "-" * len(match[0]) if match[1] else match[0], text) if '"' in text else text


@dataclass(slots=True)
class _List:
    """Reads an address-list: mailboxes, groups, comments, routes, white space anywhere (RFC 5322 3.4 and 4.4).

    It reads on where a separator or a bracket is missing, as people write addresses.
    """

    found: list[str] = field(default_factory=list)
    phrase: list[str] = field(default_factory=list)
    """Tokens outside angle brackets: a display name, or an address without brackets."""
    angle: list[str] | None = None
    """Tokens since "<"; kept until the mailbox ends."""
    inside: bool = False
    at: bool = False
    """Whether an "@" was seen since the mailbox or its angle bracket began."""

    def read(self, text: str) -> list[str]:
        position = 0
        while position < len(text):
            if text[position] == "(":
                position = _comment_end(text, position)
                self._token(" ")
                continue
            match = _TOKEN.match(text, position)
            assert match
            token = match[0]
            if token[0] == '"' and not match[1]:  # it never ends, so it is no quoted string; no other follows
                token = '"'
            position += len(token)
            self._token(token)
        self._end()
        return self.found

    def _token(self, token: str) -> None:
        current = self.angle if self.inside and self.angle is not None else self.phrase
        route = bool(current) and current[0] == "@"
        match token:
            case "<":
                if self.angle:
                    self._end()
                self.angle, self.inside, self.at = [], True, False
            case ">":
                self.inside = False
            case ":" if route or not (self.inside or self.at):
                current.clear()  # a source route, or a group's name
                self.at = False
            case "," if self.inside and route:
                current.append(token)
            case "," | ";":
                self._end()
            case _:
                self.at = self.at or token == "@"
                if current or not token.isspace():
                    current.append(token)

    def _end(self) -> None:
        words = _words(self.phrase if self.angle is None else self.angle)
        addresses = [word for word in words if "@" in word[1:]]
        if addresses:
            self.found.append("".join(addresses[-1]))
        elif len(words) == 1 and words[0][0][0] not in '"@':
            self.found.append("".join(words[0]))  # a local part alone
        self.phrase, self.angle, self.inside, self.at = [], None, False, False


def _words(tokens: list[str]) -> list[list[str]]:
    """Tokens between white space; that around "@" and "." is none (RFC 5322 4.4)."""
    words: list[list[str]] = []
    apart = True
    for token in tokens:
        if token.isspace():
            apart = apart or bool(words and words[-1][-1] not in ("@", "."))
            continue
        if words and (not apart or token in ("@", ".")):
            words[-1].append(token)
        else:
            words.append([token])
        apart = False
    return words


def _comment_end(text: str, position: int) -> int:
    """Where the comment that begins here ends, comments in it included."""
    depth = 0
    while position < len(text):
        match = _COMMENT_TOKEN.match(text, position)
        assert match
        position = match.end()
        depth += (match[0] == "(") - (match[0] == ")")
        if depth == 0:
            break
    return position
