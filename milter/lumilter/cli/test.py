"""`lumilter test`: one session, offline: what each hook returned, the replies, the edits, the message as it leaves.

The law: nothing is delivered. The JSON object is a contract that other tools parse; it is built in `cli.result`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lumilter.calls import Here
from lumilter.cli.eml import read_message
from lumilter.cli.offline import add_sources, offline_setup
from lumilter.cli.result import Result
from lumilter.cli.unsent import Unsent
from lumilter.daemon.engine import Engine
from lumilter.errors import ConfigError
from lumilter.session.events import (
    Abort,
    Action,
    Close,
    Connect,
    Data,
    EndOfMessage,
    Event,
    Helo,
    Mail,
    Rcpt,
)

PHASES = ("connect", "helo", "mail", "rcpt", "data", "message")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("test", help="run one session offline and show what the policy does")
    add_sources(parser)
    parser.add_argument("-i", "--ip", default="192.0.2.1", metavar="IP", help="the client's address (%(default)s)")
    parser.add_argument("--client-name", default="", metavar="NAME", help="the client's name in DNS")
    parser.add_argument("--helo", default="client.example", metavar="NAME", help="%(default)s")
    parser.add_argument(
        "-f", "--from", dest="sender", default="", metavar="FROM", help='envelope sender; "" is the null one'
    )
    parser.add_argument(
        "-r", "--rcpt", action="append", default=[], metavar="RCPT", help="envelope recipient; repeatable"
    )
    parser.add_argument("--auth", default="", metavar="USER", help="the client has authenticated as USER")
    parser.add_argument("--macro", action="append", default=[], metavar="N=V", help="a milter macro; repeatable")
    parser.add_argument("--quit-after", choices=PHASES, default="message", metavar="PHASE", help=", ".join(PHASES))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--diff", action="store_true", help="show the message as a diff")
    parser.add_argument("--trace", action="store_true", help="show every hook that ran")
    parser.add_argument("message", metavar="MESSAGE", help='a file in RFC 5322 form; "-" reads standard input')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the session: 0 accepted, 75 tempfailed, 77 rejected, 99 discarded, 70 a script failed."""
    raw = sys.stdin.buffer.read() if options.message == "-" else _read(options.message)
    result = Result(*read_message(raw))
    setup = offline_setup(options, lambda here, text: result.log.append(_line(here, text)), result.observe)
    engine = Engine(setup)
    try:
        _converse(options, engine, result)
    finally:
        engine.stop()
    if isinstance(setup.services.mail, Unsent):
        result.injected = setup.services.mail.messages
    if options.json:
        print(result.as_json())
    else:
        print(result.as_text(trace=options.trace, diff=options.diff), end="")
    return result.status


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the message: {error.strerror}", path) from None


def _line(here: Here, text: str) -> str:
    return text


def _converse(options: argparse.Namespace, engine: Engine, result: Result) -> None:
    """The client's side of the session, as far as the replies and --quit-after let it go."""
    conversation = engine.open()
    last = PHASES.index(options.quit_after)
    accepted = 0
    try:
        for event in _events(options, result):
            if PHASES.index(_phase(event)) > last or (isinstance(event, Data) and not accepted):
                break
            outcome = conversation.handle(event)
            if isinstance(event, Rcpt):
                accepted += outcome.action is Action.CONTINUE
            result.note(event, outcome)
            if outcome.action is not Action.CONTINUE and not isinstance(event, Rcpt):
                break
        else:
            return
        conversation.handle(Abort())
    finally:
        conversation.handle(Close())


def _events(options: argparse.Namespace, result: Result) -> list[Event]:
    macros = {"daemon_addr": "127.0.0.1", "daemon_port": "25", "client_addr": options.ip, "j": "localhost"}
    for text in options.macro:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f'--macro wants NAME=VALUE, got "{text}"')
        macros[name.strip("{}")] = value
    auth = {"auth_authen": options.auth, "auth_type": "PLAIN"} if options.auth else {}
    family = "inet6" if ":" in options.ip else "inet"
    queue = {"i": macros.pop("i", "TEST")}
    return [
        Connect(options.client_name or f"[{options.ip}]", family, options.ip, 40000, macros),
        Helo(options.helo),
        Mail(_path(options.sender), (), auth),
        *(Rcpt(_path(rcpt)) for rcpt in options.rcpt or ["postmaster@localhost"]),
        Data(queue),
        EndOfMessage(result.headers, result.body, queue),
    ]


def _path(address: str) -> str:
    return address if address.startswith("<") else f"<{address}>"


def _phase(event: Event) -> str:
    return "message" if isinstance(event, EndOfMessage) else type(event).__name__.lower()
