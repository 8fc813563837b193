"""setmocktime: what goes by a time that was set, and what goes by the clock all the same."""

import time
from dataclasses import replace

import pytest

from chain.address import encode_address
from chain.hashes import to_hex
from chain.params import REGTEST, devnet_params
from node.mempool.policy import EXPIRY_S
from tests.chainlab import FEE, Lab, lock, made_by, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk
from tests.node.api.parked import Ask

ADDRESS = encode_address(lock())
SOON_S = 5.0
LIMIT_S = REGTEST.future_limit_s


@pytest.fixture
def start(lab: Lab) -> int:
    """A time after all blocks there are, and years before the present."""
    return lab.tip.header.time + 10_000


def generated(desk: Desk) -> int:
    """The time of a block that is made now."""
    [block_hash] = desk.rpc("generatetoaddress", 1, ADDRESS)
    return int(desk.rpc("getblockheader", block_hash)["time"])


def test_blocks_and_templates_are_made_at_that_time(desk: Desk, start: int) -> None:
    assert desk.rpc("setmocktime", start) is None
    assert generated(desk) == start
    assert generated(desk) == start  # it stands still
    assert desk.rpc("getblocktemplate", {"rules": ["segwit"]})["curtime"] == start
    block_hash = desk.rpc("generateblock", ADDRESS, [])["hash"]
    assert desk.rpc("getblockheader", block_hash)["time"] == start
    desk.rpc("setmocktime", start + 600)
    assert generated(desk) == start + 600
    before = int(time.time())
    assert desk.rpc("setmocktime", 0) is None
    assert before <= generated(desk) <= time.time()


def test_a_time_that_stands_still_is_passed_by_the_median(desk: Desk, start: int) -> None:
    desk.rpc("setmocktime", start)
    times = [generated(desk) for _ in range(20)]
    assert times[0] == start
    assert times[-1] > start
    assert times == sorted(times)


def test_a_package_enters_at_that_time(desk: Desk, lab: Lab, start: int) -> None:
    desk.rpc("setmocktime", start)
    parent = pay(lab.take(), fee=0)
    child = pay([made_by(parent)], fee=3_000)
    assert desk.rpc("submitpackage", [parent.raw.hex(), child.raw.hex()])["package_msg"] == "success"
    entries = desk.rpc("getrawmempool", True)
    assert {txid: entry["time"] for txid, entry in entries.items()} == dict.fromkeys(
        (to_hex(parent.txid), to_hex(child.txid)), start
    )


def test_headers_are_held_against_that_time(desk: Desk, lab: Lab, start: int) -> None:
    lab.now = int(time.time())
    early, late = (lab.candidate(time=start + LIMIT_S + more) for more in (0, 1))
    desk.rpc("setmocktime", start)
    assert desk.rpc("submitblock", late.raw.hex()) == "time-too-new"
    proposal = {"mode": "proposal", "data": late.raw.hex()}
    assert desk.rpc("getblocktemplate", proposal) == "time-too-new"
    assert desk.rpc("submitblock", early.raw.hex()) is None
    desk.rpc("setmocktime", start + 1)
    assert desk.rpc("submitblock", late.raw.hex()) == "inconclusive"  # a sibling by now
    future = int(time.time()) + LIMIT_S + 1000
    ahead = lab.copy()
    ahead.accept(early)
    ahead.now = future
    block = ahead.candidate(time=future)
    desk.rpc("setmocktime", 0)
    assert desk.rpc("submitblock", block.raw.hex()) == "time-too-new"
    desk.rpc("setmocktime", future)
    assert desk.rpc("submitblock", block.raw.hex()) is None


def test_the_mempool_goes_by_that_time(desk: Desk, lab: Lab, start: int) -> None:
    desk.rpc("setmocktime", start)
    old = pay(lab.take())
    desk.pool(old)
    assert desk.rpc("getmempoolentry", to_hex(old.txid))["time"] == start
    desk.rpc("setmocktime", start + 1000)
    young = pay(lab.take())
    desk.pool(young)
    assert desk.rpc("getmempoolentry", to_hex(young.txid))["time"] == start + 1000
    desk.rpc("setmocktime", start + int(EXPIRY_S))
    assert set(desk.rpc("getrawmempool")) == {to_hex(old.txid), to_hex(young.txid)}
    desk.rpc("setmocktime", start + int(EXPIRY_S) + 1)
    assert desk.rpc("getrawmempool") == [to_hex(young.txid)]
    desk.rpc("setmocktime", 0)  # the present is years later
    assert desk.rpc("getrawmempool") == []


def test_locks_by_time_go_by_the_blocks_made_then(desk: Desk, lab: Lab, start: int) -> None:
    """BIP113: the median of the last blocks decides, and these were made at the time that was set."""
    locked = pay(lab.take(), lock_time=start, sequences=[0])
    desk.rpc("setmocktime", start)
    desk.rpc("generatetoaddress", 6, ADDRESS)
    assert desk.rpc_error("sendrawtransaction", locked.raw.hex())[0] == -26
    desk.rpc("setmocktime", start + 1)
    desk.rpc("generatetoaddress", 6, ADDRESS)
    assert desk.rpc("sendrawtransaction", locked.raw.hex()) == to_hex(locked.txid)


