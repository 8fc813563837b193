"""Scripts as text in both styles, and descriptors with their checksums."""

import pytest

from node.api.encoding.disassembler import core_asm, descriptor, esplora_asm
from node.api.rpc.core_json import script_type
from node.descriptors.checksum import descriptor_checksum

KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
SIGNATURE = "3006020101020101"

CASES = [
    ("", "", ""),
    ("0014" + "ab" * 20, "OP_0 OP_PUSHBYTES_20 " + "ab" * 20, "0 " + "ab" * 20),
    (
        "76a914" + "cd" * 20 + "88ac",
        "OP_DUP OP_HASH160 OP_PUSHBYTES_20 " + "cd" * 20 + " OP_EQUALVERIFY OP_CHECKSIG",
        "OP_DUP OP_HASH160 " + "cd" * 20 + " OP_EQUALVERIFY OP_CHECKSIG",
    ),
    ("5120" + "ef" * 32, "OP_PUSHNUM_1 OP_PUSHBYTES_32 " + "ef" * 32, "1 " + "ef" * 32),
    ("6a024142", "OP_RETURN OP_PUSHBYTES_2 4142", "OP_RETURN 16961"),
    ("0181", "OP_PUSHBYTES_1 81", "-1"),
    ("4f5060", "OP_PUSHNUM_NEG1 OP_RESERVED OP_PUSHNUM_16", "-1 OP_RESERVED 16"),
    ("4c0101", "OP_PUSHDATA1 01", "1"),
    ("4d0500" + "11" * 5, "OP_PUSHDATA2 " + "11" * 5, "11" * 5),
    ("4e05000000" + "22" * 5, "OP_PUSHDATA4 " + "22" * 5, "22" * 5),
    ("05aabb", "OP_PUSHBYTES_5 <push past end>", "[error]"),
    ("ac4c05aa", "OP_CHECKSIG OP_PUSHDATA1 <push past end>", "OP_CHECKSIG [error]"),
    ("ac4d01", "OP_CHECKSIG<unexpected end>", "OP_CHECKSIG [error]"),
    ("4e000000", "<unexpected end>", "[error]"),
    ("02aabb4d010001", "OP_PUSHBYTES_2 aabb OP_PUSHDATA2 01", "-15274 1"),
    ("4c00", "OP_PUSHDATA1", "0"),
    ("b1b2ba", "OP_CLTV OP_CSV OP_CHECKSIGADD", "OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY OP_CHECKSIGADD"),
    ("bbfeff", "OP_RETURN_187 OP_RETURN_254 OP_INVALIDOPCODE", "OP_UNKNOWN OP_UNKNOWN OP_INVALIDOPCODE"),
]


@pytest.mark.parametrize(("script", "esplora", "core"), CASES)
def test_asm(script: str, esplora: str, core: str) -> None:
    raw = bytes.fromhex(script)
    assert (esplora_asm(raw), core_asm(raw)) == (esplora, core)


def test_core_spells_out_hash_types() -> None:
    script_sig = bytes((9,)) + bytes.fromhex(SIGNATURE) + b"\x01" + bytes((33,)) + bytes.fromhex(KEY)
    assert core_asm(script_sig, signatures=True) == f"{SIGNATURE}[ALL] {KEY}"
    assert core_asm(script_sig) == f"{SIGNATURE}01 {KEY}"
    none_anyone = bytes((9,)) + bytes.fromhex(SIGNATURE) + b"\x82"
    assert core_asm(none_anyone, signatures=True) == f"{SIGNATURE}[NONE|ANYONECANPAY]"
    assert core_asm(bytes((9,)) + bytes.fromhex(SIGNATURE) + b"\x07", signatures=True) == f"{SIGNATURE}07"


def test_descriptor_checksum() -> None:
    assert descriptor_checksum("raw(deadbeef)") == "89f8spxm"  # BIP380


def test_descriptor_checksum_refuses_foreign_characters() -> None:
    with pytest.raises(ValueError, match="Invalid characters in payload"):
        descriptor_checksum("addr(é)")


@pytest.mark.parametrize(
    ("script", "body", "kind"),
    [
        ("5120" + KEY[2:], f"rawtr({KEY[2:]})", "witness_v1_taproot"),
        ("21" + KEY + "ac", f"pk({KEY})", "pubkey"),
        ("6a00", "raw(6a00)", "nulldata"),
        ("5121" + KEY + "21" + KEY + "52ae", f"multi(1,{KEY},{KEY})", "multisig"),
        ("0111" + ("21" + KEY) * 17 + "0111ae", f"multi(17{f',{KEY}' * 17})", "multisig"),
        ("5121" + "05" + KEY[2:] + "51ae", "raw(5121" + "05" + KEY[2:] + "51ae)", "nonstandard"),
        ("5221" + KEY + "51ae", "raw(5221" + KEY + "51ae)", "nonstandard"),
        ("2105" + KEY[2:] + "ac", "raw(2105" + KEY[2:] + "ac)", "nonstandard"),
        ("51024e73", "addr(bcrt1pfeesnyr2tx)", "anchor"),
        ("5121" + KEY + "21" + KEY + "53ae", "raw(5121" + KEY + "21" + KEY + "53ae)", "nonstandard"),
        ("51ae", "raw(51ae)", "nonstandard"),
        ("", "raw()", "nonstandard"),
    ],
)
def test_descriptor_and_type(script: str, body: str, kind: str) -> None:
    raw = bytes.fromhex(script)
    assert descriptor(raw) == f"{body}#{descriptor_checksum(body)}"
    assert script_type(raw) == kind
