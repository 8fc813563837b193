"""Descriptors by themselves: canonical forms, what is known of each script, multipaths, garbage."""

import re
import time
from contextlib import suppress
from random import Random

import pytest

from chain.keys import default_engine
from node.descriptors.checksum import descriptor_checksum, with_checksum
from node.descriptors.errors import DescriptorError, NotDerivable
from node.descriptors.networks import MAIN_KEYS, TEST_KEYS
from node.descriptors.parse import DESCRIPTOR_MAX, parse_descriptor
from tests.node.descriptors.test_vectors import (
    INVALID,
    KEY,
    LONG,
    VALID,
    WIF,
    X_ONLY,
    XPRV_A,
    XPUB_A,
    XPUB_D,
    parse,
)

FINGERPRINT = "9a1c78a5"
"""The start of KEY's hash160."""
GARBAGE_ROUNDS = 3_000
SLOWEST_S = 2.0


def body(text: str) -> str:
    """A descriptor without its checksum, which is right."""
    content, _, checksum = text.partition("#")
    assert descriptor_checksum(content) == checksum
    return content


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (f"pk({KEY.upper()})", f"pk({KEY})"),
        (f"pk({WIF})", f"pk({KEY})"),
        (f"tr({WIF})", f"tr({X_ONLY})"),
        (f"tr({KEY})", f"tr({KEY})"),
        (f"wpkh([DEADBEEF/1/2h]{XPRV_A}/3/*)", f"wpkh([deadbeef/1/2h]{XPUB_A}/3/*)"),
        (f"wpkh([deadbeef/1/2h]{XPUB_A}/3/*')", f"wpkh([deadbeef/1/2']{XPUB_A}/3/*')"),
        (f"wpkh([deadbeef/1/2']{XPUB_A}/3/*h)", f"wpkh([deadbeef/1/2h]{XPUB_A}/3/*h)"),
        ("raw(DEADBEEF)", "raw(deadbeef)"),
        (f"tr({X_ONLY},{{pk({KEY}),multi_a(1,{KEY})}})", f"tr({X_ONLY},{{pk({KEY}),multi_a(1,{KEY})}})"),
        (f"sh(wsh(sortedmulti(02,{KEY},{WIF})))", f"sh(wsh(sortedmulti(2,{KEY},{KEY})))"),
    ],
)
def test_canonical_forms(given: str, canonical: str) -> None:
    assert body(str(parse(given))) == canonical


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (f"pkh({KEY})", f"pkh([{FINGERPRINT}]{KEY})"),
        (f"pk({LONG})", f"pk([b5bd079c]{LONG})"),
        (f"wpkh([deadbeef/1'/2h]{KEY})", f"wpkh([deadbeef/1h/2h]{KEY})"),
        (f"tr({KEY})", f"tr([{FINGERPRINT}]{X_ONLY})"),
        (f"sh(sortedmulti(1,{LONG},{KEY}))", f"sh(multi(1,[{FINGERPRINT}]{KEY},[b5bd079c]{LONG}))"),
    ],
)
def test_what_is_known_of_a_script(given: str, known: str) -> None:
    [output] = parse(given).at(0)
    assert output.descriptor is not None
    assert body(output.descriptor) == known
    [again] = parse(output.descriptor).at(0)
    assert (again.script, again.descriptor) == (output.script, output.descriptor)


def test_the_path_to_a_derived_key() -> None:
    [output] = parse(f"wpkh([ffffffff/13']{XPUB_D}/1/2/*)").at(7)
    assert output.descriptor is not None
    assert output.descriptor.startswith("wpkh([ffffffff/13h/1/2/7]0")
    [output] = parse(f"wpkh({XPUB_D}/1/2)").at(0)
    assert output.descriptor is not None
    assert re.match(r"wpkh\(\[[0-9a-f]{8}/1/2\]0", output.descriptor)
    for text in ("raw(deadbeef)", "addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j)"):
        descriptor = parse(text)
        assert descriptor.is_solvable is False
        assert descriptor.at(0)[0].descriptor is None


def test_private_keys_are_noticed_and_not_shown() -> None:
    for text in (f"wpkh({XPRV_A}/0/*)", f"sh(pk({WIF}))", f"tr({X_ONLY},pk({XPRV_A}))"):
        assert parse(text).has_private_keys
        assert "prv" not in str(parse(text))
        assert WIF not in str(parse(text))
    assert not parse(f"wpkh({XPUB_A}/0/*)").has_private_keys


def test_hardened_steps_need_the_private_half() -> None:
    for text in (f"wpkh({XPUB_A}/0h/*)", f"wpkh({XPUB_A}/*h)", f"sh(multi(1,{KEY},{XPUB_A}/1'))"):
        with pytest.raises(NotDerivable, match="Cannot derive script without private keys"):
            parse(text).at(0)


