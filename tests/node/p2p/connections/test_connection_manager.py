"""Greetings, proofs, tokens; who is kept, who is tried, who is refused and who is dropped."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Failed, Send
from node.interface.endpoint import Endpoint
from node.interface.messages import (
    BLOCKS_ONLY,
    PROTOCOL_VERSION_LEAST,
    SERVES_HEADERS,
    Confirm,
    GetAddresses,
    Hello,
    Ok,
    Reason,
    Refusal,
    Welcome,
)
from node.p2p.connections import handshake, inbound
from node.p2p.connections.connection_manager import IDLE_S, LINK_FAILURES_MAX
from node.p2p.connections.handshake import HANDSHAKE_S
from node.p2p.connections.identity import HandshakeSide, handshake_digest
from node.p2p.connections.inbound import INBOUND_MAX
from node.p2p.connections.outbound import BACKOFF_MAX_S, BLOCKS_ONLY_MAX, DIAL_BACK_TRIES, JITTER, OUTBOUND_MAX, Place
from node.p2p.scoring.banman import DISCOURAGED_S
from tests.node.p2p.addrman.tried import is_tried
from tests.node.p2p.connections.session_lab import NETWORK_ID, End, Net, Wire


@pytest.fixture
def net() -> Net:
    return Net()


def both(net: Net, **options: Any) -> tuple[End, End]:
    return End(net, 1, **options), End(net, 2)


def welcomed(a: End, b: End) -> tuple[Hello, Welcome]:
    """The first half of a handshake by hand."""
    hello = Hello(a.facts, b"h" * 32)
    welcome = b.sessions.on_hello(hello, a.endpoint.host, b.net.now)
    assert isinstance(welcome, Welcome)
    return hello, welcome


def confirmation(
    a: End, b: End, hello: Hello, welcome: Welcome, side: HandshakeSide = HandshakeSide.DIALLER
) -> Confirm:
    digest = handshake_digest(NETWORK_ID, side, (a.id, b.id), (hello.challenge, welcome.challenge))
    return Confirm(welcome.token, a.identity.prove(digest))


def test_a_kept_peer_is_linked_both_ways(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    assert a.is_linked(b)
    assert b.is_linked(a)
    assert [peer.outbound for peer in a.sessions.peers()] == [True]
    assert [peer.outbound for peer in b.sessions.peers()] == [False]
    assert a.linked_with == [b.id]
    assert b.linked_with == [a.id]
    net.run(60)
    assert [endpoint for _, endpoint in a.dials] == [b.endpoint]
    assert [endpoint for _, endpoint in b.dials] == [a.endpoint]
    assert not a.closed
    assert not b.closed


def test_who_is_dialled_back_before_its_own_greeting_is_over_stays_who_chose(net: Net) -> None:
    a, b = both(net)
    held: list[Any] = []

    def hold(reply: Any) -> Any:
        """The first Ok, which tells a that its session is open, comes too late."""
        if isinstance(reply, Ok) and not held:
            held.append(reply)
            net.run(2)  # meanwhile b dials back
        return reply

    net.replies = Wire(hold)
    a.keep(b)
    net.run(5)
    assert held
    assert [peer.outbound for peer in a.sessions.peers()] == [True]
    assert [peer.outbound for peer in b.sessions.peers()] == [False]


def test_both_may_greet_at_once(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    b.keep(a)
    net.run(60)
    assert a.is_linked(b)
    assert b.is_linked(a)
    assert not a.closed
    assert not b.closed


def test_who_does_not_listen_is_not_dialled_back(net: Net) -> None:
    a, b = both(net, listens=False)
    a.keep(b)
    net.run(60)
    assert a.is_linked(b)
    assert not b.dials
    assert b.sessions.get(a.id) is not None


def test_who_cannot_be_dialled_back_is_tried_a_few_times(net: Net) -> None:
    a, b = both(net)
    a.change(listen=Endpoint("10.9.9.9", 1))  # nobody is there
    a.keep(b)
    net.run(60)
    assert len(b.dials) == DIAL_BACK_TRIES
    assert a.is_linked(b)


@pytest.mark.parametrize("told", ["127.0.0.1", "10.0.0.7", "169.254.1.1", "::1", "fe80::1", "::", "224.0.0.1"])
def test_forged_endpoints_are_not_dialled(net: Net, told: str) -> None:
    """On a public network nobody can make us knock at loopback or at our neighbours' doors."""
    a, b = End(net, 1, host="8.8.8.8"), End(net, 2, allow_local=False)
    a.change(listen=Endpoint(told, 22))
    a.keep(b)
    net.run(30)
    assert a.is_linked(b)
    assert not b.dials


