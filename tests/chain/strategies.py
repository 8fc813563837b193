"""Hypothesis strategies for transactions, blocks and coins."""

from hypothesis import strategies as st

from chain.block import Block, make_block, make_header
from chain.hashes import BlockHash
from chain.tx import NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, make_tx

U32 = st.integers(0, 2**32 - 1)
OUTPOINTS = st.one_of(st.binary(min_size=36, max_size=36).map(OutPoint), st.just(NULL_OUTPOINT))
SCRIPTS = st.one_of(st.binary(max_size=80), st.binary(min_size=250, max_size=256))
WITNESSES = st.lists(st.binary(max_size=80), max_size=3).map(tuple)
OUTPUTS = st.builds(TxOut, st.integers(-(2**63), 2**63 - 1), SCRIPTS)
INPUTS = st.builds(TxIn, OUTPOINTS, SCRIPTS, U32, WITNESSES)


def txs(least_inputs: int = 1) -> st.SearchStrategy[Tx]:
    """Any transaction that has an encoding, sensible or not.

    Without inputs its bytes would read as a segwit marker, unless it has no outputs either.
    """
    return st.builds(
        make_tx,
        U32,
        st.lists(INPUTS, min_size=least_inputs, max_size=4).map(tuple),
        st.lists(OUTPUTS, max_size=4).map(tuple),
        U32,
    )


EMPTY_TXS = st.builds(make_tx, U32, st.just(()), st.just(()), U32)
HEADERS = st.builds(
    make_header,
    st.integers(-(2**31), 2**31 - 1),
    st.binary(min_size=32, max_size=32).map(BlockHash),
    st.binary(min_size=32, max_size=32),
    U32,
    U32,
    U32,
)
BLOCKS: st.SearchStrategy[Block] = st.builds(make_block, HEADERS, st.lists(txs(), max_size=4).map(tuple))
