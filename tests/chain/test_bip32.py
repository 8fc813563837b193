"""Extended keys: the vectors of BIP32, by both engines, and what is no extended key."""

import pytest

from chain.base58 import decode_base58check, encode_base58check
from chain.bip32 import (
    DEPTH_MAX,
    HARDENED,
    MAIN_PRIVATE,
    TEST_PRIVATE,
    ExtendedKeyError,
    decode_extended,
    encode_extended,
    master_key,
)
from chain.keys import ORDER, Engine, add_secrets, libsecp256k1_engine, python_engine

ENGINES = [libsecp256k1_engine(), python_engine()]

# seed, path, xpub, xprv: test vectors 1 to 4; the third and fourth have leading zeros in keys.
VECTORS = [
    (
        "000102030405060708090a0b0c0d0e0f",
        "",
        "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        "0h",
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        "0h/1/2h/2",
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        "xprvA2JDeKCSNNZky6uBCviVfJSKyQ1mDYahRjijr5idH2WwLsEd4Hsb2Tyh8RfQMuPh7f7RtyzTtdrbdqqsunu5Mm3wDvUAKRHSC34sJ7in334",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        "0h/1/2h/2/1000000000",
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76",
    ),
    (
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2" + "9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
        "0",
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
        "xprv9vHkqa6EV4sPZHYqZznhT2NPtPCjKuDKGY38FBWLvgaDx45zo9WQRUT3dKYnjwih2yJD9mkrocEZXo1ex8G81dwSM1fwqWpWkeS3v86pgKt",
    ),
    (
        "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4ac" + "ba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
        "0h",
        "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y",
        "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L",
    ),
    (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        "0h/1h",
        "xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt",
        "xprv9xJocDuwtYCMNAo3Zw76WENQeAS6WGXQ55RCy7tDJ8oALr4FWkuVoHJeHVAcAqiZLE7Je3vZJHxspZdFHfnBEjHqU5hG1Jaj32dVoS6XLT1",
    ),
]

# Test vector 5, and two of BIP340's authors'.
INVALID = {
    "a private key as a public one": "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
    "a public key as a private one": "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGTQQD3dC4H2D5GBj7vWvSQaaBv5cxi9gafk7NF3pnBju6dwKvH",
    "a public key that begins with 04": "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
    "a private key that begins with 04": "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGpWnsj83BHtEy5Zt8CcDr1UiRXuWCmTQLxEK9vbz5gPstX92JQ",
    "a public key that begins with 01": "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    "a private key that begins with 01": "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fEQ3Qen6J",
    "a master key with a parent": "xprv9s2SPatNQ9Vc6GTbVMFPFo7jsaZySyzk7L8n2uqKXJen3KUmvQNTuLh3fhZMBoG3G4ZW1N2kZuHEPY53qmbZzCHshoQnNf4GvELZfqTUrcv",
    "a public master key with a parent": "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
    "an x on no point": "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
    "an unknown version": "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHPmHJiEDXkTiJTVV9rHEBUem2mwVbbNfvT2MTcAqj3nesx8uBf9",
    "an unknown private version": "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHGMQzT7ayAmfo4z3gY5KfbrZWZ6St24UVf2Qgo6oujFktLHdHY4",
    "the secret 0": "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzF93Y5wvzdUayhgkkFoicQZcP3y52uPPxFnfoLZB21Teqt1VvEHx",
    "a secret above the order": "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fENZ3QzxW",
    "a checksum that is wrong": VECTORS[0][2][:-1] + "9",
    "a short one": VECTORS[0][2][:-1],
    "a long one": VECTORS[0][2] + "1",
    "an address": "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    "nothing": "",
}


def steps(path: str) -> list[int]:
    return [int(part.rstrip("h")) + HARDENED * part.endswith("h") for part in path.split("/") if part]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize(("seed", "path", "xpub", "xprv"), VECTORS)
def test_the_vectors_of_bip32(seed: str, path: str, xpub: str, xprv: str, engine: Engine) -> None:
    key = master_key(bytes.fromhex(seed), MAIN_PRIVATE).descend(steps(path), engine)
    assert (encode_extended(key), encode_extended(key.public(engine))) == (xprv, xpub)
    assert (decode_extended(xprv), decode_extended(xpub)) == (key, key.public(engine))
    assert key.public_key(engine) == decode_extended(xpub).key
    assert xprv[4:] not in repr(key)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_public_keys_are_derived_without_the_secret(engine: Engine) -> None:
    parent = master_key(bytes(32), TEST_PRIVATE).child(44 + HARDENED, engine)
    for index in (0, 1, HARDENED - 1):
        child = parent.child(index, engine)
        assert parent.public(engine).child(index, engine) == child.public(engine)
        assert child.public(engine).public(engine) == child.public(engine)
        assert engine.public_key(child.secret) == child.public_key(engine)
    assert encode_extended(parent).startswith("tprv")
    assert encode_extended(parent.public(engine)).startswith("tpub")
    with pytest.raises(ExtendedKeyError, match="needs the private key"):
        parent.public(engine).child(HARDENED, engine)
    with pytest.raises(ExtendedKeyError, match="no secret"):
        _ = parent.public(engine).secret


def test_a_path_ends_where_the_depth_has_no_place_any_more() -> None:
    engine = libsecp256k1_engine()
    deepest = master_key(bytes(16), TEST_PRIVATE).descend([0] * DEPTH_MAX, engine)
    assert decode_extended(encode_extended(deepest)) == deepest
    with pytest.raises(ExtendedKeyError, match="at most 255 steps"):
        deepest.child(0, engine)


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_what_is_no_extended_key(text: str) -> None:
    with pytest.raises(ExtendedKeyError):
        decode_extended(text)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_sums_that_there_are_none_of(engine: Engine) -> None:
    one, last = (1).to_bytes(32, "big"), (ORDER - 1).to_bytes(32, "big")
    assert engine.add_to_public(engine.public_key(one), one) == engine.public_key((2).to_bytes(32, "big"))
    for public, secret in (
        (engine.public_key(one), last),  # the point at infinity
        (engine.public_key(one), ORDER.to_bytes(32, "big")),
        (engine.public_key(one), bytes(31)),
        (b"\x02" + b"\xff" * 32, one),
        (b"\x02" + (5).to_bytes(32, "big"), one),  # on no point
        (b"", one),
    ):
        with pytest.raises(ValueError, match=r"sum|key"):
            engine.add_to_public(public, secret)
    assert add_secrets(one, last[:-1] + b"\x3f") == ORDER.to_bytes(32, "big")[:-1] + b"\x40"
    with pytest.raises(ValueError, match="not a secret key"):
        add_secrets(one, last)


def test_base58check_round_trip_and_limits() -> None:
    for payload in (b"", b"\x00", b"\x00\x00\x01", bytes(range(78))):
        text = encode_base58check(payload)
        assert decode_base58check(text, len(text)) == payload
        assert decode_base58check(text, len(text) - 1) is None
    assert decode_base58check("0OIl", 100) is None
