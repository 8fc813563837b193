"""All cases, for the node's own verdict (here) and for Bitcoin Core's (tests/oracle)."""

from tests.rules import body_cases, context_cases, header_cases, spend_cases

CASES = [*header_cases.CASES, *body_cases.CASES, *context_cases.CASES, *spend_cases.CASES]
