"""Headers and blocks in context: boundaries, lock times, what connecting gives back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.block import Header, make_block, make_header
from chain.blocktemplate import VERSION
from chain.blocktree import BlockNode, BlockTree
from chain.coins import Coin
from chain.connect import (
    SEQUENCE_BY_TIME,
    SEQUENCE_NO_LOCK,
    BlockContext,
    block_delta,
    connect_block,
    connect_header,
    connect_inputs,
    context_after,
    height_push,
    is_final,
    relative_locks_over,
    subsidy,
)
from chain.errors import Invalid, Reject, Rejected, Unready
from chain.hashes import Wtxid
from chain.keys import python_engine
from chain.params import REGTEST, Asert, Params
from chain.script import Spend
from chain.scripttype import ScriptType
from chain.tx import COIN, SEQUENCE_FINAL, OutPoint, TxIn, TxOut, make_tx, outpoint
from tests.chainlab import KINDS, Lab, funded, made_by, pay, with_header, with_input

# headers


def next_header(parent: BlockNode, **changes: int) -> Header:
    """A good header on `parent`, proof of work apart, with some fields changed."""
    header = make_header(VERSION, parent.hash, bytes(32), parent.median_time + 1, 0x207FFFFF, 0)
    return with_header(header, **changes)


@pytest.mark.parametrize("limit", [60, 7200])
def test_headers_may_be_ahead_of_the_clock_by_the_networks_limit(limit: int) -> None:
    params = Params("test", 0x207FFFFF, 150, limit, True, None)
    genesis = BlockTree(params).genesis
    now = genesis.header.time + 1_000_000
    connect_header(next_header(genesis, time=now + limit), genesis, now, params)
    with pytest.raises(Unready) as refused:
        connect_header(next_header(genesis, time=now + limit + 1), genesis, now, params)
    assert refused.value.code is Reject.TIME_TOO_NEW


def test_headers_have_to_be_later_than_the_median() -> None:
    lab = funded()
    connect_header(next_header(lab.tip, time=lab.tip.median_time + 1), lab.tip, lab.now, REGTEST)
    with pytest.raises(Invalid) as refused:
        connect_header(next_header(lab.tip, time=lab.tip.median_time), lab.tip, lab.now, REGTEST)
    assert refused.value.code is Reject.TIME_TOO_OLD


def test_bits_follow_the_schedule_of_the_parents_branch() -> None:
    """Heights 1 to 4, spacing and the anchor at 2; the third block comes ten seconds early::

    genesis --- limit --- first bits --- first bits --- 2^(-10/150) of them
    """
    params = Params("test", 0x207FFFFF, 150, 60, True, Asert(10, 150, 2, 0x2000FFFF, 150))
    tree = BlockTree(params)
    tip, now = tree.genesis, tree.genesis.header.time + 10_000
    for bits, seconds in ((0x207FFFFF, 10), (0x2000FFFF, 10), (0x2000FFFF, 0), (0x2000F475, 10)):
        for wrong in {0x207FFFFF, 0x2000FFFF, 0x1F00FFFF} - {bits}:
            with pytest.raises(Invalid) as refused:
                connect_header(next_header(tip, bits=wrong), tip, now, params)
            assert refused.value.code is Reject.DIFFBITS
        header = next_header(tip, bits=bits, time=tip.header.time + seconds)
        connect_header(header, tip, now, params)
        tip = tree.add(header)


def test_what_may_change_is_unready_and_what_may_not_is_invalid() -> None:
    lab = funded()
    with pytest.raises(Unready) as unknown:
        connect_header(next_header(lab.tip), None, lab.now, REGTEST)
    assert unknown.value.code is Reject.PREV_NOT_FOUND
    lab.tree.set_invalid(lab.tip, True)
    with pytest.raises(Invalid) as below:
        connect_header(next_header(lab.tip), lab.tip, lab.now, REGTEST)
    assert below.value.code is Reject.BAD_PREV


def test_a_permanent_fault_comes_before_a_temporary_one() -> None:
    lab = funded()
    both = next_header(lab.tip, version=3, time=lab.now + 10**6)
    with pytest.raises(Invalid):
        connect_header(both, lab.tip, lab.now, REGTEST)


# numbers


@pytest.mark.parametrize(
    ("height", "satoshis"),
    [
        (1, 50 * COIN),
        (149, 50 * COIN),
        (150, 25 * COIN),
        (299, 25 * COIN),
        (300, 1_250_000_000),
        (150 * 32, 1),
        (150 * 33 - 1, 1),
        (150 * 33, 0),
        (150 * 64, 0),
        (150 * 1000, 0),
    ],
)
def test_subsidy(height: int, satoshis: int) -> None:
    assert subsidy(height, REGTEST) == satoshis


@pytest.mark.parametrize(
    ("height", "pushed"),
    [
        (0, "00"),
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (256, "020001"),
        (32767, "02ff7f"),
        (32768, "03008000"),
        (8388607, "03ffff7f"),
        (8388608, "0400008000"),
        (500_000, "0320a107"),
    ],
)
def test_height_push(height: int, pushed: str) -> None:
    assert height_push(height).hex() == pushed


@given(st.integers(17, 2**31 - 1))
def test_height_push_is_a_minimal_script_number(height: int) -> None:
    pushed = height_push(height)
    content = pushed[1:]
    assert pushed[0] == len(content)
    assert int.from_bytes(content, "little", signed=True) == height
    assert content[-1] or content[-2] & 0x80


# lock times

POINT = OutPoint(bytes(36))


@pytest.mark.parametrize(
    ("lock_time", "sequences", "final"),
    [
        (0, [0], True),
        (99, [0], True),
        (100, [0], False),
        (100, [SEQUENCE_FINAL], True),
        (100, [SEQUENCE_FINAL, SEQUENCE_FINAL], True),
        (100, [SEQUENCE_FINAL, SEQUENCE_FINAL - 1], False),
        (499_999_999, [0], False),
        (500_000_000, [0], True),
        (1_599_999_999, [0], True),
        (1_600_000_000, [0], False),
        (1_600_000_000, [SEQUENCE_FINAL], True),
        (2**32 - 1, [0], False),
    ],
)
def test_absolute_locks(lock_time: int, sequences: list[int], final: bool) -> None:
    """At height 100, the parent's median time past being 1,600,000,000."""
    tx = make_tx(1, tuple(TxIn(POINT, b"", sequence) for sequence in sequences), (), lock_time)
    assert is_final(tx, 100, 1_600_000_000) is final


