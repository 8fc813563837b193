"""A data directory with something of everything: payments, long histories, long blocks, a branch that was left.

 0 ... 112 - 113 - 114 - a115 - a116                113 pays a script 1,100 times: a block of several rows
                       \\- b115 - b116 - b117        114 spends some of that
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.block import Block
from chain.tx import TxOut
from tests.chainlab import funded, lock, made_by, pay
from tests.damage.disknode import DiskNode

OUTPUTS = 1_100
SESSIONS = {
    "logs": (40, 90, 113),  # a start then makes one table of them all
    "tables": (60, 114, 119),  # all in tables, too few for that
}
"""Of each data directory: after how many blocks the node is stopped and started again. What came before is in
tables then, the rest in logs."""


@dataclass(frozen=True)
class DataSet:
    """What was stored."""

    blocks: list[Block]
    """The best chain's, from height 1 on."""
    left: list[Block]
    """Those of the branch that was the best chain once."""
    scripts: list[bytes]
    """Scripts with a history."""

    @property
    def fork(self) -> int:
        """The height of the last block of both branches."""
        return len(self.blocks) - len(self.left) - 1


def make_blocks() -> DataSet:
    """The chain, the same each time."""
    lab = funded()
    [coin] = lab.take()
    share = coin.coin.value // (2 * OUTPUTS)
    fan = pay([coin], [TxOut(share, lock(number=8))] * OUTPUTS, fee=10_000)
    lab.mine([fan], script=lock(number=1))
    spends = [pay([made_by(fan, index, lab.height)], [TxOut(share - 500, lock(number=9))]) for index in range(40)]
    lab.mine(spends, script=lock(number=1))
    other = lab.copy()
    payments = [pay(lab.take(), [TxOut(10_000 + number, lock(number=8))]) for number in range(5)]
    left = [lab.mine(payments, extra_nonce=3), lab.mine(extra_nonce=3)]
    entered = [other.mine(payments[:3], extra_nonce=4), *[other.mine(extra_nonce=5) for _ in range(2)]]
    return DataSet(other.blocks[:-3] + entered, left, [lock(number=number) for number in (0, 8, 9)])


def store(folder: Path, data: DataSet, sessions: Sequence[int]) -> None:
    """Have a node take all of that in, over several sessions, and stop."""
    order = [*data.blocks[: data.fork], *data.left, *data.blocks[data.fork :]]
    for start, stop in zip((0, *sessions), (*sessions, len(order)), strict=True):
        node = DiskNode(folder)
        node.give(order[start:stop])
        node.make_filters()
        node.close()
