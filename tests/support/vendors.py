"""Cloudmark's and Cyren's servers as far as their public clients show them: what they are asked is kept.

The law: these are stand-ins, because neither server can be had; a test says what they answer.
"""

from __future__ import annotations

import email.parser
import email.policy
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lumilter.config.address import SocketAddress


@dataclass
class Vendor:
    """answer: status and body of the next answers. asked: path, header fields and body of every request."""

    address: SocketAddress
    answer: tuple[int, bytes] = (200, b"")
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def form(self) -> dict[str, bytes]:
        """The last request's multipart form: names to contents."""
        _, fields, body = self.asked[-1]
        head = f"Content-Type: {fields['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        found = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True) if not part.is_multipart() else part.get_payload(0).as_bytes()
            found[str(name)] = content
        return found


@contextmanager
def vendor() -> Iterator[Vendor]:
    """A server on the loopback address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, text = made.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Vendor(SocketAddress("inet", host="127.0.0.1", port=server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
