"""Calls that take long: others are answered meanwhile, and nothing goes on for a client that has gone."""

import base64
import http.client
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from chain.address import encode_address
from tests.chainlab import lock
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import PASSWORD, USER, Desk
from tests.node.api.parked import wait_for

ADDRESS = encode_address(lock())
LONG_S = 240.0
"""For the long call itself, on a machine however busy."""
QUICK_S = 1.0
"""For any other meanwhile; alone it takes a millisecond or two."""
PROBES_MIN = 20
LOGIN = f"Authorization: Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(6) as pool:
        yield pool


def post(desk: Desk, body: str) -> tuple[int, bytes]:
    """A call that may take long."""
    name, _, login = LOGIN.partition(": ")
    with closing(http.client.HTTPConnection("127.0.0.1", desk.port, timeout=LONG_S)) as connection:
        connection.request("POST", "/", body, {name: login})
        reply = connection.getresponse()
        return reply.status, reply.read()


@contextmanager
def hung_up_after(desk: Desk, body: str) -> Iterator[None]:
    """A call whose client is there as long as this is inside."""
    with closing(socket.create_connection(("127.0.0.1", desk.port))) as client:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{LOGIN}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())
        yield


def answered_meanwhile(desk: Desk, still: Callable[[], bool], most: int) -> list[float]:
    """Seconds that other requests take as long as `still` holds, at most so many of them."""
    waits: list[float] = []
    while still() and len(waits) < most:
        started = time.monotonic()
        if len(waits) % 2:
            assert desk.get("/blocks").status == 200
        else:
            assert desk.rpc("getblockchaininfo")["blocks"] >= 0
        waits.append(time.monotonic() - started)
    return waits


def is_over(desk: Desk, method: str) -> bool:
    return method not in [command["method"] for command in desk.rpc("getrpcinfo")["active_commands"]]


def test_a_batch_of_100000_calls_is_answered_and_keeps_nobody_waiting(
    make_desk: MakeDesk, background: ThreadPoolExecutor
) -> None:
    desk = make_desk()
    calls = [{"jsonrpc": "2.0", "method": "getblockhash", "params": [n % 2], "id": n} for n in range(100_000)]
    asked: Future[tuple[int, bytes]] = background.submit(post, desk, json.dumps(calls))
    waits = answered_meanwhile(desk, lambda: not asked.done(), 100_000)
    status, body = asked.result(LONG_S)
    answers = json.loads(body)
    assert status == 200
    assert [answer["id"] for answer in answers] == list(range(100_000))
    assert ["result" in answer for answer in answers] == [True, False] * 50_000
    assert len(waits) >= PROBES_MIN
    assert sorted(waits)[len(waits) // 2] < QUICK_S / 10
    assert max(waits) < QUICK_S


def test_generatetoaddress_has_no_limit_and_keeps_nobody_waiting(make_desk: MakeDesk) -> None:
    desk = make_desk()
    call = json.dumps({"method": "generatetoaddress", "params": [30_001, ADDRESS]})
    with hung_up_after(desk, call):
        wait_for(lambda: desk.rpc("getblockcount") > 0)
        waits = answered_meanwhile(desk, lambda: not is_over(desk, "generatetoaddress"), 200)
        assert len(waits) == 200
        assert sorted(waits)[100] < QUICK_S / 10
        assert max(waits) < QUICK_S
    wait_for(lambda: is_over(desk, "generatetoaddress"))
    assert 0 < desk.rpc("getblockcount") < 30_001


def test_a_batch_whose_client_has_gone_is_not_gone_on_with(make_desk: MakeDesk) -> None:
    desk = make_desk()
    calls = [{"method": "generatetoaddress", "params": [1, ADDRESS], "id": n} for n in range(20_000)]
    with hung_up_after(desk, json.dumps(calls)):
        wait_for(lambda: desk.rpc("getblockcount") > 0)
    heights: deque[int] = deque(maxlen=50)

    def stands_still() -> bool:
        heights.append(desk.rpc("getblockcount"))
        return len(heights) == 50 and len(set(heights)) == 1

    wait_for(stands_still)
    assert heights[0] < 20_000


def test_blocks_that_lose_the_race_are_made_again(make_desk: MakeDesk, background: ThreadPoolExecutor) -> None:
    desk = make_desk()
    asked = [background.submit(desk.rpc, "generatetoaddress", 20, ADDRESS) for _ in range(6)]
    hashes = {block_hash for one in asked for block_hash in one.result(LONG_S)}
    assert len(hashes) == 120
    assert desk.rpc("getblockcount") == 120
    assert {desk.rpc("getblockhash", height) for height in range(1, 121)} == hashes
    assert len(desk.rpc("getchaintips")) == 1  # what came second is not kept


@pytest.mark.parametrize("method", ["generatetodescriptor", "generateblock"])
def test_the_other_ways_to_make_blocks_race_as_well(
    make_desk: MakeDesk, background: ThreadPoolExecutor, method: str
) -> None:
    desk = make_desk()

    def make(number: int) -> None:
        for _ in range(10):
            if method == "generateblock":
                desk.rpc(method, encode_address(lock(number=number)), [])
            else:
                desk.rpc(method, 1, f"addr({ADDRESS})")

    for one in [background.submit(make, number) for number in range(6)]:
        one.result(LONG_S)
    assert desk.rpc("getblockcount") == 60
