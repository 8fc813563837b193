"""Descriptors against the test vectors of BIP380 to BIP386: valid ones with their first scripts, and invalid ones."""

import pytest

from chain.address import encode_address
from node.descriptors.errors import DescriptorError
from node.descriptors.networks import MAIN_KEYS
from node.descriptors.parse import Descriptor, parse_descriptor

KEY = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd"
X_ONLY = KEY[2:]
LONG = "04" + X_ONLY + "5b8dec5235a0fa8722476c7709c02559e3aa73aa03918ba2d492eea75abea235"
WIF = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1"
LONG_WIF = "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss"
XPRV_A = (
    "xprvA1RpRA33e1JQ7ifknakTFpgNXPmW2YvmhqLQYMmrj4xJXXWYpDPS3xz7iAxn8L39njGVyuoseXzU6rcxFLJ8HFsTjSyQbLYnMpCqE2VbFWc"
)
XPUB_A = (
    "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL"
)
XPRV_B = (
    "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L"
)
XPUB_B = (
    "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y"
)
XPRV_C = (
    "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpSBHNqPqm55Qn3LqFtT2emdEXVYsCzC2U"
)
XPUB_C_CHILD = (
    "xpub69H7F5dQzmVd3vPuLKtcXJziMEQByuDidnX3YdwgtNsecY5HRGtAAQC5mXTt4dsv9RzyjgDjAQs9VGVV6ydYCHnprc9vvaA5YtqWyL6hyds"
)
XPRV_D = (
    "xprv9vHkqa6EV4sPZHYqZznhT2NPtPCjKuDKGY38FBWLvgaDx45zo9WQRUT3dKYnjwih2yJD9mkrocEZXo1ex8G81dwSM1fwqWpWkeS3v86pgKt"
)
XPUB_D = (
    "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH"
)
XPRV_E = (
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
)
XPRV_F = (
    "xprvA2JDeKCSNNZky6uBCviVfJSKyQ1mDYahRjijr5idH2WwLsEd4Hsb2Tyh8RfQMuPh7f7RtyzTtdrbdqqsunu5Mm3wDvUAKRHSC34sJ7in334"
)
SIXTEEN_KEYS = (
    "03669b8afcec803a0d323e9a17f3ea8e68e8abe5a278020a929adbec52421adbd0",
    "0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600",
    "0362a74e399c39ed5593852a30147f2959b56bb827dfa3e60e464b02ccf87dc5e8",
    "0261345b53de74a4d721ef877c255429961b7e43714171ac06168d7e08c542a8b8",
    "02da72e8b46901a65d4374fe6315538d8f368557dda3a1dcf9ea903f3afe7314c8",
    "0318c82dd0b53fd3a932d16e0ba9e278fcc937c582d5781be626ff16e201f72286",
    "0297ccef1ef99f9d73dec9ad37476ddb232f1238aff877af19e72ba04493361009",
    "02e502cfd5c3f972fe9a3e2a18827820638f96b6f347e54d63deb839011fd5765d",
    "03e687710f0e3ebe81c1037074da939d409c0025f17eb86adb9427d28f0f7ae0e9",
    "02c04d3a5274952acdbc76987f3184b346a483d43be40874624b29e3692c1df5af",
    "02ed06e0f418b5b43a7ec01d1d7d27290fa15f75771cb69b642a51471c29c84acd",
    "036d46073cbb9ffee90473f3da429abc8de7f8751199da44485682a989a4bebb24",
    "02f5d1ff7c9029a80a4e36b9a5497027ef7f3e73384a4a94fbfe7c4e9164eec8bc",
    "02e41deffd1b7cce11cde209a781adcffdabd1b91c0ba0375857a2bfd9302419f3",
    "02d76625f7956a7fc505ab02556c23ee72d832f1bac391bcd2d3abce5710a13d06",
    "0399eb0a5487515802dc14544cf10b3666623762fbed2ec38a3975716e2c29c232",
)
SIXTEEN = ",".join(SIXTEEN_KEYS)
SORTED = (
    (
        "025d5fc65ebb8d44a5274b53bac21ff8307fec2334a32df05553459f8b1f7fe1b6",
        "02fbd47cc8034098f0e6a94c6aeee8528abf0a2153a5d8e46d325b7284c0467846",
    ),
    (
        "0264fd4d1f5dea8ded94c61e9641309349b62f27fbffe807291f664e286bfbe647",
        "03f4ece6dfccfa37b211eb3d0af4d0c61dba9ef698622dc17eecdf764beeb005a6",
    ),
    (
        "022ccabda84c30bad578b13c89eb3b9544ce149787e5b538175b1d1ba259cbb833",
        "024d902e1a2fc7a8755ab5b694c575fce742c48d9ff192e63df5193e4c7afe1f9c",
    ),
)
BARE = f"5121{KEY}41{LONG}52ae"

