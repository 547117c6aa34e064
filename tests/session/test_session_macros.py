"""session.macros: the manual's examples, and that nothing a client sends is ever a macro."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumilter.session.macros import MacroSource, expand


@dataclass(frozen=True)
class Source:
    """The session of the SPF specification's examples."""

    conn: Mapping[str, str] = field(default_factory=dict)
    mess: Mapping[str, str] = field(default_factory=dict)
    sender: str = "strong-bad@email.example.com"
    helo: str = "mx.example.org"
    client_ip: str = "192.0.2.3"
    client_name: str = "mx.example.org"
    domain: str = "email.example.com"
    receiver: str = "mail.receiver.test"
    now: int = 1_700_000_000
    content: Callable[[], tuple[bytes, bytes]] = lambda: (b"", b"")


SPF: MacroSource = Source()
SPF6 = Source(client_ip="2001:DB8::CB01")


# --- contexts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{vctx_conn:ehlo_string}", "mail.example"),
        ("<%{vctx_mess:spf status}|%{vctx_mess:a:b}>", "<pass|c>"),
        ("%vctx_conn{ehlo_string} %vctx_mess{spf status}", "mail.example pass"),
        ("[%{vctx_conn:absent}%{vctx_mess:absent}%vctx_mess{absent}]", "[]"),
        ("%{mailfrom_localpart}@%{mailfrom_domain}", "bob@example.net"),
        ("%{ehlo_string}", "mail.example"),
    ],
)
def test_context_variables(text: str, expanded: str) -> None:
    mess = {"spf status": "pass", "a:b": "c", "mailfrom_localpart": "bob", "mailfrom_domain": "example.net"}
    assert expand(text, Source(conn={"ehlo_string": "mail.example"}, mess=mess)) == expanded


@pytest.mark.parametrize(
    "text",
    [
        "", "100%", "%", "%%", "%{", "%{}", "%}", "%{ }", "%s %d %20", "%{unknown}", "%{unknown:x}", "%{vctx_conn:}",
        "%{vctx_conn}", "%{VCTX_CONN:x}", "%{spfv1:}", "%{spfv1:z}", "%{x}", "%{d0}", "%{d00r}", "%{dx}", "%{d-r}",
        "%{SPFV1:s}", "%{ſ}", "%{rfc822:time}", "%{rfc2822:}", "%{rfc2822:body,-1}", "%{rfc2822:part}",
        "%{rfc2822:message,٣}", "%{outbound_tls:outbound_tls}", "%vctx_other{x}", "%vctx_conn{}", "$s ${s} {s}",
    ],
)  # fmt: skip
def test_what_is_no_macro_stays(text: str) -> None:
    assert expand(text, SPF) == text


def test_a_macro_inside_an_unknown_one_is_still_a_macro() -> None:
    assert expand("%{no %{i} %%{i}", SPF) == "%{no 192.0.2.3 %192.0.2.3"


# --- security ---------------------------------------------------------------------------------------------------------


def test_what_is_put_in_is_never_expanded() -> None:
    evil = "%{vctx_mess:secret}%{i}%vctx_mess{secret}"
    hostile = Source(
        conn={"ehlo_string": evil, "half": "%{vctx_mess:sec"},
        mess={"secret": "S3CRET", "ret": "S3CRET"},
        sender=f"{evil}@{evil}",
        helo=evil,
        client_name=evil,
        domain=evil,
        content=lambda: (b"Subject: " + evil.encode() + b"\r\n", evil.encode()),
    )
    for name in ("vctx_conn:ehlo_string", "s", "l", "o", "d", "h", "p", "dr", "rfc2822:message", "rfc2822:text"):
        assert "S3CRET" not in expand("%{" + name + "}", hostile)
        assert evil.split("%")[1].split(":")[0] in expand("%{" + name + "}", hostile)
    assert expand("%{vctx_conn:half}ret}", hostile) == "%{vctx_mess:secret}"


# --- SPF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", ["", "spfv1:"])
@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{i}", "192.0.2.3"),
        ("%{c}", "192.0.2.3"),
        ("%{h} %{p} %{v} %{t} %{r}", "mx.example.org mx.example.org in-addr 1700000000 mail.receiver.test"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%{ir}.dnsbl.org", "3.2.0.192.dnsbl.org"),
    ],
)
def test_the_manuals_spf_examples(text: str, expanded: str, namespace: str) -> None:
    assert expand(text.replace("%{", "%{" + namespace), SPF) == expanded


