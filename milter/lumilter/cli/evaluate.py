"""`lumilter eval LUA`: evaluate Lua against the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator
from typing import Any

from lumilter.cli.offline import add_sources, offline_setup
from lumilter.daemon.engine import Engine
from lumilter.host.drive import RunLua
from lumilter.host.values import from_wire, to_wire


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("eval", help="evaluate Lua against the configuration")
    add_sources(parser)
    parser.add_argument("lua", metavar="LUA", help="an expression, or statements")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print each result on a line of its own."""
    setup = offline_setup(options, lambda here, text: print(text))
    engine = Engine(setup)
    try:
        for text in engine.call(lambda answer: engine.host.drive(_evaluate(engine, options.lua), answer)):
            print(text)
    finally:
        engine.stop()
    return 0


def _evaluate(engine: Engine, source: str) -> Generator[RunLua, Any, list[str]]:
    boot = engine.host.state.boot
    found: list[str] = []

    def body(chunk: str) -> Callable[..., Any]:
        return lambda *limits: boot.start(*limits, boot.evaluate, to_wire(chunk), collect)

    def collect(*texts: str) -> None:
        found.extend(from_wire(text) for text in texts)

    yield RunLua("load", body(source))
    return found
