"""Whether sessions that wait hold up others: 64 connections, of which 8 wait 2 s at a time for this or that.

    .venv/bin/python -m bench.waiting [--write]     # prints the table, or renews it in bench/RESULTS.md

The law: one worker, the Python wire on a Unix socket. The 56 others each send a command whose hook does ordinary work,
and the next one a while after its answer, so that the worker is busy in part; a time is from the command to its answer.
"Nobody waits" and each kind of wait are measured in turns, round by round; a cell is the median of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import selectors
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from support.daemon import Daemon, write  # noqa: E402
from support.dns_server import DnsServer  # noqa: E402
from support.http_server import http_server  # noqa: E402
from support.milter_client import MilterClient  # noqa: E402
from support.postgres import postgres  # noqa: E402

PAGE = ROOT / "bench/RESULTS.md"
BEGIN, END = "<!-- waiting: begin -->", "<!-- waiting: end -->"

WAITS, OTHERS = 8, 56
SECONDS = 2.0
"""Of one wait."""
PAUSE = 0.1
"""Seconds between an answer and the next command of a connection, on average."""

KINDS = {
    "nobody waits": "",
    "msys.sleep": "msys.sleep(2)",
    "msys.dnsLookup": 'msys.dnsLookup("n" .. tostring(math.random(1e9)) .. ".example", "A")',
    "msys.db.query": 'msys.db.fetch_row("bench", "SELECT pg_sleep(2)", nil, { nocache = true })',
    "an HTTP request": 'local c = msys.http.client.new() c:do_request("GET", "%URL%/slow/2")',
    "msys.runInPool": 'msys.runInPool("IO", function() msys.sleep(2) end)',
}

POLICY = """
function mod:validate_mailfrom(str, ac, vctx)
  local address = tostring(str)
  if msys.pcre.match(address, "^(?<local>[^@]+)@example[.]org$") then
    vctx:set(msys.core.VCTX_MESS, "seen", address)
  end
  for i = 1, 50 do
    local t = { i, address }
  end
end
function mod:validate_ehlo(str, ac, vctx)
  local what = tostring(str)
  %CHOICE%
end
"""


class Waiters:
    """8 connections that wait again and again for one kind of thing, each on a thread; none for "nobody waits"."""

    def __init__(self, socket: str, kind: str) -> None:
        self._ended = threading.Event()
        self.waits = 0
        self._threads = [
            threading.Thread(target=self._wait, args=(socket, f"w{list(KINDS).index(kind)}"), daemon=True)
            for _ in range(WAITS if KINDS[kind] else 0)
        ]
        for thread in self._threads:
            thread.start()

    def _wait(self, socket: str, name: str) -> None:
        with MilterClient(socket, timeout=60) as client:
            client.negotiate()
            client.connect()
            while not self._ended.is_set():
                begun = time.monotonic()
                client.ask("H", name.encode() + b"\0")
                if time.monotonic() - begun < 0.9 * SECONDS:
                    raise AssertionError(f"{name}: the wait took {time.monotonic() - begun:.3f} s")
                self.waits += 1

    def stop(self) -> None:
        """End them, once their last wait has ended."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self._threads and self.waits < WAITS:
            raise AssertionError(f"there were {self.waits} waits only")


