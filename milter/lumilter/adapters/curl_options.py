"""The options of a cURL transfer: their numbers, what values they take, and the HTTP request that they make up.

The law: no I/O, no Lua. An option that can't be honoured may be set to libcurl's default (nil, false, 0); anything else
is an error that names it, so that no script believes in something that does not happen.

Source: manual, page ref-curl-c-setopt (which options, which kind of value); curl.h of libcurl 7.14 for the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lumilter.adapters.http_request import Request, Tls, WebError, checked_method, checked_url, header
from lumilter.errors import LookupFailed, LumilterError

_LONG, _OBJECT, _FUNCTION, _OFFSET = 0, 10000, 20000, 30000

MOST_REDIRECTS = 50


@dataclass(frozen=True, slots=True)
class Option:
    """kind: "boolean", "number", "string", "list", or "function" and "data", which stay in Lua. works: "yes" is
    honoured, "tuning" is about speed or signals and changes nothing here, "no" can't be honoured.
    """

    name: str
    kind: str
    works: str


def _table(kind: str, base: int, works: str, **numbers: int) -> dict[int, Option]:
    return {base + number: Option(name, kind, works) for name, number in numbers.items()}


OPTIONS: dict[int, Option] = {
    **_table("function", _FUNCTION, "yes", WRITEFUNCTION=11, READFUNCTION=12, PROGRESSFUNCTION=56, HEADERFUNCTION=79),
    **_table("function", _FUNCTION, "tuning", IOCTLFUNCTION=130, SEEKFUNCTION=167),  # uploads are never read twice
    **_table("data", _OBJECT, "yes", WRITEDATA=1, READDATA=9, PROGRESSDATA=57, HEADERDATA=29),
    **_table("data", _OBJECT, "tuning", IOCTLDATA=131, SEEKDATA=168),
    **_table("list", _OBJECT, "yes", HTTPHEADER=23),
    **_table(
        "list", _OBJECT, "no", HTTPPOST=24, QUOTE=28, POSTQUOTE=39, TELNETOPTIONS=70, PREQUOTE=93, HTTP200ALIASES=104,
        SOURCE_PREQUOTE=127, SOURCE_POSTQUOTE=128, SOURCE_QUOTE=133,
    ),
    **_table(
        "string", _OBJECT, "yes", URL=2, PROXY=4, USERPWD=5, PROXYUSERPWD=6, RANGE=7, POSTFIELDS=15, REFERER=16,
        USERAGENT=18, COOKIE=22, SSLCERT=25, SSLKEYPASSWD=26, CUSTOMREQUEST=36, CAINFO=65, SSLKEY=87, CAPATH=97,
        ENCODING=102,
    ),
    **_table(
        "string", _OBJECT, "no", FTPPORT=17, COOKIEFILE=31, WRITEINFO=40, INTERFACE=62, KRB4LEVEL=63, RANDOM_FILE=76,
        EGDSOCKET=77, COOKIEJAR=82, SSL_CIPHER_LIST=83, SSLCERTTYPE=86, SSLKEYTYPE=88, SSLENGINE=89, NETRC_FILE=118,
        SOURCE_USERPWD=123, SOURCE_URL=132, FTP_ACCOUNT=134,
    ),
    **_table(
        "number", _LONG, "yes", PORT=3, TIMEOUT=13, INFILESIZE=14, RESUME_FROM=21, POSTFIELDSIZE=60, PROXYPORT=59,
        MAXREDIRS=68, CONNECTTIMEOUT=78, SSL_VERIFYHOST=81, HTTP_VERSION=84, HTTPAUTH=107, MAXFILESIZE=114,
        TIMEOUT_MS=155, CONNECTTIMEOUT_MS=156,
    ),
    **_table(
        "number", _OFFSET, "yes", INFILESIZE_LARGE=115, RESUME_FROM_LARGE=116, MAXFILESIZE_LARGE=117,
        POSTFIELDSIZE_LARGE=120,
    ),
    **_table("number", _LONG, "tuning", MAXCONNECTS=71, CLOSEPOLICY=72, DNS_CACHE_TIMEOUT=92, BUFFERSIZE=98),
    **_table(
        "number", _LONG, "no", LOW_SPEED_LIMIT=19, LOW_SPEED_TIME=20, SSLVERSION=32, TIMECONDITION=33, TIMEVALUE=34,
        NETRC=51, PROXYTYPE=101, PROXYAUTH=111, FTP_RESPONSE_TIMEOUT=112, IPRESOLVE=113, FTP_SSL=119, FTPSSLAUTH=129,
    ),
    **_table(
        "boolean", _LONG, "yes", HEADER=42, NOPROGRESS=43, NOBODY=44, FAILONERROR=45, UPLOAD=46, POST=47,
        FOLLOWLOCATION=52, PUT=54, SSL_VERIFYPEER=64, FORBID_REUSE=75, HTTPGET=80,
    ),
    **_table(
        "boolean", _LONG, "tuning", FRESH_CONNECT=74, DNS_USE_GLOBAL_CACHE=91, COOKIESESSION=96, NOSIGNAL=99,
        TCP_NODELAY=121,
    ),
    **_table(
        "boolean", _LONG, "no", CRLF=27, VERBOSE=41, FTPLISTONLY=48, FTPAPPEND=50, TRANSFERTEXT=53, AUTOREFERER=58,
        HTTPPROXYTUNNEL=61, FILETIME=69, FTP_USE_EPSV=85, SSLENGINE_DEFAULT=90, UNRESTRICTED_AUTH=105,
        FTP_USE_EPRT=106, FTP_CREATE_MISSING_DIRS=110,
    ),
}  # fmt: skip

ERRORS = {
    "E_OK": 0,
    "E_UNSUPPORTED_PROTOCOL": 1,
    "E_URL_MALFORMAT": 3,
    "E_COULDNT_RESOLVE_PROXY": 5,
    "E_COULDNT_RESOLVE_HOST": 6,
    "E_COULDNT_CONNECT": 7,
    "E_HTTP_RETURNED_ERROR": 22,
    "E_WRITE_ERROR": 23,
    "E_READ_ERROR": 26,
    "E_OPERATION_TIMEOUTED": 28,
    "E_OPERATION_TIMEDOUT": 28,
    "E_SSL_CONNECT_ERROR": 35,
    "E_ABORTED_BY_CALLBACK": 42,
    "E_TOO_MANY_REDIRECTS": 47,
    "E_GOT_NOTHING": 52,
    "E_RECV_ERROR": 56,
    "E_SSL_CERTPROBLEM": 58,
    "E_SSL_CACERT": 60,
    "E_BAD_CONTENT_ENCODING": 61,
    "E_FILESIZE_EXCEEDED": 63,
}
AUTH = {"AUTH_NONE": 0, "AUTH_BASIC": 1, "AUTH_DIGEST": 2, "AUTH_ANY": -1, "AUTH_ANYSAFE": -2}
VERSIONS = {"HTTP_VERSION_NONE": 0, "HTTP_VERSION_1_0": 1, "HTTP_VERSION_1_1": 2}

_CODES = {
    "url": 3,
    "resolve": 6,
    "connect": 7,
    "refused": 7,
    "proxy": 56,
    "timeout": 28,
    "redirects": 47,
    "size": 63,
    "encoding": 61,
    "status": 22,
}


def code_of(error: LookupFailed) -> int:
    """libcurl's number for what went wrong."""
    kind, text = getattr(error, "kind", ""), str(error)
    if kind == "url" and "is no scheme" in text:
        return ERRORS["E_UNSUPPORTED_PROTOCOL"]
    if kind == "tls":
        return ERRORS["E_SSL_CERTPROBLEM" if "file" in text else "E_SSL_CACERT" if "certificate" in text else
                      "E_SSL_CONNECT_ERROR"]  # fmt: skip
    if kind == "protocol" and "without sending" in text:
        return ERRORS["E_GOT_NOTHING"]
    return _CODES.get(kind, ERRORS["E_RECV_ERROR"])


