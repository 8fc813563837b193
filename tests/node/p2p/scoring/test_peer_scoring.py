"""What peers' deeds come to: in scores, in who may stay and come, in who makes room, in what operators are told."""

from dataclasses import replace
from typing import Any

import pytest

from chain.hashes import BlockHash
from node.interface.disconnect_reason import DisconnectReason
from node.interface.effects import Failed
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import GetAddresses, GetBlocks, Hello, Ok, Reason, Refusal, Welcome
from node.p2p.connections import inbound
from node.p2p.connections.inbound import EVICTED_S
from node.p2p.scoring import peer_scoring
from node.p2p.scoring.banman import DISCOURAGED_S
from node.p2p.scoring.block_serving import Note
from node.p2p.scoring.choking import ROUND_S
from node.p2p.scoring.peer_score import CHOKE, DROP, HALF_LIFE_S, Grade, PeerEvent
from node.p2p.scoring.peer_scoring import PeerScoring
from node.p2p.scoring.service_flags import Role
from node.p2p.scoring.time_offsets import OFFSET_MAX_S, clock_warning
from node.p2p.wire.codec import encode
from tests.node.p2p.connections.session_lab import End, Net

A, B = PeerId(b"a" * 20), PeerId(b"b" * 20)
NOW = 1_000_000.0
BLOCK = BlockHash(b"1" * 32)
MEGABYTE = 1_000_000


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def scoring() -> PeerScoring:
    scoring = PeerScoring(allow_local=True)
    scoring.met(A)
    scoring.met(B)
    return scoring


def test_the_first_to_deliver_a_valid_block_is_credited(scoring: PeerScoring) -> None:
    scoring.took_block(A, BLOCK, MEGABYTE)
    scoring.took_block(B, BLOCK, MEGABYTE)
    scoring.tick(lambda block_hash: None, NOW)
    assert scoring.tally(A).first_blocks == 0
    scoring.tick(lambda block_hash: True, NOW + 1)
    scoring.tick(lambda block_hash: True, NOW + 2)
    assert (scoring.tally(A).first_blocks, scoring.tally(A).last_block) == (1, NOW + 1)
    assert scoring.scores.score(A, NOW + 1) == PeerEvent.BLOCK_FIRST.value.points + PeerEvent.SERVED.value.points
    assert scoring.scores.contribution(A, NOW + 1) == MEGABYTE
    assert scoring.tally(B).first_blocks == scoring.scores.score(B, NOW) == 0


def test_nobody_is_credited_for_an_invalid_block(scoring: PeerScoring) -> None:
    scoring.took_block(A, BLOCK, MEGABYTE)
    scoring.tick(lambda block_hash: False, NOW)
    scoring.tick(lambda block_hash: True, NOW + 1)
    assert scoring.tally(A).first_blocks == scoring.scores.contribution(A, NOW) == 0


def test_blocks_that_wait_are_bounded(scoring: PeerScoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_scoring, "TAKEN_MAX", 10)
    for number in range(100):
        scoring.took_block(A, BlockHash(bytes([number]) * 32), 1)
    scoring.tick(lambda block_hash: True, NOW)
    assert scoring.tally(A).first_blocks == 10


def test_transactions_are_credited(scoring: PeerScoring) -> None:
    scoring.took_tx(A, 200, NOW)
    assert (scoring.tally(A).first_txs, scoring.tally(A).last_tx) == (1, NOW)
    assert scoring.scores.contribution(A, NOW) == 200
    assert scoring.scores.score(A, NOW) > PeerEvent.TX_FIRST.value.points


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        (Ok(), PeerEvent.ANSWERED.value.points),
        (Refusal(Reason.CHOKED), PeerEvent.ANSWERED.value.points),
        (Failed("timed out"), PeerEvent.LATE.value.points),
        (Failed("no message", offence=True), 0),
    ],
)
def test_answers_count(scoring: PeerScoring, reply: Any, points: float) -> None:
    scoring.answered(A, GetAddresses(), reply, NOW)
    assert scoring.scores.score(A, NOW) == points


