"""What stays quick when there is much: many coins, and many transactions of one address.

Coins: the same blocks connected over a set of 50,000 coins and over one of 5,000,000, in turns.
The coins that the payments spend were there before the others, so no cache knows of them.

Address: a real node's answers over HTTP about an address that each transaction of a long chain
spends and pays. Of the newest blocks each has one of its transactions among a thousand others, so
that its first page comes from as many full blocks as it has entries.
"""

import http.client
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time

from chain.block import decode_block
from chain.coins import Coin, CoinsDelta
from chain.params import REGTEST
from chain.scripttype import p2wpkh_script
from chain.tx import OutPoint, TxOut
from node.interface.storage import LedgerChange
from node.storage.recovery import open_store
from tests.bench.busy import BusyChain, busy_chain
from tests.bench.connect import LocalNode
from tests.bench.rows import Bench, Row, seconds
from tests.bench.workload import Chain, payments_chain
from tests.functional.cluster import Cluster

FILL_STEP = 20_000
"""Coins of one commit of the filling."""
SETTLED_SHARE = 0.1
"""Of one processor: below, LevelDB has caught up with what was written."""
SETTLE_LOOK_S = 0.5
SEED = 6


def measure(bench: Bench) -> Iterator[Row]:
    """Bar 6: the connect rate with many coins, and the slowest answers about a busy address."""
    yield from _coins_rows(bench)
    yield from _address_rows(bench)


# many coins


def _coins_rows(bench: Bench) -> Iterator[Row]:
    chain = payments_chain(bench.cache, bench.size(50, 8), 1_000)
    few, many = chain.txs_count, bench.size(5_000_000, 50_000)
    for index in (False, True):
        folders = {}
        for coins in (few, many):
            bench.say(f"a ledger with {coins:,} coins{', with indexes' if index else ''}")
            folders[coins] = bench.folder / f"coins-{coins}-{index}"
            fill(folders[coins], chain, coins, index=index)
        runs = {f"{coins:,} coins": _rate_over(folder, chain, index=index) for coins, folder in folders.items()}
        anchor, ours = bench.in_turns(runs, bench.size(5, 1)).items()
        for folder in folders.values():
            shutil.rmtree(folder)
        name = f"connect over {many:,} coins, {'with indexes' if index else 'no index'}"
        yield Row(name, "tx/s", ours[1], f"over {few:,} coins", anchor[1], 0.8)


def fill(folder: Path, chain: Chain, coins: int, *, index: bool) -> None:
    """Connect the base of the chain, and add as many coins out of nowhere as are missing."""
    with LocalNode(folder, index=index) as node:
        node.connect(chain.base)
    rng = random.Random(SEED)
    store = open_store(folder, REGTEST.network_id)
    tip = store.tip()
    undo = store.undo(tip.height, tip.hash)
    assert undo is not None
    # A commit moves the tip: each of these leaves the newest block and comes back to it.
    newest = (LedgerChange(decode_block(chain.base[-1]), tip.height, undo),)
    for start in range(chain.txs_count, coins, FILL_STEP):
        created = {}
        for _ in range(min(FILL_STEP, coins - start)):
            coin = Coin.make(1, False, TxOut(rng.randrange(1 << 40), p2wpkh_script(rng.randbytes(20))))
            created[OutPoint(rng.randbytes(32) + bytes(4))] = coin
        store.commit(tip.height, tip.hash, CoinsDelta(created, {}), newest, newest)
    store.close()


def _rate_over(folder: Path, chain: Chain, *, index: bool) -> Callable[[], float]:
    def rate() -> float:
        clone = folder.with_name(folder.name + "-clone")
        _clone(folder, clone)
        try:
            with LocalNode(clone, index=index) as node:
                _settle()
                node.connect(chain.payments[:1])  # to warm up
                return chain.rate(seconds(lambda: node.connect(chain.payments[1:])))
        finally:
            shutil.rmtree(clone)

    return rate


def _clone(folder: Path, copy: Path) -> None:
    """A copy to change: LevelDB's tables, which never change, are shared."""

    def put(source: str, target: str) -> None:
        if source.endswith(".ldb"):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(folder, copy, copy_function=put)


def _settle() -> None:
    """Wait until LevelDB has put in order what was written before."""
    share = 1.0
    while share > SETTLED_SHARE:
        start, used = perf_counter(), process_time()
        time.sleep(SETTLE_LOOK_S)
        share = (process_time() - used) / (perf_counter() - start)


# a busy address


def _address_rows(bench: Bench) -> Iterator[Row]:
    txs = bench.size(100_000, 2_000)
    cluster = Cluster(bench.folder)
    try:
        node = cluster.add()
        bench.say(f"an address with {txs:,} transactions")
        chain = busy_chain(node.datadir / cluster.network_name, txs)
        cluster.start(0)
        for what, paths in _questions(chain, bench.size(300, 60)).items():
            runs = {what: lambda paths=paths: slowest_ms(node.api_port, paths)}
            taken = bench.in_turns(runs, bench.size(5, 1))[what]
            yield Row(f"{what}, address with {txs:,} transactions: p99", "ms", taken, bar=15, better="less")
    finally:
        cluster.close()


def _questions(chain: BusyChain, number: int) -> dict[str, Sequence[str]]:
    rng = random.Random(SEED)
    of_address = f"/api/address/{chain.address}"
    pages = [f"{of_address}/txs/chain/{txid}" for txid in rng.sample(chain.txids, number)]
    return {
        "first page of the history": [f"{of_address}/txs"] * number,
        "any page of the history": pages,
        "sums": [of_address] * number,
        f"{chain.coins_count} coins": [f"{of_address}/utxo"] * number,
    }


def slowest_ms(port: int, paths: Sequence[str]) -> float:
    """Milliseconds within which 99 of 100 answers are here, over one connection."""
    taken = []
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for path in paths:
            start = perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            taken.append(perf_counter() - start)
            assert answer.status == 200, path
    return 1000 * sorted(taken)[len(taken) * 99 // 100]
