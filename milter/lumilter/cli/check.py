"""`lumilter check`: does the configuration load, which hooks does each module have, what will not work.

The law: it runs the scripts' top level and init, as the daemon would, and nothing else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from lumilter.adapters.scanners.service import Scanners
from lumilter.cli.offline import load, offline_setup
from lumilter.config import Config
from lumilter.daemon import named_files
from lumilter.daemon.engine import Engine
from lumilter.daemon.scanning import unusable
from lumilter.daemon.shared_state import password_of
from lumilter.daemon.signatures import unreadable
from lumilter.errors import ConfigError
from lumilter.host.dialect.tokens import NAME, Tokens, tokenize
from lumilter.momentum import TABLE, packages
from lumilter.registry import CONSTANTS, FUNCTIONS
from lumilter.session.phases import HOOKS

STOCK_METHODS = frozenset(
    (
        *("byte", "char", "find", "format", "gfind", "gmatch", "gsub", "join", "joinhash", "len", "lower", "match"),
        *("rep", "reverse", "split", "sub", "trimspace", "upper"),
        *("close", "flush", "lines", "read", "seek", "setvbuf", "write"),
        *("lock", "unlock", "trylock"),
    )
)
"""Methods of strings, files and mutexes."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("check", help="load configuration and scripts, and say what will not work")
    parser.add_argument("-c", "--config", metavar="FILE")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
    parser.add_argument("script", nargs="*", metavar="SCRIPT", help="scripts to check, instead of a configuration")
    parser.set_defaults(run=run, fixtures=None, live=False)


def run(options: argparse.Namespace) -> int:
    """0, or 1 with --strict and warnings; what can't be loaded is raised."""
    settings = load(options)
    engine = Engine(offline_setup(options, lambda here, text: print(f"print: {text}")))
    try:
        warnings = [*settings.warnings, *engine.host.warnings]
        warnings += unknown_names(engine.host.state.sources)
        if settings.file:
            warnings += missing_engines(engine.host.state.sources, engine.setup.services.scanners)
            signatures = engine.setup.services.signatures
            at_start = [*unreadable(signatures, settings), *unusable(settings), *_password(settings)]
            warnings += [f"the daemon would not start: {problem}" for problem in at_start]
            warnings += named_files.problems(settings, signatures)
        for module in engine.host.modules:
            print(f"module {module.name}: {', '.join(hook for hook in HOOKS if hook in module.hooks)}")
    finally:
        engine.stop()
    for note in settings.notes:
        print(f"note: {note}")
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{len(engine.host.modules)} modules, {len(warnings)} warnings")
    return 1 if options.strict and warnings else 0


def _password(settings: Config) -> Iterator[str]:
    try:
        if settings.redis.server is not None:
            password_of(settings.redis)
    except ConfigError as error:
        yield error.message


def unknown_names(sources: dict[str, bytes]) -> list[str]:
    """What scripts name in msys, json, xml and such, and as methods, and is not there: "file:line: text"."""
    tables = {path: tokenize(source, Path(path).name) for path, source in sources.items()}
    own = {name for tokens in tables.values() for name in _assigned(tokens)}
    found = []
    for path, tokens in tables.items():
        for line, chain in _chains(tokens):
            problem = _problem(chain, own)
            if problem:
                found.append(f"{path}:{line}: {problem}")
        for line, method in _methods(tokens):
            if method not in own and method not in STOCK_METHODS and method not in _METHODS:
                absent = any(row.name.endswith(f":{method}") for row in TABLE)
                what = "is not available in this version" if absent else "is no method that lumilter knows"
                found.append(f"{path}:{line}: :{method}() {what}")
    return sorted(set(found), key=_position)