def test_multipaths_are_several_descriptors() -> None:
    """BIP389."""
    found = parse_descriptor(f"wpkh({XPUB_A}/<0;1>/*)", MAIN_KEYS)
    assert [str(one) for one in found] == [with_checksum(f"wpkh({XPUB_A}/{n}/*)") for n in (0, 1)]
    mixed = parse_descriptor(f"wsh(multi(2,{KEY},{XPUB_A}/<3;4h;5>))", MAIN_KEYS)
    assert [body(str(one)) for one in mixed] == [f"wsh(multi(2,{KEY},{XPUB_A}/{n}))" for n in ("3", "4h", "5")]
    tree = parse_descriptor(f"tr({XPUB_A}/<0;1>,{{pk({XPUB_A}/<2;3>),pk({KEY})}})", MAIN_KEYS)
    assert [body(str(one)) for one in tree] == [
        f"tr({XPUB_A}/{n},{{pk({XPUB_A}/{m}),pk({KEY})}})" for n, m in ((0, 2), (1, 3))
    ]


def test_keys_are_of_one_network() -> None:
    for text in (f"pk({XPUB_A})", f"pk({WIF})"):
        with pytest.raises(DescriptorError, match="is not valid"):
            parse_descriptor(text, TEST_KEYS)
    with pytest.raises(DescriptorError, match="Address is not valid"):
        parse_descriptor("addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j)", TEST_KEYS)


def test_a_checksum_can_be_required() -> None:
    with pytest.raises(DescriptorError, match="Missing checksum"):
        parse_descriptor("raw(deadbeef)", checksum_required=True)
    [one] = parse_descriptor("raw(deadbeef)#89f8spxm", checksum_required=True)
    assert str(one) == "raw(deadbeef)#89f8spxm"


def test_a_tapscript_multisig() -> None:
    """BIP387: by its script, in a tree of one leaf."""
    keys = [default_engine().public_key(bytes(31) + bytes((n,)))[1:].hex() for n in (1, 2, 3)]
    leaf = parse(f"tr({X_ONLY},sortedmulti_a(2,{keys[2]},{keys[0]},{keys[1]}))").at(0)[0].descriptor
    inner = [key.partition("]")[2] for key in body(leaf or "").partition("multi_a(2,")[2].rstrip(")").split(",")]
    assert inner == sorted(keys)


def garbage(random: Random) -> str:
    """A vector bent, cut, doubled or mixed with another, with the right checksum more often than not."""
    pool = [*VALID, *INVALID]
    text = random.choice(pool).partition("#")[0]
    for _ in range(random.randrange(1, 4)):
        position = random.randrange(len(text) + 1)
        match random.randrange(5):
            case 0:
                text = text[:position] + random.choice("(){}[],/*'h<>;#0f") + text[position:]
            case 1:
                text = text[:position] + text[position + random.randrange(1, 9) :]
            case 2:
                text = text[:position] + random.choice(pool)[position:]
            case 3:
                text = random.choice(("sh(", "wsh(", "tr(", "multi(1,")) + text + ")"
            case _:
                text = text[:position] + text[position : position + 40] * 2 + text[position:]
    try:
        return text if random.randrange(3) else with_checksum(text)
    except DescriptorError:
        return text


def test_garbage_is_refused_or_read_and_nothing_else() -> None:
    random = Random(380)
    read = 0
    for _ in range(GARBAGE_ROUNDS):
        text = garbage(random)
        with suppress(DescriptorError):
            for descriptor in parse_descriptor(text, MAIN_KEYS):
                parse_descriptor(str(descriptor), MAIN_KEYS)
                descriptor.at(random.randrange(2**31))
            read += 1
    assert 10 < read < GARBAGE_ROUNDS  # some of it is none


@pytest.mark.parametrize(
    "text",
    [
        "(" * DESCRIPTOR_MAX,
        "sh(" * 1_000 + ")" * 1_000,
        f"tr({X_ONLY}," + "{" * 128 + "x" * (DESCRIPTOR_MAX - 300),
        f"tr({X_ONLY}," + "{" * 128 + f"pk({KEY})" + f",pk({KEY})}}" * 128 + ")",
        f"wsh(multi(1{f',{KEY}' * 700}))",
        f"tr({X_ONLY},multi_a(1{f',{KEY}' * 700}))",
        f"wsh(multi(1{',' * 40_000}))",
        "pk(" + "z" * (DESCRIPTOR_MAX - 10) + ")",
        f"pk({XPUB_A}{'/0' * 20_000})",
        f"pk({XPUB_A}/<{';'.join(map(str, range(9_000)))}>)",
        "a" * (DESCRIPTOR_MAX + 1),
        "é" * 10,
    ],
)
def test_large_texts_take_no_long_time(text: str) -> None:
    started = time.monotonic()
    with suppress(DescriptorError):
        parse_descriptor(text, MAIN_KEYS)
    assert time.monotonic() - started < SLOWEST_S
