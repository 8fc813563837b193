"""Requests under way, and the sets that cannot grow."""

from typing import Any

from chain.hashes import BlockHash
from node.interface.bounded import BoundedSet
from node.interface.effects import Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Confirm, GetBlocks, Request
from node.interface.outbox import Outbox
from node.p2p.connections.pending_requests import GRACE_S, PendingRequests

LINKS = [Link(PeerId(bytes((n,)) * 20), Endpoint("10.0.0.1", n), bytes(16)) for n in (1, 2)]
ASK = GetBlocks((BlockHash(bytes(32)),))


def then(reply: Any, now: float) -> None:
    pass


class Lab:
    """Requests, and what is sent for them."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.requests = PendingRequests(self.outbox)

    def send(self, link: Link, request: Request, now: float = 100.0) -> Send:
        self.requests.send(link, request, now, 20.0, then)
        [sent] = self.outbox.take()
        assert isinstance(sent, Send)
        return sent


def test_each_request_is_answered_once() -> None:
    lab = Lab()
    requests, send = lab.requests, lab.send(LINKS[0], ASK)
    assert (send.link, send.message, send.deadline) == (LINKS[0], ASK, 120.0)
    pending = requests.take(send.request_id)
    assert pending is not None
    assert (pending.request, pending.peer, pending.sent) == (ASK, LINKS[0].peer, 100.0)
    assert requests.take(send.request_id) is None
    assert len(requests) == 0


def test_what_is_lost_outside_becomes_overdue() -> None:
    lab = Lab()
    requests, send = lab.requests, lab.send(LINKS[0], ASK)
    assert requests.overdue(120.0 + GRACE_S) == []
    assert requests.overdue(120.1 + GRACE_S) == [send.request_id]


def test_a_peers_requests_are_forgotten_but_not_its_handshake() -> None:
    lab = Lab()
    requests = lab.requests
    asked = [lab.send(link, ASK).request_id for link in LINKS]
    confirm = lab.send(LINKS[0], Confirm(bytes(16), bytes(64)))
    requests.forget(LINKS[0].peer)
    assert requests.take(asked[0]) is None
    assert requests.take(asked[1]) is not None
    assert requests.take(confirm.request_id) is not None


def test_recent_forgets_the_oldest() -> None:
    recent: BoundedSet[int] = BoundedSet(3)
    for number in (1, 2, 3, 1, 4):
        recent.add(number)
    assert list(recent) == [2, 3, 4]
    assert 1 not in recent
    recent.discard(3)
    recent.discard(99)
    assert len(recent) == 2
    recent.update((5, 6, 2, 7))
    assert list(recent) == [6, 2, 7]
    recent.clear()
    assert len(recent) == 0


def test_recent_is_as_fast_when_it_is_full() -> None:
    """What was forgotten is not walked over: with a dict this takes minutes."""
    recent: BoundedSet[int] = BoundedSet(50_000)
    recent.update(range(500_000))
    for number in range(500_000, 600_000):
        recent.add(number)
    assert list(recent) == list(range(550_000, 600_000))
