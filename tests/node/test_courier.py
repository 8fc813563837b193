"""Requests on their way to peers: lanes that do not wait for each other, bounds, and what comes back."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chain.hashes import BlockHash
from node.api.serve import Listener, Site
from node.courier import BULK_MAX, DIALS_MAX, URGENT_MAX, Courier
from node.peers.messages import (
    Announce,
    GetAddresses,
    GetBlock,
    GetHeaders,
    Message,
    NotFound,
    Ok,
    Reason,
    Refusal,
)
from node.peers.protocol import encode
from node.ports import Answer, Dial, Endpoint, Failed, Link, PeerId, Send
from tests.node.processes import eventually

ALICE, BOB = PeerId(b"a" * 20), PeerId(b"b" * 20)
BLOCK = GetBlock(BlockHash(bytes(32)))


class FakePeer:
    """A P2P listener whose answers the test decides, route by route."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[str, bytes]] = {}
        self.gates: dict[str, threading.Event] = {}
        self.seen: list[tuple[str, str]] = []
        """(route, session token) of the requests, in order."""
        site = Site("p2p", self._app, lambda *_: 10_000_000, threads=8)
        self._listener = Listener(site, (Endpoint("127.0.0.1", 0),))
        self.endpoint = self._listener.endpoints[0]
        self._thread = threading.Thread(target=self._listener.run, daemon=True)
        self._thread.start()

    def _app(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["PATH_INFO"].removeprefix("/p2p/")
        environ["wsgi.input"].read()
        self.seen.append((name, environ.get("HTTP_GROAT_SESSION", "")))
        if name in self.gates:
            self.gates[name].wait(10)
        status, body = self.replies.get(name, ("404 Not Found", b"no"))
        start_response(status, [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
        return [body]

    def says(self, name: str, message: Message, status: str = "200 OK") -> None:
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
        self.courier = Courier(self.prepare, self.deliver, self.spawn, lambda: self.now)
        self._number = 0

    def prepare(self, reply: Any) -> Any:
        return f"prepared {reply}" if isinstance(reply, NotFound) else reply

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
    bob.says("block", NotFound())
    world.send(bob, BLOCK)
    assert world.await_answers(1) == [(ALICE, Answer(1, f"prepared {NotFound()}"))]


def test_a_greeting_has_no_session(world: World, bob: FakePeer) -> None:
    bob.says("addresses", Refusal(Reason.SELF), "403 Forbidden")
    assert world.dial(bob.endpoint, GetAddresses()) is None
    assert world.await_answers(1) == [(None, Answer(1, Refusal(Reason.SELF)))]
    assert bob.seen == [("addresses", "")]


def test_nobody_there(world: World) -> None:
    world.dial(Endpoint("127.0.0.1", 1), GetAddresses())
    assert world.await_answers(1) == [(None, Answer(1, Failed("cannot connect")))]


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        ("401 Unauthorized", encode(Refusal(Reason.NO_SESSION)), Refusal(Reason.NO_SESSION)),
        ("200 OK", encode(Refusal(Reason.BUSY)), Refusal(Reason.BUSY)),
        ("503 Busy", b"come again", Failed("status 503")),
        ("500 Oops", encode(Ok()), Failed("status 500")),
        ("204 No Content", b"", Failed("status 204")),
    ],
)
def test_answers_with_a_status(
    world: World, bob: FakePeer, status: str, body: bytes, outcome: Refusal | Failed
) -> None:
    bob.replies["announce"] = status, body
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(1, outcome))]


@pytest.mark.parametrize("body", [b"", b"junk", encode(NotFound()), encode(Ok()) + b"\x00"])
def test_what_breaks_the_protocol_is_an_offence(world: World, bob: FakePeer, body: bytes) -> None:
    bob.replies["announce"] = "200 OK", body
    world.send(bob, Announce(()))
    [(_, answer)] = world.await_answers(1)
    assert isinstance(answer.message, Failed)
    assert answer.message.offence


def test_announcements_overtake_blocks(world: World, bob: FakePeer) -> None:
    bob.gates["block"] = threading.Event()
    bob.says("block", NotFound())
    bob.says("announce", Ok())
    for _ in range(3):
        world.send(bob, BLOCK)
    world.send(bob, Announce(()))
    assert world.await_answers(1) == [(ALICE, Answer(4, Ok()))]
    bob.gates["block"].set()
    assert [answer.request_id for _, answer in world.await_answers(4)] == [4, 1, 2, 3]


def test_a_peer_that_does_not_answer_holds_up_nobody_else(world: World, bob: FakePeer) -> None:
    bob.gates["headers"] = threading.Event()
    bob.says("announce", Ok())
    world.send(bob, GetHeaders((BlockHash(bytes(32)),)), ALICE)
    eventually(lambda: bool(bob.seen), "the request is under way")
    world.send(bob, Announce(()), BOB)
    assert world.await_answers(1) == [(BOB, Answer(2, Ok()))]


@pytest.mark.parametrize(
    ("message", "name", "most"), [(Announce(()), "announce", URGENT_MAX), (BLOCK, "block", BULK_MAX)]
)
def test_lanes_are_bounded(world: World, bob: FakePeer, message: Message, name: str, most: int) -> None:
    bob.gates[name] = threading.Event()
    bob.says(name, NotFound() if message is BLOCK else Ok())
    world.send(bob, message)
    eventually(lambda: bool(bob.seen), "the first is under way")
    assert [world.send(bob, message) for _ in range(most)] == [None] * most
    assert world.send(bob, message) == Failed("too many requests wait for this peer")
    assert world.send(bob, message, BOB) is None


def test_greetings_are_bounded(world: World, bob: FakePeer) -> None:
    bob.gates["addresses"] = threading.Event()
    refused = [world.dial(bob.endpoint, GetAddresses()) for _ in range(DIALS_MAX + 20)]
    assert refused.count(None) < DIALS_MAX + 10
    assert refused[-1] == Failed("too many greetings wait")


def test_what_waited_too_long_is_not_sent(world: World, bob: FakePeer) -> None:
    bob.gates["block"] = threading.Event()
    bob.says("block", NotFound())
    world.send(bob, BLOCK, timeout_s=60)
    eventually(lambda: bool(bob.seen), "the first is under way")
    world.send(bob, BLOCK, timeout_s=5)
    world.now += 6
    bob.gates["block"].set()
    assert world.await_answers(2)[1] == (ALICE, Answer(2, Failed("timed out in the queue")))
    assert len(bob.seen) == 1


def test_close_forgets_what_waits_and_ends_the_threads(world: World, bob: FakePeer) -> None:
    bob.gates["block"] = threading.Event()
    bob.says("block", NotFound())
    for _ in range(5):
        world.send(bob, BLOCK)
    eventually(lambda: bool(bob.seen), "the first is under way")
    world.courier.close(ALICE)
    bob.gates["block"].set()
    for thread in world.threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [answer.request_id for _, answer in world.delivered] == [1]
    assert len(bob.seen) == 1
    world.courier.close(ALICE)
    world.send(bob, BLOCK)
    assert world.await_answers(2)[1][1].request_id == 6


def test_time_left_is_the_requests_deadline(world: World, bob: FakePeer) -> None:
    bob.gates["block"] = threading.Event()
    start = time.monotonic()
    world.send(bob, BLOCK, timeout_s=0.3)
    assert world.await_answers(1) == [(ALICE, Answer(1, Failed("timed out")))]
    assert time.monotonic() - start < 5
