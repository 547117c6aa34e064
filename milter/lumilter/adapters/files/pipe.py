"""A program that takes what a script writes: pipe:///usr/bin/program?arg1=...&env1=NAME=VALUE.

The law: a program of an argument list and no shell, in a session of its own. A write ends by its deadline; a program
that did not take all of it by then is ended, because what follows would join half a line. One whose standard input is
closed ends by itself: nothing here waits for it but `close`, and that a while only.

Source: manual, modules/pipe_io (argN, envN, clear_env, reinvoke, shutdown_on_failure).
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping

from lumilter.adapters.files.contract import FileError, WriteOnly, held, reason

PATIENCE = 5.0
"""Seconds that a program has to end after its input has."""

_TURN = 60.0
"""Seconds of one wait: a deadline may be infinite, a wait can't."""
_forgotten: deque[subprocess.Popen[bytes]] = deque()
"""Programs that nobody waits for, to be asked for their exit status now and then."""
_NUMBERED = re.compile(r"(arg|env)([0-9]{1,3})")


class PipeWriter(WriteOnly):
    """See Stream. parameters: of the URI. Raises FileError."""

    def __init__(self, program: str, parameters: Mapping[str, str]) -> None:
        self._name = program
        numbered: dict[str, dict[int, str]] = {"arg": {}, "env": {}}
        for name, value in parameters.items():
            if found := _NUMBERED.fullmatch(name):
                numbered[found[1]][int(found[2])] = value
            elif name not in ("clear_env", "reinvoke", "shutdown_on_failure"):
                raise FileError(f"pipe: {name} is none of argN, envN, clear_env, reinvoke, shutdown_on_failure")
        self._arguments = [program, *(value for _, value in sorted(numbered["arg"].items()))]
        self._environment = {} if parameters.get("clear_env") == "1" else dict(os.environ)
        for _, variable in sorted(numbered["env"].items()):
            name, _, value = variable.partition("=")
            self._environment[name] = value
        self._tries = 2 if parameters.get("reinvoke", "1") == "1" else 1
        self._lock = threading.Lock()
        self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = self._started()

    def write(self, data: bytes, deadline: float) -> int:
        """See Stream. A program that has ended is started once more, unless reinvoke is 0, and gets all of it."""
        with held(self._lock, deadline, self._name):
            if self._is_closed:
                raise FileError(f"{self._name}: it is closed")
            for _ in range(self._tries):
                if self._process is None:
                    self._process = self._started()
                try:
                    _written(self._process, data, deadline)
                except TimeoutError:
                    self._end(0)
                    raise FileError(f"{self._name}: the program did not take it in time") from None
                except OSError:
                    self._end(0)
                else:
                    return len(data)
            raise FileError(f"{self._name}: the program has ended")

    def close(self) -> None:
        """See Stream: the program's input ends; one that has not ended a while later is ended."""
        with self._lock:
            self._is_closed = True
            self._end(PATIENCE)

    def __del__(self) -> None:
        if (process := getattr(self, "_process", None)) is not None:
            _hang_up(process)
            _forgotten.append(process)

    def _started(self) -> subprocess.Popen[bytes]:
        _reap()
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            raise FileError(f"{self._name}: {reason(error)}") from None
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _end(self, patience: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _hang_up(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _reap() -> None:
    """Let programs that have ended go."""
    for _ in range(len(_forgotten)):
        with contextlib.suppress(IndexError):  # another thread was here
            process = _forgotten.popleft()
            if process.poll() is None:
                _forgotten.append(process)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()


def _written(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    """All of it. Raises OSError, TimeoutError at the deadline."""
    assert process.stdin is not None
    rest, fd = memoryview(data), process.stdin.fileno()
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if ready.poll(min(left, _TURN) * 1000):
            rest = rest[os.write(fd, rest) :]