def test_a_lock_time_of_one_holds_at_height_one() -> None:
    tx = make_tx(1, (TxIn(POINT, b"", 0),), (), 1)
    assert [is_final(tx, height, 0) for height in (1, 2)] == [False, True]


def median_at(height: int) -> int:
    """A branch on which the median time past grows by 600 s a block."""
    return 1_600_000_000 + 600 * height


@pytest.mark.parametrize(
    ("version", "sequence", "over"),
    [
        (2, 10, True),
        (2, 11, False),
        (1, 11, True),
        (0, 11, True),
        (3, 11, False),
        (2**31, 11, False),
        (2**32 - 1, 11, False),
        (2, SEQUENCE_NO_LOCK | 11, True),
        (2, SEQUENCE_NO_LOCK | SEQUENCE_BY_TIME | 0xFFFF, True),
        (2, 0x10000 | 10, True),
        (2, 0x10000 | 11, False),
        (2, SEQUENCE_BY_TIME | 0, True),
        (2, SEQUENCE_BY_TIME | 11, True),  # 5,632 of 6,000 s
        (2, SEQUENCE_BY_TIME | 12, False),  # 6,144
        (1, SEQUENCE_BY_TIME | 12, True),
    ],
)
def test_relative_locks(version: int, sequence: int, over: bool) -> None:
    """A coin of block 90, to be spent in block 100."""
    tx = make_tx(version, (TxIn(POINT, b"", sequence),), (), 0)
    coin = Coin.make(90, False, TxOut(1, b""))
    assert relative_locks_over(tx, [coin], BlockContext(100, median_at(99), median_at)) is over


def test_every_input_has_its_own_relative_lock() -> None:
    coins = [Coin.make(height, False, TxOut(1, b"")) for height in (90, 99)]
    context = BlockContext(100, median_at(99), median_at)
    inputs = tuple(TxIn(POINT, b"", sequence) for sequence in (10, 1))
    assert relative_locks_over(make_tx(2, inputs, (), 0), coins, context)
    assert not relative_locks_over(make_tx(2, inputs[::-1], (), 0), coins, context)


def test_time_locks_start_with_the_block_before_the_coins() -> None:
    asked: list[int] = []

    def median(height: int) -> int:
        asked.append(height)
        return median_at(height)

    tx = make_tx(2, (TxIn(POINT, b"", SEQUENCE_BY_TIME | 1),), (), 0)
    for height, before in ((90, 89), (1, 0), (0, 0)):
        relative_locks_over(tx, [Coin.make(height, False, TxOut(1, b""))], BlockContext(100, median_at(99), median))
        assert asked.pop() == before


def test_the_context_after_a_block() -> None:
    lab = funded()
    context = context_after(lab.tip)
    assert (context.height, context.parent_median_time) == (lab.height + 1, lab.tip.median_time)
    assert [context.median_time_at(h) for h in (0, 50, lab.height)] == [
        lab.tip.ancestor(h).median_time for h in (0, 50, lab.height)
    ]


def test_fees_and_maturity() -> None:
    context = BlockContext(200, median_at(199), median_at)
    tx = make_tx(2, (TxIn(POINT, b"", SEQUENCE_FINAL),), (TxOut(70, b""), TxOut(20, b"")), 0)
    assert connect_inputs(tx, [Coin.make(1, False, TxOut(100, b""))], context) == 10
    assert connect_inputs(tx, [Coin.make(100, True, TxOut(90, b""))], context) == 0
    for height, value, code in ((101, 100, Reject.PREMATURE_COINBASE), (100, 89, Reject.IN_BELOW_OUT)):
        with pytest.raises(Invalid) as refused:
            connect_inputs(tx, [Coin.make(height, True, TxOut(value, b""))], context)
        assert refused.value.code is code


