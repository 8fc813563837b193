"""Statistics of blocks and of the chain, the indexes that are kept: whole answers and every error."""

from typing import Any

import pytest

from chain.codec import varint
from chain.hashes import to_hex
from chain.params import GENESIS
from chain.scripttype import ScriptType
from chain.tx import COIN, TxOut
from node.api.query import queries
from node.api.rpc.block_stats import median, rate_percentiles
from tests.chainlab import FEE, Lab, data_output, lock, pay
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk

NOWHERE = "ab" * 32


# one block


def coin_size(script: bytes) -> int:
    return 8 + len(varint(len(script))) + len(script) + 41


def test_getblockstats(desk: Desk, lab: Lab) -> None:
    """Two payments of one and of two inputs, one with data that is no coin."""
    [one], two = lab.take(), [*lab.take(ScriptType.P2PKH), *lab.take(ScriptType.P2TR)]
    cheap = pay([one], fee=500)
    total = sum(coin.value for _, coin in two)
    dear = pay(two, [TxOut(total - 9_000, lock()), data_output(20)], fee=9_000)
    block = lab.mine([cheap, dear])
    desk.give([block])
    scripts = [output.script for tx in block.txs for output in tx.outputs]
    unspendable = [script for script in scripts if script[:1] == b"\x6a"]
    assert len(unspendable) == 2  # the data and the witness commitment
    spent = sum(coin_size(coin.script) for _, coin in [one, *two])
    increase = sum(map(coin_size, scripts)) - spent
    rates = [500 * 4 // cheap.weight, 9_000 * 4 // dear.weight]
    weight = cheap.weight + dear.weight
    expected = {
        "avgfee": 4_750,
        "avgfeerate": 9_500 * 4 // weight,
        "avgtxsize": (cheap.size + dear.size) // 2,
        "blockhash": to_hex(block.hash),
        "feerate_percentiles": [rates[0], rates[0] if cheap.weight * 4 >= weight else rates[1], *[rates[1]] * 3],
        "height": 113,
        "ins": 3,
        "maxfee": 9_000,
        "maxfeerate": rates[1],
        "maxtxsize": dear.size,
        "medianfee": 4_750,
        "mediantime": lab.tip.median_time,
        "mediantxsize": (cheap.size + dear.size) // 2,
        "minfee": 500,
        "minfeerate": rates[0],
        "mintxsize": cheap.size,
        "outs": len(scripts),
        "subsidy": 50 * COIN,
        "swtotal_size": cheap.size + dear.size,
        "swtotal_weight": weight,
        "swtxs": 2,
        "time": block.header.time,
        "total_out": one.coin.value - 500 + total - 9_000,
        "total_size": cheap.size + dear.size,
        "total_weight": weight,
        "totalfee": 9_500,
        "txs": 3,
        "utxo_increase": len(scripts) - 3,
        "utxo_increase_actual": len(scripts) - 2 - 3,
        "utxo_size_inc": increase,
        "utxo_size_inc_actual": increase - sum(map(coin_size, unspendable)),
    }
    for named in (113, to_hex(block.hash)):
        assert desk.rpc("getblockstats", named) == expected
        assert desk.rpc("getblockstats", hash_or_height=named, stats=None) == expected
        assert desk.rpc("getblockstats", named, []) == expected
        assert desk.rpc("getblockstats", named, ["txs", "height", "txs"]) == {"height": 113, "txs": 3}


def test_getblockstats_of_a_block_without_payments(shared: Desk, lab: Lab) -> None:
    found = shared.rpc("getblockstats", 5)
    nothing = {name: number for name, number in found.items() if not number}
    assert set(nothing) == {
        *("avgfee", "avgfeerate", "avgtxsize", "ins", "maxfee", "maxfeerate", "maxtxsize", "medianfee"),
        *("mediantxsize", "minfee", "minfeerate", "mintxsize", "swtotal_size", "swtotal_weight", "swtxs"),
        *("total_out", "total_size", "total_weight", "totalfee"),
    }
    assert (found["feerate_percentiles"], found["txs"], found["utxo_increase"]) == ([0] * 5, 1, 2)
    assert found["utxo_increase_actual"] == 1
    genesis = shared.rpc("getblockstats", 0)
    assert (genesis["utxo_increase"], genesis["utxo_increase_actual"]) == (1, 0)
    assert (genesis["utxo_size_inc"], genesis["utxo_size_inc_actual"]) == (coin_size(bytes(67)), 0)
    assert genesis["blockhash"] == to_hex(GENESIS.hash)


def test_getblockstats_refuses(desk: Desk, lab: Lab) -> None:
    rival = lab.copy().candidate(extra_nonce=9)
    desk.give([lab.mine(), rival])
    cases: list[tuple[tuple[Any, ...], tuple[int, str]]] = [
        ((-1,), (-8, "Target block height -1 is negative")),
        ((114,), (-8, "Target block height 114 after current tip 113")),
        ((NOWHERE,), (-5, "Block not found")),
        (("ab",), (-8, "hash_or_height must be of length 64 (not 2, for 'ab')")),
        ((True,), (-3, "JSON value of type bool is not of expected type number")),
        ((5, ["txs", "nothing"]), (-8, "Invalid selected statistic 'nothing'")),
        ((5, [5]), (-3, "JSON value of type number is not of expected type string")),
        ((5, "txs"), (-3, "JSON value of type string is not of expected type array")),
        ((to_hex(rival.hash),), (-1, "Undo data not available")),
    ]
    for given, expected in cases:
        assert desk.rpc_error("getblockstats", *given) == expected
    assert desk.rpc_error("getblockstats")[0] == -1


def test_a_block_that_left_the_chain_keeps_its_statistics(desk: Desk, lab: Lab) -> None:
    block = lab.mine([pay(lab.take())])
    desk.give([block])
    before = desk.rpc("getblockstats", 113)
    desk.rpc("invalidateblock", to_hex(block.hash))
    assert desk.rpc("getblockstats", to_hex(block.hash)) == before
    assert before["totalfee"] == FEE


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([], [0] * 5),
        ([(7, 1)], [7] * 5),
        ([(1, 1)] * 100 + [(2, 1)] * 100, [1, 1, 1, 2, 2]),
        ([(9, 15), (1, 9), (2, 16), (4, 50), (5, 10)], [2, 2, 4, 4, 9]),
        ([(1, 10), (2, 15), (3, 25), (4, 25), (5, 15), (6, 10)], [1, 2, 3, 4, 5]),
    ],
)
def test_percentiles_by_weight(rates: list[tuple[int, int]], expected: list[int]) -> None:
    assert rate_percentiles(rates) == expected


