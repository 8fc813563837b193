"""Attackers, as processes of their own: slow ones, and ones that send all they can.

python -m tests.functional.siege slow PORT SOCKETS PATH
python -m tests.functional.siege flood PORT RATE KIND NETWORK_ID

Each works until its standard input closes, and prints one line of figures then. `Attack` starts one.
Floods come from addresses in 127.0.0.0/8 other than 127.0.0.1.
"""

import contextlib
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from typing import Any

from chain.hashes import BlockHash
from chain.keys import default_engine
from node.interface.endpoint import Endpoint
from node.interface.messages import (
    PROTOCOL_VERSION,
    Confirm,
    Facts,
    GetAddresses,
    GetBlocks,
    GetHeaders,
    Hello,
    Message,
    Ok,
    Reply,
    Request,
    Welcome,
)
from node.p2p.connections.identity import HandshakeSide, NodeIdentity, handshake_digest, peer_id
from node.p2p.wire.codec import ROUTES, SESSION_HEADER, decode_reply, encode, route_name
from node.runtime.http_client import Client
from node.workers.child_process import ROOT

DRIP_S = 5.0
"""Between two bytes of a slow client."""
PER_TURN_S = 0.005
"""Between two looks at what a flood has to send."""
CONNECTIONS = 32
"""Of one flooder."""
ADDRESSES = 8
"""That they come from."""
AHEAD = 8
"""Requests sent on a connection before their answers."""
ANSWER_S = 30.0
END_S = 20.0
NO_ID = BlockHash(bytes(32))


