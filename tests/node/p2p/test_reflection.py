"""Nobody can have us knock at a third party's door many times by greeting us."""

from node.interface.disconnect_reason import DisconnectReason
from node.interface.endpoint import Endpoint
from node.interface.messages import Confirm, Hello, Ok, Welcome
from node.p2p.addrman.dial_budget import (
    BACK_BY_SOURCE,
    BACK_BY_TARGET,
    BACK_IN_TOTAL,
    DialBudget,
    Rate,
    dial_backs,
)
from node.p2p.addrman.net_address import site
from node.p2p.connections.identity import HandshakeSide, handshake_digest
from node.p2p.connections.outbound import DIAL_BACK_TRIES
from tests.node.p2p.connections.session_lab import NETWORK_ID, End, Net

NOW = 1_000_000.0
THIRD = Endpoint("8.8.4.4", 53)


def greets(attacker: End, victim: End, claim: Endpoint | None) -> None:
    """A whole handshake, in which the attacker says that it listens at `claim`."""
    attacker.change(listen=claim)
    hello = Hello(attacker.facts, bytes(32))
    welcome = victim.sessions.on_hello(hello, attacker.endpoint.host, victim.net.now)
    assert isinstance(welcome, Welcome)
    ids, challenges = (attacker.id, victim.id), (hello.challenge, welcome.challenge)
    proof = attacker.identity.prove(handshake_digest(NETWORK_ID, HandshakeSide.DIALLER, ids, challenges))
    reply = victim.sessions.on_confirm(Confirm(welcome.token, proof), victim.net.now)
    assert reply == Ok()
    victim.perform()


def dials(victim: End, host: str) -> int:
    return sum(endpoint.host == host for _, endpoint in victim.dials)


def public(net: Net, number: int, host: str) -> End:
    end = End(net, number, host=host, allow_local=False)
    del net.ends[end.endpoint]  # it does not answer
    return end


def victim_of(net: Net) -> End:
    return End(net, 1, host="9.1.2.3", allow_local=False)


def test_many_keys_at_many_addresses_lead_to_one_third_party_a_few_times() -> None:
    net = Net()
    victim = victim_of(net)
    for number in range(60):
        attacker = public(net, 100 + number, f"20.{number}.1.1")
        greets(attacker, victim, Endpoint(THIRD.host, 1 + number))
        victim.sessions.drop(attacker.id, DisconnectReason.OPERATOR, net.now)
        victim.perform()
    net.run(60)
    assert 0 < dials(victim, THIRD.host) <= BACK_BY_TARGET.burst * DIAL_BACK_TRIES


def test_one_address_has_us_dial_few_others() -> None:
    net = Net()
    victim = victim_of(net)
    for number in range(60):
        attacker = public(net, 100 + number, "20.6.6.6")
        greets(attacker, victim, Endpoint(f"30.{number}.1.1", 80))
        victim.sessions.drop(attacker.id, DisconnectReason.OPERATOR, net.now)
        victim.perform()
    net.run(10)
    assert 0 < len(victim.dials) <= BACK_BY_SOURCE.burst * DIAL_BACK_TRIES


def test_a_key_that_greets_again_and_again_gets_no_more() -> None:
    net = Net()
    victim, attacker = victim_of(net), public(net, 2, "20.6.6.6")
    for _ in range(100):
        greets(attacker, victim, THIRD)
        net.run(1)
    assert dials(victim, THIRD.host) <= BACK_BY_TARGET.burst * DIAL_BACK_TRIES


def test_all_dial_backs_together_have_a_budget() -> None:
    net = Net()
    victim = victim_of(net)
    for number in range(110):
        attacker = public(net, 1000 + number, f"20.{number}.1.1")
        greets(attacker, victim, Endpoint(f"30.{number}.1.1", 80))
    assert len({endpoint for _, endpoint in victim.dials}) == BACK_IN_TOTAL.burst


def test_who_greets_honestly_is_dialled_back() -> None:
    net = Net()
    victim = victim_of(net)
    honest = [End(net, 10 + n, host=f"20.{n}.1.1", allow_local=False) for n in range(20)]
    for end in honest:
        greets(end, victim, Endpoint("", 18444))
        net.run(1)
    assert all(victim.sessions.link(end.id) for end in honest)


def test_who_comes_to_ask_is_not_dialled() -> None:
    net = Net()
    victim, guest = victim_of(net), End(net, 2, host="20.1.1.1", allow_local=False)
    guest.sessions.handshake.visit(victim.endpoint, victim.id, net.now, lambda met, now: None)
    guest.perform()
    net.run(30)
    assert not victim.dials
    peer = victim.sessions.get(guest.id)
    assert peer is not None
    assert peer.is_visitor
    greets(guest, victim, Endpoint("", 18444))
    assert not peer.is_visitor
    net.run(5)
    assert victim.sessions.link(guest.id)


def test_an_owner_is_an_address_or_half_of_an_ipv6_one() -> None:
    assert site("1.2.3.4") == site("::ffff:1.2.3.4") != site("::ffff:1.2.3.5")
    assert site("2001:db8::1") == site("2001:db8::ffff:1") != site("2001:db8:0:1::1")


def test_who_asks_too_often_uses_up_nobodys_share_but_its_own() -> None:
    budget = DialBudget(Rate(2, 0.0), Rate(1, 0.0), Rate(10, 0.0), False)
    for _ in range(50):
        budget.spend("1.1.1.1", "9.9.9.9", NOW)
    assert budget.spend("2.2.2.2", "8.8.8.8", NOW)
    assert not budget.spend("3.3.3.3", "9.9.9.9", NOW)
    assert budget.spend("3.3.3.3", "3.3.3.3", NOW)  # its own address is no third party


def test_loopback_has_no_owners_where_it_may_be_dialled() -> None:
    local, strict = dial_backs(True), dial_backs(False)
    assert sum(local.spend("127.0.0.1", "127.0.0.1", NOW) for _ in range(100)) == 100
    assert sum(strict.spend("127.0.0.1", "127.0.0.1", NOW) for _ in range(100)) == BACK_BY_SOURCE.burst
    assert sum(local.spend("10.0.0.1", "10.0.0.1", NOW) for _ in range(100)) == BACK_BY_SOURCE.burst
