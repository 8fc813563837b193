"""ZeroMQ notifications of a real node, read by real subscribers."""

import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from chain.block import Block
from chain.tx import Tx
from devnet.processes import environment
from node.notify.zmq_messages import HIGH_WATER_MARK, TOPICS
from tests.chainlab import funded, pay
from tests.functional.cluster import Cluster
from tests.ports import free_ports

StartCluster = Callable[..., Cluster]
WAIT_S = 20.0
COMMAND_S = 30.0

Message = tuple[str, str]
"""Topic and body in hex."""


class Subscriber:
    """A SUB socket that checks the numbers of messages."""

    def __init__(self, address: str, *topics: bytes) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        for topic in topics or (b"",):
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._socket.connect(address)
        self._next: dict[bytes, int] = {}

    def close(self) -> None:
        self._context.destroy()

    def hears(self, within_s: float = WAIT_S) -> bool:
        return bool(self._socket.poll(int(within_s * 1000)))

    def next(self) -> Message:
        assert self.hears(), "nothing has come"
        topic, body, number = self._socket.recv_multipart()
        assert topic in TOPICS
        [count] = struct.unpack("<I", number)
        assert count == self._next.setdefault(topic, count), topic
        self._next[topic] = count + 1
        return topic.decode(), body.hex()

    def take(self, count: int) -> list[Message]:
        return [self.next() for _ in range(count)]

    def until(self, last: Message) -> None:
        deadline = time.monotonic() + WAIT_S
        while self.next() != last:
            assert time.monotonic() < deadline


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    opened: list[Subscriber] = []

    def open_one(address: str, *topics: bytes) -> Subscriber:
        opened.append(Subscriber(address, *topics))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def display(hashed: bytes) -> str:
    return hashed[::-1].hex()


def of_txs(*txs: Tx) -> list[Message]:
    return [message for tx in txs for message in (("hashtx", display(tx.txid)), ("rawtx", tx.raw.hex()))]


def sequence(hashed: bytes, label: bytes, count: int | None = None) -> Message:
    tail = b"" if count is None else struct.pack("<Q", count)
    return "sequence", display(hashed) + (label + tail).hex()


def connected(block: Block, *, is_tip: bool = True) -> list[Message]:
    tip = [("hashblock", display(block.hash)), ("rawblock", block.raw.hex())] if is_tip else []
    return [*of_txs(*block.txs), sequence(block.hash, b"C"), *tip]


def disconnected(block: Block) -> list[Message]:
    return [*of_txs(*block.txs), sequence(block.hash, b"D")]


