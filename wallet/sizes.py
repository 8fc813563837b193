"""Weights of inputs and outputs before they are signed, and dust thresholds. Pure."""

from collections.abc import Sequence

from chain.codec import varint
from chain.scripttype import ScriptType, classify, witness_program
from chain.tx import WITNESS_SCALE, TxOut, encode_output

P2WPKH_INPUT_WEIGHT = 272
"""Outpoint, empty script and sequence (41 bytes, four units each); then count, signature and key
with their lengths (1 + 73 + 34). The signature is taken at its longest, 72 bytes with its hash
type (low S, any R): a shorter one only means that more than the rate is paid, never less."""
P2WPKH_OUTPUT_WEIGHT = 124
"""Value, length and 22 bytes of script (31 bytes, four units each)."""
WEIGHT_MAX = 400_000
"""Weight units of the heaviest transaction that nodes relay (policy, as in Bitcoin Core)."""
DUST_RATE_SAT_VB = 3
"""An output that costs more than its value to make and spend at this rate is dust."""
_FRAME_WEIGHT = 8 * WITNESS_SCALE + 2
"""Version and lock time, segwit marker and flag."""
_WITNESS_SPEND_SIZE = 32 + 4 + 1 + 107 // WITNESS_SCALE + 4
_LEGACY_SPEND_SIZE = 32 + 4 + 1 + 107 + 4


def vsize_of(weight: int) -> int:
    """Virtual bytes: a quarter of the weight, rounded up."""
    return -(-weight // WITNESS_SCALE)


def outputs_weight(outputs: Sequence[TxOut]) -> int:
    """Weight units of the outputs, their count left out."""
    return sum(len(encode_output(output)) for output in outputs) * WITNESS_SCALE


def spend_weight(inputs: int, outputs: int, inputs_weight: int, outputs_weight: int) -> int:
    """Weight units of a whole segwit transaction: its parts, their counts and the frame."""
    counts = len(varint(inputs)) + len(varint(outputs))
    return _FRAME_WEIGHT + counts * WITNESS_SCALE + inputs_weight + outputs_weight


def dust_threshold(script: bytes) -> int:
    """The least satoshis that an output to `script` may carry: 294 for P2WPKH (Core's GetDustThreshold)."""
    if classify(script) is ScriptType.OP_RETURN:
        return 0
    spend = _WITNESS_SPEND_SIZE if witness_program(script) else _LEGACY_SPEND_SIZE
    return DUST_RATE_SAT_VB * (len(encode_output(TxOut(0, script))) + spend)
