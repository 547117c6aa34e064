"""The daemon's own doors: the control socket, the pages for monitoring, lines of the log, saved sessions.

The law: sockets and loops are real; nothing that comes through them leaves a trace in the log but a warning.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.events import EVENT, OUTCOME
from fuzz.targets.soup import BYTES, FROM_MTA, TEXT, damaged, soup
from fuzz.targets.wire import no_internal_error
from lumilter.config.address import SocketAddress
from lumilter.daemon import log, session_file, trace
from lumilter.daemon.control import Control, Request
from lumilter.daemon.page import Answer, Pages
from lumilter.errors import ConfigError
from lumilter.loop import Loop
from lumilter.session.events import Close, Connect, Event, Outcome
from lumilter.wire.listener import bind
from support.drive import Drive

SECONDS = 30.0


@dataclass
class Served:
    """A loop with servers on it, turned by `ask`."""

    loop: Loop
    where: Path
    failures: list[str]
    requests: list[Request] = field(default_factory=list)

    def ask(self, path: str, pieces: list[bytes]) -> bytes:
        """What is answered to the pieces, which a client sends and then ends."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.where / path))
            client.setblocking(False)
            answer, waiting = b"", [piece for piece in pieces if piece]
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                self.loop.turn(0)
                try:
                    if waiting:
                        client.send(waiting.pop(0))
                    else:
                        client.shutdown(socket.SHUT_WR)
                except OSError:  # it was hung up already
                    waiting.clear()
                try:
                    data = client.recv(1 << 16)
                except BlockingIOError:
                    continue
                except OSError:
                    return answer
                answer += data
                if not data:
                    return answer
        raise AssertionError(f"no end of the answer after {SECONDS} s: {pieces} {answer!r}")


@contextmanager
def served() -> Iterator[Served]:
    """The control socket with a few verbs, and the pages."""
    with ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-")))
        loop = Loop()
        stack.callback(loop.close)
        made = Served(loop, where, stack.enter_context(no_internal_error()))

        def status(request: Request) -> None:
            request.data({"args": request.args})
            request.end()

        def later(request: Request) -> None:
            loop.post(lambda: request.end(1, request.verb))

        def unknown(request: Request) -> None:
            request.end(64, request.verb)

        def pages(answer: Answer) -> None:
            answer(200, "text/plain", b"x" * 100_000)

        def page_later(answer: Answer) -> None:
            loop.post(lambda: answer(503, "text/plain", b"no\n"))

        Control(loop, bind(SocketAddress("unix", str(where / "control"))), {"status": status, "later": later}, unknown)
        Pages(loop, bind(SocketAddress("unix", str(where / "pages"))), {"/metrics": pages, "/health": page_later})
        yield made


JSON = [
    '{"verb":',
    '"status"',
    '"later"',
    '"none"',
    ',"args":',
    "{}",
    '{"client":"::/0"}',
    "[1]",
    "null",
    "1e999",
    "NaN",
    "}",
    "{",
    "[" * 500,
    '"\\ud800"',
    "\n",
    "\r\n",
    "\0",
    "9" * 5000,
    "\ufeff",
]
LINES = st.one_of(
    st.sampled_from(
        [
            b'{"verb":"status","args":{"a":[1]}}\n',
            b'{"verb":"later"}\n',
            b'{"verb":"status"}\n{"verb":"later"}\n',
            b"\n",
            b"1\n",
            b"[]\n",
            b'{"verb":{}}\n',
            b'"x"\n',
        ]
    ),
    soup(JSON, 12).map(lambda text: text.encode("utf-8", "surrogatepass")),
    BYTES,
)


@target(st.lists(LINES, max_size=4), using=served, examples=200)
def control(setting: Served, pieces: list[bytes]) -> None:
    """Whatever is said to the control socket, it answers in lines of JSON and hangs up; nothing fails inside."""
    answer = setting.ask("control", pieces)
    for line in answer.splitlines():
        assert isinstance(json.loads(line), dict), answer
    assert not setting.failures, setting.failures


HTTP = [
    "GET ",
    "HEAD ",
    "POST ",
    "/metrics",
    "/health",
    "/metrics?x",
    "/",
    " HTTP/1.1",
    " HTTP/1.0",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\n\n",
    "Host: x",
    ": ",
    " ",
    "\0",
    "%2e",
    "x" * 3000,
    "//",
    "http://x/metrics",
]
REQUESTS = st.one_of(
    soup(HTTP, 10).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"GET /metrics HTTP/1.1\r\n\r\n", b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /health HTTP/1.0\n\n"]
    ),
    BYTES,
)


