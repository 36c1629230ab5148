"""Which addresses a sweep may touch."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.discover.scopes import make_scope, parse_network
from patchctl.model.errors import UsageError


def scope(*nets, allow=(), exclude=(), ports=(22,), rate=50.0):
    return make_scope(nets, allow=allow, exclude=exclude, ports=ports, rate=rate)


def test_network_and_broadcast_addresses_are_no_targets():
    assert scope("192.0.2.0/30").addresses == ("192.0.2.1", "192.0.2.2")
    assert scope("192.0.2.7").addresses == ("192.0.2.7",)


def test_duration_is_told_before_anything_is_sent():
    s = scope("192.0.2.0/24", ports=(22, 5985, 5986))
    assert (s.connections, s.seconds) == (762, 15.24)


def test_host_bits_get_a_suggestion():
    with pytest.raises(UsageError) as caught:
        parse_network("192.0.2.7/24")
    assert caught.value.hint == "did you mean 192.0.2.0/24?"


@pytest.mark.parametrize("net", ["192.0.2.0/23", "198.51.100.0/24"])
def test_outside_the_allowed_networks_is_refused(net):
    with pytest.raises(UsageError, match="not within the allowed"):
        scope(net, allow=["192.0.2.0/24"])


def test_industrial_and_printer_ports_are_never_swept():
    with pytest.raises(UsageError, match="printer"):
        scope("192.0.2.0/24", ports=(22, 9100))


def test_an_ipv6_network_is_too_large_to_sweep():
    with pytest.raises(UsageError) as caught:
        scope("2001:db8::/64")
    assert caught.value.code == "scope-too-large"


@given(st.integers(0, 2**32 - 1), st.integers(22, 32), st.integers(0, 2**32 - 1), st.integers(20, 32))
def test_no_excluded_address_is_ever_a_target(base, prefix, other, other_prefix):
    net = str(ipaddress.ip_network((base, prefix), strict=False))
    ban = ipaddress.ip_network((other, other_prefix), strict=False)
    half = str(ipaddress.ip_network((base, min(32, prefix + 1)), strict=False))
    made = scope(net, exclude=[str(ban), half])
    assert not any(ipaddress.ip_address(a) in ban or ipaddress.ip_address(a) in ipaddress.ip_network(half)
                   for a in made.addresses)
    assert len(set(made.addresses)) == len(made.addresses)
