"""Hash functions against published vectors and against OpenSSL."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.hashes import from_hex, hash160, sha256, sha256d, sha256d_with_hashlib, tagged_hash, to_hex
from chain.ripemd160 import ripemd160

# homes.esat.kuleuven.be/~bosselae/ripemd160.html, "RIPEMD-160: test values"
RIPEMD160 = {
    "": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    "a": "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe",
    "abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
    "message digest": "5d0689ef49d2fae572b881b123a85ffa21595f36",
    "abcdefghijklmnopqrstuvwxyz": "f71c27109c692c1b56bbdceb5b9d2865b3708dbc",
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "12a053384a9c0c88e405a06c27dcf49ada62eb2b",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "b0e20b6e3116640286ed3a87a5713079b21f5189",
    "1234567890" * 8: "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
}


@pytest.mark.parametrize(("message", "digest"), RIPEMD160.items())
def test_ripemd160_published_values(message: str, digest: str) -> None:
    assert ripemd160(message.encode()).hex() == digest


@given(st.binary(max_size=300))
def test_ripemd160_agrees_with_openssl(message: bytes) -> None:
    try:
        theirs = hashlib.new("ripemd160", message)
    except ValueError:
        pytest.skip("this OpenSSL was built without RIPEMD-160")
    assert ripemd160(message) == theirs.digest()


@given(st.binary(max_size=100))
def test_hash160_is_ripemd160_of_sha256(message: bytes) -> None:
    assert hash160(message) == ripemd160(hashlib.sha256(message).digest())


def test_double_sha256() -> None:
    # Bitcoin wiki, "Protocol documentation", hashes: "hello".
    assert sha256(b"hello").hex() == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert sha256d(b"hello").hex() == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"


def test_double_sha256_of_every_length_around_its_blocks() -> None:
    for size in range(4 * 64 + 2):
        message = bytes(range(256))[:size] + bytes(max(0, size - 256))
        assert sha256d(message) == sha256d_with_hashlib(message), size


@given(st.binary(max_size=5000))
def test_double_sha256_is_hashlibs(message: bytes) -> None:
    assert sha256d(message) == hashlib.sha256(hashlib.sha256(message).digest()).digest()
    assert sha256d(memoryview(message)) == sha256d(message)


@pytest.mark.parametrize("message", [None, 1, "text", [1, 2]])
def test_double_sha256_is_of_bytes_alone(message: Any) -> None:
    with pytest.raises(TypeError):
        sha256d(message)


def test_double_sha256_where_nothing_was_compiled() -> None:
    code = """
import sys
sys.modules["chain._sha256d"] = None
from chain.hashes import sha256d, sha256d_with_hashlib
assert sha256d is sha256d_with_hashlib
print(sha256d(b"hello").hex())
"""
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"


def test_double_sha256_where_the_compiled_one_is_wrong() -> None:
    """A self-test at the start, like Core's: nobody follows another chain because of a compiler."""
    code = """
import hashlib, sys, types
def wrong(message):
    digest = hashlib.sha256(hashlib.sha256(message).digest()).digest()
    return digest if len(message) != 119 else bytes(32)
import chain
chain._sha256d = sys.modules["chain._sha256d"] = types.SimpleNamespace(sha256d=wrong)
from chain.hashes import NATIVE, sha256d, sha256d_with_hashlib
assert NATIVE is None
assert sha256d is sha256d_with_hashlib
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


GUARDED = """
import ctypes, mmap, sys
from chain.hashes import sha256d, sha256d_with_hashlib
size = mmap.PAGESIZE
pages = mmap.mmap(-1, 3 * size)
pages[size : 2 * size] = bytes(number % 251 for number in range(size))
start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
for guard in (start, start + 2 * size):
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(size), 0) == 0
view = memoryview(pages)
for length in range(300):
    for message in (view[size : size + length], view[2 * size - length : 2 * size]):
        assert sha256d(message) == sha256d_with_hashlib(message)
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to guard memory")
def test_double_sha256_reads_its_message_and_no_byte_more() -> None:
    """Between two pages that nobody may read: a byte too far is the end of the process."""
    command = [sys.executable, "-c", GUARDED]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "done"), ran.stderr


def test_tagged_hash_is_bip340s() -> None:
    tag = hashlib.sha256(b"TapTweak").digest()
    assert tagged_hash("TapTweak", b"x") == hashlib.sha256(tag + tag + b"x").digest()


@given(st.binary(min_size=32, max_size=32))
def test_display_hex_round_trip(digest: bytes) -> None:
    assert to_hex(digest) == digest[::-1].hex()
    assert from_hex(to_hex(digest)) == digest
    assert from_hex(to_hex(digest).upper()) == digest


@pytest.mark.parametrize("text", ["", "00", "0" * 63, "0" * 65, "g" * 64, " " * 64, "0" * 62 + " 0", "٣" * 64])
def test_bad_display_hex(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_hex(text)
