"""The coinbase: its script, the height in it, what it takes."""

from collections.abc import Callable

from chain.block import Block
from chain.errors import Reject
from chain.tx import COIN
from tests.chainlab import (
    Lab,
    coinbase_input,
    with_coinbase,
    with_output,
)
from tests.rules.case import Case, one_payment
from tests.rules.tx_cases import coinbase_values


def cb_script(script: bytes) -> Callable[[Lab], Block]:
    """A coinbase with exactly this script."""
    return lambda lab: with_coinbase(lab.candidate(), lambda tx: coinbase_input(tx, script))


def height_cases() -> list[Case]:
    """BIP34 where its encoding changes: heights 1, 16, 17, 127, 128, 255, 256."""
    forms = {
        1: ("51", ["0101", "01", "0151", "52"]),
        16: ("60", ["0110", "5f", "0160", "021000"]),
        17: ("0111", ["61", "60", "021100", "4c0111"]),
        127: ("017f", ["027f00", "4c017f", "01ff"]),
        128: ("028000", ["0180", "03800000", "0281"]),
        255: ("02ff00", ["01ff", "03ff0000", "02ff80"]),
        256: ("020001", ["03000100", "020100", "0100"]),
    }
    cases = []
    for height, (right, wrong) in forms.items():
        on = f"b{height - 1}"
        pad = "0000"
        cases.append(Case(f"height {height} as {right}", cb_script(bytes.fromhex(right + pad)), None, on=on))
        for form in wrong:
            cases.append(
                Case(f"height {height} as {form}", cb_script(bytes.fromhex(form + pad)), Reject.CB_HEIGHT, on=on)
            )
    return cases


def claims(more: int) -> Callable[[Lab], Block]:
    """A coinbase that takes so much more than it may, with fees in the block."""

    def mutate(lab: Lab) -> Block:
        block = lab.candidate([one_payment(lab)])
        return with_coinbase(block, lambda tx: with_output(tx, value=tx.outputs[0].value + more))

    return mutate


def subsidy_case(height: int, amount: int, expect: Reject | None) -> Case:
    """What the coinbase of an empty block may take around a halving."""
    return Case(f"{amount} sat at height {height}", coinbase_values(amount), expect, on=f"b{height - 1}")


CASES = [
    Case("a coinbase script of no bytes", cb_script(b""), Reject.CB_LENGTH),
    Case("a coinbase script of 1 byte", cb_script(b"\x51"), Reject.CB_LENGTH, on="b0"),
    Case("a coinbase script of 2 bytes", cb_script(b"\x01\x71"), None),
    Case("a coinbase script of 100 bytes", cb_script(b"\x01\x71" + bytes(98)), None),
    Case("a coinbase script of 101 bytes", cb_script(b"\x01\x71" + bytes(99)), Reject.CB_LENGTH),
    Case("the height of another block", cb_script(b"\x01\x70\x00"), Reject.CB_HEIGHT),
    Case("the height is not first", cb_script(b"\x00\x01\x71"), Reject.CB_HEIGHT),
    Case("no height at all", cb_script(b"mined"), Reject.CB_HEIGHT),
    *height_cases(),
    Case("subsidy and fees in full", claims(0), None),
    Case("a satoshi more than subsidy and fees", claims(1), Reject.CB_AMOUNT),
    Case("a satoshi less than subsidy and fees", claims(-1), None),
    Case("nothing claimed", coinbase_values(0), None),
    Case("two outputs that make a satoshi too much", coinbase_values(25 * COIN, 25 * COIN + 1), Reject.CB_AMOUNT),
    subsidy_case(149, 50 * COIN, None),
    subsidy_case(149, 50 * COIN + 1, Reject.CB_AMOUNT),
    subsidy_case(150, 25 * COIN, None),
    subsidy_case(150, 25 * COIN + 1, Reject.CB_AMOUNT),
    subsidy_case(150, 50 * COIN, Reject.CB_AMOUNT),
    subsidy_case(299, 25 * COIN, None),
    subsidy_case(300, 12 * COIN + COIN // 2, None),
    subsidy_case(300, 12 * COIN + COIN // 2 + 1, Reject.CB_AMOUNT),
]
