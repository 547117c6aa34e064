"""One HTTP request to a scanner: a header section, a sample in pieces, and a short answer.

The law: http.client over a `link.Link`, so that everything ends by the deadline; an answer that is not 200 is the
engine's refusal. One connection for each scan.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Sequence

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import Sample, ScanError
from lumilter.adapters.scanners.link import Link

MOST = 4 << 20
"""Bytes that an answer may have."""


class _Client(http.client.HTTPConnection):
    """http.client's protocol on a connection that is open already."""

    def __init__(self, link: Link, host: str) -> None:
        super().__init__(host)
        self.sock = link  # sendall, makefile and close are all that it uses

    def connect(self) -> None:
        """It is connected."""

    def close(self) -> None:
        """The link is closed by whoever opened it, once the answer was read."""


def post(
    server: Address,
    path: str,
    fields: Iterable[tuple[str, str]],
    sample: Sample,
    deadline: float,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """The body of a 200 answer to the sample with something before and after it. Raises ScanError, OSError."""
    with Link(server, deadline) as link:
        client = _Client(link, "localhost" if server.family == "unix" else server.host)
        try:
            client.putrequest("POST", path, skip_accept_encoding=True)
            for name, value in fields:
                client.putheader(name, header_value(value))
            client.putheader("Content-Length", str(len(before) + sample.size + len(after)))
            client.putheader("Connection", "close")
            client.endheaders()
            link.deliver(_all(before, sample, after))
            return _answer(client.getresponse())
        except http.client.HTTPException as error:
            text = printable(str(error).encode())
            raise ScanError("nonsense", f"not an answer of HTTP: {type(error).__name__} {text}".rstrip()) from None


def _all(before: bytes, sample: Sample, after: bytes) -> Iterable[bytes | memoryview]:
    if before:
        yield before
    yield from sample.chunks()
    if after:
        yield after


def _answer(response: http.client.HTTPResponse) -> bytes:
    try:
        body = response.read(MOST + 1)
    except ValueError:  # http.client's, at a chunk of less than nothing
        raise ScanError("nonsense", "not an answer of HTTP: a chunk without a size") from None
    if len(body) > MOST:
        raise ScanError("nonsense", f"an answer of more than {MOST} bytes")
    if response.length:
        raise ScanError("nonsense", "half an answer")
    if response.status >= 500:
        raise ScanError("nonsense", f"HTTP {response.status}: {printable(body)}".rstrip(": "))
    if response.status != 200:
        raise ScanError("refused", f"HTTP {response.status}: {printable(body)}".rstrip(": "))
    return body


def header_value(text: str) -> bytes:
    """Text as a header's value: no line break and no other control character gets through."""
    raw = text.encode("utf-8", "surrogateescape")
    return bytes(byte if byte >= 0x20 and byte != 0x7F else 0x3F for byte in raw)


def named_lines(body: bytes) -> dict[str, str]:
    """Lines of "name: value", names in lower case, what is no such line left out."""
    pairs = (line.partition(b":") for line in body.splitlines())
    return {printable(name).lower(): printable(value, 1000) for name, colon, value in pairs if colon}


def strings(value: object) -> Sequence[str]:
    """What is text in a JSON list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
