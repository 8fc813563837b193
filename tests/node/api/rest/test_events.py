"""`GET /v1/events`: what is told, in which order, to whom, and what followers cost."""

import contextlib
import http.client
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import active_count
from typing import Any

import pytest

from chain.block import Block
from node.api.http import streaming
from node.api.http.channel import ChannelState
from node.api.services import event_feed
from tests.chainlab import Lab, pay
from tests.node.api.desk import Desk
from tests.node.api.stage import watch_later
from tests.sse import WAIT_S, Follower, Told

Follow = Callable[..., Follower]
CHAIN = "?topics=tip,reorg,block,block_disconnected,block_stored"
TOPICS = "tip, reorg, block, block_disconnected, block_stored, mempool_add, mempool_remove"
UNKNOWN_TOPIC = f"Unknown topic; there are {TOPICS}"


@pytest.fixture
def follow(desk: Desk) -> Iterator[Follow]:
    """`follow(query, **headers)` opens a stream of `desk` that is closed with the test."""
    with contextlib.ExitStack() as stack:

        def open_stream(query: str = "", **headers: str) -> Follower:
            follower = Follower(desk.port, f"/v1/events{query}", **headers)
            stack.callback(follower.close)
            return follower

        yield open_stream


def display(block: Block) -> str:
    return block.hash[::-1].hex()


def block_event(block: Block, height: int, topic: str = "block") -> tuple[str, Any]:
    fields = {
        "hash": display(block),
        "height": height,
        "previousblockhash": block.header.prev_hash[::-1].hex(),
        "time": block.header.time,
    }
    return topic, fields


def tip_event(block: Block, height: int, mempool_count: int = 0) -> tuple[str, Any]:
    _, fields = block_event(block, height)
    return "tip", {**fields, "tx_count": len(block.txs), "mempool_count": mempool_count}


def place(block: Block, height: int) -> dict[str, Any]:
    return {"hash": display(block), "height": height}


def contents(told: list[Told]) -> list[tuple[str, Any]]:
    """Without the ids, which count up by one: that is checked."""
    assert [event.id for event in told] == list(range(told[0].id, told[0].id + len(told)))
    return [(event.topic, event.data) for event in told]


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def followers(desk: Desk) -> int:
    return len(desk.api.followers)


# what is told


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_head_of_the_answer(desk: Desk, prefix: str) -> None:
    follower = Follower(desk.port, f"{prefix}/v1/events")
    headers = {name.lower(): text for name, text in follower.reply.getheaders()}
    del headers["date"]
    assert headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
        "transfer-encoding": "chunked",
        "connection": "close",
    }
    follower.close()


def test_a_payment_and_its_block(desk: Desk, lab: Lab, follow: Follow) -> None:
    follower = follow()
    payment = pay(lab.take(), fee=1000)
    txid = payment.txid[::-1].hex()
    desk.pool(payment)
    block = lab.mine([payment])
    desk.give([block])
    vsize = (payment.weight + 3) // 4
    assert contents(follower.take(5)) == [
        ("mempool_add", {"txid": txid, "fee": 1000, "vsize": vsize, "fee_rate": round(1000 / vsize, 3)}),
        block_event(block, lab.height, "block_stored"),
        block_event(block, lab.height),
        ("mempool_remove", {"txid": txid, "reason": "block"}),
        tip_event(block, lab.height),
    ]


def test_who_counts_blocks_counts_each_once(desk: Desk, lab: Lab, follow: Follow) -> None:
    follower = follow()
    blocks = [lab.mine() for _ in range(5)]
    desk.give(blocks)
    told = Counter((event.topic, event.data["hash"]) for event in follower.take(15))
    assert told == Counter((topic, display(block)) for block in blocks for topic in ("block_stored", "block", "tip"))


