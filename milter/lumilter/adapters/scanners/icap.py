"""ICAP (RFC 3507): RESPMOD or REQMOD, with a preview where the server wants one.

The law: a message is handed over as the body of a made-up HTTP exchange. 204 is clean; else the ICAP or HTTP fields in
which servers name a threat decide, then the HTTP status; and where nothing is said, it is clean only if the very same
content came back as a whole. A server may begin to send it back before it has looked at all of it: c-icap breaks off
then when it finds a virus after all.

Source: RFC 3507; draft-stecher-icap-subid-00 and rspamd's scanner for what servers call a threat.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lumilter.adapters.peer import Address, printable
from lumilter.adapters.scanners.contract import CHUNK, Result, Sample, ScanError, Verdict
from lumilter.adapters.scanners.link import Link

KIND = "icap"

_STATUS = re.compile(rb"ICAP/1\.[0-9] ([0-9]{3})(?: (.*))?")
_HTTP = re.compile(rb"HTTP/[0-9.]{1,5} ([0-9]{3})(?: .*)?")
_THREAT = re.compile(r"Threat=([^;]*)")
_TYPE = re.compile(r"Type=([0-9])")
_NAMES = ("x-virus-name", "x-virus-id", "x-fsecure-infection-name", "x-blocked", "x-block-reason", "x-mwg-block-reason")
"""Fields that name what was found; X-Infection-Found comes first."""
_NOTHING = ("", "-", "no threats", "none", "clean")
_VALID = 300.0
"""Seconds that a server's options are kept, unless it says fewer."""


@dataclass(frozen=True, slots=True)
class _Options:
    preview: int | None
    allow_204: bool
    until: float


class Icap:
    """The engine. service: the path of the URI; method: "respmod" or "reqmod"."""

    kind = KIND
    messages_only = False
    wants_envelope = False

    def __init__(self, service: str, method: str = "respmod") -> None:
        self._service, self._method = service.lstrip("/"), method.upper()
        self._known: dict[Address, _Options] = {}
        self._lock = threading.Lock()

    def scan(self, sample: Sample, server: Address, deadline: float) -> Result:
        """See contract.Engine."""
        options = self._options(server, deadline)
        with Link(server, deadline) as link:
            chunks = sample.chunks()
            head = self._head(server, sample, options)
            if options.preview is None:
                return _answer(link, sample, _chunked(head, chunks, b"0\r\n\r\n"))
            seen, rest, is_all = _preview(chunks, options.preview)
            if is_all:
                return _answer(link, sample, _chunked(head, iter(seen), b"0; ieof\r\n\r\n"))
            link.deliver(_chunked(head, iter(seen), b"0\r\n\r\n"))
            code, text = _status(link)
            if code == 100:
                link.fields()
                return _answer(link, sample, _chunked(b"", rest, b"0\r\n\r\n"))
            return _result(link, sample, code, text)

    def _uri(self, server: Address) -> str:
        host = "localhost" if server.family == "unix" else f"[{server.host}]" if ":" in server.host else server.host
        port = f":{server.port}" if server.port else ""
        return f"icap://{host}{port}/{self._service}"

    def _head(self, server: Address, sample: Sample, options: _Options) -> bytes:
        if self._method == "REQMOD":
            request = (
                "PUT http://lumilter.invalid/message HTTP/1.1\r\nHost: lumilter.invalid\r\n"
                f"Content-Type: application/octet-stream\r\nContent-Length: {sample.size}\r\n\r\n"
            )
            http, parts = request, f"req-hdr=0, req-body={len(request)}"
        else:
            request = "GET http://lumilter.invalid/message HTTP/1.1\r\nHost: lumilter.invalid\r\n\r\n"
            response = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {sample.size}\r\n\r\n"
            )
            http = request + response
            parts = f"req-hdr=0, res-hdr={len(request)}, res-body={len(http)}"
        lines = [
            f"{self._method} {self._uri(server)} ICAP/1.0",
            f"Host: {server.host or 'localhost'}",
            "Connection: close",
        ]
        if options.allow_204:
            lines.append("Allow: 204")
        if options.preview is not None:
            lines.append(f"Preview: {min(options.preview, sample.size)}")
        lines.append(f"Encapsulated: {parts}")
        return ("\r\n".join(lines) + "\r\n\r\n" + http).encode("ascii", "replace")

    def _options(self, server: Address, deadline: float) -> _Options:
        """What the server said about itself, asked again now and then."""
        with self._lock:
            known = self._known.get(server)
        if known is not None and known.until > time.monotonic():
            return known
        uri = self._uri(server)
        with Link(server, deadline) as link:
            link.sendall(
                f"OPTIONS {uri} ICAP/1.0\r\nHost: {server.host or 'localhost'}\r\n"
                "Encapsulated: null-body=0\r\nConnection: close\r\n\r\n".encode("ascii", "replace")
            )
            code, text = _status(link)
            fields = link.fields()
        if code != 200:
            raise ScanError("refused", f"OPTIONS {uri}: {code} {text}")
        methods = fields.get("methods", self._method).upper()
        if self._method not in methods:
            raise ScanError("refused", f"OPTIONS {uri}: it does {methods}, not {self._method}")
        preview, ttl = fields.get("preview", ""), fields.get("options-ttl", "")
        found = _Options(
            preview=min(int(preview), CHUNK) if re.fullmatch("[0-9]{1,9}", preview) else None,
            allow_204="204" in fields.get("allow", "204"),
            until=time.monotonic() + (min(int(ttl), _VALID) if re.fullmatch("[0-9]{1,9}", ttl) else _VALID),
        )
        with self._lock:
            self._known[server] = found
        return found


