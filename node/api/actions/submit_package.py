"""A package's way in from the API: a child with its parents, answered as Core's submitpackage does."""

from collections.abc import Sequence

from chain.errors import Reject, Rejected
from chain.hashes import to_hex
from chain.tx import Tx
from node.api.actions.submit_tx import MISSING, SubmissionError, check_burns, decode_hex_txs, reason, submission_error
from node.api.context import Call
from node.api.encoding.json_codec import Coins, Shape
from node.mempool.accept_package import Member, Outcome
from node.mempool.entry import Removal
from node.mempool.package_prechecks import is_child_with_parents
from node.mempool.policy import Policy

TRANSACTION_FAILED = "transaction failed"
"""Message for a package of which some are refused."""
NOT_VALIDATED = "package-not-validated"
"""Message for a package that was not looked at."""


def submit_package(call: Call, given: Sequence[str], max_rate_sat_kvb: int, max_burn: int) -> Shape:
    """Submit transactions in hex: a child, the last, with its parents. A maximal fee rate of 0 means none.

    Raises SubmissionError.
    """
    txs = decode_hex_txs(given)
    for tx in txs:
        check_burns(tx, max_burn)
    if not is_child_with_parents(txs):
        raise SubmissionError(
            MISSING, "package topology disallowed. not child-with-parents or parents depend on each other."
        )
    try:
        outcome = call.change(lambda node, now: node.submit_package(txs, now, max_fee_rate=max_rate_sat_kvb or None))
    except Rejected as error:
        raise submission_error(error) from None
    return _outcome_shape(txs, outcome)


def _outcome_shape(txs: Sequence[Tx], outcome: Outcome) -> Shape:
    message = "success"
    if outcome.error is not None:
        message = reason(outcome.error)
    elif outcome.failed:
        message = TRANSACTION_FAILED
    added = [verdict.added for verdict in outcome.verdicts if verdict.added is not None]
    replaced = [gone.entry.txid for one in added for gone in one.removed if gone.reason is Removal.REPLACED]
    return {
        "package_msg": message,
        "tx-results": {
            to_hex(tx.wtxid): {"txid": to_hex(tx.txid), **_member_shape(outcome.members.get(tx.wtxid))} for tx in txs
        },
        "replaced-transactions": [to_hex(txid) for txid in replaced],
    }


def _member_shape(member: Member | None) -> Shape:
    if member is None:
        return {"error": NOT_VALIDATED}
    if member.error is not None:
        return {"error": _words(member.error)}
    if member.other is not None:
        return {"other-wtxid": to_hex(member.other)}
    fees: Shape = {"base": Coins(member.fee)}
    if member.together is not None:
        fee, vsize, names = member.together
        fees["effective-feerate"] = Coins(fee * 1000 // vsize)
        fees["effective-includes"] = [to_hex(wtxid) for wtxid in names]
    return {"vsize": member.vsize, "fees": fees}


def _words(error: Rejected) -> str:
    if error.code is Reject.INPUTS_MISSING_OR_SPENT:
        return str(error.code)
    if error.code is Policy.MAX_FEE_EXCEEDED:
        return "max feerate exceeded"
    return reason(error)