def missing_engines(sources: dict[str, bytes], scanners: Scanners) -> list[str]:
    """Functions that scripts call and no scanner is configured for: "file:line: text"."""
    found = []
    for path, source in sources.items():
        for line, chain in _chains(tokenize(source, Path(path).name)):
            package = chain.split(".")[1]
            if package == "cloudmark" and "_af" in chain and chain in FUNCTIONS and scanners.active_filter.wanted:
                found.append(f'{path}:{line}: {chain} is an error unless [engines] active_filter = "none"')
            if chain not in FUNCTIONS or not FUNCTIONS[chain].blocking:
                continue
            if package == "av" and not scanners.engines:
                found.append(f"{path}:{line}: {chain} has no engine: no [[scanner]] finds viruses")
            elif package in scanners.serves and scanners.serving(package) is None:
                found.append(f"{path}:{line}: {chain} has no engine: [engines] {package} names none")
    return sorted(set(found), key=_position)


_TABLES = frozenset(
    path.partition(".")[0]
    for path in (*(function.owner for function in FUNCTIONS.values() if function.kind == "function"), *CONSTANTS)
)
"""Global tables of ours: msys, json, xml ..."""
_METHODS = frozenset(function.member for function in FUNCTIONS.values() if function.kind == "method")


def _problem(chain: str, own: set[str]) -> str:
    """Why "msys.core.foo" will not work; "" if it will."""
    if chain in FUNCTIONS or chain in packages() or chain.rsplit(".", 1)[-1] in own:
        return ""
    package, _, member = chain.rpartition(".")
    if member in CONSTANTS.get(package, {}):
        return ""
    if any(known == chain or known.startswith(chain + ".") for known in (*packages(), *FUNCTIONS)):
        return ""
    if any(row.name == chain for row in TABLE):
        return f"{chain} is not available in this version"
    return f"{chain} is nothing that lumilter knows"


def _chains(tokens: Tokens) -> Iterator[tuple[int, str]]:
    """Every `msys.a.b`, `json.a` and such with its line.

    Where such a name, but for msys, ever stands without a dot behind it, the script may mean something of its own.
    """
    bare = {
        tokens.text(at).decode()
        for at, kind in enumerate(tokens.kinds)
        if kind == NAME and tokens.kinds[at + 1] != "." and (not at or tokens.kinds[at - 1] not in (".", ":"))
    }
    roots = _TABLES - bare | {"msys"}
    for at, kind in enumerate(tokens.kinds):
        if kind != NAME or (at and tokens.kinds[at - 1] in (".", ":")) or tokens.text(at).decode() not in roots:
            continue
        parts, end = [tokens.text(at).decode()], at
        while tokens.kinds[end + 1] == "." and tokens.kinds[end + 2] == NAME:
            parts.append(tokens.text(end + 2).decode())
            end += 2
        if len(parts) > 1 and tokens.kinds[end + 1] not in ("=",):
            yield tokens.lines[end], ".".join(parts)


def _methods(tokens: Tokens) -> Iterator[tuple[int, str]]:
    """Every call `x:name(...)` with its line; definitions (`function x:name`) are not calls."""
    for at, kind in enumerate(tokens.kinds):
        if kind == ":" and tokens.kinds[at + 1] == NAME and not _defines(tokens, at):
            yield tokens.lines[at + 1], tokens.text(at + 1).decode()


def _assigned(tokens: Tokens) -> Iterator[str]:
    """Names that a script gives to something of its own: `function a.b:name`, `x.name =`, `name =`."""
    for at, kind in enumerate(tokens.kinds):
        if kind == NAME and (tokens.kinds[at + 1] == "=" or (at and _defines(tokens, at - 1))):
            yield tokens.text(at).decode()


def _defines(tokens: Tokens, at: int) -> bool:
    """Whether the `:` or `.` at that place belongs to the name of a function that is being defined."""
    while at > 0 and tokens.kinds[at] in (":", ".", NAME):
        at -= 1
    return tokens.kinds[at] == "function"


def _position(text: str) -> tuple[str, int]:
    match = re.match(r"(.*?):(\d+): ", text)
    return (match[1], int(match[2])) if match else (text, 0)
