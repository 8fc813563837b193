"""Requests on their way to peers: lanes that do not wait for each other, bounds, and what comes back."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chain.hashes import BlockHash
from node.api.http.channel import Channel
from node.api.http.listener import Listener
from node.api.http.message import Request, Response
from node.api.http.site import Site
from node.interface.effects import Answer, Dial, Failed, Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import (
    Announce,
    Blocks,
    GetAddresses,
    GetBlocks,
    GetHeaders,
    GetTxs,
    Message,
    News,
    Ok,
    Poll,
    Reason,
    Refusal,
    Txs,
)
from node.p2p.wire.codec import encode
from node.runtime import request_queues
from node.runtime.request_sender import (
    BLOCKS_LANE_MAX,
    BLOCKS_THREADS,
    BULK_MAX,
    DIALS_MAX,
    POLLS_LANE_MAX,
    URGENT_MAX,
    HttpRequestSender,
)
from tests.node.processes import eventually

ALICE, BOB = PeerId(b"a" * 20), PeerId(b"b" * 20)
BLOCK, NO_BLOCK = GetBlocks((BlockHash(bytes(32)),)), Blocks((b"",))
BULK, NO_TXS = GetTxs(), Txs(())


class FakePeer:
    """A P2P listener whose answers the test decides, route by route."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, bytes]] = {}
        self.gates: dict[str, threading.Event] = {}
        self.headers: tuple[tuple[str, str], ...] = ()
        self.seen: list[tuple[str, str]] = []
        """(route, session token) of the requests, in order."""
        site = Site("p2p", self._app, lambda *_: 10_000_000, threads=8)
        self._listener = Listener(site, (Endpoint("127.0.0.1", 0),))
        self.endpoint = self._listener.endpoints[0]
        self._thread = threading.Thread(target=self._listener.run, daemon=True)
        self._thread.start()

    def _app(self, request: Request) -> Response:
        name = request.path.removeprefix("/p2p/")
        self.seen.append((name, request.header("GROAT_SESSION")))
        if name in self.gates:
            self.gates[name].wait(10)
        status, body = self.replies.get(name, (404, b"no"))
        return Response(status, body, "application/octet-stream", self.headers)

    @property
    def connections(self) -> list[Channel]:
        return list(self._listener.connections)

    def says(self, name: str, message: Message, status: int = 200) -> None:
        self.replies[name] = status, encode(message)

    def stop(self) -> None:
        for gate in self.gates.values():
            gate.set()
        self._listener.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


class World:
    """A courier, and what it delivered."""

    def __init__(self) -> None:
        self.delivered: list[tuple[PeerId | None, Answer]] = []
        self.now = 1000.0
        self.threads: list[threading.Thread] = []
        self.busy: threading.Event | None = None
        """Holds up who prepares a reply."""
        self.noted: list[tuple[PeerId | None, str, int, int]] = []
        self.courier = HttpRequestSender(self.prepare, self.deliver, self.spawn, lambda: self.now, self.note)
        self._number = 0

    def prepare(self, reply: Any) -> Any:
        if self.busy:
            self.busy.wait(10)
        return f"prepared {reply}" if isinstance(reply, Blocks) else reply

    def note(self, peer: PeerId | None, route: str, sent: int, received: int) -> None:
        self.noted.append((peer, route, sent, received))

    def deliver(self, peer: PeerId | None, answer: Answer) -> None:
        self.delivered.append((peer, answer))

    def spawn(self, name: str, body: Any) -> None:
        self.threads.append(threading.Thread(target=body, name=name, daemon=True))
        self.threads[-1].start()

    def send(self, to: FakePeer, message: Any, peer: PeerId = ALICE, timeout_s: float = 5) -> Failed | None:
        self._number += 1
        return self.courier.send(Send(Link(peer, to.endpoint, b"tok"), message, self._number, self.now + timeout_s))

    def dial(self, where: Endpoint, message: Any, timeout_s: float = 5) -> Failed | None:
        self._number += 1
        return self.courier.dial(Dial(where, message, self._number, self.now + timeout_s))

    def await_answers(self, count: int) -> list[tuple[PeerId | None, Answer]]:
        eventually(lambda: len(self.delivered) >= count, f"{count} answers")
        return self.delivered

    def stop(self) -> None:
        self.courier.close_all()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def bob() -> Iterator[FakePeer]:
    made = FakePeer()
    yield made
    made.stop()