def _preview(chunks: Iterator[memoryview], size: int) -> tuple[list[memoryview], Iterator[memoryview], bool]:
    """The first bytes, what comes after them, and whether there is nothing."""
    seen: list[memoryview] = []
    left = size
    for chunk in chunks:
        if left == 0 or len(chunk) > left:
            if left:
                seen.append(chunk[:left])
            return seen, _then(chunk[left:], chunks), False
        seen.append(chunk)
        left -= len(chunk)
    return seen, iter(()), True


def _then(first: memoryview, rest: Iterator[memoryview]) -> Iterator[memoryview]:
    yield first
    yield from rest


def _chunked(head: bytes, chunks: Iterator[memoryview], end: bytes) -> Iterator[bytes | memoryview]:
    if head:
        yield head
    for chunk in chunks:
        yield b"%x\r\n" % len(chunk)
        yield chunk
        yield b"\r\n"
    yield end


def _status(link: Link) -> tuple[int, str]:
    line = link.line()
    found = _STATUS.fullmatch(line)
    if not found:
        raise ScanError("nonsense", f"not an answer of ICAP: {printable(line)}")
    return int(found[1]), printable(found[2] or b"")


def _answer(link: Link, sample: Sample, request: Iterator[bytes | memoryview]) -> Result:
    """Send the request, and judge the answer, which may begin before all was sent."""
    if link.deliver(request):
        return _result(link, sample, *_status(link))
    sender = threading.Thread(target=_send_on, args=(link, request), name="icap", daemon=True)
    sender.start()
    try:
        return _result(link, sample, *_status(link))
    finally:
        link.hang_up()
        sender.join()


def _send_on(link: Link, request: Iterator[bytes | memoryview]) -> None:
    with contextlib.suppress(OSError):  # whoever reads the answer sees how it ends
        for chunk in request:
            link.sendall(chunk)


def _result(link: Link, sample: Sample, code: int, text: str) -> Result:
    fields = link.fields()
    if code == 204:
        return Result(Verdict.CLEAN, code="204")
    if code not in (200, 201):
        raise ScanError("nonsense" if code >= 500 else "refused", f"{code} {text}".rstrip())
    parts = fields.get("encapsulated", "")
    http_status, http_fields = 0, dict[str, str]()
    if "-hdr" in parts:
        line = link.line()
        found = _HTTP.fullmatch(line)
        if not found and not line.startswith((b"GET ", b"PUT ")):
            raise ScanError("nonsense", f"not HTTP in an answer of ICAP: {printable(line)}")
        http_status, http_fields = int(found[1]) if found else 0, link.fields()
        if "req-hdr" in parts and "res-hdr" in parts:
            raise ScanError("nonsense", "an answer of ICAP with two header sections")
    result = verdict_of({**http_fields, **fields}, http_status)
    if not parts and result.verdict is Verdict.CLEAN:  # RFC 3507 4.4.1: it is in every answer that has content
        raise ScanError("nonsense", f"{code} {text} without Encapsulated")
    if result.verdict is Verdict.CLEAN and not _comes_back(link, sample, "-body" in parts and "null-body" not in parts):
        return Result(Verdict.INFECTED, "the content was replaced", code=str(code))
    return result


def _comes_back(link: Link, sample: Sample, has_body: bool) -> bool:
    """Whether the answer's body is the sample. Raises ScanError where it breaks off."""
    if not has_body:
        return sample.size == 0
    expected = sample.chunks()
    now = memoryview(b"")
    while size := _chunk_size(link):
        while size:
            data = link.reader.read(min(size, CHUNK))
            if not data:
                raise ScanError("nonsense", "the answer broke off")
            size -= len(data)
            came = memoryview(data)
            while came:
                now = now or next(expected, memoryview(b""))
                length = min(len(now), len(came))
                if not length or now[:length] != came[:length]:
                    return False
                now, came = now[length:], came[length:]
        if link.line():
            raise ScanError("nonsense", "a chunk that does not end where it should")
    return not now and next(expected, None) is None


def _chunk_size(link: Link) -> int:
    line = link.line()
    found = re.match(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;|$)", line)
    if not found:
        raise ScanError("nonsense", f"not a chunk: {printable(line)}")
    return int(found[1], 16)


def verdict_of(fields: Mapping[str, str], http_status: int) -> Result:
    """What the fields of an answer that is not 204 say. http_status: 0 where there was no HTTP answer in it."""
    found = fields.get("x-infection-found")
    if found is not None:
        threat = _THREAT.search(found)
        name = (threat[1] if threat else found).strip() or "unnamed"
        kind = _TYPE.search(found)
        if kind and kind[1] == "2":  # a container that the server could not look into
            return Result(Verdict.UNSCANNABLE, name, code="200")
        return Result(Verdict.INFECTED, name, code="200")
    if "x-violations-found" in fields:
        return Result(Verdict.INFECTED, next((fields[n] for n in _NAMES if n in fields), "unnamed"), code="200")
    for name in _NAMES:
        if fields.get(name, "").lower() not in _NOTHING:
            return Result(Verdict.INFECTED, fields[name].strip('"'), code="200")
    if http_status >= 400:
        return Result(Verdict.INFECTED, f"blocked with HTTP {http_status}", code=str(http_status))
    return Result(Verdict.CLEAN, code="200")