VALID = {
    f"pk({WIF})": [f"21{KEY}ac"],
    f"pk({KEY})": [f"21{KEY}ac"],
    f"pk({LONG_WIF})": [f"41{LONG}ac"],
    f"pk({LONG})": [f"41{LONG}ac"],
    f"pkh([deadbeef/1/2'/3/4']{WIF})": ["76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"],
    f"pkh([deadbeef/1/2h/3/4h]{KEY})": ["76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"],
    f"pkh({LONG})": ["76a914b5bd079c4d57cc7fc28ecf8213a6b791625b818388ac"],
    f"sh(pk({KEY}))": ["a9141857af51a5e516552b3086430fd8ce55f7c1a52487"],
    f"sh(pkh({WIF}))": ["a9141a31ad23bf49c247dd531a623c2ef57da3c400c587"],
    f"pkh({XPRV_C}/2147483647'/0)": ["76a914ebdc90806a9c4356c1c88e42216611e1cb4c1c1788ac"],
    f"pkh([bd16bee5/2147483647h]{XPUB_C_CHILD}/0)": ["76a914ebdc90806a9c4356c1c88e42216611e1cb4c1c1788ac"],
    f"pk({XPRV_B}/0)": ["210379e45b3cf75f9c5f9befd8e9506fb962f6a9d185ac87001ec44a8d3df8d4a9e3ac"],
    f"pk({XPUB_B}/0)": ["210379e45b3cf75f9c5f9befd8e9506fb962f6a9d185ac87001ec44a8d3df8d4a9e3ac"],
    f"wpkh({KEY})": ["00149a1c78a507689f6f54b847ad1cef1e614ee23f1e"],
    f"wpkh([ffffffff/13']{XPRV_D}/1/2/0)": ["0014326b2249e3a25d5dc60935f044ee835d090ba859"],
    f"wpkh([ffffffff/13']{XPUB_D}/1/2/*)": [
        "0014326b2249e3a25d5dc60935f044ee835d090ba859",
        "0014af0bd98abc2f2cae66e36896a39ffe2d32984fb7",
        "00141fa798efd1cbf95cebf912c031b8a4a6e9fb9f27",
    ],
    f"sh(wpkh({XPRV_E}/10/20/30/40/*'))": [
        "a9149a4d9901d6af519b2a23d4a2f51650fcba87ce7b87",
        "a914bed59fc0024fae941d6e20a3b44a109ae740129287",
        "a9148483aa1116eb9c05c482a72bada4b1db24af654387",
    ],
    f"wsh(pkh({KEY}))": ["0020338e023079b91c58571b20e602d7805fb808c22473cbc391a41b1bd3a192e75b"],
    f"wsh(pk({WIF}))": ["00202e271faa2325c199d25d22e1ead982e45b64eeb4f31e73dbdf41bd4b5fec23fa"],
    f"sh(wsh(pkh({KEY})))": ["a914b61b92e2ca21bac1e72a3ab859a742982bea960a87"],
    f"multi(1,{WIF},{LONG_WIF})": [BARE],
    f"multi(1,{KEY},{LONG})": [BARE],
    f"sortedmulti(1,{LONG},{KEY})": [BARE],
    f"sh(multi(2,[00000000/111'/222]{XPRV_A},{XPRV_B}/0))": ["a91445a9a622a8b0a1269944be477640eedc447bbd8487"],
    f"sortedmulti(2,{XPUB_A}/*,{XPUB_B}/0/0/*)": [f"5221{one}21{other}52ae" for one, other in SORTED],
    f"wsh(multi(2,{XPRV_C}/2147483647'/0,{XPRV_D}/1/2/*,{XPRV_E}/10/20/30/40/*'))": [
        "0020b92623201f3bb7c3771d45b2ad1d0351ea8fbf8cfe0a0e570264e1075fa1948f",
        "002036a08bbe4923af41cf4316817c93b8d37e2f635dd25cfff06bd50df6ae7ea203",
        "0020a96e7ab4607ca6b261bfe3245ffda9c746b28d3f59e83d34820ec0e2b36c139c",
    ],
    f"sh(wsh(multi(16,{SIXTEEN})))": ["a9147fc63e13dc25e8a95a3cee3d9a714ac3afd96f1e87"],
    "raw(deadbeef)#89f8spxm": ["deadbeef"],
    "addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j)": ["a914eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee87"],
    f"tr({X_ONLY})": ["512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11"],
    f"tr({WIF})": ["512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11"],
    f"tr({XPRV_A}/0/*,pk({XPRV_A}/1/*))": [
        "512078bc707124daa551b65af74de2ec128b7525e10f374dc67b64e00ce0ab8b3e12",
        "512001f0a02a17808c20134b78faab80ef93ffba82261ccef0a2314f5d62b6438f11",
        "512021024954fcec88237a9386fce80ef2ced5f1e91b422b26c59ccfc174c8d1ad25",
    ],
    f"tr({X_ONLY},pk(669b8afcec803a0d323e9a17f3ea8e68e8abe5a278020a929adbec52421adbd0))": [
        "512017cf18db381d836d8923b1bdb246cfcd818da1a9f0e6e7907f187f0b2f937754"
    ],
    (
        f"tr({X_ONLY},{{pk({XPRV_F}/0),{{{{pk({XPUB_A}),"
        f"pk(02df12b7035bdac8e3bab862a3a83d06ea6b17b6753d52edecba9be46f5d09e076)}},pk({WIF})}}}})"
    ): ["512071fff39599a7b78bc02623cbe814efebf1a404f5d8ad34ea80f213bd8943f574"],
}
"""Text -> scripts at 0, 1, 2, or the only one."""

