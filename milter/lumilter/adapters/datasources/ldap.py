"""LDAP directories, by ldap3.

The law: a search and nothing else; connections are kept by server and credentials, and one that failed in any way is
given up. Values come as the bytes that the server sent: text, or a table of texts where there are several.

Source: manual, "ds_core" (LDAP); RFC 4511.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lumilter.adapters.datasources import sockets
from lumilter.adapters.datasources.contract import (
    Answer,
    Cut,
    DatasourceError,
    Lost,
    Options,
    Request,
    Silent,
    TimedOut,
    Unreachable,
    Value,
    cleaned,
)
from lumilter.adapters.datasources.files import refuse_execute
from lumilter.adapters.datasources.ldap_url import LdapUrl, parse

_SEARCH_TIMEOUT = 6.0
_SCOPES = {"": "BASE", "base": "BASE", "one": "LEVEL", "sub": "SUBTREE"}
_ENOUGH = (0, 3, 4)
"""Result codes: success, timeLimitExceeded and sizeLimitExceeded; the last comes with what there was room for."""
_TIME_LIMIT = 3
_GONE = (51, 52, 80, 81)
"""busy, unavailable, other, server down."""

Kept = tuple[Any, float]
"""A connection, and when it was made."""


class LdapDriver:
    """See contract.Driver. place: the URI."""

    def __init__(self, place: str, options: Options) -> None:
        self._options = options
        self._base = parse(place)
        self._lock = threading.Lock()
        self._idle: dict[tuple[Any, ...], list[Kept]] = {}

    def ask(self, request: Request, until: float, cut: Cut) -> Answer:
        """See contract.Driver."""
        refuse_execute(request, "a directory")
        url = parse(request.text, request.params).over(self._base)
        secret = url.extensions.get("x-bindpw", "")
        try:
            return self._asked(url, until, cut)
        except DatasourceError as error:
            if secret:
                raise type(error)(cleaned(str(error), [secret])) from None
            raise

    def load(self) -> None:
        """See contract.Loads."""
        with contextlib.suppress(ImportError):
            importlib.import_module("ldap3")

    def close(self) -> None:
        """See contract.Driver."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection, _ in connections:
                _end(connection)

    def _asked(self, url: LdapUrl, until: float, cut: Cut) -> Answer:
        import ldap3
        from ldap3.core.exceptions import LDAPExceptionError

        until = min(until, time.monotonic() + url.number("x-search-timeout", _SEARCH_TIMEOUT))
        kept = self._connection(url, until, cut)
        connection = kept[0]
        copy = sockets.copy_of(connection.socket.fileno())
        try:
            cut.arm(lambda: sockets.shut(copy))
            try:
                connection.socket.settimeout(max(0.1, until - time.monotonic()))
                connection.search(
                    url.dn,
                    url.filter or "(objectClass=*)",
                    getattr(ldap3, _SCOPES[url.scope]),
                    attributes=list(url.attributes) or [ldap3.ALL_ATTRIBUTES],
                    size_limit=max(0, self._options.max_rows),
                    time_limit=max(1, int(until - time.monotonic())),
                )
                result, entries = connection.result, connection.response or []
            finally:
                cut.disarm()
            if result["result"] in _GONE:
                raise Lost(self._said(result))
            if result["result"] == _TIME_LIMIT:
                raise TimedOut("the directory took too long")
            if result["result"] == 32:  # noSuchObject: nothing is there
                entries = []
            elif result["result"] not in _ENOUGH:
                raise DatasourceError(self._said(result))
            answer = self._answer(url, entries)
        except (Lost, TimedOut):
            _end(connection)
            raise
        except DatasourceError:
            self._keep(url, kept)
            raise
        except Exception as error:
            _end(connection)
            text = self._options.clean(error) or type(error).__name__
            if cut.fired or isinstance(error, TimeoutError) or time.monotonic() >= until:
                raise Silent("the directory took too long") from None
            if isinstance(error, LDAPExceptionError) and "invalid" in type(error).__name__.lower():
                raise DatasourceError(text) from None  # the filter, the name: nothing was sent
            raise Lost(text) from None
        finally:
            copy.close()
        self._keep(url, kept)
        return answer

    def _answer(self, url: LdapUrl, entries: list[Mapping[str, Any]]) -> Answer:
        rows = self._options.rows()
        wanted = {name.lower(): name for name in url.attributes}
        for entry in entries:
            if entry.get("type") != "searchResEntry" or rows.full:
                continue
            row: dict[str, Value] = {}
            for name, raw in entry["raw_attributes"].items():
                texts = [
                    self._options.decoded(value if isinstance(value, bytes) else str(value).encode()) for value in raw
                ]
                if texts:
                    row[wanted.get(name.lower(), name)] = texts[0] if len(texts) == 1 else list(texts)
            if name := url.extensions.get("x-return-dn"):
                row[name] = entry["dn"]
            rows.add(row)
        return rows.answer()

    # --- connections -------------------------------------------------------------------------------------------------

    def _key(self, url: LdapUrl) -> tuple[Any, ...]:
        names = ("bindname", "x-bindpw", "x-ldap-version", "x-starttls", "x-cacert", "x-ignore-referrals")
        return (url.scheme, url.host, *(url.extensions.get(name) for name in names))

    def _connection(self, url: LdapUrl, until: float, cut: Cut) -> Kept:
        now = time.monotonic()
        while not url.flag("x-disable-connection-cache"):
            with self._lock:
                idle = self._idle.get(self._key(url))
                if not idle:
                    break
                kept = idle.pop()
            if now - kept[1] < self._options.connection_life and sockets.is_quiet(kept[0].socket):
                return kept
            _end(kept[0])
        return self._connected(url, until, cut), now

    def _keep(self, url: LdapUrl, kept: Kept) -> None:
        if url.flag("x-disable-connection-cache"):
            _end(kept[0])
            return
        dropped = None
        with self._lock:
            self._idle.setdefault(self._key(url), []).append(kept)
            if sum(map(len, self._idle.values())) > self._options.connections:
                oldest = min(self._idle, key=lambda key: self._idle[key][0][1])
                dropped = self._idle[oldest].pop(0)
                if not self._idle[oldest]:
                    del self._idle[oldest]
        if dropped is not None:
            _end(dropped[0])

    def _connected(self, url: LdapUrl, until: float, cut: Cut) -> Any:
        import ldap3

        seconds = min(url.number("x-connect-timeout", self._options.connect_timeout), until - time.monotonic())
        if seconds <= 0:
            raise TimedOut("no connection was free in time")
        user, password = url.extensions.get("bindname"), url.extensions.get("x-bindpw")
        if user and not password:  # servers take that for anonymous, and say yes
            raise DatasourceError("a bindname needs a password: x-bindpw")
        own = user != self._base.extensions.get("bindname")  # of the script: no reason to leave the place alone
        connection = None
        try:
            server = _server(url, seconds)
            connection = ldap3.Connection(
                server, user=user or None, password=password or None, auto_bind=ldap3.AUTO_BIND_NONE,
                version=int(url.number("x-ldap-version", 3)), authentication=ldap3.SIMPLE if user else ldap3.ANONYMOUS,
                client_strategy=ldap3.SYNC, read_only=True, check_names=False, receive_timeout=math.ceil(seconds),
                auto_referrals=not url.flag("x-ignore-referrals"), return_empty_attributes=False,
            )  # fmt: skip
            connection.open()
            copy = sockets.copy_of(connection.socket.fileno())
            try:
                cut.arm(lambda: sockets.shut(copy))
                if url.flag("x-starttls") and not connection.start_tls():
                    raise Unreachable("the directory refuses STARTTLS")
                if connection.bind():
                    return connection
            finally:
                cut.disarm()
                copy.close()
            problem = (DatasourceError if own else Unreachable)(self._said(connection.result))
        except DatasourceError as error:
            problem = error
        except Exception as error:
            problem = Unreachable(self._options.clean(error) or type(error).__name__)
        if connection is not None:
            _end(connection)
        raise problem

    def _said(self, result: Mapping[str, Any]) -> str:
        words = f"{result.get('description', '')}: {result.get('message', '')}".rstrip(": ")
        return self._options.clean(words or f"result {result.get('result')}")


def _server(url: LdapUrl, seconds: float) -> Any:
    import ssl

    import ldap3

    if not url.host:
        raise DatasourceError("neither the query nor the URI names a server")
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=url.extensions.get("x-cacert") or None)
    if url.scheme == "ldapi":
        return ldap3.Server(f"ldapi://{url.host}", get_info=ldap3.NONE, connect_timeout=seconds)
    return ldap3.Server(
        f"{url.scheme}://{url.host}", get_info=ldap3.NONE, connect_timeout=seconds, tls=tls,
        allowed_referral_hosts=[("*", False)],
    )  # fmt: skip


def _end(connection: Any) -> None:
    with suppress(Exception):  # it may have ended by itself
        connection.socket.shutdown(socket.SHUT_RDWR)
    with suppress(Exception):
        connection.strategy.close()
