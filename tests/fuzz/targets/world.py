"""What comes from outside: XML, JSON, URLs and header lines of scripts."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, TEXT, soup
from lumilter.adapters import http_request, xml
from lumilter.adapters.curl_options import OPTIONS, Options, accepted
from lumilter.adapters.http import Request, Settings, WebClient, WebError
from lumilter.api import json_values
from lumilter.errors import LumilterError
from support.raw_server import RawServer, raw_server, until_headers_end

XML = [
    "<a>",
    "</a>",
    "<b c='d'>",
    "</b>",
    "<e/>",
    "x",
    "&amp;",
    "&#0;",
    "&#xD800;",
    "&lt;",
    "&z;",
    "<!-- c -->",
    "<?p i?>",
    "<![CDATA[ x ]]>",
    "]]>",
    "<!DOCTYPE a [",
    "<!ENTITY z '&z;&z;'>",
    "<!ENTITY % p SYSTEM 'file:///x'>",
    "%p;",
    "<!ATTLIST a b CDATA 'c'>",
    "]>",
    "<?xml version='1.0' encoding='utf-16'?>",
    "<s:t xmlns:s='urn:s'>",
    "</s:t>",
    " ",
    "\0",
    "\u00e9",
    "\udce9",
    "xml:lang='x'",
    '"',
]
JSON = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    '"a"',
    "1",
    "-0",
    "1e5",
    "1e999",
    "9" * 400,
    "0.1",
    "true",
    "null",
    "Infinity",
    "NaN",
    "\\u00e9",
    "\\ud83d",
    "\\ude00",
    "\\udce9",
    "\\\\",
    "\\x",
    "\udce9",
    "\u00e9",
    "\0",
    "\n",
    " ",
    "//",
    "[" * 150,
    "]" * 150,
    '{"a":' * 150,
]
ANSWERS = [
    "HTTP/1.1 200 OK",
    "HTTP/1.0 ",
    "HTTP/1.1 100 ",
    "HTTP/1.1 302 x",
    "HTTP/1.1 204 ",
    "\r\n",
    "\r\n\r\n",
    "\n",
    ": ",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Connection: close",
    "Location: /",
    "Location: http://[",
    "Location: x:y",
    "Content-Encoding: gzip",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "ffffffff\r\n",
    "hello",
    "\0",
    "\u00e9",
    " ",
    "x" * 2000,
]
HEADERS = ["X-A", ":", " ", "v", "\r\n", "\n", "\0", "\t", "\udce9", "\u00e9", "x" * 5000]
URLS = [
    "http",
    "https",
    "file",
    ":",
    "//",
    "/",
    "@",
    "a.example",
    "[::1]",
    "[",
    "]",
    ":80",
    ":99999",
    "?",
    "#",
    "%",
    "\\",
    " ",
    "\r\n",
    "\u00fc",
    "\udce9",
    "x" * 300,
]


@target(soup(XML, 20).map(lambda text: text.encode("utf-8", "surrogatepass")) | BYTES, st.booleans(), examples=500)
def documents(text: bytes, keep_blanks: bool) -> None:
    """Any bytes are refused, or are a document that is walked, and written as one that is read again."""
    try:
        doc = xml.parse(text, keep_blanks)
    except xml.XmlError:
        return
    root = xml.XmlNode(doc.root)
    for node in (root, *root.children()):
        assert isinstance(node.name, str)
        assert isinstance(node.contents(), str)
        str(node)
    again = xml.parse(str(doc).encode(), keep_blanks)
    assert xml.XmlNode(again.root).name == root.name


@target(soup(XML, 10), TEXT, examples=300)
def queries(query: str, value: str) -> None:
    """Any query, name or text is refused, or leaves a document that is read again."""
    doc = xml.parse(b"<a b='c'>t<d/>u</a>")
    root = xml.XmlNode(doc.root)
    for change in (
        lambda: doc.xpath(query, None),
        lambda: root.add(query),
        lambda: root.set_attribute(query, value),
        lambda: root.set_contents(value),
    ):
        with suppress(xml.XmlError):
            change()
    xml.parse(str(doc).encode())


def of_script(text: str) -> str:
    """As text of a script arrives: any bytes, decoded."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


@target((soup(JSON, 20) | TEXT).map(of_script), examples=500)
def jsons(text: str) -> None:
    """Any text is refused with a known error, or is a value that is written as JSON and read again as the same."""
    try:
        value = json_values.parsed(text)
    except json_values.ParseError as error:
        assert error.name in json_values.ERRORS
        return
    written = json_values.written(value)
    written.encode("utf-8", "surrogateescape")
    assert json_values.parsed(written) == value


@target(soup(HEADERS, 6) | TEXT, examples=500)
def headers(line: str) -> None:
    """Any line is refused, or is a header without a way out of its line."""
    try:
        name, value = http_request.header(line)
    except LumilterError:
        return
    assert not set("\r\n\0") & set(name + value)
    assert name.isascii()
    assert " " not in name


@contextmanager
def server() -> Iterator[tuple[WebClient, RawServer, list[bytes]]]:
    """A client, and a server that says what is in the list and hangs up."""
    said = [b""]

    def talk(sock: socket.socket) -> None:
        until_headers_end(sock)
        sock.sendall(said[0])

    with raw_server(talk) as running:
        yield WebClient(Settings(max_response=1000, timeout=20, max_redirects=2)), running, said


@target(soup(ANSWERS, 12).map(lambda text: text.encode("latin-1", "replace")) | BYTES, using=server)
def answers(thing: tuple[WebClient, RawServer, list[bytes]], said: bytes) -> None:
    """Whatever a server says is an answer within the limits, or an error for the script."""
    web, running, heard = thing
    heard[0] = said
    try:
        answer = web.fetch(Request("POST", running.url, body=b"x"), time.monotonic() + 30)
    except WebError as error:
        assert str(error)
        return
    assert 100 <= answer.status <= 999
    assert len(answer.body) <= 1000
    assert not set("\r\n") & set("".join(name + value for name, value in answer.headers))


VALUES = (
    soup(HEADERS, 4).map(of_script)
    | st.none()
    | st.booleans()
    | st.floats()
    | st.dictionaries(st.integers(0, 3), soup(HEADERS, 4).map(of_script) | st.floats(), max_size=3)
)


@target(st.lists(st.tuples(st.sampled_from(sorted(OPTIONS)), VALUES), max_size=8), examples=500)
def curl(settings: list[tuple[int, object]]) -> None:
    """Any value of any option is refused with the option's name, or makes a request without a way out of its lines."""
    options = Options(URL="http://a.example/")
    for number, value in settings:
        try:
            options[OPTIONS[number].name] = accepted(OPTIONS[number], (value,))
        except LumilterError as error:
            assert f"curl.OPT_{OPTIONS[number].name} " in str(error)
    try:
        request = options.request(b"upload")
    except LumilterError:
        return
    lines = [request.method, request.url, *(part for pair in request.headers for part in pair)]
    assert not set("\r\n\0") & set("".join(lines))


@target(soup(URLS, 8) | TEXT, examples=500)
def urls(url: str) -> None:
    """Any text is refused, or is a URL of http: or https: that names a host and has no way out of its line."""
    try:
        request = http_request.Request("GET", http_request.checked_url(url))
    except http_request.WebError:
        return
    assert request.host
    assert not set("\r\n\0 ") & set(request.url)