INVALID = {
    "raw(deadbeef)#": "Expected 8 character checksum, not 0 characters",
    "raw(deadbeef)#89f8spxmx": "Expected 8 character checksum, not 9 characters",
    "raw(deadbeef)#89f8spx": "Expected 8 character checksum, not 7 characters",
    "raw(deedbeef)#89f8spxm": "Provided checksum '89f8spxm' does not match computed checksum 'xj8ljs75'",
    "raw(deedbeef)##9f8spxm": "Multiple '#' symbols",
    "raw(Ü)#00000000": "Invalid characters in payload",
    "raw(asdf)": "Raw script is not hex",
    "raw()": "Raw script is not hex",
    "addr(asdf)": "Address is not valid",
    "sh(raw(deadbeef))": "Can only have raw() at top level",
    "wsh(addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j))": "Can only have addr() at top level",
    f"pk([deadbeef/0h/0h/0h/*]{KEY})": "pk(): Key path value '*' is not a valid uint32",
    f"pk([deadbeef/0h/0h/0h/]{KEY})": "pk(): Key path value '' is not a valid uint32",
    f"pk([deadbef/0h/0h/0h]{KEY})": "pk(): Fingerprint is not 4 bytes (7 characters instead of 8 characters)",
    f"pk([deadbeeef/0h/0h/0h]{KEY})": "pk(): Fingerprint is not 4 bytes (9 characters instead of 8 characters)",
    f"pk([gaaaaaaa]{KEY})": "pk(): Fingerprint 'gaaaaaaa' is not hex",
    f"pk([deadbeef/0f/0f]{KEY})": "pk(): Key path value '0f' is not a valid uint32",
    f"pk([deadbeef/0H]{KEY})": "pk(): Key path value '0H' is not a valid uint32",
    f"pk([deadbeef/-0]{KEY})": "pk(): Key path value '-0' is not a valid uint32",
    f"pk({WIF}/0)": f"pk(): key '{WIF}' is not valid",
    f"pk({WIF}/*)": f"pk(): key '{WIF}' is not valid",
    f"pk({XPRV_C}/2147483648)": "pk(): Key path value 2147483648 is out of range",
    f"pk({XPRV_C}/1aa)": "pk(): Key path value '1aa' is not a valid uint32",
    f"pk([aaaaaaaa][aaaaaaaa]{XPRV_C}/0)": "pk(): Multiple ']' characters found for a single pubkey",
    f"pk(aaaaaaaa]{XPRV_C}/0)": "pk(): Key origin start '[ character expected but not found, got 'a' instead",
    f"pk(]{KEY})": "pk(): Key origin start '[ character expected but not found, got ']' instead",
    "pk([deadbeef])": "pk(): No key provided",
    "pk()": "pk(): No key provided",
    f"pk( {KEY})": f"pk(): Key ' {KEY}' is invalid due to whitespace",
    f"pk(06{LONG[2:]})": "pk(): Hybrid public keys are not allowed",
    f"pk({LONG[:-2]}36)": f"pk(): Pubkey '{LONG[:-2]}36' is invalid",
    f"pk({X_ONLY})": f"pk(): Pubkey '{X_ONLY}' is invalid",
    f"pk(pk({KEY}))": f"pk(): key 'pk({KEY})' is not valid",
    f"pkh(pk({KEY}))": f"pkh(): key 'pk({KEY})' is not valid",
    f"sh({KEY})": "A function is needed within P2SH",
    f"wsh({KEY})": "A function is needed within P2WSH",
    f"sh(sh(pkh({KEY})))": "Can only have sh() at top level",
    f"wpkh({LONG})": "wpkh(): Uncompressed keys are not allowed",
    f"sh(wpkh({LONG_WIF}))": "wpkh(): Uncompressed keys are not allowed",
    f"wsh(pk({LONG}))": "pk(): Uncompressed keys are not allowed",
    f"wsh(wpkh({KEY}))": "Can only have wpkh() at top level or inside sh()",
    f"wsh(wsh(pkh({KEY})))": "Can only have wsh() at top level or inside sh()",
    f"sh(combo({KEY}))": "Can only have combo() at top level",
    f"wpkh(wsh(pkh({KEY})))": f"wpkh(): key 'wsh(pkh({KEY}))' is not valid",
    f"tr({LONG_WIF})": "tr(): Uncompressed keys are not allowed",
    f"tr({LONG})": "tr(): Uncompressed keys are not allowed",
    f"wsh(tr({X_ONLY}))": "Can only have tr at top level",
    f"sh(rawtr({X_ONLY}))": "Can only have rawtr at top level",
    f"tr({X_ONLY},pkh({KEY}))": f"'pkh({KEY})' is not a valid descriptor function",
    f"tr({X_ONLY},multi(1,{KEY}))": "Can only have multi/sortedmulti at top level, in sh(), or in wsh()",
    f"tr({X_ONLY},{{pk({KEY})}})": "tr(): expected ',' after script expression",
    f"tr({X_ONLY},{{pk({KEY}),pk({KEY}))": "tr(): expected '}' after script expression",
    f"tr({X_ONLY},pk({KEY}),pk({KEY}))": "tr(): expected ')' after script expression",
    f"tr({X_ONLY},{'{' * 129}pk({KEY}))": "tr() supports at most 128 nesting levels",
    f"rawtr({X_ONLY},pk({KEY}))": "rawtr(): only one key expected.",
    f"multi(a,{KEY})": "Multi threshold 'a' is not valid",
    f"multi(0,{KEY})": "Multisig threshold cannot be 0, must be at least 1",
    f"multi(3,{KEY},{LONG})": (
        "Multisig threshold cannot be larger than the number of keys; threshold is 3 but only 2 keys specified"
    ),
    "wsh(multi(1))": "Cannot have 0 keys in multisig; must have between 1 and 20 keys, inclusive",
    f"wsh(multi(1{f',{KEY}' * 21}))": "Cannot have 21 keys in multisig; must have between 1 and 20 keys, inclusive",
    f"multi(1{f',{KEY}' * 4})": "Cannot have 4 pubkeys in bare multisig; only at most 3 pubkeys",
    f"sh(multi(16,{SIXTEEN}))": "P2SH script is too large, 547 bytes is larger than 520 bytes",
    f"sh(multi_a(1,{KEY}))": "Can only have multi_a/sortedmulti_a inside tr()",
    f"wpkh({KEY}),": "',' after the descriptor",
    f"wpkh({KEY})x": f"'wpkh({KEY})x' is not a valid descriptor function",
    f"nothing({KEY})": f"'nothing({KEY})' is not a valid descriptor function",
    "": "'' is not a valid descriptor function",
    "(": "'(' is not a valid descriptor function",
    f"pk({XPUB_A}/<0>)": "pk(): Multipath key path specifiers must have at least two items",
    f"pk({XPUB_A}/<0;0>)": "pk(): Duplicated key path value 0 in multipath specifier",
    f"pk({XPUB_A}/<0;1>/<0;1>)": "pk(): Multiple multipath key path specifiers found",
    f"pk([deadbeef/<0;1>]{XPUB_A})": (
        "pk(): Key path value '<0;1>' specifies multipath in a section where multipath is not allowed"
    ),
    f"multi(1,{XPUB_A}/<0;1>,{XPUB_A}/<0;1;2>)": "multi(): Multipath derivation paths have mismatched lengths",
    f"tr({XPUB_A}/<0;1>,pk({XPUB_A}/<0;1;2>))": (
        "tr(): Multipath internal key mismatches multipath subscripts lengths"
    ),
}
"""Text -> what is wrong, in Bitcoin Core's words."""