def test_a_reorganisation(desk: Desk, lab: Lab, follow: Follow) -> None:
    r"""
    ::

        base --- a1 --- a2            followed first; a1 has a payment
            \--- b1 --- b2 --- b3     more work
    """
    base, other = lab.height, lab.copy()
    payment = pay(lab.take(), fee=1000)
    a = [lab.mine([payment]), lab.mine()]
    b = [other.mine(extra_nonce=9), other.mine(), other.mine()]
    desk.give(a)
    follower = follow()
    desk.give(b)
    told = contents(follower.take(11))
    vsize = (payment.weight + 3) // 4
    fee = {"fee": 1000, "vsize": vsize, "fee_rate": round(1000 / vsize, 3)}
    assert told == [
        block_event(b[0], base + 1, "block_stored"),
        block_event(b[1], base + 2, "block_stored"),
        block_event(b[2], base + 3, "block_stored"),
        (
            "reorg",
            {
                "depth": 2,
                "fork": {"hash": a[0].header.prev_hash[::-1].hex(), "height": base},
                "old_tip": place(a[1], base + 2),
                "new_tip": place(b[2], base + 3),
            },
        ),
        block_event(a[1], base + 2, "block_disconnected"),
        block_event(a[0], base + 1, "block_disconnected"),
        block_event(b[0], base + 1),
        block_event(b[1], base + 2),
        block_event(b[2], base + 3),
        ("mempool_add", {"txid": payment.txid[::-1].hex(), **fee}),
        tip_event(b[2], base + 3, mempool_count=1),
    ]


def test_a_block_that_is_ruled_out(desk: Desk, lab: Lab, follow: Follow) -> None:
    """The tip moves back: no block joins, and the new tip's are counted all the same."""
    payment = pay(lab.take(), fee=1000)
    blocks = [lab.mine([payment]), lab.mine()]
    desk.give(blocks)
    follower = follow(CHAIN)
    desk.rpc("invalidateblock", display(blocks[1]))
    assert [(event.topic, event.data) for event in follower.take(3)] == [
        (
            "reorg",
            {
                "depth": 1,
                "fork": place(blocks[0], lab.height - 1),
                "old_tip": place(blocks[1], lab.height),
                "new_tip": place(blocks[0], lab.height - 1),
            },
        ),
        block_event(blocks[1], lab.height, "block_disconnected"),
        tip_event(blocks[0], lab.height - 1),
    ]
    desk.rpc("invalidateblock", desk.rpc("getblockhash", 1))
    assert follower.until(lambda event: event.topic == "tip")[-1].data["tx_count"] == 1, "genesis"


def test_a_payment_that_is_replaced(desk: Desk, lab: Lab, follow: Follow) -> None:
    follower = follow("?topics=mempool_remove")
    coins = lab.take()
    first, second = pay(coins, fee=1000), pay(coins, fee=5000)
    desk.pool(first, second)
    assert follower.next()[1:] == ("mempool_remove", {"txid": first.txid[::-1].hex(), "reason": "replaced"})


def test_an_invalid_block_is_told_of_too(desk: Desk, lab: Lab, follow: Follow) -> None:
    """Its body is stored before anybody knows: what submitting it leaves to tell is told with the next step."""
    follower = follow(CHAIN)
    [coin] = lab.take()
    block = lab.candidate([pay([coin], fee=1000), pay([coin], fee=2000)])  # the coin twice
    with pytest.raises(Exception, match="bad-txns-inputs-missingorspent"):
        desk.give([block])
    assert follower.next()[1:] == block_event(block, lab.height + 1, "block_stored")


# who is told what


def test_topics_are_chosen(desk: Desk, lab: Lab, follow: Follow) -> None:
    tips, payments = follow("?topics=tip"), follow("?topics=mempool_add,mempool_remove")
    payment = pay(lab.take(), fee=1000)
    desk.pool(payment)
    block = lab.mine([payment])
    desk.give([block])
    assert tips.next()[1:] == tip_event(block, lab.height)
    assert [event.topic for event in payments.take(2)] == ["mempool_add", "mempool_remove"]


