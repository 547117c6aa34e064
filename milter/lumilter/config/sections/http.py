"""[http]: the requests that scripts make."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lumilter.config.declare import key
from lumilter.config.kinds import NETWORK, SIZE, TEXT, Kind, Network, got, integer, list_of, optional, seconds


def _proxy(value: object) -> str:
    text = str(TEXT.read(value))
    if not re.fullmatch(r"https?://[!-~]+", text):
        raise ValueError(f"expected {PROXY.expected}, got {got('...') if '@' in text else got(value)}")
    return text


PROXY = Kind('the URL of a proxy such as "http://192.0.2.1:3128"', _proxy)


@dataclass(frozen=True, slots=True)
class Http:
    """Requests of scripts: msys.http.client, curl, and http: and https: URIs. Certificates are always verified."""

    timeout: float = key(seconds(0.1), "Seconds that one request may take, redirects and all.", 30)
    connect_timeout: float = key(
        seconds(0.1), "Seconds that a connection may take to come about, its TLS handshake included.", 10
    )
    max_response: int = key(SIZE, "Largest body of an answer; a larger one is an error to the script.", "10M")
    max_redirects: int = key(integer(0), "How many redirects of one request are followed; more are an error.", 5)
    connections: int = key(integer(1), "Open connections of one worker, to all servers together.", 50)
    keep: float = key(seconds(0), "Seconds that an idle connection is kept for the next request.", 30)
    ca_file: str = key(
        TEXT,
        "A PEM file of authorities that are trusted besides the system's.",
        "",
        example="/etc/lumilter/ca.pem",
        path=True,
    )
    proxy: str | None = key(
        optional(PROXY),
        "A proxy that all requests go through, with user and password in it if it wants them. Environment variables "
        "are not looked at.",
        "",
        example="http://192.0.2.1:3128",
        secret=True,
    )
    no_proxy: tuple[str, ...] = key(
        list_of(TEXT), "Hosts, and domains with their hosts, that are asked directly.", [], example=["example.com"]
    )
    deny: tuple[Network, ...] = key(
        list_of(NETWORK),
        "Networks that no request is sent to, whatever name or redirect leads there: for scripts that ask for URLs "
        "which come from mail. Behind a proxy it is the proxy that has to refuse.",
        [],
        example=["127.0.0.0/8", "10.0.0.0/8", "::1/128"],
    )
