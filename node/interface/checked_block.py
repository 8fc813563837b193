"""Blocks that have passed all that needs neither lock nor ledger."""

from collections.abc import Container
from dataclasses import dataclass

from chain.block import Block
from chain.check import check_block, check_body
from chain.errors import Invalid
from chain.hashes import Wtxid
from chain.params import Params
from chain.pow import check_pow


@dataclass(frozen=True, slots=True)
class CheckedBlock:
    """A block that has passed `check_pow` and `check_body`."""

    block: Block
    fault: Invalid | None
    """Failure of `check_block`: the block is invalid, and will be marked so if its header stands."""


def examine(block: Block, params: Params, checked: Container[Wtxid] = frozenset()) -> CheckedBlock:
    """Steps 1, 3 and 4: all that needs neither lock nor ledger. `checked` are witness txids of transactions
    that have passed `check_tx` before.

    Raises Invalid where the header is not worth keeping or the body is not the header's.
    """
    check_pow(block.header, params)
    check_body(block)
    try:
        check_block(block, checked)
    except Invalid as fault:
        return CheckedBlock(block, fault)
    return CheckedBlock(block, None)
