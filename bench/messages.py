"""What large messages and many recipients cost: processor time, and the worker's memory above what it held before.

    .venv/bin/python -m bench.messages [--write]     # as root or not; prints the tables, or renews bench/MESSAGES.md

The law: one worker, the Python wire on a Unix socket, a client that checks every answer; a cell is the median of
rounds. Memory is the peak of resident memory (VmHWM, reset before each message) less what the idle worker held, over
the size of the message. Time is that of the worker's threads on a processor, so that a busy machine does not count;
what is waited for, the disk for the most part, is not in it. Splitting goes to a sink that answers at once, so it is
lumilter's own cost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from support.daemon import Daemon, write  # noqa: E402
from support.milter_client import MilterClient  # noqa: E402
from support.sink import Sink  # noqa: E402

PAGE = ROOT / "bench/MESSAGES.md"

POLICIES = {
    "add a header": 'msg:header("X-Seen", "1")',
    "search the raw message": 'assert(msg:raw_match("needle in [a-z]+stack"))',
    "search the body": 'assert(msg:body_match("needle in [a-z]+stack"))',
    "search the text": 'assert(msg:text_match("needle in [a-z]+stack"))',
    "walk the MIME tree": "local p = msg:mime(true) while p ~= nil do p = p.thread end",
    "search a part": 'assert(msg:mime(true).parts:body_match("needle in [a-z]+stack"))',
    "replace in the raw message": 'assert(msg:raw_replace("needle in ([a-z]+)stack", "$1"))',
    "replace in the body": 'assert(msg:body_replace("needle in ([a-z]+)stack", "$1"))',
    "replace in the text": 'assert(msg:text_replace("needle in ([a-z]+)stack", "$1"))',
    "replace in a part": 'assert(msg:mime(false).parts:body_replace("needle in ([a-z]+)stack", "$1"))',
    "add a part": 'local t = msg:mime(false) t:addLastChild(msg:makePart("text/plain", "new"))',
    "body as a Lua string": "assert(#msg:body() > 100)",
    "new body by a Lua string": 'msg:body(msg:body() .. "\\r\\nmore\\r\\n.\\r\\n")',
}
SIZES = {"1 kB": 1_000, "100 kB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000, "100 MB": 100_000_000}
LINE = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"


def content(size: int) -> bytes:
    """A multipart body of about that size with one long text part."""
    head = b"--b\r\nContent-Type: text/plain\r\n\r\n"
    tail = b"a needle in haystack\r\n--b--\r\n"
    return head + LINE * max(1, (size - len(head) - len(tail)) // len(LINE)) + tail


def status(pid: int, name: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


@contextmanager
def served(policy: str, config: str = "") -> Iterator[tuple[Daemon, str]]:
    """A daemon with one worker and the path of its socket."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with Daemon(write(directory / "etc", directory / "m.sock", [policy], config), directory / "log") as daemon:
            yield daemon, str(directory / "m.sock")


def worked(pid: int) -> float:
    """Seconds for which a process's threads have had a processor."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that just ended
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def send(socket: str, body: bytes, recipients: int = 1, worker: int = 0) -> float:
    """One message over a connection of its own; seconds of work from the end of the body to the answer."""
    with MilterClient(socket, timeout=300) as mta:
        mta.negotiate()
        mta.connect()
        mta.helo()
        mta.mail()
        for number in range(recipients):
            mta.rcpt(f"<r{number}@example.com>")
        mta.data()
        mta.header(b"Subject", b"x")
        mta.header(b"Content-Type", b'multipart/mixed; boundary="b"')
        mta.eoh()
        mta.body(body)
        begun = worked(worker) if worker else 0.0
        answer = mta.eom()
        seconds = worked(worker) - begun if worker else 0.0
        assert answer.kind == "continue", answer
        mta.quit()
    return seconds


def measured(socket: str, worker: int, body: bytes, recipients: int = 1) -> tuple[float, int]:
    """What a message costs: seconds of work, and the bytes that resident memory grew by meanwhile, at most."""
    before = status(worker, "VmRSS")
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    seconds = send(socket, body, recipients, worker)
    return seconds, status(worker, "VmHWM") - before


def by_size(rounds: int) -> list[str]:
    """Rows: policy, then time and memory for each size."""
    rows = ["| policy | " + " | ".join(SIZES) + " |", "| --- |" + " ---: |" * len(SIZES)]
    for name, call in POLICIES.items():
        policy = f"function mod:validate_data(msg, ac, vctx) {call} end"
        cells = []
        with served(policy, '[lua]\ninstructions = 0\ndeadline = 0\nmax_memory = "1G"\n') as (daemon, socket):
            send(socket, content(1000))
            (worker,) = daemon.workers
            for size in SIZES.values():
                body, times, peaks = content(size), [], []
                for _ in range(rounds):
                    seconds, peak = measured(socket, worker, body)
                    times.append(seconds)
                    peaks.append(peak / len(body))
                memory = f", {statistics.median(peaks):.2f}x" if size >= 10_000_000 else ""
                cells.append(f"{statistics.median(times) * 1000:.2f} ms{memory}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def by_recipients(rounds: int) -> list[str]:
    """Rows: recipients, then time and the worker's peak memory for all alike, ten groups, all different."""
    kinds = {"alike": '"same"', "10 groups": 'msg:rcptto():match("(%d)@")', "all different": "msg:rcptto()"}
    rows = ["| recipients | " + " | ".join(kinds) + " |", "| --- |" + " ---: |" * len(kinds)]
    counts = (1, 10, 100, 1000)
    cells: dict[int, list[str]] = {count: [] for count in counts}
    for mark in kinds.values():
        policy = f'function mod:validate_data_spool_each_rcpt(msg, ac, vctx) msg:header("X-For", {mark}) end'
        with Sink() as sink, tempfile.TemporaryDirectory() as outbox:
            inject = f'[inject]\nserver = "smtp:inet:{sink.port}@127.0.0.1"\noutbox = "{outbox}"\n'
            with served(policy, inject) as (daemon, socket):
                send(socket, content(1000))
                (worker,) = daemon.workers
                for count in counts:
                    times, peaks = [], []
                    for _ in range(rounds):
                        seconds, peak = measured(socket, worker, content(10_000), count)
                        times.append(seconds)
                        peaks.append(peak)
                    memory = f"{statistics.median(peaks) / 1e6:.1f} MB"
                    cells[count].append(f"{statistics.median(times) * 1000:.1f} ms, {memory}")
    return [*rows, *(f"| {count} | " + " | ".join(cells[count]) + " |" for count in counts)]


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="cost of large messages and many recipients")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="renew bench/MESSAGES.md")
    options = parser.parse_args()
    text = "\n".join(
        [
            "# Large messages, many recipients",
            "",
            "Processor time of the worker from the end of the body to the answer, and, from 10 MB on, its peak memory",
            "above the idle worker's as a multiple of the message. Written by `python -m bench.messages --write`.",
            "",
            *by_size(options.rounds),
            "",
            "A message of 10 kB by recipients, with the memory that the worker took for it; messages for those that",
            "part ways go to a server that answers at once.",
            "",
            *by_recipients(options.rounds),
            "",
        ]
    )
    if options.write:
        PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
