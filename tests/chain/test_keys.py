"""Both signature engines against public vectors, and against each other."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import keys
from chain.hashes import tagged_hash
from chain.keys import (
    CHECK_SIZE,
    ORDER,
    Check,
    Engine,
    decode_der,
    default_engine,
    ecdsa_check,
    encode_der,
    is_low_s,
    is_x_only,
    libsecp256k1_engine,
    python_engine,
    schnorr_check,
)
from tests.taproot import taproot_output, taproot_secret

NATIVE, PORTABLE = libsecp256k1_engine(), python_engine()
ENGINES = pytest.mark.parametrize("engine", [NATIVE, PORTABLE], ids=lambda engine: engine.name)
FIELD = 2**256 - 2**32 - 977
SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


def number(value: int) -> bytes:
    """32 bytes, big endian."""
    return value.to_bytes(32, "big")


def test_the_default_is_bitcoin_cores_library() -> None:
    assert default_engine().name == NATIVE.name == "libsecp256k1"


# ECDSA


@ENGINES
def test_wycheproofs_bitcoin_set(vectors: Path, engine: Engine) -> None:
    """Every one of the 463 verdicts: strict DER, low S, then the curve."""
    suite = json.loads((vectors / "wycheproof_ecdsa_secp256k1_sha256_bitcoin.json").read_text())
    wrong, seen = [], 0
    for group in suite["testGroups"]:
        uncompressed = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = bytes([2 + (uncompressed[64] & 1)]) + uncompressed[1:33]
        for case in group["tests"]:
            seen += 1
            compact = decode_der(bytes.fromhex(case["sig"]))
            verdict = False
            if compact is not None and is_low_s(compact):
                digest = hashlib.sha256(bytes.fromhex(case["msg"])).digest()
                verdict = engine.verify(ecdsa_check(key, compact, digest))
            if verdict != (case["result"] == "valid"):
                wrong.append((case["tcId"], case["comment"]))
    assert wrong == []
    assert seen == suite["numberOfTests"] == 463


# Bitcoin Core, src/test/key_tests.cpp (key_signature_tests) and the well-known RFC 6979 vectors
# for secp256k1 with SHA-256 (bitcointalk.org, topic 285142): secret, message, r, s.
RFC6979 = [
    (
        1,
        "Satoshi Nakamoto",
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    ),
    (
        1,
        "All those moments will be lost in time, like tears in rain. Time to die...",
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
        "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    ),
    (
        ORDER - 1,
        "Satoshi Nakamoto",
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0",
        "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    ),
    (
        0xF8B8AF8CE3C7CCA5E300D33939540C10D45CE001B8F252BFBC57BA0342904181,
        "Alan Turing",
        "7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c",
        "58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
    ),
]


@ENGINES
@pytest.mark.parametrize(("secret", "message", "r", "s"), RFC6979)
def test_signing_is_rfc_6979(engine: Engine, secret: int, message: str, r: str, s: str) -> None:
    digest = hashlib.sha256(message.encode()).digest()
    signature = engine.sign_ecdsa(number(secret), digest)
    assert signature.hex() == r + s
    assert engine.verify(ecdsa_check(engine.public_key(number(secret)), signature, digest))


@pytest.mark.parametrize(
    ("der", "why"),
    [
        ("", "empty"),
        ("3006020101020101", None),
        ("3006020100020100", None),
        ("300702020081020101", None),
        ("3106020101020101", "not a sequence"),
        ("3007020101020101", "length too long"),
        ("3005020101020101", "length too short"),
        ("300602010102010100", "trailing byte"),
        ("30060201010201", "cut off"),
        ("3006030101020101", "r is no integer"),
        ("3006020101030101", "s is no integer"),
        ("300502000201010a", "r has no bytes"),
        ("30050201010200", "s has no bytes"),
        ("3006020181020101", "r is negative"),
        ("3006020101020181", "s is negative"),
        ("300702020001020101", "r is padded"),
        ("300702010102020001", "s is padded"),
        ("308106020101020101", "long form length"),
        ("3006020501020101", "r runs over s"),
        ("3080020101020101", "indefinite length"),
    ],
)
def test_strict_der(der: str, why: str | None) -> None:
    compact = decode_der(bytes.fromhex(der))
    assert (compact is None) == (why is not None)


def test_integers_over_32_bytes_are_well_formed_and_never_right() -> None:
    """Core calls them strict DER (BIP66 bounds only the whole), and no signature matches them."""
    der = bytes.fromhex("3026" + "0221" + "01" + "00" * 32 + "0201" + "01")
    compact = decode_der(der)
    assert compact is not None
    assert not any(engine.verify(ecdsa_check(GENERATOR, compact, bytes(32))) for engine in (NATIVE, PORTABLE))


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_der_round_trip(r: int, s: int) -> None:
    compact = number(r) + number(s)
    assert decode_der(encode_der(compact)) == compact


@given(st.binary(max_size=74))
def test_der_noise_has_one_encoding(noise: bytes) -> None:
    compact = decode_der(noise)
    if compact is not None and any(compact):
        assert encode_der(compact) == noise


GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


@ENGINES
def test_half_of_the_order_is_low_and_one_more_is_not(engine: Engine) -> None:
    assert is_low_s(number(1) + number(ORDER // 2))
    assert not is_low_s(number(1) + number(ORDER // 2 + 1))
    signature = engine.sign_ecdsa(number(5), bytes(32))
    assert is_low_s(signature)


# both engines say the same


def both(check: Check) -> bool:
    """The verdict that both engines have."""
    verdicts = {engine.verify(check) for engine in (NATIVE, PORTABLE)}
    assert len(verdicts) == 1
    return verdicts.pop()


@settings(max_examples=60)
@given(SECRETS, DIGESTS)
def test_they_sign_and_derive_alike(secret: bytes, digest: bytes) -> None:
    assert NATIVE.public_key(secret) == PORTABLE.public_key(secret)
    ecdsa = NATIVE.sign_ecdsa(secret, digest)
    schnorr = NATIVE.sign_schnorr(secret, digest)
    assert ecdsa == PORTABLE.sign_ecdsa(secret, digest)
    assert schnorr == PORTABLE.sign_schnorr(secret, digest)
    key = NATIVE.public_key(secret)
    assert both(ecdsa_check(key, ecdsa, digest))
    assert both(schnorr_check(key[1:], schnorr, digest))


@settings(max_examples=150)
@given(SECRETS, DIGESTS, st.booleans(), st.integers(0, CHECK_SIZE * 8 - 1), st.integers(1, 3))
def test_they_judge_mutants_alike(secret: bytes, digest: bytes, schnorr: bool, bit: int, bits: int) -> None:
    """One to three flipped bits anywhere in a check: key, signature or digest."""
    key = NATIVE.public_key(secret)
    if schnorr:
        check = schnorr_check(key[1:], NATIVE.sign_schnorr(secret, digest), digest)
    else:
        check = ecdsa_check(key, NATIVE.sign_ecdsa(secret, digest), digest)
    mutant = int.from_bytes(check, "big") ^ (((1 << bits) - 1) << bit) & ((1 << CHECK_SIZE * 8) - 1)
    raw = mutant.to_bytes(CHECK_SIZE, "big")
    if raw[0] not in (0, 2, 3) or not is_low_s(raw[33:97]):
        return  # nobody makes such a check
    assert not both(Check(raw))


def extremes() -> list[bytes]:
    """Numbers at the edges of the field, the order and their halves."""
    around = (0, ORDER // 2, ORDER, FIELD, 2**256 - 1)
    numbers = {value + d for value in around for d in (-1, 0, 1) if 0 <= value + d < 2**256}
    return [number(value) for value in sorted(numbers)]


def test_they_judge_extremes_alike() -> None:
    keys = [GENERATOR[1:], number(5), number(FIELD), number(FIELD + 1), bytes(32), b"\xff" * 32]
    for x in keys:
        for r in extremes():
            for s in extremes():
                both(schnorr_check(x, r + s, b"\x11" * 32))
                if is_low_s(r + s):
                    both(ecdsa_check(b"\x02" + x, r + s, b"\x11" * 32))


@pytest.mark.parametrize("secret", [1, 7, ORDER - 2])
def test_an_ecdsa_sum_at_infinity_is_wrong_and_nothing_more(secret: int) -> None:
    """r = -e/d makes u1*G + u2*Q the point at infinity, whatever s is: anyone can ask for that."""
    digest = b"\x11" * 32
    r = -int.from_bytes(digest, "big") * pow(secret, -1, ORDER) % ORDER
    assert not both(ecdsa_check(NATIVE.public_key(number(secret)), number(r) + number(5), digest))


def test_a_schnorr_sum_at_infinity_is_wrong_and_nothing_more() -> None:
    """s = e*d makes s*G - e*P the point at infinity."""
    digest, r = b"\x11" * 32, GENERATOR[1:]
    x = GENERATOR[1:]
    e = int.from_bytes(tagged_hash("BIP0340/challenge", r + x + digest), "big") % ORDER
    assert not both(schnorr_check(x, r + number(e), digest))


@ENGINES
def test_an_ecdsa_r_above_the_order_wraps_to_its_x(engine: Engine) -> None:
    """s is free, so an x of R in [n, p) cannot be had by search; r >= n itself is refused."""
    assert not engine.verify(ecdsa_check(GENERATOR, number(ORDER) + number(1), bytes(32)))


@ENGINES
def test_the_first_failure_is_named(engine: Engine) -> None:
    digest = b"\x22" * 32
    right = schnorr_check(GENERATOR[1:], engine.sign_schnorr(number(1), digest), digest)
    wrong = Check(right[:-1] + b"\x00")
    assert engine.first_failure(b"") is None
    assert engine.first_failure(right * 3) is None
    assert engine.first_failure(right + right + wrong + right + wrong) == 2
    assert engine.first_failure(wrong) == 0


@ENGINES
@pytest.mark.parametrize("secret", [bytes(32), number(ORDER), b"\xff" * 32, b"\x01" * 31, b""])
def test_impossible_secrets(engine: Engine, secret: bytes) -> None:
    for use in (
        engine.public_key,
        lambda s: engine.sign_ecdsa(s, bytes(32)),
        lambda s: engine.sign_schnorr(s, bytes(32)),
    ):
        with pytest.raises(ValueError, match="secret"):
            use(secret)


# BIP340


@ENGINES
def test_bip340(vectors: Path, engine: Engine) -> None:
    """Every row; the four whose message is not 32 bytes cannot be asked here and are left out."""
    with (vectors / "bip340.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    asked = signed = 0
    for row in rows:
        message = bytes.fromhex(row["message"])
        if len(message) != 32:
            continue
        key, signature = bytes.fromhex(row["public key"]), bytes.fromhex(row["signature"])
        assert engine.verify(schnorr_check(key, signature, message)) == (row["verification result"] == "TRUE")
        asked += 1
        if row["secret key"]:
            secret, aux = bytes.fromhex(row["secret key"]), bytes.fromhex(row["aux_rand"])
            assert engine.public_key(secret)[1:] == key
            assert engine.sign_schnorr(secret, message, aux) == signature
            signed += 1
    assert (asked, signed, len(rows)) == (15, 4, 19)


# taproot


@settings(max_examples=40)
@given(SECRETS)
def test_the_taproot_secret_opens_the_taproot_output(secret: bytes) -> None:
    x = NATIVE.public_key(secret)[1:]
    output = taproot_output(NATIVE, x)
    assert output == taproot_output(PORTABLE, x)
    assert NATIVE.public_key(taproot_secret(NATIVE, secret))[1:] == output


@settings(max_examples=40)
@given(SECRETS, st.one_of(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, ORDER - 1, ORDER])))
def test_they_tweak_alike(secret: bytes, tweak: int) -> None:
    x = NATIVE.public_key(secret)[1:]
    assert outcome(NATIVE, x, tweak) == outcome(PORTABLE, x, tweak)


def outcome(engine: Engine, x: bytes, tweak: int) -> tuple[bytes, int] | str:
    """What tweaking comes to, refusal included."""
    try:
        return engine.tweak_public(x, number(tweak))
    except ValueError as refused:
        return str(refused)


def test_a_tweak_that_lands_at_infinity_is_refused() -> None:
    x = GENERATOR[1:]  # an even y: the secret is 1
    assert outcome(NATIVE, x, ORDER - 1) == outcome(PORTABLE, x, ORDER - 1) == "not a tweak"
    assert outcome(NATIVE, number(5), 1) == outcome(PORTABLE, number(5), 1) == "not an x-only public key"


@given(st.binary(min_size=32, max_size=32))
def test_what_is_an_x_of_a_point(x: bytes) -> None:
    on_curve = keys._lift_x(int.from_bytes(x, "big")) is not None
    assert is_x_only(x) == on_curve
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "lib", None)
        assert is_x_only(x) == on_curve
