"""getblocktemplate: what is in it, how long it waits, what it says to proposals; on a real node."""

import base64
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from chain.block import decode_block, make_block
from chain.blocktemplate import commitment_script
from chain.hashes import to_hex
from chain.params import REGTEST_LIMIT_BITS, Asert, devnet_params
from chain.scripttype import ScriptType
from chain.tx import TxOut
from node.api.rpc import template as rpc_template
from node.api.rpc import waitfor
from node.api.services import template_cache
from node.api.services.template_cache import TemplateCache
from node.runtime import parking
from tests.chainlab import FEE, Lab, lock, made_by, pay, unsolved
from tests.functional.external_miner import Work, coinbase
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import PASSWORD, USER, Desk
from tests.node.api.parked import Ask, held, wait_for
from tests.node.api.rpc.test_mining import INVALID, MARKED

REQUEST = {"rules": ["segwit"]}
MINERD = {"capabilities": ["coinbasetxn", "coinbasevalue", "longpoll", "workid"], "rules": ["segwit"]}
SCRIPT = lock()
SOON_S = 5.0
"""What is answered at once is answered within this, however busy the machine is."""


def solve(template: dict[str, Any]) -> str:
    """The block that a miner makes of it, in hex."""
    solved = Work(template, SCRIPT).solve(1 << 20)
    assert solved is not None
    return solved


# what is in it


def test_a_template_for_an_empty_mempool(desk: Desk, lab: Lab) -> None:
    before = int(time.time())
    template = desk.rpc("getblocktemplate", MINERD)
    assert before <= template.pop("curtime") <= time.time()
    assert template == {
        "capabilities": ["proposal"],
        "version": 0x20000000,
        "rules": ["csv", "!segwit", "taproot"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": to_hex(lab.tip.hash),
        "transactions": [],
        "coinbaseaux": {},
        "coinbasevalue": 5_000_000_000,
        "longpollid": to_hex(lab.tip.hash) + "0",
        "target": "7fffff" + "00" * 29,
        "mintime": lab.tip.median_time + 1,
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": 80000,
        "sizelimit": 4000000,
        "weightlimit": 4000000,
        "bits": "207fffff",
        "height": 113,
        "default_witness_commitment": commitment_script([], bytes(32)).hex(),
    }


def test_its_transactions(desk: Desk, lab: Lab) -> None:
    """Best-paid packages first, parents before children."""
    [coin] = lab.take(ScriptType.P2PKH)
    legacy = pay([coin], [TxOut(coin.coin.value - 300, lock(ScriptType.P2PKH))])
    parents = [pay(lab.take(), fee=FEE), pay(lab.take(ScriptType.P2TR), fee=FEE)]
    child = pay([made_by(parents[0]), *lab.take(), made_by(parents[1])], fee=50 * FEE)
    desk.pool(legacy, *parents, child)
    template = desk.rpc("getblocktemplate", REQUEST)
    order = [*parents, child, legacy]
    # Four for an output that pays to P2PKH, one for each P2WPKH coin spent.
    costs = {legacy.txid: 4, parents[0].txid: 1, parents[1].txid: 0, child.txid: 3}
    assert template["transactions"] == [
        {
            "data": tx.raw.hex(),
            "txid": to_hex(tx.txid),
            "hash": to_hex(tx.wtxid),
            "depends": [1, 2] if tx is child else [],
            "fee": {legacy.txid: 300, child.txid: 50 * FEE}.get(tx.txid, FEE),
            "sigops": costs[tx.txid],
            "weight": tx.weight,
        }
        for tx in order
    ]
    assert template["coinbasevalue"] == 5_000_000_000 + 52 * FEE + 300
    assert template["default_witness_commitment"] == commitment_script(order, bytes(32)).hex()
    # The commitment that a miner works out by itself is the same.
    assert bytes.fromhex(template["default_witness_commitment"]) in coinbase(template, SCRIPT)
    assert desk.rpc("submitblock", solve(template)) is None
    assert desk.rpc("getrawmempool") == []
    assert desk.rpc("getblock", desk.rpc("getbestblockhash"))["tx"][1:] == [to_hex(tx.txid) for tx in order]


def test_a_miner_from_the_first_block_on(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for height in range(1, 19):  # the height's push changes its form at 17
        template = desk.rpc("getblocktemplate", MINERD)
        assert (template["height"], template["curtime"] >= template["mintime"]) == (height, True)
        assert desk.rpc("submitblock", solve(template)) is None
    assert desk.rpc("getblockcount") == 18


def test_templates_where_difficulty_moves(make_desk: MakeDesk) -> None:
    easy = replace(devnet_params(), pow_limit_bits=REGTEST_LIMIT_BITS, asert=Asert(10, 20, 3, 0x2000FFFF, 150))
    desk = make_desk(params=easy)
    bits = []
    for _ in range(10):
        template = desk.rpc("getblocktemplate", MINERD)
        assert template["bits"] == desk.rpc("getmininginfo")["next"]["bits"]
        bits.append(template["bits"])
        assert desk.rpc("submitblock", solve(template)) is None
    assert bits[:3] == ["207fffff", "207fffff", "2000ffff"]
    assert len(set(bits)) > 5


def test_time_may_run_ahead_of_the_clock(desk: Desk, lab: Lab) -> None:
    """curtime is never below mintime, whatever the clock says."""
    lab.now = ahead = int(time.time()) + 5000
    for _ in range(7):
        desk.give([lab.mine(time=ahead)])
        ahead += 1
    template = desk.rpc("getblocktemplate", REQUEST)
    assert template["curtime"] == template["mintime"] == lab.tip.median_time + 1 > time.time()


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        *(
            (
                request,
                (
                    -8,
                    'getblocktemplate must be called with the segwit rule set (call with {"rules": ["segwit"]})',
                ),
            )
            for request in ({}, {"rules": []}, {"rules": ["csv"]}, {"rules": "segwit"}, {"mode": "template"})
        ),
        ({"mode": "x", **REQUEST}, (-8, "Invalid mode")),
        ({"mode": 5, **REQUEST}, (-8, "Invalid mode")),
        ({"mode": "proposal"}, (-3, "Missing data String key for proposal")),
        ({"mode": "proposal", "data": 5}, (-3, "Missing data String key for proposal")),
        ({"mode": "proposal", "data": "00"}, (-22, "Block decode failed")),
        ({"rules": ["segwit", 5]}, (-3, "JSON value of type number is not of expected type string")),
        ([], (-3, "JSON value of type array is not of expected type object")),
        (
            {"longpollid": "ab", **REQUEST},
            (-8, "longpollid must be of length 64 (not 2, for 'ab')"),
        ),
        (
            {"longpollid": "x" * 64, **REQUEST},
            (-8, f"longpollid must be hexadecimal string (not '{'x' * 64}')"),
        ),
    ],
)
def test_what_is_no_request(shared: Desk, request_: Any, error: tuple[int, str]) -> None:
    assert shared.rpc_error("getblocktemplate", request_) == error


