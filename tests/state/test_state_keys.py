"""state.keys: how scripts name addresses and networks."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumilter.state.contract import MAX_KEY
from lumilter.state.keys import LEVELS, AddressError, bounds, level_for, masked, network, packed, shortened, shown

OWN = bytes([192, 0, 2, 77])
OWN6 = ipaddress.ip_address("2001:db8::77").packed
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "192.0.2.77/32"),
        ("/24", "192.0.2.77/24"),
        ("/0", "192.0.2.77/0"),
        ("/255.255.0.0", "192.0.2.77/16"),
        ("10.0.0.1", "10.0.0.1/32"),
        (" 10.0.0.1/8 ", "10.0.0.1/8"),
        ("10.0.0.1/255.255.255.0", "10.0.0.1/24"),
        ("10.0.0.1/0.0.0.0", "10.0.0.1/0"),
        ("localhost/32", "127.0.0.1/32"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("[2001:db8::1]", "2001:db8::1/128"),
        ("[2001:db8::1]/64", "2001:db8::1/64"),
        ("2001:db8::1/ffff:ffff::", "2001:db8::1/32"),
        ("fe80::1%eth0", "fe80::1/128"),
    ],
)
def test_forms(text: str, wanted: str) -> None:
    found = network(text, OWN)
    assert f"{shown(found.address)}/{found.bits}" == wanted


@pytest.mark.parametrize(
    "text",
    [
        "x", "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/", "10.0.0.1/24/8", "10.0.0.1/0024",
        "10.0.0.1/255.0.255.0", "10.0.0.1/ffff::", "2001:db8::1/129", "\0", "/x", "mx.example.com", "1", "/\u0662",
    ],
)  # fmt: skip
def test_what_is_none_of_them(text: str) -> None:
    with pytest.raises(AddressError):
        network(text, OWN)


def test_without_a_client_only_whole_addresses_are_named() -> None:
    assert network("10.0.0.1", None).bits == 32
    with pytest.raises(AddressError, match="there is no client"):
        network("/24", None)
    assert network("/64", OWN6).address == OWN6
    with pytest.raises(AddressError):
        network("/64", OWN)


@given(ADDRESSES, st.data())
def test_networks_are_those_of_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    bits = data.draw(st.integers(0, address.max_prefixlen))
    wanted = ipaddress.ip_network((address, bits), strict=False)
    found = network(f"{address}/{bits}", None)
    assert (found.address, found.bits) == (address.packed, bits)
    low, high = bounds(found.address, bits)
    assert (low, high) == (wanted.network_address.packed, wanted.broadcast_address.packed)
    assert masked(found.address, bits) == low
    assert shown(found.address, bits) == str(wanted)
    assert packed(str(address)) == address.packed
    level = level_for(len(low), bits)
    assert level in LEVELS[len(low)]
    assert level >= bits
    assert not [other for other in LEVELS[len(low)] if bits <= other < level]


@given(st.binary(max_size=1000), st.binary(max_size=1000))
def test_long_keys_are_cut_and_stay_different(one: bytes, other: bytes) -> None:
    assert len(shortened(one)) <= MAX_KEY
    assert (shortened(one) == shortened(other)) == (one == other)
    assert shortened(one * 2 + b"x" * 500) != shortened(one * 2 + b"x" * 501)
