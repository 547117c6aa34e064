"""How much memory a worker takes for a long message: at most one copy to look at it, less than three to change it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemon import Daemon, write
from support.milter_client import MilterClient

READING = {
    "raw": 'msg:raw_match("needle in [a-z]+stack")',
    "body": 'msg:body_match("needle in [a-z]+stack")',
    "text": 'msg:text_match("needle in [a-z]+stack")',
    "part": 'msg:mime(true).parts:text_match("needle in [a-z]+stack")',
    "partbody": 'msg:mime(true).parts:body_match("^[a-zA-Z]")',
    "partraw": 'msg:mime(true):raw_match("Content")',
}
CHANGING = {
    "rawnew": 'msg:raw_replace("needle in ([a-z]+)stack", "$1")',
    "bodynew": 'msg:body_replace("needle in ([a-z]+)stack", "$1")',
    "textnew": 'msg:text_replace("needle in ([a-z]+)stack", "$1")',
    "partnew": 'msg:mime(false).parts:body_replace("(?m)--x$", "")',
    "partadd": 'msg:mime(false):addLastChild(msg:makePart("text/plain", "new"))',
}
LINE = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"
SIZE = 16_000_000


def plain() -> bytes:
    return (
        b"--b\r\nContent-Type: text/plain\r\n\r\n"
        + LINE * (SIZE // len(LINE))
        + b"a needle in haystack\r\n--x\r\n--b--\r\n"
    )


def latin1() -> bytes:
    """In base64 and ISO-8859-1: nothing in it is text as it stands."""
    text = LINE * (SIZE * 3 // 4 // len(LINE)) + b"a needle in haystack caf\xe9\r\n"
    head = b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + base64.encodebytes(text).replace(b"\n", b"\r\n") + b"\r\n--b--\r\n"


@pytest.mark.parametrize(("body", "without"), [(plain, ()), (latin1, ("raw", "body", "rawnew", "bodynew", "partnew"))])
def test_copies_of_a_long_message(body: Callable[[], bytes], without: tuple[str, ...], tmp_path: Path) -> None:
    calls = {name: call for name, call in {**READING, **CHANGING}.items() if name not in without}
    policy = "local calls = {\n" + "".join(
        f"{name} = function(msg) assert({call}) end,\n" for name, call in calls.items()
    )
    policy += '}\nfunction mod:validate_data(msg) local f = calls[msg:rcptto():match("%a+")] if f then f(msg) end end'
    long, socket = body(), tmp_path / "m.sock"
    taken = {}
    with Daemon(write(tmp_path / "d", socket, [policy], "[lua]\ninstructions = 0\n"), tmp_path / "log") as daemon:
        (worker,) = daemon.workers
        send(socket, "warm", LINE)
        for name in calls:
            before = status(worker, "VmRSS")
            Path(f"/proc/{worker}/clear_refs").write_text("5")
            send(socket, name, long)
            taken[name] = (status(worker, "VmHWM") - before) / len(long)
    assert {name: factor for name, factor in taken.items() if name in READING and factor >= 1.3} == {}  # 1.2 and noise
    assert {name: factor for name, factor in taken.items() if factor >= 3} == {}


def send(socket: Path, name: str, body: bytes) -> None:
    with MilterClient(str(socket), timeout=120) as mta:
        mta.negotiate()
        mta.connect()
        mta.helo()
        mta.mail()
        mta.rcpt(f"<{name}@example.com>")
        mta.data()
        mta.header(b"Content-Type", b'multipart/mixed; boundary="b"')
        mta.eoh()
        mta.body(body)
        answer = mta.eom()
        assert answer.kind == "continue", (name, answer)
        mta.quit()


def status(pid: int, name: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def test_a_copy_of_a_long_message_outlives_it(tmp_path: Path) -> None:
    """Its body is in a file that the MTA's message ends with."""
    policy = """
function mod:validate_data(msg)
  if msg:rcptto():find("^first") then
    kept = msg:copy()
    kept_part = kept:mime(true).parts
  else
    assert(#kept:body() == #msg:body())
    assert(kept:text_match("a needle in")[1] == "a needle in")
    assert(kept_part:text():find("needle", 1, true))
    kept:header("X-Late", "1")
    assert(kept:body_replace("needle", "pin"))
    kept, kept_part = nil, nil
    collectgarbage()
  end
end
"""
    socket = tmp_path / "m.sock"
    with Daemon(write(tmp_path / "d", socket, [policy], "[lua]\ninstructions = 0\n"), tmp_path / "log") as daemon:
        send(socket, "first", plain())
        send(socket, "second", plain())
        assert not daemon.errors
