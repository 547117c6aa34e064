"""curl: transfers by HTTP, driven by callbacks.

The law: declarations only. Callbacks are live Lua values and stay in Lua: lua/lumilter/curl.lua asks here for one piece
after the other and calls them between; a transfer holds no thread while a callback runs.

Source: manual, pages ref-curl-*; results as luacurl has them, which the pages describe: true, or nil, message, code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from lumilter.adapters import curl_options
from lumilter.adapters.curl_options import OPTIONS, Options, accepted, code_of
from lumilter.adapters.http import Exchanging, Web, WebError
from lumilter.adapters.http_decoding import Decoder
from lumilter.calls import Here, Job, LuaValue
from lumilter.errors import LookupFailed, LumilterError
from lumilter.registry import api, constants, internal, lua_class

PACKAGE = "curl"

MAX_UPLOAD = 64 << 20
"""Bytes that a READFUNCTION may give in all."""


class CurlHandle:
    """options: what was set. exchange: of the running transfer. code: libcurl's number for the last failure.

    busy: a pool thread is using the exchange.
    """

    __slots__ = ("busy", "closed", "code", "decoder", "exchange", "options", "ready")

    def __init__(self) -> None:
        self.options = Options()
        self.closed = self.busy = False
        self.code = 0
        self.end()

    def end(self) -> None:
        """Give up the running transfer."""
        exchange: Exchanging | None = getattr(self, "exchange", None)
        self.exchange: Exchanging | None = None
        self.decoder: Decoder | None = None
        self.ready: deque[bytes] = deque()
        if exchange is not None:
            exchange.close()

    def lose(self, error: LookupFailed) -> None:
        """The transfer failed."""
        self.end()
        self.code = code_of(error)

    def check(self) -> None:
        """Raises LumilterError after `c:close`, and where another session is in the middle of a transfer."""
        if self.closed:
            raise LumilterError("the object is closed")
        if self.busy:
            raise LumilterError("the object makes a transfer for another session: use one of the session's own")

    def job(self, run: Callable[[float], Any], finish: Callable[[Any], Any]) -> Job:
        """Work with the exchange; nobody else touches it meanwhile."""
        self.busy = True

        def alone(deadline: float) -> Any:
            try:
                return run(deadline)
            finally:
                self.busy = False

        return Job(alone, "http", finish, self.lose)


lua_class("curl_handle", CurlHandle)
constants(PACKAGE, {f"OPT_{option.name}": number for number, option in OPTIONS.items()})
constants(PACKAGE, curl_options.ERRORS | curl_options.AUTH | curl_options.VERSIONS)


@api("curl.new", package=PACKAGE, extension=True, lua="curl_new")
def new() -> None:
    """A curl object. Connections are shared with all other objects of the worker and kept open between transfers."""


@api("c:setopt", package=PACKAGE, extension=True, lua="curl_setopt")
def setopt(c: CurlHandle, option: int, *value: LuaValue) -> None:
    """Set an option, one of curl.OPT_*; true.

    A value of the wrong kind, and an option that can't be honoured, is an error that names the option; those may be set
    to libcurl's default. Options about speed and signals are taken and change nothing. Headers: one value for each.
    """


@api("c:perform", package=PACKAGE, extension=True, lua="curl_perform")
def perform(c: CurlHandle) -> None:
    """Make the transfer: true, or nil, why not, and one of curl.E_*. Without a WRITEFUNCTION the body is dropped.

    The session is suspended between calls of the callbacks. A READFUNCTION is read to its end before anything is sent.
    """


@api("c:close", package=PACKAGE, extension=True)
def close(c: CurlHandle) -> None:
    """Close the object; using it afterwards is an error."""
    c.check()
    c.closed = True
    c.end()


@api("curl.escape", package=PACKAGE, extension=True)
def escape(str: bytes) -> str:
    """The text with everything but letters, digits, "-", ".", "_" and "~" as %XX."""
    return quote_from_bytes(str, safe="")


@api("curl.unescape", package=PACKAGE, extension=True)
def unescape(str: bytes) -> bytes:
    """The text with the bytes for %XX."""
    return unquote_to_bytes(str)


# --- for lua/lumilter/curl.lua ----------------------------------------------------------------------------------------


@internal("curl_new")
def make() -> CurlHandle:
    """A new object."""
    return CurlHandle()


@internal("curl_set", shown="c:setopt")
def set_option(c: CurlHandle, option: float, *values: Any) -> str | None:
    """Keep an option's value; the name of one whose value stays in Lua."""
    c.check()
    found = OPTIONS.get(int(option)) if option == option and abs(option) < 2**53 else None
    if found is None:
        raise LumilterError(f"{option:.14g} is none of curl.OPT_*")
    value = values[0] if values else None
    if found.kind == "data":
        return found.name
    if found.kind == "function":
        if value is not None and getattr(value, "kind", "") != "function":
            raise LumilterError(f"curl.OPT_{found.name} takes a function")
        return found.name
    kept = accepted(found, values)
    trial = Options(c.options)
    trial[found.name] = kept
    if found.name in ("HTTPHEADER", "REFERER", "COOKIE", "USERAGENT", "RANGE", "HTTPAUTH", "CUSTOMREQUEST", "ENCODING"):
        trial.check()
    if kept is None:
        c.options.pop(found.name, None)
    else:
        c.options[found.name] = kept
        _exclude(c.options, found.name, kept)
    return None


