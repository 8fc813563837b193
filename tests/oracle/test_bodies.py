"""Bodies that are not their header's: refused, and the honest body still connects."""

from collections.abc import Callable

import pytest

from chain.block import Block, decode_block
from chain.check import check_body
from chain.errors import Invalid, Reject
from chain.tx import Tx
from tests.chainlab import Lab, funded, make_block, pay, with_input
from tests.oracle.kernel import Kernel

Body = Callable[[Block], bytes]


def with_txs(change: Callable[[Block], tuple[Tx, ...]]) -> Body:
    """Other transactions under the same header."""
    return lambda block: make_block(block.header, change(block)).raw


def stuffed(size: int) -> Body:
    """One more witness item in the last transaction."""

    def change(block: Block) -> tuple[Tx, ...]:
        last = block.txs[-1]
        return (*block.txs[:-1], with_input(last, witness=(*last.inputs[0].witness, bytes(size))))

    return with_txs(change)


def flipped_witness(block: Block) -> bytes:
    """A byte of the last signature is another."""
    at = len(block.raw) - 60
    return block.raw[:at] + bytes([block.raw[at] ^ 1]) + block.raw[at + 1 :]


BODIES: dict[str, tuple[Body, Reject, str]] = {
    "4.1 MB in a witness": (stuffed(4_100_000), Reject.WITNESS_MERKLE, ""),
    "one item more in a witness": (stuffed(1), Reject.WITNESS_MERKLE, ""),
    "a wrong signature": (flipped_witness, Reject.WITNESS_MERKLE, ""),
    "4.1 MB in the coinbase's witness": (
        with_txs(lambda b: (with_input(b.txs[0], witness=(bytes(32), bytes(4_100_000))), *b.txs[1:])),
        Reject.WITNESS_NONCE,
        "",
    ),
    "no witnesses": (
        with_txs(lambda b: tuple(with_input(tx, witness=()) for tx in b.txs)),
        Reject.WITNESS_NONCE,
        "",
    ),
    "the last transaction twice": (with_txs(lambda b: (*b.txs, b.txs[-1])), Reject.MUTATED, ""),
    "the last transaction missing": (with_txs(lambda b: b.txs[:-1]), Reject.MERKLE_ROOT, ""),
    "transactions swapped": (with_txs(lambda b: (b.txs[0], b.txs[2], b.txs[1])), Reject.MERKLE_ROOT, ""),
    "a second coinbase": (with_txs(lambda b: (*b.txs, b.txs[0])), Reject.MERKLE_ROOT, ""),
    "no transactions": (with_txs(lambda _: ()), Reject.BLOCK_LENGTH, "bad-txnmrklroot"),
}


@pytest.fixture(scope="module")
def chain() -> Lab:
    return funded()


@pytest.fixture(scope="module")
def honest(chain: Lab) -> Block:
    """Three transactions: an odd tree, of which the last can be repeated."""
    return chain.candidate([pay([owned]) for owned in chain.take(count=2)])


@pytest.mark.parametrize("name", BODIES)
def test_another_body_is_refused_as_a_body(name: str, honest: Block) -> None:
    change, code, _ = BODIES[name]
    with pytest.raises(Invalid) as refused:
        check_body(decode_block(change(honest)))
    assert refused.value.code is code


def test_the_honest_body_connects_after_all_of_them(chain: Lab, honest: Block) -> None:
    with Kernel() as kernel:
        kernel.follow(chain.blocks)
        for change, code, core in BODIES.values():
            verdict = kernel.submit(change(honest))
            assert (verdict.accepted, verdict.code) == (False, core or str(code))
        assert kernel.submit(honest).accepted
        chain.accept(honest)
        assert kernel.height == chain.height
