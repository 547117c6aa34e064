"""A name server on loopback, UDP and TCP on one port, for tests.

The law: real sockets and real wire format; what it answers is a function from a query to a message, to raw bytes, or to
None for silence.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from support.ports import free_port

Answer = dns.message.Message | bytes | None
Answering = Callable[[dns.message.Message, str], Answer]
"""Called with the query and "udp" or "tcp"."""


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


class DnsServer:
    """A server on a free port that answers while its `with` block runs.

    records: lines in the zone file's form by (name, type), any other name does not exist; or an Answering. delay:
    seconds before each answer. port, address ("127.0.0.1:port"): where it listens. queries: (transport, name, type) of
    every query so far.
    """

    def __init__(
        self, records: Mapping[tuple[str, str], Sequence[str]] | Answering, delay: float = 0, host: str = "127.0.0.1"
    ) -> None:
        self._answer = records if callable(records) else one_of(records)
        self._delay, self._ended = delay, threading.Event()
        self.queries: list[tuple[str, str, str]] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.port = free_port()
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._servers = [_listening(handler, family, (host, self.port)) for handler in (_Tcp, _Udp)]

    def __enter__(self) -> DnsServer:
        for each in self._servers:
            each.answered = self._answered  # type: ignore[attr-defined]
            threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for each in self._servers:
            each.shutdown()
            each.server_close()

    def _answered(self, raw: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(raw)
        question = query.question[0]
        self.queries.append((transport, question.name.to_text(True), question.rdtype.name))
        if self._delay and self._ended.wait(self._delay):
            return None
        made = self._answer(query, transport)
        if made is None:
            self._ended.wait(60 if transport == "tcp" else 0)  # silence, not the end of the connection
        return made.to_wire() if isinstance(made, dns.message.Message) else made


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


def one_of(answers: Mapping[tuple[str, str], Sequence[str]]) -> Answering:
    """Records by (name, type); any other name does not exist."""

    def answer(query: dns.message.Message, transport: str) -> Answer:
        question = query.question[0]
        name = question.name.to_text(True).lower()
        if not any(known == name for known, _ in answers):
            return reply(query, rcode=dns.rcode.NXDOMAIN, soa=SOA)
        return reply(query, *answers.get((name, question.rdtype.name), ()), soa=SOA)

    return answer


SOA = "test. 300 IN SOA ns.test. root.test. 1 2 3 4 60"
