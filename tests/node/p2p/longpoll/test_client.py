"""Polls: when one is opened, how long it is held, what it brings, and what becomes of what is lost."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chain.errors import Invalid, Reject
from chain.hashes import BlockHash, Wtxid, sha256
from chain.params import REGTEST
from node.interface.effects import Compute, Effect, Failed, Park, Publish, Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Blocks, GetTxs, News, Ok, Poll, Txs
from node.interface.outbox import Outbox
from node.p2p.block_sync.pending_jobs import PendingJobs
from node.p2p.connections.pending_requests import PendingRequests
from node.p2p.longpoll import server
from node.p2p.longpoll.client import DIAL_BACK_S, LEAST_S, RETRY_S, SHORT_S, LongpollClient
from node.p2p.longpoll.pushed_blocks import JOBS_MAX, PUSH_S, PushedBlocks
from node.p2p.longpoll.server import HELD_S, NOTHING, LongpollServer
from node.p2p.tx_relay.tx_announce import ORDINARY
from tests.chainlab import Lab, funded
from tests.node.p2p.doubles import FakeConnections, facts
from tests.node.p2p.tx_relay.relay_lab import FakePeer, RelayLab

ALICE, BOB = PeerId(b"a" * 20), PeerId(b"b" * 20)
TIP = BlockHash(bytes(32))
NOW = 1000.0
HEADER: Any = "a header"
"""Nobody looks into it here."""
WTXIDS = tuple(Wtxid(sha256(b"%d" % number)) for number in range(3))
RUNG = [Publish(f"poll:{ALICE.hex()}")]


class Told:
    """What there is to tell, in the place of `Sync`, `Relay` and `PushedBlocks`."""

    def __init__(self) -> None:
        self.headers: tuple[Any, ...] = ()
        self.wtxids: tuple[Wtxid, ...] = ()
        self.blocks: tuple[BlockHash, ...] = ()
        self.links: set[PeerId] = set()
        self.arrived: list[Wtxid] = []
        self.outbox = Outbox()
        connections: Any = FakeConnections(self.link_of, facts=lambda peer: facts(tip=TIP))
        self.polls = LongpollServer(self.outbox, connections, _Sync(self), _Relay(self), _Pushes(self))  # type: ignore[arg-type]

    def link_of(self, peer: PeerId) -> Link | None:
        return Link(peer, Endpoint("10.0.0.1", 1), bytes(16)) if peer in self.links else None

    def ask(self, poll: Poll, now: float = NOW, peer: PeerId = ALICE) -> News | Park:
        return self.polls.on_poll(peer, poll, now)

    def rung_on_tip(self) -> list[Effect]:
        """Those woken by a new tip."""
        self.outbox.take()
        self.polls.on_tip()
        return list(self.outbox.take())

    def rung_at(self, now: float) -> list[Effect]:
        """Those woken at that time."""
        self.outbox.take()
        self.polls.tick(now)
        return list(self.outbox.take())


class _Part:
    def __init__(self, told: Told) -> None:
        self.told = told


class _Sync(_Part):
    def polled(self, peer: PeerId, tip: BlockHash) -> None:
        assert tip == TIP

    def has_news(self, peer: PeerId) -> bool:
        return bool(self.told.headers)

    def take_news(self, peer: PeerId) -> tuple[Any, ...]:
        headers, self.told.headers = self.told.headers, ()
        return headers

    def news_arrived(self, peer: PeerId) -> None:
        """It is asked about no heights here."""

    def news_lost(self, peer: PeerId) -> None:
        self.told.headers = (HEADER,)


class _Relay(_Part):
    def polled(self, peer: PeerId) -> None:
        pass

    def is_news_due(self, peer: PeerId, now: float) -> bool:
        return bool(self.told.wtxids)

    def take_news(self, peer: PeerId, now: float) -> tuple[Wtxid, ...]:
        wtxids, self.told.wtxids = self.told.wtxids, ()
        return wtxids

    def news_arrived(self, peer: PeerId, wtxids: tuple[Wtxid, ...]) -> None:
        self.told.arrived += wtxids

    def news_lost(self, peer: PeerId, wtxids: tuple[Wtxid, ...]) -> None:
        self.told.wtxids += wtxids


class _Pushes(_Part):
    def is_due(self, peer: PeerId, now: float) -> bool:
        return bool(self.told.blocks)

    def take(self, peer: PeerId, now: float) -> tuple[BlockHash, ...]:
        blocks, self.told.blocks = self.told.blocks, ()
        return blocks

    def left(self, peer: PeerId) -> None:
        pass


@pytest.fixture
def told() -> Told:
    return Told()


def test_brings_at_once_what_there_is(told: Told) -> None:
    told.headers, told.wtxids, told.blocks = (HEADER,), WTXIDS, (TIP,)
    assert told.ask(Poll(1, 0)) == News((HEADER,), WTXIDS, (TIP,))


def test_is_held_until_there_is_something(told: Told) -> None:
    poll = Poll(1, 0)
    parked = told.ask(poll)
    assert isinstance(parked, Park)
    assert NOW + HELD_S < parked.deadline < NOW + HELD_S + 1
    assert told.rung_at(NOW + 1) == told.rung_on_tip() == []
    told.headers = (HEADER,)
    assert told.rung_on_tip() == RUNG == [Publish(parked.topic)]
    assert told.ask(poll, NOW + 1) == News((HEADER,), ())
    assert told.rung_on_tip() == []


def test_is_rung_when_transactions_are_due_or_blocks_to_be_named(told: Told) -> None:
    told.ask(Poll(1, 0))
    told.wtxids = WTXIDS
    assert told.rung_at(NOW + 1) == RUNG
    told.wtxids, told.blocks = (), (TIP,)
    assert told.rung_at(NOW + 1) == RUNG


def test_is_answered_in_the_end(told: Told) -> None:
    poll = Poll(1, 0)
    told.ask(poll)
    assert isinstance(told.ask(poll, NOW + HELD_S - 0.1), Park)
    assert told.ask(poll, NOW + HELD_S) == NOTHING


def test_what_is_lost_is_told_again(told: Told) -> None:
    told.headers, told.wtxids = (HEADER,), WTXIDS
    told.ask(Poll(1, 0))
    assert told.ask(Poll(2, 0)) == News((HEADER,), WTXIDS)
    assert not told.arrived
    assert isinstance(told.ask(Poll(3, 2)), Park)
    assert tuple(told.arrived) == WTXIDS


def test_a_second_poll_ends_the_first(told: Told) -> None:
    first, second = Poll(1, 0), Poll(2, 0)
    told.ask(first)
    told.outbox.take()
    assert isinstance(told.ask(second, NOW + 1), Park)
    assert list(told.outbox.take()) == RUNG
    assert told.ask(first, NOW + 1) == NOTHING
    told.headers = (HEADER,)
    assert told.ask(first, NOW + 1) == NOTHING
    assert told.ask(Poll(2, 0), NOW + 1) == NOTHING, "the same number again is another's"
    assert told.ask(second, NOW + 1) == News((HEADER,), ())


def test_only_so_many_are_held(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OPEN_MAX", 1)
    poll = Poll(1, 0)
    assert isinstance(told.ask(poll), Park)
    assert told.ask(Poll(1, 0), peer=BOB) == NOTHING
    told.headers = (HEADER,)
    assert told.ask(Poll(2, 1), peer=BOB) == News((HEADER,), ())
    assert told.ask(poll, NOW + HELD_S) == NOTHING
    assert isinstance(told.ask(Poll(3, 2), peer=BOB), Park)


def test_whom_we_can_reach_is_told_that_way(told: Told) -> None:
    told.wtxids = WTXIDS
    told.ask(Poll(1, 0))
    second = Poll(2, 1)
    told.ask(second)
    told.headers = (HEADER,)
    told.ask(second)
    told.links.add(ALICE)
    told.polls.linked(ALICE)
    assert not told.outbox.take(), "none is open"
    assert told.headers == (HEADER,), "nobody knows whether that arrived"
    assert told.ask(Poll(3, 2)) == NOTHING


def test_an_open_poll_ends_with_the_link_or_the_peer(told: Told) -> None:
    told.ask(Poll(1, 0))
    told.polls.left(ALICE)
    assert list(told.outbox.take()) == RUNG
    told.polls.left(ALICE)
    assert not told.outbox.take()
    told.ask(Poll(1, 0))
    told.outbox.take()
    told.polls.linked(ALICE)
    assert list(told.outbox.take()) == RUNG


class Asker:
    """A poller linked with Alice."""

    def __init__(self, *, is_listed: bool = False) -> None:
        self.now = NOW
        self.outbox = Outbox()
        self.requests = PendingRequests(self.outbox)
        self.reaches_us = False
        self.taken: list[News] = []
        self.blocks: dict[BlockHash, bytes] = {}
        link = Link(ALICE, Endpoint("10.0.0.1", 1), bytes(16))
        connections: Any = FakeConnections(lambda peer: link, reaches_us=lambda peer: self.reaches_us)
        chain: Any = SimpleNamespace(raw_block=self.blocks.get)
        self.poller = LongpollClient(self.requests, connections, chain, self.take, is_listed)
        self.poller.linked(ALICE, self.now)

    def take(self, peer: PeerId, news: News, now: float) -> None:
        self.taken.append(news)

    def after(self, seconds: float) -> list[Send]:
        """What is sent at the next tick after so long."""
        self.now += seconds
        self.poller.tick(self.now)
        return [effect for effect in self.outbox.take() if isinstance(effect, Send)]

    def answer(self, sent: Send, reply: Any, after_s: float) -> list[Any]:
        """What follows at once."""
        self.now += after_s
        pending = self.requests.take(sent.request_id)
        assert pending is not None
        pending.then(reply, self.now)
        return list(self.outbox.take())


def test_polls_who_does_not_dial_back() -> None:
    asker = Asker(is_listed=True)
    assert asker.after(DIAL_BACK_S - 0.1) == []
    [sent] = asker.after(0.2)
    assert sent.message == Poll(1, 0)
    assert sent.deadline > asker.now + HELD_S
    assert asker.after(1) == [], "one is open"


def test_polls_nobody_who_can_reach_us() -> None:
    asker = Asker()
    asker.reaches_us = True
    assert asker.after(DIAL_BACK_S + 1) == []
    asker.reaches_us = False
    [sent] = asker.after(0)
    asker.reaches_us = True
    assert asker.answer(sent, News((HEADER,), ()), 1) == []
    assert asker.after(60) == []


def test_who_tells_of_no_listener_polls_at_once() -> None:
    assert len(Asker().after(0)) == 1


def test_polls_again_and_says_what_arrived() -> None:
    asker = Asker()
    [sent] = asker.after(0)
    brought = News((HEADER,), WTXIDS)
    [following] = asker.answer(sent, brought, 1)
    assert asker.taken == [brought]
    assert following.message == Poll(2, 1)
    [following] = asker.answer(following, NOTHING, HELD_S)
    assert following.message == Poll(3, 2)


def test_a_peer_with_much_to_say_is_not_polled_without_pause() -> None:
    asker = Asker()
    [sent] = asker.after(0)
    assert asker.answer(sent, News((), WTXIDS), LEAST_S / 2) == []
    assert asker.after(LEAST_S / 4) == []
    assert len(asker.after(LEAST_S / 2)) == 1


def test_a_peer_that_holds_none_is_polled_from_time_to_time() -> None:
    asker = Asker()
    [sent] = asker.after(0)
    assert asker.answer(sent, NOTHING, 0.01) == []
    assert asker.after(SHORT_S - 0.1) == []
    assert len(asker.after(0.1)) == 1


def test_a_failure_is_followed_by_a_pause_and_the_same_number_received() -> None:
    asker = Asker()
    [sent] = asker.after(0)
    [sent] = asker.answer(sent, News((HEADER,), ()), 1)
    assert asker.answer(sent, Failed("timed out"), 30) == []
    assert asker.after(RETRY_S - 0.1) == []
    [sent] = asker.after(0.1)
    assert sent.message == Poll(3, 1)


def test_an_answer_of_an_earlier_link_is_nothing() -> None:
    asker = Asker()
    [sent] = asker.after(0)
    asker.poller.left(ALICE)
    asker.poller.linked(ALICE, asker.now)
    assert asker.answer(sent, News((HEADER,), ()), 1) == []
    [sent] = asker.after(0)
    assert sent.message == Poll(2, 0)
    assert not asker.taken


def test_pushes_the_named_blocks_one_message_at_a_time() -> None:
    asker = Asker()
    here, there = BlockHash(b"1" * 32), BlockHash(b"2" * 32)
    asker.blocks[here] = b"block"
    [sent] = asker.after(0)
    polled, pushed = asker.answer(sent, News((), (), (there, here)), 1)
    assert pushed.message == Blocks((b"block",))
    [following] = asker.answer(polled, News((), (), (here,)), 1)
    assert following.message == Poll(3, 2)
    # What was named meanwhile is not forgotten: it would be named again only after PUSH_S.
    [again] = asker.answer(pushed, Ok(), 1)
    assert again.message == Blocks((b"block",))
    assert asker.answer(again, Ok(), 1) == []
    assert [type(sent.message) for sent in asker.answer(following, News((), (), (here,)), 1)] == [Poll, Blocks]


def test_transactions_are_told_at_the_same_random_times_as_to_others() -> None:
    """Else whoever polls sees where a payment starts."""
    waits = []
    for seed in range(20):
        lab = RelayLab(ORDINARY, seed)
        peer = FakePeer(1)
        peer.link = None
        lab.add(peer, outbound=False)
        lab.relay.polled(peer.id)
        [payment] = lab.make()
        lab.submit(payment)
        start = lab.now
        while not lab.relay.is_news_due(peer.id, lab.now):
            assert lab.relay.take_news(peer.id, lab.now) == ()
            lab.run(0.1)
        assert lab.relay.take_news(peer.id, lab.now) == (payment.wtxid,)
        waits.append(lab.now - start)
    assert 2 < sum(waits) / len(waits) < 9


def test_who_polls_is_told_of_all_that_is_here_and_again_of_what_is_lost() -> None:
    lab = RelayLab()
    payments = lab.make(3)
    lab.submit(*payments)
    peer = FakePeer(1)
    peer.link = None
    lab.add(peer)
    lab.relay.polled(peer.id)
    lab.run(60)
    told = lab.relay.take_news(peer.id, lab.now)
    assert set(told) == {payment.wtxid for payment in payments}
    lab.relay.news_lost(peer.id, told[:2])
    lab.run(60)
    assert lab.relay.take_news(peer.id, lab.now) == told[:2]
    lab.relay.news_arrived(peer.id, told)
    lab.relay.news_lost(peer.id, told)
    assert not lab.relay.is_news_due(peer.id, lab.now + 60)


class Forgetful(FakePeer):
    """Lets the first delivery, and the first question, fall."""

    lost = 1

    def answer(self, request: Any) -> Any:
        if isinstance(request, Txs | GetTxs) and self.lost:
            self.lost -= 1
            return None
        return super().answer(request)


def test_a_delivery_that_is_lost_is_announced_again() -> None:
    """Who cannot ask us would never have it."""
    lab = RelayLab()
    peer = Forgetful(1)
    lab.add(peer)
    [payment] = lab.make()
    lab.submit(payment)
    lab.run(60)
    assert {tx.wtxid for tx in peer.got} == {payment.wtxid}


def test_a_question_that_is_lost_is_asked_again() -> None:
    """News tells of each only once."""
    lab = RelayLab()
    [payment] = lab.make()
    peer = Forgetful(1, [payment])
    lab.add(peer)
    lab.relay.on_news(peer.id, (payment.wtxid,), lab.now)
    lab.carry()
    lab.run(60)
    assert lab.has(payment)


class Pushed:
    """Deliveries that lack the blocks of a lab."""

    def __init__(self) -> None:
        self.lab: Lab = funded()
        self.lacking = [self.lab.blocks[-2], self.lab.blocks[-1]]
        self.accepted: list[BlockHash] = []
        self.punished: list[str] = []
        self.verdict: Callable[[], None] = lambda: None
        self.outbox = Outbox()
        self.jobs = PendingJobs(self.outbox)
        connections: Any = FakeConnections(lambda peer: None, self.punish)
        chain: Any = SimpleNamespace(params=REGTEST)
        context: Any = SimpleNamespace(jobs=self.jobs, connections=connections, chain=chain)
        download: Any = self
        blocks: Any = self
        self.deliveries = PushedBlocks(context, download, blocks)

    def only_with(self, peer: PeerId) -> list[Any]:
        return self.lacking

    def process_block(self, peer: PeerId, body: Any, now: float) -> None:
        self.verdict()
        self.accepted.append(body.block.hash)

    def punish(self, peer: PeerId, reason: str, now: float) -> None:
        self.punished.append(reason)

    def on_blocks(self, *raws: bytes) -> list[Effect]:
        """What is to be done with these from Alice."""
        self.deliveries.on_blocks(ALICE, Blocks(raws), NOW)
        return list(self.outbox.take())

    def push(self, *raws: bytes) -> None:
        """And have it unpacked."""
        for effect in self.on_blocks(*raws):
            assert isinstance(effect, Compute)
            self.jobs.take(effect.job)(effect.run(), NOW)


@pytest.fixture
def pushed() -> Pushed:
    return Pushed()


def test_named_blocks_are_taken(pushed: Pushed) -> None:
    names = tuple(block.hash for block in pushed.lacking)
    assert pushed.deliveries.take(ALICE, NOW) == names
    assert not pushed.deliveries.is_due(ALICE, NOW + PUSH_S - 1), "those first"
    pushed.push(*(block.raw for block in pushed.lacking))
    assert tuple(pushed.accepted) == names
    assert pushed.deliveries.is_due(ALICE, NOW)


def test_what_was_not_named_is_not_unpacked(pushed: Pushed) -> None:
    raw = pushed.lacking[0].raw
    assert pushed.on_blocks(raw) == []
    pushed.deliveries.take(BOB, NOW)
    assert pushed.on_blocks(raw) == []
    pushed.deliveries.take(ALICE, NOW)
    other = pushed.lab.blocks[0].raw
    pushed.push(other, b"", b"x", raw, raw)
    assert pushed.accepted == [pushed.lacking[0].hash]
    assert pushed.on_blocks(raw) == []
    pushed.deliveries.left(ALICE)
    assert pushed.on_blocks(pushed.lacking[1].raw) == []
    assert not pushed.punished


def test_a_block_that_is_broken_or_invalid_is_an_offence(pushed: Pushed) -> None:
    raw = pushed.lacking[0].raw
    pushed.deliveries.take(ALICE, NOW)
    pushed.push(raw + b"\x00")
    assert pushed.punished[0].startswith("sent a bad block")

    def invalid() -> None:
        raise Invalid(Reject.CB_AMOUNT)

    pushed.verdict = invalid
    pushed.push(pushed.lacking[1].raw)
    assert pushed.punished[1].startswith("sent an invalid block")


def test_only_so_many_are_unpacked_at_once(pushed: Pushed) -> None:
    jobs: list[Effect] = []
    for _ in range(JOBS_MAX + 1):
        pushed.deliveries.left(ALICE)
        pushed.deliveries.take(ALICE, NOW)
        jobs += pushed.on_blocks(pushed.lacking[0].raw)
    assert len(jobs) == JOBS_MAX
