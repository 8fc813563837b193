"""Transactions as they come out: sizes, dust, signatures, addresses."""

from dataclasses import replace
from random import Random

import pytest

from chain.address import AddressFormat, encode_address
from chain.coins import Coin
from chain.hashes import Txid, hash160, sha256
from chain.keys import default_engine, python_engine
from chain.script import Spend
from chain.scripttype import p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import OutPoint, TxOut, outpoint
from wallet.build import SEQUENCE, Spendable, check_payment, draft_tx, payable_script, sign_tx
from wallet.derivation import KeyPath
from wallet.errors import WalletError
from wallet.sizes import P2WPKH_INPUT_WEIGHT, dust_threshold, outputs_weight, spend_weight, vsize_of

ENGINE = default_engine()
G_X = bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


def secret_of(path: KeyPath) -> bytes:
    return sha256(bytes((path.chain, path.index)))


def spendables(count: int) -> list[Spendable]:
    coins = []
    for index in range(count):
        path = KeyPath(0, index)
        script = p2wpkh_script(hash160(ENGINE.public_key(secret_of(path))))
        coins.append(Spendable(outpoint(Txid(sha256(bytes((index,)))), index), 10_000 + index, script, path))
    return coins


@pytest.mark.parametrize("count", [1, 2, 30])
def test_every_signature_opens_its_coin(count: int) -> None:
    coins = spendables(count)
    draft = draft_tx(coins, [TxOut(5_000, p2wpkh_script(bytes(20)))], 123, Random(3))
    tx = sign_tx(draft, coins, secret_of, ENGINE)
    by_point = {coin.outpoint: coin for coin in coins}
    spent = [Coin.make(7, False, TxOut(by_point[i.outpoint].value, by_point[i.outpoint].script)) for i in tx.inputs]
    spend = Spend(tx, spent)
    # The other implementation has to agree.
    assert all(python_engine().verify(spend.check(index)) for index in range(min(count, 3)))
    assert ENGINE.first_failure(b"".join(spend.check(index) for index in range(count))) is None
    assert (tx.version, tx.lock_time, {i.sequence for i in tx.inputs}) == (2, 123, {SEQUENCE})
    assert tx.txid == draft.txid  # witnesses do not change it


def test_signing_is_deterministic() -> None:
    coins = spendables(3)
    draft = draft_tx(coins, [TxOut(5_000, p2wpkh_script(bytes(20)))], 0, Random(1))
    assert sign_tx(draft, coins, secret_of, ENGINE).raw == sign_tx(draft, coins[::-1], secret_of, ENGINE).raw


def test_a_wrong_signature_never_leaves() -> None:
    coins = spendables(1)
    draft = draft_tx(coins, [TxOut(5_000, p2wpkh_script(bytes(20)))], 0, Random(1))

    class Faulty:
        def __getattr__(self, name: str) -> object:
            return getattr(ENGINE, name)

        def sign_ecdsa(self, secret: bytes, digest: bytes) -> bytes:
            signature = bytearray(ENGINE.sign_ecdsa(secret, digest))
            signature[40] ^= 1
            return bytes(signature)

    with pytest.raises(WalletError, match="nothing was sent"):
        sign_tx(draft, coins, secret_of, Faulty())  # type: ignore[arg-type]


def test_the_size_foreseen_is_never_below_the_real_one() -> None:
    outputs = [TxOut(5_000, p2wpkh_script(bytes(20))), TxOut(600, p2pkh_script(bytes(20)))]
    for count in (1, 2, 5, 20):
        for lock_time in range(10):  # another lock time, other signatures
            coins = spendables(count)
            tx = sign_tx(draft_tx(coins, outputs, lock_time, Random(1)), coins, secret_of, ENGINE)
            foreseen = spend_weight(count, len(outputs), count * P2WPKH_INPUT_WEIGHT, outputs_weight(outputs))
            # Low S, any R: 71 or 72 bytes with the hash type (shorter ones are one in some hundred).
            assert 0 <= foreseen - tx.weight <= 3 * count
            assert vsize_of(foreseen) >= tx.vsize


def test_order_says_nothing_about_change() -> None:
    coins, outputs = spendables(1), [TxOut(5_000, b"\x00\x14" + bytes(20)), TxOut(6_000, b"\x00\x14" + bytes(20))]
    first = {draft_tx(coins, outputs, 0, Random(seed)).outputs[0].value for seed in range(20)}
    assert first == {5_000, 6_000}


@pytest.mark.parametrize(
    ("script", "least"),
    [
        (p2wpkh_script(bytes(20)), 294),
        (p2tr_script(bytes(32)), 330),
        (p2pkh_script(bytes(20)), 546),
        (b"\x00\x20" + bytes(32), 330),
        (b"\xa9\x14" + bytes(20) + b"\x87", 540),
        (b"\x6a\x04abcd", 0),
    ],
)
def test_dust_as_bitcoin_core_has_it(script: bytes, least: int) -> None:
    assert dust_threshold(script) == least


def test_dust_is_refused_before_anybody_signs() -> None:
    check_payment(TxOut(294, p2wpkh_script(bytes(20))), ENGINE)
    with pytest.raises(WalletError, match="293 sat is too little to pay: nodes take at least 294 sat"):
        check_payment(TxOut(293, p2wpkh_script(bytes(20))), ENGINE)


def test_a_taproot_key_on_no_point_is_refused() -> None:
    check_payment(TxOut(1_000, p2tr_script(G_X)), ENGINE)
    with pytest.raises(WalletError, match="no key can spend"):
        check_payment(TxOut(1_000, p2tr_script(bytes(31) + b"\x05")), ENGINE)


@pytest.mark.parametrize("script", [p2wpkh_script(bytes(20)), p2pkh_script(bytes(20)), p2tr_script(G_X)])
def test_addresses_that_can_be_paid(script: bytes) -> None:
    assert payable_script(f" {encode_address(script)} ") == script
    assert (
        payable_script((encode_address(script) or "").upper() if script[0] != 0x76 else encode_address(script) or "")
        == script
    )


TEST = AddressFormat("tb", 0x6F, 0xC4)
MAIN = AddressFormat("bc", 0x00, 0x05)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (encode_address(b"\xa9\x14" + bytes(20) + b"\x87"), "P2SH could never be spent"),
        (encode_address(b"\x00\x20" + bytes(32)), "P2WSH could never be spent"),
        (encode_address(b"\x52\x20" + bytes(32)), "this kind could never be spent"),
        (encode_address(p2wpkh_script(bytes(20)), TEST), "address of another network"),
        (encode_address(p2pkh_script(bytes(20)), MAIN), "address of another network"),
        ("bcrt1qqqqqq", "is not a valid address"),
        ("", "is not a valid address"),
        ("hello", "is not a valid address"),
        ("bcrt1q\n", "is not a valid address"),
    ],
)
def test_addresses_that_cannot(address: str, says: str) -> None:
    with pytest.raises(WalletError, match=says):
        payable_script(address)


def test_a_coin_not_named_is_a_bug_not_a_payment() -> None:
    coins = spendables(2)
    draft = draft_tx(coins, [TxOut(5_000, p2wpkh_script(bytes(20)))], 0, Random(1))
    with pytest.raises(KeyError):
        sign_tx(draft, [replace(coins[0], outpoint=OutPoint(bytes(36))), coins[1]], secret_of, ENGINE)