def test_bytes_are_counted_both_ways(scoring: PeerScoring) -> None:
    request, reply = GetBlocks((BLOCK,)), Ok()
    scoring.answered(A, request, reply, NOW)
    scoring.received(A, request)
    scoring.sent(A, reply)
    both = len(encode(request)) + len(encode(reply))
    assert (scoring.tally(A).bytes_sent, scoring.tally(A).bytes_received) == (both, both)
    scoring.service._notes.append(Note(A, 5_000, False, False))
    scoring.tick(lambda block_hash: None, NOW)
    assert scoring.tally(A).bytes_sent == both + 5_000


def test_what_was_counted_goes_with_the_peer_but_its_score_stays(scoring: PeerScoring) -> None:
    scoring.took_tx(A, 200, NOW)
    scoring.left(A)
    assert scoring.tally(A).first_txs == 0
    assert scoring.scores.score(A, NOW) > 0
    scoring.sent(A, Ok())
    assert scoring.tally(A).bytes_sent == 0


def test_peers_that_want_too_much_are_choked(scoring: PeerScoring) -> None:
    small = PeerScoring(allow_local=True, budget_bytes_s=1_000)
    peers = [PeerId(bytes([number]) * 20) for number in range(10)]
    for moment in range(3):
        small.service._notes.extend(Note(peer, 10_000, True, False) for peer in peers)
        small.service._notes.extend(Note(peer, 10_000, False, False) for peer in peers)
        small.tick(lambda block_hash: None, NOW + moment * ROUND_S)
    assert sum(small.is_choked(peer) for peer in peers) == 5
    for moment in range(3):
        scoring.service._notes.extend(Note(peer, 10_000, False, False) for peer in peers * 1_000)
        scoring.tick(lambda block_hash: None, NOW + moment * ROUND_S)
    assert not any(scoring.is_choked(peer) for peer in peers)  # none of it was bulk


def met(net: Net, **options: Any) -> tuple[End, End]:
    """The first greets the second."""
    a, b = End(net, 1, **options), End(net, 2, **{name: options[name] for name in options if name != "host"})
    a.keep(b)
    net.run(1)
    assert b.sessions.get(a.id)
    return a, b


def spam(end: End, peer: End, score: float) -> None:
    end.scoring.note(peer.id, PeerEvent.SPAM, end.net.now, score / PeerEvent.SPAM.value.points)


def test_a_peer_with_too_low_a_score_is_dropped_until_that_has_faded(net: Net) -> None:
    a, b = met(net, listens=False)
    spam(b, a, DROP + 1)
    net.run(1)
    assert not b.closed
    spam(b, a, -2)
    net.run(1)
    [(gone, why)] = b.closed
    assert gone == a.id
    assert why.startswith("its score is too low: it sent more than it may (-10")
    hello = Hello(a.facts, bytes(32))
    assert b.sessions.on_hello(hello, "10.0.0.2", net.now) == Refusal(Reason.DISCOURAGED)
    assert isinstance(b.sessions.on_hello(hello, "10.0.0.2", net.now + HALF_LIFE_S), Welcome)


def test_honest_faults_never_end_a_session(net: Net) -> None:
    a, b = met(net, listens=False)
    for deed in (PeerEvent.LATE, PeerEvent.BROKEN_PROMISE):
        b.scoring.note(a.id, deed, net.now, 1_000_000)
    net.run(5)
    assert not b.closed
    assert b.scoring.scores.grade(a.id, net.now) is Grade.CHOKE


def test_the_address_of_an_offender_is_refused_whatever_its_id(net: Net) -> None:
    a, b = met(net, host="8.8.8.8", allow_local=False)
    b.sessions.punish(a.id, "sent an invalid block", net.now)
    b.perform()
    other = End(net, 3)
    hello = Hello(other.facts, bytes(32))
    assert b.sessions.on_hello(hello, "8.8.8.8", net.now) == Refusal(Reason.DISCOURAGED)
    assert isinstance(b.sessions.on_hello(hello, "8.8.8.9", net.now), Welcome)
    assert isinstance(b.sessions.on_hello(hello, "8.8.8.8", net.now + DISCOURAGED_S), Welcome)


