"""The page of a block, on any branch."""

from enum import StrEnum

from chain.address import encode_address
from chain.block import HEADER_SIZE, Header
from chain.blocktree import BlockNode, fork_point
from chain.codec import read_varint
from chain.connect import subsidy
from chain.frozen import value
from chain.hashes import to_hex
from chain.target import work_from_bits
from chain.tx import Tx, read_tx
from node.api.context import Call
from node.api.explorer.formatting import letters
from node.api.explorer.rows import BlockRow, TxRow, block_row, found_row
from node.api.query.esplora_json import difficulty
from node.api.query.queries import FoundTx, block_txs, raw_block
from node.core.view import NodeView

TXS_PER_PAGE = 25
CHILDREN_SHOWN = 6
"""Children that are listed, of all branches."""


class BlockStatus(StrEnum):
    """The status of a block."""

    BEST = "best"
    STALE = "stale"
    """Valid as far as is known, and outside the best chain."""
    INVALID = "invalid"
    HEADER = "header only"
    """The block's body is not here."""


def standing(view: NodeView, entry: BlockNode) -> BlockStatus:
    """The status of a block."""
    if view.in_best_chain(entry):
        return BlockStatus.BEST
    if entry.invalid:
        return BlockStatus.INVALID
    return BlockStatus.STALE if entry.has_body else BlockStatus.HEADER


@value
class AdjacentBlock:
    """Another block that a page links to."""

    hash: str
    height: int
    standing: BlockStatus


@value
class Reward:
    """The reward of a block."""

    total: int
    """Satoshis."""
    subsidy: int
    fees: int
    address: str | None
    """Address of the largest output, if its script has one."""
    text: str
    """The coinbase's script as text."""


@value
class BlockPage:
    """A block."""

    row: BlockRow
    header: Header
    standing: BlockStatus
    confirmations: int
    """Blocks on top, itself included; 0 outside the best chain."""
    median_time: int
    weight: int
    difficulty: float
    work: int
    """Expected hashes."""
    chainwork: int
    reward: Reward | None
    """The block's reward; None without a body."""
    previous: AdjacentBlock | None
    following: list[AdjacentBlock]
    rivals: list[AdjacentBlock]
    """Other blocks with the same parent."""
    fork: AdjacentBlock | None
    """The last block that its branch shares with the best chain; None on that chain."""
    in_its_place: str | None
    """The best chain's block at this height, if it is another."""
    txs: list[TxRow]
    first: int
    """Position of the first of these."""


def block_page(call: Call, entry: BlockNode, first: int) -> BlockPage:
    """A block and its transactions from position `first` on."""
    view, row = call.view, block_row(call, entry)
    facts = call.measures.of(view, entry)
    place, best = standing(view, entry), view.entry_at(entry.height)
    coinbase = _coinbase(view, entry)
    found = block_txs(view, entry, first, TXS_PER_PAGE)
    is_best = place is BlockStatus.BEST
    return BlockPage(
        row=row,
        header=entry.header,
        standing=place,
        confirmations=max(0, view.confirmations(entry)),
        median_time=entry.median_time,
        weight=facts.weight if facts else 0,
        difficulty=difficulty(entry.header),
        work=work_from_bits(entry.header.bits),
        chainwork=entry.chainwork,
        reward=_reward(call, entry, coinbase) if coinbase else None,
        previous=_neighbour(view, entry.parent) if entry.parent else None,
        following=_children(view, entry, None),
        rivals=_children(view, entry.parent, entry) if entry.parent else [],
        fork=None if is_best else _neighbour(view, fork_point(entry, view.tip)),
        in_its_place=to_hex(best.hash) if best and not is_best else None,
        txs=[found_row(one) for one in found],
        first=first,
    )


def _coinbase(view: NodeView, entry: BlockNode) -> Tx | None:
    """A block's first transaction, without a look at the others; None where only the header is here."""
    raw = raw_block(view, entry)
    return None if raw is None else read_tx(raw, read_varint(raw, HEADER_SIZE)[1])[0]


def _neighbour(view: NodeView, entry: BlockNode) -> AdjacentBlock:
    return AdjacentBlock(to_hex(entry.hash), entry.height, standing(view, entry))


def _children(view: NodeView, parent: BlockNode, without: BlockNode | None) -> list[AdjacentBlock]:
    """Children, those of the best chain first, the others from the newest on."""
    found: list[AdjacentBlock] = []
    child = parent.last_child
    while child is not None and len(found) < CHILDREN_SHOWN:
        if child is not without:
            found.append(_neighbour(view, child))
        child = child.previous_sibling
    best = view.entry_at(parent.height + 1) if view.in_best_chain(parent) else None
    if best is not None and best is not without:
        mine = _neighbour(view, best)
        found = [mine, *(one for one in found if one.hash != mine.hash)]
    return found


def _reward(call: Call, entry: BlockNode, coinbase: Tx) -> Reward:
    total = sum(output.value for output in coinbase.outputs)
    created = subsidy(entry.height, call.view.params)
    largest = max(coinbase.outputs, key=lambda output: output.value)
    # A miner may take less than it could; then there are no fees to tell of.
    return Reward(
        total,
        min(created, total),
        max(0, total - created),
        encode_address(largest.script),
        letters(coinbase.inputs[0].script_sig),
    )


def tx_of_block(view: NodeView, entry: BlockNode, txid: bytes) -> FoundTx | None:
    """A transaction of a block of any branch; looks at one after the other."""
    found = block_txs(view, entry, 0, 1 << 20)
    return next((one for one in found if one.tx.txid == txid), None)
