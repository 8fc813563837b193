"""Addresses: Bitcoin Core's lists, BIP173's and BIP350's, and round trips."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import (
    MAIN_ADDRESSES,
    REGTEST_ADDRESSES,
    TEST_ADDRESSES,
    AddressError,
    AddressFormat,
    decode_address,
    encode_address,
)
from chain.scripttype import witness_program

FORMATS = {
    "main": MAIN_ADDRESSES,
    "test": TEST_ADDRESSES,
    "signet": TEST_ADDRESSES,  # the same prefixes
    "regtest": REGTEST_ADDRESSES,
}


def test_core_valid(vectors: Path) -> None:
    """Every address of every network. Left out: the 16 private keys, which are no addresses."""
    rows = json.loads((vectors / "key_io_valid.json").read_text())
    asked = flipped = 0
    for text, script, facts in rows:
        if facts["isPrivkey"]:
            continue
        fmt = FORMATS[facts["chain"]]
        assert decode_address(text, fmt).hex() == script
        assert encode_address(bytes.fromhex(script), fmt) == text
        asked += 1
        if facts.get("tryCaseFlip"):
            assert decode_address(text.swapcase(), fmt).hex() == script
            flipped += 1
    assert (asked, flipped, len(rows)) == (54, 32, 70)


def test_core_private_keys_are_no_addresses(vectors: Path) -> None:
    for text, _, facts in json.loads((vectors / "key_io_valid.json").read_text()):
        if facts["isPrivkey"]:
            for fmt in FORMATS.values():
                with pytest.raises(AddressError):
                    decode_address(text, fmt)


def test_core_invalid(vectors: Path) -> None:
    """All 70, on every network."""
    rows = json.loads((vectors / "key_io_invalid.json").read_text())
    for (text,) in rows:
        for fmt in FORMATS.values():
            with pytest.raises(AddressError):
                decode_address(text, fmt)
    assert len(rows) == 70


# BIP350, "Test vectors for v0-v16 native segregated witness addresses", those of main and test.
VALID = {
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7": (
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"
    ),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": (
        "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"
    ),
    "BC1SW50QGDZ25J": "6002751e",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": "5210751e76e8199196d454941c45d1b3a323",
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": (
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    ),
}


@pytest.mark.parametrize(("text", "script"), VALID.items())
def test_bip350_valid(text: str, script: str) -> None:
    fmt = MAIN_ADDRESSES if text.lower().startswith("bc") else TEST_ADDRESSES
    assert decode_address(text, fmt).hex() == script
    assert encode_address(bytes.fromhex(script), fmt) == text.lower()


INVALID = {
    # BIP350, "The following list gives invalid segwit addresses and the reason for their invalidity."
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut": "not an address",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd": "checksum",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf": "checksum",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL": "checksum",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh": "checksum",
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47": "checksum",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4": "character",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R": "checksum",
    "bc1pw5dgrnzv": "length",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav": "length",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P": "length",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq": "mixed",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf": "length",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j": "length",
    "bc1gmk9yu": "character",
    # BIP173, the same list, what BIP350 does not repeat.
    "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty": "not an address",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5": "checksum",
    "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2": "checksum",
    "bc1rw5uspcuh": "checksum",
    "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90": "checksum",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7": "mixed",
    "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du": "checksum",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3pjxtptv": "length",
    # Our own
    "": "not an address",
    "bc1": "character",
    "bcrt1": "character",
    "1": "not an address",
    "bc1" + "q" * 100: "too long",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7\u212aV8F3T4": "character",
    "\uff11BoatSLRHtKNngkdXEeobR76b53LETtpyT": "not an address",
}


@pytest.mark.parametrize(("text", "why"), INVALID.items())
def test_invalid(text: str, why: str) -> None:
    fmt = TEST_ADDRESSES if text.startswith("tb") else MAIN_ADDRESSES
    with pytest.raises(AddressError, match=why) as refused:
        decode_address(text, fmt)
    assert not refused.value.other_network


@pytest.mark.parametrize("text", ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo"])
def test_addresses_of_another_network_are_told_apart(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        decode_address(text, REGTEST_ADDRESSES)
    assert refused.value.other_network


PROGRAMS = st.one_of(
    st.binary(min_size=20, max_size=20).map(lambda h: b"\x00\x14" + h),
    st.binary(min_size=32, max_size=32).map(lambda h: b"\x00\x20" + h),
    st.binary(min_size=2, max_size=40).flatmap(lambda p: st.integers(0x51, 0x60).map(lambda v: bytes((v, len(p))) + p)),
    st.binary(min_size=20, max_size=20).map(lambda h: b"\x76\xa9\x14" + h + b"\x88\xac"),
    st.binary(min_size=20, max_size=20).map(lambda h: b"\xa9\x14" + h + b"\x87"),
)
NETWORKS = st.sampled_from([MAIN_ADDRESSES, TEST_ADDRESSES, REGTEST_ADDRESSES])


@given(PROGRAMS, NETWORKS)
def test_round_trip(script: bytes, fmt: AddressFormat) -> None:
    text = encode_address(script, fmt)
    assert text is not None
    assert decode_address(text, fmt) == script


@given(PROGRAMS, NETWORKS, st.data())
def test_one_wrong_character_is_noticed(script: bytes, fmt: AddressFormat, draw: st.DataObject) -> None:
    text = encode_address(script, fmt) or ""
    at = draw.draw(st.integers(0, len(text) - 1))
    other = draw.draw(st.sampled_from("023456789acdefghjklmnpqrstuvwxyz"))
    mutant = text[:at] + other + text[at + 1 :]
    if mutant != text:
        with pytest.raises(AddressError):
            decode_address(mutant, fmt)


@given(st.text(max_size=100), NETWORKS)
def test_noise_raises_nothing_but_address_errors(text: str, fmt: AddressFormat) -> None:
    for candidate in (text, fmt.hrp + "1" + text):
        with pytest.raises(AddressError):
            decode_address(candidate, fmt)


@pytest.mark.parametrize("script", ["", "51", "6a", "0015" + "00" * 21, "5129" + "00" * 41, "5101" + "00", "76a914"])
def test_other_scripts_have_no_address(script: str) -> None:
    assert encode_address(bytes.fromhex(script)) is None


def test_witness_programs() -> None:
    assert witness_program(bytes.fromhex("51024e73")) == (1, b"\x4e\x73")
    assert witness_program(b"\x60\x28" + bytes(40)) == (16, bytes(40))
    assert witness_program(b"\x00\x02\x01\x02") == (0, b"\x01\x02")
    for script in ("", "510100", "5129" + "00" * 41, "50020000", "61020000", "51030000"):
        assert witness_program(bytes.fromhex(script)) is None