def test_the_dialled_back_must_be_the_greeter(net: Net) -> None:
    a, b, c = End(net, 1), End(net, 2), End(net, 3)
    a.change(listen=c.endpoint)
    a.keep(b)
    net.run(30)
    assert not b.sessions.link(c.id)
    assert not b.sessions.link(a.id)
    assert c.endpoint not in b.book


def test_no_session_without_the_proof(net: Net) -> None:
    a, b = both(net)
    hello, welcome = welcomed(a, b)
    assert b.sessions.peer_of(welcome.token) is None
    forged = replace(confirmation(a, b, hello, welcome), proof=bytes(64))
    assert b.sessions.on_confirm(forged, net.now) == Refusal(Reason.BAD_PROOF)
    # A failed attempt uses up the greeting.
    good = confirmation(a, b, hello, welcome)
    assert b.sessions.on_confirm(good, net.now) == Refusal(Reason.NO_SESSION)


def test_a_proof_opens_one_session_once(net: Net) -> None:
    a, b = both(net)
    hello, welcome = welcomed(a, b)
    confirm = confirmation(a, b, hello, welcome)
    assert b.sessions.on_confirm(confirm, net.now) == Ok()
    assert b.sessions.peer_of(welcome.token) == a.id
    assert b.sessions.on_confirm(confirm, net.now) == Refusal(Reason.NO_SESSION)


def test_nobody_can_pass_for_another(net: Net) -> None:
    """c greets in a's name, and has no key of a's to sign with."""
    a, b, c = End(net, 1), End(net, 2), End(net, 3)
    hello, welcome = welcomed(a, b)
    digest = handshake_digest(NETWORK_ID, HandshakeSide.DIALLER, (a.id, b.id), (hello.challenge, welcome.challenge))
    stolen = Confirm(welcome.token, c.identity.prove(digest))
    assert b.sessions.on_confirm(stolen, net.now) == Refusal(Reason.BAD_PROOF)
    assert b.sessions.get(a.id) is None


def test_the_welcomes_own_proof_is_of_no_use(net: Net) -> None:
    a, b = both(net)
    _, welcome = welcomed(a, b)
    assert b.sessions.on_confirm(Confirm(welcome.token, welcome.proof), net.now) == Refusal(Reason.BAD_PROOF)
    hello, welcome = welcomed(a, b)
    wrong_side = confirmation(a, b, hello, welcome, HandshakeSide.ANSWERER)
    assert b.sessions.on_confirm(wrong_side, net.now) == Refusal(Reason.BAD_PROOF)


@pytest.mark.parametrize("field", ["challenge", "proof"])
def test_a_tampered_welcome_makes_no_link(net: Net, field: str) -> None:
    def tamper(message: Any) -> Any:
        return replace(message, **{field: bytes(len(getattr(message, field)))}) if type(message) is Welcome else message

    a, b = both(net)
    net.replies = Wire(tamper)
    a.keep(b)
    net.run(5)
    assert not a.sessions.link(b.id)


def test_a_late_confirmation_is_void(net: Net) -> None:
    a, b = both(net)
    hello, welcome = welcomed(a, b)
    net.now += HANDSHAKE_S + 1
    assert b.sessions.on_confirm(confirmation(a, b, hello, welcome), net.now) == Refusal(Reason.NO_SESSION)


