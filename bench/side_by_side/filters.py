"""The filters that are compared: how each is configured and started.

The law: the same policy in each one's own language (the files beside this one), and nothing else switched on; a filter
that is not installed is left out of the tables, and said so.
"""

from __future__ import annotations

import os
import shutil
import socket
import string
import sys
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parent
ROOT = FILES.parents[1]


@dataclass(frozen=True)
class Filter:
    """program: "pymilter", "lumilter", "opendkim" or "rspamd". variant: of pymilter its filter, of lumilter its wire.

    family: "unix" or "inet", on which it listens.
    """

    program: str
    variant: str = ""
    workers: int = 1
    family: str = "unix"

    @property
    def name(self) -> str:
        titles = {
            "all": "pymilter, answers every event",
            "end": "pymilter, answers the end only",
            "policy": "pymilter, the policy in Python",
        }
        return titles.get(self.variant, f"{self.program}, wire {self.variant}" if self.variant else self.program)

    @property
    def edits(self) -> int:
        """Header fields that it adds to each message."""
        return 0 if self.variant in ("all", "end") else 1

    @property
    def missing(self) -> bool:
        """Its program is not installed."""
        return self.program in ("opendkim", "rspamd") and self._executable is None

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT / "milter")} if self.program == "lumilter" else {}

    @property
    def _executable(self) -> str | None:
        return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    def prepare(self, directory: Path) -> tuple[list[str], str]:
        """The command that serves, and where a client finds it; what it needs is written to the directory."""
        where = f"unix:{directory}/milter" if self.family == "unix" else f"inet:{_free_port()}@127.0.0.1"
        if self.program == "pymilter":
            return [sys.executable, str(FILES / "pymilter_filter.py"), where, self.variant], where
        suffix = "toml" if self.program == "lumilter" else "conf"
        config = directory / f"{self.program}.{suffix}"
        config.write_text(
            string.Template((FILES / config.name).read_text()).substitute(
                name=self.name,
                socket=self._spelled(where),
                workers=self.workers,
                wire=self.variant,
                files=FILES,
                directory=directory,
            )
        )
        if self.program == "lumilter":
            return [sys.executable, "-m", "lumilter", "serve", "-c", str(config)], where
        if self.program == "opendkim":
            return [str(self._executable), "-f", "-x", str(config)], where
        (directory / "stop_words").touch()
        # -i: as the user who started it, root included, like the other filters.
        return [str(self._executable), "-f", "-i", "-c", str(config)], where

    def _spelled(self, where: str) -> str:
        if self.program == "opendkim":
            return where.replace("unix:", "local:")
        if self.program == "rspamd":
            rest = where.partition(":")[2]
            return f"{rest} mode=0666" if self.family == "unix" else "{1}:{0}".format(*rest.split("@"))
        return where


FILTERS = (
    Filter("pymilter", "all"),
    Filter("pymilter", "end"),
    Filter("pymilter", "policy"),
    Filter("pymilter", "policy", family="inet"),
    Filter("lumilter", "python"),
    Filter("lumilter", "python", 2),
    Filter("lumilter", "python", family="inet"),
    Filter("lumilter", "python", 2, "inet"),
    Filter("lumilter", "libmilter"),
    Filter("lumilter", "libmilter", 2),
    Filter("lumilter", "libmilter", family="inet"),
    Filter("lumilter", "libmilter", 2, "inet"),
    Filter("opendkim"),
    Filter("opendkim", family="inet"),
    Filter("rspamd"),
    Filter("rspamd", workers=2),
    Filter("rspamd", family="inet"),
)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