def accepted(option: Option, values: tuple[Any, ...]) -> Any:
    """The value to keep, None for none. Raises LumilterError that names the option."""
    name = f"curl.OPT_{option.name}"
    value = values[0] if values else None
    kept: Any = None
    if option.kind == "list":
        given = [value[key] for key in sorted(value, key=str)] if isinstance(value, dict) else list(values)
        if any(not isinstance(each, str) for each in given if each is not None):
            raise LumilterError(f"{name} takes strings, a table of them, or nil")
        kept = [each for each in given if each is not None] or None
    elif option.kind == "string":
        if value is not None and (not isinstance(value, str | int | float) or isinstance(value, bool)):
            raise LumilterError(f"{name} takes a string or nil")
        kept = value if value is None or isinstance(value, str) else f"{value:.14g}"
    elif option.kind == "number":
        if not isinstance(value, int | float) or isinstance(value, bool) or not -(2**53) <= value <= 2**53:
            raise LumilterError(f"{name} takes a number")
        kept = value
    elif option.kind == "boolean":
        if not isinstance(value, bool):
            raise LumilterError(f"{name} takes true or false")
        kept = value
    if option.works == "no" and kept:
        raise LumilterError(f"{name} can't be honoured by lumilter: leave it out")
    return kept


class Options(dict[str, Any]):
    """What was set, by the option's name."""

    def request(self, upload: bytes | None) -> Request:
        """The request that they make up. upload: what a READFUNCTION gave. Raises WebError, LumilterError."""
        if not self.get("URL"):
            raise WebError("url", "no URL was set")
        url = checked_url(self._with_port(self["URL"]))
        method, body = self._method(upload)
        return Request(
            checked_method(self.get("CUSTOMREQUEST") or method),
            url,
            self._headers(method, body),
            body,
            timeout=self._seconds("TIMEOUT"),
            connect_timeout=self._seconds("CONNECTTIMEOUT"),
            redirects=self._redirects(),
            most=int(self.get("MAXFILESIZE_LARGE") or self.get("MAXFILESIZE") or 0) or None,
            proxy=self._proxy(),
            credentials=_pair(self.get("USERPWD")),
            digest=self._digest(),
            tls=Tls(
                verify=self.get("SSL_VERIFYPEER", True),
                host=self.get("SSL_VERIFYHOST", 2) != 0,
                ca_file=self.get("CAINFO") or "",
                ca_path=self.get("CAPATH") or "",
                certificate=self.get("SSLCERT") or "",
                key=self.get("SSLKEY") or "",
                key_password=self.get("SSLKEYPASSWD") or "",
            ),
        )

    def _seconds(self, name: str) -> float | None:
        milliseconds = self.get(f"{name}_MS") or 0
        seconds: float = milliseconds / 1000 if milliseconds > 0 else self.get(name) or 0
        return seconds if seconds > 0 else None

    def _with_port(self, url: str) -> str:
        port = int(self.get("PORT") or 0)
        if not port:
            return url
        try:
            parts = urlsplit(url)
            user, at, _ = parts.netloc.rpartition("@")
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        except ValueError as error:
            raise WebError("url", f"the URL can't be read: {error}") from None
        return parts._replace(netloc=f"{user}{at}{host}:{port}").geturl()

    def _method(self, upload: bytes | None) -> tuple[str, bytes | None]:
        fields = self.get("POSTFIELDS")
        if fields is not None or self.get("POST"):
            body = upload or b"" if fields is None else fields.encode("utf-8", "surrogateescape")
            size = int(self.get("POSTFIELDSIZE_LARGE", self.get("POSTFIELDSIZE", -1)))
            return "POST", body[:size] if size >= 0 else body
        if self.get("UPLOAD") or self.get("PUT"):
            return "PUT", upload or b""
        return ("HEAD" if self.get("NOBODY") else "GET"), None

    def check(self) -> None:
        """Raises LumilterError where a value would spoil every request."""
        self._headers("GET", None)
        self._digest()
        if self.get("CUSTOMREQUEST"):
            checked_method(self["CUSTOMREQUEST"])

    def _headers(self, method: str, body: bytes | None) -> tuple[tuple[str, str], ...]:
        resume = int(self.get("RESUME_FROM_LARGE") or self.get("RESUME_FROM") or 0)
        encoding = self.get("ENCODING")
        found = {
            "user-agent": self.get("USERAGENT"),
            "referer": self.get("REFERER"),
            "cookie": self.get("COOKIE"),
            "range": f"bytes={self['RANGE']}" if self.get("RANGE") else f"bytes={resume}-" if resume > 0 else None,
            "accept-encoding": (encoding or "gzip, deflate") if encoding is not None else None,
            "connection": "close" if self.get("FORBID_REUSE") else None,
            "content-type": "application/x-www-form-urlencoded" if method == "POST" and body else None,
        }
        given: list[tuple[str, str]] = []
        for line in self.get("HTTPHEADER") or ():
            is_empty = ":" not in line and line.rstrip().endswith(";")  # "Name;" sends it empty, "Name:" not at all
            name, value = header(f"{line.rstrip()[:-1]}:" if is_empty else line)
            found.pop(name.lower(), None)
            if value or is_empty:
                given.append((name, value))
        return (*(header(f"{name.title()}: {value}") for name, value in found.items() if value is not None), *given)

    def _redirects(self) -> int | None:
        if not self.get("FOLLOWLOCATION"):
            return 0
        most = int(self.get("MAXREDIRS", -1))
        return None if most < 0 else min(most, MOST_REDIRECTS)

    def _proxy(self) -> str | None:
        proxy: str | None = self.get("PROXY")
        if not proxy:
            return proxy
        scheme, separator, place = proxy.rpartition("://")
        user, at, host = place.rpartition("@")
        user, at = (self["PROXYUSERPWD"], "@") if self.get("PROXYUSERPWD") else (user, at)
        if ":" not in host.rpartition("]")[2]:
            host = f"{host}:{int(self.get('PROXYPORT') or 1080)}"
        return f"{scheme or 'http'}{separator or '://'}{user}{at}{host}"

    def _digest(self) -> bool:
        wanted = int(self.get("HTTPAUTH", 1))
        if wanted == 0 or wanted & 1:
            return False
        if wanted & 2:
            return True
        raise LumilterError("curl.OPT_HTTPAUTH: only curl.AUTH_BASIC and curl.AUTH_DIGEST can be honoured")


def _pair(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    user, _, password = text.partition(":")
    return user, password
