"""JSON-RPC about proofs that transactions are in a block."""

from typing import Any

from chain.blocktree import BlockNode
from chain.errors import Invalid
from chain.hashes import BlockHash, Txid, to_hex
from node.api.actions.core_errors import BAD_VALUE, MISC, NOT_FOUND, RpcError
from node.api.context import Call
from node.api.encoding.merkleblock import merkle_block, proven_txids, read_merkle_block
from node.api.query.queries import block_txids, find_confirmed
from node.api.rpc.args import Arg, block_hash, hash_in, hex_bytes, wrong_type
from node.api.rpc.blockchain import known_block, no_body
from node.api.rpc.method import topic

_NOT_CANONICAL = "non-canonical ReadCompactSize()"


def gettxoutproof(call: Call, txids: list[Txid], block_hash: BlockHash | None) -> str:
    """A proof in hex (BIP37's merkleblock) that a block has these transactions; of one block only."""
    entry = _block_with(call, txids) if block_hash is None else known_block(call.view, block_hash)
    listed = block_txids(call.view, entry)
    if listed is None:
        raise no_body()
    wanted = set(txids)
    positions = {position for position, txid in enumerate(listed) if txid in wanted}
    if len(positions) != len(wanted):
        raise RpcError(NOT_FOUND, "Not all transactions found in specified or retrieved block")
    return merkle_block(entry.header, listed, positions).hex()


def verifytxoutproof(call: Call, proof: bytes) -> list[str]:
    """The ids of the transactions that a proof shows to be in a block of the best chain; none if it is wrong."""
    try:
        block = read_merkle_block(proof)
    except Invalid as error:
        # Core's deserialisation has no other words.
        what = "DataStream::read(): end of data" if "canonical" not in error.detail else _NOT_CANONICAL
        raise RpcError(MISC, f"{what}: iostream error") from None
    txids = proven_txids(block)
    if txids is None:
        return []
    entry = call.view.get(block.header.hash)
    if entry is None or not call.view.in_best_chain(entry):
        raise RpcError(NOT_FOUND, "Block not found in chain")
    facts = call.measures.of(call.view, entry)
    # CVE-2017-12842: a tree of another depth could pass a node off as a transaction.
    if facts is None or facts.tx_count != block.tx_count:
        return []
    return [to_hex(txid) for txid in txids]


def _block_with(call: Call, txids: list[Txid]) -> BlockNode:
    """The block of the best chain that has the first of these that is in any. Raises RpcError, NoIndex."""
    for txid in txids:
        place = find_confirmed(call.view, txid)
        if place is not None:
            return place[0]
    raise RpcError(NOT_FOUND, "Transaction not yet in block")


def _read_txids(_: str, content: Any) -> list[Txid]:
    """An array of ids, at least one, none twice. Raises RpcError."""
    if not isinstance(content, list):
        raise wrong_type(content, "array")
    if not content:
        raise RpcError(BAD_VALUE, "Parameter 'txids' cannot be empty")
    txids: dict[Txid, None] = {}
    for given in content:
        txid = Txid(hash_in("txid", given))
        if txid in txids:
            raise RpcError(BAD_VALUE, f"Invalid parameter, duplicated txid: {given}")
        txids[txid] = None
    return list(txids)


METHODS = topic(
    "Blockchain",
    (gettxoutproof, Arg("txids", _read_txids, "array"), block_hash("blockhash", None)),
    (verifytxoutproof, hex_bytes("proof")),
)
"""About proofs."""