@pytest.mark.parametrize(("numbers", "expected"), [([], 0), ([3], 3), ([9, 2], 5), ([9, 1, 2], 2), ([1, 4, 2, 8], 3)])
def test_medians(numbers: list[int], expected: int) -> None:
    assert median(numbers) == expected


# the chain


def chain_stats(lab: Lab, height: int, count: int) -> dict[str, Any]:
    entry, past = lab.tip.ancestor(height), lab.tip.ancestor(height - count)
    sizes = [1, *(len(block.txs) for block in lab.blocks)]
    shape: dict[str, Any] = {
        "time": entry.time,
        "txcount": sum(sizes[: height + 1]),
        "window_final_block_hash": to_hex(entry.hash),
        "window_final_block_height": height,
        "window_block_count": count,
    }
    if count:
        interval, txs = entry.median_time - past.median_time, sum(sizes[height - count + 1 : height + 1])
        shape |= {"window_interval": interval, "window_tx_count": txs, "txrate": pytest.approx(txs / interval)}
    return shape


def test_getchaintxstats(desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.rpc("getchaintxstats") == chain_stats(lab, 112, 111)
    for count in (0, 1, 10, 111):
        assert desk.rpc("getchaintxstats", count) == chain_stats(lab, 112, count)
    middle = to_hex(lab.blocks[49].hash)
    assert desk.rpc("getchaintxstats", None, middle) == chain_stats(lab, 50, 49)
    assert desk.rpc("getchaintxstats", nblocks=7, blockhash=middle) == chain_stats(lab, 50, 7)
    monkeypatch.setattr(queries, "FACTS_MAX", 2)  # what is forgotten is counted again
    desk.give([lab.mine([pay(lab.take())]) for _ in range(3)])
    for count in (1, 3, 50, 113):
        assert desk.rpc("getchaintxstats", count) == chain_stats(lab, 115, count)


def test_getchaintxstats_at_the_beginning(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.rpc("getchaintxstats") == {
        "time": GENESIS.header.time,
        "txcount": 1,
        "window_final_block_hash": to_hex(GENESIS.hash),
        "window_final_block_height": 0,
        "window_block_count": 0,
    }
    assert desk.rpc("getchaintxstats", 0)["window_block_count"] == 0


def test_getchaintxstats_refuses(desk: Desk, lab: Lab) -> None:
    rival = lab.copy().candidate(extra_nonce=9)
    desk.give([lab.mine(), rival])
    count = (-8, "Invalid block count: should be between 0 and the block's height - 1")
    cases: list[tuple[tuple[Any, ...], tuple[int, str]]] = [
        ((-1,), count),
        ((113,), count),
        ((50, to_hex(lab.blocks[49].hash)), count),
        ((1, NOWHERE), (-5, "Block not found")),
        ((1, to_hex(rival.hash)), (-8, "Block is not in main chain")),
        (("1",), (-3, "JSON value of type string is not of expected type number")),
        ((1, "ab"), (-8, "blockhash must be of length 64 (not 2, for 'ab')")),
    ]
    for given, expected in cases:
        assert desk.rpc_error("getchaintxstats", *given) == expected


# indexes


def test_getindexinfo(shared: Desk, make_desk: MakeDesk) -> None:
    kept = shared.rpc("getindexinfo")
    assert kept["txindex"] == {"synced": True, "best_block_height": 112}
    assert shared.rpc("getindexinfo", "txindex") == {"txindex": kept["txindex"]}
    assert shared.rpc("getindexinfo", index_name="nothing") == {}
    assert shared.rpc_error("getindexinfo", 5)[0] == -3
    assert "txindex" not in make_desk(index=False).rpc("getindexinfo")
