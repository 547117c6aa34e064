"""A program as a scanner: it reads the message from its standard input or from a file, and answers by its exit status.

The law: an argument list and no shell, an environment of our own, limits that hold before the program begins (by
prlimit(1): what Python can run between fork and exec is not safe beside other threads), a process group that is ended
as a whole by the deadline, a program that does not outlive this process (setpriv(1)), and an output of which only the
beginning is looked at.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import IO, Any

from lumilter.adapters.peer import printable
from lumilter.adapters.scanners.contract import Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.message_file import message_file, sweep

KIND = "command"
FILE = "{file}"
"""What stands for the name of the message's file among the arguments."""

_OUTPUT = 1 << 16
"""Bytes of output that are kept."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Command:
    """The engine. infected: exit statuses; threat: a regular expression with one group; memory: bytes, 0 no limit."""

    kind = KIND
    messages_only = False
    wants_envelope = False

    def __init__(self, arguments: tuple[str, ...], infected: tuple[int, ...], threat: str, memory: int) -> None:
        self._arguments, self._infected, self._memory = arguments, infected, memory
        self._threat = re.compile(threat) if threat else None
        self._in_file = any(FILE in argument for argument in arguments)
        if self._in_file:
            sweep()

    def scan(self, sample: Sample, server: Any, deadline: float) -> Result:
        """See contract.Engine; there is no server."""
        with contextlib.ExitStack() as stack:
            arguments, chunks = list(self._arguments), sample.chunks()
            if self._in_file:
                name = stack.enter_context(message_file(chunks))
                arguments = [argument.replace(FILE, name) for argument in arguments]
                chunks = iter(())
            status, output = self._run(arguments, chunks, deadline)
        return self._result(status, output)

    def _result(self, status: int, output: bytes) -> Result:
        text = output.decode("utf-8", "replace")
        if status == 0:
            return Result(Verdict.CLEAN, code="0")
        found = self._threat.search(text) if self._threat else None
        if status in self._infected and (found or not self._threat):
            name = printable((found[1] or "").encode()) if found else ""
            return Result(Verdict.INFECTED, name or "unnamed", code=str(status))
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise ScanError("nonsense" if status < 0 else "refused", f"{how}: {printable(output)}".rstrip(": "))

    def _run(self, arguments: list[str], chunks: Iterator[memoryview], deadline: float) -> tuple[int, bytes]:
        """Exit status (below 0: the signal) and the beginning of what it wrote."""
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited; then every status would look like 0
            raise ScanError("refused", "SIGCHLD is ignored here, so that a program's exit status can't be known")
        process = subprocess.Popen(
            [*self._limits(deadline), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        try:
            output = _talk(process, chunks, deadline)
            return process.wait(max(0.0, deadline - time.monotonic())), output
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started, too
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()

    def _limits(self, deadline: float) -> list[str]:
        seconds = math.ceil(max(1.0, deadline - time.monotonic()))
        limits = {"core": (resource.RLIMIT_CORE, 0), "cpu": (resource.RLIMIT_CPU, seconds)}
        if self._memory:
            limits["as"] = resource.RLIMIT_AS, self._memory
        tied = ("setpriv", "--pdeathsig", "KILL")  # a worker that has to end does not wait for scans
        return [*tied, "prlimit", *(f"--{name}={_allowed(*limit)}" for name, limit in limits.items()), "--"]


def _allowed(which: int, most: int) -> int:
    """A limit that is not above the one that this process has itself, which it could not pass on."""
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _talk(process: subprocess.Popen[bytes], chunks: Iterator[memoryview], deadline: float) -> bytes:
    """Write the chunks and read the output until it ends. Raises TimeoutError."""
    assert process.stdin is not None and process.stdout is not None
    output = bytearray()
    with selectors.DefaultSelector() as ready:
        for stream, event in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
            os.set_blocking(stream.fileno(), False)
            ready.register(stream, event)
        unwritten = next(chunks, memoryview(b""))
        while process.stdout in (key.fileobj for key in ready.get_map().values()):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in ready.select(left):
                if key.fileobj is process.stdin:
                    left_over = _written(process.stdin, unwritten)
                    unwritten = left_over or next(chunks, memoryview(b""))
                    if left_over is None or not unwritten:
                        ready.unregister(process.stdin)
                        process.stdin.close()
                elif piece := os.read(process.stdout.fileno(), _OUTPUT):
                    output += piece[: _OUTPUT - len(output)]
                else:
                    ready.unregister(process.stdout)
    return bytes(output)


def _written(stream: IO[bytes], data: memoryview) -> memoryview | None:
    """What is left of the data; None where the program reads no more."""
    try:
        return data[os.write(stream.fileno(), data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return None
