"""Lock kinds, digests against the specifications, and signature operations."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.coins import Coin
from chain.errors import Invalid, Reject
from chain.hashes import tagged_hash
from chain.keys import BIP340, CHECK_SIZE, ORDER, decode_der, encode_der, libsecp256k1_engine, python_engine
from chain.script import HASH_TYPES, Spend, legacy_sigops
from chain.scripttype import ScriptType, classify, p2pkh_script, p2tr_script, p2wpkh_script
from chain.tx import OutPoint, Tx, TxIn, TxOut, decode_tx, make_tx
from tests import sighash
from tests.chain.test_tx import BIP143_SIGNED
from tests.chainlab import ENGINE, KINDS, key, lock, owner, sign
from tests.taproot import taproot_output, taproot_secret

COIN_SATOSHIS = 100_000_000

# kinds

HASH20, HASH32 = bytes(range(20)), bytes(range(32))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (p2wpkh_script(HASH20), ScriptType.P2WPKH),
        (p2pkh_script(HASH20), ScriptType.P2PKH),
        (p2tr_script(HASH32), ScriptType.P2TR),
        (b"\xa9\x14" + HASH20 + b"\x87", ScriptType.P2SH),
        (b"\x00\x20" + HASH32, ScriptType.P2WSH),
        (b"\x21" + b"\x02" + HASH32 + b"\xac", ScriptType.P2PK),
        (b"\x41" + b"\x04" + HASH32 * 2 + b"\xac", ScriptType.P2PK),
        (b"\x6a", ScriptType.OP_RETURN),
        (b"\x6a\x04data", ScriptType.OP_RETURN),
        (b"\x52\x20" + HASH32, ScriptType.WITNESS_UNKNOWN),
        (b"\x51\x02\x4e\x73", ScriptType.WITNESS_UNKNOWN),
        (b"\x60\x28" + bytes(40), ScriptType.WITNESS_UNKNOWN),
        (b"\x60\x29" + bytes(41), ScriptType.NONSTANDARD),
        (b"\x00\x15" + bytes(21), ScriptType.NONSTANDARD),
        (b"", ScriptType.NONSTANDARD),
        (b"\x51", ScriptType.NONSTANDARD),
        (b"\x76\xa9\x14" + HASH20 + b"\x88\xad", ScriptType.NONSTANDARD),
        (b"\x76\xa9\x15" + HASH20 + b"\x88\xac", ScriptType.NONSTANDARD),
        (b"\xa9\x14" + HASH20 + b"\x88", ScriptType.NONSTANDARD),
        (p2wpkh_script(HASH20) + b"\x00", ScriptType.NONSTANDARD),
    ],
)
def test_kinds(script: bytes, kind: ScriptType) -> None:
    assert classify(script) is kind


@given(st.binary(max_size=80))
def test_any_script_has_a_kind(script: bytes) -> None:
    assert classify(script) in ScriptType


# digests


@st.composite
def spends(draw: st.DrawFn) -> tuple[Tx, list[Coin]]:
    """A transaction beside the coins of supported kinds that it spends."""
    coins, inputs = [], []
    for _ in range(draw(st.integers(1, 4))):
        script = lock(draw(st.sampled_from(KINDS)), draw(st.integers(0, 11)))
        coins.append(Coin.make(draw(st.integers(0, 10**6)), False, TxOut(draw(st.integers(0, 2**50)), script)))
        point = OutPoint(draw(st.binary(min_size=36, max_size=36)))
        inputs.append(TxIn(point, b"", draw(st.integers(0, 2**32 - 1))))
    outputs = draw(st.lists(st.builds(TxOut, st.integers(0, 2**50), st.binary(max_size=40)), min_size=1, max_size=4))
    tx = make_tx(draw(st.integers(0, 2**32 - 1)), tuple(inputs), tuple(outputs), draw(st.integers(0, 2**32 - 1)))
    return tx, coins


def by_specification(tx: Tx, coins: list[Coin], index: int, hash_type: int) -> bytes:
    """The digest as the independent implementation has it."""
    script = coins[index].script
    match classify(script):
        case ScriptType.P2TR:
            return sighash.taproot(tx, index, [TxOut(coin.value, coin.script) for coin in coins], hash_type)
        case ScriptType.P2WPKH:
            return sighash.segwit_v0(tx, index, p2pkh_script(script[2:]), coins[index].value, hash_type)
        case _:
            return sighash.legacy(tx, index, script, hash_type)


@given(spends(), st.data())
def test_digests_are_the_specifications(made: tuple[Tx, list[Coin]], draw: st.DataObject) -> None:
    tx, coins = made
    spend = Spend(tx, coins)  # shared between inputs: what one keeps must not spoil the next
    for index, coin in enumerate(coins):
        types = HASH_TYPES | ({0} if classify(coin.script) is ScriptType.P2TR else set())
        hash_type = draw.draw(st.sampled_from(sorted(types)))
        if hash_type & 3 == 3 and index >= len(tx.outputs):
            with pytest.raises(Invalid) as refused:
                spend.signature_hash(index, hash_type)
            kind_is_taproot = classify(coin.script) is ScriptType.P2TR
            assert refused.value.code is (Reject.SCRIPT_VERIFY if kind_is_taproot else Reject.SCRIPT_UNSUPPORTED)
            continue
        assert spend.signature_hash(index, hash_type) == by_specification(tx, coins, index, hash_type)


@settings(max_examples=25)
@given(spends(), st.data())
def test_signed_inputs_check_under_both_engines(made: tuple[Tx, list[Coin]], draw: st.DataObject) -> None:
    tx, coins = made
    types = [
        draw.draw(st.sampled_from([t for t in sorted(HASH_TYPES) if t & 3 != 3 or index < len(tx.outputs)]))
        for index in range(len(coins))
    ]
    spend = Spend(sign(tx, coins, types), coins)
    checks = b"".join(spend.check(index) for index in range(len(coins)))
    assert len(checks) == CHECK_SIZE * len(coins)
    for engine in (libsecp256k1_engine(), python_engine()):
        assert engine.first_failure(checks) is None


@given(spends(), st.data())
def test_checks_on_noise_raise_nothing_but_invalid(made: tuple[Tx, list[Coin]], draw: st.DataObject) -> None:
    tx, coins = made
    signed = sign(tx, coins)
    index = draw.draw(st.integers(0, len(coins) - 1))
    spent = signed.inputs[index]
    noise = st.binary(max_size=80)
    witness = draw.draw(st.one_of(st.just(spent.witness), st.lists(noise, max_size=3).map(tuple)))
    script_sig = draw.draw(st.one_of(st.just(spent.script_sig), noise))
    odd = TxIn(spent.outpoint, script_sig, spent.sequence, witness)
    inputs = (*signed.inputs[:index], odd, *signed.inputs[index + 1 :])
    try:
        check = Spend(make_tx(tx.version, inputs, tx.outputs, tx.lock_time), coins).check(index)
    except Invalid as refused:
        code = refused.code
    else:
        assert len(check) == CHECK_SIZE
        return
    assert code in (Reject.SCRIPT_VERIFY, Reject.SCRIPT_UNSUPPORTED)


def test_bip143s_native_p2wpkh_example() -> None:
    """BIP143, "Native P2WPKH": the second input, 6 BTC."""
    tx = decode_tx(BIP143_SIGNED)
    public = tx.inputs[1].witness[1]
    script = p2wpkh_script(bytes.fromhex("1d0f172a0ecb48aee1be1f2687d2963ae33f71a1"))
    first = Coin.make(1, False, TxOut(625_000_000, b"\x21" + HASH32 + b"\x00\xac"))
    spend = Spend(tx, [first, Coin.make(1, False, TxOut(6 * COIN_SATOSHIS, script))])
    digest = spend.signature_hash(1, 1)
    assert digest.hex() == "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
    check = spend.check(1)
    assert check == public + (decode_der(tx.inputs[1].witness[0][:-1]) or b"") + digest
    assert ENGINE.verify(check)
    secret = bytes.fromhex("619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9")
    assert ENGINE.public_key(secret) == public
    assert encode_der(ENGINE.sign_ecdsa(secret, digest)) == tx.inputs[1].witness[0][:-1]


# BIP341's wallet vectors


def test_bip341_outputs(vectors: Path) -> None:
    """Every scriptPubKey; the rows with scripts through their merkle root."""
    rows = json.loads((vectors / "bip341_wallet.json").read_text())["scriptPubKey"]
    for row in rows:
        internal = bytes.fromhex(row["given"]["internalPubkey"])
        root = bytes.fromhex(row["intermediary"]["merkleRoot"] or "")
        tweak = tagged_hash("TapTweak", internal + root)
        assert tweak.hex() == row["intermediary"]["tweak"]
        output = ENGINE.tweak_public(internal, tweak)[0]
        assert output.hex() == row["intermediary"]["tweakedPubkey"]
        assert p2tr_script(output).hex() == row["expected"]["scriptPubKey"]
        if not root:
            assert taproot_output(ENGINE, internal) == output
    assert (len(rows), sum(not row["intermediary"]["merkleRoot"] for row in rows)) == (7, 1)


def test_bip341_key_path_spends(vectors: Path) -> None:
    """Digests, tweaked secrets and witnesses of every input, and the signed whole."""
    [case] = json.loads((vectors / "bip341_wallet.json").read_text())["keyPathSpending"]
    tx = decode_tx(bytes.fromhex(case["given"]["rawUnsignedTx"]))
    coins = [
        Coin.make(1, False, TxOut(utxo["amountSats"], bytes.fromhex(utxo["scriptPubKey"])))
        for utxo in case["given"]["utxosSpent"]
    ]
    spend = Spend(tx, coins)
    for row in case["inputSpending"]:
        index, hash_type = row["given"]["txinIndex"], row["given"]["hashType"]
        digest = spend.signature_hash(index, hash_type)
        assert digest.hex() == row["intermediary"]["sigHash"]
        internal, root = (bytes.fromhex(row["given"][name] or "") for name in ("internalPrivkey", "merkleRoot"))
        secret = tweaked(internal, root)
        assert secret.hex() == row["intermediary"]["tweakedPrivkey"]
        if not root:
            assert taproot_secret(ENGINE, internal) == secret
        witness = ENGINE.sign_schnorr(secret, digest) + (bytes([hash_type]) if hash_type else b"")
        assert [witness.hex()] == row["expected"]["witness"]
    assert len(case["inputSpending"]) == 7

    signed = decode_tx(bytes.fromhex(case["auxiliary"]["fullySignedTx"]))
    checks = [Spend(signed, coins).check(index) for index in range(len(coins))]
    assert [check[0] == BIP340 for check in checks] == [i not in (2, 5) for i in range(9)]
    assert ENGINE.first_failure(b"".join(checks)) is None


def tweaked(secret: bytes, root: bytes) -> bytes:
    """BIP341's taproot_tweak_seckey, for any merkle root."""
    public = ENGINE.public_key(secret)
    number = int.from_bytes(secret, "big")
    even = number if public[0] == 2 else ORDER - number
    tweak = int.from_bytes(tagged_hash("TapTweak", public[1:] + root), "big")
    return ((even + tweak) % ORDER).to_bytes(32, "big")


