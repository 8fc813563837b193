"""Types of output scripts: made and taken apart again, and what falls just beside a type."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.scripttype import (
    ScriptType,
    classify,
    is_data_carrier,
    is_p2wpkh,
    p2pkh_script,
    p2sh_script,
    p2tr_script,
    p2wpkh_key_hash,
    p2wpkh_script,
    p2wpkh_script_code,
    p2wsh_script,
    payload,
    witness_program,
    witness_script,
)

MAKERS: list[tuple[ScriptType, Callable[[bytes], bytes], int]] = [
    (ScriptType.P2WPKH, p2wpkh_script, 20),
    (ScriptType.P2PKH, p2pkh_script, 20),
    (ScriptType.P2TR, p2tr_script, 32),
    (ScriptType.P2SH, p2sh_script, 20),
    (ScriptType.P2WSH, p2wsh_script, 32),
    (ScriptType.P2PK, lambda key: bytes((len(key),)) + key + b"\xac", 33),
    (ScriptType.P2PK, lambda key: bytes((len(key),)) + key + b"\xac", 65),
    (ScriptType.WITNESS_UNKNOWN, lambda program: witness_script(2, program), 32),
]
"""Type, maker, size of the payload."""


@pytest.mark.parametrize(("kind", "make", "size"), MAKERS)
@given(st.data())
def test_the_payload_comes_back(
    kind: ScriptType, make: Callable[[bytes], bytes], size: int, data: st.DataObject
) -> None:
    content = data.draw(st.binary(min_size=size, max_size=size))
    script = make(content)
    assert classify(script) is kind
    assert payload(script) == content
    assert is_p2wpkh(script) == (kind is ScriptType.P2WPKH)
    assert p2wpkh_key_hash(script) == (content if kind is ScriptType.P2WPKH else None)
    assert not is_data_carrier(script)


@pytest.mark.parametrize(("kind", "make", "size"), MAKERS)
def test_a_byte_more_or_less_is_another_type(kind: ScriptType, make: Callable[[bytes], bytes], size: int) -> None:
    script = make(bytes(range(1, size + 1)))
    assert classify(script + b"\x00") is not kind
    assert classify(script[:-1]) is not kind
    assert not is_p2wpkh(script + b"\x00")
    assert p2wpkh_key_hash(script[:-1]) is None


@given(st.integers(0, 16), st.binary(min_size=2, max_size=40))
def test_witness_programs(version: int, program: bytes) -> None:
    assert witness_program(witness_script(version, program)) == (version, program)


@given(st.binary(max_size=100))
def test_the_quick_questions_agree_with_the_type(script: bytes) -> None:
    for one in (script, b"\x00\x14" + script, b"\x6a" + script):
        assert is_p2wpkh(one) == (classify(one) is ScriptType.P2WPKH) == (p2wpkh_key_hash(one) is not None)
        assert is_data_carrier(one) == (classify(one) is ScriptType.OP_RETURN)


def test_the_script_code_of_bip143() -> None:
    """Its example: a P2WPKH output and the script that is signed for in its place."""
    script = bytes.fromhex("00141d0f172a0ecb48aeda7ad8cf8a3c9f1d8b4a0bd2")
    assert p2wpkh_script_code(payload(script)) == b"\x19" + p2pkh_script(script[2:])
