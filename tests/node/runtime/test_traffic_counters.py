"""Bytes counted by many threads: none lost, by peer and by route, in bounded memory."""

import threading

from node.interface.endpoint import PeerId
from node.runtime.traffic_counters import NOTES_MAX, PEERS_MAX, TrafficCounters, Volume

ALICE, BOB = PeerId(b"a" * 20), PeerId(b"b" * 20)
TOKEN = b"t" * 16


def nobody(token: bytes) -> PeerId | None:
    return None


def test_by_peer_and_by_route() -> None:
    traffic = TrafficCounters()
    traffic.note(ALICE, "inv", 10, 1)
    traffic.note(TOKEN, "inv", 20, 2)
    traffic.note(BOB, "blocks", 40, 4)
    traffic.note(b"old token 123456", "blocks", 80, 8)
    traffic.note(None, "hello", 160, 16)
    assert traffic.of(ALICE) == Volume()
    traffic.settle({TOKEN: ALICE}.get)
    assert traffic.of(ALICE) == Volume(2, 30, 3)
    assert traffic.of(BOB) == Volume(1, 40, 4)
    assert traffic.routes() == {"inv": Volume(2, 30, 3), "blocks": Volume(2, 120, 12), "hello": Volume(1, 160, 16)}
    traffic.forget(ALICE)
    traffic.note(ALICE, "inv", 1, 1)
    traffic.settle(nobody)
    assert traffic.of(ALICE) == Volume(1, 1, 1)
    assert traffic.routes()["inv"] == Volume(3, 31, 4)


def test_no_note_of_any_thread_is_lost() -> None:
    traffic, each = TrafficCounters(), 2_000

    def work() -> None:
        for _ in range(each):
            traffic.note(ALICE, "inv", 3, 5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        traffic.settle(nobody)
    traffic.settle(nobody)
    assert traffic.of(ALICE) == Volume(8 * each, 24 * each, 40 * each)


def test_memory_is_bounded() -> None:
    traffic = TrafficCounters()
    for _ in range(NOTES_MAX + 100):
        traffic.note(None, "inv", 1, 1)
    traffic.settle(nobody)
    assert traffic.routes() == {"inv": Volume(NOTES_MAX, NOTES_MAX, NOTES_MAX)}
    for number in range(PEERS_MAX + 10):
        traffic.note(number.to_bytes(20, "big"), "inv", 1, 1)
    traffic.settle(nobody)
    known = [number for number in range(PEERS_MAX + 10) if traffic.of(PeerId(number.to_bytes(20, "big"))).messages]
    assert known == list(range(10, PEERS_MAX + 10))
