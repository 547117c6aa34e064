"""Sessions of some clients, told event by event while they happen: `lumilter ctl trace`.

The law: a record is plain JSON and says everything that its text says. Nothing is made unless somebody asked for it.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lumilter.daemon import log
from lumilter.daemon.printable import one_line
from lumilter.session.events import (
    Abort,
    Action,
    AddHeader,
    ChangeHeader,
    Close,
    Connect,
    Edit,
    EndOfMessage,
    Event,
    Helo,
    InsertHeader,
    Mail,
    Outcome,
    Quarantine,
    Rcpt,
    ReplaceBody,
)
from lumilter.session.session import Session

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Record = dict[str, Any]

_UNANSWERED = tuple(event.__name__.lower() for event in (Abort, Close))
_LONG = 200
"""Characters of an edit that are shown."""


class Tracer:
    """An engine's observer, before the one that empties the trace (log.observe). send: called with each record."""

    def __init__(self, send: Callable[[Record], None]) -> None:
        self._send = send
        self._networks: tuple[Network, ...] = ()

    def watch(self, networks: Iterable[str]) -> None:
        """Trace the clients of these networks, in place of those before; none is nobody. Raises ValueError."""
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in networks)

    def observe(self, session: Session, event: Event, outcome: Outcome) -> None:
        """Send a record of the event, if it is one of a client that is traced.

        A session without a client's name is a negotiation and nothing more: the daemon's own look at its health.
        """
        if self._networks and session.client_name and is_of(session.ac.remote.address, self._networks):
            self._send(trace_record(session, event, outcome))


def is_of(client: str, networks: Iterable[Network]) -> bool:
    """Whether a client's address is in one of the networks; one mapped into IPv6 is its IPv4 address.

    A client without an address (a Unix socket, a hidden one) is only in 0.0.0.0/0 and ::/0 together.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return {network.version for network in networks if network.prefixlen == 0} == {4, 6}
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def trace_record(session: Session, event: Event, outcome: Outcome) -> Record:
    """What an event was and what it led to.

    time: seconds since the epoch; hooks: in the order in which they ran; decided: phase and module; context: how many
    variables there are, of the connection and of the message.
    """
    trace, reply = session.trace, outcome.reply
    goes_on = outcome.action is Action.CONTINUE and not isinstance(event, EndOfMessage)
    return {
        "time": time.time(),
        "client": session.ac.remote.address,
        "conn_id": session.ac.conn_id,
        "queue_id": session.queue_id,
        "msg_id": session.envelope.msg_id,
        "event": type(event).__name__.lower(),
        "argument": _argument(event),
        "hooks": [
            {
                "phase": run.phase,
                "module": run.module,
                "hook": run.hook,
                "result": run.result,
                "ms": round(run.ms, 3),
                "recipient": run.recipient,
            }
            for run in trace.runs[trace.begun :]
        ],
        "errors": [str(error) for error in trace.errors],
        "verdict": "continue" if goes_on else log.verdict_name(outcome),
        "decided": list(trace.decided) if trace.decided else None,
        "reply": {"code": reply.code, "xcode": reply.xcode, "lines": list(reply.lines)} if reply else None,
        "edits": [_edit(edit) for edit in outcome.edits],
        "context": {"conn": len(session.vctx.conn), "mess": len(session.vctx.mess)},
    }


def _argument(event: Event) -> str:
    match event:
        case Connect():
            return f"{event.hostname} [{event.address}]:{event.port}"
        case Helo():
            return event.name
        case Mail() | Rcpt():
            return " ".join((event.address, *event.params))
        case EndOfMessage():
            return f"{len(event.headers)} headers, body of {len(event.body)} bytes"
    return ""


def _edit(edit: Edit) -> str:
    """An edit in a line: "AddHeader X-Policy: yes", "DeleteRecipient <a@example.com>", "ReplaceBody 1200 bytes"."""
    match edit:
        case AddHeader() | InsertHeader():
            what = _text(edit.name) + ":" + _text(edit.value)
        case ChangeHeader():
            what = f"{_text(edit.name)}[{edit.nth}]:{_text(edit.value)}"
        case ReplaceBody():
            what = f"{len(edit.body)} bytes"
        case Quarantine():
            what = edit.reason
        case _:
            what = edit.address
    return f"{type(edit).__name__} {what[:_LONG]}"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """A record as text: a line for the event, one for each hook, one for what came of it."""
    clock = time.strftime("%H:%M:%S", time.localtime(record["time"])) + f".{int(record['time'] % 1 * 1000):03d}"
    name = record["queue_id"] or record["conn_id"]
    yield one_line(f"{clock} {record['client']} {name} {record['event']} {record['argument']}".rstrip())
    for run in record["hooks"]:
        recipient = f" <{run['recipient']}>" if run["recipient"] else ""
        yield one_line(f"    {run['module']}.{run['hook']}{recipient}: {run['result']}, {run['ms']:.1f} ms")
    for error in record["errors"]:
        yield one_line(f"    error: {error}")
    if record["event"] not in _UNANSWERED:
        yield one_line(f"    {_end(record)}")


def _end(record: Mapping[str, Any]) -> str:
    reply, decided = record["reply"], record["decided"]
    text = str(record["verdict"])
    if decided:
        text += f" by {decided[1]} in {decided[0]}"
    if reply:
        text += ": " + " ".join(filter(None, (str(reply["code"]), reply["xcode"], " / ".join(reply["lines"]))))
    if record["edits"]:
        text += f"; edits: {', '.join(record['edits'])}"
    return text + f"; context: {record['context']['conn']} conn, {record['context']['mess']} mess"