def test_without_a_request_the_rules_are_missing_too(shared: Desk) -> None:
    assert shared.rpc_error("getblocktemplate")[0] == -8


# how long one is kept


def test_a_template_is_kept_as_long_as_it_is_the_best(desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    kept = TemplateCache(lambda: now)
    first = kept.current(desk.runtime.view, int(desk.runtime.unix()))
    now += 1000
    assert kept.current(desk.runtime.view, int(desk.runtime.unix())) is first
    desk.pool(pay(lab.take()))
    second = kept.current(desk.runtime.view, int(desk.runtime.unix()))
    assert (second.tx_count, second.longpollid) == (1, to_hex(lab.tip.hash) + "1")
    monkeypatch.setattr(template_cache, "SMALL_POOL_TXS", 1)  # from here on the mempool is a large one
    desk.pool(pay(lab.take()))
    now += template_cache.LIFE_S - 0.1
    assert kept.current(desk.runtime.view, int(desk.runtime.unix())) is second
    assert kept.due_in_s(desk.runtime.view) == pytest.approx(0.1)
    now += 0.2
    assert kept.due_in_s(desk.runtime.view) == 0
    third = kept.current(desk.runtime.view, int(desk.runtime.unix()))
    assert third.tx_count == 2
    desk.give([lab.mine()])
    assert kept.due_in_s(desk.runtime.view) == 0
    assert kept.current(desk.runtime.view, int(desk.runtime.unix())).parent.height == 113


# long polls


def test_a_long_poll_ends_with_a_new_tip(desk: Desk, lab: Lab, ask: Ask) -> None:
    template = desk.rpc("getblocktemplate", MINERD)
    asked = ask("getblocktemplate", {**MINERD, "longpollid": template["longpollid"]})
    desk.pool(pay(lab.take()))  # the mempool alone ends none
    assert held(desk) == ["getblocktemplate"]
    assert desk.rpc("submitblock", solve(template)) is None
    fresh = asked.result(SOON_S)
    assert (fresh["height"], len(fresh["transactions"])) == (114, 1)
    assert fresh["previousblockhash"] == desk.rpc("getbestblockhash")


def test_a_long_poll_is_answered_after_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_template, "LONGPOLL_S", 0.3)
    template = desk.rpc("getblocktemplate", REQUEST)
    started = time.monotonic()
    for longpollid in (template["longpollid"], 5):  # what is no string stands for the present one
        again = desk.rpc("getblocktemplate", {**REQUEST, "longpollid": longpollid})
        assert again["longpollid"] == template["longpollid"]
    assert time.monotonic() - started >= 0.6


