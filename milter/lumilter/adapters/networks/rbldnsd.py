"""Files of rbldnsd (ip4set, ip4trie, ip6trie): networks with an address record and a text each.

The law: a line that can't be read is reported and left out, as rbldnsd does; the rest counts. IPv4 and IPv6 may stand
in one file. The colon before an IPv6 network's values needs a space before it.

Source: rbldnsd(8); manual, msys.cidr.define. Compared with Debian's rbldnsd in tests/adapters.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lumilter.adapters.networks import addresses
from lumilter.adapters.networks.table import Builder

Report = Callable[[int, str], None]
"""Is told the line's number, from 1, and what is wrong with it."""

_FOUR = re.compile(r"(\d[\d.]*)(?:/(\d{1,2})|-(\d[\d.]*))?(?=[\s:#;]|\Z)", re.ASCII)
_SIX = re.compile(r"([0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(?:/(\d{1,3}))?(?=[\s#;]|\Z)", re.ASCII)
_RECORD = re.compile(r":(\d{1,3}(?:\.\d{1,3}){0,3})\s*(?::\s*(.*)|[#;].*)?", re.DOTALL | re.ASCII)
_VARIABLE = re.compile(r"\$([0-9]|\$)")
_ADDRESS_SETS = frozenset({"ip4set", "ip4trie", "ip4tset", "ip6trie", "ip6tset"})
_DEFAULT = "127.0.0.2"
_HOSTS = [(1 << (32 - size)) - 1 for size in range(33)]
"""Bits behind a prefix, by its size."""


@dataclass(slots=True)
class _Scope:
    """What holds for the lines to come; unlike rbldnsd's, variables and base do not reach lines before them."""

    record: str = _DEFAULT
    text: str = ""
    base: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    of_addresses: bool = True


def load(lines: Iterable[bytes], into: Builder, want_text: bool, report: Report) -> None:
    """Put a file's networks into a table.

    want_text: the value is the text, with $n replaced and $ left for the address (see interpolated), else the address
    record. An address that is listed without a text has the text "".
    """
    scope = _Scope()
    usual: str | None = None  # the value of lines that have none of their own, once it is known
    for number, raw in enumerate(lines, 1):
        network = _plain(raw)
        if network and scope.of_addresses:
            if usual is None:
                usual = _text(scope.text, scope) if want_text else scope.record
            into.add(False, *network, usual)
            continue
        line = raw.decode("utf-8", "surrogateescape").strip()
        if not line or line[0] in "#;":
            continue
        try:
            if line[0] == "$":
                usual = None
                _special(line, scope)
            elif not scope.of_addresses:
                continue
            elif line[0] == ":" and not line.startswith("::"):
                usual = None
                scope.record, scope.text = _values(line, _Scope())
            else:
                _entry(line, scope, into, want_text)
        except ValueError as error:
            report(number, str(error))


def interpolated(text: str, address: str) -> str:
    """A text with the address in the place of every $, and $ in the place of $$."""
    return "$".join(part.replace("$", address) for part in text.split("$$"))


def _plain(line: bytes) -> tuple[int, int] | None:
    """First address and prefix of a line that is "192.0.2.1" or "192.0.2.0/24", in a fifth of the time; else None."""
    base, slash, prefix = line.partition(b"/")
    try:
        first = int.from_bytes(socket.inet_pton(socket.AF_INET, base.decode()), "big")
    except (OSError, ValueError):
        return None
    if not slash:
        return first, 32
    if not (prefix.isdigit() and len(prefix) < 3 and (size := int(prefix)) <= 32 and not first & _HOSTS[size]):
        return None
    return first, size


def _special(line: str, scope: _Scope) -> None:
    name, _, value = line[1:].partition(" ")
    value = value.strip()
    if name[:1].isdigit():
        scope.variables[name[0]] = f"{name[1:]} {value}".strip()
    elif name[:1] == "=":
        scope.base = f"{name[1:]} {value}".strip()
    elif name.upper() == "DATASET":
        kind = value.partition(" ")[0].partition(":")[0]
        scope.record, scope.text, scope.base = _DEFAULT, "", ""
        scope.of_addresses = kind in _ADDRESS_SETS