def parse(text: str) -> Descriptor:
    [descriptor] = parse_descriptor(text, MAIN_KEYS)
    return descriptor


@pytest.mark.parametrize("text", VALID)
def test_valid_ones_and_their_scripts(text: str) -> None:
    expected, descriptor = VALID[text], parse(text)
    assert descriptor.is_range == (len(expected) == 3)
    assert [one.script.hex() for index in range(len(expected)) for one in descriptor.at(index)] == expected
    again = parse(str(descriptor))
    assert str(again) == str(descriptor)
    assert again.has_private_keys is False


@pytest.mark.parametrize("text", INVALID)
def test_invalid_ones_and_why(text: str) -> None:
    with pytest.raises(DescriptorError) as caught:
        parse_descriptor(text, MAIN_KEYS)
    assert str(caught.value) == INVALID[text]


def test_a_combo_is_all_that_a_key_could_be_paid_by() -> None:
    """BIP384, with the scripts that BIP381 and BIP382 give for each."""
    found = parse(f"combo({KEY})").at(0)
    assert [one.script.hex() for one in found[:3]] == [
        f"21{KEY}ac",
        "76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac",
        "00149a1c78a507689f6f54b847ad1cef1e614ee23f1e",
    ]
    # The address that everybody gives for this key's sh(wpkh()).
    assert encode_address(found[3].script, MAIN_KEYS.addresses) == encode_address(
        parse(f"sh(wpkh({KEY}))").at(0)[0].script, MAIN_KEYS.addresses
    )
    assert len(parse(f"combo({LONG})").at(0)) == 2
