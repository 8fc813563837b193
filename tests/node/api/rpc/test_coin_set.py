"""gettxoutsetinfo against the numbers that Bitcoin Core's own test suite expects of a known chain.

That chain (feature_utxo_set_hash.py) is rebuilt here coin by coin: block 1 pays to an
anyone-can-spend taproot script, 99 blocks pay to a key, block 101 spends block 1's coinbase. Core
has put an extra OP_0 into every coinbase (older versions) or into the first 16 (newer ones).
"""

import pytest

from chain.address import decode_address
from chain.block import COMMITMENT_PREFIX, commitment_hash
from chain.coins import Coin
from chain.connect import height_push
from chain.hashes import tagged_hash, to_hex
from chain.keys import default_engine
from chain.scripttype import p2tr_script
from chain.tx import COIN, NULL_OUTPOINT, OutPoint, Tx, TxIn, TxOut, make_tx, outpoint
from node.api.rpc.coins import CoinSetHasher, by_transaction
from tests.chainlab import Lab, lock, pay
from tests.node.api.desk import Desk

INTERNAL_KEY = (1).to_bytes(32, "big")
OP_TRUE = b"\x51"
LEAF = tagged_hash("TapLeaf", b"\xc0\x01" + OP_TRUE)
OUTPUT_KEY, PARITY = default_engine().tweak_public(INTERNAL_KEY, tagged_hash("TapTweak", INTERNAL_KEY + LEAF))
ANYONE = p2tr_script(OUTPUT_KEY)
SOMEONE = decode_address("mjTkW3DjgyZck4KbiRusZsqTgaYTxdSz6z")
SPEND_FEE = 31_200
CORE = {
    101: (
        "e0b4c80f2880985fdf1adc331ed0735ac207588f986c91c7c05e8cf5fe6780f0",
        "8739b878f23030ef39a5547edc7b57f88d50fdaaf47314ff0524608deb13067e",
    ),
    16: (
        "396058cfd7f3b4c05dcdfaf360be9986d859d2c8315082d3aadda6d2d16add25",
        "97f341d4226cb4451dd9da2856759fb97659cfc238a0b8d5452e64af6032bd3d",
    ),
}
"""The last height with an OP_0 -> hash_serialized_3, muhash."""


def core_coinbase(height: int, script: bytes, txs: tuple[Tx, ...], last_padded: int) -> Tx:
    script_sig = height_push(height) + (b"\x00" if height <= last_padded else b"")
    spent = TxIn(NULL_OUTPOINT, script_sig, 0xFFFFFFFE, (bytes(32),))
    blank = make_tx(2, (spent,), (), 0)
    commitment = COMMITMENT_PREFIX + commitment_hash((blank, *txs), bytes(32))
    return make_tx(2, (spent,), (TxOut(50 * COIN, script), TxOut(0, commitment)), height - 1)


def core_coins(last_padded: int) -> dict[OutPoint, Coin]:
    first = core_coinbase(1, ANYONE, (), last_padded)
    witness = (OP_TRUE, bytes((0xC0 | PARITY,)) + INTERNAL_KEY)
    paid = TxOut(50 * COIN - SPEND_FEE, ANYONE)
    spending = make_tx(2, (TxIn(outpoint(first.txid, 0), b"", 0, witness),), (paid,), 0)
    coins = {outpoint(spending.txid, 0): Coin.make(101, False, paid)}
    for height in range(2, 102):
        script, txs = (ANYONE, (spending,)) if height == 101 else (SOMEONE, ())
        coinbase = core_coinbase(height, script, txs, last_padded)
        coins[outpoint(coinbase.txid, 0)] = Coin.make(height, True, coinbase.outputs[0])
    return coins


@pytest.mark.parametrize("last_padded", CORE)
def test_hashes_are_cores(last_padded: int) -> None:
    found = []
    for hash_type in ("hash_serialized_3", "muhash"):
        hasher = CoinSetHasher(hash_type)
        for group in by_transaction(sorted(core_coins(last_padded).items())):
            for point, coin in group:
                hasher.add(point, coin)
        found.append(to_hex(hasher.digest() or b""))
    assert tuple(found) == CORE[last_padded]


def test_outputs_of_a_transaction_come_by_number() -> None:
    coin = Coin.make(1, False, TxOut(1, b""))
    txids = [bytes(32), b"\x01" * 32]
    indexes = (0, 1, 2, 255, 256, 257, 65536)
    rows = sorted((outpoint(txid, index), coin) for txid in txids for index in indexes)
    assert [point for group in by_transaction(rows) for point, _ in group] == [
        outpoint(txid, index) for txid in txids for index in indexes
    ]


def test_gettxoutsetinfo(desk: Desk, lab: Lab) -> None:
    desk.pool(pay(lab.take()))  # what is not mined does not count
    info = desk.rpc("gettxoutsetinfo")
    assert len(info.pop("hash_serialized_3")) == 64
    scripts = [coin.script for coin in lab.coins.values()]
    expected = {
        "height": 112,
        "bestblock": to_hex(lab.tip.hash),
        "txouts": len(lab.coins),
        "bogosize": sum(50 + len(script) for script in scripts),
        "total_amount": 5600.0,
        "transactions": len({point[:32] for point in lab.coins}),
        "disk_size": info["disk_size"],
    }
    assert info == expected
    assert desk.rpc("gettxoutsetinfo", "none") == expected
    assert len(desk.rpc("gettxoutsetinfo", hash_type="muhash")["muhash"]) == 64
    assert desk.rpc_error("gettxoutsetinfo", "sha1") == (-8, "'sha1' is not a valid hash_type")
    assert desk.rpc_error("gettxoutsetinfo", "none", 5)[0] == -8


def test_the_muhash_of_a_reorganised_chain_is_that_of_the_branch(make_desk: type[Desk], lab: Lab) -> None:
    one, other = make_desk(), make_desk()
    left, right = lab.copy(), lab.copy()
    short = [left.mine([pay(left.take())], script=lock(number=n)) for n in range(2)]
    long = [right.mine([pay(right.take(count=2))], script=lock(number=n + 5)) for n in range(3)]
    one.give([*lab.blocks, *short, *long])
    other.give([*lab.blocks, *long])
    assert one.rpc("gettxoutsetinfo", "muhash") == other.rpc("gettxoutsetinfo", "muhash")