@pytest.mark.parametrize("topics", ["", "x", "tip,", "TIP", "tip,x", "tip%20", "missed", "tip;block"])
def test_other_topics_are_refused(desk: Desk, topics: str) -> None:
    reply = desk.get(f"/v1/events?topics={topics}")
    assert (reply.status, reply.text, reply.type) == (400, UNKNOWN_TOPIC, "text/plain")


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "1" * 40, "0x1"])
def test_an_id_that_is_none_is_refused(desk: Desk, given: str) -> None:
    reply = desk.get("/v1/events", last_event_id=given)
    assert (reply.status, reply.text) == (400, "Invalid Last-Event-ID")


def test_who_comes_back_gets_what_was_missed(desk: Desk, lab: Lab, follow: Follow) -> None:
    gone = follow()
    desk.give([lab.mine()])
    seen = gone.take(3)
    gone.close()
    blocks = [lab.mine(), lab.mine()]
    desk.give(blocks)
    back = follow("?topics=tip", last_event_id=str(seen[-1].id))
    desk.give([lab.mine()])
    told = back.take(3)
    assert [event.data["height"] for event in told] == [lab.height - 2, lab.height - 1, lab.height]
    assert [event.id - seen[-1].id for event in told] == [3, 6, 9]


def test_a_gap_is_told_of_once(monkeypatch: pytest.MonkeyPatch, make_desk: Callable[..., Desk], lab: Lab) -> None:
    monkeypatch.setattr("node.runtime.parking.EVENTS_MAX", 20)
    monkeypatch.setattr(event_feed, "EVENTS_MAX", 20)
    desk = make_desk()
    first = Follower(desk.port)
    desk.give(lab.blocks[:1])
    seen = first.take(3)
    first.close()
    desk.give(lab.blocks[1:41])
    back = Follower(desk.port, "/v1/events?topics=tip", last_event_id=str(seen[-1].id))
    missed = back.next()
    assert missed == Told(seen[-1].id + 100, "missed", {"count": 100})
    assert [event.data["height"] for event in back.take(7)] == list(range(35, 42))
    desk.give(lab.blocks[41:42])
    assert back.next().data["height"] == 42
    back.close()
    # From there on nothing is missed.
    again = Follower(desk.port, last_event_id=str(seen[-1].id + 106))
    assert again.next().topic != "missed"
    again.close()


@pytest.mark.parametrize("days", [-1, 1])
def test_an_id_of_another_run(desk: Desk, lab: Lab, follow: Follow, days: int) -> None:
    """What this run has told nobody knows of there, and how much was missed nobody can say."""
    at = int((time.time() + days * 86_400) * 1_000_000)
    back = follow("?topics=tip", last_event_id=str(at))
    assert back.next()[1:] == ("missed", {"count": None})
    assert back.next().data["height"] == 1
    desk.give([lab.mine()])
    assert back.until(lambda event: event.data["height"] == lab.height)


def test_head_is_answered_and_opens_nothing(desk: Desk) -> None:
    reply = desk.request("HEAD", "/v1/events")
    assert (reply.status, reply.type, reply.body) == (200, "text/event-stream", b"")
    assert followers(desk) == 0
    assert not desk.get("/v1/events?topics=x").headers.get("transfer-encoding")


def test_an_old_client_gets_no_chunks(desk: Desk, lab: Lab) -> None:
    with socket.create_connection(("127.0.0.1", desk.port), WAIT_S) as client:
        client.sendall(b"GET /v1/events?topics=tip HTTP/1.0\r\n\r\n")
        received = b""
        while not received.endswith(b"retry: 1000\n\n"):
            received += client.recv(1 << 16)
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK\r\n")
        assert b"\r\nConnection: close" in head
        assert b"Transfer-Encoding" not in head
        assert body == b"retry: 1000\n\n"
        desk.give([lab.mine()])
        assert client.recv(1 << 16).startswith(b"id: ")


