"""adapters.http: requests to a well-behaved server, with and without TLS, through proxies, with redirects."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lumilter.adapters.http import NoWeb, Request, Settings, Tls, WebClient, WebError
from lumilter.adapters.http_request import header
from support.certificates import Authority
from support.http_server import HttpServer, http_server
from support.raw_server import raw_server, until_headers_end


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with http_server() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(server: HttpServer) -> None:
    server.seen.clear()


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def failing(web: WebClient, request: Request, kind: str, text: str = ".") -> None:
    with pytest.raises(WebError, match=text) as caught:
        web.fetch(request, soon())
    assert caught.value.kind == kind


def test_an_answer(server: HttpServer) -> None:
    answer = WebClient().fetch(Request("GET", server.url + "/path?a=b#c"), soon())
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"hello from /path?a=b")
    assert ("Content-Type", "text/plain") in answer.headers
    assert server.seen[0].header("User-Agent") == "lumilter"
    assert server.seen[0].header("Accept-Encoding") is None
    assert server.seen[0].header("Cookie") is None


def test_what_is_sent(server: HttpServer) -> None:
    headers = (header("X-Foo: a b\t"), header("x-raw: caf\udce9"), header("User-Agent: mine"), header("X-Empty:"))
    WebClient().fetch(Request("PUT", server.url + "/echo", headers, b"\0\xff" * 50_000), soon())
    seen = server.seen[0]
    assert (seen.method, len(seen.body)) == ("PUT", 100_000)
    assert seen.header("X-Foo") == "a b"
    assert (seen.header("x-raw") or "").encode("latin-1") == b"caf\xe9"
    assert (seen.header("User-Agent"), seen.header("X-Empty")) == ("mine", "")


@pytest.mark.parametrize("status", [204, 404, 500, 503])
def test_any_status_is_an_answer(server: HttpServer, status: int) -> None:
    assert WebClient().fetch(Request("GET", f"{server.url}/status/{status}"), soon()).status == status


def test_connections_are_kept_and_shared(server: HttpServer) -> None:
    web = WebClient()
    before = server.connections
    for _ in range(20):
        web.fetch(Request("POST", server.url + "/echo", body=b"x"), soon())
    assert server.connections - before == 1
    web.close()
    web.fetch(Request("GET", server.url + "/echo"), soon())
    assert server.connections - before == 2


def test_many_at_once_stay_within_the_connections(server: HttpServer) -> None:
    web, answers = WebClient(Settings(connections=4)), []
    before = server.connections

    def ask() -> None:
        answers.append(web.fetch(Request("GET", server.url + "/slow/0.02"), soon()).body)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"late"] * 20
    assert server.connections - before <= 4


def test_all_connections_in_use(server: HttpServer) -> None:
    web = WebClient(Settings(connections=1))
    held = web.open(Request("GET", server.url + "/size/10000000"), soon())
    failing(web, Request("GET", server.url + "/path", timeout=0.2), "timeout", "all connections are in use")
    held.close()
    assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200


def test_an_exchange_that_is_forgotten_gives_its_connection_back(server: HttpServer) -> None:
    web = WebClient(Settings(connections=1))
    for _ in range(3):
        exchange = web.open(Request("GET", server.url + "/size/9000000"), soon())
        assert exchange.chunk()
        del exchange
    assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200


def test_nothing_is_remembered(server: HttpServer) -> None:
    web = WebClient()
    web.fetch(Request("GET", server.url + "/cookie"), soon())
    web.fetch(Request("GET", server.url + "/private", credentials=("ann", "pass")), soon())
    web.fetch(Request("GET", server.url + "/echo"), soon())
    assert [seen.header("Cookie") for seen in server.seen] == [None] * 3
    assert [seen.header("Authorization") for seen in server.seen] == [None, "Basic YW5uOnBhc3M=", None]


def test_credentials_in_the_url(server: HttpServer) -> None:
    WebClient().fetch(Request("GET", server.url.replace("//", "//ann:pass@") + "/echo"), soon())
    assert server.seen[0].header("Authorization") == "Basic YW5uOnBhc3M="
    assert server.seen[0].url == "/echo"


# --- redirects --------------------------------------------------------------------------------------------------------


def test_redirects_are_followed(server: HttpServer) -> None:
    web = WebClient()
    assert web.fetch(Request("GET", server.url + "/redirect/5"), soon()).body == b"arrived"
    failing(web, Request("GET", server.url + "/redirect/6"), "redirects", "more than 5 redirects")
    failing(web, Request("GET", server.url + "/loop"), "redirects")


def test_redirects_as_they_are_asked_for(server: HttpServer) -> None:
    web = WebClient()
    assert web.fetch(Request("GET", server.url + "/redirect/1", redirects=0), soon()).status == 302
    assert web.fetch(Request("GET", server.url + "/redirect/9", redirects=9), soon()).body == b"arrived"


def test_methods_and_bodies_of_redirects(server: HttpServer) -> None:
    web = WebClient()
    web.fetch(Request("POST", server.url + "/to//echo", body=b"data"), soon())
    web.fetch(Request("POST", server.url + "/again", body=b"data"), soon())
    assert [(seen.method, seen.body) for seen in server.seen] == [
        ("POST", b"data"), ("GET", b""), ("POST", b"data"), ("POST", b"data"),
    ]  # fmt: skip


def test_credentials_stay_with_their_server(server: HttpServer) -> None:
    with http_server() as other:
        request = Request("GET", f"{server.url}/to/{other.url}/echo", (("Authorization", "Bearer x"),))
        WebClient().fetch(request, soon())
        WebClient().fetch(Request("GET", f"{server.url}/to/{other.url}/echo", credentials=("a", "b")), soon())
        assert [seen.header("Authorization") for seen in other.seen] == [None, None]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://[/", "ftp://127.0.0.1/x"])
def test_redirects_to_something_else(server: HttpServer, url: str) -> None:
    with pytest.raises(WebError):
        WebClient().fetch(Request("GET", f"{server.url}/to/{url}"), soon())


# --- limits -----------------------------------------------------------------------------------------------------------


def test_size(server: HttpServer) -> None:
    web = WebClient(Settings(max_response=100_000))
    assert len(web.fetch(Request("GET", server.url + "/size/100000"), soon()).body) == 100_000
    failing(web, Request("GET", server.url + "/size/100001"), "size", "larger than 100000 bytes")
    failing(web, Request("GET", server.url + "/size/11", most=10), "size")
    assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200


def test_time(server: HttpServer) -> None:
    web = WebClient(Settings(timeout=1))
    failing(web, Request("GET", server.url + "/slow/5"), "timeout", "no answer in time")
    assert web.fetch(Request("GET", server.url + "/slow/0.5", timeout=60), soon()).body == b"late"
    with pytest.raises(WebError, match="in time"):
        WebClient().fetch(Request("GET", server.url + "/slow/5"), soon(0.2))
    with pytest.raises(WebError, match="in time"):
        WebClient().fetch(Request("GET", server.url + "/path"), soon(-1))


# --- where a request may go -------------------------------------------------------------------------------------------


def test_denied_networks(server: HttpServer) -> None:
    web = WebClient(Settings(deny=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))))
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"):
        failing(web, Request("GET", f"http://{host}:{server.port}/path"), "refused", "is in .http. deny")
    assert server.seen == []


def test_a_redirect_to_a_denied_network(server: HttpServer) -> None:
    web = WebClient(Settings(deny=(ipaddress.ip_network("127.0.0.2/32"),)))
    failing(web, Request("GET", f"{server.url}/to/http://127.0.0.2:{server.port}/path"), "refused")
    assert len(server.seen) == 1


def test_names_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    failing(WebClient(), Request("GET", f"http://{'a' * 70}.invalid/"), "resolve")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    failing(WebClient(), Request("GET", "http://nothing.invalid/"), "resolve", "nothing.invalid: the name can't be")


def test_nobody_listens() -> None:
    with http_server() as gone:
        url = gone.url
    failing(WebClient(), Request("GET", url), "connect", "127.0.0.1:.*refused")


def test_no_web() -> None:
    with pytest.raises(WebError, match="because"):
        NoWeb("because").fetch(Request("GET", "http://127.0.0.1/"), soon())


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_a_proxy(server: HttpServer) -> None:
    web = WebClient(Settings(proxy=server.url.replace("//", "//ann:pass@")))
    assert web.fetch(Request("GET", "http://example.com/path"), soon()).status == 200
    assert server.seen[0].url == "http://example.com/path"
    assert server.seen[0].header("Proxy-Authorization") == "Basic YW5uOnBhc3M="


def test_hosts_without_the_proxy(server: HttpServer) -> None:
    web = WebClient(Settings(proxy="http://127.0.0.1:9", no_proxy=("127.0.0.1", ".example.com")))
    assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200
    assert web._proxy_for(Request("GET", "http://www.Example.COM/")) == ""
    assert web._proxy_for(Request("GET", "http://badexample.com/")) == "http://127.0.0.1:9"


def test_a_proxy_of_a_request_s_own(server: HttpServer) -> None:
    web = WebClient()
    assert web.fetch(Request("GET", "http://example.com/x", proxy=server.url), soon()).status == 200
    failing(web, Request("GET", "http://example.com/x", proxy="socks5://127.0.0.1:9"), "proxy")


def test_a_proxy_that_makes_no_tunnels(server: HttpServer) -> None:
    failing(WebClient(Settings(proxy=server.url)), Request("GET", "https://example.com/"), "proxy", "501")


def tunnel(sock: socket.socket) -> None:
    """A proxy's answer to CONNECT, and the tunnel."""
    first, *_ = until_headers_end(sock).split(b"\r\n")
    place = first.split()[1].decode()
    with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as far:
        sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        back = threading.Thread(target=carry, args=(far, sock), daemon=True)
        back.start()
        carry(sock, far)
        back.join()


def carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_that_makes_tunnels(authority: Authority) -> None:
    with raw_server(tunnel) as proxy, http_server(authority) as server:
        web = WebClient(Settings(proxy=proxy.url, ca_file=str(authority.file)))
        for _ in range(2):
            assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200
        assert (proxy.connections, server.connections) == (1, 1)
        failing(WebClient(Settings(proxy=proxy.url)), Request("GET", server.url), "tls", "certificate verify failed")
        web.close()


def test_urls_with_all_sorts_of_letters(server: HttpServer) -> None:
    web = WebClient()
    assert web.fetch(Request("GET", server.url + "/caf\u00e9?\u00fc=%41"), soon()).status == 200
    assert server.seen[0].url == "/caf%C3%A9?%C3%BC=%41"
    failing(web, Request("GET", server.url + "/\udce9"), "url")
    failing(web, Request("GET", "http://a..b/"), "resolve")


def test_the_environment_is_not_looked_at(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9" if name != "SSL_CERT_FILE" else "/nowhere")
    assert WebClient().fetch(Request("GET", server.url + "/path"), soon()).status == 200


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_a_certificate_that_is_trusted(authority: Authority) -> None:
    web = WebClient(Settings(ca_file=str(authority.file)))
    with http_server(authority) as server:
        assert web.fetch(Request("GET", server.url + "/path"), soon()).status == 200
        assert WebClient().fetch(
            Request("GET", server.url + "/path", tls=Tls(ca_file=str(authority.file))), soon()
        ).status == 200  # fmt: skip


def test_a_certificate_that_nobody_trusts(authority: Authority) -> None:
    with http_server(authority) as server:
        failing(WebClient(), Request("GET", server.url), "tls", "certificate verify failed")
        assert WebClient().fetch(Request("GET", server.url + "/x", tls=Tls(verify=False)), soon()).status == 200
        assert len(server.seen) == 1


def test_a_certificate_for_another_name(authority: Authority) -> None:
    web = WebClient(Settings(ca_file=str(authority.file)))
    with http_server(authority, "other.example") as server:
        failing(web, Request("GET", server.url), "tls", "[Hh]ostname mismatch")
        assert web.fetch(Request("GET", server.url + "/x", tls=Tls(host=False)), soon()).status == 200


def test_a_certificate_file_that_is_none(server: HttpServer) -> None:
    failing(WebClient(Settings(ca_file="/nowhere")), Request("GET", server.url), "tls", "can't be used")


def test_a_server_without_tls(server: HttpServer) -> None:
    failing(WebClient(), Request("GET", server.url.replace("http:", "https:")), "tls")


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_urls_are_not_logged(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    WebClient().fetch(Request("GET", server.url + "/echo?token=geheim"), soon())
    with pytest.raises(WebError) as caught:
        WebClient().fetch(Request("GET", "http://ann:geheim@127.0.0.1:9/?token=geheim"), soon())
    assert "geheim" not in caplog.text + str(caught.value)


def test_secrets_are_not_shown() -> None:
    shown: Any = repr(Request("GET", "http://x/", credentials=("a", "geheim"), proxy="http://geheim@x", body=b"geheim"))
    assert "geheim" not in shown
    assert json.dumps(shown)
