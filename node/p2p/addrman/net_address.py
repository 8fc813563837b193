"""Endpoints: their form, the ones that may be dialled, and their network groups."""

import ipaddress
from functools import lru_cache

from node.interface.endpoint import Endpoint

PARSED_MAX = 4_096
"""Addresses whose parsed form is remembered; beyond, the one unused for longest is parsed again."""
IPV4_GROUP_SIZE, IPV6_GROUP_SIZE = 2, 4
"""Bytes of an address that name its network group: /16 and /32, what one provider is given at once."""

SITE_SIZE = 8
"""Bytes of an IPv6 address that name its site: /64, in which one owner has as many addresses as it likes."""


@lru_cache(PARSED_MAX)
def parse_host(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address, IPv4 never inside IPv6; None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def site(host: str) -> bytes:
    """The site of an address, what one owner has at least: an IPv4 address, the /64 of an IPv6 address,
    a name as it is."""
    address = parse_host(host)
    if address is None:
        return host.encode()
    return address.packed if address.version == 4 else address.packed[:SITE_SIZE]


@lru_cache(PARSED_MAX)
def network_group(endpoint: Endpoint, allow_local: bool) -> bytes:
    """The network group of an endpoint: of IPv4 the /16, of IPv6 the /32. The
    first byte tells the kinds apart.

    Addresses are cheap within a group and dear across groups, so whoever counts groups cannot be
    outnumbered easily. Where `allow_local` holds, a network of one person's nodes must form on
    one machine or one LAN: there each loopback or private (IP, port) is a group of its own.
    """
    address = parse_host(endpoint.host)
    if address is None:
        return b"\x00" + endpoint.host.encode()
    kind = b"\x04" if address.version == 4 else b"\x06"
    if allow_local and (address.is_loopback or address.is_private or address.is_link_local):
        return b"\x01" + kind + address.packed + endpoint.port.to_bytes(2, "little")
    return kind + address.packed[: IPV4_GROUP_SIZE if address.version == 4 else IPV6_GROUP_SIZE]


def normalise_host(host: str) -> str:
    """An IP address in its one form (IPv4 never inside IPv6); anything else as it is."""
    return str(parse_host(host) or host)


def advertised(listen: Endpoint) -> Endpoint:
    """The form in which a listener is advertised: one on all addresses, or on a name, is where it is seen."""
    try:
        address = ipaddress.ip_address(listen.host)
    except ValueError:
        return Endpoint("", listen.port)
    return Endpoint("" if address.is_unspecified else normalise_host(listen.host), listen.port)


@lru_cache(PARSED_MAX)
def is_dialable(endpoint: Endpoint, allow_local: bool) -> bool:
    """True if an endpoint that somebody told us may be dialled: a public IP address, and where
    the network allows it also a private or loopback one. Names never: whoever answers for them
    could send us anywhere."""
    try:
        address = ipaddress.ip_address(endpoint.host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified or not 0 < endpoint.port < 0x10000:
        return False
    if allow_local:
        return True
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo):
        return False  # an IPv4 address in disguise, which might be a private one
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_reserved and not is_site_local