# blocks


def test_what_connecting_gives_back() -> None:
    """Delta, undo, fees and checks of a block with a chain of payments inside."""
    lab = funded()
    owned = [lab.take(kind)[0] for kind in KINDS]
    first = pay(owned, fee=3000)
    second = pay([made_by(first, height=lab.height + 1)], fee=500)
    block = lab.candidate([first, second])
    connected = lab.verdict(block)
    height = lab.height + 1
    made = made_by(first, height=height)
    assert connected.fees == 3500
    assert connected.undo == (*(one.coin for one in owned), made.coin)
    assert connected.delta.spent == {one.point: one.coin for one in owned}
    reward = block.txs[0].outputs[0]
    assert reward.value == 50 * COIN + 3500
    assert connected.delta.created == {
        outpoint(block.txs[0].txid, 0): Coin.make(height, True, reward),
        outpoint(second.txid, 0): Coin.make(height, False, second.outputs[0]),
    }
    spend = Spend(first, [one.coin for one in owned])
    assert connected.checks == (*(spend.check(i) for i in range(3)), Spend(second, [made.coin]).check(0))
    assert block_delta(block, height, connected.undo) == connected.delta


def test_what_was_verified_before_gives_no_checks() -> None:
    lab = funded()
    txs = [pay([owned]) for owned in lab.take(count=3)]
    block, context = lab.candidate(txs), context_after(lab.tip)
    every = connect_block(block, context, lab.coins.get, REGTEST)
    some = connect_block(block, context, lab.coins.get, REGTEST, {txs[1].wtxid})
    assert some.checks == (every.checks[0], every.checks[2])
    assert (some.delta, some.undo, some.fees) == (every.delta, every.undo, every.fees)
    assert connect_block(block, context, lab.coins.get, REGTEST, {tx.wtxid for tx in txs}).checks == ()


def test_known_is_by_wtxid_so_that_another_witness_is_verified() -> None:
    lab = funded()
    [owned] = lab.take()
    tx = pay([owned])
    signature, public = tx.inputs[0].witness
    spoilt = with_input(tx, witness=(signature[:10] + bytes([signature[10] ^ 1]) + signature[11:], public))
    assert spoilt.txid == tx.txid
    connected = connect_block(
        lab.candidate([spoilt]), context_after(lab.tip), lab.coins.get, REGTEST, {tx.wtxid, Wtxid(tx.txid)}
    )
    assert len(connected.checks) == 1


def test_connecting_changes_nothing() -> None:
    lab = funded()
    before = dict(lab.coins)
    block = lab.candidate([pay(lab.take())])
    lab.verdict(block)
    assert lab.coins == before
    lab.accept(block)
    assert lab.coins != before


def test_a_block_under_the_python_engine() -> None:
    lab = funded()
    txs = [pay(lab.take(kind)) for kind in KINDS]
    lab.verdict(lab.candidate(txs), engine=python_engine())
    signature = txs[2].inputs[0].witness[0]
    txs[2] = with_input(txs[2], witness=(signature[:63] + bytes([signature[63] ^ 1]),))
    with pytest.raises(Invalid) as refused:
        lab.verdict(lab.candidate(txs), engine=python_engine())
    assert refused.value.code is Reject.SCRIPT_VERIFY


def test_the_genesis_coinbase_is_no_coin() -> None:
    assert Lab().coins == {}
    lab = Lab()
    lab.mine()
    assert len(lab.coins) == 1


def test_a_payment_confirmed_again_at_another_height_is_another_coin() -> None:
    """::

    112 --- 113 (pays)
        \\
         --- 113' --- 114' (pays)
    """
    one, other = funded(), funded()
    tx = pay(one.take())
    one.mine([tx])
    other.mine()
    other.mine([tx])
    point = outpoint(tx.txid, 0)
    assert (one.coins[point].height, other.coins[point].height) == (113, 114)
    assert one.coins[point].script == other.coins[point].script


@given(st.data())
def test_mutants_of_a_block_raise_nothing_but_rejected(draw: st.DataObject) -> None:
    lab = funded()
    block = lab.candidate([pay([*lab.take(), *lab.take(ScriptType.P2PKH), *lab.take(ScriptType.P2TR)])])
    raw = bytearray(block.raw)
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(80, len(raw) - 1))
        raw[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=2))
    try:
        lab.verdict(bytes(raw))
    except Rejected:
        return
    assert bytes(raw) == block.raw  # the merkle root and the commitment cover every byte


def test_a_body_under_another_header_is_no_block_of_it() -> None:
    lab = funded()
    one, other = lab.candidate(extra_nonce=1), lab.candidate(extra_nonce=2)
    with pytest.raises(Invalid) as refused:
        lab.verdict(make_block(one.header, other.txs))
    assert refused.value.code is Reject.MERKLE_ROOT