def test_where_nodes_share_an_address_only_ids_are_refused(net: Net) -> None:
    a, b = met(net, host="8.8.8.8", allow_local=True)
    b.sessions.punish(a.id, "sent an invalid block", net.now)
    b.perform()
    assert isinstance(b.sessions.on_hello(Hello(End(net, 3).facts, bytes(32)), "8.8.8.8", net.now), Welcome)


def test_an_offenders_address_is_not_dialled(net: Net) -> None:
    a, b = End(net, 1, host="8.8.8.8", allow_local=False), End(net, 2, host="9.9.9.9", allow_local=False)
    b.scoring.discouraged.add(A, "8.8.8.8", net.now)
    b.book.add([a.endpoint], None, net.now)
    net.run(20)
    assert not b.dials
    b.keep(a)  # but for the operator's word
    net.run(1)
    assert b.is_linked(a)


def test_an_offender_is_not_linked_with_wherever_it_listens(net: Net) -> None:
    a, b = End(net, 1), End(net, 2)
    b.scoring.offended(a.id, "", net.now)
    b.book.add([a.endpoint], None, net.now)
    net.run(5)
    assert b.dials
    assert b.sessions.get(a.id) is None


@pytest.mark.parametrize("reason", [Reason.CHOKED, Reason.NOT_SERVED])
def test_not_to_be_served_is_no_reason_to_leave(net: Net, reason: Reason) -> None:
    a, b = met(net)
    a.sessions.on_reply(b.id, Refusal(reason), 0.1, net.now)
    a.perform()
    assert not a.closed
    a.sessions.on_reply(b.id, Refusal(Reason.NO_SESSION), 0.1, net.now)
    a.perform()
    assert a.closed


def test_light_nodes_fill_no_place_of_our_choice(net: Net) -> None:
    """But those that the operator names, and at other light nodes."""
    light, full, other = End(net, 1), End(net, 2), End(net, 3)
    for end in (light, other):
        end.change(services=Role.LIGHT.services())
    full.book.add([light.endpoint], None, net.now)
    other.book.add([light.endpoint], None, net.now)
    net.run(5)
    assert light.endpoint in [endpoint for _, endpoint in full.dials]
    assert not any(peer.outbound for peer in full.sessions.peers())
    assert any(peer.outbound for peer in other.sessions.peers())
    full.sessions.drop(light.id, DisconnectReason.OPERATOR, net.now)
    full.perform()
    full.keep(light)
    net.run(30)
    assert full.is_linked(light)


@pytest.fixture
def hub(net: Net, monkeypatch: pytest.MonkeyPatch) -> End:
    """Has room for thirty, and they are here: twenty of one group, then ten of others."""
    monkeypatch.setattr(inbound, "INBOUND_MAX", 30)
    hub = End(net, 0)
    hosts = [f"20.1.0.{number}" for number in range(1, 21)] + [f"{number}.1.0.1" for number in range(30, 40)]
    for number, host in enumerate(hosts, 1):
        End(net, number, listens=False, host=host).keep(hub)
        net.run(1)
    assert len(list(hub.sessions.peers())) == 30
    assert not hub.closed
    return hub


def newcomer(net: Net, hub: End, number: int, host: str) -> End:
    end = End(net, number, listens=False, host=host)
    end.keep(hub)
    net.run(1)
    return end


def group_of(net: Net, hub: End, peer: PeerId) -> str:
    return next(end.endpoint.host for end in net.ends.values() if end.id == peer).partition(".")[0]


def test_a_newcomer_takes_the_place_of_the_youngest_of_the_largest_group(net: Net, hub: End) -> None:
    comes = newcomer(net, hub, 50, "60.1.0.1")
    assert hub.sessions.get(comes.id)
    [(gone, why)] = hub.closed
    assert (group_of(net, hub, gone), why) == ("20", "it made room for another")


def test_who_has_a_bad_record_makes_room_first(net: Net, hub: End) -> None:
    bad = [peer for peer in hub.sessions.peers() if group_of(net, hub, peer.id) != "20"]
    for peer in bad:
        spam(hub, next(end for end in net.ends.values() if end.id == peer.id), CHOKE - 2)
    newcomer(net, hub, 50, "60.1.0.1")
    assert hub.closed[0][0] in {peer.id for peer in bad}


