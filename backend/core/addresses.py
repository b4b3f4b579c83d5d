"""Which IP addresses belong to the public Internet. Pure.

A list of what is refused, from IANA's special-purpose registries (RFC 6890 and its successors), instead of
``ipaddress.is_global``, whose answers changed between Python's patch releases. IPv6 is the other way round:
only global unicast is let through, minus what lies inside it. Addresses that carry an IPv4 address are judged
by what they carry.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_REFUSED_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; metadata of Alibaba Cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform channel, inside public space
        "169.254.0.0/16",  # link-local; metadata of AWS, Azure, GCP, OpenStack and others
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to an IPv4 address of the sender's choice
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # what DNS64 makes of IPv4-only hosts
_ISATAP = 0x00005EFE  # the middle of an interface identifier that carries an IPv4 address


def is_public(address: Address) -> bool:
    """Whether a request may go there: a public unicast address, whatever it is wrapped in."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _GLOBAL_6 or any(address in network for network in _REFUSED_6):
        return False
    return (int(address) >> 32) & 0xFDFFFFFF != _ISATAP