def test_an_outdated_longpollid_is_answered_soon(desk: Desk, lab: Lab) -> None:
    tip = to_hex(lab.tip.hash)
    started = time.monotonic()
    for elsewhere in ("00" * 32 + "0", to_hex(lab.blocks[3].hash) + "0", tip + "7", tip, tip + "é"):
        assert desk.rpc("getblocktemplate", {**REQUEST, "longpollid": elsewhere})["longpollid"] == tip + "0"
    desk.pool(pay(lab.take()))
    fresh = desk.rpc("getblocktemplate", {**REQUEST, "longpollid": tip + "0"})
    assert (fresh["longpollid"], len(fresh["transactions"])) == (tip + "1", 1)
    assert time.monotonic() - started < SOON_S


def test_only_so_many_wait(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    monkeypatch.setattr(parking, "API_SEATS", 1)
    desk = make_desk()
    desk.give(lab.blocks)
    present = desk.rpc("getblocktemplate", REQUEST)["longpollid"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(desk.rpc, "getblocktemplate", {**REQUEST, "longpollid": present})
        wait_for(lambda: held(desk) == ["getblocktemplate"])
        busy = (-1, "Too many requests are waiting (1 may): try again")
        assert desk.rpc_error("getblocktemplate", {**REQUEST, "longpollid": present}) == busy
        assert desk.rpc_error("waitfornewblock") == busy
        assert desk.rpc("getblocktemplate", REQUEST)["longpollid"] == present
        assert desk.rpc("waitforblockheight", 112)["height"] == 112
        desk.give([lab.mine()])
        assert asked.result(SOON_S)["height"] == 114


def test_who_has_hung_up_gives_up_the_seat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waitfor, "LOOK_S", 0.1)
    connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=20)
    headers = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    connection.request("POST", "/", json.dumps({"method": "waitfornewblock"}), headers)
    wait_for(lambda: held(desk) == ["waitfornewblock"])
    connection.close()
    wait_for(lambda: held(desk) == [])


# proposals


def propose(desk: Desk, raw: bytes) -> Any:
    return desk.rpc("getblocktemplate", {"mode": "proposal", "data": raw.hex(), **REQUEST})


@pytest.mark.parametrize("word", sorted({*INVALID, *MARKED} - {"high-hash", "prev-blk-not-found"}))
def test_proposals_that_break_a_rule(desk: Desk, lab: Lab, word: str) -> None:
    block = (INVALID | MARKED)[word](lab.candidate(), lab.copy())
    for _ in range(2):  # nothing is remembered
        assert propose(desk, block.raw) == word
    assert len(desk.rpc("getchaintips")) == 1


def test_words_for_proposals(desk: Desk, lab: Lab) -> None:
    known = pay(lab.take())
    desk.pool(known)
    good = lab.candidate([known, pay(lab.take())])
    assert propose(desk, make_block(unsolved(good.header), good.txs).raw) is None
    assert propose(desk, good.raw) is None
    assert desk.rpc("getblockcount") == 112
    rival, bad = lab.candidate(extra_nonce=5), MARKED["bad-cb-amount"](lab.candidate(extra_nonce=6), lab)
    desk.rpc("submitblock", bad.raw.hex())
    assert propose(desk, bad.raw) == "duplicate-invalid"
    desk.give([good, rival])
    assert propose(desk, good.raw) == "duplicate"
    assert propose(desk, lab.blocks[7].raw) == "duplicate"
    assert propose(desk, rival.raw) == "duplicate-inconclusive"
    assert propose(desk, lab.candidate(extra_nonce=8).raw) == "inconclusive-not-best-prevblk"
    assert propose(desk, INVALID["prev-blk-not-found"](good, lab).raw) == "inconclusive-not-best-prevblk"
    desk.rpc("invalidateblock", to_hex(good.hash))
    assert propose(desk, good.raw) == "duplicate-invalid"
    desk.rpc("reconsiderblock", to_hex(good.hash))
    desk.rpc("preciousblock", to_hex(rival.hash))
    assert propose(desk, good.raw) == "duplicate"  # it was in the best chain once


def test_a_template_is_a_good_proposal(desk: Desk, lab: Lab) -> None:
    desk.pool(pay(lab.take()))
    template = desk.rpc("getblocktemplate", REQUEST)
    work = Work(template, SCRIPT)
    bare = decode_block(work.head + bytes(4) + work.body)
    assert propose(desk, bare.raw) == "bad-witness-nonce-size"  # nothing is added to a proposal (Core)
