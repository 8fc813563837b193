"""How endpoints look: what may be dialled, what is told, what belongs together."""

import pytest

from node.interface.endpoint import Endpoint
from node.p2p.addrman.net_address import advertised, is_dialable, network_group, normalise_host

PUBLIC = ["8.8.8.8", "2001:4860:4860::8888"]
LOCAL = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "::1", "fe80::1", "fd00::1"]
NEVER = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "localhost", "example.org", "", "1.2.3", "http://8.8.8.8"]
DISGUISED = ["::ffff:127.0.0.1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"]


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_dialable(host: str) -> None:
    assert is_dialable(Endpoint(host, 18444), False)
    assert is_dialable(Endpoint(host, 18444), True)


@pytest.mark.parametrize("host", LOCAL)
def test_local_ones_only_where_allowed(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), False)
    assert is_dialable(Endpoint(host, 18444), True)


@pytest.mark.parametrize("host", NEVER)
def test_names_and_no_places_never(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), True)
    assert not is_dialable(Endpoint(host, 18444), False)


@pytest.mark.parametrize("host", DISGUISED)
def test_an_address_inside_another_is_not_public(host: str) -> None:
    assert not is_dialable(Endpoint(host, 18444), False)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_are_ports(port: int) -> None:
    assert not is_dialable(Endpoint("8.8.8.8", port), True)


def test_one_form_of_an_address() -> None:
    assert normalise_host("::ffff:1.2.3.4") == "1.2.3.4"
    assert normalise_host("2001:DB8:0:0::1") == "2001:db8::1"
    assert normalise_host("node1") == "node1"


@pytest.mark.parametrize(
    ("listen", "told"), [("0.0.0.0", ""), ("::", ""), ("node1", ""), ("1.2.3.4", "1.2.3.4"), ("::1", "::1")]
)
def test_what_others_are_told_of_a_listener(listen: str, told: str) -> None:
    assert advertised(Endpoint(listen, 7)) == Endpoint(told, 7)


def group(host: str, port: int = 18444, *, allow_local: bool = False) -> bytes:
    return network_group(Endpoint(host, port), allow_local)


@pytest.mark.parametrize("allow_local", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("8.8.8.8", "8.8.255.1", True),
        ("8.8.8.8", "8.9.8.8", False),
        ("2001:4860:1::1", "2001:4860:2::1", True),
        ("2001:4860::1", "2001:4861::1", False),
        ("8.8.8.8", "::ffff:8.8.1.1", True),
        ("8.8.8.8", "808:808::", False),  # the same first bytes, of another kind
    ],
)
def test_groups_are_16_bits_of_ipv4_and_32_of_ipv6(one: str, other: str, together: bool, allow_local: bool) -> None:
    assert (group(one, 1, allow_local=allow_local) == group(other, 2, allow_local=allow_local)) is together


@pytest.mark.parametrize("host", LOCAL)
def test_on_one_machine_every_port_is_a_group_of_its_own(host: str) -> None:
    assert group(host, 1) == group(host, 2)
    assert group(host, 1, allow_local=True) != group(host, 2, allow_local=True)
    assert group(host, 1, allow_local=True) == group(host, 1, allow_local=True)


def test_a_name_is_a_group() -> None:
    assert group("node1", 1) == group("node1", 2) != group("node2", 1)
