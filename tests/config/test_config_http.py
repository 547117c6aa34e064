"""[http] and [files]: from the file to what requests and reads are held to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lumilter.adapters.datasources.contract import DatasourceError
from lumilter.adapters.datasources.contract import Request as Query
from lumilter.adapters.files import SyslogSettings
from lumilter.adapters.http import Request, WebClient, WebError
from lumilter.config import load
from lumilter.daemon.setup import setup_of, web_settings
from lumilter.errors import ConfigError
from support.certificates import Authority
from support.http_server import http_server


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "lumilter.toml"
    file.write_text(text)
    return file


def test_requests_are_held_to_the_configuration(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    text = '[http]\nca_file = "ca.pem"\nmax_response = "1K"\nmax_redirects = 1\n[files]\nmax_read = 10\n'
    services = setup_of(load(write(tmp_path, text))).services
    assert services.files.settings.limits.max_read == 10
    web = services.web
    assert isinstance(web, WebClient)
    until = time.monotonic() + 60
    with http_server(authority) as server:
        assert web.fetch(Request("GET", server.url + "/redirect/1"), until).body == b"arrived"
        assert (server.seen[0].header("User-Agent") or "").startswith("lumilter/")
        with pytest.raises(WebError, match="redirects"):
            web.fetch(Request("GET", server.url + "/redirect/2"), until)
        with pytest.raises(WebError, match="larger than 1024 bytes"):
            web.fetch(Request("GET", server.url + "/size/1025"), until)


def test_networks_and_proxies(tmp_path: Path) -> None:
    text = '[http]\ndeny = ["127.0.0.0/8"]\nproxy = "http://ann:geheim@192.0.2.1:3128"\nno_proxy = ["a.example"]\n'
    config = load(write(tmp_path, text))
    settings = web_settings(config)
    assert settings.proxy == "http://ann:geheim@192.0.2.1:3128"
    assert settings.no_proxy == ("a.example",)
    assert [str(network) for network in settings.deny] == ["127.0.0.0/8"]
    assert "geheim" not in repr(config)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('proxy = "socks5://ann:geheim@192.0.2.1"', "expected the URL of a proxy"),
        ('proxy = "192.0.2.1:3128"', 'got the string "192.0.2.1:3128"'),
        ("timeout = 0", "a number of seconds, 0.1 or more"),
        ("connections = 0", "a whole number, 1 or more"),
        ('deny = ["localhost"]', "a network such as"),
        ("verify = false", 'unknown key "verify"'),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, f"[http]\n{text}\n"))
    assert caught.value.line == 2
    assert says in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_what_scripts_open_is_as_configured(tmp_path: Path) -> None:
    text = '[files]\npersist = "kept"\nsyslog_socket = "log"\nsyslog_ident = "i"\nsyslog_facility = "local3"\n'
    allowed = '[lua]\nallow = ["io.popen"]\n'
    settings = setup_of(load(write(tmp_path, text))).services.files.settings
    assert settings.persist == str(tmp_path / "kept")
    assert settings.syslog == SyslogSettings(str(tmp_path / "log"), "i", "local3")
    assert not settings.programs
    assert setup_of(load(write(tmp_path, text + allowed))).services.files.settings.programs


def test_a_datasource_opens_what_scripts_open(tmp_path: Path) -> None:
    text = '[files]\npersist = "kept"\n[[datasource]]\nname = "io"\nuri = "iowrapper:"\nmax_size = 200\n'

    def asked(uri: str) -> object:
        services = setup_of(load(write(tmp_path, text))).services
        try:
            return services.datasources.submit("io", Query(uri), time.monotonic() + 60).result().rows
        finally:
            services.datasources.close()
            services.web.close()

    with http_server() as server:
        assert asked(f"{server.url}/size/3") == asked(f"persist://{server.url}/size/3") == [("xxx",)]
        with pytest.raises(DatasourceError, match="404 Not Found"):
            asked(f"{server.url}/status/404")
        with pytest.raises(DatasourceError, match="larger than 200 bytes"):
            asked(f"{server.url}/size/201")
    assert asked(f"persist://{server.url}/size/3") == [("xxx",)]
    with pytest.raises(DatasourceError):
        asked(f"{server.url}/size/3")
