"""Which of several scopes decides whether a message is signed: the manual's order, and its example."""

from __future__ import annotations

import pytest

from lumilter.adapters.signatures.scopes import Scope, Scopes, Way

EXAMPLE = Scopes(
    [
        Scope(group="opendkim_signing", dkim=True),
        Scope(binding="foo", domain="test1.example.com", dkim=True),
        Scope(binding="foo", domain="test2.example.com", dkim=False),
    ],
    dkim=False,
    groups={"foo": "opendkim_signing"},
)
"""Of the page of the module opendkim."""


@pytest.mark.parametrize(
    ("way", "signed"),
    [
        (Way("foo", "", "test1.example.com"), True),
        (Way("foo", "", "test2.example.com"), False),
        (Way("foo", "", "other.example"), True),
        (Way("foo", "opendkim_signing", "other.example"), True),
        (Way("bar", "opendkim_signing", "test2.example.com"), True),
        (Way("bar", "", "test1.example.com"), False),
        (Way("default", "", "other.example"), False),
    ],
)
def test_the_example_of_the_manual(way: Way, signed: bool) -> None:
    assert EXAMPLE.of(way) == (signed, True)


ALL = {
    "global": Scope(),
    "domain": Scope(domain="d.example"),
    "group": Scope(group="g"),
    "binding": Scope(binding="b"),
    "binding in the group": Scope(binding="b", group="g"),
    "domain in the group": Scope(group="g", domain="d.example"),
    "domain in the binding": Scope(binding="b", domain="d.example"),
    "domain in the binding in the group": Scope(binding="b", group="g", domain="d.example"),
}
"""From the least to the most specific."""


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("more", range(1, len(ALL)))
def test_the_more_specific_one_decides(more: int, reverse: bool) -> None:
    way = Way("b", "g", "d.example")
    for less in range(more):
        scopes = []
        for at, scope in enumerate(ALL.values()):
            if at in (less, more):
                scopes.append(Scope(scope.binding, scope.group, scope.domain, at == more, at == less))
        assert Scopes(scopes[:: -1 if reverse else 1], False, False).of(way)[0]
        assert not Scopes(scopes[:: -1 if reverse else 1], True, True).of(way)[1]


def test_a_scope_that_says_nothing_falls_back() -> None:
    scopes = Scopes([Scope(binding="b", dkim=False), Scope(binding="b", domain="d.example", domainkeys=False)])
    assert scopes.of(Way("b", "", "d.example")) == (False, False)
    assert scopes.of(Way("b", "", "e.example")) == (False, True)
    assert scopes.of(Way("c", "", "d.example")) == (True, True)


def test_domains_in_unicode() -> None:
    scopes = Scopes([Scope(domain="xn--bcher-kva.example", dkim=False)])
    assert scopes.of(Way("", "", "b\u00fccher.example")) == (False, True)
    assert scopes.of(Way("", "", "\udcff.example")) == (True, True)
