"""`Payment`: a transaction that this wallet signed, and what is known of it. Pure values.

How that knowledge changes is for `wallet.delivery` alone to say.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from chain.hashes import Txid
from chain.tx import OutPoint, Tx, TxOut, decode_tx
from wallet.derivation import KeyPath

BURIED_DEPTH = 6
"""Confirmations after which a transaction is taken for settled."""


class Stage(StrEnum):
    """Stages of a payment. `wallet.delivery` draws the transitions."""

    SIGNED = "signed"
    """Written to the wallet file; no node's answer is recorded yet."""
    HANDED_OUT = "handed-out"
    """Given to a node that refused it, did not answer, or does not show it any more: somebody has it."""
    SEEN = "seen"
    """A node has it, waiting for a block or in one of the newest."""
    BURIED = "buried"
    """The payment is in a block, under enough others."""
    DEAD = "dead"
    """Never to be mined: a buried transaction spends a coin that it needs."""


@dataclass(frozen=True)
class Payment:
    """A signed transaction of this wallet."""

    raw: bytes
    """The transaction as it is sent."""
    fee: int
    """Satoshis."""
    inputs: tuple[tuple[int, KeyPath], ...]
    """Value and key of each coin it spends, in its inputs' order."""
    outputs: tuple[tuple[int, KeyPath], ...]
    """Index and key of each output that comes back to the wallet."""
    sent_height: int
    """The tip's height when it was signed."""
    paid: tuple[TxOut, ...] = ()
    """Amounts and scripts that were ordered. An order with the same is a repetition until `told`."""
    stage: Stage = Stage.SIGNED
    counted: bool = False
    """The last look at the chain showed it: the coins found then are those it left."""
    height: int | None = None
    """Height of the payment's block when last seen in one."""
    buried_at: int | None = None
    """The tip's height when it was first found buried, and has been ever since."""
    reason: str = ""
    """A node's words when it last refused it; empty once one took it."""
    told: bool = False
    """Somebody was told that it was sent."""
    conflict: Txid | None = None
    """The transaction that spends a coin this one needs."""
    parents: tuple[bytes, ...] = ()
    """Unconfirmed transactions of others that it stood on when signed, and theirs."""

    @cached_property
    def tx(self) -> Tx:
        """The transaction."""
        return decode_tx(self.raw)

    @property
    def txid(self) -> Txid:
        """The payment's transaction id."""
        return self.tx.txid

    @property
    def spent(self) -> tuple[OutPoint, ...]:
        """The coins it spends."""
        return tuple(txin.outpoint for txin in self.tx.inputs)

    @cached_property
    def needs(self) -> frozenset[OutPoint]:
        """The coins that it cannot be mined without: its own, and those of the parents it came with."""
        parents = [decode_tx(raw) for raw in self.parents]
        return frozenset(self.spent).union(txin.outpoint for parent in parents for txin in parent.inputs)

    @property
    def family(self) -> frozenset[Txid]:
        """Ids of the payment and of its parents: these spending a coin that it needs is no conflict."""
        return frozenset({self.txid, *(decode_tx(raw).txid for raw in self.parents)})
