"""What a rule's case is: a block made on a small chain, and the one right verdict on it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chain.block import Block
from chain.errors import Reject
from chain.scripttype import ScriptType
from chain.tx import SEQUENCE_FINAL, Tx, TxIn, TxOut, make_tx, outpoint
from tests.chainlab import FEE, Lab, funded, pay, with_input

Candidate = Block | bytes
"""A block, or the bytes of something that may not decode."""


class Stricter(StrEnum):
    """Everything that Bitcoin Core's consensus accepts and this node refuses. Complete."""

    HIGH_S = "high S"
    KEY_FORM = "uncompressed or hybrid keys"
    HASH_TYPE = "undefined hash types"
    TAPROOT_EXTRAS = "annex and script path"
    P2PKH_PUSHES = "extra or non-minimal P2PKH pushes"
    SINGLE_ALONE = "SINGLE without an output"
    SIZE_64 = "64-byte transactions"
    SCRIPT_KIND = "other script kinds"


@dataclass(frozen=True)
class Case:
    """One block and its verdict."""

    name: str
    mutate: Callable[[Lab], Candidate | list[Candidate]]
    """Makes the block on `on`'s tip; of a list all but the last are offered first, and refused."""
    expect: Reject | None
    """The verdict: None is acceptance."""
    core: str | None = None
    """Core's code where it refuses by another rule than ours, or in other words."""
    stricter: Stricter | None = None
    """Core accepts it."""
    on: str = "funded"
    """The chain below: "funded" (112 blocks, mature coins), or "b15": 15 blocks of coinbases."""

    def __str__(self) -> str:
        return self.name


@functools.cache
def _bare(height: int) -> Lab:
    if height == 0:
        return Lab()
    lab = _bare(height - 1).copy() if height < 20 else _bare(height - 20).copy()
    lab.mine_empty(height - lab.height)
    return lab


def lab_on(name: str) -> Lab:
    """A chain of a test's own to build on."""
    return funded() if name == "funded" else _bare(int(name.removeprefix("b"))).copy()


def one_payment(lab: Lab, kind: ScriptType = ScriptType.P2WPKH) -> Tx:
    """A good payment from a coin of that kind."""
    return pay(lab.take(kind))


def block_of(make: Callable[[Lab], Tx | Sequence[Tx]]) -> Callable[[Lab], Block]:
    """A block around a transaction, or around several."""

    def mutate(lab: Lab) -> Block:
        made = make(lab)
        return lab.candidate([made] if isinstance(made, Tx) else list(made))

    return mutate


Unlock = Callable[[Tx, TxOut], tuple[bytes, tuple[bytes, ...]]]
"""From the unsigned transaction and the output that it spends: the scriptSig and the witness."""


def spend_of(
    script: bytes, unlock: Unlock, *, outputs: int = 1, value: int = 50_000, sequence: int = SEQUENCE_FINAL
) -> Callable[[Lab], Block]:
    """A block that pays to `script` and at once spends that output as `unlock` says."""

    def mutate(lab: Lab) -> Block:
        [owned] = lab.take(ScriptType.P2TR)
        change = TxOut(owned.coin.value - value - FEE, lab.blocks[0].txs[0].outputs[0].script)
        fund = pay([owned], [TxOut(value, script), change])
        made = tuple(TxOut((value - FEE) // outputs, change.script) for _ in range(outputs))
        bare = make_tx(2, (TxIn(outpoint(fund.txid, 0), b"", sequence),), made, 0)
        script_sig, witness = unlock(bare, fund.outputs[0])
        return lab.candidate([fund, with_input(bare, script_sig=script_sig, witness=witness)])

    return mutate
