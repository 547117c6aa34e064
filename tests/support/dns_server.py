"""A tiny DNS server on loopback, UDP and TCP, for tests: it answers from a table, slowly if told so."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Mapping
from types import TracebackType

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

Zone = Mapping[tuple[str, str], "str | list[str]"]
"""("example.com", "A") -> record texts, or a name of an rcode, "TRUNCATE" (UDP only), "GARBAGE" or "DROP"."""


class DnsServer:
    """Use as a context manager. zone: the answers; delay: seconds before each; ttl: of every record."""

    def __init__(self, zone: Zone, delay: float = 0.0, ttl: int = 300) -> None:
        self.zone, self.delay, self.ttl = zone, delay, ttl
        self.queries: list[tuple[str, str]] = []

    def __enter__(self) -> DnsServer:
        server = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                reply = server.answer(self.request[0], udp=True)
                if reply is not None:
                    self.request[1].sendto(reply, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (length,) = struct.unpack("!H", self.rfile.read(2))
                reply = server.answer(self.rfile.read(length), udp=False)
                if reply is not None:
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        self._udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Udp)
        self.port: int = self._udp.server_address[1]
        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Tcp)
        for one in (self._udp, self._tcp):
            one.daemon_threads = True
            threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._udp, self._tcp):
            one.shutdown()
            one.server_close()

    @property
    def address(self) -> str:
        """As `options.server` of msys.dnsLookup wants it."""
        return f"127.0.0.1:{self.port}"

    def answer(self, raw: bytes, udp: bool) -> bytes | None:
        """The reply to a query, or None for silence."""
        query = dns.message.from_wire(raw)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = question.rdtype.name
        self.queries.append((name, kind))
        time.sleep(self.delay)
        reply = dns.message.make_response(query)
        found = self.zone.get((name, kind), [] if any(known == name for known, _ in self.zone) else "NXDOMAIN")
        if isinstance(found, list):
            self._fill(reply, question.name, kind, found)
        elif found == "DROP":
            return None
        elif found == "GARBAGE":
            return raw[:2] + b"\xff" * 20
        elif found.startswith("TRUNCATE "):
            if udp:
                reply.flags |= dns.flags.TC
            else:
                self._fill(reply, question.name, kind, found.split()[1:])
        else:
            reply.set_rcode(dns.rcode.from_text(found))
        return reply.to_wire()

    def _fill(self, reply: dns.message.Message, owner: dns.name.Name, kind: str, texts: list[str]) -> None:
        for text in texts:
            if text.startswith("CNAME "):
                target = text.split()[1]
                reply.answer.append(dns.rrset.from_text(owner, self.ttl, "IN", "CNAME", target))
                owner = dns.name.from_text(target)
        records = [text for text in texts if not text.startswith("CNAME ")]
        if records:
            reply.answer.append(dns.rrset.from_text(owner, self.ttl, "IN", kind, *records))
        else:
            soa = ". . 1 1 1 1 60"
            reply.authority.append(dns.rrset.from_text(dns.name.root, self.ttl, "IN", "SOA", soa))
