"""adapters.outbox: processes that are killed while they send."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from support.outbox import Rig
from support.patience import until
from support.scripted_server import Talk, scripted

MILTER = str(Path(__file__).parents[2] / "milter")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    # Not tmp_path for the socket: its name may be too long for one.
    with tempfile.TemporaryDirectory() as directory:
        yield Rig(Path(directory))


SENDER = """
import pathlib, sys, threading
from lumilter.adapters.outbox import Outbox, Runner
from lumilter.adapters.smtp import Connection
from lumilter.config.address import MailServer
server = MailServer.parse(sys.argv[2])
Runner(
    Outbox(pathlib.Path(sys.argv[1])), lambda: Connection(server, "mx.test", 10),
    retry=0.05, give_up=1000, poll=0.02, on_event=lambda event: None,
).start()
threading.Event().wait()
"""


def holder(directory: Path) -> int | None:
    """The process that has the lock, from the kernel's table."""
    try:
        inode = (directory / "lock").stat().st_ino
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


def test_killed_at_random_moments_nothing_is_lost_and_only_what_was_unanswered_comes_twice(rig: Rig) -> None:
    """A client that goes on after an answer has seen it, and has removed the file: it must not come again."""
    count, random = 200, Random(1)
    delivered: list[str] = []
    seen: set[str] = set()
    repeated: list[str] = []

    def serve(talk: Talk, number: int) -> None:
        talk.hello()
        answered = ""
        while True:
            command = talk.command()
            if answered:
                seen.add(answered)
            answered = ""
            if command == b"DATA":
                talk.say(b"354 go")
                text = talk.data().decode().strip()
                if text in seen:
                    repeated.append(text)
                delivered.append(text)
                time.sleep(0.004)
                answered = text
            talk.say(b"250 fine")

    def sender() -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", SENDER, str(rig.directory), f"smtp:unix:{rig.path}"]
        return subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": MILTER})

    def put() -> None:
        for number in range(count):
            rig.put(content=b"%d\r\n" % number)

    senders = [sender(), sender()]
    putting = threading.Thread(target=put)
    kills = 0
    with scripted(serve, path=rig.path):
        try:
            putting.start()
            while len(set(delivered)) < count:
                until(lambda: holder(rig.directory) in [process.pid for process in senders])
                time.sleep(random.uniform(0, 0.2))
                killed = next(process for process in senders if process.pid == holder(rig.directory))
                killed.kill()
                killed.wait()
                kills += 1
                senders.remove(killed)
                senders.append(sender())
            putting.join()
            until(lambda: rig.outbox.waiting() == 0)
        finally:
            for process in senders:
                process.kill()
                process.wait()
            putting.join()
    assert set(delivered) == {str(number) for number in range(count)}
    assert kills >= 3
    assert len(delivered) - count <= kills
    assert repeated == []
    assert [len(rig.files(kind)) for kind in ("waiting", "failed", "bad")] == [0, 0, 0]
