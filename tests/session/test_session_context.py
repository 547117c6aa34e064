"""session.context: the predefined variables, and what clients and MTAs can make of them."""

from __future__ import annotations

import pytest

from lumilter.session import context
from lumilter.session.address import Path
from lumilter.session.context import CONN, MESS, ValidateContext
from lumilter.session.events import Helo


def test_the_two_dictionaries() -> None:
    vctx = ValidateContext()
    assert vctx.dictionary(CONN) is vctx.conn
    assert vctx.dictionary(MESS) is vctx.mess
    for which in (-1, 2, 99):
        with pytest.raises(ValueError, match=f"{which} is neither VCTX_CONN"):
            vctx.dictionary(which)


def test_a_phase_begins_without_disposition_but_keeps_the_rest() -> None:
    vctx = ValidateContext({"a": "1"}, {"b": "2"}, 550, "no", True, 3.0)
    vctx.begin_phase()
    assert vctx == ValidateContext({"a": "1"}, {"b": "2"}, 250, None, True, 3.0)


@pytest.mark.parametrize(
    ("name", "domain"),
    [("Client.Example.", "client.example"), ("[192.0.2.1]", "[192.0.2.1]"), ("", ""), ("caf\udce9\0", "caf\udce9\0")],
)
def test_helo(name: str, domain: str) -> None:
    conn: dict[str, str] = {}
    context.greeted(conn, Helo(name))
    assert conn == {"ehlo_string": name, "ehlo_domain": domain}


def test_tls() -> None:
    conn: dict[str, str] = {}
    macros = {
        "tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "cipher_bits": "256", "verify": "OK",
        "cert_subject": "client", "cert_issuer": "CA",
    }  # fmt: skip
    context.secured(conn, macros)
    assert conn == {
        "tls": "true",
        "tls_version": "TLSv1.3",
        "tls_cipher": "TLS_AES_256_GCM_SHA384",
        "tls_cipher_usebits": "256",
        "tls_cipher_algbits": "256",
        "tls_client_cert_subject": "client",
        "tls_client_cert_subject_cn": "client",
        "tls_client_cert_issuer": "CA",
        "tls_client_cert_issuer_cn": "CA",
        "tls_client_verified": "yes",
    }


@pytest.mark.parametrize("macros", [{}, {"tls_version": ""}, {"cipher": "x", "verify": "OK"}])
def test_without_tls_there_is_no_variable(macros: dict[str, str]) -> None:
    conn: dict[str, str] = {}
    context.secured(conn, macros)
    assert conn == {}


@pytest.mark.parametrize(
    ("macros", "expected"),
    [
        ({}, {}),
        ({"auth_type": "PLAIN"}, {}),
        ({"auth_authen": ""}, {}),
        ({"auth_authen": "ann"}, {"auth_user": "ann", "auth_status": "pass", "can_relay": "true"}),
        (
            {"auth_authen": "ann", "auth_type": "PLAIN"},
            {"auth_user": "ann", "auth_status": "pass", "can_relay": "true", "auth_name": "PLAIN"},
        ),
    ],
)
def test_authentication(macros: dict[str, str], expected: dict[str, str]) -> None:
    conn: dict[str, str] = {}
    context.authenticated(conn, macros)
    assert conn == expected


def test_sender_recipient_and_counters() -> None:
    vctx = ValidateContext()
    context.connected(vctx.conn)
    counters = ("connection_message_count", "connection_rcpt_count", "message_rcpt_count")
    assert [vctx.conn[name] for name in counters] == ["0", "0", "0"]
    context.sender(vctx, Path.parse("<Ann+x@Example.org>"))
    assert vctx.mess == {
        "mailfrom_string": "Ann+x@Example.org", "mailfrom_localpart": "Ann+x", "mailfrom_domain": "Example.org"
    }  # fmt: skip
    for recipient in ("bob@x", "carol@y"):
        context.recipient(vctx.mess, Path.parse(recipient))
        context.counted(vctx.conn)
    assert (vctx.mess["rcptto_string"], vctx.mess["rcptto_localpart"], vctx.mess["rcptto_domain"]) == (
        "carol@y", "carol", "y",
    )  # fmt: skip
    assert [vctx.conn[name] for name in counters] == ["1", "2", "2"]
    context.sender(vctx, Path.parse("<>"))
    assert vctx.mess["mailfrom_string"] == ""
    assert [vctx.conn[name] for name in counters] == ["2", "2", "0"]


def test_a_counter_that_a_script_overwrote_starts_again() -> None:
    conn = {"connection_rcpt_count": "many", "message_rcpt_count": "3"}
    context.counted(conn)
    assert (conn["connection_rcpt_count"], conn["message_rcpt_count"]) == ("1", "4")
