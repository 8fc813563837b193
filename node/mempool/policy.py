"""Policy: the transactions that this node keeps in its mempool and relays, beyond what consensus asks for.

Owns the numbers and the rules about a transaction by itself. What depends on the rest of the
pool (chains, replacement, the fee floor of a full pool) is `node/mempool/`'s; the codes of both are
here. Codes and defaults are Bitcoin Core's, and so is the rate's unit: satoshis per 1,000 virtual
bytes, rounded up to whole satoshis.
"""

from enum import StrEnum

from chain.errors import Rejected
from chain.keys import is_x_only
from chain.scripttype import SPENDABLE_KINDS, ScriptType, classify, p2pkh_script, p2tr_script, p2wpkh_script, payload
from chain.tx import WITNESS_SCALE, Tx

MIN_RELAY_FEE_SAT_KVB = 1000
"""Nothing below this rate is relayed."""
INCREMENTAL_FEE_SAT_KVB = 1000
"""Fee rate of a replacement's own relay, paid on top, and the step of the full pool's floor."""
DUST_FEE_SAT_KVB = 3000
"""An output is dust if spending it at this rate costs more than it holds."""
MAX_TX_WEIGHT = 400_000
"""Limit for one transaction."""
MIN_TX_SIZE = 65
"""Stripped bytes: 64 could pass for a merkle node (BIP54, CVE-2017-12842)."""
MAX_SCRIPT_SIG_SIZE = 1650
"""Bytes of one scriptSig."""
MAX_DATA_SCRIPT_SIZE = 83
"""Bytes of an OP_RETURN script, the operator included."""
STANDARD_VERSIONS = (1, 2)
"""Version 3 would promise BIP431's topology rules, which this node does not keep."""
MAX_ANCESTORS = 25
"""Transactions of an unconfirmed chain, counted from its newest, that one included."""
MAX_DESCENDANTS = 25
"""Transactions of an unconfirmed chain, counted from its oldest, that one included."""
MAX_CHAIN_VSIZE = 101_000
"""Virtual bytes that either of the two chains may have."""
MAX_REPLACED = 100
"""Transactions that one replacement may push out (BIP125, rule 5)."""
EXPIRY_S = 336 * 3600
"""Seconds that a transaction waits to be mined."""

_OP_RETURN_SIZE = 1
_LAST_PUSH = 0x60
"""OP_16: every operator up to here pushes (OP_RESERVED, 0x50, counts as one, as in Core)."""


class Policy(StrEnum):
    """Every rule of this node's own that can say no. Core's words where Core has the rule."""

    # The transaction by itself
    COINBASE = "coinbase"
    """A coinbase outside a block."""
    VERSION = "version"
    """Neither version 1 nor 2."""
    TX_SIZE = "tx-size"
    """Weight above 400,000."""
    TX_SIZE_SMALL = "tx-size-small"
    """Fewer than 65 stripped bytes."""
    SCRIPTSIG_SIZE = "scriptsig-size"
    """A scriptSig over 1,650 bytes."""
    SCRIPTSIG_NOT_PUSHONLY = "scriptsig-not-pushonly"
    """A scriptSig that does more than push."""
    SCRIPTPUBKEY = "scriptpubkey"
    """An output that this node could never spend, OP_RETURN with up to 83 bytes excepted."""
    MULTI_OP_RETURN = "multi-op-return"
    """More than one OP_RETURN output."""
    DUST = "dust"
    """An output worth less than what spending it costs."""

    # The transaction and its coins
    NON_FINAL = "non-final"
    """The transaction's lock time is not over in the next block (not permanent)."""
    NON_BIP68_FINAL = "non-BIP68-final"
    """A relative lock of an input is not over in the next block (not permanent)."""
    ALREADY_KNOWN = "txn-already-known"
    """The transaction is confirmed: outputs of it are in the coin set."""
    SCRIPT_VERIFY = "mempool-script-verify-flag-failed"
    """A signature, key or witness that is wrong for the coin it spends (permanent)."""
    MIN_RELAY_FEE = "min relay fee not met"
    """The fee is below the rate at which this node relays at all."""
    MAX_FEE_EXCEEDED = "max-fee-exceeded"
    """The fee is above the rate that whoever submitted the transaction was ready to pay."""

    # The transaction and the rest of the pool
    ALREADY_IN_MEMPOOL = "txn-already-in-mempool"
    """The transaction is in the mempool."""
    SAME_NONWITNESS = "txn-same-nonwitness-data-in-mempool"
    """The transaction is in the mempool with other witnesses."""
    MEMPOOL_MIN_FEE = "mempool min fee not met"
    """The fee is below the floor that a full pool has raised."""
    MEMPOOL_FULL = "mempool full"
    """There is no room, and nobody in the pool pays less."""
    TOO_LONG_CHAIN = "too-long-mempool-chain"
    """The unconfirmed chain would have more than 25 transactions or 101,000 vB."""
    SPENDS_CONFLICTING = "bad-txns-spends-conflicting-tx"
    """The transaction spends an output of one that it would replace."""
    INSUFFICIENT_FEE = "insufficient fee"
    """A replacement that does not pay more, or not enough more (BIP125, rules 3, 4 and 6)."""
    TOO_MANY_REPLACEMENTS = "too many potential replacements"
    """A replacement that would push out more than 100 (BIP125, rule 5)."""
    ADDS_UNCONFIRMED = "replacement-adds-unconfirmed"
    """A replacement that spends an unconfirmed output which the replaced did not (BIP125, rule 2)."""
    BUSY = "busy"
    """Ours: too many transactions have their signatures verified right now."""


