"""`lumilter ctl`: ask a running daemon, or tell it something.

The law: knows how to ask and how to show an answer, and decides nothing. A verb that is not in VERBS is the daemon's
own (daemon.commands), and is passed on with its words. Without a verb it is a console (cli.prompt).

Over a Unix socket: one line {"verb": ..., "args": {...}} there; back come lines, each an object with "text" (printed as
it is), "data" (shown as the verb has it), "error" (to standard error), the last one with "end", the exit status.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lumilter.cli.ctl_status import status_lines
from lumilter.cli.places import DEFAULT_CONFIG
from lumilter.daemon.printable import one_line
from lumilter.errors import ConfigError

EX_UNAVAILABLE = 69
EX_PROTOCOL = 76

_PATIENCE = 15.0
"""Seconds of silence after which a daemon that should answer at once is taken for hung."""


def _nothing(parser: argparse.ArgumentParser) -> None:
    """A verb without arguments."""


def _client(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--client", type=_network, metavar="NETWORK", help="an address or a network; default: every client"
    )


def _record(parser: argparse.ArgumentParser) -> None:
    _client(parser)
    parser.add_argument("switch", choices=("on", "off"))


def _workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("restart",))


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _traced(record: Any) -> Iterable[str]:
    from lumilter.daemon import trace  # it knows sessions, which other verbs have no use for

    return trace.lines(record)


def _of_client(options: argparse.Namespace) -> dict[str, Any]:
    return {"client": options.client} if options.client else {}


@dataclass(frozen=True, slots=True)
class Verb:
    """What the client knows of a verb.

    name: what the daemon calls it, where that is something else. declare: its arguments. args: what is sent of them.
    render: data as lines. patient: it may take its time. good: said where it ends well without a word.
    """

    help: str
    name: str = ""
    declare: Callable[[argparse.ArgumentParser], None] = _nothing
    args: Callable[[argparse.Namespace], dict[str, Any]] = lambda options: {}
    render: Callable[[Any], Iterable[str]] = lambda data: [json.dumps(data)]
    patient: bool = False
    good: str = ""


VERBS: Mapping[str, Verb] = {
    "status": Verb("what runs, since when, and how much it did", render=status_lines),
    "health": Verb("exit with 0 if a worker answers as an MTA wants it, else with a reason", good="ok"),
    "metrics": Verb("all figures, as Prometheus reads them"),
    "reload": Verb("read configuration and scripts anew", patient=True),
    "workers": Verb(
        "restart: replace all workers by new ones, and lose no session",
        name="restart", declare=_workers, patient=True, good="all workers were replaced",
    ),
    "trace": Verb(
        "show clients' sessions as they happen, until ^C",
        declare=_client, args=_of_client, render=_traced, patient=True,
    ),
    "record": Verb(
        "save clients' sessions for `lumilter replay`, or stop that",
        declare=_record, args=lambda options: {**_of_client(options), "on": options.switch == "on"},
    ),
}  # fmt: skip


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "ctl",
        help="ask a running daemon, or tell it something",
        epilog="verbs:\n"
        + "".join(f"  {name:<9} {verb.help}\n" for name, verb in VERBS.items())
        + "  help      more of them: Momentum's console commands, and what scripts have registered\n"
        + "Without a verb commands are read from standard input, which may be a terminal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's control socket; the configuration is not read")
    parser.add_argument(
        "--worker", type=int, metavar="N", help="the worker that runs a script's command; default: whose timers fire"
    )
    parser.add_argument("command", nargs="?", metavar="VERB", help="see below")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """The exit status that the daemon says; 69 where it can't be reached or goes away, 76 where it makes no sense."""
    given = options.command is not None and _parsed(options.command, options.words, options.worker)
    path = options.socket.removeprefix("unix:") if options.socket else _configured(options.config)
    if not path:
        return _complain(f"{options.config} has no control socket: set [control] socket", EX_UNAVAILABLE)
    if given:
        return _ask(path, *given)

    from lumilter.cli import prompt  # readline takes 1 MB, which workers would have too

    def ask(words: list[str]) -> int:
        return _ask(path, *_parsed(words[0], words[1:], options.worker))

    return prompt.run(path, ask, lambda: _names(path))


