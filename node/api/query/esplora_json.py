"""Esplora's JSON shapes. Amounts are integers of satoshis.

`inner_redeemscript_asm` and `inner_witnessscript_asm` never occur: they belong to P2SH and P2WSH
spends, of which no block here has any.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from chain.address import encode_address
from chain.block import Header
from chain.blocktree import BlockNode
from chain.coins import Coin
from chain.hashes import to_hex
from chain.scripttype import ScriptType, classify
from chain.target import target_from_bits
from chain.tx import NULL_OUTPOINT, OutPoint, TxIn, outpoint_index
from node.api.encoding.disassembler import esplora_asm
from node.api.encoding.json_codec import Shape
from node.api.query.queries import BlockFacts, FoundTx, SpentBy
from node.interface.storage import ScriptStats
from node.mempool.entry import MempoolEntry

SCRIPTS_KEPT = 4_096
"""Scripts of which what is told is remembered, in some 3 MB at most; beyond, the least used is made again."""
SCRIPT_BYTES_KEPT = 40
"""Longer ones, that have no address, are not remembered."""
UNCONFIRMED: Mapping[str, Any] = MappingProxyType({"confirmed": False})
_DIFFICULTY_1 = target_from_bits(0x1D00FFFF)
_TYPES = MappingProxyType(
    {
        ScriptType.P2PK: "p2pk",
        ScriptType.P2PKH: "p2pkh",
        ScriptType.P2SH: "p2sh",
        ScriptType.P2WPKH: "v0_p2wpkh",
        ScriptType.P2WSH: "v0_p2wsh",
        ScriptType.P2TR: "v1_p2tr",
        ScriptType.OP_RETURN: "op_return",
    }
)


def difficulty(header: Header) -> float:
    """Difficulty, as a multiple of that of Bitcoin's first target."""
    return bits_difficulty(header.bits)


def bits_difficulty(bits: int) -> float:
    """Difficulty of compact bits."""
    return _DIFFICULTY_1 / target_from_bits(bits)


def hash_rate(last: BlockNode, count: int) -> float:
    """Hashes a second that the `count` blocks up to `last` took, by their claimed times (Core); 0 if none went by."""
    first, times = last, [last.time]
    for _ in range(min(count, last.height)):
        assert first.parent is not None
        first = first.parent
        times.append(first.time)
    elapsed_s = max(times) - min(times)
    return (last.chainwork - first.chainwork) / elapsed_s if elapsed_s else 0.0


def status_shape(entry: BlockNode | None) -> Shape:
    """The status of a transaction; None: in the mempool, or nowhere."""
    if entry is None:
        return dict(UNCONFIRMED)
    return {
        "confirmed": True,
        "block_height": entry.height,
        "block_hash": to_hex(entry.hash),
        "block_time": entry.header.time,
    }


def block_shape(entry: BlockNode, facts: BlockFacts) -> Shape:
    """A block without its transactions."""
    header = entry.header
    return {
        "id": to_hex(entry.hash),
        "height": entry.height,
        "version": header.version & 0xFFFFFFFF,
        "timestamp": header.time,
        "tx_count": facts.tx_count,
        "size": facts.size,
        "weight": facts.weight,
        "merkle_root": to_hex(header.merkle_root),
        "previousblockhash": to_hex(entry.parent.hash) if entry.parent else None,
        "mediantime": entry.median_time,
        "nonce": header.nonce,
        "bits": header.bits,
        "difficulty": difficulty(header),
    }


def tx_shape(found: FoundTx, *, confirmed: bool = True) -> Shape:
    """A transaction with what it spends; `confirmed` is False for one of a stale block."""
    tx = found.tx
    spent = found.spent or (None,) * len(tx.inputs)
    return {
        "txid": to_hex(tx.txid),
        "version": tx.version,
        "locktime": tx.lock_time,
        "vin": [_input_shape(one, coin) for one, coin in zip(tx.inputs, spent, strict=True)],
        "vout": [output_shape(output.script, output.value) for output in tx.outputs],
        "size": tx.size,
        "weight": tx.weight,
        "fee": found.fee,
        "status": status_shape(found.entry if confirmed else None),
    }


def output_shape(script: bytes, amount: int) -> Shape:
    """An output, or the coin that an input spends."""
    words = _known_words(script) if len(script) <= SCRIPT_BYTES_KEPT else _script_words(script)
    return {**words, "value": amount}


def _script_words(script: bytes) -> Mapping[str, str]:
    """Statistics of a script."""
    words = {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": esplora_asm(script),
        "scriptpubkey_type": _TYPES.get(classify(script), "unknown") if script else "empty",
    }
    address = encode_address(script)
    return words if address is None else {**words, "scriptpubkey_address": address}


_known_words = lru_cache(SCRIPTS_KEPT)(_script_words)
"""Script descriptions kept: the same few are asked for again and again, in a history and where a payment has many
payees."""


def outspend_shape(spender: SpentBy | None) -> Shape:
    """The spending of an output: whether, and by which input."""
    if spender is None:
        return {"spent": False}
    return {
        "spent": True,
        "txid": to_hex(spender.txid),
        "vin": spender.input_index,
        "status": status_shape(spender.entry),
    }


def utxo_shape(point: OutPoint, coin: Coin, entry: BlockNode | None) -> Shape:
    """An unspent output."""
    return {
        "txid": to_hex(point[:32]),
        "vout": outpoint_index(point),
        "status": status_shape(entry),
        "value": coin.value,
    }


def stats_shape(stats: ScriptStats) -> Shape:
    """A script's sums."""
    return {
        "tx_count": stats.tx_count,
        "funded_txo_count": stats.funded_count,
        "funded_txo_sum": stats.funded_sum,
        "spent_txo_count": stats.spent_count,
        "spent_txo_sum": stats.spent_sum,
    }


def recent_shape(entry: MempoolEntry) -> Shape:
    """A transaction of the mempool in four numbers; `value` is what it spends, as in electrs."""
    return {
        "txid": to_hex(entry.txid),
        "fee": entry.fee,
        "vsize": entry.vsize,
        "value": sum(coin.value for coin in entry.spent),
    }


def _input_shape(one: TxIn, coin: Coin | None) -> Shape:
    shape: Shape = {
        "txid": to_hex(one.outpoint[:32]),
        "vout": outpoint_index(one.outpoint),
        "prevout": None if coin is None else output_shape(coin.script, coin.value),
        "scriptsig": one.script_sig.hex(),
        "scriptsig_asm": esplora_asm(one.script_sig),
    }
    if one.witness:
        shape["witness"] = [item.hex() for item in one.witness]
    shape["is_coinbase"] = one.outpoint == NULL_OUTPOINT
    shape["sequence"] = one.sequence
    return shape
