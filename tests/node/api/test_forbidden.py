"""Connections that nobody can make us open: by redirects, by names, by addresses that are told or advertised."""

import random
import socket
from collections.abc import Callable
from typing import Any

import pytest

from node.interface.effects import Answer, Dial, Failed, Step
from node.interface.endpoint import Endpoint
from node.interface.messages import Addresses, Announce, AnnounceAddress, Ok
from node.p2p.wire.codec import encode
from tests.node.api.desk import Desk, NoCarrier
from tests.node.api.http.test_gate import OPEN_SEA
from tests.node.api.test_p2p import ask, greet
from tests.node.processes import eventually
from tests.node.runtime.test_request_sender import FakePeer, World, bob, world

__all__ = ["bob", "world"]

FORBIDDEN = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.{n}.0.1", "172.16.{n}.1", "192.168.{n}.1", "169.254.169.{n}",
    "100.64.{n}.1", "224.0.0.{n}", "255.255.255.255", "240.0.0.{n}", "192.0.2.{n}", "198.18.{n}.1", "::1", "::",
    "fe80::{n}", "fc00::{n}", "ff02::{n}", "64:ff9b:1::{n}", "2002:7f00:1::{n}", "2001:db8::{n}",
)  # fmt: skip
"""Hosts; {n} counts."""
FORGED = tuple(
    Endpoint(host.format(n=n), port)
    for n, port in (
        (1, 80),
        (2, 6379),
        (3, 18443),
        (4, 22),
        (5, 443),
        (6, 1),
        (7, 65535),
        (8, 8333),
        (9, 25),
        (10, 11211),
    )
    for host in FORBIDDEN
)
HONEST = Endpoint("8.8.4.4", 8333)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_lead_nowhere(world: World, bob: FakePeer, status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        where = f"http://127.0.0.1:{trap.getsockname()[1]}/p2p/announce"
        bob.replies["announce"] = status, encode(Ok())
        bob.headers = (("Location", where),)
        world.send(bob, Announce(()))
        world.dial(bob.endpoint, Announce(()))
        for _, answer in world.await_answers(2):
            assert answer.message == Failed(f"status {status}")
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert len(bob.seen) == 2


def test_no_message_can_carry_a_name() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        encode(Addresses((Endpoint("evil.example", 80),)))


def test_what_is_dialled_is_what_was_checked(world: World, bob: FakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is connected to as it is: no name is looked up that could mean another one by then."""
    asked: list[Any] = []
    connected: list[Any] = []
    lookup, connect = socket.getaddrinfo, socket.socket.connect

    def watched_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return lookup(host, *args, **kwargs)

    def watched_connect(self: socket.socket, address: Any) -> None:
        connected.append(address)
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", watched_lookup)
    monkeypatch.setattr(socket.socket, "connect", watched_connect)
    bob.says("announce", Ok())
    world.dial(bob.endpoint, Announce(()))
    assert world.await_answers(1) == [(None, Answer(1, Ok()))]
    assert set(asked) <= {"127.0.0.1"}
    assert connected == [tuple(bob.endpoint)]


def test_forged_addresses_are_never_dialled(make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one honest address among them is. (For what greeters say of themselves see test_connection_manager.py.)"""
    dialled: list[Endpoint] = []

    def dial(self: NoCarrier, effect: Dial) -> Failed:
        dialled.append(effect.endpoint)
        return Failed("no network")

    monkeypatch.setattr(NoCarrier, "dial", dial)
    desk = make_desk(params=OPEN_SEA)
    assert len(FORGED) >= 200
    rng = random.Random(1)
    told = [*FORGED, HONEST]
    rng.shuffle(told)
    for group, start in enumerate(range(0, len(told), 8), 1):
        source, part = Endpoint(f"9.{group}.9.9", 1), told[start : start + 8]
        desk.runtime.call(lambda node, now, s=source, p=part: Step(node._peers.addrman.add(p, s, now)))
    token = greet(desk)
    assert ask(desk, AnnounceAddress(FORGED[:8]), token) == (200, Ok())
    eventually(lambda: HONEST in dialled, "the honest one to be dialled")
    assert set(dialled) == {HONEST}