def test_pages_of_allowed_origins_may_follow(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(cors_origins=("https://a.example",))
    follower = Follower(desk.port, origin="https://a.example")
    assert follower.reply.getheader("access-control-allow-origin") == "https://a.example"
    follower.close()
    stranger = Follower(desk.port, origin="https://b.example")
    assert stranger.reply.getheader("access-control-allow-origin") is None
    stranger.close()
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "last-event-id"}
    reply = desk.request("OPTIONS", "/v1/events", origin="https://a.example", **asked)
    assert reply.status == 204
    assert "Last-Event-ID" in reply.headers["access-control-allow-headers"]


def test_a_foreign_host_is_refused(desk: Desk) -> None:
    assert desk.get("/v1/events", host="evil.example").status == 403


def test_nobody_follows_a_node_that_is_starting(make_desk: Callable[..., Desk]) -> None:
    assert make_desk(admit=False).get("/v1/events").status == 503


# what followers cost


def test_silence_is_broken(monkeypatch: pytest.MonkeyPatch, follow: Follow) -> None:
    monkeypatch.setattr(streaming, "PING_S", 0.3)
    follower = follow("?topics=reorg")
    began = time.monotonic()
    follower.ping()
    follower.ping()
    assert 0.4 < time.monotonic() - began < 10


def test_a_hundred_followers_while_blocks_connect(desk: Desk, lab: Lab, follow: Follow) -> None:
    """Nobody misses anything, and nobody has a thread."""
    threads = active_count()
    everybody = [follow(CHAIN) for _ in range(100)]
    blocks = [lab.mine() for _ in range(30)]
    desk.give(blocks)
    first = everybody[0].until(lambda event: event.data["height"] == lab.height and event.topic == "tip")
    assert len(first) == 90
    assert all(follower.take(90) == first for follower in everybody[1:])
    assert active_count() == threads
    assert desk.get("/blocks/tip/height").text == str(lab.height)


def test_the_reader_that_does_not_read(monkeypatch: pytest.MonkeyPatch, desk: Desk, lab: Lab, follow: Follow) -> None:
    """It holds one piece at most, delays nobody, and is cut off."""
    monkeypatch.setattr("node.api.http.channel.BUFFER_BYTES", 4096)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(WAIT_S)
        client.connect(("127.0.0.1", desk.port))
        client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: followers(desk) == 1, "the slow one to be let in")
        [channel] = desk.api.connections
        quick = follow("?topics=tip")
        desk.give([lab.mine() for _ in range(150)])
        assert quick.until(lambda event: event.data["height"] == lab.height)
        wait_until(lambda: channel.unsent_bytes, "its buffers to be full")
        assert channel.unsent_bytes < 64 * 1024
        for later_s, is_cut_off in ((0, False), (streaming.STALL_S - 2, False), (streaming.STALL_S + 2, True)):
            watch_later(desk.api, later_s)
            assert (channel.state is ChannelState.CLOSED) == is_cut_off
        wait_until(lambda: followers(desk) == 1, "the slow one to be cut off")
        desk.give([lab.mine()])
        assert quick.next().data["height"] == lab.height


