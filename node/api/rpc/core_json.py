"""Bitcoin Core's JSON shapes. Amounts are `Coins`: printed with 8 decimals from whole satoshis."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from chain.address import encode_address
from chain.block import Block
from chain.blocktree import BlockNode
from chain.coins import Coin, is_unspendable
from chain.hashes import to_hex
from chain.params import REGTEST, Params
from chain.scripttype import ScriptType, classify, payload
from chain.target import target_from_bits
from chain.tx import Tx, TxIn, TxOut, outpoint_index
from node.api.encoding.disassembler import core_asm, descriptor, is_key_form, multisig
from node.api.encoding.json_codec import Coins, Shape
from node.api.query.esplora_json import SCRIPT_BYTES_KEPT, SCRIPTS_KEPT, difficulty
from node.api.query.queries import FoundTx
from node.core.view import NodeView
from node.mempool.entry import MempoolEntry
from node.mempool.view import MempoolView

PAY_TO_ANCHOR = bytes.fromhex("51024e73")
"""The output that anybody may spend to raise its transaction's fee (Core 28)."""


def network_shape(params: Params) -> Shape:
    """`chain` in one of the names that Core's clients know, and the network's own."""
    # Whatever its name, addresses and rules are regtest's, and that is what clients choose by this.
    return {"chain": REGTEST.name, "network": params.name}


def bits_hex(bits: int) -> str:
    """Compact bits as Core prints them."""
    return f"{bits:08x}"


def target_hex(bits: int) -> str:
    """The target as 64 hex digits."""
    return f"{target_from_bits(bits):064x}"


def header_shape(view: NodeView, entry: BlockNode, tx_count: int) -> Shape:
    """A header in its place."""
    header = entry.header
    shape: Shape = {
        "hash": to_hex(entry.hash),
        "confirmations": view.confirmations(entry),
        "height": entry.height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": to_hex(header.merkle_root),
        "time": header.time,
        "mediantime": entry.median_time,
        "nonce": header.nonce,
        "bits": bits_hex(header.bits),
        "target": target_hex(header.bits),
        "difficulty": difficulty(header),
        "chainwork": f"{entry.chainwork:064x}",
        "nTx": tx_count,
    }
    if entry.parent is not None:
        shape["previousblockhash"] = to_hex(entry.parent.hash)
    following = view.entry_at(entry.height + 1) if view.in_best_chain(entry) else None
    if following is not None:
        shape["nextblockhash"] = to_hex(following.hash)
    return shape


def block_shape(view: NodeView, entry: BlockNode, block: Block, txs: list[Any]) -> Shape:
    """A block; `txs` are ids or shapes, as the caller wants them."""
    return {
        **header_shape(view, entry, len(block.txs)),
        "strippedsize": block.stripped_size,
        "size": block.size,
        "weight": block.weight,
        "tx": txs,
    }


def tx_shape(tx: Tx) -> Shape:
    """A transaction by itself."""
    return {
        "txid": to_hex(tx.txid),
        "hash": to_hex(tx.wtxid),
        "version": tx.version,
        "size": tx.size,
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.lock_time,
        "vin": [_input_shape(tx, one) for one in tx.inputs],
        "vout": [
            {"value": Coins(out.value), "n": n, "scriptPubKey": script_shape(out.script)}
            for n, out in enumerate(tx.outputs)
        ],
    }


def found_shape(found: FoundTx, *, fee: bool, prevouts: bool) -> Shape:
    """A transaction with its bytes, and with what it pays and spends where that is wanted and known."""
    shape = tx_shape(found.tx)
    spent = [coin for coin in found.spent if coin is not None]
    if spent and len(spent) == len(found.tx.inputs):
        if prevouts:
            for one, coin in zip(shape["vin"], spent, strict=True):
                one["prevout"] = _prevout_shape(coin)
        if fee:
            shape["fee"] = Coins(found.fee)
    shape["hex"] = found.tx.raw.hex()
    return shape


def script_shape(script: bytes) -> Shape:
    """A scriptPubKey."""
    return dict(_known_words(script) if len(script) <= SCRIPT_BYTES_KEPT else _script_words(script))


def _script_words(script: bytes) -> Mapping[str, str]:
    shape = {"asm": core_asm(script), "desc": descriptor(script), "hex": script.hex()}
    address = encode_address(script)
    if address is not None:
        shape["address"] = address
    shape["type"] = script_type(script)
    return shape


_known_words = lru_cache(SCRIPTS_KEPT)(_script_words)
"""Script descriptions kept, as for Esplora; of these, the checksums take long."""


def script_type(script: bytes) -> str:
    """Core's name for the kind of a scriptPubKey."""
    kind = classify(script)
    if script == PAY_TO_ANCHOR:
        return "anchor"
    if kind is ScriptType.P2PK and not is_key_form(payload(script)):
        return str(ScriptType.NONSTANDARD)
    if kind is ScriptType.NONSTANDARD and multisig(script):
        return "multisig"
    return str(kind)


def txout_shape(output: TxOut, coin: Coin, view: NodeView, *, confirmed: bool) -> Shape:
    """An unspent output."""
    return {
        "bestblock": to_hex(view.tip.hash),
        "confirmations": view.tip.height - coin.height + 1 if confirmed else 0,
        "value": Coins(output.value),
        "scriptPubKey": script_shape(output.script),
        "coinbase": coin.is_coinbase,
    }


def pool_shape(pool: MempoolView, entry: MempoolEntry) -> Shape:
    """A transaction of the mempool among its relatives."""
    return {
        "vsize": entry.vsize,
        "weight": entry.weight,
        "time": int(entry.time),
        "height": entry.height,
        "descendantcount": entry.descendants.count,
        "descendantsize": entry.descendants.vsize,
        "ancestorcount": entry.ancestors.count,
        "ancestorsize": entry.ancestors.vsize,
        "wtxid": to_hex(entry.tx.wtxid),
        "fees": {
            "base": Coins(entry.fee),
            "modified": Coins(entry.fee),
            "ancestor": Coins(entry.ancestors.fee),
            "descendant": Coins(entry.descendants.fee),
        },
        "depends": [to_hex(txid) for txid in entry.parents],
        "spentby": [to_hex(child.txid) for child in pool.children(entry)],
        "bip125-replaceable": True,  # any transaction can be replaced by one that pays more
        "unbroadcast": False,
    }


def _input_shape(tx: Tx, one: TxIn) -> Shape:
    shape: Shape = {}
    if tx.is_coinbase:
        shape["coinbase"] = one.script_sig.hex()
    else:
        shape["txid"] = to_hex(one.outpoint[:32])
        shape["vout"] = outpoint_index(one.outpoint)
        asm = core_asm(one.script_sig, signatures=not is_unspendable(one.script_sig))
        shape["scriptSig"] = {"asm": asm, "hex": one.script_sig.hex()}
    if one.witness:
        shape["txinwitness"] = [item.hex() for item in one.witness]
    shape["sequence"] = one.sequence
    return shape


def _prevout_shape(coin: Coin) -> Shape:
    return {
        "generated": coin.is_coinbase,
        "height": coin.height,
        "value": Coins(coin.value),
        "scriptPubKey": script_shape(coin.script),
    }