def test_tokens_and_challenges_never_repeat(net: Net) -> None:
    a, b = both(net)
    welcomes = [welcomed(a, b)[1] for _ in range(50)]
    assert len({welcome.token for welcome in welcomes}) == 50
    assert len({welcome.challenge for welcome in welcomes}) == 50


def test_greetings_are_bounded(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "GREETINGS_MAX", 3)
    a, b = both(net)
    first = welcomed(a, b)
    rest = [welcomed(a, b) for _ in range(3)]
    assert b.sessions.on_confirm(confirmation(a, b, *first), net.now) == Refusal(Reason.NO_SESSION)
    assert b.sessions.on_confirm(confirmation(a, b, *rest[-1]), net.now) == Ok()


def test_the_two_newest_sessions_of_a_peer_are_open(net: Net) -> None:
    a, b = both(net)
    tokens = []
    for _ in range(3):
        hello, welcome = welcomed(a, b)
        b.sessions.on_confirm(confirmation(a, b, hello, welcome), net.now)
        tokens.append(welcome.token)
    assert [b.sessions.peer_of(token) for token in tokens] == [None, a.id, a.id]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"network_id": bytes(32)}, Reason.WRONG_NETWORK),
        ({"version": PROTOCOL_VERSION_LEAST - 1}, Reason.VERSION),
    ],
)
def test_strangers_are_refused_by_both_sides(net: Net, facts: dict[str, Any], reason: Reason) -> None:
    a, b = both(net)
    a.change(**facts)
    assert b.sessions.on_hello(Hello(a.facts, bytes(32)), a.endpoint.host, net.now) == Refusal(reason)
    b.keep(a)
    net.run(5)
    assert not b.sessions.link(a.id)
    assert not a.sessions.get(b.id)


def test_a_node_knows_itself(net: Net) -> None:
    a = End(net, 1)
    a.keep(a)
    a.book.add([a.endpoint], None, net.now)
    net.run(60)
    assert len(a.dials) == 1
    assert not list(a.sessions.peers())
    a.book.add([a.endpoint], None, net.now)
    assert a.endpoint not in a.book


