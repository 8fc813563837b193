"""Each rule speaks at its own stage: what rejects only a body never marks a header invalid."""

import pytest

from chain.block import decode_block
from chain.check import check_block, check_body
from chain.connect import connect_block, connect_header, context_after
from chain.errors import Reject, Rejected
from chain.pow import check_pow
from tests.rules.case import Case, lab_on
from tests.rules.cases import CASES

STAGES: dict[str, set[Reject]] = {
    "decode": {Reject.MALFORMED},
    "header": {
        Reject.HIGH_HASH,
        Reject.PREV_NOT_FOUND,
        Reject.BAD_PREV,
        Reject.DIFFBITS,
        Reject.TIME_TOO_OLD,
        Reject.TIME_TOO_NEW,
        Reject.VERSION,
    },
    "body": {
        Reject.BLOCK_LENGTH,  # without transactions
        Reject.MERKLE_ROOT,
        Reject.MUTATED,
        Reject.CB_MISSING,
        Reject.TX_SIZE_SMALL,
        Reject.UNEXPECTED_WITNESS,
        Reject.WITNESS_NONCE,
        Reject.WITNESS_MERKLE,
    },
    "block": {
        Reject.BLOCK_LENGTH,
        Reject.BLOCK_SIGOPS,  # what needs no coins
        Reject.CB_MULTIPLE,
        Reject.CB_LENGTH,
        Reject.VIN_EMPTY,
        Reject.VOUT_EMPTY,
        Reject.VOUT_NEGATIVE,
        Reject.VOUT_TOO_LARGE,
        Reject.VOUT_TOTAL_TOO_LARGE,
        Reject.INPUTS_DUPLICATE,
        Reject.PREVOUT_NULL,
    },
    "connect": {
        Reject.NONFINAL,
        Reject.CB_HEIGHT,
        Reject.BLOCK_WEIGHT,
        Reject.INPUTS_MISSING_OR_SPENT,
        Reject.PREMATURE_COINBASE,
        Reject.IN_BELOW_OUT,
        Reject.BLOCK_SIGOPS,
        Reject.CB_AMOUNT,
        Reject.SCRIPT_UNSUPPORTED,
        Reject.SCRIPT_VERIFY,
    },
    "signatures": {Reject.SCRIPT_VERIFY},
}
BY_COINS = "80,001 with five P2WPKH coins"
"""The one case whose signature operations need coins to be counted."""


def stage_of(case: Case) -> str:
    """Where the case is refused, found by going through the stages one by one."""
    lab = lab_on(case.on)
    made = case.mutate(lab)
    offered = made[-1] if isinstance(made, list) else made
    raw = offered if isinstance(offered, bytes) else offered.raw
    stage = "decode"
    try:
        block = decode_block(raw)
        stage = "header"
        check_pow(block.header, lab.params)
        parent = lab.tree.get(block.header.prev_hash)
        connect_header(block.header, parent, lab.now, lab.params)
        stage = "body"
        check_body(block)
        stage = "block"
        check_block(block)
        stage = "connect"
        connect_block(block, context_after(lab.tip), lab.coins.get, lab.params)
        stage = "signatures"
    except Rejected:
        pass  # test_rules.py holds the code against the case
    return stage


@pytest.mark.parametrize("case", [c for c in CASES if c.expect not in (None, Reject.DUPLICATE_INVALID)], ids=str)
def test_stage(case: Case) -> None:
    stage = stage_of(case)
    assert case.expect in STAGES[stage]
    if case.expect is Reject.BLOCK_LENGTH:
        assert (stage == "body") == case.name.startswith("no transactions")
    if case.expect is Reject.BLOCK_SIGOPS:
        assert (stage == "connect") == (case.name == BY_COINS)