@pytest.fixture
def world(bob: FakePeer) -> Iterator[World]:
    made = World()
    yield made
    for gate in bob.gates.values():
        gate.set()
    made.stop()


def test_brings_back_the_decoded_reply(world: World, bob: FakePeer) -> None:
    bob.says("announce", Ok())
    assert world.send(bob, Announce(())) is None
    assert world.await_answers(1) == [(ALICE, Answer(1, Ok()))]
    assert bob.seen == [("announce", b"tok".hex())]


def test_prepares_replies_before_the_core_has_them(world: World, bob: FakePeer) -> None:
    bob.says("blocks", NO_BLOCK)
    world.send(bob, BLOCK)
    assert world.await_answers(1) == [(ALICE, Answer(1, f"prepared {NO_BLOCK}"))]


def test_a_greeting_has_no_session(world: World, bob: FakePeer) -> None:
    bob.says("addresses", Refusal(Reason.SELF), 403)
    assert world.dial(bob.endpoint, GetAddresses()) is None
    assert world.await_answers(1) == [(None, Answer(1, Refusal(Reason.SELF)))]
    assert bob.seen == [("addresses", "")]


def test_nobody_there(world: World) -> None:
    world.dial(Endpoint("127.0.0.1", 1), GetAddresses())
    assert world.await_answers(1) == [(None, Answer(1, Failed("cannot connect")))]


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (401, encode(Refusal(Reason.NO_SESSION)), Refusal(Reason.NO_SESSION)),
        (200, encode(Refusal(Reason.BUSY)), Refusal(Reason.BUSY)),
        (503, b"come again", Failed("status 503")),
        (500, encode(Ok()), Failed("status 500")),
        (204, b"", Failed("status 204")),
    ],
)
def test_answers_with_a_status(
    world: World, bob: FakePeer, status: int, body: bytes, outcome: Refusal | Failed
) -> None:
    bob.replies["announce"] = status, body
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(1, outcome))]


@pytest.mark.parametrize("body", [b"", b"junk", encode(NO_BLOCK), encode(Ok()) + b"\x00"])
def test_what_breaks_the_protocol_is_an_offence(world: World, bob: FakePeer, body: bytes) -> None:
    bob.replies["announce"] = 200, body
    world.send(bob, Announce(()))
    [(_, answer)] = world.await_answers(1)
    assert isinstance(answer.message, Failed)
    assert answer.message.offence


def test_announcements_overtake_blocks_and_transactions(world: World, bob: FakePeer) -> None:
    bob.gates["blocks"] = bob.gates["gettxs"] = threading.Event()
    bob.says("blocks", NO_BLOCK)
    bob.says("gettxs", NO_TXS)
    bob.says("announce", Ok())
    for _ in range(3):
        world.send(bob, BLOCK)
        world.send(bob, BULK)
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(7, Ok()))]
    bob.gates["blocks"].set()
    assert sorted(answer.request_id for _, answer in world.await_answers(7)) == [1, 2, 3, 4, 5, 6, 7]


def test_transactions_do_not_wait_for_blocks_and_keep_their_order(world: World, bob: FakePeer) -> None:
    bob.gates["blocks"] = threading.Event()
    bob.says("blocks", NO_BLOCK)
    bob.says("gettxs", NO_TXS)
    for _ in range(BLOCKS_THREADS + 1):
        world.send(bob, BLOCK)
    for _ in range(5):
        world.send(bob, BULK)
    ids = [answer.request_id for _, answer in world.await_answers(5)]
    assert ids == list(range(BLOCKS_THREADS + 2, BLOCKS_THREADS + 7))


