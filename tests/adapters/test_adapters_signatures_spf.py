"""SPF over our resolver: RFC 7208's rules in cases of our own, its limits, DNS that fails, and the field that says
so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import authres
import pytest

from lumilter.adapters.dns import Lookup, Resolver
from lumilter.adapters.signatures.sender_policy import RESULTS, SpfResult, check, received_spf
from support.dns_server import DnsServer
from support.dns_zone import Zone

CLIENT = "192.0.2.10"


def judged(
    names: Mapping[str, Any] | Lookup, sender: str = "ann@example.org", client: str = CLIENT, helo: str =
    "mx.example.org", rule: str = "", seconds: float = 20, scope: str = "",
) -> SpfResult:  # fmt: skip
    resolver = Zone(names) if isinstance(names, Mapping) else names
    return check(client, sender, helo, "mx.example.com", rule, resolver, time.monotonic() + seconds, scope)


def policy(text: str, **more: Any) -> dict[str, Any]:
    return {"example.org": {"TXT": [text]}, **{name.replace("_", "."): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "fail"),
        ("v=spf1 ip4:198.51.100.0/24 ~all", "softfail"),
        ("v=spf1 ip4:198.51.100.0/24 ?all", "neutral"),
        ("v=spf1 ip4:198.51.100.0/24", "neutral"),
        ("v=spf1 -ip4:192.0.2.10 +all", "fail"),
        ("V=SPF1 IP4:192.0.2.10 -ALL", "pass"),
        ("v=spf1", "neutral"),
        ("v=spf10 -all", "none"),
        ("v=spf1 a -all", "fail"),
        ("v=spf1 a:mail.example.org -all", "pass"),
        ("v=spf1 a:mail.example.org/24 -all", "pass"),
        ("v=spf1 mx -all", "pass"),
        ("v=spf1 exists:%{ir}.%{v}.lists.example.org -all", "pass"),
        ("v=spf1 exists:%{l1r-}.%{d}.none.example.org -all", "fail"),
        ("v=spf1 include:other.example -all", "pass"),
        ("v=spf1 include:nopolicy.example -all", "permerror"),
        ("v=spf1 redirect=other.example", "pass"),
        ("v=spf1 redirect=nopolicy.example", "permerror"),
        ("v=spf1 ptr -all", "pass"),
        ("v=spf1 moo -all", "permerror"),
        ("v=spf1 ip4:192.0.2.300 -all", "permerror"),
        ("v=spf1 ip4:192.0.2.1/33 -all", "permerror"),
        ("v=spf1 ip4:192.0.2.10 moo", "permerror"),
        ("v=spf1 a:caf\xe9 -all", "permerror"),
        ("v=spf1 unknown=modifier ip4:192.0.2.10 -all", "pass"),
        ("v=spf1 redirect=a.example redirect=b.example", "permerror"),
        ("v=spf1 include:example.org -all", "permerror"),
        ("v=spf1 a:%{x}.example.org -all", "permerror"),
        ("v=spf1 " + "a:x.example " * 11 + "-all", "permerror"),
        ("v=spf1 " + "ip4:192.0.2.10 " * 1000, "none"),
    ],
)
def test_terms(text: str, result: str) -> None:
    names = policy(
        text,
        mail_example_org={"A": [CLIENT]},
        other_example={"TXT": ["v=spf1 ip4:192.0.2.10 -all"]},
        nopolicy_example={"A": [CLIENT]},
        x_example={"A": ["198.51.100.1"]},
    )
    names["example.org"].update(MX=[[10, "mail.example.org"]], A=["198.51.100.1"])
    names["10.2.0.192.in-addr.lists.example.org"] = {"A": ["127.0.0.2"]}
    names["10.2.0.192.in-addr.arpa"] = {"PTR": ["mail.example.org"]}
    assert judged(names).result == result


def test_ipv6() -> None:
    names = policy("v=spf1 ip6:2001:db8::/32 a:six.example -all", six_example={"AAAA": ["2001:db9::1"]})
    assert judged(names, client="2001:db8::1").result == "pass"
    assert judged(names, client="2001:db9::1").result == "pass"
    assert judged(names, client="2001:dba::1").result == "fail"
    assert judged(policy("v=spf1 ip4:192.0.2.10 -all"), client="::ffff:192.0.2.10").result == "pass"


@pytest.mark.parametrize("sender", ["ann@gone.example", "ann@" + "a" * 64 + ".example", "ann@a..example"])
def test_domains_without_a_policy(sender: str) -> None:
    assert judged({}, sender).result == "none"
    assert judged({}, "ann@gone.example").nxdomain


def test_the_null_sender_is_judged_by_helo() -> None:
    found = judged({"mx.example.org": {"TXT": ["v=spf1 ip4:192.0.2.10 -all"]}}, "")
    assert (found.result, found.identity, found.domain) == ("pass", "helo", "mx.example.org")
    assert judged({}, "", helo="[192.0.2.10]").result == "none"
    assert judged({}, "", helo="").result == "none"


def test_the_rule_for_domains_without_one() -> None:
    here = {"example.org": {"A": ["192.0.2.1"]}}
    assert judged(here, rule="?all").result == "neutral"
    assert judged(here, rule="a:mail.example.org -all").result == "fail"
    assert judged({}, rule="?all").result == "none", "a domain that is not there"


def test_what_the_domain_says_to_those_whom_it_refuses() -> None:
    names = policy("v=spf1 -all exp=why.example.org", why_example_org={"TXT": ["%{c} may not (%{o})"]})
    assert judged(names).explanation == "192.0.2.10 may not (example.org)"
    assert judged(policy("v=spf1 -all exp=none.example.org")).explanation == ""
    assert judged(policy("v=spf1 -all exp=x.example.org", x_example_org={"TXT": ["a\r\nb\xe9"]})).explanation in (
        "",
        "a??b??",
    )


# --- limits and DNS that fails ----------------------------------------------------------------------------------------


def test_a_chain_of_includes() -> None:
    names: dict[str, Any] = {f"i{n}.example": {"TXT": [f"v=spf1 include:i{n + 1}.example -all"]} for n in range(50)}
    zone = Zone(policy("v=spf1 include:i0.example -all") | names)
    assert judged(zone).result == "permerror"
    assert len(zone.asked) <= 12


def test_many_exchangers() -> None:
    names = policy("v=spf1 mx -all", **{f"m{n}_example": {"A": ["198.51.100.1"]} for n in range(30)})
    names["example.org"]["MX"] = [[n, f"m{n}.example"] for n in range(30)]
    zone = Zone(names)
    assert judged(zone).result == "permerror"
    assert len(zone.asked) <= 12


def test_names_that_are_not_there() -> None:
    zone = Zone(policy("v=spf1 a:a.example a:b.example a:c.example a:d.example -all"))
    assert judged(zone).result == "permerror"
    assert len(zone.asked) == 4


@pytest.mark.parametrize("word", ["SERVFAIL", "TIMEOUT", "REFUSED"])
def test_dns_that_does_not_answer(word: str) -> None:
    assert judged({"example.org": word}).result == "temperror"
    assert judged(policy("v=spf1 a:later.example -all", later_example=word)).result == "temperror"
    assert judged(policy("v=spf1 include:later.example -all", later_example=word)).result == "temperror"


def test_a_silent_name_server_costs_no_more_than_the_time_allowed() -> None:
    with DnsServer(lambda query, transport: None) as server:
        begun = time.monotonic()
        assert judged(Resolver(servers=[server.address]), seconds=1).result == "temperror"
        assert time.monotonic() - begun < 15
    assert judged({"example.org": {"TXT": ["v=spf1 -all"]}}, seconds=-1).result == "temperror"


# --- Received-SPF -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", RESULTS)
def test_received_spf(result: str) -> None:
    found = SpfResult(
        result, identity="mailfrom", domain="example.org", sender='"a\\" b)"@example.org', client=CLIENT, helo="a(b",
        receiver="mx.example.com", mechanism="ip4:192.0.2.0/24", problem="x" * 1000,
    )  # fmt: skip
    text = received_spf(found)
    assert text.startswith(f"{result} (mx.example.com: ")
    assert text.split("\n")[0].count("(") == text.split("\n")[0].count(")") == 1
    assert "client-ip=192.0.2.10;" in text
    assert 'envelope-from="\\"a\\\\\\" b)\\"@example.org";' in text
    assert all(len(line) < 998 for line in text.split("\n"))
    assert "\r\n" not in text


def test_what_a_client_says_can_not_break_out() -> None:
    found = judged({}, sender="a\r\nX: y@example.org", helo="h\r\nZ: 1")
    text = received_spf(found)
    assert "\r" not in text
    assert all(line.startswith("\t") for line in text.split("\n")[1:])
    assert authres.SPFAuthenticationResult(result=found.result).result in RESULTS


@pytest.mark.parametrize(
    ("records", "mfrom", "pra"),
    [
        (["v=spf1 +all"], "pass", "pass"),
        (["spf2.0/pra -all"], "none", "fail"),
        (["spf2.0/mfrom,pra ~all"], "softfail", "softfail"),
        (["spf2.0/pra +all", "v=spf1 -all"], "fail", "pass"),
        (["spf2.0/mfrom +all", "spf2.0/pra ?all", "v=spf1 -all"], "pass", "neutral"),
        (["SPF2.0/PRA +all"], "none", "pass"),
        (["spf2.0/pra -all", "spf2.0/mfrom,pra +all"], "pass", "permerror"),
        (["spf2.0/pra moo"], "none", "permerror"),
        (["spf2.0/pra"], "none", "neutral"),
        (["spf2.0/prax -all", "spf2.1/pra -all", "spf2.0/pra; -all"], "none", "none"),
        (["spf2.0/pra include:b.example -all"], "none", "pass"),
        ([], "none", "none"),
    ],
)
def test_sender_id(records: list[str], mfrom: str, pra: str) -> None:
    """RFC 4406 4.4: a policy of the scope that is asked about comes before one of SPF, in what it includes too."""
    own = {"TXT": records} if records else {"A": [CLIENT]}
    names = {"example.org": own, "b.example": {"TXT": ["v=spf1 -all", "spf2.0/pra ip4:192.0.2.10 -all"]}}
    assert judged(names, scope="mfrom").result == mfrom
    assert judged(names, scope="pra").result == pra
    if not any(record.lower().startswith("v=spf1") for record in records):
        assert judged(names).result == "none"


def test_sender_id_does_not_fall_for_names() -> None:
    assert judged({}, "ann@" + "a" * 64 + ".example", scope="pra").result == "none"
    assert judged({}, "ann@gone.example", scope="pra").nxdomain
    assert judged({"example.org": {"TXT": ["spf2.0/pra include:example.org -all"]}}, scope="pra").result == "permerror"


def test_macros_can_not_make_much_of_little() -> None:
    """A policy of 8 kB that names a long sender 2,000 times."""
    names = policy("v=spf1 -all exp=why.example.org", why_example_org={"TXT": ["%{s}" * 2000]})
    began = time.process_time()
    found = judged(names, "a." * 50_000 + "@example.org", helo="h" * 100_000)
    assert time.process_time() - began < 10
    assert (found.result, len(found.explanation), len(found.sender), len(found.helo)) == ("fail", 1000, 268, 255)