# signature operations


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("", 0),
        ("ac", 1),
        ("ad", 1),
        ("ae", 20),
        ("af", 20),
        ("acadaeaf", 42),
        ("51ae", 20),  # counted as 20 whatever stands before
        ("01ac", 0),
        ("01acac", 1),
        ("4bac", 0),
        ("ac4bac", 1),
        ("4c02acacac", 1),
        ("4d0200acacac", 1),
        ("4e02000000acacac", 1),
        ("ac4c", 1),
        ("ac4d01", 1),
        ("ac4e010000", 1),
        ("ac4c03acac", 1),
        ("ac4effffffffac", 1),
        ("4cac", 0),
        ("00ac", 1),
        ("6aac", 1),
        ("baac", 1),
        ("0014" + "ac" * 20, 0),
        ("5120" + "ac" * 32, 0),
        ("76a914" + "ac" * 20 + "88ac", 1),
        ("21" + "02" * 33 + "ac", 1),
    ],
)
def test_legacy_signature_operations(script: str, count: int) -> None:
    assert legacy_sigops(bytes.fromhex(script)) == count


def naive_sigops(script: bytes) -> int:
    """Core's GetSigOpCount(false), opcode for opcode."""
    count, left = 0, list(script)
    while left:
        operator = left.pop(0)
        if operator <= 0x4E:
            width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(operator, 0)
            if len(left) < width:
                break
            size = int.from_bytes(bytes(left[:width]), "little") if width else operator
            if len(left) - width < size:
                break
            left = left[width + size :]
        elif operator in (0xAC, 0xAD):
            count += 1
        elif operator in (0xAE, 0xAF):
            count += 20
    return count


TELLING = [0, 1, 2, 3, 0x14, 0x4B, 0x4C, 0x4D, 0x4E, 0x51, 0x6A, 0xAC, 0xAD, 0xAE, 0xAF]


@given(st.lists(st.sampled_from(TELLING), max_size=40))
def test_signature_operations_as_core_counts_them(operators: list[int]) -> None:
    assert legacy_sigops(bytes(operators)) == naive_sigops(bytes(operators))


def test_the_lab_owns_its_locks() -> None:
    assert all(owner(lock(kind, n)) == key(n) for kind in KINDS for n in range(12))