def others(socket: str, seconds: float) -> list[float]:
    """The times of the 56 connections' commands for so many seconds, by one thread that waits for all of them."""
    chance, times = random.Random(1), []
    clients = []
    for _ in range(OTHERS):
        client = MilterClient(socket, timeout=60)
        client.negotiate()
        client.connect()
        client.ask("H", b"other\0")
        clients.append(client)
    command = b"M<ann@example.org>\0"
    packet = struct.pack("!I", len(command)) + command
    abort = struct.pack("!I", 1) + b"A"
    end = time.monotonic() + seconds
    due = {client: time.monotonic() + chance.random() * PAUSE for client in range(OTHERS)}
    sent: dict[int, float] = {}
    with selectors.DefaultSelector() as ready:
        for number, client in enumerate(clients):
            ready.register(client.socket, selectors.EVENT_READ, number)
        while (now := time.monotonic()) < end:
            for number, when in list(due.items()):
                if when <= now:
                    del due[number]
                    sent[number] = time.perf_counter()
                    clients[number].socket.sendall(packet)
            next_one = min(due.values(), default=end)
            for key, _ in ready.select(max(0.0, min(next_one, end) - time.monotonic())):
                number = key.data
                kind = clients[number].answer().kind
                times.append(time.perf_counter() - sent.pop(number))
                if kind != "continue":
                    raise AssertionError(f"expected to go on, got {kind}")
                clients[number].socket.sendall(abort)
                due[number] = time.monotonic() + chance.random() * 2 * PAUSE
    for client in clients:
        client.close()
    return times


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The daemon and the servers that it waits for; its socket."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = stack.enter_context(DnsServer({}, delay=SECONDS))
        web = stack.enter_context(http_server())
        database = stack.enter_context(postgres())
        choice = "\n".join(
            f'if what == "w{number}" then {lua.replace("%URL%", web.url)} end'
            for number, lua in enumerate(KINDS.values())
            if lua
        )
        config = (
            f'[dns]\nservers = ["{names.address}"]\ntimeout = 10\n[log]\nslow_hook = 0\n'
            f'[[datasource]]\nname = "bench"\nuri = ["{database.uri}"]\nconnections = {WAITS}\ntimeout = 10\n'
        )
        file = write(directory / "etc", directory / "m.sock", [POLICY.replace("%CHOICE%", choice)], config)
        stack.enter_context(Daemon(file, directory / "log"))
        yield str(directory / "m.sock")


def measure(rounds: int, seconds: float) -> dict[str, list[tuple[float, float, int]]]:
    """Median and 99th percentile (seconds) and number of commands, by kind, round by round."""
    found: dict[str, list[tuple[float, float, int]]] = {kind: [] for kind in KINDS}
    with served() as socket:
        for kind in KINDS:  # what a script uses for the first time is imported then, once in a worker
            waiters = Waiters(socket, kind)
            others(socket, 0.5)
            waiters.stop()
        for _ in range(rounds):
            for kind in KINDS:
                waiters = Waiters(socket, kind)
                time.sleep(0.2)
                times = sorted(others(socket, seconds))
                waiters.stop()
                p50, p99 = statistics.median(times), times[int(0.99 * len(times))]
                found[kind].append((p50, p99, len(times)))
                print(f"{kind}: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms", file=sys.stderr)
    return found


def table(found: dict[str, list[tuple[float, float, int]]]) -> str:
    """As Markdown."""
    lines = [
        "| 8 of 64 wait 2 s for | median of the 56 others | their p99 | against nobody waiting |",
        "| --- " * 4 + "|",
    ]
    base = statistics.median(p99 for _, p99, _ in found["nobody waits"])
    for kind, rounds in found.items():
        p50, p99 = (statistics.median(each[at] for each in rounds) for at in (0, 1))
        spread = f"{min(r[1] for r in rounds) * 1e3:.2f} to {max(r[1] for r in rounds) * 1e3:.2f}"
        change = "" if kind == "nobody waits" else f"{100 * (p99 / base - 1):+.0f} %"
        lines.append(f"| {kind} | {p50 * 1e3:.2f} ms | {p99 * 1e3:.2f} ms ({spread}) | {change} |")
    count = sum(each[2] for rounds in found.values() for each in rounds)
    load = os.getloadavg()[0]
    lines.append(f"\n{count} commands; in brackets the rounds' least and greatest. Load of the machine: {load:.1f}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="renew the table in RESULTS.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    options = parser.parse_args()
    made = table(measure(options.rounds, options.seconds))
    print(made)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
