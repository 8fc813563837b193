"""Everything that can be said of a transaction or block without knowing the chain before it."""

from collections.abc import Container

from chain.block import Block, commitment_hash, merkle_root, witness_commitment
from chain.errors import Invalid, Reject
from chain.hashes import Wtxid
from chain.script import legacy_sigops
from chain.scripttype import is_p2wpkh
from chain.tx import MAX_MONEY, NULL_OUTPOINT, WITNESS_SCALE, Tx

MAX_WEIGHT = 4_000_000
"""Limit for a block, and for four times a stripped size (BIP141)."""
MAX_SIGOPS_COST = 80_000
"""Limit for a block; a legacy operation counts four (BIP141)."""
COINBASE_SCRIPT_SIZE = range(2, 101)
"""Bytes that a coinbase's script may have."""
MERKLE_NODE_SIZE = 64


def check_tx(tx: Tx) -> None:
    """Check a transaction by itself, without context. Raises Invalid."""
    if not tx.inputs:
        raise Invalid(Reject.VIN_EMPTY)
    if not tx.outputs:
        raise Invalid(Reject.VOUT_EMPTY)
    if tx.stripped_size * WITNESS_SCALE > MAX_WEIGHT:
        raise Invalid(Reject.OVERSIZE, f"{tx.stripped_size} stripped bytes")
    _check_amounts(tx)
    if tx.is_coinbase:
        if len(tx.inputs[0].script_sig) not in COINBASE_SCRIPT_SIZE:
            raise Invalid(Reject.CB_LENGTH, f"{len(tx.inputs[0].script_sig)} bytes")
        return
    points = [spent.outpoint for spent in tx.inputs]
    # CVE-2018-17144: the same coin twice in one transaction mints coins.
    if len(points) > 1 and len(set(points)) != len(points):
        raise Invalid(Reject.INPUTS_DUPLICATE)
    if NULL_OUTPOINT in points:
        raise Invalid(Reject.PREVOUT_NULL)


def _check_amounts(tx: Tx) -> None:
    """CVE-2010-5139: sums that overflow mint coins."""
    total = 0
    for output in tx.outputs:
        if output.value < 0:
            raise Invalid(Reject.VOUT_NEGATIVE)
        if output.value > MAX_MONEY:
            raise Invalid(Reject.VOUT_TOO_LARGE)
        total += output.value
        if total > MAX_MONEY:
            raise Invalid(Reject.VOUT_TOTAL_TOO_LARGE)


def check_body(block: Block) -> None:
    """The body is the one that its header stands for.

    Raises Invalid about *this body only*: the header may still be an honest block's, whose
    body somebody changed on the way. Never mark a header invalid for it.
    """
    if not block.txs:
        raise Invalid(Reject.BLOCK_LENGTH, "no transactions")
    root, mutated = merkle_root([tx.txid for tx in block.txs])
    if root != block.header.merkle_root:
        raise Invalid(Reject.MERKLE_ROOT)
    if mutated:
        raise Invalid(Reject.MUTATED)
    if not block.txs[0].is_coinbase:
        raise Invalid(Reject.CB_MISSING)
    for tx in block.txs:
        # 64 bytes could be two merkle nodes: a proof would show a transaction that never was.
        if tx.stripped_size == MERKLE_NODE_SIZE:
            raise Invalid(Reject.TX_SIZE_SMALL)
    _check_commitment(block)


def _check_commitment(block: Block) -> None:
    """BIP141's rules for the witnesses of a block."""
    committed = witness_commitment(block.txs[0])
    if committed is None:
        if any(tx.has_witness for tx in block.txs):
            raise Invalid(Reject.UNEXPECTED_WITNESS)
        return
    witness = block.txs[0].inputs[0].witness
    if len(witness) != 1 or len(witness[0]) != 32:
        raise Invalid(Reject.WITNESS_NONCE)
    if commitment_hash(block.txs, witness[0]) != committed:
        raise Invalid(Reject.WITNESS_MERKLE)


def check_block(block: Block, checked: Container[Wtxid] = frozenset()) -> None:
    """The rest of what needs no context, for a block that has passed `check_body`.

    `checked` are witness txids that have passed `check_tx` before. Raises Invalid about the block
    itself.
    """
    stripped = block.stripped_size
    if stripped * WITNESS_SCALE > MAX_WEIGHT:
        raise Invalid(Reject.BLOCK_LENGTH, f"{stripped} stripped bytes")
    if any(tx.is_coinbase for tx in block.txs[1:]):
        raise Invalid(Reject.CB_MULTIPLE)
    for tx in block.txs:
        if tx.wtxid not in checked:
            check_tx(tx)
    cost = legacy_sigops_cost(block.txs)
    if cost > MAX_SIGOPS_COST:
        raise Invalid(Reject.BLOCK_SIGOPS, f"legacy cost {cost}")


def legacy_sigops_cost(txs: tuple[Tx, ...]) -> int:
    """Four for each signature operation in any scriptSig or scriptPubKey, run or not."""
    count = 0
    for tx in txs:
        for spent in tx.inputs:
            if spent.script_sig:
                count += legacy_sigops(spent.script_sig)
        for output in tx.outputs:
            script = output.script
            if not is_p2wpkh(script):  # the usual type, and it has none
                count += legacy_sigops(script)
    return count * WITNESS_SCALE