def _exclude(options: Options, name: str, value: Any) -> None:
    """The last of these says what the method is."""
    methods = {"HTTPGET": (), "POST": ("POST",), "UPLOAD": ("UPLOAD",), "PUT": ("PUT",), "NOBODY": ("NOBODY",)}
    if name in methods and value:
        for other in ("POST", "UPLOAD", "PUT", "NOBODY"):
            if other not in methods[name]:
                options.pop(other, None)
        if name != "POST":
            options.pop("POSTFIELDS", None)


@internal("curl_ready", shown="c:perform")
def ready(c: CurlHandle) -> tuple[bool, bool, bool, int]:
    """Whether an upload has to be read, headers are part of the body, and there is progress; how much may be read."""
    c.check()
    options = c.options
    posts = options.get("POST") and options.get("POSTFIELDS") is None
    size = int(options.get("INFILESIZE_LARGE", options.get("INFILESIZE", -1)))
    return (
        bool(posts or options.get("UPLOAD") or options.get("PUT")),
        bool(options.get("HEADER")),
        options.get("NOPROGRESS") is False,
        min(size, MAX_UPLOAD) if size >= 0 else MAX_UPLOAD,
    )


@internal("curl_start", blocking=True, shown="c:perform")
def start(c: CurlHandle, upload: bytes | None = None, *, here: Here) -> Job:
    """Send the request: header lines of its redirects and its answer, and the size of the body, -1 if unknown."""
    c.check()
    c.end()
    web: Web = here.services.web
    options = Options(c.options)

    def run(deadline: float) -> Exchanging:
        try:
            request = options.request(upload)
        except LumilterError as error:
            raise error if isinstance(error, LookupFailed) else WebError("url", str(error)) from None
        exchange = web.open(request, deadline)
        status = exchange.heads[-1].status
        if options.get("FAILONERROR") and status >= 400:
            exchange.close()
            raise WebError("status", f"the server answered {status} {exchange.heads[-1].reason}")
        return exchange

    def begun(exchange: Exchanging) -> tuple[list[str], int]:
        c.end()
        c.exchange, c.code = exchange, 0
        length = _first(exchange, "content-length")
        if options.get("ENCODING") is not None:
            c.decoder = Decoder(_first(exchange, "content-encoding"), exchange.most)
        lines = [line for head in exchange.heads for line in head.lines]
        return lines, int(length) if length.isascii() and length.isdigit() and len(length) < 16 else -1

    return c.job(run, begun)


def _first(exchange: Exchanging, name: str) -> str:
    return next((value for have, value in exchange.heads[-1].headers if have.lower() == name), "")


@internal("curl_next", blocking=True, shown="c:perform")
def next_piece(c: CurlHandle) -> bytes | Job | None:
    """The next piece of the body; None is the end."""
    if c.ready:
        return c.ready.popleft()
    exchange, decoder = c.exchange, c.decoder
    if exchange is None:
        return None

    def run(deadline: float) -> list[bytes]:
        while piece := exchange.chunk():
            if decoder is None:
                return [piece]
            found = list(decoder.pieces(piece))
            if found:
                return found
        return []

    def took(pieces: list[bytes]) -> bytes | None:
        if not pieces:
            c.end()
            return None
        c.ready.extend(pieces[1:])
        return pieces[0]

    return c.job(run, took)


@internal("curl_end", shown="c:perform")
def end(c: CurlHandle) -> int:
    """Give up the transfer; the code of its failure."""
    c.end()
    return c.code