@pytest.mark.parametrize("mocked", [1, 1_000_000_000, 9_223_372_036])
def test_the_nodes_own_business_goes_by_the_clock(desk: Desk, lab: Lab, ask: Ask, mocked: int) -> None:
    """Waiting callers, deadlines of signatures, uptime: with a time decades away both ways."""
    desk.rpc("setmocktime", mocked)
    assert 0 <= desk.rpc("uptime") < 60
    asked = ask("waitfornewblock", 20_000)
    paying = pay(lab.take(), fee=FEE)
    started = time.monotonic()
    assert desk.rpc("sendrawtransaction", paying.raw.hex()) == to_hex(paying.txid)
    assert desk.rpc("waitforblock", "ab" * 32, 200)["height"] == 112
    desk.rpc("setmocktime", 0)
    generated(desk)
    assert asked.result(SOON_S)["height"] == 113
    assert time.monotonic() - started < SOON_S


def test_the_end_of_time(desk: Desk) -> None:
    """A header's time has 32 bits: beyond, blocks are made at the last second, until the median has reached it."""
    desk.rpc("setmocktime", 9_223_372_036)
    assert [generated(desk) for _ in range(6)] == [2**32 - 1] * 6
    assert desk.rpc_error("generatetoaddress", 1, ADDRESS) == (
        -1,
        "no header can be later than the blocks before",
    )
    assert desk.rpc_error("getblocktemplate", {"rules": ["segwit"]})[0] == -1
    assert desk.rpc_error("generateblock", ADDRESS, [])[0] == -1


def test_what_is_refused(desk: Desk, make_desk: MakeDesk) -> None:
    for wrong in (-1, 9_223_372_037):
        message = f"Mocktime must be in the range [0, 9223372036], not {wrong}."
        assert desk.rpc_error("setmocktime", wrong) == (-8, message)
    assert desk.rpc_error("setmocktime", "1")[0] == -3
    assert desk.rpc_error("setmocktime", 1.5)[0] == -1
    assert desk.rpc_error("setmocktime")[0] == -1
    for params in (devnet_params(), replace(REGTEST, name="ours")):
        elsewhere = make_desk(params=params)
        assert elsewhere.rpc_error("setmocktime", 1) == (
            -1,
            f"setmocktime is for regression testing (-regtest mode) only, and this node is on {params.name}",
        )


# a chain that is ahead of the clock


@pytest.fixture
def ahead(desk: Desk) -> Desk:
    """Its median time is a day ahead of the clock, which goes its way again."""
    desk.rpc("setmocktime", int(time.time()) + 86_400)
    desk.rpc("generatetoaddress", 12, ADDRESS)
    desk.rpc("setmocktime", 0)
    return desk


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getblocktemplate", [{"rules": ["segwit"]}]),
        ("getblocktemplate", [{"rules": ["segwit"], "longpollid": "00" * 32 + "0"}]),
        ("generatetoaddress", [1, ADDRESS]),
        ("generatetodescriptor", [1, f"addr({ADDRESS})"]),
        ("generateblock", [ADDRESS, []]),
        ("generateblock", [ADDRESS, [], False]),
    ],
)
def test_no_block_is_handed_out_that_would_be_refused(ahead: Desk, method: str, params: list[object]) -> None:
    height = ahead.rpc("getblockcount")
    code, message = ahead.rpc_error(method, *params)
    assert (code, message.partition(",")[0]) == (-1, "TestBlockValidity failed: time-too-new")
    assert ahead.rpc("getblockcount") == height


def test_a_template_that_was_good_is_not_handed_out_once_the_clock_is_set_back(desk: Desk) -> None:
    later = int(time.time()) + 86_400
    desk.rpc("setmocktime", later)
    desk.rpc("generatetoaddress", 12, ADDRESS)
    assert desk.rpc("getblocktemplate", {"rules": ["segwit"]})["curtime"] >= later
    desk.rpc("setmocktime", 0)
    assert desk.rpc_error("getblocktemplate", {"rules": ["segwit"]})[0] == -1
    desk.rpc("setmocktime", later)
    assert desk.rpc("getblocktemplate", {"rules": ["segwit"]})["curtime"] >= later


def test_a_chain_within_the_limit_is_mined_on(desk: Desk) -> None:
    desk.rpc("setmocktime", int(time.time()) + LIMIT_S - 600)
    desk.rpc("generatetoaddress", 12, ADDRESS)
    desk.rpc("setmocktime", 0)
    template = desk.rpc("getblocktemplate", {"rules": ["segwit"]})
    assert template["curtime"] >= template["mintime"]
    assert len(desk.rpc("generatetoaddress", 2, ADDRESS)) == 2
