"""A transaction's way in from the API: decoded outside the lock, refused in Core's words and codes."""

from collections.abc import Sequence

from chain.coins import is_unspendable
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import Txid
from chain.tx import Tx, decode_stripped_tx, decode_tx, outpoint
from node.api.actions.core_errors import shown
from node.api.context import Call
from node.api.encoding.disassembler import has_valid_operators
from node.core.view import NodeView
from node.mempool.package_prechecks import PACKAGE_TXS_MAX
from node.mempool.policy import Policy

TX_HEX_MAX = 8_000_000
"""Hex digits of a transaction: no block holds a larger one."""
DEFAULT_MAX_RATE_SAT_KVB = 10_000_000
"""Fee rate above which a submission is taken for a mistake (0.10 coins per 1,000 vB)."""

BAD_VALUE = -8
DECODE_FAILED = -22
MISSING = -25
REJECTED = -26
CONFIRMED = -27
_ALREADY_CONFIRMED = "Transaction outputs already in utxo set"

_KNOWN = frozenset({Policy.ALREADY_IN_MEMPOOL, Policy.SAME_NONWITNESS})


class SubmissionError(Exception):
    """The reason that a transaction was refused: Core's error code and words."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def decode_hex_tx(given: str) -> Tx:
    """The transaction that the hex spells. Raises SubmissionError(-22)."""
    try:
        return decode_tx(_bytes_of(given))
    except (ValueError, Invalid):
        raise SubmissionError(DECODE_FAILED, "TX decode failed. Make sure the tx has at least one input.") from None


def read_hex_tx(given: str, is_witness: bool | None) -> Tx:
    """Read a transaction that is only looked at, and may have no inputs. `is_witness` says whether it is
    in BIP144's encoding; None: whichever fits. Raises SubmissionError(-22)."""
    decoders = {None: (decode_tx, decode_stripped_tx), True: (decode_tx,), False: (decode_stripped_tx,)}
    for decode in decoders[is_witness]:
        try:
            return decode(_bytes_of(given))
        except (ValueError, Invalid):
            continue
    raise SubmissionError(DECODE_FAILED, "TX decode failed")


def decode_hex_txs(given: Sequence[str]) -> list[Tx]:
    """The transactions that these spell, 1 to 25. Raises SubmissionError(-8, -22)."""
    if not 1 <= len(given) <= PACKAGE_TXS_MAX:
        raise SubmissionError(BAD_VALUE, f"Array must contain between 1 and {PACKAGE_TXS_MAX} transactions.")
    txs = []
    for one in given:
        try:
            txs.append(decode_hex_tx(one))
        except SubmissionError:
            words = f"TX decode failed: {shown(one)} Make sure the tx has at least one input."
            raise SubmissionError(DECODE_FAILED, words) from None
    return txs


def _bytes_of(given: str) -> bytes:
    if len(given) > TX_HEX_MAX:
        raise ValueError
    raw = bytes.fromhex(given)
    if 2 * len(raw) != len(given):  # there is space in it
        raise ValueError
    return raw


def check_burns(tx: Tx, max_burn: int) -> None:
    """Refuse a transaction of which an output puts more than `max_burn` satoshis where nobody can spend them.

    Raises SubmissionError(-25).
    """
    for output in tx.outputs:
        lost = is_unspendable(output.script) or not has_valid_operators(output.script)
        if lost and output.value > max_burn:
            raise SubmissionError(MISSING, "Unspendable output exceeds maximum configured by user (maxburnamount)")


def submit_hex(call: Call, given: str, max_rate_sat_kvb: int = DEFAULT_MAX_RATE_SAT_KVB) -> Txid:
    """Submit a transaction given in hex; its txid, also if it was there before.

    A maximal fee rate of 0 means none. Raises SubmissionError.
    """
    tx = decode_hex_tx(given)
    try:
        call.change(lambda node, now: node.submit_tx(tx, now, max_fee_rate=max_rate_sat_kvb or None))
    except Rejected as error:
        if error.code in _KNOWN:
            return tx.txid
        if _is_confirmed(call.view, tx):  # whatever policy says of it
            raise SubmissionError(CONFIRMED, _ALREADY_CONFIRMED) from None
        raise submission_error(error) from None
    return tx.txid


def _is_confirmed(view: NodeView, tx: Tx) -> bool:
    """True if an output of it is unspent on the best chain: what Core asks first."""
    if view.reader.has_index and view.reader.tx_location(tx.txid) is None:
        return False
    return any(view.reader.coin(outpoint(tx.txid, index)) is not None for index in range(len(tx.outputs)))


def submission_error(error: Rejected) -> SubmissionError:
    """The code that Core gives a refusal."""
    if error.code is Reject.INPUTS_MISSING_OR_SPENT:
        return SubmissionError(MISSING, str(Reject.INPUTS_MISSING_OR_SPENT))
    if error.code is Policy.MAX_FEE_EXCEEDED:
        return SubmissionError(MISSING, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
    if error.code is Policy.ALREADY_KNOWN:
        return SubmissionError(CONFIRMED, _ALREADY_CONFIRMED)
    return SubmissionError(REJECTED, reason(error))


def rule(error: Rejected) -> str:
    """The rule that a transaction breaks in Core's form, which for a script says in parentheses what failed."""
    return f"{error.code} ({error.detail})" if error.code is Policy.SCRIPT_VERIFY else str(error.code)


def reason(error: Rejected) -> str:
    """A refusal in Core's form: the rule, a comma, the details."""
    if not error.detail or error.code is Policy.SCRIPT_VERIFY:
        return rule(error)
    return f"{error.code}, {error.detail}"
