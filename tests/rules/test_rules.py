"""One verdict for every case, and at least one case for every reject code."""

import pytest

from chain.check import check_tx
from chain.errors import Invalid, Reject, Rejected, Unready
from chain.tx import OutPoint, TxIn, TxOut, make_tx
from tests.rules.case import Case, Stricter, lab_on
from tests.rules.cases import CASES

TEMPORARY = {Reject.PREV_NOT_FOUND, Reject.TIME_TOO_NEW}
"""What may become valid: the only two codes that say Unready of a block."""
NEVER_IN_BLOCKS = {Reject.OVERSIZE}
"""A block that holds one is too long itself."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    lab = lab_on(case.on)
    made = case.mutate(lab)
    block = made[-1] if isinstance(made, list) else made
    if case.expect is None:
        lab.verdict(block)
        return
    with pytest.raises(Rejected) as refused:
        lab.verdict(block)
    assert refused.value.code is case.expect
    assert type(refused.value) is (Unready if case.expect in TEMPORARY else Invalid)


def test_every_code_has_a_case() -> None:
    assert {case.expect for case in CASES} - {None} == set(Reject) - NEVER_IN_BLOCKS


def test_every_known_difference_from_core_has_a_case() -> None:
    assert {case.stricter for case in CASES} - {None} == set(Stricter)


def test_cases_have_different_names() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_transaction_over_a_megabyte_is_oversize() -> None:
    spent = (TxIn(OutPoint(bytes(36)), b"", 0),)
    size = 1_000_000 - make_tx(1, spent, (TxOut(0, bytes(900_000)),), 0).size + 900_000
    check_tx(make_tx(1, spent, (TxOut(0, bytes(size)),), 0))
    with pytest.raises(Invalid) as refused:
        check_tx(make_tx(1, spent, (TxOut(0, bytes(size + 1)),), 0))
    assert refused.value.code is Reject.OVERSIZE
