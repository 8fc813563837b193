"""The proof-of-work loops: one answer from all of them, and an extension that may be missing but not crash."""

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain.block import make_header
from chain.blocktemplate import solve
from chain.target import bits_from_target, target_from_bits
from node.mining.hash_loop import BATCH, LOOPS, NATIVE, NONCES, ROW, Loop, scan_with_hashlib

ROOT = Path(__file__).parents[3]
COMPILER = shutil.which("cc")
CAN_BUILD = COMPILER is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
HASH_MAX = 2**256 - 1

each_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
native = pytest.mark.skipif(not NATIVE, reason="the extension was not built here")


def hash_of(header: bytes, nonce: int) -> int:
    raw = header[:76] + nonce.to_bytes(4, "little")
    return int.from_bytes(sha256(sha256(raw).digest()).digest(), "little")


def first_fit(header: bytes, target: int, first: int, count: int) -> int | None:
    """What every loop has to answer, in the plainest way."""
    tries = range(first, min(first + count, NONCES))
    return next((nonce for nonce in tries if hash_of(header, nonce) <= target), None)


# one answer

firsts = st.one_of(
    st.integers(0, NONCES - 1),
    st.integers(NONCES - 600, NONCES - 1),
    st.sampled_from([0, 1, 255, 256, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000]),
)


@given(
    header=st.binary(min_size=80, max_size=80),
    target=st.builds(lambda bits, low: (1 << bits) - 1 - low, st.integers(238, 256), st.integers(0, 1 << 200)),
    first=firsts,
    count=st.integers(0, 600),
)
@example(header=bytes(80), target=HASH_MAX, first=NONCES - 1, count=1)
@example(header=bytes(80), target=0, first=NONCES - 13, count=600)
@example(header=bytes(80), target=HASH_MAX, first=7, count=0)
def test_all_loops_find_the_same_first_nonce(header: bytes, target: int, first: int, count: int) -> None:
    expected = first_fit(header, target, first, count)
    for loop in LOOPS:
        assert loop.scan(header, target, first, count) == expected, loop.name


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_same_answer_as_the_pure_solver(before: bytes, root: bytes, time_s: int) -> None:
    bits = bits_from_target(1 << 245)
    header = make_header(4, before, root, time_s, bits, 0)  # type: ignore[arg-type]
    solved = solve(header, 4096)
    for loop in LOOPS:
        nonce = loop.scan(header.raw, target_from_bits(bits), 0, 4096)
        assert nonce == (int.from_bytes(solved.raw[76:], "little") if solved else None), loop.name


@each_loop
def test_a_known_block(loop: Loop) -> None:
    """Bitcoin's first."""
    header = bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
        "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    )
    target = target_from_bits(0x1D00FFFF)
    assert loop.scan(header, target, 0x7C2BAC1D - 1000, 2000) == 0x7C2BAC1D
    assert loop.scan(header, target, 0x7C2BAC1D - 1000, 1000) is None
    assert loop.scan(header, target, 0x7C2BAC1D + 1, 1000) is None


@each_loop
@pytest.mark.parametrize("nonce", [0, 1, 7, 8, 0x12345678, NONCES - 1])
def test_the_whole_number_is_compared_and_not_only_its_top(loop: Loop, nonce: int) -> None:
    header = bytes(range(80))
    number = hash_of(header, nonce)
    assert loop.scan(header, number, nonce, 1) == nonce
    assert loop.scan(header, number - 1, nonce, 1) is None
    # One less in each of the eight words, and the most in all below it.
    for shift in range(0, 256, 32):
        if number >> shift & 0xFFFFFFFF:
            less = ((number >> shift) - 1) << shift | (1 << shift) - 1
            assert loop.scan(header, less, nonce, 1) is None
            assert loop.scan(header, less + 1 + (number & (1 << shift) - 1), nonce, 1) == nonce