@target(st.lists(REQUESTS, max_size=3), using=served, examples=200)
def pages(setting: Served, pieces: list[bytes]) -> None:
    """Whatever is asked by HTTP, there is one answer of the length that it says, or a closed connection."""
    answer = setting.ask("pages", pieces)
    assert not setting.failures, setting.failures
    if answer:
        head, blank, body = answer.partition(b"\r\n\r\n")
        assert blank
        assert re.match(rb"HTTP/1\.1 (200|400|404|405|503) [A-Za-z ]+\r\n", head)
        length = re.search(rb"\r\nContent-Length: ([0-9]+)(\r\n|$)", head)
        assert length
        assert len(body) in (0, int(length[1]))


# --- lines ------------------------------------------------------------------------------------------------------------

VALUE = st.recursive(
    TEXT | st.integers() | st.floats() | st.none() | BYTES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@target(TEXT, st.dictionaries(st.sampled_from(["helo", "to", "ms"]), VALUE), st.booleans(), st.booleans(), examples=400)
def log_lines(text: str, fields: dict[str, Any], as_json: bool, priority: bool) -> None:
    """Whatever is logged is one line of printable ASCII."""
    record = logging.LogRecord("lumilter", logging.ERROR, __file__, 1, "%s", (text,), None)
    record.fields = fields
    line = log.Formatter(as_json, stamp=True, priority=priority).format(record)
    assert re.fullmatch(r"[\x20-\x7e]+", line), line


@target(st.lists(st.tuples(EVENT, OUTCOME), max_size=5), FROM_MTA, examples=200)
def trace_lines(steps: list[tuple[Event, Outcome]], text: str) -> None:
    """A trace of any event and outcome is JSON, and lines of printable ASCII."""
    drive = Drive("validate_ehlo", "validate_data", decide=lambda request: text)
    for event, outcome in [*steps, (Close(), Outcome(steps[0][1].action) if steps else Outcome(log.Action.CONTINUE))]:
        drive.handle(event)
        record = json.loads(json.dumps(trace.trace_record(drive.session, event, outcome)))
        for line in trace.lines(record):
            assert re.fullmatch(r"[\x20-\x7e]*", line), line


# --- saved sessions ---------------------------------------------------------------------------------------------------


@contextmanager
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as where:
        yield Path(where) / "saved.session"


@target(st.lists(st.tuples(EVENT, OUTCOME), max_size=5), st.integers(0, 10**6), using=file, examples=200)
def session_round_trip(path: Path, steps: list[tuple[Event, Outcome]], cut: int) -> None:
    """A saved session is read as it was, and one that ends in the middle of a line is read up to there."""
    lines = [session_file.header_line({"lumilter": "x"}), *(session_file.step_line(*step) for step in steps)]
    path.write_bytes(b"".join(lines))
    assert session_file.read(path).steps == steps
    last = len(lines[-1])
    path.write_bytes(b"".join(lines)[: -1 - cut % last] if steps else lines[0])
    assert session_file.read(path).steps == steps[:-1]


SAVED = [
    session_file.header_line({"lumilter": "x", "time": 1.5})
    + session_file.step_line(Connect("x", "inet", "192.0.2.1", 1, {"j": "mx"}), Outcome(log.Action.CONTINUE))
    + session_file.step_line(Close(), Outcome(log.Action.CONTINUE))
    + session_file.cut_line("why")
]
JUNK = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"1e999",
    b"NaN",
    b'"x"',
    b"\n",
    b"[" * 2000,
    b"9" * 5000,
    b'"\\ud800"',
    b'"cut":1,',
    b"true",
    b"-1",
]


@target(damaged(SAVED, JUNK) | BYTES, using=file, examples=300)
def saved_sessions(path: Path, raw: bytes) -> None:
    """Any file is a saved session, or a ConfigError with one of its lines."""
    path.write_bytes(raw)
    try:
        saved = session_file.read(path)
    except ConfigError as error:
        assert error.file == str(path)
        assert 0 <= error.line <= raw.count(b"\n") + 1
        return
    assert all(isinstance(outcome, Outcome) for _, outcome in saved.steps)


NETWORKS = ["192.0.2.1", "10.0.0.0/8", "::/0", "0.0.0.0/0", "::ffff:192.0.2.1", "fe80::1%lo"]


@target(TEXT | st.sampled_from(NETWORKS), st.lists(st.sampled_from(NETWORKS[:5]), max_size=3), examples=100)
def clients(text: str, networks: list[str]) -> None:
    """Any client is in the networks or not."""
    found = trace.is_of(text, [ipaddress.ip_network(each, strict=False) for each in networks])
    assert found in (True, False)