def test_who_reads_too_slowly_learns_what_was_missed(
    monkeypatch: pytest.MonkeyPatch, make_desk: Callable[..., Desk], lab: Lab
) -> None:
    """It gets whole events all the same, in order, and one `missed` in place of each run that is gone."""
    monkeypatch.setattr("node.api.http.channel.BUFFER_BYTES", 4096)
    monkeypatch.setattr("node.runtime.parking.EVENTS_MAX", 20)
    monkeypatch.setattr(event_feed, "EVENTS_MAX", 20)
    monkeypatch.setattr(event_feed, "PIECE_EVENTS_MAX", 5)
    desk = make_desk()
    slow = Follower(desk.port, receive_buffer=4096)
    [channel] = desk.api.connections
    desk.give(lab.blocks)

    def is_full() -> bool:
        # However many blocks that takes: a busy machine skips most of what is told, and sends little.
        desk.give([lab.mine()])
        return channel.unsent_bytes > 0

    wait_until(is_full, "its buffers to be full")
    desk.give([lab.mine() for _ in range(10)])
    told = slow.until(lambda event: event.topic == "tip" and event.data["height"] == lab.height)
    missed = {event.id: event.data["count"] for event in told if event.topic == "missed"}
    assert missed
    before = told[0].id - missed.get(told[0].id, 1)
    for event in told:
        assert event.id - before == missed.get(event.id, 1)
        before = event.id
    slow.close()


def test_who_leaves_is_forgotten_at_once(desk: Desk) -> None:
    for leave in ("close", "half", "reset"):
        follower = Follower(desk.port)
        wait_until(lambda: followers(desk) == 1, "it to be there")
        sock = follower.connection.sock or follower.reply.fp.raw._sock  # type: ignore[union-attr]
        if leave == "half":
            sock.shutdown(socket.SHUT_WR)
        if leave == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if leave != "half":
            follower.close()
        wait_until(lambda: followers(desk) == 0, leave, 3)
        assert not desk.api.connections.owners
        follower.close()


def test_what_a_follower_sends_is_dropped(desk: Desk, lab: Lab) -> None:
    """No request behind the first is heard: its answer could only stand in the midst of the stream."""
    with socket.create_connection(("127.0.0.1", desk.port), WAIT_S) as client:
        request = b"GET /v1/events?topics=tip HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(request + b"GET /blocks/tip/hash HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x HT")
        wait_until(lambda: followers(desk) == 1, "it to be there")
        client.sendall(b"GET /blocks/tip/hash HTTP/1.1\r\nHost: localhost\r\n\r\n")
        desk.give([lab.mine()])
        received = b""
        while b"event: tip" not in received:
            received += client.recv(1 << 16)
        assert received.count(b"HTTP/1.1") == 1
        watch_later(desk.api, 40)  # no request is waited for
        desk.give([lab.mine()])
        assert b"event: tip" in client.recv(1 << 16)
        with contextlib.suppress(OSError):
            client.sendall(b"x" * (2 * streaming.INPUT_BYTES_MAX))
        wait_until(lambda: followers(desk) == 0, "it to be cut off")


def test_seats_are_limited(monkeypatch: pytest.MonkeyPatch, desk: Desk, follow: Follow) -> None:
    monkeypatch.setattr(event_feed, "HOST_FOLLOWERS_MAX", 3)
    crowd = [follow() for _ in range(3)]
    reply = desk.get("/v1/events")
    assert (reply.status, reply.headers["retry-after"]) == (429, "5")
    assert reply.text == "3 streams go to this address already"
    monkeypatch.setattr(event_feed, "FOLLOWERS_MAX", 3)
    monkeypatch.setattr(event_feed, "HOST_FOLLOWERS_MAX", 9)
    reply = desk.get("/v1/events")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    crowd[0].close()
    wait_until(lambda: followers(desk) == 2, "the seat")
    follow()


def test_the_end_of_the_node_ends_streams(make_desk: Callable[..., Desk], lab: Lab) -> None:
    desk = make_desk()
    follower = Follower(desk.port)
    desk.runtime.close()
    with pytest.raises(EOFError):
        follower.next()
    assert follower.reply.isclosed() or follower.reply.read() == b""
    follower.close()


def test_the_end_of_the_listener_ends_streams(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    follower = Follower(desk.port)
    began = time.monotonic()
    desk.api.stop()
    with pytest.raises((EOFError, http.client.IncompleteRead)):
        follower.next()
    desk._threads[0].join(10)
    assert time.monotonic() - began < 3
    follower.close()