@each_loop
def test_no_nonce_is_skipped_or_tried_twice(loop: Loop) -> None:
    """Hashes that go down: each target is met by one nonce first, wherever its place among the lanes."""
    header = bytes(reversed(range(80)))
    lowest, records = HASH_MAX + 1, []
    for nonce in range(1000, 1000 + 3 * ROW):
        number = hash_of(header, nonce)
        if number < lowest:
            lowest = number
            records.append((nonce, number))
    for start in range(1000, 1016):
        for nonce, number in records:
            if nonce >= start:
                assert loop.scan(header, number, start, 3 * ROW) == nonce


@each_loop
def test_the_search_goes_on_right_after_a_near_miss(loop: Loop) -> None:
    """The first number's top word fits, the whole of it does not; the next nonce's does."""
    header = bytes(range(80))
    descents = [nonce for nonce in range(50) if hash_of(header, nonce) > hash_of(header, nonce + 1)]
    for nonce in descents:
        assert loop.scan(header, hash_of(header, nonce) - 1, nonce, 20) == nonce + 1


@each_loop
def test_nonces_end_where_they_end(loop: Loop) -> None:
    header = bytes(80)
    hits = [nonce for nonce in range(40) if hash_of(header, nonce) >> 252 == 0]
    assert hits, "otherwise a loop that begins again at 0 would not be seen"
    target = min(hash_of(header, nonce) for nonce in hits)
    expected = first_fit(header, target, NONCES - 10, 10)
    assert loop.scan(header, target, NONCES - 10, 2000) == expected


# the extension by itself


def native_scan(*arguments: Any) -> Any:
    return sys.modules["node.mining._hashloop"].scan(*arguments)


GOOD = (bytes(80), bytes(32), 0, 1, "portable")
BAD = {
    "no arguments": (),
    "one too few": GOOD[:-1],
    "one too many": (*GOOD, 1),
    "header of 79": (bytes(79), *GOOD[1:]),
    "header of 81": (bytes(81), *GOOD[1:]),
    "no header": (b"", *GOOD[1:]),
    "header is text": ("0" * 80, *GOOD[1:]),
    "header is None": (None, *GOOD[1:]),
    "header has gaps": (memoryview(bytes(160))[::2], *GOOD[1:]),
    "target of 31": (bytes(80), bytes(31), *GOOD[2:]),
    "target of 33": (bytes(80), bytes(33), *GOOD[2:]),
    "target is a number": (bytes(80), 5, *GOOD[2:]),
    "first is negative": (bytes(80), bytes(32), -1, 1, "portable"),
    "first past the end": (bytes(80), bytes(32), NONCES, 1, "portable"),
    "first is huge": (bytes(80), bytes(32), 1 << 64, 1, "portable"),
    "first is a float": (bytes(80), bytes(32), 1.0, 1, "portable"),
    "count is negative": (bytes(80), bytes(32), 0, -1, "portable"),
    "count too large": (bytes(80), bytes(32), 0, (1 << 20) + 1, "portable"),
    "count of 2^63": (bytes(80), bytes(32), 0, 1 << 63, "portable"),
    "count of -2^63": (bytes(80), bytes(32), 0, -(1 << 63), "portable"),
    "count is huge": (bytes(80), bytes(32), 0, 1 << 10_000, "portable"),
    "count is None": (bytes(80), bytes(32), 0, None, "portable"),
    "loop unknown": (*GOOD[:-1], "hashlib"),
    "loop empty": (*GOOD[:-1], ""),
    "loop is long": (*GOOD[:-1], "x" * 100_000),
    "loop with a zero": (*GOOD[:-1], "portable\0"),
    "loop with a surrogate": (*GOOD[:-1], "\ud800"),
    "loop is bytes": (*GOOD[:-1], b"portable"),
}


@native
@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_python_errors(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError, BufferError)):
        native_scan(*arguments)


@native
def test_the_most_that_one_call_may_be_asked_for() -> None:
    module = sys.modules["node.mining._hashloop"]
    assert module.scan(bytes(80), bytes(32), NONCES - 1, module.MOST_NONCES, NATIVE[0]) is None
    assert all(loop.batch <= module.MOST_NONCES for loop in LOOPS)


