"""An HTTP server on loopback for tests, plain and with TLS, that is also a proxy which answers by itself.

The law: what it answers depends on the path alone; `seen` has every request in order. As a proxy it lets a script ask
for http://example.com/... as the manual's examples do, and nothing leaves the machine.

    /echo         method, URL, headers and body as JSON
    /status/N     that status
    /redirect/N   to /redirect/N-1; 0 is "arrived"
    /size/N       N bytes
    /slow/S       S seconds later "late"
    /cookie       sets one
"""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from support.certificates import Authority


@dataclass
class Seen:
    """A request as it came. connection: which connection, counted from 0."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for have, value in self.headers if have.lower() == name.lower()), None)


@dataclass
class HttpServer:
    """url: "http://127.0.0.1:PORT" or "https://localhost:PORT"."""

    url: str
    port: int
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    credentials: str = ""
    """What Authorization must say for /private."""


@contextlib.contextmanager
def http_server(authority: Authority | None = None, name: str = "localhost") -> Iterator[HttpServer]:
    """Serve until the context is left. authority: with TLS and a certificate for that name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def setup(self) -> None:
            super().setup()
            self.number = here.connections
            here.connections += 1

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            here.seen.append(Seen(self.command, self.path, list(self.headers.items()), body, self.number))
            _, *parts = urlsplit(self.path).path.split("/")
            headers: dict[str, str] = {"Content-Type": "text/plain"}
            status, content = 200, b"hello from " + self.path.encode()
            match parts:
                case ["echo"]:
                    seen = here.seen[-1]
                    content = json.dumps(
                        {
                            "method": seen.method,
                            "url": seen.url,
                            "headers": seen.headers,
                            "body": body.decode("latin-1"),
                        }
                    ).encode()
                case ["status", number]:
                    status = int(number)
                case ["redirect", "0"]:
                    content = b"arrived"
                case ["redirect", number]:
                    status, headers["Location"] = 302, f"/redirect/{int(number) - 1}"
                case ["loop"]:
                    status, headers["Location"] = 302, "/loop"
                case ["to", *rest]:
                    status, headers["Location"] = 302, "/".join(rest)
                case ["again"]:
                    status, headers["Location"] = 307, "/echo"
                case ["size", number]:
                    content = b"x" * int(number)
                case ["slow", seconds]:
                    time.sleep(float(seconds))
                    content = b"late"
                case ["cookie"]:
                    headers["Set-Cookie"] = "secret=1; Path=/"
                case ["private"]:
                    if self.headers.get("Authorization") != here.credentials:
                        status, headers["WWW-Authenticate"] = 401, 'Basic realm="x"'
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that go away are what many tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.certificate(name))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    host = f"https://localhost:{server.server_port}" if authority else f"http://127.0.0.1:{server.server_port}"
    here = HttpServer(host, server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
