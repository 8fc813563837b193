"""Inputs and outputs as a transaction's page shows them."""

from chain.address import encode_address
from chain.coins import Coin
from chain.frozen import value
from chain.hashes import to_hex
from chain.scripttype import ScriptType, classify
from chain.tx import Tx, TxOut, outpoint, outpoint_index, outpoint_txid
from node.api.encoding.disassembler import esplora_asm
from node.api.explorer.formatting import letters, message
from node.api.query.queries import NoIndex, SpentBy, find_spender
from node.core.view import NodeView

SCRIPT_MAX = 600
"""Characters of a script or witness that are shown; the rest is in the hex."""
WITNESS_MAX = 10
"""Items of an input's witness that are shown."""


@value
class TxSide:
    """An input or an output."""

    index: int
    amount: int | None
    """Satoshis; None where the coin is unknown."""
    address: str | None
    kind: str
    """Type of its script, in Bitcoin Core's words."""
    asm: str
    script: str
    """Hex."""
    text: str | None = None
    """Text in an OP_RETURN or a coinbase."""
    other_txid: str | None = None
    """Transaction of an input's source or an output's spender; None without one."""
    other_index: int = 0
    other_height: int | None = None
    """Height of the spender's block; None in the mempool."""
    is_unspent: bool = False
    """True for an output that somebody could still spend."""
    witness: tuple[str, ...] = ()
    sequence: int = 0


def input_side(tx: Tx, index: int, coin: Coin | None) -> TxSide:
    """An input that spends `coin`, which may be unknown; of a coinbase, which spends none, what it makes."""
    one = tx.inputs[index]
    asm, script = _cut(esplora_asm(one.script_sig)), _cut(one.script_sig.hex())
    witness = tuple(_cut(item.hex()) for item in one.witness[:WITNESS_MAX])
    if tx.is_coinbase:
        total = sum(output.value for output in tx.outputs)
        text = letters(one.script_sig)
        return TxSide(index, total, None, "coinbase", asm, script, text, witness=witness, sequence=one.sequence)
    return TxSide(
        index,
        coin.value if coin else None,
        encode_address(coin.script) if coin else None,
        classify(coin.script).value if coin else "unknown",
        asm,
        script,
        other_txid=to_hex(outpoint_txid(one.outpoint)),
        other_index=outpoint_index(one.outpoint),
        witness=witness,
        sequence=one.sequence,
    )


def output_side(view: NodeView, tx: Tx, index: int, is_current: bool) -> TxSide:
    """An output, and who spends it; `is_current` is False for one of a stale block."""
    output, point = tx.outputs[index], outpoint(tx.txid, index)
    kind = classify(output.script)
    spender: SpentBy | None = None
    is_unspent = False
    if is_current and kind is not ScriptType.OP_RETURN:
        try:
            spender = find_spender(view, point)
            is_unspent = spender is None
        except NoIndex:
            pass  # spent, and nobody here knows by whom
    return TxSide(
        index,
        output.value,
        encode_address(output.script),
        kind.value,
        _cut(esplora_asm(output.script)),
        _cut(output.script.hex()),
        _said(output) if kind is ScriptType.OP_RETURN else None,
        to_hex(spender.txid) if spender else None,
        spender.input_index if spender else 0,
        spender.entry.height if spender and spender.entry else None,
        is_unspent,
    )


def _said(output: TxOut) -> str | None:
    """The text behind an OP_RETURN, if it is one: of the first push, or of all without one."""
    script = output.script[1:]
    if script[:1] and 1 <= script[0] <= 75 and len(script) == script[0] + 1:
        script = script[1:]
    elif script[:1] == b"\x4c" and len(script) >= 2:
        script = script[2:]
    return message(script)


def _cut(text: str) -> str:
    return text if len(text) <= SCRIPT_MAX else text[:SCRIPT_MAX] + "…"