@native
def test_any_buffer_will_do_and_is_let_go() -> None:
    header, target = bytearray(80), bytearray(b"\xff" * 32)
    assert native_scan(header, memoryview(target), 5, 1, NATIVE[0]) == 5
    header.append(0)  # refused while somebody holds the buffer
    with pytest.raises(ValueError, match="80 bytes"):
        native_scan(header, target, 5, 1, NATIVE[0])
    header.append(0)


@native
def test_other_threads_run_meanwhile() -> None:
    most = sys.modules["node.mining._hashloop"].MOST_NONCES
    thread = threading.Thread(target=native_scan, args=(bytes(80), bytes(32), 0, most, "portable"))
    thread.start()
    naps = 0
    while thread.is_alive():
        time.sleep(0.001)  # a call takes some 200
        naps += 1
    assert naps >= 5


# with and without


def in_fresh_python(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_without_the_extension_hashlib_does_it() -> None:
    code = """
import sys
sys.modules["node.mining._hashloop"] = None
from node.mining.hash_loop import LOOPS
[loop] = LOOPS
print(loop.name, loop.scan(bytes(80), 2**256 - 1, 9, 5))
"""
    assert in_fresh_python(code) == "hashlib 9"


def test_hashlib_is_there_in_any_case_and_comes_last() -> None:
    assert LOOPS[-1] == Loop("hashlib", scan_with_hashlib, BATCH)
    assert [loop.name for loop in LOOPS[:-1]] == list(NATIVE)
    assert not NATIVE or NATIVE[-1] == "portable"


Build = Callable[[str | None], list[str]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a wheel of node/ with this compiler (None: the machine's own); the names in it."""

    def built(compiler: str | None) -> list[str]:
        source = tmp_path / "source"
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        for package in ("chain", "node", "wallet", "devnet"):
            shutil.copytree(ROOT / package, source / package, ignore=ignored)
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        environment = {name: text for name, text in os.environ.items() if name not in ("CC", "PYTHONPATH")}
        if compiler:
            environment["CC"] = compiler
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        [wheel] = tmp_path.glob("groat-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.namelist()

    return built


def test_a_failing_compiler_fails_no_build(build: Build) -> None:
    names = build("false")
    assert "node/mining/hash_loop.py" in names
    assert not any(name.endswith(".so") for name in names)


@pytest.mark.skipif(not CAN_BUILD, reason="no C compiler here, or no Python.h")
def test_a_compiler_builds_both_extensions(build: Build) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert {f"chain/_sha256d{suffix}", f"node/mining/_hashloop{suffix}"} <= set(build(None))


SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC")


@pytest.mark.skipif(not CAN_BUILD or sys.platform != "linux", reason="no C compiler here, or no Python.h")
def test_sanitizers_have_nothing_to_say(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    assert COMPILER
    output = folder / f"_hashloop{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    command = [COMPILER, *SANITIZED, include, str(ROOT / "node/mining/_hashloop.c"), "-o", str(output)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no sanitizers")
    find = [COMPILER, "-print-file-name=libasan.so"]
    library = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("this compiler's sanitizers cannot be loaded into Python")
    code = f"""
import sys
sys.path.insert(0, {str(folder)!r})
import _hashloop
from tests.node.mining.test_hash_loop import BAD
for loop in _hashloop.LOOPS:
    for first in (0, 1, 2**32 - 3):
        for target in (bytes(32), bytes(28) + b"\\1\\0\\0\\2", b"\\xff" * 32):
            for count in (0, 1, 2, 7, 9, 1000):
                _hashloop.scan(bytes(80), target, first, count, loop)
refused = 0
for arguments in BAD.values():
    try:
        _hashloop.scan(*arguments)
    except (ValueError, TypeError, OverflowError, BufferError):
        refused += 1
assert refused == len(BAD)
print("done", *_hashloop.LOOPS)
"""
    environment = {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert ran.stdout.split()[0] == "done"
