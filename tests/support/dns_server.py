"""A name server on loopback, UDP and TCP on one port, for tests.

The law: real sockets and real wire format; what it answers is a function from a query to a message, to raw bytes, or to
None for silence.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Answer = dns.message.Message | bytes | None
Answering = Callable[[dns.message.Message, str], Answer]
"""Called with the query and "udp" or "tcp"."""


@dataclass
class NameServer:
    """address: "127.0.0.1:port". asked: (transport, name, type) of every query so far."""

    address: str
    asked: list[tuple[str, str, str]] = field(default_factory=list)


def reply(
    query: dns.message.Message, *records: str, rcode: int = dns.rcode.NOERROR, soa: str = "", truncated: bool = False
) -> dns.message.Message:
    """A response; records in the zone file's form, "name ttl IN type data", soa goes into the authority section."""
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.answer = [_rrset(record) for record in records]
    response.authority = [_rrset(soa)] if soa else []
    if truncated:
        response.flags |= dns.flags.TC
    return response


@contextlib.contextmanager
def serving(answer: Answering, host: str = "127.0.0.1") -> Iterator[NameServer]:
    """A server that answers until the block ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tcp = _listening(_Tcp, family, (host, 0))
    port: int = tcp.socket.getsockname()[1]
    udp = _listening(_Udp, family, (host, port))
    server = NameServer(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    def answered(raw: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(raw)
        question = query.question[0]
        server.asked.append((transport, question.name.to_text(True), question.rdtype.name))
        made = answer(query, transport)
        return made.to_wire() if isinstance(made, dns.message.Message) else made

    for each in (tcp, udp):
        each.answered = answered  # type: ignore[attr-defined]
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        for each in (tcp, udp):
            each.shutdown()
            each.server_close()


def _listening(
    handler: type[socketserver.BaseRequestHandler], family: int, address: tuple[str, int]
) -> socketserver.TCPServer:
    base = socketserver.ThreadingTCPServer if handler is _Tcp else socketserver.ThreadingUDPServer
    kind = type("Server", (base,), {"address_family": family, "daemon_threads": True, "block_on_close": False})
    made: socketserver.TCPServer = kind(address, handler)
    return made


class _Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        raw, sock = self.request
        made = self.server.answered(raw, "udp")  # type: ignore[attr-defined]
        if made is not None:
            sock.sendto(made, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        (length,) = struct.unpack("!H", self.rfile.read(2))
        made = self.server.answered(self.rfile.read(length), "tcp")  # type: ignore[attr-defined]
        if made is not None:
            self.wfile.write(struct.pack("!H", len(made)) + made)


def _rrset(record: str) -> dns.rrset.RRset:
    name, ttl, rdclass, rdtype, data = record.split(" ", 4)
    return dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data)


def one_of(answers: dict[tuple[str, str], Sequence[str]]) -> Answering:
    """Records by (name, type); any other name does not exist."""

    def answer(query: dns.message.Message, transport: str) -> Answer:
        question = query.question[0]
        name = question.name.to_text(True).lower()
        if not any(known == name for known, _ in answers):
            return reply(query, rcode=dns.rcode.NXDOMAIN, soa=SOA)
        return reply(query, *answers.get((name, question.rdtype.name), ()), soa=SOA)

    return answer


SOA = "test. 300 IN SOA ns.test. root.test. 1 2 3 4 60"
