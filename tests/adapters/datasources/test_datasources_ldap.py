"""LDAP: queries of a real directory, the documented extensions, credentials, and what URLs may look like."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from lumilter.adapters.datasources.contract import DatasourceError
from lumilter.adapters.datasources.ldap_url import escaped_name, parse
from support.asking import Asked, asked
from support.certificates import Authority
from support.openldap import PASSWORD, PEOPLE, ROOT, SUFFIX, OpenLdap

SEARCH = f"ldap:///{PEOPLE}?"


@pytest.fixture
def directory(ldap_server: OpenLdap) -> Iterator[Asked]:
    with asked(ldap_server.uri) as source:
        yield source


def test_attributes_by_name_several_values_as_a_table(directory: Asked) -> None:
    assert directory.rows(f"{SEARCH}cn,mail?one?(cn=ann)") == [
        {"cn": "ann", "mail": ["ann@example.com", "ann.lee@example.com"]}
    ]
    rows = directory.rows(f"{SEARCH}MAIL,sn,jpegPhoto?sub?(mail=bob@example.com)")
    assert rows == [
        {"MAIL": "bob@example.com", "sn": "Caf\u00e9", "jpegPhoto": b"\xff\x00\xfe".decode("utf-8", "surrogateescape")}
    ]
    assert directory.rows(f"{SEARCH}mail?one?(cn=nobody)") == []
    assert directory.rows(f"ldap:///ou=nowhere,{SUFFIX}?mail?sub") == []
    assert directory.rows(f"ldap:///{PEOPLE}?ou") == [{"ou": "people"}]
    assert set(directory.rows(f"ldap:///cn=ann,{PEOPLE}")[0]) >= {"cn", "sn", "mail", "objectClass"}


def test_a_query_over_several_lines_as_the_manual_has_it(directory: Asked) -> None:
    query = f"""ldap:///{SUFFIX}?cn,mail?sub?
      (&(&(cn=*)(|(&(objectClass=inetOrgPerson)
      (!(sn=Nobody)))(objectClass=group)))
      (mail=$rcpt))
      ?x-return-dn=where"""
    assert directory.rows(query, rcpt="bob@example.com") == [
        {"cn": "bob (the * one)", "mail": "bob@example.com", "where": f"cn=bob (the * one),{PEOPLE}"}
    ]


@pytest.mark.parametrize("value", ["*", "bob*", ")(objectClass=*", "\\2a", "a\0b", "?x", "%2a", "a,b"])
def test_values_are_escaped_in_filters(directory: Asked, value: str) -> None:
    assert directory.rows(f"{SEARCH}cn?one?(cn=$name)", name=value) == []
    assert directory.rows(f"ldap:///cn=$name,{PEOPLE}?cn", name=value) == []


def test_values_that_are_not_utf8(directory: Asked) -> None:
    assert directory.rows(f"{SEARCH}cn?one?(cn=$name)", name="caf\udce9") == []
    with pytest.raises(DatasourceError, match="invalidDNSyntax"):
        directory.rows(f"ldap:///cn=$name,{PEOPLE}?cn", name="caf\udce9")


def test_values_with_characters_of_filters_and_names(directory: Asked) -> None:
    name = "bob (the * one)"
    assert directory.rows(f"{SEARCH}cn?one?(cn=${{name}})", name=name) == [{"cn": name}]
    assert directory.rows(f"ldap:///cn=$name,{PEOPLE}?cn", name=name) == [{"cn": name}]
    assert directory.rows("ldap:///$dn?cn", dn=f"cn={name},{PEOPLE}") == [{"cn": name}]


def test_what_a_query_leaves_out_is_taken_from_the_uri(ldap_server: OpenLdap) -> None:
    with asked(f"{ldap_server.uri}/{PEOPLE}?mail?one?(cn=bob*)") as source:
        assert source.rows("ldap:///") == [{"mail": "bob@example.com"}]
        assert source.rows("ldap:///?cn") == [{"cn": "bob (the * one)"}]
        assert source.rows("ldap:///???(cn=ann)") == [{"mail": ["ann@example.com", "ann.lee@example.com"]}]
        assert source.rows(f"ldap:///{SUFFIX}?o?base?(o=*)") == [{"o": "Example"}]


def test_binds(ldap_server: OpenLdap) -> None:
    closed = f"ldap:///ou=closed,{SUFFIX}?ou"
    own = f"bindname={quote(ROOT)},x-bindpw={quote(PASSWORD)}"
    with asked(ldap_server.uri) as anonymous, asked(f"{ldap_server.uri}/????{own}") as bound:
        assert anonymous.rows(closed) == []
        assert bound.rows(closed) == [{"ou": "closed"}]
        assert anonymous.rows(f"{closed}???{own}") == [{"ou": "closed"}]
        assert anonymous.rows(closed) == []
        query = f"{closed}???bindname=$user,x-bindpw=$pass"
        assert anonymous.rows(query, user=f"cn=ann,{PEOPLE}", **{"pass": "ann's,pass"}) == [{"ou": "closed"}]
        query = f"{closed}???bindname=cn=$user%2c{quote(PEOPLE)},x-bindpw=$pass"
        assert anonymous.rows(query, user="ann", **{"pass": "ann's,pass"}) == [{"ou": "closed"}]
        for user, password in (("ann", "wrong"), ("ann,cn=x", "x"), ("", "x")):
            with pytest.raises(DatasourceError, match=r"^ds: invalid(Credentials|DNSyntax)"):
                anonymous.rows(query, user=user, **{"pass": password})
        with pytest.raises(DatasourceError, match="needs a password"):
            anonymous.rows(query, user="ann", **{"pass": ""})
        assert anonymous.stats["places"][0]["failures"] == 0
    with asked(f"{ldap_server.uri}/????bindname={quote(ROOT)},x-bindpw=hush") as wrong:
        with pytest.raises(DatasourceError, match="invalidCredentials"):
            wrong.rows(closed)
        assert "hush" not in str(wrong.stats)


def test_tls(ldap_server: OpenLdap, authority: Authority) -> None:
    query = f"{SEARCH}mail?one?(cn=bob*)"
    secure, plain = f"ldaps://localhost:{ldap_server.secure}", f"ldap://localhost:{ldap_server.port}"
    trust = f"x-cacert={quote(str(authority.file), safe='')}"
    for uri in (f"{secure}/????{trust},x-ldap-version=3", f"{plain}/????{trust},x-starttls=1"):
        with asked(uri) as source:
            assert source.rows(query) == [{"mail": "bob@example.com"}]
            assert source.rows(query) == [{"mail": "bob@example.com"}]
    for uri in (secure, f"{plain}/????x-starttls=1", f"ldaps://127.0.0.1:{ldap_server.secure}/????{trust}"):
        with asked(uri) as source, pytest.raises(DatasourceError, match=r"(?i)certificate|hostname|doesn't match"):
            source.rows(query)


def test_referrals_are_followed_unless_told_not_to(directory: Asked) -> None:
    assert directory.rows(f"ldap:///ou=far,{SUFFIX}?mail?one?(cn=bob*)") == [{"mail": "bob@example.com"}]
    with pytest.raises(DatasourceError, match="referral"):
        directory.rows(f"ldap:///ou=far,{SUFFIX}?mail?one?(cn=bob*)?x-ignore-referrals=1")


def test_rows_are_limited(ldap_server: OpenLdap) -> None:
    with asked(ldap_server.uri, max_rows=1) as source:
        assert len(source.rows(f"{SEARCH}cn?one")) == 1
    with asked(ldap_server.uri, max_rows=-1) as source:
        assert len(source.rows(f"{SEARCH}cn?one")) == 2


def test_connections_are_kept_unless_told_not_to(ldap_server: OpenLdap) -> None:
    query = f"{SEARCH}cn?one?(cn=ann)"
    with asked(ldap_server.uri) as source:
        assert source.rows(query) == source.rows(f"{query}?x-disable-connection-cache=true") == [{"cn": "ann"}]
        ldap_server.server.stop()
        try:
            with pytest.raises(DatasourceError):
                source.rows(query)
        finally:
            ldap_server.server.start()
    with asked(ldap_server.uri) as source:
        assert source.rows(query)
        ldap_server.server.stop()
        ldap_server.server.start()
        assert source.rows(query) == [{"cn": "ann"}]  # by a new connection


@pytest.mark.parametrize(
    "query",
    [
        f"{SEARCH}cn?tree", f"{SEARCH}cn?one?(cn=", f"{SEARCH}cn?one?cn=ann)", f"{SEARCH}cn?one?(&)(", "ldap:///x=y=z",
        "ldap:///,,,", f"{SEARCH}cn?one??!x-unknown=1", f"{SEARCH}cn?one??x-search-timeout=soon", "ldap:///\udcff",
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error_and_the_server_is_still_up(directory: Asked, query: str) -> None:
    with pytest.raises(DatasourceError, match=r"^ds: ."):
        directory.rows(query)
    assert directory.stats["places"][0]["failures"] == 0
    assert directory.rows(f"{SEARCH}cn?one?(cn=ann)")


def test_a_directory_is_not_changed(directory: Asked) -> None:
    with pytest.raises(DatasourceError, match="can only be asked"):
        directory.execute(f"{SEARCH}cn")


def test_credentials_of_the_uri_stay_with_its_server() -> None:
    base = parse("ldap://dir.example:389/????bindname=cn=x,x-bindpw=p,x-ldap-version=3")
    assert parse("ldap:///dc=x").over(base).extensions["x-bindpw"] == "p"
    assert parse("ldap://dir.example:389/dc=x").over(base).extensions["x-bindpw"] == "p"
    other = parse("ldap://other.example/dc=x").over(base)
    assert dict(other.extensions) == {"x-ldap-version": "3"}
    assert "p" not in repr(base).split("extensions")[-1] or "x-bindpw" not in repr(base)


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("a,b", "a\\,b"), ("#x", "\\#x"), (" x ", "\\ x\\ "), ('<"=;+>', '\\<\\"\\=\\;\\+\\>'), ("\\", "\\\\"), ("", "")],
)
def test_names_are_escaped(value: str, escaped: str) -> None:
    assert escaped_name(value) == escaped
