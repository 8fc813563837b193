"""The page of a transaction: its inputs, its outputs, and where their coins come from and go."""

from collections.abc import Sequence

from chain.frozen import value
from chain.hashes import to_hex
from chain.tx import SEQUENCE_FINAL, Tx
from node.api.context import Call
from node.api.explorer.draw.flow import Flow, draw_flow
from node.api.explorer.inputs_outputs import TxSide, input_side, output_side
from node.api.query.queries import FoundTx
from node.mempool.entry import MempoolEntry

SIDE_MAX = 12
"""Inputs, and outputs, that are shown at once; the others are on further pages."""
RAW_MAX = 4_000
"""Bytes of a transaction whose hex is on the page; of a longer one there is a link."""
RELATIVES_MAX = 10
"""Unconfirmed parents and children that are listed."""
REPLACEABLE_MAX = SEQUENCE_FINAL - 2
"""Sequence numbers up to this say that a transaction may be replaced (BIP125)."""


@value
class TxPage:
    """A transaction."""

    txid: str
    wtxid: str
    tx: Tx
    is_coinbase: bool
    entry_hash: str | None
    """Hash of the transaction's block; None in the mempool."""
    height: int | None
    confirmations: int
    """0 in the mempool, and on a branch that is not the best chain."""
    is_stale: bool
    time: float
    fee: int | None
    rate: float | None
    """Satoshis per virtual byte."""
    total_in: int | None
    total_out: int
    inputs: list[TxSide]
    outputs: list[TxSide]
    first_input: int
    first_output: int
    side_max: int
    """Inputs, and outputs, on a page."""
    flow: Flow
    is_replaceable: bool
    waits_for: list[str]
    """Unconfirmed transactions that it spends from."""
    awaited_by: list[str]
    package_rate: float | None
    """Together with its unconfirmed ancestors, in satoshis per virtual byte."""
    raw: str | None
    """Hex; None where that is too long for a page."""
    knows_spenders: bool


def tx_page(call: Call, found: FoundTx, first_input: int, first_output: int) -> TxPage:
    """A transaction, and its inputs and outputs from these on."""
    view, tx, entry, pooled = call.view, found.tx, found.entry, found.unconfirmed
    spent = found.spent or (None,) * len(tx.inputs)
    known = not tx.is_coinbase and None not in spent
    total_in = sum(coin.value for coin in spent if coin) if known else None
    total_out = sum(output.value for output in tx.outputs)
    is_best = entry is not None and view.in_best_chain(entry)
    if tx.is_coinbase and entry is not None:
        # What is created: the subsidy, and the fees of the others.
        total_in = total_out
    fee = found.fee if known else None
    inputs = [
        input_side(tx, index, spent[index]) for index in range(first_input, min(len(tx.inputs), first_input + SIDE_MAX))
    ]
    shown = range(first_output, min(len(tx.outputs), first_output + SIDE_MAX))
    knows = view.reader.has_index
    outputs = [output_side(view, tx, index, is_best or pooled is not None) for index in shown]
    return TxPage(
        txid=to_hex(tx.txid),
        wtxid=to_hex(tx.wtxid),
        tx=tx,
        is_coinbase=tx.is_coinbase,
        entry_hash=to_hex(entry.hash) if entry else None,
        height=entry.height if entry else None,
        confirmations=max(0, view.confirmations(entry)) if entry else 0,
        is_stale=entry is not None and not is_best,
        time=pooled.time if pooled else float(entry.time if entry else 0),
        fee=fee,
        rate=None if fee is None else fee / tx.vsize,
        total_in=total_in,
        total_out=total_out,
        inputs=inputs,
        outputs=outputs,
        first_input=first_input,
        first_output=first_output,
        side_max=SIDE_MAX,
        flow=draw_flow(
            _amounts(inputs, len(tx.inputs), total_out if tx.is_coinbase else total_in),
            _amounts(outputs, len(tx.outputs), total_out),
            fee or 0,
        ),
        is_replaceable=any(one.sequence <= REPLACEABLE_MAX for one in tx.inputs),
        waits_for=_names(view.pool.parents(pooled)) if pooled else [],
        awaited_by=_names(view.pool.children(pooled)) if pooled else [],
        package_rate=pooled.ancestors.fee / pooled.ancestors.vsize if pooled and pooled.parents else None,
        raw=tx.raw.hex() if len(tx.raw) <= RAW_MAX else None,
        knows_spenders=knows,
    )


def _amounts(sides: Sequence[TxSide], count: int, total: int | None) -> list[int]:
    """Amounts of the sides, and that of all others together if there are any."""
    amounts = [side.amount or 0 for side in sides]
    return amounts if len(sides) == count else [*amounts, max(0, (total or 0) - sum(amounts))]


def _names(entries: Sequence[MempoolEntry]) -> list[str]:
    return [to_hex(entry.txid) for entry in entries[:RELATIVES_MAX]]
