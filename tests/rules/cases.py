"""All cases, for the node's own verdict (here) and for Bitcoin Core's (tests/oracle)."""

from tests.rules import (
    body_cases,
    coin_cases,
    coinbase_cases,
    coverage_cases,
    envelope_cases,
    header_cases,
    kind_cases,
    lock_cases,
    signature_cases,
    size_cases,
    taproot_cases,
    tx_cases,
)
from tests.rules.case import Case

CASES: list[Case] = [
    *header_cases.CASES,
    *body_cases.CASES,
    *size_cases.CASES,
    *tx_cases.CASES,
    *coinbase_cases.CASES,
    *coin_cases.CASES,
    *lock_cases.CASES,
    *signature_cases.CASES,
    *coverage_cases.CASES,
    *envelope_cases.CASES,
    *taproot_cases.CASES,
    *kind_cases.CASES,
]