def _entry(line: str, scope: _Scope, into: Builder, want_text: bool) -> None:
    excluded = line[0] == "!"
    if excluded:
        line = line[1:].lstrip()
    six, first, last, rest = _range(line)
    value: str | None = None
    if not excluded:
        record, text = _values(rest, scope)
        value = _text(text, scope) if want_text else record
    into.add_range(six, first, last, value)


def _range(line: str) -> tuple[bool, int, int, str]:
    """Is it IPv6, the first and the last address, and what stands behind them."""
    six = _SIX.match(line)
    if six and ("." not in six[1] or "::" in six[1]):
        return True, *_six(six[1], six[2], line), line[six.end() :].lstrip()
    four = _FOUR.match(line)
    if not four:
        raise ValueError(f"no network at the beginning of {line[:80]!r}")
    return False, *_four(four[1], four[2], four[3], line), line[four.end() :].lstrip()


def _four(base: str, length: str | None, end: str | None, line: str) -> tuple[int, int]:
    octets = _octets(base, line)
    first = _number(octets + [0] * (4 - len(octets)))
    if length is not None:
        if int(length) > 32 or first & ((1 << (32 - int(length))) - 1):
            raise ValueError(f"bits behind the prefix in {line[:80]!r}")
        return first, first | ((1 << (32 - int(length))) - 1)
    if end is None:
        return first, _number(octets + [255] * (4 - len(octets)))
    ends = _octets(end, line)
    if len(ends) == 1:  # 127.16-31: another last octet
        ends = octets[:-1] + ends
    last = _number(ends + [255] * (4 - len(ends)))
    if last < first:
        raise ValueError(f"the end comes before the beginning in {line[:80]!r}")
    return first, last


def _six(base: str, length: str | None, line: str) -> tuple[int, int]:
    groups = 8
    if "::" not in base and base.count(":") < 7:  # trailing groups may be left out
        groups = base.count(":") + 1
        base += "::"
    six, first = addresses.address(base)
    size = int(length) if length is not None else 16 * groups
    if not six or size > 128 or first & ((1 << (128 - size)) - 1):
        raise ValueError(f"bits behind the prefix in {line[:80]!r}")
    return first, first | ((1 << (128 - size)) - 1)


def _octets(text: str, line: str) -> list[int]:
    octets = [int(part) if part else 256 for part in text.split(".")]
    if len(octets) > 4 or max(octets) > 255:
        raise ValueError(f"no network at the beginning of {line[:80]!r}")
    return octets


def _number(octets: list[int]) -> int:
    return int.from_bytes(bytes(octets), "big")


def _values(rest: str, scope: _Scope) -> tuple[str, str]:
    """Address record and text: ":2:text", ":127.0.0.2", "text" or nothing."""
    if not rest or rest[0] in "#;":
        return scope.record, scope.text
    if rest[0] != ":":
        return scope.record, rest
    found = _RECORD.fullmatch(rest)
    if not found:
        raise ValueError(f"no value in {rest[:80]!r}")
    return _record(found[1], rest), scope.text if found[2] is None else found[2]


def _record(text: str, rest: str) -> str:
    octets = [int(part) for part in text.split(".")]
    if max(octets) > 255 or not any(octets):
        raise ValueError(f"no address in {rest[:80]!r}")
    if len(octets) == 1:
        octets = [127, 0, 0, *octets]
    return ".".join(map(str, [0] * (4 - len(octets)) + octets))


def _text(text: str, scope: _Scope) -> str:
    if scope.base and not text.startswith("="):
        text = "$$".join(part.replace("$=", text or "$") for part in scope.base.split("$$"))
    text = text.removeprefix("=")
    return _VARIABLE.sub(lambda m: m[0] if m[1] == "$" else scope.variables.get(m[1], ""), text)