class Attack:
    """One attacking process; ends with the block."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.siege", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.figures: dict[str, float] = {}

    def __enter__(self) -> "Attack":
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        try:
            out, _ = self._process.communicate(timeout=END_S)
            self.figures = json.loads(out)
        finally:
            self._process.kill()
            self._process.wait()


class Guest:
    """Greets a node as a peer does, and asks it."""

    def __init__(self, where: Endpoint, number: int, network_id: bytes) -> None:
        self._where, self._client, self.token = where, Client(), b""
        rng = random.Random(number)
        self._identity = NodeIdentity(rng.randbytes(32), default_engine(), rng)
        key = self._identity.public_key
        facts = Facts(PROTOCOL_VERSION, key, network_id, rng.randbytes(8), None, 0, "guest", 0, 0, NO_ID)
        self.hello = Hello(facts, rng.randbytes(32))

    def greet(self) -> "Guest":
        """Open a session."""
        welcome = self.ask(self.hello)
        assert isinstance(welcome, Welcome), welcome
        ids, challenges = (
            (self._identity.id, peer_id(welcome.facts.public_key)),
            (
                self.hello.challenge,
                welcome.challenge,
            ),
        )
        digest = handshake_digest(self.hello.facts.network_id, HandshakeSide.DIALLER, ids, challenges)
        assert self.ask(Confirm(welcome.token, self._identity.prove(digest))) == Ok()
        self.token = welcome.token
        return self

    def ask(self, request: Request) -> Reply:
        """One request, and what it brings."""
        name = route_name(request)
        session = {SESSION_HEADER: self.token.hex()} if self.token else {}
        received = self._client.post(
            self._where, f"/p2p/{name}", encode(request), session, ANSWER_S, ROUTES[name].reply_max
        )
        return decode_reply(name, received.body)

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def http(message: Message, name: str, token: bytes = b"") -> bytes:
    """A request as bytes."""
    body = encode(message)
    session = f"{SESSION_HEADER}: {token.hex()}\r\n" if token else ""
    head = f"POST /p2p/{name} HTTP/1.1\r\nHost: x\r\n{session}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def requests_of(kind: str, port: int, network_id: bytes) -> list[bytes]:
    """What a flood of this kind sends, in turn."""
    if kind == "session":  # what a peer may send, and far too much of it
        guest = Guest(Endpoint("127.0.0.1", port), os.getpid(), network_id).greet()
        guest.close()
        asked: tuple[Request, ...] = (GetHeaders((NO_ID,)), GetAddresses(), GetBlocks((NO_ID,)))
        return [http(request, route_name(request), guest.token) for request in asked]
    if kind == "hello":
        guest = Guest(Endpoint("127.0.0.1", port), os.getpid(), network_id)
        return [http(guest.hello, "hello")]
    if kind == "plain":
        return [http(GetBlocks((NO_ID,)), "blocks")]
    if kind == "api":
        return [b"GET /blocks/tip/height HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    if kind == "blocks":
        return [b"GET /api/blocks HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    if kind == "nothing":
        return [
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n0000",
        ]
    return [
        http(GetBlocks((NO_ID,)), "blocks"),
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /p2p/txs HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000),
    ]


class Flood:
    """Sends at a given rate, whatever comes back."""

    def __init__(self, port: int, rate: float, requests: list[bytes]) -> None:
        self._port, self._rate, self._requests = port, rate, requests
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, int] = {}
        """Requests sent on each since it last brought something."""
        self.offered = self.refused = self.connected = self.answers = 0
        self._number = 0

    def run(self) -> None:
        """Until standard input closes."""
        start = time.monotonic()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(PER_TURN_S):
                if key.fileobj is sys.stdin:
                    return
                self._read(key.fileobj)  # type: ignore[arg-type]
            due = min(2_000, int((time.monotonic() - start) * self._rate) - self.offered)
            for _ in range(due):
                self._send()

    def _send(self) -> None:
        self.offered += 1
        while len(self._open) < CONNECTIONS:
            if not self._connect():
                return
        self._number += 1
        sockets = list(self._open)
        chosen = sockets[self._number % len(sockets)]
        if self._open[chosen] >= AHEAD:
            return
        try:
            chosen.send(self._requests[self._number % len(self._requests)])
            self._open[chosen] += 1
        except BlockingIOError:
            pass
        except OSError:
            self._drop(chosen)

    def _connect(self) -> bool:
        client = socket.socket()
        try:
            client.bind((f"127.0.{1 + os.getpid() % 200}.{2 + self.connected % ADDRESSES}", 0))
            client.settimeout(1.0)
            client.connect(("127.0.0.1", self._port))
        except OSError:
            client.close()
            self.refused += 1
            return False
        client.setblocking(False)
        self.connected += 1
        self._open[client] = 0
        self._selector.register(client, selectors.EVENT_READ)
        return True

    def _read(self, client: socket.socket) -> None:
        try:
            received = client.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._drop(client)
            return
        answers = received.count(b"HTTP/1.")
        self.answers += answers
        self._open[client] = max(0, self._open[client] - answers)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._open[client]
        client.close()


def slow(port: int, count: int, path: str) -> dict[str, Any]:
    """Half of the sockets drip a header, half a body; who is cut off comes back."""
    begun = (
        b"GET / HTTP/1.1\r\nX: ",
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 250\r\n\r\n" % path.encode(),
    )
    clients: list[socket.socket | None] = [None] * count
    came_back, turn = -count, 0
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        began = time.monotonic()
        for number in range(count):
            client = clients[number]
            with contextlib.suppress(BlockingIOError):
                try:
                    if client is not None:
                        client.send(b"x")
                        continue
                except BlockingIOError:
                    raise
                except OSError:
                    client.close()
                with contextlib.suppress(OSError):
                    client = socket.create_connection(("127.0.0.1", port), 10)
                    client.setblocking(False)
                    client.send(begun[number % 2])
                    clients[number] = client
                    came_back += 1
        turn += 1
        if turn == 1:
            print("ready", flush=True)
        if selector.select(max(0.0, began + DRIP_S - time.monotonic())):
            return {"came_back": came_back, "turns": turn}


def main(kind: str, port: str, *more: str) -> None:
    """Attack."""
    if kind == "slow":
        print(json.dumps(slow(int(port), int(more[0]), more[1])))
        return
    rate, what, network_id = float(more[0]), more[1], bytes.fromhex(more[2])
    flood = Flood(int(port), rate, requests_of(what, int(port), network_id))
    print("ready", flush=True)
    flood.run()
    figures = {name: getattr(flood, name) for name in ("offered", "refused", "connected", "answers")}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
