"""The arrows of the architecture: who may import whom, and who owns which library. Read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "milter/lumilter"

MAY_IMPORT = {
    "errors": set(),
    "resources": set(),
    "momentum": set(),
    "registry": set(),
    "calls": {"session", "errors"},
    "pool": set(),
    "loop": {"pool"},
    "session": {"errors"},
    "wire": {"session", "loop", "errors"},
    "adapters": {"errors"},
    "state": {"errors"},
    "services": {"adapters", "state", "errors"},
    "config": {"errors"},
    "host": {"session", "loop", "registry", "calls", "momentum", "resources", "errors"},
    "api": {
        "session", "adapters", "state", "services", "host.values", "host.timers", "host.mutexes", "host.pools",
        "host.controls",
        "registry", "calls", "momentum", "errors",
    },
    "daemon": {
        "wire", "session", "host", "api", "adapters", "state", "services", "config", "loop", "registry", "calls",
        "resources", "errors", "__version__",
    },
    "cli": {
        "wire", "session", "host", "api", "adapters", "state", "services", "config", "daemon", "registry", "calls",
        "momentum", "errors", "__version__",
    },
    "reference": {"api", "momentum", "registry", "session"},
    "__init__": set(),
    "__main__": {"cli"},
}  # fmt: skip
"""Part of the package to the parts (or modules of them) that it may import; a part may always import itself."""

OWNERS = {"Milter": "wire", "milter": "wire", "lupa": "host", "lmdb": "state", "redis": "state"}
"""Libraries that one part keeps from the others: threads and exceptions of theirs stay there."""

IO = {
    "asyncio", "concurrent", "datetime", "fileinput", "http", "io", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "queue", "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket",
    "socketserver", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""What the session must not import: input, output, threads, clocks and chance are handed to it."""

FILES = sorted(ROOT.rglob("*.py"))


def part(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            module = node.module or ""
            if module == "lumilter":
                yield from ((node.lineno, f"lumilter.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def allowed(name: str, who: str) -> bool:
    """Whether the part `who` may import `name`, "lumilter" left off."""
    return any(name == may or name.startswith(f"{may}.") for may in MAY_IMPORT[who] | {who})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_arrows(file: Path) -> None:
    who = part(file)
    wrong = []
    for line, name in imports(file):
        top = name.partition(".")[0]
        if top == "lumilter":
            if not allowed(name.partition(".")[2], who):
                wrong.append(f"{file}:{line}: {who} must not import {name}")
        elif OWNERS.get(top, who) != who:
            wrong.append(f"{file}:{line}: only {OWNERS[top]} imports {name}")
        elif who == "session" and top in IO:
            wrong.append(f"{file}:{line}: session does no I/O and knows no clock, so it must not import {name}")
    assert not wrong, "\n".join(wrong)


def test_the_table_names_every_part_and_no_other() -> None:
    assert set(MAY_IMPORT) == {part(file) for file in FILES}
