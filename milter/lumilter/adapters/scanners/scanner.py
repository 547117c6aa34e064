"""A scanner of the configuration: an engine with its servers, and what is the same for every kind of engine.

The law: `scan` ends by the deadline with a Result or a ScanError, and nothing else; every one is counted. Any thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lumilter.adapters.cache import Cache
from lumilter.adapters.scanners.circuit import Circuit, Circuits
from lumilter.adapters.scanners.contract import MOST_RULES, Engine, Result, Sample, ScanError, Verdict

log = logging.getLogger("lumilter.scan")

_SPARE = 1.0
"""Seconds of a hook's time that are left to it, so that it hears of a failure before it is stopped itself."""


_FAIR = 1.0
"""Seconds that a server has to have had before its silence says something about it, and not about the hook."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one scanner may use.

    timeout: seconds for one try; retries: tries after the first; concurrency: scans at the same time in this process;
    size_limit: bytes of a sample, 0 is no limit; cache, cache_time: results, seconds; failures, pause: see Circuit.
    """

    timeout: float = 10.0
    retries: int = 1
    concurrency: int = 10
    size_limit: int = 0
    cache: int = 1000
    cache_time: float = 300.0
    failures: int = 5
    pause: float = 30.0


class Scanner:
    """on_scan: called with name, seconds and outcome of every scan; must not raise.

    Outcomes: a Verdict, cached, or a ScanError's word.
    """

    def __init__(self, name: str, engine: Engine, servers: Sequence[Any], terms: Terms) -> None:
        self.name, self.engine, self.terms = name, engine, terms
        self.on_scan: Callable[[str, float, str], None] = lambda name, seconds, outcome: None
        self._circuits = Circuits(servers, terms.failures, terms.pause)
        # The hooks of each recipient ask for the same message.
        self._cache: Cache[Result] = Cache(terms.cache, terms.cache_time)
        self._slots = threading.BoundedSemaphore(terms.concurrency)
        self._pool: ThreadPoolExecutor | None = None
        self._counts: Counter[str] = Counter()
        self._seconds = 0.0
        self._lock = threading.Lock()

    @property
    def kind(self) -> str:
        """The engine's."""
        return self.engine.kind

    @property
    def pool(self) -> Executor:
        """Threads of its own, so that scans which wait for this engine take none from lookups and other engines."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.terms.concurrency, thread_name_prefix=f"scan-{self.name}")
            return self._pool

    def scan(self, sample: Sample, deadline: float) -> Result:
        """Ask the engine. deadline: a time.monotonic() value. Raises ScanError."""
        began = time.monotonic()
        outcome = "error"
        try:
            result, outcome = self._scan(sample, deadline - min(_SPARE, 0.1 * max(0.0, deadline - began)))
            return result
        except ScanError as error:
            outcome, error.scanner = error.word, self.name
            raise
        finally:
            seconds = time.monotonic() - began
            with self._lock:
                self._counts[outcome] += 1
                self._seconds += seconds
            self.on_scan(self.name, seconds, outcome)

    def _scan(self, sample: Sample, until: float) -> tuple[Result, str]:
        limit = self.terms.size_limit
        if 0 < limit < sample.size:
            info = f"{sample.size} bytes are more than the size_limit of {self.name} ({limit})"
            return Result(Verdict.UNSCANNABLE, info, scanner=self.name), str(Verdict.UNSCANNABLE)
        if time.monotonic() >= until:  # it waited for a thread until nobody wanted it any more
            raise ScanError("timeout", f"{self.name}: no time was left to ask")
        digest = sample.digest(self.engine.wants_envelope) if self._cache.keeps else b""
        if digest and (kept := self._cache.get(digest)) is not None:
            return kept, "cached"
        if not self._slots.acquire(timeout=max(0.0, until - time.monotonic())):
            raise ScanError("timeout", f"{self.name}: no scan ended in time, {self.terms.concurrency} are running")
        try:
            found = self._asked(sample, until)
        finally:
            self._slots.release()
        result = replace(found, scanner=self.name, rules=found.rules[:MOST_RULES])
        if digest:
            self._cache.put(digest, result)
        return result, str(result.verdict)

    def _asked(self, sample: Sample, until: float) -> Result:
        """The answer of the first server that gives one."""
        slow: list[Circuit] = []
        last: ScanError | None = None
        for _ in range(1 + self.terms.retries):
            begun = time.monotonic()
            if begun >= until:
                last = last or ScanError("timeout", f"{self.name}: no time was left to ask")
                break
            circuit = self._circuits.take(slow)
            if circuit is None:
                break
            end = min(until, begun + self.terms.timeout)
            try:
                result = self._answer(sample, circuit.server, end)
            except ScanError as error:
                last = ScanError(error.word, f"{self.name}{_at(circuit.server)}: {error}")
                if not error.fault:
                    self._circuits.answered(circuit)
                    raise last from None
                if error.word == "timeout" and end - begun < min(_FAIR, self.terms.timeout):
                    self._circuits.given_back(circuit)
                elif self._circuits.failed(circuit):
                    log.warning("scanner %s, left alone for %g s", last, self.terms.pause)
                if error.word == "timeout":
                    slow.append(circuit)  # a second time would only take as long
            else:
                if self._circuits.answered(circuit):
                    log.warning("scanner %s%s answers again", self.name, _at(circuit.server))
                return result
        if last is not None:
            raise last
        raise ScanError("circuit", f"{self.name} is not asked for now, it failed {self.terms.failures} times in a row")

    def _answer(self, sample: Sample, server: Any, deadline: float) -> Result:
        try:
            return self.engine.scan(sample, server, deadline)
        except ScanError:
            raise
        except TimeoutError:
            raise ScanError("timeout", "no answer in time") from None
        except OSError as error:
            raise ScanError("down", error.strerror or str(error) or type(error).__name__) from None
        except Exception as error:  # a library's own, at an answer that nobody foresaw
            log.exception("scanner %s%s: the engine failed", self.name, _at(server))
            raise ScanError("nonsense", f"internal error, see the log: {type(error).__name__}") from None

    def stats(self) -> dict[str, Any]:
        """Figures since the process began: scans by outcome, their mean in seconds, and servers that are left alone."""
        with self._lock:
            counts, seconds = dict(self._counts), self._seconds
        total = sum(counts.values())
        return {
            "kind": self.kind,
            "scans": total,
            "outcomes": counts,
            "mean_seconds": seconds / total if total else 0.0,
            "servers": len(self._circuits),
            "servers_left_alone": self._circuits.open(),
            "cached": self._cache.stats().entries,
        }

    def close(self) -> None:
        """Start no more scans."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _at(server: Any) -> str:
    return f" at {server}" if str(server) else ""
