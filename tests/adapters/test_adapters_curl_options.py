"""adapters.curl_options: what options make of a request; every option of the manual's page is known."""

from __future__ import annotations

from typing import Any

import pytest

from lumilter.adapters.curl_options import OPTIONS, Options, accepted, code_of
from lumilter.adapters.http_request import WebError
from lumilter.errors import LumilterError

BY_NAME = {option.name: option for option in OPTIONS.values()}
NUMBERS = {option.name: number for number, option in OPTIONS.items()}


def options(**values: Any) -> Options:
    return Options({"URL": "http://a.example/x"} | values)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("URL", 10002), ("WRITEFUNCTION", 20011), ("HEADERDATA", 10029), ("POST", 47), ("POSTFIELDSIZE_LARGE", 30120),
        ("SSL_VERIFYPEER", 64), ("HTTPHEADER", 10023), ("SEEKFUNCTION", 20167), ("TIMEOUT_MS", 155),
    ],
)  # fmt: skip
def test_numbers_are_those_of_curl_h(name: str, number: int) -> None:
    assert NUMBERS[name] == number


def test_no_number_is_given_twice() -> None:
    assert len(BY_NAME) == len(OPTIONS) == 117


@pytest.mark.parametrize(
    ("values", "method", "body"),
    [
        ({}, "GET", None),
        ({"POST": True}, "POST", b""),
        ({"POSTFIELDS": "a"}, "POST", b"a"),
        ({"POSTFIELDS": "abc", "POSTFIELDSIZE": 2.0}, "POST", b"ab"),
        ({"UPLOAD": True}, "PUT", b"up"),
        ({"POST": True, "up": True}, "POST", b"up"),
        ({"NOBODY": True}, "HEAD", None),
        ({"CUSTOMREQUEST": "DELETE"}, "DELETE", None),
    ],
)
def test_methods(values: dict[str, Any], method: str, body: bytes | None) -> None:
    request = options(**values).request(b"up" if body == b"up" else None)
    assert (request.method, request.body) == (method, body)


@pytest.mark.parametrize(
    ("values", "attribute", "wanted"),
    [
        ({"TIMEOUT": 5.0}, "timeout", 5.0),
        ({"TIMEOUT": 5.0, "TIMEOUT_MS": 100.0}, "timeout", 0.1),
        ({"TIMEOUT": 0}, "timeout", None),
        ({"CONNECTTIMEOUT_MS": 1500}, "connect_timeout", 1.5),
        ({}, "redirects", 0),
        ({"FOLLOWLOCATION": True}, "redirects", None),
        ({"FOLLOWLOCATION": True, "MAXREDIRS": 3}, "redirects", 3),
        ({"FOLLOWLOCATION": True, "MAXREDIRS": 1e9}, "redirects", 50),
        ({"MAXFILESIZE": 10.0}, "most", 10),
        ({"PORT": 8080.0}, "url", "http://a.example:8080/x"),
        ({"URL": "http://u:p@[::1]:1/x?y", "PORT": 2}, "url", "http://u:p@[::1]:2/x?y"),
        ({"USERPWD": "a:b:c"}, "credentials", ("a", "b:c")),
        ({"USERPWD": "a"}, "credentials", ("a", "")),
        ({"HTTPAUTH": 2}, "digest", True),
        ({"HTTPAUTH": -1}, "digest", False),
        ({}, "proxy", None),
        ({"PROXY": ""}, "proxy", ""),
        ({"PROXY": "p"}, "proxy", "http://p:1080"),
        ({"PROXY": "p", "PROXYPORT": 3128, "PROXYUSERPWD": "a:b"}, "proxy", "http://a:b@p:3128"),
        ({"PROXY": "https://u@[::1]:99"}, "proxy", "https://u@[::1]:99"),
    ],
)
def test_attributes(values: dict[str, Any], attribute: str, wanted: object) -> None:
    assert getattr(options(**values).request(None), attribute) == wanted


def test_tls() -> None:
    tls = options(SSL_VERIFYPEER=False, SSL_VERIFYHOST=0, CAINFO="/ca", SSLCERT="/c", SSLKEY="/k").request(None).tls
    assert (tls.verify, tls.host, tls.ca_file, tls.certificate, tls.key) == (False, False, "/ca", "/c", "/k")
    assert options().request(None).tls.verify


def test_headers() -> None:
    request = options(
        USERAGENT="a", COOKIE="b", POSTFIELDS="x", HTTPHEADER=["A: 1", "a: 2", "cookie:", "E;", "Content-Type: y: "]
    ).request(None)
    assert request.headers == (("User-Agent", "a"), ("A", "1"), ("a", "2"), ("E", ""), ("Content-Type", "y:"))


@pytest.mark.parametrize(
    "values", [{"URL": None}, {"URL": "x"}, {"URL": "http://[::"}, {"URL": "http://[x/", "PORT": 5}, {"PORT": 99999}]
)
def test_requests_that_can_t_be_made(values: dict[str, Any]) -> None:
    with pytest.raises(WebError):
        options(**values).request(None)


def test_values_of_every_kind() -> None:
    for option in OPTIONS.values():
        for values in ((), (None,), (True,), (1.0,), ("x",), ({1: "a"},), ({1: {}},), (float("nan"),), (object(),)):
            try:
                accepted(option, values)
            except LumilterError as error:
                assert f"curl.OPT_{option.name}" in str(error)


def test_codes() -> None:
    assert code_of(WebError("tls", "certificate verify failed")) == 60
    assert code_of(WebError("tls", "a certificate file can't be used")) == 58
    assert code_of(WebError("tls", "wrong version number")) == 35
    assert code_of(WebError("protocol", "Server disconnected without sending a response.")) == 52
    assert code_of(WebError("protocol", "x")) == 56
