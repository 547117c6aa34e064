"""The supervisor's side of the console: Momentum's commands where they fit, and those that scripts register.

The law: answers what the supervisor knows, and passes everything else to workers, with the words as they are. A command
never waits for a worker that is gone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lumilter import __version__
from lumilter.config import live
from lumilter.daemon import console
from lumilter.daemon.control import EX_USAGE, Request
from lumilter.daemon.figures import by_label, value_of
from lumilter.daemon.supervisor import Supervisor
from lumilter.daemon.workforce import Worker
from lumilter.errors import LumilterError

EX_UNAVAILABLE = 69

HELP: Mapping[str, str] = {
    "help [COMMAND]": "what commands there are",
    "version": "the version of lumilter",
    "sysinfo": "versions of lumilter, Python and the system",
    "summary": "totals since the start",
    "config get [SCOPE...] NAME": "the value of a key, such as: config get lua deadline",
    "config show [SCOPE...]": "the keys of a scope, such as: config show pool IO",
    "config set [SCOPE...] NAME VALUE": "change a key in all workers, until the next reload",
    "config reload": "read configuration and scripts anew",
}


class _Job:
    """A command that workers run. text: what those have printed that are asked together."""

    def __init__(self, request: Request, workers: Sequence[Worker], labelled: bool) -> None:
        self.request, self.waiting, self.labelled = request, set(workers), labelled
        self.text: dict[Worker, list[str]] = {worker: [] for worker in workers}
        self.status, self.errors = 0, [""]


class Commands:
    """The console's commands. reload: the verb of that name. fresh: calls back with new figures of the workers."""

    def __init__(
        self,
        supervisor: Supervisor,
        reload: Callable[[Request], None],
        fresh: Callable[[Callable[[], None]], None],
    ) -> None:
        self._supervisor, self._reload, self._fresh = supervisor, reload, fresh
        self._idents = itertools.count(1)
        self._jobs: dict[int, _Job] = {}

    # --- what is asked -----------------------------------------------------------------------------------------------

    def run(self, request: Request) -> None:
        """Answer a command. args: words after the first, and perhaps the index of a worker."""
        given = request.args.get("words")
        words = [request.verb, *(str(word) for word in (given if isinstance(given, list) else []))]
        own = {
            "help": self._help,
            "version": self._version,
            "sysinfo": self._sysinfo,
            "summary": self._summary,
            "config": self._config,
        }.get(words[0])
        if own is not None:
            own(request, words[1:])
        else:
            self._pass_on(request, words)

    def _help(self, request: Request, words: Sequence[str]) -> None:
        wanted = " ".join(words)
        texts = {**HELP, **console.HELP, **dict.fromkeys(self._registered(), "registered by a script")}
        found = {name: text for name, text in texts.items() if name.lower().startswith(wanted.lower())}
        if request.args.get("names"):
            request.data(list(texts))
        elif found:
            width = max(map(len, found))
            for name, text in found.items():
                request.text(f"{name:<{width}}  {text}")
        else:
            request.end(EX_USAGE, f'there is no command "{wanted}"')
            return
        request.end()

    def _registered(self) -> list[str]:
        return sorted({name for worker in self._supervisor.current() for name in worker.commands})

    def _version(self, request: Request, words: Sequence[str]) -> None:
        request.text(f"lumilter {__version__}")
        request.end()

    def _sysinfo(self, request: Request, words: Sequence[str]) -> None:
        system = os.uname()
        request.text(f"lumilter Version: {__version__}")
        request.text(f"Python {platform.python_version()}")
        with contextlib.suppress(OSError):
            request.text(platform.freedesktop_os_release()["PRETTY_NAME"])
        request.text(f"{system.sysname} {system.nodename} {system.release} {system.version} {system.machine}")
        request.end()

    def _summary(self, request: Request, words: Sequence[str]) -> None:
        def answer() -> None:
            for line in _summary(self._supervisor):
                request.text(line)
            request.end()

        self._fresh(answer)

    # --- configuration -----------------------------------------------------------------------------------------------

    def _config(self, request: Request, words: Sequence[str]) -> None:
        action, rest = (words[0].lower() if words else ""), list(words[1:])
        supervisor = self._supervisor
        if action in ("get", "eval") and rest:
            found = live.find(supervisor.config, rest)
            if found is None:
                request.end(1, f"Option '{rest[-1]}' is not set in scope '{' '.join(rest[:-1])}'.")
                return
            request.text(str(found))
        elif action in ("show", "showrecurse"):
            lines = live.show(supervisor.config, rest)
            if not lines:
                request.end(1, f"there is no scope '{' '.join(rest)}'")
                return
            for line in lines:
                request.text(line)
        elif action == "set" and len(rest) > 1:
            try:
                request.text(self.set(rest, None))
            except LumilterError as error:
                request.end(1, str(error))
                return
        elif action == "reload" and not rest:
            self._reload(request)
            return
        else:
            request.end(EX_USAGE, "expected config get, eval, set, show or reload; see help config")
            return
        request.end()

    def set(self, words: Sequence[str], told_by: Worker | None) -> str:
        """Change a key here and in all workers but the one that has done so. Raises LumilterError."""
        found = self._supervisor.configure(words)
        for worker in self._supervisor.current():  # a new one is told when it serves
            if worker is not told_by and worker.generation == self._supervisor.generation:
                worker.channel.send({"set": list(words)})
        return str(found)

    # --- workers -----------------------------------------------------------------------------------------------------

    def _pass_on(self, request: Request, words: list[str]) -> None:
        workers = self._workers(request, words)
        if not workers:
            request.end(EX_UNAVAILABLE, "no such worker serves")
            return
        ident = next(self._idents)
        self._jobs[ident] = _Job(request, workers, len(workers) > 1)
        request.on_end = lambda: self._forget(ident)
        for worker in workers:
            worker.channel.send({"run": {"id": ident, "words": words}})

    def _forget(self, ident: int) -> None:
        """Who asked is gone; what runs may run on."""
        self._jobs.pop(ident, None)

    def _workers(self, request: Request, words: Sequence[str]) -> list[Worker]:
        serving = [w for w in self._supervisor.current() if w.generation == self._supervisor.generation]
        index = request.args.get("worker")
        if index is not None:
            return [worker for worker in serving if worker.index == index][:1]
        if words[0].lower() in console.IN_ALL:
            return serving
        keepers = [worker for worker in serving if worker in self._supervisor.timekeeper.workers]
        return (keepers or serving)[:1]

    def said(self, worker: Worker, message: Mapping[str, Any]) -> None:
        """What a worker says of a command."""
        job = self._jobs.get(message["id"])
        if job is None or worker not in job.waiting:
            return  # who asked is gone
        if "text" in message:
            if job.labelled:
                job.text[worker].append(message["text"])
            else:
                job.request.text(message["text"])
        if "end" in message:
            self._ended(message["id"], worker, message["end"], message["error"])

    def gone(self, worker: Worker) -> None:
        """A worker has ended, and with it what it ran."""
        for ident, job in list(self._jobs.items()):
            if worker in job.waiting:
                self._ended(ident, worker, EX_UNAVAILABLE, f"worker {worker.index} has ended")

    def _ended(self, ident: int, worker: Worker, status: int, error: str) -> None:
        job = self._jobs[ident]
        job.waiting.discard(worker)
        if job.labelled and job.text[worker]:
            job.request.text(f"worker {worker.index}:")
            for text in job.text.pop(worker):
                job.request.text(text)
        job.status = max(job.status, status)
        if error and error not in job.errors:
            job.errors.append(error)
        if not job.waiting:
            del self._jobs[ident]
            job.request.end(job.status, "; ".join(filter(None, job.errors)))


