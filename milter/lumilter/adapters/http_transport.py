"""httpx over httpcore's connections, with timeouts that are points in time.

The law: the only importer of httpx and httpcore, and only imported with the first request. Every wait for the network
is within the request's end: what httpcore passes around as a timeout is a Patience here, so that a server which sends a
byte now and then holds nobody up for longer. httpx's exceptions and httpcore's end in `_failure`.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import ipaddress
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from lumilter.adapters.host_names import resolved
from lumilter.adapters.http_request import Head, Request, Tls, WebError

if TYPE_CHECKING:
    from lumilter.adapters.http import Settings

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they log whole URLs, and those hold secrets

_ADDRESSES = 8
"""Of one host, that are tried."""
_WRITE = 16 << 10
_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))
"""Methods that may be sent again (RFC 9110 9.2.2)."""
_SOURCE = re.compile(r"\s*\(_ssl\.c:\d+\)")


class Denied(httpcore.ConnectError):
    """Every address of the host is in a network that is not connected to."""


class TooLarge(Exception):
    """The body is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """until: a time.monotonic() value; each: seconds for a connection."""

    until: float
    each: float

    def left(self, share: int = 1) -> float:
        """Seconds for a connection, one of so many that may have to be tried. Raises ConnectTimeout."""
        left = min(self.each, self.until - time.monotonic())
        if left <= 0:
            raise httpcore.ConnectTimeout("timed out")
        return left / share


class Stream(httpcore.NetworkStream):
    """A connection whose timeouts are points in time, but for `start_tls`, which gets a Patience."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises ReadTimeout, ReadError."""
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises WriteTimeout, WriteError."""
        for at in range(0, len(buffer), _WRITE):
            self._inner.write(buffer[at : at + _WRITE], _left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore.NetworkStream:
        """Raises ConnectTimeout, ConnectError."""
        return Stream(self._inner.start_tls(ssl_context, server_hostname, timeout.left()))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._inner.get_extra_info(info)


def _left(until: float | None, timed_out: type[Exception]) -> float:
    assert until is not None
    left = until - time.monotonic()
    if left <= 0:
        raise timed_out("timed out")
    return left


class Backend(httpcore.NetworkBackend):
    """Connects to the addresses of a host, but never to a denied one."""

    def __init__(self, deny: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> None:
        self._deny = deny
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """timeout: a Patience. Raises ConnectTimeout, ConnectError."""
        try:
            found = resolved(host.strip("[]"), port, socket.AF_UNSPEC, time.monotonic() + timeout.left())
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from None
        except OSError as error:
            raise httpcore.ConnectError(f"the name can't be resolved ({error})") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_ADDRESSES]
        allowed = [address for address in addresses if not self._is_denied(address)]
        if not allowed:
            raise Denied("its address is in [http] deny")
        for at, address in enumerate(allowed):
            try:
                seconds = timeout.left(len(allowed) - at)
                return Stream(self._inner.connect_tcp(address, port, seconds, local_address, socket_options or ()))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if at == len(allowed) - 1:
                    raise
        raise AssertionError

    def _is_denied(self, address: str) -> bool:
        parsed: Any = ipaddress.ip_address(address.partition("%")[0])
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._deny)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Never asked for."""
        raise httpcore.UnsupportedProtocol("no Unix sockets")


class _Body(httpx.SyncByteStream):
    """The body of a response, up to a size."""

    def __init__(self, inner: Any, most: int) -> None:
        self._inner, self._most = inner, most

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._inner:
            size += len(piece)
            if size > self._most:
                raise TooLarge
            yield piece

    def close(self) -> None:
        self._inner.close()


class Transport(httpx.BaseTransport):
    """httpx's way to a pool of httpcore's."""

    def __init__(self, settings: Settings, tls: Tls, proxy: str) -> None:
        common: dict[str, Any] = {
            "ssl_context": context_of(tls, settings.ca_file),
            "max_connections": settings.connections,
            "keepalive_expiry": settings.keep,
            "network_backend": Backend(settings.deny),
        }
        self._pool: httpcore.ConnectionPool
        if proxy:
            url = httpx.URL(proxy)
            if url.scheme not in ("http", "https") or not url.host:
                raise WebError("proxy", 'the proxy is not a URL such as "http://192.0.2.1:3128"')
            self._pool = httpcore.HTTPProxy(
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/"),
                proxy_auth=(url.username.encode(), url.password.encode()) if url.userinfo else None,
                proxy_ssl_context=context_of(Tls(), settings.ca_file) if url.scheme == "https" else None,
                **common,
            )
        else:
            self._pool = httpcore.ConnectionPool(**common)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        body = _Body(response.stream, request.extensions["most"])
        return httpx.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class Exchange:
    """See lumilter.adapters.http.Exchanging. Closed with the last reference to it, too."""

    def __init__(self, response: httpx.Response, heads: tuple[Head, ...], where: str, most: int) -> None:
        self.heads, self.most = heads, most
        self._response, self._where = response, where
        self._pieces = response.iter_raw()

    def chunk(self) -> bytes:
        """See Exchanging."""
        try:
            return next((piece for piece in self._pieces if piece), b"")
        except Exception as error:
            self.close()
            raise _failure(error, self._where, self.most) from None

    def close(self) -> None:
        """See Exchanging."""
        with contextlib.suppress(Exception):  # the socket may be gone already
            self._response.close()

    def __del__(self) -> None:
        self.close()


