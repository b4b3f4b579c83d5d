"""Which addresses a request may go to."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.addresses import is_public

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
           "126.1.1.1", "169.253.1.1", "172.15.0.1", "172.32.0.0", "192.167.1.1", "192.169.0.0",
           "223.255.255.255"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_inside_is_refused_in_every_wrapping(address):
    inner = int(ip_address(address))
    assert not is_public(ip_address(address))
    assert not is_public(IPv6Address((0xFFFF << 32) | inner)), "mapped"
    assert not is_public(IPv6Address(inner)), "compatible"
    assert not is_public(IPv6Address((0xFFFF << 48) | inner)), "translated (SIIT)"
    assert not is_public(IPv6Address((0x0064FF9B << 96) | inner)), "NAT64"
    assert not is_public(IPv6Address((0x0064FF9B0001 << 80) | inner)), "local NAT64"
    assert not is_public(IPv6Address((0x2002 << 112) | (inner << 80))), "6to4"
    assert not is_public(IPv6Address((0x20010000 << 96) | (inner ^ 0xFFFFFFFF))), "Teredo"
    for start in (0x2606470047000000, 0xFE80000000000000):
        assert not is_public(IPv6Address((start << 64) | (0x00005EFE << 32) | inner)), "ISATAP"
        assert not is_public(IPv6Address((start << 64) | (0x02005EFE << 32) | inner)), "ISATAP, global"


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside_is_let_through_also_through_nat64_and_mapped(address):
    inner = int(ip_address(address))
    assert is_public(ip_address(address))
    assert is_public(IPv6Address((0xFFFF << 32) | inner))
    assert is_public(IPv6Address((0x0064FF9B << 96) | inner))


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:102:304::1", "3fff::1",
     "5f00::1", "64:ff9b:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1"],
)  # fmt: skip
def test_ipv6_that_is_not_global_unicast_is_refused(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450::1"])
def test_global_ipv6_is_let_through(address):
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_nothing_is_let_through_that_the_standard_library_calls_private(address):
    """A second opinion: ours may be stricter, never laxer."""
    unwrapped = getattr(address, "ipv4_mapped", None) or address
    if unwrapped.is_loopback or unwrapped.is_link_local or unwrapped.is_multicast or unwrapped.is_unspecified:
        assert not is_public(address)
    if unwrapped.version == 4 and unwrapped.is_private:
        assert not is_public(address)
