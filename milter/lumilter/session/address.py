"""Addresses: SMTP paths (RFC 5321) and the address lists of header fields (RFC 5322).

The law: any text gives an answer; what is not an address gives an empty one. Local parts stay as written.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Any

from lumilter.errors import LumilterError

COMPONENTS = ("all", "localpart", "user", "detail", "domain")

_ROUTE = re.compile(r"@[^:<>\s]*:")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LENIENT: dict[str, Any] = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}
"""Later Pythons refuse a whole field for one odd address (gh-102988); the manual's function parses what it can."""


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse or forward path. address: canonical, without angle brackets and source route; "" is the null sender."""

    localpart: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.localpart}@{self.domain}" if self.domain else self.localpart

    @staticmethod
    def parse(text: str) -> Path:
        """Read what came after MAIL FROM: or RCPT TO:, or what a script gave; parameters after ">" are ignored."""
        text = text.strip()
        if text.startswith("<"):
            text = _inside(text)
        route = _ROUTE.match(text)
        if route:
            text = text[route.end() :]
        at = _last_at(text)
        return Path(text, "") if at < 0 else Path(text[:at], text[at + 1 :])


def addresses(text: str, component: str) -> list[str]:
    """That component of every address in a field's value; raises LumilterError for a component that is none.

    all: user+detail@domain; localpart: before the "@"; user, detail: before and after the first "+"; domain.
    """
    if component not in COMPONENTS:
        raise LumilterError(f"component {component!r} is none of {', '.join(COMPONENTS)}")
    found = []
    for _, address in getaddresses([text], **_LENIENT):
        if address:
            found.append(_component(Path.parse(address), component))
    return found


def _component(path: Path, component: str) -> str:
    user, _, detail = path.localpart.partition("+")
    parts = {
        "all": path.address, "localpart": path.localpart, "user": user, "detail": detail, "domain": path.domain,
    }  # fmt: skip
    return parts[component]


def _inside(text: str) -> str:
    """What is between "<" and the ">" that is not in a quoted string; to the end if there is none."""
    position = 1
    while position < len(text):
        quoted = _QUOTED.match(text, position)
        if quoted:
            position = quoted.end()
        elif text[position] == ">":
            return text[1:position]
        else:
            position += 1
    return text[1:]


def _last_at(text: str) -> int:
    """Index of the "@" before the domain: the last one that is not in a quoted string; -1 without."""
    if '"' not in text:
        return text.rfind("@")
    found, position = -1, 0
    while position < len(text):
        quoted = _QUOTED.match(text, position)
        if quoted:
            position = quoted.end()
            continue
        if text[position] == "@":
            found = position
        position += 1
    return found