def _parsed(command: str, words: list[str], worker: int | None) -> tuple[Verb, bool, dict[str, Any]]:
    """The verb, whether its data is shown as JSON, and what is asked. Ends the process where the words are wrong."""
    verb = VERBS.get(command)
    if verb is None:
        args = {"words": words} if worker is None else {"words": words, "worker": worker}
        return Verb("", patient=True), False, {"verb": command, "args": args}
    parser = argparse.ArgumentParser(prog=f"lumilter ctl {command}", description=verb.help)
    verb.declare(parser)
    parser.add_argument("--json", action="store_true", help="data as JSON, an object a line")
    given = parser.parse_args(words)
    return verb, given.json, {"verb": verb.name or command, "args": verb.args(given)}


def _names(path: str) -> list[str]:
    """The daemon's commands and our verbs, for completion; none where it can't be asked."""
    with contextlib.suppress(OSError, ValueError):
        request = {"verb": "help", "args": {"names": True}}
        with _connect(path, json.dumps(request).encode() + b"\n", False) as sock:
            for answer in _objects(sock):
                if isinstance(answer.get("data"), list):
                    return sorted({*map(str, answer["data"]), *VERBS})
    return sorted(VERBS)


def _ask(path: str, verb: Verb, as_json: bool, request: dict[str, Any]) -> int:
    show = _Show(verb, as_json)
    if request["verb"] == "help" and not request["args"].get("words"):
        for name, each in VERBS.items():
            print(f"{name:<9} {each.help}")
    try:
        with _connect(path, json.dumps(request).encode() + b"\n", verb.patient) as sock:
            return show.answers(_objects(sock))
    except KeyboardInterrupt:
        return 0 if verb.patient else 130
    except TimeoutError:
        return _complain(f"{path}: no answer within {_PATIENCE:g} s", EX_UNAVAILABLE)
    except BrokenPipeError:
        raise  # it is standard output that is gone
    except ConnectionError as error:
        return _complain(f"{path}: {error.strerror or error}", EX_UNAVAILABLE)
    except FileNotFoundError:
        return _complain(f"{path} does not exist: the daemon is not running, or listens elsewhere", EX_UNAVAILABLE)
    except OSError as error:
        return _complain(f"{path}: {error.strerror or error}", EX_UNAVAILABLE)
    except ValueError as error:
        return _complain(f"{path}: {error}", EX_PROTOCOL)


class _Show:
    """Prints what a daemon answers."""

    def __init__(self, verb: Verb, as_json: bool) -> None:
        self._verb, self._as_json = verb, as_json
        self._silent = True

    def answers(self, objects: Iterator[dict[str, Any]]) -> int:
        """Print them up to the last; its status."""
        for answer in objects:
            if "text" in answer:
                self._print(str(answer["text"]))
            if "data" in answer:
                data = answer["data"]
                for line in [json.dumps(data)] if self._as_json else self._verb.render(data):
                    self._print(one_line(line))
            if "error" in answer:
                self._silent = False
                _complain(str(answer["error"]), 0)
            if "end" in answer:
                status = answer["end"]
                if type(status) is not int or not 0 <= status <= 255:
                    raise ValueError(f"expected an exit status, got {status!r}")
                if status == 0 and self._silent and self._verb.good:
                    self._print(self._verb.good)
                return status
        raise ConnectionResetError("the daemon closed the connection without an answer")

    def _print(self, text: str) -> None:
        self._silent = False
        printable = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        sys.stdout.write(printable.decode(sys.stdout.encoding or "utf-8"))
        if not text.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()


def _objects(sock: socket.socket) -> Iterator[dict[str, Any]]:
    """Lines of JSON. Raises ValueError for anything else."""
    with sock.makefile("rb") as lines:
        for line in lines:
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                answer = None
            if not isinstance(answer, dict):
                raise ValueError(f"expected an object as a line of JSON, got {line[:80]!r}")
            yield answer


def _connect(path: str, request: bytes, patient: bool) -> socket.socket:
    """A connection on which the request was sent."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_PATIENCE)
    try:
        sock.connect(path)
        sock.sendall(request)
    except BrokenPipeError:
        sock.close()
        raise ConnectionResetError("the daemon closed the connection; it may have too many clients") from None
    except BaseException:
        sock.close()
        raise
    if patient:
        sock.settimeout(None)
    return sock


def _configured(file: str) -> str:
    """The path of the control socket; "" if there is none. Raises ConfigError."""
    from lumilter import config  # not needed with --socket

    try:
        address = config.load(file).control_address()
    except ConfigError as error:
        raise ConfigError(f"{error} (--socket works without a configuration)") from None
    return address.path if address else ""


def _complain(text: str, status: int) -> int:
    print(f"lumilter ctl: {one_line(text)}", file=sys.stderr)
    return status
