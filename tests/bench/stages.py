"""Where a transaction's time goes on its way into the chain: processor time of each stage, one thread.

The stages are those of a node, called one after the other on the same blocks, so their sum is the
work; connecting with several processes divides it, see the topic `connect`.
"""

import gc
from collections.abc import Iterator
from time import thread_time

from chain.block import decode_block
from chain.blocktree import BlockTree
from chain.check import check_block, check_body
from chain.connect import connect_block, context_after
from chain.keys import default_engine
from chain.params import REGTEST
from node.daemon import GC_THRESHOLD
from node.interface.storage import LedgerChange
from node.storage.recovery import open_store
from tests.bench.rows import Bench, Row
from tests.bench.workload import Chain, payments_chain

STAGES = (
    "decode: bytes to values, both ids",
    "check the body: two merkle trees",
    "check what needs no context",
    "connect: coins, amounts, signature hashes",
    "signatures (libsecp256k1)",
    "store the body",
    "commit: undo, coins, digest",
    "commit, with indexes",
)


def measure(bench: Bench) -> Iterator[Row]:
    """Microseconds of processor time a transaction."""
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    rounds = [_round(bench, chain, number) for number in range(bench.size(3, 1))]
    for stage in STAGES:
        yield Row(stage, "us/tx", tuple(taken[stage] / chain.txs_count * 1e6 for taken in rounds), better="less")


def _round(bench: Bench, chain: Chain, number: int) -> dict[str, float]:
    gc.set_threshold(GC_THRESHOLD)
    taken = dict.fromkeys(STAGES, 0.0)
    for is_indexed in (False, True):
        _walk(bench, chain, f"{number}-{is_indexed}", is_indexed, taken)
    return taken


def _walk(bench: Bench, chain: Chain, folder: str, is_indexed: bool, taken: dict[str, float]) -> None:
    """Connect the chain stage by stage, adding up what the payments take."""
    bench.say(f"stages, {'with' if is_indexed else 'without'} indexes")
    store = open_store(bench.folder / folder, REGTEST.network_id, index=is_indexed)
    tree, engine = BlockTree(REGTEST), default_engine()
    tip = tree.genesis
    commit = STAGES[7 if is_indexed else 6]
    for raw in (*chain.base, *chain.payments):
        marks = [thread_time()]
        block = decode_block(raw)
        marks.append(thread_time())
        check_body(block)
        marks.append(thread_time())
        check_block(block)
        marks.append(thread_time())
        connected = connect_block(block, context_after(tip), store.coin, REGTEST)
        marks.append(thread_time())
        assert is_indexed or engine.first_failure(b"".join(connected.checks)) is None
        marks.append(thread_time())
        tip = tree.add(block.header)
        store.put_block(tip.height, tip.hash, block.raw, sync=False)
        marks.append(thread_time())
        store.commit(tip.height, tip.hash, connected.delta, (), (LedgerChange(block, tip.height, connected.undo),))
        marks.append(thread_time())
        if tip.height <= len(chain.base):
            continue
        if not is_indexed:
            for position in range(6):
                taken[STAGES[position]] += marks[position + 1] - marks[position]
        taken[commit] += marks[7] - marks[6]
    store.close()
