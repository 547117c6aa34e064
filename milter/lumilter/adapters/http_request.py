"""What an HTTP request is made of, checked: method, URL, header lines.

The law: no I/O. Nothing that holds a line break or another control character gets into a request, so no value of a
script can become a header of its own (RFC 9110 5.5, RFC 9112 11.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from lumilter.errors import LookupFailed, LumilterError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Not the tab, which a header's value may have."""
_BAD_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
MAX_URL = 64 << 10
MAX_HEADER = 64 << 10


class WebError(LookupFailed):
    """A request got no answer.

    kind: "url", "resolve", "connect", "tls", "timeout", "redirects", "size", "protocol", "proxy" or "refused"; str() is
    for the script, and names no part of a URL but host and port.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server proves who it is. verify: by a trusted certificate; host: that names it. ca_file, ca_path: instead
    of what is configured. certificate, key: files with the client's own.
    """

    verify: bool = True
    host: bool = True
    ca_file: str = ""
    ca_path: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of a response, as they came."""

    version: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    @property
    def lines(self) -> list[str]:
        """With line ends, the status line first and an empty line last."""
        first = f"{self.version} {self.status} {self.reason}\r\n"
        return [first, *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was checked; made by `request`.

    timeout, connect_timeout: seconds, None is as configured. redirects: how many are followed; None is as configured.
    most: bytes of a body, never more than configured. proxy: URL, "" is none, None is as configured. credentials: user
    and password; digest: not sent before the server asks for them.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    timeout: float | None = None
    connect_timeout: float | None = None
    redirects: int | None = None
    most: int | None = None
    proxy: str | None = field(default=None, repr=False)
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    digest: bool = False
    tls: Tls = field(default_factory=Tls)

    @property
    def host(self) -> str:
        """The host of the URL, in lower case."""
        return (urlsplit(self.url).hostname or "").lower()

    def with_default(self, name: str, value: str) -> Request:
        """With that header, if it has none of that name."""
        if any(have.lower() == name.lower() for have, _ in self.headers):
            return self
        return replace(self, headers=(*self.headers, (name, value)))


def checked_url(url: str) -> str:
    """A URL that can be asked for. Raises WebError."""
    if len(url) > MAX_URL:
        raise WebError("url", f"the URL is longer than {MAX_URL} bytes")
    if _BAD_IN_URL.search(url):
        raise WebError("url", "the URL has a space, a backslash or a control character in it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WebError("url", f"the URL can't be read: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise WebError("url", f"{parts.scheme or 'nothing'}: is no scheme that is asked, only http: and https: are")
    if not host:
        raise WebError("url", "the URL names no host")
    return url


def checked_method(method: str) -> str:
    """A method. Raises LumilterError."""
    if not _TOKEN.fullmatch(method) or len(method) > 64:
        raise LumilterError(f"{method[:40]!r} is no HTTP method")
    return method


def header(line: str) -> tuple[str, str]:
    """Name and value of "Name: value". Raises LumilterError."""
    name, colon, value = line.partition(":")
    if len(line) > MAX_HEADER:
        raise LumilterError(f"the header is longer than {MAX_HEADER} bytes")
    if not colon or not _TOKEN.fullmatch(name):
        raise LumilterError(f'a header is "Name: value", got {line[:60]!r}')
    if _CONTROL.search(value):
        raise LumilterError(f"the value of the header {name} has a line break or another control character in it")
    return name, value.strip(" \t")
