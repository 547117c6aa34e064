"""What comes from outside: XML, JSON, URLs and header lines of scripts."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.soup import BYTES, TEXT, soup
from lumilter.adapters import http_request, xml
from lumilter.api import json_values
from lumilter.errors import LumilterError

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


@target(soup(JSON, 20) | TEXT, examples=500)
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


@target(soup(URLS, 8) | TEXT, examples=500)
def urls(url: str) -> None:
    """Any text is refused, or is a URL of http: or https: that names a host and has no way out of its line."""
    try:
        request = http_request.Request("GET", http_request.checked_url(url))
    except http_request.WebError:
        return
    assert request.host
    assert not set("\r\n\0 ") & set(request.url)
