"""What lists of networks (msys.cidr) cost: loading, memory, queries; beside pytricia, a Patricia trie in C.

    .venv/bin/pip install pytricia
    .venv/bin/python -m bench.networks [--write]     # prints the table, or renews bench/NETWORKS.md

The law: every cell is a process of its own; the same networks and the same addresses for both, rounds interleaved, and
a cell is the median of the rounds. Times of loading and of queries are the processor's; lumilter rests for another
0.3 s while it loads a million networks. Memory is resident memory above what the process held before, after loading and
at its peak. Queries are of random addresses as text; "from Lua" is a loop in a script, less the same without the call.
"others wait" is by how much another thread, which sleeps for 1 ms again and again, comes late while the list is loaded:
the 99th percentile and the worst; "nothing" is that of a process that does nothing beside, for as long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

PAGE = ROOT / "bench/NETWORKS.md"
SIZES = (1_000, 100_000, 1_000_000)
QUERIES = 200_000
ROUNDS = 3
ONES = ("lumilter", "lumilter from Lua", "pytricia", "lumilter, others wait", "nothing, others wait")

POLICY = """
require("msys.cidr")
local mod = {{}}
function mod:init()
  assert(msys.cidr.define("l", {{ type = "rbldnsd", source = "{file}" }}))
  return true
end
function mod:validate_connect()
  local addresses = {{}}
  for i = 1, 1000 do
    addresses[i] = table.concat({{ i % 223 + 1, i * 7 % 256, i * 13 % 256, i * 31 % 256 }}, ".")
  end
  local query = msys.cidr.query
  local function run(call)
    local begun = os.clock()
    for round = 1, {rounds} do
      for i = 1, 1000 do call("l", addresses[i]) end
    end
    return os.clock() - begun
  end
  print((run(query) - run(function() end)) / {rounds} * 1000)
end
msys.registerModule("m", mod)
"""


def networks(count: int) -> Iterator[str]:
    """Random networks as block lists have them: half of them single addresses."""
    chance = random.Random(count)
    for _ in range(count):
        length = chance.choice((16, 20, 24, 24, 24, 28, 32, 32, 32, 32, 32, 32))
        number = chance.getrandbits(32) >> (32 - length) << (32 - length)
        yield f"{socket.inet_ntoa(number.to_bytes(4, 'big'))}/{length}"


def resident(name: str) -> int:
    """Of this process, in bytes: VmRSS or VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def one(which: str, count: int) -> dict[str, float]:
    """A cell's figures: seconds, bytes, microseconds."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "list"
        file.write_text("\n".join(networks(count)))
        if which == "lumilter from Lua":
            return from_lua(file)
        if which.endswith("others wait"):
            load, _ = makers()["lumilter"]
            return beside(lambda: load(file) if which.startswith("lumilter") else time.sleep(count * 4e-6))
        return from_python(which, file)


def beside(work: Callable[[], Any]) -> dict[str, float]:
    """By how many milliseconds another thread's sleeps of 1 ms are too long meanwhile."""
    late, over = [0.0], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            late.append((now - last - 0.001) * 1e3)
            last = now

    thread = threading.Thread(target=tick)
    thread.start()
    work()
    over.set()
    thread.join()
    late.sort()
    return {"late": late[len(late) * 99 // 100], "worst": late[-1]}


def from_python(which: str, file: Path) -> dict[str, float]:
    """Loading, and queries by Python."""
    chance = random.Random(1)
    asked = [socket.inet_ntoa(chance.getrandbits(32).to_bytes(4, "big")) for _ in range(QUERIES)]
    load, find = makers()[which]
    before = resident("VmRSS")
    begun = time.process_time()
    found = load(file)
    loaded = time.process_time() - begun
    held, peak = resident("VmRSS") - before, resident("VmHWM") - before
    query = find(found)
    begun = time.process_time()
    for address in asked:
        query(address)
    return {"load": loaded, "held": held, "peak": peak, "query": (time.process_time() - begun) / QUERIES * 1e6}


def makers() -> dict[str, tuple[Callable[[Path], Any], Callable[[Any], Callable[[str], Any]]]]:
    """How each is loaded and asked."""
    from lumilter.adapters.files.contract import Limits
    from lumilter.adapters.files.local import LocalFile
    from lumilter.adapters.networks.lists import CidrList
    from lumilter.adapters.networks.sources import rbldnsd_file

    def table(file: Path) -> CidrList:
        def opened(deadline: float) -> LocalFile:
            return LocalFile(str(file), os.O_RDONLY, 0, Limits())

        entry = CidrList("l", "rbldnsd", rbldnsd_file(opened, False))
        entry.load(time.monotonic() + 600)
        return entry

    def trie(file: Path) -> Any:
        import pytricia

        found = pytricia.PyTricia(32)
        for line in file.read_text().splitlines():
            found.insert(line, "127.0.0.2")
        return found

    return {"lumilter": (table, lambda entry: entry.find), "pytricia": (trie, lambda found: found.get)}


def from_lua(file: Path) -> dict[str, float]:
    """Queries by a script."""
    from lumilter.host.tasks import Limits
    from support.policy import CONNECT, Policy

    script = file.with_suffix(".lua")
    script.write_text(POLICY.format(file=file, rounds=QUERIES // 1000))
    with Policy([script], limits=Limits(10**12, 600.0)) as policy:
        policy.engine.open().handle(CONNECT)
        return {"query": float(policy.printed[-1]) / 1000 * 1e6 / 1000}


def rounds() -> dict[tuple[str, int], dict[str, float]]:
    """The medians by name and number of networks."""
    cells: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for count in SIZES:
            for which in ONES:
                command = [sys.executable, "-m", "bench.networks", "--one", which, str(count)]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                cells.setdefault((which, count), []).append(json.loads(done.stdout))
    return {
        key: {name: statistics.median(each[name] for each in found) for name in found[0]}
        for key, found in cells.items()
    }


def measure() -> Iterator[tuple[str, float, str]]:
    """See bench.__main__."""
    for (which, count), figures in rounds().items():
        for name, value in figures.items():
            scale, unit = {"load": (1, "s"), "query": (1, "us"), "late": (1, "ms"), "worst": (1, "ms")}.get(
                name, (1e-6, "MB")
            )
            yield f"{which}, {count:,} networks: {name}", value * scale, unit


def page() -> str:
    """bench/NETWORKS.md."""
    head, _, text = (__doc__ or "").partition("\n")
    lines = [
        f"# {head}",
        text,
        "| networks | | loaded in | memory | at the peak | query | others wait |",
        "|---|---|---|---|---|---|---|",
    ]
    for (which, count), found in rounds().items():
        cells = [""] * 5
        if "load" in found:
            cells[:3] = f"{found['load']:.2f} s", f"{found['held'] / 1e6:.0f} MB", f"{found['peak'] / 1e6:.0f} MB"
        if "query" in found:
            cells[3] = f"{found['query']:.2f} us"
        if "late" in found:
            cells[4] = f"{found['late']:.1f} ms, {found['worst']:.1f} ms"
        lines.append(" | ".join(["", f"{count:,}", which.removesuffix(", others wait"), *cells, ""]).strip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.networks")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], int(options.one[1]))))
    elif options.write:
        PAGE.write_text(page())
    else:
        print(page())