def test_who_brought_blocks_and_transactions_stays(net: Net, hub: End) -> None:
    useful = [peer.id for peer in hub.sessions.peers()][16:20]
    for number, peer in enumerate(useful):
        if number % 2:
            hub.scoring.took_tx(peer, 200, net.now)
        else:
            hub.scoring.took_block(peer, BlockHash(bytes([number]) * 32), 1_000)
    hub.scoring.tick(lambda block_hash: True, net.now)
    for number in range(40):
        newcomer(net, hub, 50 + number, f"20.1.1.{number}")
    assert len(hub.closed) >= 40
    assert all(hub.sessions.get(peer) for peer in useful)


def test_who_made_room_does_not_push_out_others_in_turn(net: Net, hub: End) -> None:
    comes = newcomer(net, hub, 50, "60.1.0.1")
    [(gone, _)] = hub.closed
    evicted = next(end for end in net.ends.values() if end.id == gone)
    hello = Hello(evicted.facts, bytes(32))
    assert hub.sessions.on_hello(hello, "20.1.0.1", net.now) == Refusal(Reason.BUSY)
    assert isinstance(hub.sessions.on_hello(hello, "20.1.0.1", net.now + EVICTED_S), Welcome)
    hub.sessions.drop(comes.id, DisconnectReason.OPERATOR, net.now)
    hub.perform()
    assert isinstance(hub.sessions.on_hello(hello, "20.1.0.1", net.now), Welcome)  # there is room


def test_an_unproved_greeting_evicts_nobody(net: Net, hub: End) -> None:
    for number in range(50):
        hello = Hello(End(net, 100 + number, listens=False).facts, bytes(32))
        assert isinstance(hub.sessions.on_hello(hello, "60.1.0.1", net.now), Welcome)
    assert not hub.closed


def test_those_that_the_operator_keeps_are_never_evicted(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "INBOUND_MAX", 20)
    hub = End(net, 0)
    for number in range(2, 21):
        newcomer(net, hub, number, f"20.1.0.{number}")
    kept = End(net, 1, host="20.1.0.99")  # the youngest, and of the largest group
    kept.keep(hub)
    net.run(2)
    hub.keep(kept)
    assert not any(peer.outbound for peer in hub.sessions.peers())
    found = hub.sessions.get(kept.id)
    assert found is not None
    found.least_round_trip_s = None  # else it would be safe for being near
    newcomer(net, hub, 50, "60.1.0.1")
    assert len(hub.closed) == 1
    assert hub.sessions.get(kept.id)


def test_a_lie_about_where_it_listens_changes_no_group(net: Net, hub: End) -> None:
    """Twenty of one group that claim to listen in as many others."""
    for end in list(net.ends.values()):
        if end.endpoint.host.startswith("20.") and (found := hub.sessions.get(end.id)):
            found.facts = replace(end.facts, listen=Endpoint(f"7{end.endpoint.host[-1]}.1.0.1", 1 + len(net.ends)))
    newcomer(net, hub, 50, "60.1.0.1")
    assert group_of(net, hub, hub.closed[0][0]) == "20"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_is_wrong_is_told(sign: int) -> None:
    limit = OFFSET_MAX_S * sign
    assert OFFSET_MAX_S == 70 * 60
    assert clock_warning([]) is None
    assert clock_warning([limit]) is None
    assert clock_warning([limit + sign]) is not None
    assert clock_warning([0, 1, 2, limit * 9, limit * 9]) is None
    told = clock_warning([limit * 2, limit * 2, limit * 2, 0, -limit * 1e12])
    side = "behind" if sign > 0 else "ahead of"
    assert told == f"this node's clock is 140 minutes {side} its peers' (median of 5): check date and time"


def test_peers_tell_their_clocks_in_the_handshake(net: Net) -> None:
    a, b = met(net)
    for one, other in ((a, b), (b, a)):
        peer = one.sessions.get(other.id)
        assert peer is not None
        assert peer.clock_ahead_s == pytest.approx(0, abs=2)
