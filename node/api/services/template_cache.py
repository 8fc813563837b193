"""The block template that external miners are given, put together once for all that ask.

Choosing transactions and printing them takes time that grows with the mempool, so a template is
kept as long as it is the best one; while a large mempool moves all the time, for a few seconds.
"""

import json
from collections.abc import Callable, Sequence
from threading import Lock

from chain.blocktemplate import build_block
from chain.blocktree import BlockNode
from chain.frozen import value
from chain.hashes import to_hex
from node.api.encoding.json_codec import Rendered, Shape
from node.api.query.block_proposal import check_on_tip
from node.core.view import NodeView
from node.mempool.block_assembler import RESERVED_WEIGHT, select_for_block
from node.mempool.entry import MempoolEntry
from node.runtime.runtime import monotonic

SMALL_POOL_TXS = 500
"""A mempool of so many is looked through again at each change: that takes milliseconds."""
LIFE_S = 5.0
"""Seconds that the template of a larger one is kept, whatever changes (Core)."""
LEAST_LIFE_S = 1.0
"""A long poll brings nobody a new template of the same tip sooner: else who asks again and again,
while payments come in, would be kept busy with it."""


@value
class Template:
    """The content of a block on the present tip, but for its coinbase."""

    parent: BlockNode
    """The tip it is for."""
    changes: int
    """The mempool's, before it was looked through."""
    tx_count: int
    """Number of transactions, without the coinbase."""
    weight: int
    """Weight units, with what is kept for header and coinbase."""
    coinbase_value: int
    """Satoshis that the coinbase may take: subsidy and fees."""
    commitment: bytes
    """The scriptPubKey with which the coinbase commits to the witnesses, its own being 32 zero bytes."""
    txs: Rendered
    """The transactions in BIP22's form."""
    made_at: float
    """Time when it was made, by the monotonic clock."""

    @property
    def longpollid(self) -> str:
        """Names it: the tip, and how far the mempool was."""
        return f"{to_hex(self.parent.hash)}{self.changes}"


class TemplateCache:
    """The last template that was made. From any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self.last: Template | None = None
        """The newest one, if anybody has asked for any."""

    def current(self, view: NodeView, now: int) -> Template:
        """The template to work on now. Where several ask at once, one of them makes it for all. `now` is Unix time
        in seconds. Raises Rejected where it would be refused, ValueError at the end of time."""
        with self._lock:
            last = self.last
            if last is None or self._is_outdated(last, view):
                last = self.last = make_template(view, self._clock(), now)
            return last

    def due_in_s(self, view: NodeView) -> float:
        """Seconds until `current` may give one with what has changed in the mempool meanwhile."""
        last = self.last
        if last is None or last.parent is not view.tip:
            return 0.0
        life_s = LEAST_LIFE_S if len(view.pool) <= SMALL_POOL_TXS else LIFE_S
        return max(0.0, last.made_at + life_s - self._clock())

    def _is_outdated(self, last: Template, view: NodeView) -> bool:
        if last.parent is not view.tip:
            return True
        if last.changes == view.pool.changes:
            return False
        return len(view.pool) <= SMALL_POOL_TXS or self._clock() >= last.made_at + LIFE_S


def make_template(view: NodeView, made_at: float, now: int) -> Template:
    """The best that the mempool has for a block on the view's tip, tested as a whole. Raises Rejected, ValueError."""
    changes = view.pool.changes  # before the choice: what comes while it is made counts as new
    chosen = select_for_block(view.pool)
    fees = sum(entry.fee for entry in chosen)
    block = build_block(view.tip, [entry.tx for entry in chosen], fees, b"", now, view.params)
    check_on_tip(view, block, now)
    claim, commitment = block.txs[0].outputs
    return Template(
        view.tip,
        changes,
        len(chosen),
        RESERVED_WEIGHT + sum(entry.weight for entry in chosen),
        claim.value,
        commitment.script,
        # There are no amounts in coins here, so that Python's own module will do, which is much quicker.
        Rendered(json.dumps(tx_shapes(chosen), separators=(",", ":"))),
        made_at,
    )


def tx_shapes(chosen: Sequence[MempoolEntry]) -> list[Shape]:
    """Transactions in the order of the block, as BIP22 and BIP145 have them. `depends` counts from 1."""
    places: dict[bytes, int] = {}
    shapes: list[Shape] = []
    for place, entry in enumerate(chosen, 1):
        tx = entry.tx
        places[tx.txid] = place
        parents = dict.fromkeys(spent.outpoint[:32] for spent in tx.inputs)
        shapes.append(
            {
                "data": tx.raw.hex(),
                "txid": to_hex(tx.txid),
                "hash": to_hex(tx.wtxid),
                "depends": [places[parent] for parent in parents if parent in places],
                "fee": entry.fee,
                "sigops": entry.sigops,
                "weight": entry.weight,
            }
        )
    return shapes
