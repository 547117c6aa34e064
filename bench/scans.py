"""What a scan by clamd adds to a message, beside what clamdscan takes for the same and a bare socket does.

The law: the same clamd, a database of three signatures, messages of the same form, one after the other, all new (clamd
remembers what was clean); medians. The engine runs in this process, without a milter's socket: what is added is
`msys.av.scan` alone.
"""

from __future__ import annotations

import itertools
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from lumilter.services import Services  # noqa: E402
from lumilter.session.headers import Header, HeaderList  # noqa: E402
from support.clamd import Clamd, clamd  # noqa: E402
from support.policy import HEADERS, policy  # noqa: E402
from support.scanners import scanner, serving  # noqa: E402

ROUNDS = 200
NUMBERS = itertools.count()
HEAD = HeaderList(Header(name, value) for name, value in HEADERS).to_bytes() + b"\r\n"
"""What the policy's messages have before their bodies."""
SIZES = {"2 kB": 2_000, "200 kB": 200_000, "1 MB": 1_000_000}
SCAN = """
require("msys.av")
function mod:validate_data(msg)
  local status, why = msys.av.scan()
  assert(status == msys.av.EC_AV_CLEAN, why)
end
"""


def measure() -> Iterator[tuple[str, float, str]]:
    with tempfile.TemporaryDirectory(prefix="lumilter-bench-", dir="/tmp") as name, clamd(Path(name)) as running:
        for text, size in SIZES.items():
            with policy(Path(name), "function mod:validate_data(msg) end") as plain:
                without = median(lambda body: plain.send(body=body), size)
            services = Services(scanners=serving(scanner("clamd", [running.unix], cache=0)))
            with policy(Path(name), SCAN, services=services) as scanning:
                with_scan = median(lambda body: scanning.send(body=body), size)
                assert not scanning.errors, scanning.errors[:1]
            yield f"{text}: added by msys.av.scan", (with_scan - without) * 1e6, "us"
            yield (
                f"{text}: INSTREAM on a bare socket",
                median(lambda body: bare(running, HEAD + body), size) * 1e6,
                "us",
            )
            yield (
                f"{text}: clamdscan --stream",
                median(lambda body: clamdscan(running, HEAD + body), size, 30) * 1e6,
                "us",
            )


def median(scan: Callable[[bytes], object], size: int, rounds: int = ROUNDS) -> float:
    """Seconds for one of so many bodies, all of them different."""
    taken = []
    for _ in range(rounds):
        body = b"%09d " % next(NUMBERS) + b"some words\r\n" * (size // 12)
        began = time.perf_counter()
        scan(body)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def bare(running: Clamd, body: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(running.unix.path)
        sock.sendall(b"nINSTREAM\n" + struct.pack("!L", len(body)) + body + struct.pack("!L", 0))
        assert sock.recv(100) == b"stream: OK\n"


def clamdscan(running: Clamd, body: bytes) -> None:
    command = ["clamdscan", "--stream", "--no-summary", "--quiet", f"--config-file={running.directory}/clamd.conf", "-"]
    subprocess.run(command, input=body, check=True)
