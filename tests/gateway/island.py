"""Nodes without peers: what one hears of another, and when, is up to the test that carries it there."""

import itertools
import math
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chain.tx import COIN
from devnet.rpc import NodeRpcError
from tests.functional.cluster import Cluster, make_cluster

BURN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""Whose key is in the standards: nobody's coins."""
MATURITY = 100
PASSES = 4
"""A parent may come after its child in a mempool's list; so many generations are carried at once."""
SHARE_MAX, RATE_SAT_VB, FEE_MAX = 10, 10, COIN // 10


def fee_ceiling(paid: int, vsize: float) -> int:
    """What a payment may cost unless a person names its fee: a tenth of what is paid, or ten satoshis
    a virtual byte if that is more; and a tenth of a coin at most."""
    return min(FEE_MAX, max(paid // SHARE_MAX, math.ceil(vsize) * RATE_SAT_VB))


class Islands:
    """Some of a cluster's nodes, and ferries between them."""

    def __init__(self, cluster: Cluster, indexes: Sequence[int]) -> None:
        self.cluster = cluster
        self.indexes = list(indexes)

    def rpc(self, index: int, method: str, *params: Any) -> Any:
        """One call."""
        return self.cluster.rpc(index, method, *params)

    def mine(self, index: int, blocks: int = 1, address: str = BURN) -> None:
        """Blocks with all that the node has."""
        self.rpc(index, "generatetoaddress", blocks, address)

    def carry_blocks(self, source: int, target: int) -> None:
        """The best chain of one node, as far as the other lacks it."""
        missing = []
        block = self.rpc(source, "getbestblockhash")
        while not self._knows(target, block):
            missing.append(block)
            block = self.rpc(source, "getblockheader", block)["previousblockhash"]
        for block in reversed(missing):
            self.rpc(target, "submitblock", self.rpc(source, "getblock", block, 0))

    def carry_payments(self, source: int, target: int) -> None:
        """What waits at one node and the other takes."""
        there = set(self.rpc(target, "getrawmempool"))
        left = [txid for txid in self.rpc(source, "getrawmempool") if txid not in there]
        for _ in range(PASSES):
            left = [txid for txid in left if not self.offer(target, self.rpc(source, "getrawtransaction", txid))]
            if not left:
                return

    def unite(self, *, payments: bool = True) -> None:
        """One best chain for all; `payments` too as far as nothing contradicts them."""
        if len(self._tips()) > 1:
            for source, target in self._pairs():
                self.carry_blocks(source, target)
        if len(self._tips()) > 1:  # branches with the same work: one more block decides
            self.mine(self.indexes[0])
            self.unite(payments=False)
        if payments:
            for source, target in self._pairs():
                self.carry_payments(source, target)

    def restart(self, index: int) -> None:
        """SIGKILL, and the same command again."""
        self.cluster.kill(index)
        self.cluster.start(index)

    def _pairs(self) -> list[tuple[int, int]]:
        return list(itertools.permutations(self.indexes, 2))

    def _tips(self) -> set[str]:
        return {self.rpc(index, "getbestblockhash") for index in self.indexes}

    def _knows(self, index: int, block: str) -> bool:
        try:
            self.rpc(index, "getblockheader", block)
        except NodeRpcError:
            return False
        return True

    def value_of(self, index: int, txid: str, output: int) -> int | None:
        """Satoshis of an output, spent or not; None for one that never was."""
        found = self.cluster.request(index, "GET", f"/api/tx/{txid}")
        return int(found.json()["vout"][output]["value"]) if found.status == HTTPStatus.OK else None

    def offer(self, index: int, raw: str) -> bool:
        """A transaction in hex; False if it is refused."""
        try:
            self.rpc(index, "sendrawtransaction", raw)
        except NodeRpcError:
            return False
        return True


def make_islands(folder: Path, nodes: int) -> Islands:
    """Running nodes that know nobody. Their `cluster` is to be closed."""
    cluster = make_cluster(folder, nodes, (), (), "regtest")
    try:
        cluster.start()
    except BaseException:
        cluster.close()
        raise
    return Islands(cluster, range(nodes))
