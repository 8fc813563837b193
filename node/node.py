"""The node as a machine without sockets, threads or clock: calls in, a Step out.

Composes the chainstate, the mempool and the network. The runtime (or a simulator) calls it under
one lock, carries out the effects of each Step, and brings back what they came to: `Answer` for
requests to peers, `Verified` for signatures.
"""

import itertools
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.block import Block, Header
from chain.check import check_tx
from chain.connect import Context, context_after
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash, Txid, Wtxid, to_hex
from chain.keys import Engine
from chain.params import Params
from chain.template import build_block
from chain.tree import Entry
from chain.tx import Tx
from node.admission import Admission, Verdict
from node.assembly import select_for_block
from node.chainstate import Chainstate, Examined, TipChange
from node.fees import FeeEstimator
from node.mempool import Mempool
from node.policy import Policy, check_max_fee
from node.pool.entry import Removed
from node.pool.staging import Staged
from node.ports import Answer, Effect, Endpoint, Park, PeerId, Publish, Step, Store, Verified, Verify
from node.view import View

log = logging.getLogger("groat.node")

VERDICT_WAIT_S = 60.0
"""How long a caller waits for the verdict on what it submitted."""
EXPIRE_EVERY_S = 600.0
"""Between two looks for transactions that have waited too long."""


class Submission:
    """One caller's block: remembers that it was handed in, so that asking again asks for the verdict."""

    __slots__ = ("entry", "examined", "was_known")

    def __init__(self, examined: Examined) -> None:
        self.examined = examined
        self.entry: Entry | None = None
        self.was_known = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the mempool would say to a transaction that it would take."""

    txid: Txid
    wtxid: Wtxid
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes."""