def test_spf_with_ipv6() -> None:
    nibbles = "1.0.B.C." + "0." * 20 + "8.B.D.0.1.0.0.2"
    assert expand("%{ir}.%{v}._spf.%{d2}", SPF6) == f"{nibbles}.ip6._spf.example.com"
    assert expand("%{c}", SPF6) == "2001:db8::cb01"
    assert expand("%{i} %{c} %{v}", Source(client_ip="::ffff:192.0.2.3")) == "192.0.2.3 192.0.2.3 in-addr"
    assert expand("%{i}|%{c}|%{v}", Source(client_ip="/run/x.sock")) == "/run/x.sock|/run/x.sock|"
    assert expand("%{v}", Source(client_ip="fe80::1%eth0")) == "ip6"


@pytest.mark.parametrize(
    ("sender", "expanded"),
    [
        ("", "postmaster@mx.example.org|postmaster|mx.example.org|mx.example.org"),
        ("@example.net", "postmaster@example.net|postmaster|example.net|example.net"),
        ("bob", "bob@mx.example.org|bob|mx.example.org|mx.example.org"),
        ('"a@b"@example.net', '"a@b"@example.net|"a@b"|example.net|example.net'),
    ],
)
def test_senders_without_a_part(sender: str, expanded: str) -> None:
    assert expand("%{s}|%{l}|%{o}|%{d}", Source(sender=sender, domain="")) == expanded


def test_before_helo_and_mail_there_is_nothing() -> None:
    nothing = Source(sender="", helo="", domain="", client_name="")
    assert expand("[%{s}%{l}%{o}%{d}%{h}]%{p}", nothing) == "[]unknown"


def test_transformers() -> None:
    source = Source(sender="a.b-c+d_e/f=g,h@x..y.", domain="x..y.")
    assert expand("%{l.-+_/=,}", source) == "a.b.c.d.e.f.g.h"
    assert expand("%{l2-}|%{l+}|%{l99999999999999999999r.-}", source) == "a.b.c+d_e/f=g,h|a.b-c.d_e/f=g,h|" + (
        "c+d_e/f=g,h.b.a"
    )
    assert expand("%{d2}|%{dr}", source) == "y.|.y..x"
    assert expand("%{DR}|%{dR}", SPF) == "com.example.email|com.example.email"


def test_a_million_delimiters() -> None:
    assert expand(f"%{{s{'.-' * 1_000_000}}}", Source(sender="a.b-c@d")) == "a.b.c@d"


def test_an_upper_case_letter_escapes_for_urls() -> None:
    source = Source(sender="a b/é%\udcff~._-@x")
    assert expand("%{L}", source) == "a%20b%2F%C3%A9%25%FF~._-"
    assert expand("%{S}", source) == "a%20b%2F%C3%A9%25%FF~._-%40x"


# --- dates, properties ------------------------------------------------------------------------------------------------


def test_date() -> None:
    assert expand("Date: %{rfc822:date}", SPF) == "Date: Tue, 14 Nov 2023 22:13:20 +0000"
    parsed = email.utils.parsedate_to_datetime(expand("%{rfc822:date}", SPF))
    assert parsed.timestamp() == SPF.now


tokens = st.sampled_from(["%", "{", "}", "%{", "%{i}", "vctx_conn:", "spfv1:", "rfc2822:", "d2r.", "text,", "1", "b}"])
texts = st.lists(tokens | st.text(max_size=4), max_size=12).map("".join)


@settings(max_examples=200, deadline=None)
@given(texts, texts, st.binary(max_size=40))
def test_never_raises(text: str, value: str, body: bytes) -> None:
    source = Source({"k": value}, {"i": value}, value, value, value, value, value, content=lambda: (body, body))
    assert isinstance(expand(text, source), str)


@given(st.text().filter(lambda text: "%" not in text))
def test_text_without_a_percent_sign_comes_back(text: str) -> None:
    assert expand(text, SPF) is text


@given(texts)
def test_only_macros_are_replaced(text: str) -> None:
    assert expand(text.replace("%", "percent"), SPF) == text.replace("%", "percent")
    assert expand(f"%{{i}}{text.replace('%', '')}%{{i}}", SPF) == f"192.0.2.3{text.replace('%', '')}192.0.2.3"


def test_a_megabyte_of_openings_is_read_once() -> None:
    for unit in ("%{", "%{vctx_conn:", "%vctx_conn{", "%{%", "%{rfc2822:text,"):
        text = unit * (1_000_000 // len(unit))
        assert expand(text, replace(Source(), sender="x")) == text