def test_the_next_blocks_travel_while_the_last_are_worked_on(world: World, bob: FakePeer) -> None:
    """While the first answer is being prepared, the next request is under way; not all of them."""
    bob.says("blocks", NO_BLOCK)
    busy = world.busy = threading.Event()
    for _ in range(6):
        world.send(bob, BLOCK)
    eventually(lambda: len(bob.seen) == BLOCKS_THREADS > 1, "the next request came")
    time.sleep(0.05)
    assert len(bob.seen) == BLOCKS_THREADS
    assert not world.delivered
    busy.set()
    world.await_answers(6)


def test_a_peer_that_does_not_answer_holds_up_nobody_else(world: World, bob: FakePeer) -> None:
    bob.gates["headers"] = threading.Event()
    bob.says("announce", Ok())
    world.send(bob, GetHeaders((BlockHash(bytes(32)),)), ALICE)
    eventually(lambda: bool(bob.seen), "the request is under way")
    world.send(bob, Announce(()), BOB)
    assert world.await_answers(1) == [(BOB, Answer(2, Ok()))]


@pytest.mark.parametrize(
    ("message", "name", "threads", "most"),
    [
        (Announce(()), "announce", 1, URGENT_MAX),
        (BLOCK, "blocks", BLOCKS_THREADS, BLOCKS_LANE_MAX),
        (BULK, "gettxs", 1, BULK_MAX),
    ],
)
def test_lanes_are_bounded(world: World, bob: FakePeer, message: Message, name: str, threads: int, most: int) -> None:
    bob.gates[name] = threading.Event()
    bob.says(name, {"announce": Ok(), "blocks": NO_BLOCK, "gettxs": NO_TXS}[name])
    for _ in range(threads):
        world.send(bob, message)
    eventually(lambda: len(bob.seen) == threads, "the first are under way")
    assert [world.send(bob, message) for _ in range(most)] == [None] * most
    assert world.send(bob, message) == Failed("too many requests wait for this peer")
    assert world.send(bob, message, BOB) is None


def test_greetings_are_bounded(world: World, bob: FakePeer) -> None:
    bob.gates["addresses"] = threading.Event()
    refused = [world.dial(bob.endpoint, GetAddresses()) for _ in range(DIALS_MAX + 20)]
    assert refused.count(None) < DIALS_MAX + 10
    assert refused[-1] == Failed("too many greetings wait")


def test_what_waited_too_long_is_not_sent(world: World, bob: FakePeer) -> None:
    bob.gates["gettxs"] = threading.Event()
    bob.says("gettxs", NO_TXS)
    world.send(bob, BULK, timeout_s=60)
    eventually(lambda: bool(bob.seen), "the first is under way")
    world.send(bob, BULK, timeout_s=5)
    world.now += 6
    bob.gates["gettxs"].set()
    assert world.await_answers(2)[1] == (ALICE, Answer(2, Failed("timed out in the queue")))
    assert len(bob.seen) == 1


def test_close_forgets_what_waits_and_ends_the_threads(world: World, bob: FakePeer) -> None:
    bob.gates["gettxs"] = threading.Event()
    bob.says("gettxs", NO_TXS)
    for _ in range(5):
        world.send(bob, BULK)
    eventually(lambda: bool(bob.seen), "the first is under way")
    world.courier.close(ALICE)
    bob.gates["gettxs"].set()
    for thread in world.threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [answer.request_id for _, answer in world.delivered] == [1]
    assert len(bob.seen) == 1
    world.courier.close(ALICE)
    world.send(bob, BULK)
    assert world.await_answers(2)[1][1].request_id == 6


def test_threads_end_where_nothing_is_sent_and_their_connections_stay(
    world: World, bob: FakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_queues, "IDLE_S", 0.05)
    bob.says("announce", Ok())
    for count in range(1, 4):
        world.send(bob, Announce(()))
        world.await_answers(count)
        eventually(lambda: not any(thread.is_alive() for thread in world.threads), "they end")
    assert len(world.threads) == 3
    assert len(bob.connections) == 1
    world.courier.close(ALICE)
    eventually(lambda: not bob.connections, "it hangs up")


