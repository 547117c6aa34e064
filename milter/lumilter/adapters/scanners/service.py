"""All scanners of a configuration, and which of them serves which function.

The law: names only; what a scanner says is for the functions to put into their own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lumilter.adapters.cache import Cache
from lumilter.adapters.scanners.contract import Result
from lumilter.adapters.scanners.scanner import Scanner


@dataclass(frozen=True, slots=True)
class Antivirus:
    """The [antivirus] table: see there. engines: in the order in which they are asked."""

    engines: tuple[str, ...] = ()
    action: str = "pass"
    context_variable: str = ""
    skip_context_variable: str = "skip_virus_check"
    error_code: int = 451


@dataclass(slots=True)
class ActiveFilter:
    """What scripts said about Cloudmark's ActiveFilter. wanted: the configuration does not go on without it, and there
    is none. told: whether the log says that it is not there.
    """

    wanted: bool = True
    mode: str = ""
    address: str = ""
    told: bool = False


@dataclass(frozen=True, slots=True)
class Scanners:
    """by_name: all that are configured. serves: function ("brightmail", "cloudmark" ...) to a scanner's name.

    analyses: what Cloudmark's server said, by the text that stands for it.
    """

    by_name: Mapping[str, Scanner] = field(default_factory=dict)
    antivirus: Antivirus = field(default_factory=Antivirus)
    serves: Mapping[str, str] = field(default_factory=dict)
    minimum_score: int = 0
    analyses: Cache[Result] = field(default_factory=lambda: Cache(1000, 3600.0))
    active_filter: ActiveFilter = field(default_factory=ActiveFilter)

    @property
    def engines(self) -> Sequence[Scanner]:
        """Those that msys.av asks."""
        return [self.by_name[name] for name in self.antivirus.engines]

    def serving(self, function: str) -> Scanner | None:
        """The scanner of a vendor's function; None where none is configured."""
        return self.by_name.get(self.serves.get(function, ""))

    def watch(self, on_scan: Callable[[str, float, str], None]) -> None:
        """Be told of every scan: name, seconds, outcome; any thread."""
        for scanner in self.by_name.values():
            scanner.on_scan = on_scan

    def left_alone(self) -> int:
        """Servers whose circuit is open."""
        return sum(scanner.stats()["servers_left_alone"] for scanner in self.by_name.values())

    def close(self) -> None:
        """Start no more scans; those that run end by their deadlines."""
        for scanner in self.by_name.values():
            scanner.close()

    def stats(self) -> dict[str, dict[str, Any]]:
        """Figures of each scanner by name, as Scanner.stats gives them."""
        return {name: scanner.stats() for name, scanner in self.by_name.items()}
