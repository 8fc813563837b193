"""MuHash against the vectors of Bitcoin Core's own tests."""

import random

from chain.coins import Coin
from chain.hashes import to_hex
from chain.tx import OutPoint, TxOut
from node.api.rpc.muhash import MODULUS, MuHash, _fold, coin_element


def number(value: int) -> bytes:
    return value.to_bytes(32, "little")


def test_cores_product_and_quotient() -> None:
    """crypto_tests.cpp, muhash_tests: FromInt(0) * FromInt(1) / FromInt(2)."""
    muhash = MuHash()
    muhash.insert(number(0))
    muhash.insert(number(1))
    muhash.remove(number(2))

    assert to_hex(muhash.digest()) == "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863"


def test_cores_hash_of_an_empty_set() -> None:
    """fuzz/muhash.cpp; also what gettxoutsetinfo says of a fresh regtest."""
    assert to_hex(MuHash().digest()) == "dd5ad2a105c2d29495f577245c357409002329b9f4d6182c0af3dc2f462555c8"


def test_order_does_not_matter_and_removing_undoes() -> None:
    elements = [number(value) for value in range(20)]
    forwards, shuffled = MuHash(), MuHash()
    for element in elements:
        forwards.insert(element)
    shuffled.remove(number(99))
    for element in random.Random(1).sample(elements, len(elements)):
        shuffled.insert(element)
    shuffled.insert(number(99))

    assert forwards.digest() == shuffled.digest()
    for element in elements:
        forwards.remove(element)
    assert forwards.digest() == MuHash().digest()


def test_folding_keeps_the_remainder_and_bounds_the_size() -> None:
    rng = random.Random(2)
    largest = (1 << 3072) + (1 << 43)
    for product in (0, MODULUS - 1, MODULUS, (1 << 3072) - 1, largest * ((1 << 3072) - 1)):
        assert _fold(product) % MODULUS == product % MODULUS
        assert _fold(product) < largest
    for _ in range(100):
        product = rng.getrandbits(6144)
        assert _fold(product) % MODULUS == product % MODULUS


def test_a_coin_is_serialised_as_core_does() -> None:
    """kernel/coinstats.cpp, TxOutSer: outpoint, height * 2 + coinbase, value, script."""
    point = OutPoint(bytes(range(32)) + (7).to_bytes(4, "little"))
    script = b"\x51" * 300
    coin = Coin.make(1_000, True, TxOut(5_000_000_000, script))

    assert coin_element(point, coin) == (
        bytes(range(32)) + b"\x07\0\0\0" + b"\xd1\x07\0\0" + b"\x00\xf2\x05\x2a\x01\0\0\0" + b"\xfd\x2c\x01" + script
    )
