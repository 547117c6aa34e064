"""Scanners for tests: programs that need no server, and whatever a test makes of an engine.

The law: these are real scanners on real processes; only what they look for is ours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from lumilter.adapters.scanners.contract import Engine
from lumilter.adapters.scanners.kinds import KINDS, Special
from lumilter.adapters.scanners.scanner import Scanner, Terms
from lumilter.adapters.scanners.service import ActiveFilter, Antivirus, Scanners

VIRUS = "lumilter-test-virus"
BROKEN = "lumilter-test-broken"

_PROGRAM = f"""
case $(cat) in
*{VIRUS}*) echo 'stream: Test.Virus FOUND'; exit 1;;
*{BROKEN}*) echo 'no database'; exit 2;;
esac
"""


def scanner(
    kind: str, servers: Sequence[Any] = ("",), name: str = "", special: Special | None = None, **terms: Any
) -> Scanner:
    """A scanner of that kind. terms: see Terms."""
    return Scanner(name or kind, KINDS[kind](special or Special()), servers, Terms(**terms))


def with_engine(engine: Engine, servers: Sequence[Any] = ("",), name: str = "engine", **terms: Any) -> Scanner:
    """A scanner with a test's own engine."""
    return Scanner(name, engine, servers, Terms(**terms))


def program(text: str, name: str = "program", **terms: Any) -> Scanner:
    """A shell script as a scanner."""
    return scanner(
        "command", name=name, special=Special(command=("/bin/sh", "-c", text), threat=": (.+) FOUND"), **terms
    )


def python(text: str, name: str = "program", memory: int = 0, **terms: Any) -> Scanner:
    """A Python program as a scanner."""
    command = (sys.executable, "-S", "-c", text)
    return scanner(
        "command", name=name, special=Special(command=command, threat=": (.+) FOUND", memory=memory), **terms
    )


def programs(**antivirus: Any) -> Scanners:
    """One program for every function."""
    return serving(program(_PROGRAM, "clamav"), **antivirus)


def serving(*scanners: Scanner, minimum_score: int = 0, **antivirus: Any) -> Scanners:
    """Scanners of which all are msys.av's and the first serves every other function."""
    names = tuple(each.name for each in scanners)
    functions = ("brightmail", "symantec_beik", "cloudmark", "commtouch", "expurgate", "spamc")
    return Scanners(
        {each.name: each for each in scanners},
        Antivirus(engines=names, **antivirus),
        dict.fromkeys(functions, names[0]),
        minimum_score,
        active_filter=ActiveFilter(wanted=False),
    )