class Sender:
    """Sends requests over connections of one kind."""

    def __init__(self, settings: Settings, tls: Tls, proxy: str) -> None:
        self._settings = settings
        self._client = httpx.Client(transport=Transport(settings, tls, proxy), trust_env=False)
        self._client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))

    def send(self, request: Request, until: float) -> Exchange:
        """The answer once its headers are there. until: a time.monotonic() value. Raises WebError."""
        most = min(self._settings.max_response, self._settings.max_response if request.most is None else request.most)
        redirects = self._settings.max_redirects if request.redirects is None else request.redirects
        where = "the server"
        heads: list[Head] = []
        try:
            wanted = self._request(request)
            auth: httpx.Auth | None = None
            if request.credentials is not None:
                auth = (httpx.DigestAuth if request.digest else httpx.BasicAuth)(*request.credentials)
            while True:
                where = _place(wanted.url)
                response = self._attempt(wanted, request, until, most, auth)
                heads.append(_head(response))
                following = response.next_request
                if following is None or request.redirects == 0:
                    return Exchange(response, tuple(heads), where, most)
                response.close()
                if len(heads) > redirects:
                    raise WebError("redirects", f"{where}: more than {redirects} redirects")
                if not _same(wanted.url, following.url):
                    auth = None
                wanted = following
        except Exception as error:
            raise _failure(error, where, most) from None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _request(self, request: Request) -> httpx.Request:
        full = request.with_default("User-Agent", self._settings.user_agent).with_default("Accept", "*/*")
        headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in full.headers]
        return httpx.Request(request.method, request.url, headers=headers, content=request.body)

    def _attempt(
        self, wanted: httpx.Request, request: Request, until: float, most: int, auth: httpx.Auth | None
    ) -> httpx.Response:
        each = self._settings.connect_timeout if request.connect_timeout is None else request.connect_timeout
        wanted.extensions = {
            "timeout": {
                "connect": Patience(until, each),
                "read": until,
                "write": until,
                "pool": max(0.0, until - time.monotonic()),
            },
            "most": most,
        }
        try:
            return self._client.send(wanted, stream=True, follow_redirects=False, auth=auth)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            # A kept connection that the server closes as it is used again looks like this.
            if wanted.method not in _IDEMPOTENT:
                raise
        return self._client.send(wanted, stream=True, follow_redirects=False, auth=auth)


def context_of(tls: Tls, ca_file: str) -> ssl.SSLContext:
    """Raises WebError where a file can't be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None, capath=tls.ca_path or None)
        if ca_file and not tls.ca_file and not tls.ca_path:
            context.load_verify_locations(ca_file)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None, tls.key_password)
    except (OSError, ValueError) as error:
        raise WebError("tls", f"a certificate file can't be used: {_plain(error)}") from None
    context.check_hostname = tls.host and tls.verify
    if not tls.verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def _head(response: httpx.Response) -> Head:
    text = "latin-1"
    headers = tuple((name.decode(text), value.decode("utf-8", "surrogateescape")) for name, value in _raw(response))
    return Head(response.http_version, response.status_code, response.reason_phrase, headers)


def _raw(response: httpx.Response) -> list[tuple[bytes, bytes]]:
    return response.headers.raw


def _place(url: httpx.URL) -> str:
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.host}{port}"


def _same(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _plain(error: BaseException) -> str:
    return _SOURCE.sub("", str(error)) or type(error).__name__


def _failure(error: Exception, where: str, most: int) -> WebError:
    """What a script is told."""
    if isinstance(error, WebError):
        return error
    text = _plain(error)
    if isinstance(error, TooLarge):
        return WebError("size", f"{where}: the answer is larger than {most} bytes")
    if isinstance(error, httpcore.TimeoutException):
        what = {
            httpcore.ConnectTimeout: "no connection in time",
            httpcore.PoolTimeout: "all connections are in use",
        }.get(type(error), "no answer in time")
        return WebError("timeout", f"{where}: {what}")
    if isinstance(error, Denied):
        return WebError("refused", f"{where}: {text}")
    if isinstance(error, httpcore.ConnectError):
        kind = "resolve" if text.startswith("the name") else "tls" if "SSL" in text or "certificate" in text else ""
        return WebError(kind or "connect", f"{where}: {text}")
    if isinstance(error, httpcore.ProxyError):
        return WebError("proxy", f"{where}: the proxy answered {text}")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpcore.UnsupportedProtocol | ValueError):
        return WebError("url", f"{where}: the URL can't be asked for: {text}")
    if isinstance(
        error, httpcore.NetworkError | httpcore.ProtocolError | httpx.HTTPError | httpx.StreamError | OSError
    ):
        return WebError("protocol", f"{where}: {text}")
    raise error