def _summary(supervisor: Supervisor) -> list[str]:
    """The manual's words for what is the same here."""
    total = supervisor.ledger.total()
    verdicts = by_label(total, "verdicts")
    uptime = max(1.0, time.time() - supervisor.started)
    lookups = value_of(total, "dns_cache_hits") + value_of(total, "dns_cache_misses")
    messages = value_of(total, "messages")
    named: dict[str, str] = {
        "Inbound Concurrency": f"{value_of(total, 'sessions_open'):.0f}",
        "Received Sessions": f"{value_of(total, 'sessions'):.0f}",
        "DNS Queries": f"{lookups:.0f}",
        "DNS Queries from Cache": f"{value_of(total, 'dns_cache_hits'):.0f}",
        "Pending Queries": f"{value_of(total, 'tasks_waiting'):.0f}",
        "Query Rate": f"{lookups / uptime:.2f} queries/second",
        "Received Messages": f"{messages:.0f}",
        **{f"Verdict {name}": f"{count:.0f}" for name, count in sorted(verdicts.items())},
        "Script Errors": f"{value_of(total, 'script_errors'):.0f}",
        "Reception Rate": f"{messages / uptime:.2f} messages/second",
        "Uptime": f"{uptime:.0f} seconds",
    }
    return ["Summary Statistics", *(f"        {name}: {value}" for name, value in named.items())]
