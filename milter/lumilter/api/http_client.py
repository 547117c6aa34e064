"""msys.http.client: HTTP requests from scripts.

The law: declarations only; what is sent and what may come back, the adapter knows. A client changes on the Lua thread
alone, when its request has ended: between a request and the next wait, the answer is that request's.

Source: manual, pages ref-msys-http-client-new and ref-client-*. What they leave open is in docs/differences.md.
"""

from __future__ import annotations

from lumilter.adapters import http_request
from lumilter.adapters.http import Answer, Request
from lumilter.calls import Here, Job
from lumilter.errors import LookupFailed, LumilterError
from lumilter.registry import api, lua_class

PACKAGE = "msys.http.client"
METHODS = ("GET", "POST", "PUT", "DELETE")


class HttpClient:
    """headers: those of the next requests, "name: value". timeout: seconds; None is as configured."""

    __slots__ = ("answer", "headers", "timeout", "why")

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.timeout: float | None = None
        self.answer: Answer | None = None
        self.why = "no request was made"

    def take(self, answer: Answer) -> bool:
        """A request was answered."""
        self.answer, self.why = answer, ""
        return True

    def lose(self, error: LookupFailed) -> None:
        """It was not."""
        self.answer, self.why = None, str(error)


lua_class("http_client", HttpClient)


@api("msys.http.client.new", package=PACKAGE)
def new() -> HttpClient:
    """An HTTP client; its connections are shared with all others of the worker and kept open between requests."""
    return HttpClient()


@api("client:set_timeout", package=PACKAGE)
def set_timeout(client: HttpClient, number: float | None = None) -> None:
    """Seconds that one request may take, redirects and all; without a number, as [http] timeout says."""
    if number is not None and not 0 < number < 1e9:
        raise LumilterError(f"{number:g} is no number of seconds above 0")
    client.timeout = number


@api("client:set_header", package=PACKAGE)
def set_header(client: HttpClient, header: str | None = None) -> None:
    """Set a header of the next requests, "Name: value", in place of one of that name; without one, clear them all.

    A line break in it is an error.
    """
    if header is None:
        client.headers.clear()
        return
    name, value = http_request.header(header)
    client.headers = [have for have in client.headers if have[0].lower() != name.lower()]
    client.headers.append((name, value))


@api("client:do_request", package=PACKAGE, blocking=True)
def do_request(client: HttpClient, type: str, url: str, data: bytes | None = None, *, here: Here) -> Job:
    """Make a request: GET, POST, PUT or DELETE. True once there is an answer, whatever its status; else nil and why.

    data: the body; that of a POST without a Content-Type is a form's (application/x-www-form-urlencoded).
    """
    method = type.upper()
    if method not in METHODS:
        raise LumilterError(f"{type[:40]!r} is none of {', '.join(METHODS)}")
    try:
        url = http_request.checked_url(url)
    except LookupFailed as error:
        client.lose(error)
        raise
    request = Request(method, url, tuple(client.headers), data, timeout=client.timeout)
    if method == "POST" and data:
        request = request.with_default("Content-Type", "application/x-www-form-urlencoded")
    web = here.services.web
    return Job(lambda deadline: web.fetch(request, deadline), "http", client.take, client.lose)


@api("client:get_status", package=PACKAGE)
def get_status(client: HttpClient) -> tuple[int, str]:
    """Status code and its description; 0 and why not where the last request got no answer."""
    answer = client.answer
    return (0, client.why) if answer is None else (answer.status, answer.reason)


@api("client:get_body", package=PACKAGE)
def get_body(client: HttpClient) -> bytes | None:
    """The body of the last answer, as it came; nil without one."""
    return None if client.answer is None else client.answer.body


@api("client:get_headers", package=PACKAGE)
def get_headers(client: HttpClient) -> list[str]:
    """The headers of the last answer, each as "Name: value"; without one an empty table."""
    return [f"{name}: {value}" for name, value in client.answer.headers] if client.answer else []


@api("client:parse_headers", package=PACKAGE)
def parse_headers(client: HttpClient, headers: list[str]) -> dict[str, str]:
    """What get_headers gave, as a table from names to values; values of the same name are joined by ", "."""
    found: dict[str, str] = {}
    for line in headers:
        name, colon, value = line.partition(":")
        if colon:
            value = value.strip(" \t\r\n")
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