def test_inbound_is_limited(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    assert INBOUND_MAX == 117
    monkeypatch.setattr(inbound, "INBOUND_MAX", 3)
    hub = End(net, 0)
    others = [End(net, number, listens=False) for number in range(1, 6)]
    for other in others:
        other.keep(hub)
    net.run(20)
    assert len(list(hub.sessions.peers())) == 3
    # One that is in may greet again; when one leaves there is room.
    member = next(other for other in others if other.is_linked(hub))
    assert isinstance(hub.sessions.on_hello(Hello(member.facts, bytes(32)), "10.0.0.9", net.now), Welcome)
    hub.sessions.drop(member.id, DisconnectReason.OPERATOR, net.now)
    hub.perform()
    member.up = False
    net.run(BACKOFF_MAX_S * 2)
    assert len(list(hub.sessions.peers())) == 3


def test_a_static_peer_is_tried_for_ever_with_growing_patience(net: Net) -> None:
    a, b = both(net)
    b.up = False
    a.keep(b)
    net.run(300)
    times = [time for time, _ in a.dials]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for gap, nominal in zip(gaps, [1, 2, 4, 8, 16, *[BACKOFF_MAX_S] * 99], strict=False):
        assert nominal * (1 - JITTER) <= gap <= nominal * (1 + JITTER) + 0.3
    b.up = True
    net.run(BACKOFF_MAX_S * 1.3)
    assert a.is_linked(b)


def test_a_restarted_peer_is_linked_anew(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    reborn = End(net, 2)
    reborn.change(instance=b"reborn!!")
    a.sessions.on_reply(b.id, Refusal(Reason.NO_SESSION), 0.1, net.now)
    a.perform()
    net.run(5)
    assert a.is_linked(reborn)
    assert reborn.is_linked(a)


def test_a_restarted_greeter_voids_what_was(net: Net) -> None:
    """b comes back and greets a: a knows at once that its own link to b is dead."""
    a, b = both(net)
    b.keep(a)
    net.run(1)
    reborn = End(net, 2)
    reborn.change(instance=b"reborn!!")
    reborn.keep(a)
    net.run(1)
    assert a.is_linked(reborn)
    assert reborn.is_linked(a)
    assert [reason for _, reason in a.closed] == ["it was restarted"]


def test_a_node_with_a_new_identity_takes_the_place_of_the_old_one_at_its_address(net: Net) -> None:
    """a is linked with b; where b was there is c now, which greets a: a need not hear from b to know."""
    a, b = both(net)
    b.keep(a)
    net.run(1)
    assert a.is_linked(b)
    c = End(net, 3)
    c.endpoint = b.endpoint
    net.ends[b.endpoint] = c
    c.keep(a)
    net.run(1)
    assert a.is_linked(c)
    assert c.is_linked(a)
    assert [peer.id for peer in a.sessions.peers()] == [c.id]
    assert a.closed == [(b.id, "another node is at its address")]
    assert [reason for _, reason in b.closed] == []
    net.run(60)
    assert a.is_linked(c)


def test_so_it_does_where_the_operator_named_the_address(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    c = End(net, 3)
    c.endpoint = b.endpoint
    net.ends[b.endpoint] = c
    c.keep(a)
    net.run(1)
    [peer] = a.sessions.peers()
    assert peer.id == c.id
    assert a.sessions.outbound.is_static(peer.id)
    assert a.is_linked(c)


def test_who_claims_the_address_of_a_peer_takes_nothing_from_it(net: Net) -> None:
    a, b = both(net)
    a.book.add([b.endpoint], None, net.now)
    a.keep(b)
    net.run(1)
    liar = End(net, 3, host=b.endpoint.host)
    liar.endpoint = Endpoint(b.endpoint.host, 1)
    del net.ends[b.endpoint]
    net.ends |= {b.endpoint: b, liar.endpoint: liar}
    failures = a.book.dump()
    for _ in range(3):
        liar.keep(a)
        liar.sessions.release(a.endpoint, net.now)
        liar.perform()
        net.run(1)
    assert a.is_linked(b)
    assert not a.closed
    assert a.sessions.get(liar.id) is not None
    assert not a.sessions.link(liar.id)
    assert a.book.dump() == failures


def without_greetings_of(end: End) -> Wire:
    """Loses what this end greets others with."""

    def lose(message: Any) -> Any:
        return None if isinstance(message, Hello) and message.facts.public_key == end.facts.public_key else message

    return Wire(lose)


class SaysSelf(End):
    """Answers every greeting as if it came from itself, once told to."""

    lies = False

    def serve(self, message: Any, host: str) -> Any:
        return Refusal(Reason.SELF) if self.lies and isinstance(message, Hello) else super().serve(message, host)


@pytest.mark.parametrize("by_operator", [True, False])
def test_a_peer_that_passes_for_us_keeps_its_place(net: Net, by_operator: bool) -> None:
    """Else it would be an outbound peer that nobody counts, and its place free for the next of its kind."""
    a, b = End(net, 1), SaysSelf(net, 2)
    if by_operator:
        a.keep(b)
    else:
        a.sessions.outbound.once(b.endpoint)
    net.run(1)
    targets = list(a.sessions.outbound.targets())
    b.lies = True
    helper = End(net, 3, host=b.endpoint.host)
    net.ends[b.endpoint] = b
    helper.endpoint = Endpoint(b.endpoint.host, 1)
    net.ends[helper.endpoint] = helper
    helper.keep(a)
    net.run(1)
    assert [endpoint for _, endpoint in a.dials].count(b.endpoint) == 2
    assert list(a.sessions.outbound.targets()) == targets
    assert a.is_linked(b)


def test_a_peer_with_two_addresses_is_dropped_where_another_proves_to_be_at_one(net: Net) -> None:
    a, b = both(net)
    a.sessions.outbound.once(b.endpoint)
    net.run(1)
    second = Endpoint("10.9.0.1", 18444)
    net.ends[second] = b
    a.sessions.outbound.once(second)
    net.run(1)
    c = End(net, 3)
    c.endpoint = b.endpoint
    net.ends[b.endpoint] = c
    c.keep(a)
    net.run(0.5)
    assert a.is_linked(c)
    assert (b.id, "another node is at its address") in a.closed


def test_a_lost_greeting_is_made_up_for_when_the_old_one_is_found_dead(net: Net) -> None:
    a, b = both(net)
    b.keep(a)
    net.run(1)
    c = End(net, 3)
    c.endpoint = b.endpoint
    net.ends[b.endpoint] = c
    net.requests = without_greetings_of(a)
    c.keep(a)
    net.run(5)
    assert not a.is_linked(c)
    net.requests = Wire()
    a.sessions.drop(b.id, DisconnectReason.OPERATOR, net.now)
    a.perform()
    net.run(1)
    assert a.is_linked(c)


def test_who_names_another_s_address_does_not_take_over_its_dial_back(net: Net) -> None:
    a, b = both(net)
    b.up = False
    b.keep(a)  # its greeting gets through, and our first dial-back does not
    b.up = True
    net.requests = without_greetings_of(a)
    net.run(0.3)
    liar = End(net, 3)
    liar.change(listen=b.endpoint)
    liar.keep(a)
    net.run(0.3)
    net.requests = Wire()
    net.run(5)
    assert a.is_linked(b)


def test_what_is_released_while_it_is_greeted_is_not_kept(net: Net) -> None:
    a, b = End(net, 1, listens=False), End(net, 2)
    a.keep(b)
    assert a.sessions.release(b.endpoint, net.now)
    net.run(5)
    assert a.sessions.get(b.id) is None


def test_an_address_of_a_peer_that_the_operator_names_replaces_nobody(net: Net) -> None:
    a, b = both(net)
    a.sessions.outbound.once(b.endpoint)
    net.run(2)
    dialler, second = a.sessions.outbound, Endpoint("10.9.0.1", 18444)
    net.ends[second] = b
    [near] = dialler.targets()
    dialler._want(second, Place.NEAR, set()).replaces = near
    a.sessions.keep(second, net.now)
    a.perform()
    net.run(2)
    assert a.is_linked(b)


def test_a_kept_peer_that_greets_us_is_not_waited_for(net: Net) -> None:
    """b was away so long that a tries again only now and then. Then b greets a."""
    a, b = both(net)
    b.up = False
    a.keep(b)
    net.run(200)
    b.up = True
    b.keep(a)
    net.run(0.5)
    assert a.is_linked(b)


def test_a_dial_back_that_waits_is_asked_for_once(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that greets us again and again uses up nothing of what its address may ask for."""
    a, b = both(net)
    a.change(listen=Endpoint("10.9.9.9", 1))  # nobody is there
    spent: list[str] = []
    monkeypatch.setattr(b.sessions._dial_backs, "spend", lambda *who: spent.append(who[0]) or True)
    for _ in range(5):
        a.keep(b)
        net.run(0.3)
        a.sessions.release(b.endpoint, net.now)
        a.perform()
    assert b.sessions.get(a.id) is not None
    assert spent == [a.endpoint.host]


def test_a_peer_that_does_not_answer_is_dropped_and_greeted_again(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    for number in range(LINK_FAILURES_MAX):
        assert a.sessions.get(b.id), number
        a.sessions.on_reply(b.id, Failed("timed out"), 20.0, net.now)
        a.perform()
    assert a.sessions.get(b.id) is None
    assert a.left_by == [b.id]
    void = b.sessions.link(a.id)
    assert void is not None
    assert a.sessions.peer_of(void.token) is None  # nor may it speak to us
    net.run(5)
    assert a.is_linked(b)


def test_a_peer_that_has_us_wait_is_not_dropped(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    for _ in range(LINK_FAILURES_MAX + 1):
        a.sessions.on_reply(b.id, Failed("told to wait", retry_s=2.0), 20.0, net.now)
        a.perform()
    assert a.is_linked(b)


def test_one_answer_makes_up_for_failures(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    for _ in range(LINK_FAILURES_MAX * 3):
        a.sessions.on_reply(b.id, Failed("timed out"), 20.0, net.now)
        a.perform()
        a.sessions.on_reply(b.id, Ok(), 0.1, net.now)
        a.perform()
    assert not a.closed


def test_a_silent_peer_without_a_link_is_dropped(net: Net) -> None:
    a, b = both(net, listens=False)
    a.keep(b)
    net.run(1)
    a.up = False
    net.run(IDLE_S - 5)
    assert b.sessions.get(a.id)
    net.run(10)
    assert b.sessions.get(a.id) is None
    assert b.left_by == [a.id]


def test_an_offender_is_refused_for_a_while(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    b.sessions.punish(a.id, "sent an invalid block", net.now)
    b.perform()
    assert b.sessions.get(a.id) is None
    hello = Hello(a.facts, bytes(32))
    assert b.sessions.on_hello(hello, "10.0.0.2", net.now) == Refusal(Reason.DISCOURAGED)
    assert isinstance(b.sessions.on_hello(hello, "10.0.0.2", net.now + DISCOURAGED_S + 1), Welcome)


def test_what_breaks_the_protocol_is_an_offence(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    a.sessions.on_reply(b.id, Failed("not decodable", offence=True), 0.1, net.now)
    a.perform()
    assert a.sessions.get(b.id) is None
    assert "broke the rules" in a.closed[0][1]


def test_requests_of_the_gone_are_forgotten(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    link = a.sessions.link(b.id)
    assert link
    answers: list[Any] = []

    a.requests.send(link, GetAddresses(), net.now, 10, lambda reply, now: answers.append(reply))
    [send] = a.outbox.take()
    assert isinstance(send, Send)
    a.sessions.drop(b.id, DisconnectReason.OPERATOR, net.now)
    a.perform()
    a.answer(send.request_id, Ok())
    assert not answers


def test_release_ends_it(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    assert a.sessions.keep(b.endpoint, net.now) is False
    net.run(1)
    released = a.sessions.release(b.endpoint, net.now)
    a.perform()
    assert released
    assert a.sessions.get(b.id) is None
    assert a.sessions.release(b.endpoint, net.now) is False
    a.book.failed(b.endpoint, net.now)
    dials = len(a.dials)
    net.run(3)
    assert len(a.dials) == dials


def test_the_book_fills_the_outbound_places(net: Net) -> None:
    a = End(net, 0)
    others = [End(net, number) for number in range(1, 21)]
    a.book.add([other.endpoint for other in others], None, net.now)
    net.run(30)
    outbound = [peer for peer in a.sessions.peers() if peer.outbound]
    assert [peer.blocks_only for peer in outbound].count(False) == OUTBOUND_MAX
    assert [peer.blocks_only for peer in outbound].count(True) == BLOCKS_ONLY_MAX


def test_the_dead_in_the_book_do_not_hold_up_the_living(net: Net) -> None:
    a = End(net, 0)
    others = [End(net, number) for number in range(1, 30)]
    for other in others[:20]:
        other.up = False
    a.book.add([other.endpoint for other in others], None, net.now)
    net.run(5)
    assert OUTBOUND_MAX <= sum(1 for peer in a.sessions.peers() if peer.outbound) <= OUTBOUND_MAX + BLOCKS_ONLY_MAX


def test_no_endpoint_is_dialled_twice_at_once(net: Net) -> None:
    a = End(net, 0)
    a.book.add([Endpoint("10.5.5.5", number) for number in range(1, OUTBOUND_MAX + 2)], None, net.now)
    net.run(0.1)
    assert len({endpoint for _, endpoint in a.dials}) == len(a.dials) == OUTBOUND_MAX


def test_a_lost_outbound_peer_is_replaced(net: Net) -> None:
    a = End(net, 0)
    others = {other.id: other for other in (End(net, number) for number in range(1, 21))}
    a.book.add([other.endpoint for other in others.values()], None, net.now)
    net.run(30)
    for peer in list(a.sessions.peers())[:4]:
        others[peer.id].up = False
        a.sessions.drop(peer.id, DisconnectReason.OPERATOR, net.now)
        a.perform()
    net.run(60)
    living = [peer.blocks_only for peer in a.sessions.peers() if peer.outbound and others[peer.id].up]
    assert (living.count(False), living.count(True)) == (OUTBOUND_MAX, BLOCKS_ONLY_MAX)


def test_nodes_that_know_one_other_find_all(net: Net) -> None:
    """A chain of bootstraps: node i is told only of node i-1."""
    ends = [End(net, number) for number in range(8)]
    for earlier, later in pairwise(ends):
        later.keep(earlier)
    net.run(40)
    for end in ends:
        assert len(list(end.sessions.peers())) == len(ends) - 1


def test_a_feeler_opens_no_session(net: Net) -> None:
    a = End(net, 0, listens=False)
    others = [End(net, number) for number in range(1, 31)]
    a.book.add([other.endpoint for other in others], None, net.now)
    net.run(120)
    chosen = {peer.id for peer in a.sessions.peers() if peer.outbound}
    felt = [other for other in others if is_tried(a.book, other.endpoint) and other.id not in chosen]
    assert len(felt) >= 5
    assert all(a.book.round_trip_s(other.endpoint) is not None for other in felt)
    assert not any(other.sessions.get(a.id) for other in felt)


def test_whoever_broke_the_rules_leaves_the_book(net: Net) -> None:
    a, b = both(net)
    a.keep(b)
    net.run(1)
    assert b.endpoint in a.book
    a.sessions.punish(b.id, "sent an invalid block", net.now)
    a.perform()
    assert b.endpoint not in a.book


def test_who_greets_us_to_get_blocks_only_is_known_for_it(net: Net) -> None:
    a, b = both(net)
    a.change(services=a.facts.services | BLOCKS_ONLY)
    a.keep(b)
    net.run(1)
    [seen] = b.sessions.peers()
    assert seen.blocks_only


def test_a_handshake_that_comes_to_nothing_leaves_no_connections(net: Net) -> None:
    """The courier opens lanes, and threads, for whom the Confirm goes to; only a Close ends them."""
    a, b = End(net, 1), End(net, 2)
    net.replies.change = lambda reply: Refusal(Reason.BUSY) if isinstance(reply, Ok) else reply
    a.keep(b)
    net.run(1)
    assert not a.sessions.link(b.id)
    assert (b.id, "the handshake came to nothing") in a.closed


def test_nor_does_one_with_a_node_that_is_not_wanted(net: Net) -> None:
    a, light = End(net, 1), End(net, 2, listens=False)
    light.change(services=SERVES_HEADERS)
    a.sessions.tick(net.now)
    a.perform()
    a.sessions.outbound.once(light.endpoint)
    net.run(1)
    assert not a.sessions.link(light.id)
    assert [peer for peer, _ in a.closed] == [light.id]


def test_why_a_named_endpoint_does_not_answer_is_told_once(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    """What the operator named to begin with is given up and tried again; the log says why, until that changes."""
    caplog.set_level("INFO", "groat.peers")
    a, b = both(net)
    b.change(network_id=bytes(32))
    for _ in range(3):
        a.sessions.outbound.once(b.endpoint)
        net.run(2)
    b.up = False
    a.sessions.outbound.once(b.endpoint)
    net.run(2)
    told = [record.getMessage() for record in caplog.records if "no link" in record.getMessage()]
    assert told == [f"no link with {b.endpoint}: wrong_network", f"no link with {b.endpoint}: refused the connection"]
