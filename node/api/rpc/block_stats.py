"""Statistics of one block, as Core names them. Amounts are satoshis, sizes bytes, rates satoshis per virtual byte."""

from collections.abc import Sequence

from chain.blocktree import BlockNode
from chain.codec import varint
from chain.coins import is_unspendable
from chain.connect import subsidy
from chain.hashes import to_hex
from chain.params import Params
from chain.tx import WITNESS_SCALE, Tx
from node.api.encoding.json_codec import Shape
from node.api.query.queries import FoundTx

COIN_OVERHEAD = 41
"""Bytes of a coin beside its output: outpoint, height, whether it is a coinbase (Core)."""
PERCENTILES = (10, 25, 50, 75, 90)
"""Percent of the weight that pays this rate or less."""


def block_stats(entry: BlockNode, found: Sequence[FoundTx], params: Params) -> Shape:
    """All statistics of a block whose spent coins are known, genesis' coins left out of the coin set."""
    coinbase, *paying = found
    txs = [one.tx for one in paying]
    fees = [one.fee for one in paying]
    rates = [fee * WITNESS_SCALE // tx.weight for fee, tx in zip(fees, txs, strict=True)]
    weight = sum(tx.weight for tx in txs)
    witness = [tx for tx in txs if tx.has_witness]
    ins = sum(len(tx.inputs) for tx in txs)
    outs = len(coinbase.tx.outputs) + sum(len(tx.outputs) for tx in txs)
    spent_size = sum(_coin_size(coin.script) for one in paying for coin in one.spent if coin)
    every = [output.script for tx in (coinbase.tx, *txs) for output in tx.outputs]
    kept = [script for script in every if not is_unspendable(script)] if entry.height else []
    return {
        "avgfee": sum(fees) // len(txs) if txs else 0,
        "avgfeerate": sum(fees) * WITNESS_SCALE // weight if weight else 0,
        "avgtxsize": _total(txs) // len(txs) if txs else 0,
        "blockhash": to_hex(entry.hash),
        "feerate_percentiles": rate_percentiles([(rate, tx.weight) for rate, tx in zip(rates, txs, strict=True)]),
        "height": entry.height,
        "ins": ins,
        "maxfee": max(fees, default=0),
        "maxfeerate": max(rates, default=0),
        "maxtxsize": max((tx.size for tx in txs), default=0),
        "medianfee": median(fees),
        "mediantime": entry.median_time,
        "mediantxsize": median([tx.size for tx in txs]),
        "minfee": min(fees, default=0),
        "minfeerate": min(rates, default=0),
        "mintxsize": min((tx.size for tx in txs), default=0),
        "outs": outs,
        "subsidy": subsidy(entry.height, params),
        "swtotal_size": _total(witness),
        "swtotal_weight": sum(tx.weight for tx in witness),
        "swtxs": len(witness),
        "time": entry.time,
        "total_out": sum(output.value for tx in txs for output in tx.outputs),
        "total_size": _total(txs),
        "total_weight": weight,
        "totalfee": sum(fees),
        "txs": len(found),
        "utxo_increase": outs - ins,
        "utxo_increase_actual": len(kept) - ins,
        "utxo_size_inc": sum(map(_coin_size, every)) - spent_size,
        "utxo_size_inc_actual": sum(map(_coin_size, kept)) - spent_size,
    }


def median(numbers: Sequence[int]) -> int:
    """The middle one, or the mean of the two in the middle without its fraction; 0 of none."""
    if not numbers:
        return 0
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(numbers) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def rate_percentiles(rates: Sequence[tuple[int, int]]) -> list[int]:
    """Percentiles of rates, each with the weight that pays it: those at PERCENTILES of the weight."""
    total = sum(weight for _, weight in rates)
    found: list[int] = []
    passed, last = 0, 0
    for last, weight in sorted(rates):
        passed += weight
        while len(found) < len(PERCENTILES) and 100 * passed >= PERCENTILES[len(found)] * total:
            found.append(last)
    return found + [last] * (len(PERCENTILES) - len(found))


def _total(txs: Sequence[Tx]) -> int:
    return sum(tx.size for tx in txs)


def _coin_size(script: bytes) -> int:
    """Bytes of an output with this script, and what a coin has besides."""
    return 8 + len(varint(len(script))) + len(script) + COIN_OVERHEAD