class Refused(Rejected):
    """Valid, as far as anyone looked, but not wanted here now. No penalty: policies differ."""


def fee_at(rate_sat_kvb: float, vsize: int) -> int:
    """Satoshis that `vsize` virtual bytes cost at a rate, rounded up."""
    return -int(-rate_sat_kvb * vsize // 1000)


def check_max_fee(fee: int, vsize: int, max_rate_sat_kvb: float | None) -> None:
    """Guard of whoever submits against paying too much; None or 0 means no limit, as in Core.

    Raises Refused(MAX_FEE_EXCEEDED).
    """
    if max_rate_sat_kvb and fee > fee_at(max_rate_sat_kvb, vsize):
        raise Refused(Policy.MAX_FEE_EXCEEDED, f"{fee} > {fee_at(max_rate_sat_kvb, vsize)}")


def check_standard(tx: Tx) -> None:
    """The rules about a transaction by itself, for one that has passed `check_tx`. Raises Refused."""
    if tx.is_coinbase:
        raise Refused(Policy.COINBASE)
    if tx.version not in STANDARD_VERSIONS:
        raise Refused(Policy.VERSION, str(tx.version))
    if tx.weight > MAX_TX_WEIGHT:
        raise Refused(Policy.TX_SIZE, f"weight {tx.weight}")
    if tx.stripped_size < MIN_TX_SIZE:
        raise Refused(Policy.TX_SIZE_SMALL, f"{tx.stripped_size} stripped bytes")
    for index, spent in enumerate(tx.inputs):
        if spent.script_sig:
            _check_script_sig(index, spent.script_sig)
    _check_outputs(tx)


def _check_script_sig(index: int, script_sig: bytes) -> None:
    if len(script_sig) > MAX_SCRIPT_SIG_SIZE:
        raise Refused(Policy.SCRIPTSIG_SIZE, f"input {index}: {len(script_sig)} bytes")
    if not is_push_only(script_sig):
        raise Refused(Policy.SCRIPTSIG_NOT_PUSHONLY, f"input {index}")


def _check_outputs(tx: Tx) -> None:
    carriers = 0
    for index, output in enumerate(tx.outputs):
        kind = classify(output.script)
        if kind in SPENDABLE_KINDS:
            threshold = _DUST_THRESHOLDS[kind]
            if output.value < threshold:
                raise Refused(Policy.DUST, f"output {index}: {output.value} < {threshold}")
            if kind is ScriptType.P2TR and not is_x_only(payload(output.script)):
                raise Refused(Policy.SCRIPTPUBKEY, f"output {index}: its key is on no point of the curve")
        elif kind is ScriptType.OP_RETURN:
            carriers += 1
            if len(output.script) > MAX_DATA_SCRIPT_SIZE or not is_push_only(output.script[_OP_RETURN_SIZE:]):
                raise Refused(Policy.SCRIPTPUBKEY, f"output {index}: OP_RETURN of {len(output.script)} bytes")
        else:
            raise Refused(Policy.SCRIPTPUBKEY, f"output {index}: {kind} cannot be spent here")
    if carriers > 1:
        raise Refused(Policy.MULTI_OP_RETURN, f"{carriers} outputs")


def is_push_only(script: bytes) -> bool:
    """True if the script does nothing but push, and no push is cut off."""
    pos, size = 0, len(script)
    while pos < size:
        operator = script[pos]
        pos += 1
        if operator > _LAST_PUSH:
            return False
        if operator < 0x4C:
            pos += operator
        elif operator <= 0x4E:
            width = 1 << (operator - 0x4C)
            if pos + width > size:
                return False
            pos += width + int.from_bytes(script[pos : pos + width], "little")
    return pos == size


def dust_threshold(script: bytes) -> int:
    """The least satoshis that an output with this script may hold (Core's GetDustThreshold).

    The cost of the output and of the input that will spend it, of which a witness counts a
    quarter. Data carriers hold nothing and are never dust.
    """
    kind = classify(script)
    if kind is ScriptType.OP_RETURN:
        return 0
    witness = kind is not ScriptType.P2PKH
    spending = 36 + 1 + (107 // WITNESS_SCALE if witness else 107) + 4
    return fee_at(DUST_FEE_SAT_KVB, 8 + 1 + len(script) + spending)


_DUST_THRESHOLDS = {
    ScriptType.P2WPKH: dust_threshold(p2wpkh_script(bytes(20))),
    ScriptType.P2PKH: dust_threshold(p2pkh_script(bytes(20))),
    ScriptType.P2TR: dust_threshold(p2tr_script(bytes(32))),
}
