"""waitfornewblock, waitforblock and waitforblockheight: what ends them, and what they tell then."""

import base64
import json
import socket
import struct
import time
from contextlib import closing
from typing import Any

import pytest

from chain.blocktree import BlockNode
from chain.hashes import to_hex
from node.api.rpc import waitfor
from tests.chainlab import Lab, pay
from tests.node.api.desk import PASSWORD, USER, Desk
from tests.node.api.parked import Ask, held, wait_for

SOON_S = 5.0
NOWHERE = "ab" * 32


def told(entry: BlockNode) -> dict[str, Any]:
    return {"hash": to_hex(entry.hash), "height": entry.height}


def test_a_new_block_ends_all_that_wait_for_it(desk: Desk, lab: Lab, ask: Ask) -> None:
    old = to_hex(lab.tip.hash)
    block = lab.mine()
    waiting = [
        ask("waitfornewblock", 0),
        ask("waitfornewblock", 60_000, old),
        ask("waitforblock", to_hex(block.hash)),
        ask("waitforblockheight", 113),
    ]
    desk.pool(pay(lab.take()))
    assert held(desk) == ["waitfornewblock", "waitfornewblock", "waitforblock", "waitforblockheight"]
    desk.give([block])
    for asked in waiting:
        assert asked.result(SOON_S) == told(lab.tip)


def test_the_right_block_and_height_are_waited_for(desk: Desk, lab: Lab, ask: Ask) -> None:
    """Also when the tip has passed them before anybody looks."""
    blocks = [lab.mine() for _ in range(4)]
    wanted = lab.blocks[-2]
    by_hash, by_height = ask("waitforblock", to_hex(wanted.hash)), ask("waitforblockheight", 115, 0)
    desk.give(blocks[:2])
    assert held(desk) == ["waitforblock", "waitforblockheight"]
    desk.give(blocks[2:])
    assert by_hash.result(SOON_S) == {"hash": to_hex(wanted.hash), "height": 115}
    assert by_height.result(SOON_S)["height"] >= 115


def test_what_is_there_is_not_waited_for(shared: Desk) -> None:
    tip = told(shared.runtime.view.tip)
    genesis = shared.rpc("getblockhash", 0)
    started = time.monotonic()
    assert shared.rpc("waitfornewblock", 0, genesis) == tip
    assert shared.rpc("waitforblock", tip["hash"]) == tip
    assert shared.rpc("waitforblock", blockhash=genesis) == {"hash": genesis, "height": 0}
    assert shared.rpc("waitforblockheight", 5) == tip
    assert shared.rpc("waitforblockheight", -5, 0) == tip
    assert time.monotonic() - started < SOON_S


def test_a_reorganisation_ends_them_too(desk: Desk, lab: Lab, ask: Ask) -> None:
    block = lab.mine()
    desk.give([block])
    asked, other = ask("waitfornewblock"), ask("waitforblock", to_hex(lab.blocks[-2].hash))
    assert other.result(SOON_S)["height"] == 112
    desk.rpc("invalidateblock", to_hex(block.hash))
    assert asked.result(SOON_S) == {"hash": to_hex(lab.blocks[-2].hash), "height": 112}


def test_time_is_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tip is told as it is; without a limit of the caller's at the node's own."""
    monkeypatch.setattr(waitfor, "LOOK_S", 0.05)
    tip = told(desk.runtime.view.tip)
    calls: list[tuple[Any, ...]] = [
        ("waitfornewblock", 300),
        ("waitforblock", NOWHERE, 300),
        ("waitforblockheight", 113, 300),
    ]
    for call in calls:
        started = time.monotonic()
        assert desk.rpc(*call) == tip
        assert 0.3 <= time.monotonic() - started < SOON_S
    monkeypatch.setattr(waitfor, "WAIT_MAX_S", 0.2)
    for timeout in (0, 60_000):
        assert desk.rpc("waitfornewblock", timeout) == tip


@pytest.mark.parametrize("linger", [(0, 0), (1, 0)], ids=["hung up", "reset"])
def test_for_who_has_gone_no_call_of_a_batch_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, linger: tuple[int, int]
) -> None:
    monkeypatch.setattr(waitfor, "LOOK_S", 0.2)
    calls = json.dumps([{"method": "waitfornewblock", "params": [0], "id": n} for n in range(1_000)]).encode()
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n"
    with closing(socket.create_connection(("127.0.0.1", desk.port))) as client:
        client.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(calls) + calls)
        wait_for(lambda: held(desk) == ["waitfornewblock"])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
    wait_for(lambda: held(desk) == [])
    assert caplog.records == []


def test_wrong_parameters(shared: Desk) -> None:
    for call in (("waitfornewblock", -1), ("waitforblock", NOWHERE, -1), ("waitforblockheight", 1, -1)):
        assert shared.rpc_error(*call) == (-1, "Negative timeout")
    assert shared.rpc_error("waitforblock", "ab") == (-8, "blockhash must be of length 64 (not 2, for 'ab')")
    assert shared.rpc_error("waitfornewblock", 1, "ab")[0] == -8
    assert shared.rpc_error("waitforblockheight", "1")[0] == -3
    assert shared.rpc_error("waitforblockheight", 1.5)[0] == -1


def test_who_waits_holds_no_lock_and_goes_when_the_node_stops(desk: Desk, ask: Ask) -> None:
    waiting = [ask("waitfornewblock") for _ in range(3)]
    assert desk.rpc("generatetoaddress", 0, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080") == []
    desk.runtime.close()
    for asked in waiting:
        error = asked.exception(SOON_S)
        assert isinstance(error, AssertionError)
        assert error.args[0]["code"] == -28
