"""The worker's side of the console: commands that need scripts, or figures that only a worker has.

The law: on the loop's thread. A command ends once, with an exit status; what it prints goes to the supervisor as it is
printed.

    it is told {"run": {"id": n, "words": [...]}}
    it says    {"said": {"id": n, "text": "..."}} ..., then {"said": {"id": n, "end": status, "error": "..."}}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lumilter.adapters.networks.console import cidrdb
from lumilter.daemon.engine import Engine
from lumilter.errors import LumilterError, ScriptError
from lumilter.host.pool_figures import figures_text
from lumilter.state import console

log = logging.getLogger("lumilter.worker")

EX_OK, EX_USAGE, EX_SCRIPT = 0, 64, 70

IN_ALL = ("threads", "dns_cache", "ds_core", "cidrdb")
"""First words of commands that every worker answers for itself."""
HELP: Mapping[str, str] = {
    "scriptlet eval LUA": "run Lua in the scripts' state of one worker, and print what it returns",
    "threads stats": "what the pools for closures and the threads for lookups have done",
    "threads NAME queue": "how many jobs of a pool run, and how many wait for a place",
    "dns_cache stats": "how often the DNS cache had the answer",
    "dns_cache flush": "forget all DNS answers",
    "ds_core stats": "what the datasources and their caches have done",
    "ds_core flush [NAME]": "forget the answers of one datasource, or of all",
    "cidrdb list": "the lists of networks, and when they are loaded again",
    "cidrdb reload NAME": "load one of them now",
    "inbound_audit help": "what clients did: connections, receptions, rejections, and audit series",
    "counter help": "counters of scripts",
}


class Console:
    """Runs commands for the supervisor. send: a message to it."""

    def __init__(self, engine: Engine, send: Callable[[Any], None]) -> None:
        self._engine, self._send = engine, send

    def run(self, ident: int, words: Sequence[str]) -> None:
        """Run one command."""

        def line(text: str) -> None:
            self._send({"said": {"id": ident, "text": text}})

        def end(status: int = EX_OK, error: str = "") -> None:
            self._send({"said": {"id": ident, "end": status, "error": error}})

        def ended(error: ScriptError | None) -> None:
            end(EX_OK if error is None else EX_SCRIPT, "" if error is None else str(error))

        controls = self._engine.host.controls
        try:
            if (first := words[0].lower().partition(":")[0] if words else "") in console.COMMANDS:
                command, state = console.COMMANDS[first], self._engine.setup.services.state
                self._apart(lambda: command(state, words[1:]), words, line, end)
                return
            if first == "cidrdb":
                lists = self._engine.setup.services.cidr_lists
                self._apart(lambda: cidrdb(lists, words[1:]), words, line, end)
                return
            if tuple(words[:2]) == ("scriptlet", "eval"):
                if len(words) < 3:
                    end(EX_USAGE, "scriptlet eval: expected Lua to run")
                else:
                    controls.evaluate(" ".join(words[2:]), line, ended)
                return
            answer = self._built_in(words)
            if answer is not None:
                for text in answer:
                    line(text)
                end()
            elif not controls.run(words, line, ended):
                end(EX_USAGE, f'there is no command "{" ".join(words)}"; "help" lists them')
        except Exception as error:
            log.exception("the command %s failed", words)
            end(EX_SCRIPT, f"internal error: {error}")

    def _built_in(self, words: Sequence[str]) -> Iterable[str] | None:
        match [word.lower() for word in words]:
            case ["threads", "stats"]:
                pools = self._engine.host.pools
                return [figures_text(figures) for name in pools.names() if (figures := pools.figures(name))]
            case ["threads", name, "queue"]:
                return self._queue(name)
            case ["dns_cache", "stats" | "flush" as what]:
                return self._dns(what)
            case ["ds_core", "stats"]:
                return _datasources(self._engine.setup.services.datasources.stats())
            case ["ds_core", "flush", *_] if len(words) < 4:
                return self._flush(words[2] if len(words) == 3 else None)
        return None

    def _apart(
        self,
        command: Callable[[], list[str]],
        words: Sequence[str],
        line: Callable[[str], None],
        end: Callable[..., None],
    ) -> None:
        """Run a command that may take long on a thread of its own."""
        loop = self._engine.loop

        def done(future: Future[list[str]]) -> None:
            error = future.exception()
            if isinstance(error, LumilterError):
                end(EX_USAGE, str(error))
            elif error is not None:
                log.error("the command %s failed", words, exc_info=error)
                end(EX_SCRIPT, f"internal error: {error}")
            else:
                for text in future.result():
                    line(text)
                end()

        loop.pool.submit(command).add_done_callback(lambda future: loop.post(lambda: done(future)))

    def _queue(self, name: str) -> Iterable[str]:
        figures = self._engine.host.pools.figures(name)
        if figures is None:
            return [f"there is no pool {name}"]
        return [
            f"Jobs in the {figures['name']} pool",
            f"{figures['job_num_running']} running, {figures['job_num_queued']} queued",
        ]

    def _dns(self, what: str) -> Iterable[str]:
        resolver: Any = self._engine.setup.services.resolver
        if what == "flush":
            return [f"flushed {resolver.flush()} entries"]
        stats = resolver.stats()
        lookups = stats.hits + stats.misses
        rate = 100 * stats.hits / lookups if lookups else 0.0
        return [
            "DNS cache:",
            f"    Lookups: {lookups}",
            f"   Hit Rate: {rate:.4f}%",
            f"    Entries: {stats.entries}",
        ]

    def _flush(self, name: str | None) -> Iterable[str]:
        count = self._engine.setup.services.datasources.flush(name)
        if count is None:
            return [f"there is no datasource '{name}'"]
        return [f"flushed {count} entries from {f'cache {name!r}' if name else 'all caches'}"]


_COLUMNS = ("elts", "hit%", "miss%", "pend%", "lookups", "inserts", "manual", "ttl", "lru", "busy", "queued")


def _datasources(stats: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """A table of caches, and a line for each server."""
    if not stats:
        return ["no datasource is configured"]
    lines = [f"{'cache name':<22} " + " ".join(f"{name:>7}" for name in _COLUMNS)]
    for name, each in stats.items():
        parts = [each[key] for key in ("hits", "misses", "pending")]
        lookups = sum(parts)
        shares = [f"{100 * part / lookups:.0f}" if lookups else "-" for part in parts]
        numbers = [each[key] for key in ("inserts", "manual", "expired", "evicted", "busy", "queued")]
        cells = [each["entries"], *shares, lookups, *numbers]
        lines.append(f"{name:<22} " + " ".join(f"{cell:>7}" for cell in cells))
        for place in each["places"]:
            state = "up" if place["up"] else f"down: {place['error']}"
            lines.append(f"  {place['uri']}: {place['queries']} queries, {place['failures']} failed, {state}")
    return lines
