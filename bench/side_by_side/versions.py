"""What a run was made on: the machine and the versions of everything that took part.

The law: asked of the system at the time of the run, never written by hand.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("libmilter1.0.1", "opendkim", "rspamd")


def found() -> dict[str, str]:
    """What: which."""
    processor = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return {
        "processor": f"{len(os.sched_getaffinity(0))} x {processor[1] if processor else platform.machine()}",
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "system": f"{system}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "lumilter": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        **{name: version(name) for name in ("pymilter", "lupa")},
        **{name: _output("dpkg-query", "-W", "-f", "${Version}", name) for name in PACKAGES},
    }


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"
