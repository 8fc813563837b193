"""What can be asked about a chain, by every interface: REST, JSON-RPC, peers' requests, pages, filters."""

from collections.abc import Iterator, Sequence

from chain.address import encode_address
from chain.block import Block
from chain.hashes import BlockHash, sha256, to_hex
from node.interface.messages import GetBlocks
from node.p2p.wire.codec import encode
from tests.damage.dataset import DataSet
from tests.damage.disknode import Question, rpc

BLOCK_PATHS = ("", "/raw", "/header", "/status", "/txids", "/txid/0", "/txs")
TX_PATHS = ("", "/hex", "/raw", "/status", "/outspends", "/outspend/0", "/merkle-proof", "/merkleblock-proof")
SCRIPT_PATHS = ("", "/txs", "/txs/chain", "/txs/mempool", "/utxo")
TXS_OF_BLOCK = 1
"""Asked about: the last ones."""
STEP = 13
"""Of the older blocks one in so many is asked about; of the last ones each."""
NEWEST = 8


def questions(data: DataSet) -> list[Question]:
    """All of them; the answers do not depend on the time."""
    blocks = [*data.blocks[:-NEWEST:STEP], *data.blocks[-NEWEST:]]
    asked = [*_of_chain(data.blocks)]
    for block in (*blocks, *data.left):
        asked += _of_block(block)
    for block in blocks:  # of others it depends on when they were made
        asked += _of_filter(block)
    for block in blocks:
        for tx in block.txs[-TXS_OF_BLOCK:]:
            asked += _of_tx(to_hex(tx.txid), block.hash)
    for script in data.scripts:
        asked += _of_script(script)
    return asked


def _of_chain(blocks: Sequence[Block]) -> Iterator[Question]:
    top = len(blocks)
    for path in ("/blocks/tip/height", "/blocks/tip/hash", "/blocks", "/v1/filters/headers/0"):
        yield Question(path)
    yield Question("/explorer/", of_all=True)
    for height in range(0, top + 1, 10):
        yield Question(f"/block-height/{height}")
        yield Question(f"/blocks/{height}")
    for method in ("getblockcount", "getbestblockhash", "gettxoutsetinfo", "getindexinfo"):
        yield rpc(method)
    yield rpc("getchaintips", of_all=True)
    yield rpc("getchaintxstats")
    yield rpc("getblockhash", top)


def _of_block(block: Block) -> Iterator[Question]:
    name, about = to_hex(block.hash), block.hash
    for path in BLOCK_PATHS:
        yield Question(f"/block/{name}{path}", block=about)
    yield Question(f"/explorer/block/{name}", block=about, of_all=True)
    for verbosity in (0, 3):
        yield rpc("getblock", name, verbosity, block=about)
    yield rpc("getblockheader", name, block=about)
    yield rpc("getblockstats", name, block=about)
    yield Question(f"/p2p/block/{name}", p2p=True, block=about)
    yield Question("/p2p/blocks", encode(GetBlocks((block.hash,))), p2p=True, block=about)


def _of_filter(block: Block) -> Iterator[Question]:
    name, about = to_hex(block.hash), block.hash
    yield Question(f"/v1/filters/{name}", block=about)
    yield rpc("getblockfilter", name, block=about)


def _of_tx(txid: str, about: BlockHash) -> Iterator[Question]:
    for path in TX_PATHS:
        yield Question(f"/tx/{txid}{path}", block=about)
    yield Question(f"/explorer/tx/{txid}", block=about, of_all=True)
    yield rpc("getrawtransaction", txid, 2, block=about)
    yield rpc("getrawtransaction", txid, 2, to_hex(about), block=about)
    yield rpc("gettxoutproof", [txid], block=about)
    yield rpc("gettxout", txid, 0, block=about)


def _of_script(script: bytes) -> Iterator[Question]:
    address, name = encode_address(script), sha256(script).hex()
    for path in SCRIPT_PATHS:
        yield Question(f"/address/{address}{path}")
    yield Question(f"/scripthash/{name}")
    yield Question(f"/explorer/address/{address}")
    yield rpc("scantxoutset", "start", [f"raw({script.hex()})"])