def test_nothing_is_lost_while_threads_come_and_go(
    world: World, bob: FakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_queues, "IDLE_S", 0.001)
    bob.says("blocks", NO_BLOCK)
    for count in range(1, 101):
        world.send(bob, BLOCK)
        world.await_answers(count)
    assert len(bob.connections) <= BLOCKS_THREADS


def test_time_left_is_the_requests_deadline(world: World, bob: FakePeer) -> None:
    bob.gates["blocks"] = threading.Event()
    start = time.monotonic()
    world.send(bob, BLOCK, timeout_s=0.3)
    assert world.await_answers(1) == [(ALICE, Answer(1, Failed("timed out")))]
    assert time.monotonic() - start < 5


def test_nothing_waits_behind_a_poll(world: World, bob: FakePeer) -> None:
    bob.gates["poll"] = threading.Event()
    bob.says("poll", News((), ()))
    bob.says("announce", Ok())
    bob.says("gettxs", NO_TXS)
    bob.says("blocks", NO_BLOCK)
    world.send(bob, Poll(1, 0), timeout_s=35)
    eventually(lambda: bool(bob.seen), "the poll is under way")
    for message in (Announce(()), BULK, BLOCK):
        world.send(bob, message)
    assert sorted(answer.request_id for _, answer in world.await_answers(3)) == [2, 3, 4]
    bob.gates["poll"].set()
    assert world.await_answers(4)[3] == (ALICE, Answer(1, News((), ())))


def test_polls_that_wait_are_bounded(world: World, bob: FakePeer) -> None:
    bob.gates["poll"] = threading.Event()
    bob.says("poll", News((), ()))
    world.send(bob, Poll(1, 0))
    eventually(lambda: bool(bob.seen), "the poll is under way")
    sent = [world.send(bob, Poll(number, 0)) for number in range(2, POLLS_LANE_MAX + 3)]
    assert sent == [None] * POLLS_LANE_MAX + [Failed("too many requests wait for this peer")]


def test_counts_bodies(world: World, bob: FakePeer) -> None:
    bob.says("gettxs", NO_TXS)
    bob.replies["announce"] = 503, b"come again"
    world.send(bob, BULK)
    world.send(bob, Announce(()), BOB)
    world.dial(Endpoint("127.0.0.1", 1), GetAddresses())
    world.await_answers(3)
    assert sorted(world.noted, key=str) == [
        (None, "addresses", len(encode(GetAddresses())), 0),
        (ALICE, "gettxs", len(encode(BULK)), len(encode(NO_TXS))),
        (BOB, "announce", len(encode(Announce(()))), len(b"come again")),
    ]


def test_who_is_told_to_wait_waits(world: World, bob: FakePeer) -> None:
    """By that route only; the peer is asked again when the time is over."""
    bob.replies["announce"] = 429, b"too much of this: come again in 7 s"
    bob.headers = (("Retry-After", "7"),)
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(1, Failed("told to wait", retry_s=7)))]
    world.now += 5
    world.send(bob, Announce(()))
    assert world.await_answers(2)[1] == (ALICE, Answer(2, Failed("told to wait", retry_s=2)))
    bob.says("blocks", NO_BLOCK)
    world.send(bob, BLOCK)
    assert world.await_answers(3)[2] == (ALICE, Answer(3, f"prepared {NO_BLOCK}"))
    world.now += 2
    bob.says("announce", Ok())
    world.send(bob, Announce(()))
    assert world.await_answers(4)[3] == (ALICE, Answer(4, Ok()))
    assert [name for name, _ in bob.seen] == ["announce", "blocks", "announce"]


@pytest.mark.parametrize(("said", "kept"), [("0", 1), ("-5", 1), ("x", 1), ("", 1), ("61", 60), ("9" * 5000, 1)])
def test_nobody_is_sent_away_for_long(world: World, bob: FakePeer, said: str, kept: int) -> None:
    bob.replies["announce"] = 429, b""
    bob.headers = (("Retry-After", said),)
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(1, Failed("told to wait", retry_s=kept)))]
