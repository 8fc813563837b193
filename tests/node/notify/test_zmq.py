"""The publisher beyond its limits: the core never waits for it, and subscribers learn of what is missing."""

import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from node.interface.effects import Publish
from node.interface.events import BLOCK, MEMPOOL_ADD, MEMPOOL_REMOVE, TxAdded, TxRemoved
from node.notify import zmq_publisher
from tests.chainlab import funded, pay

WAIT_MS = 20_000


class Stage:
    """A runtime as far as a publisher needs one: its thread begins when it is told to."""

    def __init__(self, publisher: zmq_publisher.Publisher) -> None:
        self.taps: list[Callable[[Publish], None]] = []
        self.over: list[Callable[[], None]] = []
        self.threads: list[threading.Thread] = []
        publisher.start(self)  # type: ignore[arg-type]

    @property
    def events(self) -> "Stage":
        return self

    def tap(self, take: Callable[[Publish], None]) -> None:
        self.taps.append(take)

    def subscribe(self, topic: str, listener: Callable[[], None]) -> None:
        self.over.append(listener)

    def spawn(self, name: str, body: Callable[[], None]) -> None:
        self.threads.append(threading.Thread(target=body, name=name))

    def pause(self, seconds: float) -> bool:
        return False

    def tell(self, topic: str, event: Any, about: Any = None) -> None:
        for tap in self.taps:
            tap(Publish(topic, (event,), about))


@pytest.fixture
def stage_and_subscriber(tmp_path: Any) -> Any:
    address = f"ipc://{tmp_path}/zmq"
    publisher = zmq_publisher.Publisher([address])
    stage = Stage(publisher)
    context = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    monitor = subscriber.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    subscriber.setsockopt(zmq.RCVTIMEO, WAIT_MS)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"")
    subscriber.connect(address)
    assert monitor.poll(WAIT_MS)
    yield stage, subscriber
    for listener in stage.over:
        listener()
    for thread in stage.threads:
        if thread.ident:
            thread.join(10)
            assert not thread.is_alive()
    subscriber.disable_monitor()
    monitor.close(0)
    context.destroy(0)
    publisher.close(0)


def numbers(subscriber: Any, count: int) -> list[tuple[str, int]]:
    told = []
    for _ in range(count):
        topic, _, number = subscriber.recv_multipart()
        told.append((topic.decode(), struct.unpack("<I", number)[0]))
    return told


@pytest.mark.parametrize("limit", ["QUEUE_MAX", "QUEUE_BYTES_MAX"])
def test_what_does_not_fit_is_missing_and_counted(
    monkeypatch: pytest.MonkeyPatch, stage_and_subscriber: Any, limit: str
) -> None:
    stage, subscriber = stage_and_subscriber
    payment = pay(funded().take(), fee=1000)
    added = TxAdded(payment.txid, 1000, 141, 1)
    monkeypatch.setattr(zmq_publisher, limit, 2 if limit == "QUEUE_MAX" else len(payment.raw))
    for _ in range(5):
        stage.tell(MEMPOOL_ADD, added, payment)
    stage.threads[0].start()
    told = numbers(subscriber, 6)
    # Two of five fit. The numbers of what is told begin behind those of the three that did not.
    assert told == [(topic, 3 + number) for number in (0, 1) for topic in ("hashtx", "rawtx", "sequence")]
    monkeypatch.undo()
    stage.tell(BLOCK, object())
    stage.tell(MEMPOOL_REMOVE, TxRemoved(payment.txid, "block", 2))
    stage.tell(MEMPOOL_REMOVE, TxRemoved(payment.txid, "expiry", 3))
    assert numbers(subscriber, 1) == [("sequence", 5)]