def test_what_bitcoin_core_would_tell(
    start_cluster: StartCluster, tmp_path: Path, subscribe: Callable[..., Subscriber]
) -> None:
    r"""
    ::

        base --- a1              with a payment that has replaced another
            \--- b1 --- b2       more work: the payment is back in the mempool
    """
    addresses = [f"tcp://127.0.0.1:{free_ports(1)}", f"ipc://{tmp_path}/zmq"]
    cluster = start_cluster(1, options=[[option for address in addresses for option in ("--zmq", address)]])

    def submit(block: Block) -> None:
        assert cluster.rpc(0, "submitblock", block.raw.hex()) in (None, "inconclusive")

    def mempool_sequence() -> int:
        return int(cluster.rpc(0, "getrawmempool", False, True)["mempool_sequence"])

    lab = funded()
    everybody = [subscribe(address) for address in addresses]
    tips = subscribe(addresses[0], b"hashblock")
    # Nothing tells when a subscription has arrived: as many blocks as it takes.
    blocks = iter(lab.blocks)
    while not all(subscriber.hears(0) for subscriber in (*everybody, tips)):
        submit(next(blocks))
    for block in blocks:
        submit(block)
    for subscriber in everybody:
        subscriber.until(("rawblock", lab.blocks[-1].raw.hex()))
    tips.until(("hashblock", display(lab.blocks[-1].hash)))

    assert mempool_sequence() == 1
    fork, coins = lab.copy(), lab.take()
    first, second = pay(coins, fee=1000), pay(coins, fee=5000)
    for tx in (first, second):
        cluster.rpc(0, "sendrawtransaction", tx.raw.hex())
    expected = [
        *of_txs(first),
        sequence(first.txid, b"A", 1),
        sequence(first.txid, b"R", 2),
        *of_txs(second),
        sequence(second.txid, b"A", 3),
    ]
    assert mempool_sequence() == 4
    a1 = lab.mine([second])
    b1, b2 = fork.mine(extra_nonce=9), fork.mine()
    submit(a1)
    expected += connected(a1)
    assert mempool_sequence() == 5, "what a block takes counts too"
    submit(b1)
    submit(b2)
    expected += [
        *disconnected(a1),
        *of_txs(second),
        sequence(second.txid, b"A", 5),
        *connected(b1, is_tip=False),
        *connected(b2),
    ]
    for subscriber in everybody:
        assert subscriber.take(len(expected)) == expected
    assert tips.take(2) == [("hashblock", display(block.hash)) for block in (a1, b2)]
    assert mempool_sequence() == 6

    cluster.rpc(0, "invalidateblock", display(b2.hash))  # of equals the first seen is followed
    expected = [*disconnected(b2), *disconnected(b1), *connected(a1)]
    for subscriber in everybody:
        assert subscriber.take(len(expected)) == expected
    assert tips.next() == ("hashblock", display(a1.hash))
    cluster.rpc(0, "invalidateblock", display(a1.hash))
    cluster.rpc(0, "invalidateblock", display(b1.hash))
    expected = [*disconnected(a1), *of_txs(second), sequence(second.txid, b"A", 7), *connected(b1), *disconnected(b1)]
    for subscriber in everybody:
        assert subscriber.take(len(expected)) == expected
    assert tips.next() == ("hashblock", display(b1.hash))
    assert cluster.rpc(0, "getzmqnotifications") == [
        {"type": f"pub{topic.decode()}", "address": address, "hwm": HIGH_WATER_MARK}
        for topic in TOPICS
        for address in addresses
    ]
    assert not any(subscriber.hears(0.2) for subscriber in (*everybody, tips)), "a step back is no new tip"
    assert cluster.stop(0) == 0


def groatd(tmp_path: Path, *options: str, without: str = "") -> tuple[int, str]:
    """Exit status and the error's line, of a node that is not to start. `without` is a module that is missing."""
    code = f"import sys; sys.modules[{without!r}] = None; from node.__main__ import main; main()"
    base = free_ports(2)
    ports = ["--api", f"127.0.0.1:{base}", "--p2p", f"127.0.0.1:{base + 1}"]
    ended = subprocess.run(
        [sys.executable, "-c", code, "--datadir", str(tmp_path / "data"), *ports, *options],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env=environment(),
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.strip().split("\n")[-1]


def test_without_its_library(tmp_path: Path) -> None:
    for more in ((), ("--check",)):
        status, line = groatd(tmp_path, "--zmq", "tcp://127.0.0.1:28332", *more, without="zmq")
        assert status == 1
        assert line == f"groatd: --zmq needs pyzmq: install it with `{sys.executable} -m pip install pyzmq`"
    assert not (tmp_path / "data").exists()


def test_an_address_in_use(tmp_path: Path) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    try:
        status, line = groatd(tmp_path, "--zmq", f"tcp://127.0.0.1:{port}")
    finally:
        context.destroy(0)
    assert status == 1
    assert line == f"groatd: --zmq: cannot publish at tcp://127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:28332", "ipc:///no/such/folder/zmq"])
def test_an_address_that_cannot_be_had(tmp_path: Path, address: str) -> None:
    status, line = groatd(tmp_path, "--zmq", address)
    assert status == 1
    assert line.startswith(f"groatd: --zmq: cannot publish at {address}: ")
