"""docs/network.md: what the code decides is what the code says, and every attack's guard and test are there."""

import ast
import hashlib
import re
import struct
from functools import cache
from pathlib import Path

import pytest

from chain.hashes import BlockHash, hash160
from chain.keys import Engine, default_engine, python_engine, schnorr_check
from chain.params import REGTEST, devnet_params
from node.interface.endpoint import Endpoint
from node.interface.messages import AnnounceAddress, Facts, GetBlockTxs, Hello
from node.p2p.wire.codec import LAYOUTS, ROUTES, encode
from tests.protocol_doc import PAGE, PARTS, handshake_vector, written
from tests.rules.cases import CASES

ROOT = Path(__file__).parents[1]
TEXT = PAGE.read_text()
NAMED_ATTACKS = (
    "CVE-2012-2459", "CVE-2018-17144", "CVE-2010-5139", "header spam", "50,000-entry inv", "quadratic", "ban list",
    "asked already", "cancels another peer's download", "answered twice", "ends of their range", "the log",
    "advertised addresses", "redirects", "rebinding", "reflection through hello", "slow headers and slow bodies",
    "decompression bombs", "smuggling", "nan, duplicate keys, huge integers, deep nesting", "eclipse", "free riding",
)  # fmt: skip
"""Those that the table has to have."""


def attacks() -> list[tuple[str, str, list[str]]]:
    """Attack, guard, tests."""
    section = TEXT.partition("\n## Attacks\n")[2]
    rows = re.findall(r"^\| (?!attack \||---)(.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return [(attack, guard, re.findall(r"`([^`]+)`", tests)) for attack, guard, tests in rows]


@cache
def functions(path: Path) -> frozenset[str]:
    return frozenset(node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("page", PARTS, ids=lambda page: page.name)
def test_what_the_code_decides(page: Path) -> None:
    """If this fails: `python -m tests.protocol_doc` writes what has changed."""
    assert page.read_text() == written(page)


def test_every_message_and_route_has_a_place() -> None:
    assert re.findall(r"^#### (\d+) (\w+)$", TEXT, re.MULTILINE) == [
        (str(layout.kind), message.__name__)
        for message, layout in sorted(LAYOUTS.items(), key=lambda item: item[1].kind)
    ]
    assert re.findall(r"^\| `POST /p2p/(\w+)` \|", TEXT, re.MULTILINE) == list(ROUTES)


def tagged(tag: str, content: bytes) -> bytes:
    """BIP340's tagged hash."""
    name = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(name + name + content).digest()


def test_the_network_ids_by_the_page_alone() -> None:
    [genesis] = re.findall(r"^genesis header: ([0-9a-f]{160})$", TEXT, re.MULTILINE)
    vectors = re.findall(
        r"^```\n(groat network\n.*?)```\n\nNetwork id: `([0-9a-f]{64})`$", TEXT, re.DOTALL | re.MULTILINE
    )
    networks = [(dict(re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE))["name"], text, shown) for text, shown in vectors]
    assert [name for name, _, _ in networks] == ["regtest", "devnet"]
    for (_, text, shown), params in zip(networks, (REGTEST, devnet_params()), strict=True):
        assert hashlib.sha256(text.encode("ascii") + bytes.fromhex(genesis)).hexdigest() == shown
        assert params.network_id.hex() == shown


def test_an_endpoint_and_positions_by_the_page_alone() -> None:
    [endpoint] = re.findall(r"1\.2\.3\.4 at port 18444 is\s+`([0-9a-f ]+)`", TEXT)
    assert encode(AnnounceAddress((Endpoint("1.2.3.4", 18444),)))[3:] == bytes.fromhex(endpoint)
    [positions] = re.findall(r"0, 1, 5 are `([0-9a-f ]+)`", TEXT)
    assert encode(GetBlockTxs(BlockHash(bytes(32)), (0, 1, 5)))[34:] == bytes.fromhex(positions)


@pytest.mark.parametrize("engine", [default_engine(), python_engine()], ids=lambda engine: engine.name)
def test_the_handshake_vector_by_the_page_alone(engine: Engine) -> None:
    assert handshake_vector() in TEXT
    parts = {
        name: bytes.fromhex(text) for name, text in re.findall(r"^(.+): ([0-9a-f]+)$", handshake_vector(), re.MULTILINE)
    }
    network = parts["network id (regtest)"]
    ids = parts["dialler's id"] + parts["answerer's id"]
    challenges = parts["dialler's challenge"] + parts["answerer's challenge"]
    for number, side in enumerate(("dialler", "answerer")):
        key = parts[f"{side}'s public key"]
        assert key == engine.public_key(parts[f"{side}'s secret"])
        assert parts[f"{side}'s id"] == hash160(key)
        digest = tagged("groat/handshake/1", network + bytes((number,)) + ids + challenges)
        assert parts[f"{side} signs"] == digest
        assert engine.verify(schnorr_check(key[1:], parts[f"{side}'s proof"], digest))
        assert engine.sign_schnorr(parts[f"{side}'s secret"], digest) == parts[f"{side}'s proof"]


def test_a_hello_by_the_page_alone() -> None:
    key, network, instance, tip, challenge = b"\x02" + b"k" * 32, b"n" * 32, b"i" * 8, b"t" * 32, b"c" * 32
    facts = Facts(1, key, network, instance, Endpoint("1.2.3.4", 18444), 5, "me", 7, 2**70, tip, 1_700_000_000)  # type: ignore[arg-type]
    by_hand = b"".join(
        (
            bytes((1, 1)),
            struct.pack("<H", 1) + key + network + instance,
            bytes((4,)) + bytes(12) + bytes((1, 2, 3, 4)) + struct.pack("<H", 18444),
            struct.pack("<I", 5) + bytes((2,)) + b"me" + struct.pack("<I", 7),
            (2**70).to_bytes(32, "little") + tip + struct.pack("<Q", 1_700_000_000),
            challenge,
        )
    )
    assert encode(Hello(facts, challenge)) == by_hand


def test_every_known_attack_is_in_the_table() -> None:
    names = "\n".join(attack.lower() for attack, _, _ in attacks())
    assert [name for name in NAMED_ATTACKS if name.lower() not in names] == []


@pytest.mark.parametrize(
    ("attack", "guard", "tests"), attacks(), ids=lambda part: part if isinstance(part, str) else ""
)
def test_every_attack_has_its_guard_and_its_test(attack: str, guard: str, tests: list[str]) -> None:
    [(file, name)] = re.findall(r"^`([\w/.]+)`: `(\w+)`$", guard)
    assert re.search(rf"\b{name}\b", (ROOT / file).read_text()), f"{attack}: no {name} in {file}"
    assert tests
    for test in tests:
        file, function, case = re.fullmatch(r"([\w/]+\.py)::(\w+)(?:\[(.+)\])?", test).groups()  # type: ignore[union-attr]
        assert function in functions(ROOT / file), f"{attack}: no {test}"
        if case:
            assert case in {each.name for each in CASES}, f"{attack}: no {test}"


def test_every_file_named_exists() -> None:
    for path in re.findall(r"`((?:node|chain|tests)/[\w/]+\.py)", TEXT):
        assert (ROOT / path).exists(), path
