"""Transactions: bytes to values and back, and the published example of BIP143."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import Invalid, Reject
from chain.hashes import sha256d, to_hex
from chain.tx import (
    COIN,
    MAX_MONEY,
    NULL_OUTPOINT,
    OutPoint,
    Tx,
    TxIn,
    TxOut,
    decode_tx,
    make_tx,
    outpoint,
    outpoint_index,
    outpoint_txid,
)
from tests.chain.strategies import EMPTY_TXS, OUTPOINTS, txs

# BIP143, "Native P2WPKH", the signed transaction.
BIP143_SIGNED = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1d"
    "c26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944"
    "ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ff"
    "ffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42"
    "dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366"
    "d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e"
    "292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
)


def test_a_published_segwit_transaction() -> None:
    tx = decode_tx(BIP143_SIGNED)
    assert to_hex(tx.txid) == "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609"
    assert tx.wtxid == sha256d(BIP143_SIGNED)
    assert (tx.version, tx.lock_time, len(tx.inputs), len(tx.outputs)) == (1, 17, 2, 2)
    assert [len(spent.witness) for spent in tx.inputs] == [0, 2]
    assert [output.value for output in tx.outputs] == [112340000, 223450000]
    assert make_tx(tx.version, tx.inputs, tx.outputs, tx.lock_time) == tx


@given(txs() | EMPTY_TXS)
def test_decode_gives_back_what_was_encoded(tx: Tx) -> None:
    assert decode_tx(tx.raw) == tx
    assert tx.has_witness == any(spent.witness for spent in tx.inputs)
    assert tx.weight == 3 * tx.stripped_size + tx.size
    assert 4 * tx.vsize >= tx.weight > 4 * (tx.vsize - 1)
    if not tx.has_witness:
        assert bytes(tx.txid) == bytes(tx.wtxid)
        assert tx.stripped_size == tx.size


@given(txs(), st.data())
def test_every_truncation_is_refused(tx: Tx, draw: st.DataObject) -> None:
    size = draw.draw(st.integers(0, len(tx.raw) - 1))
    with pytest.raises(Invalid) as refused:
        decode_tx(tx.raw[:size])
    assert refused.value.code is Reject.MALFORMED


@given(txs(), st.binary(min_size=1, max_size=5))
def test_trailing_bytes_are_refused(tx: Tx, more: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        decode_tx(tx.raw + more)
    assert refused.value.code is Reject.MALFORMED


@given(txs(), st.data())
def test_mutants_decode_to_themselves_or_are_malformed(tx: Tx, draw: st.DataObject) -> None:
    raw = bytearray(tx.raw)
    at = draw.draw(st.integers(0, len(raw) - 1))
    width = draw.draw(st.integers(0, 3))
    raw[at : at + width] = draw.draw(st.binary(max_size=4))
    check_canonical(bytes(raw))


@given(st.binary(max_size=300))
def test_noise_decodes_to_itself_or_is_malformed(raw: bytes) -> None:
    check_canonical(raw)
    check_canonical(b"\x02\x00\x00\x00\x00\x01" + raw)


def check_canonical(raw: bytes) -> None:
    """What is accepted has one encoding only: its own."""
    try:
        tx = decode_tx(raw)
    except Invalid as refused:
        code = refused.code
    else:
        assert make_tx(tx.version, tx.inputs, tx.outputs, tx.lock_time).raw == raw == tx.raw
        return
    assert code is Reject.MALFORMED


PLAIN = make_tx(2, (TxIn(OutPoint(bytes(36)), b"", 0, (b"w",)),), (TxOut(1, b""),), 0).raw


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (PLAIN[:5] + b"\x02" + PLAIN[6:], "unknown flag byte"),
        (PLAIN[:5] + b"\x03" + PLAIN[6:], "unknown flag byte"),
        (PLAIN[:-7] + b"\x00" + PLAIN[-4:], "superfluous witness"),
        (PLAIN[:6] + b"\xfd\x01\x00" + PLAIN[7:], "non-canonical"),
        (b"\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "superfluous witness"),
        (b"\x01\x00\x00\x00\x01" + bytes(36) + b"\xff" * 9, "truncated"),
        (b"\x01\x00\x00\x00\xfe\xff\xff\xff\xff" + bytes(36), "truncated"),
    ],
)
def test_encodings_that_core_refuses(raw: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        decode_tx(raw)


def test_amounts_are_bitcoins() -> None:
    assert (COIN, MAX_MONEY) == (100_000_000, 2_100_000_000_000_000)


def test_coinbase_is_one_null_outpoint() -> None:
    null, other = TxIn(NULL_OUTPOINT, b"", 0), TxIn(OutPoint(bytes(36)), b"", 0)
    verdicts = [make_tx(1, spent, (), 0).is_coinbase for spent in ((null,), (other,), (null, other), (null, null))]
    assert verdicts == [True, False, False, False]


@given(OUTPOINTS)
def test_outpoint_parts(point: OutPoint) -> None:
    assert outpoint(outpoint_txid(point), outpoint_index(point)) == point
