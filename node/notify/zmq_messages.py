"""Bitcoin Core's ZeroMQ notifications: topics and bodies, in Core's order (its doc/zmq.md).

Hashes are in the byte order that people read, which Core's document calls little-endian.
"""

from collections.abc import Iterator

from chain.blocktree import fork_point
from chain.hashes import BlockHash, Txid
from chain.tx import Tx
from node.chainstate.tip_change import TipChange
from node.interface.effects import Publish
from node.interface.events import MEMPOOL_ADD, MEMPOOL_REMOVE, REORG, TIP, Reorganised, TipMoved, TxAdded, TxRemoved
from node.mempool.entry import Removal

HASH_BLOCK, HASH_TX, RAW_BLOCK, RAW_TX, SEQUENCE = b"hashblock", b"hashtx", b"rawblock", b"rawtx", b"sequence"
TOPICS = (HASH_BLOCK, HASH_TX, RAW_BLOCK, RAW_TX, SEQUENCE)
HIGH_WATER_MARK = 5_000
"""Messages that wait for one subscriber, Core's 1,000 a topic; beyond, it misses some, as their numbers show."""
CONNECTED, DISCONNECTED, ADDED, REMOVED = b"C", b"D", b"A", b"R"

Notification = tuple[bytes, bytes]
"""Topic and body."""
SOURCES = frozenset({MEMPOOL_ADD, MEMPOOL_REMOVE, REORG, TIP})
"""Topics of the core's that have notifications."""


def size_of(happened: Publish) -> int:
    """About how many bytes it holds on to."""
    about = happened.about
    if isinstance(about, Tx):
        return len(about.raw)
    if isinstance(about, TipChange):
        changes = about.disconnected if happened.topic == REORG else about.connected
        return sum(len(change.block.raw) for change in changes)
    return 0


def notifications(happened: Publish) -> Iterator[Notification]:
    """All that it comes to."""
    about = happened.about
    for event in happened.events:
        match event:
            case TxAdded(txid=txid, sequence=sequence):
                assert isinstance(about, Tx)
                yield from _of_tx(about)
                yield SEQUENCE, _name(txid) + ADDED + _count(sequence)
            case TxRemoved(txid=txid, reason=reason, sequence=sequence) if reason != Removal.CONFIRMED:
                # Of those that are in a block the block's own notifications tell.
                yield SEQUENCE, _name(txid) + REMOVED + _count(sequence)
            case Reorganised():
                assert isinstance(about, TipChange)
                yield from _disconnected(about)
            case TipMoved():
                assert isinstance(about, TipChange)
                yield from _connected(about)


def _disconnected(change: TipChange) -> Iterator[Notification]:
    for left in change.disconnected:
        for tx in left.block.txs:
            yield from _of_tx(tx)
        yield SEQUENCE, _name(left.block.hash) + DISCONNECTED


def _connected(change: TipChange) -> Iterator[Notification]:
    """Every block; as a new tip only those with more work than the tip before, as in Core, which
    goes up a branch block by block and tells of a tip once it is better off than before."""
    old = change.old
    if old.invalid:  # ruled out by the operator: Core then starts from the fork
        old = fork_point(old, change.new)
    for joined in change.connected:
        block, is_tip = joined.block, change.new.ancestor(joined.height).chainwork > old.chainwork
        for tx in block.txs:
            yield from _of_tx(tx)
        yield SEQUENCE, _name(block.hash) + CONNECTED
        if is_tip:
            yield HASH_BLOCK, _name(block.hash)
            yield RAW_BLOCK, block.raw


def _of_tx(tx: Tx) -> Iterator[Notification]:
    yield HASH_TX, _name(tx.txid)
    yield RAW_TX, tx.raw


def _name(hashed: BlockHash | Txid) -> bytes:
    return hashed[::-1]


def _count(number: int) -> bytes:
    return number.to_bytes(8, "little")
