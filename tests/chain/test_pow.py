"""Compact bits, work, and the difficulty rule against BCH's published runs."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.block import make_header
from chain.errors import Invalid, Reject
from chain.hashes import BlockHash
from chain.params import REGTEST, Asert, Params, devnet_params
from chain.pow import Schedule, asert_bits, check_pow, next_bits
from chain.target import bits_from_target, target_from_bits, work_from_bits

# Bitcoin Core, src/test/arith_uint256_tests.cpp, bignum_SetCompact: bits, target, bits again.
COMPACT = [
    (0x00000000, 0, 0),
    (0x00123456, 0, 0),
    (0x01003456, 0, 0),
    (0x02000056, 0, 0),
    (0x03000000, 0, 0),
    (0x04000000, 0, 0),
    (0x00923456, 0, 0),
    (0x01803456, 0, 0),
    (0x02800056, 0, 0),
    (0x03800000, 0, 0),
    (0x04800000, 0, 0),
    (0x01123456, 0x12, 0x01120000),
    (0x02123456, 0x1234, 0x02123400),
    (0x03123456, 0x123456, 0x03123456),
    (0x04123456, 0x12345600, 0x04123456),
    (0x05009234, 0x92340000, 0x05009234),
    (0x20123456, 0x123456 << 232, 0x20123456),
]
NEGATIVE = [0x01FEDCBA, 0x04923456]
TOO_LARGE = [0xFF123456, 0x23000001, 0x22000100, 0x21010000]


@pytest.mark.parametrize(("bits", "target", "again"), COMPACT)
def test_compact_bits(bits: int, target: int, again: int) -> None:
    assert target_from_bits(bits) == target
    assert bits_from_target(target) == again


@pytest.mark.parametrize("bits", NEGATIVE + TOO_LARGE)
def test_negative_and_too_large_bits_are_no_target(bits: int) -> None:
    assert target_from_bits(bits) == 0


def test_compact_encoding_keeps_the_sign_bit_clear() -> None:
    # The same file: SetCompact(0x80), GetCompact() == 0x02008000.
    assert bits_from_target(0x80) == 0x02008000
    assert target_from_bits(0x02008000) == 0x80


@given(st.integers(1, 2**256 - 1))
def test_bits_cut_a_target_off_and_are_stable(target: int) -> None:
    bits = bits_from_target(target)
    kept = target_from_bits(bits)
    assert kept <= target < kept + (kept >> 15) + 1
    assert bits_from_target(kept) == bits


def test_work() -> None:
    assert work_from_bits(0x207FFFFF) == 2
    assert work_from_bits(0x1D00FFFF) == 0x100010001
    assert work_from_bits(0x1F03FFFF) == 2**256 // (0x03FFFF * 2 ** (8 * 28) + 1)


def test_check_pow_reads_the_hash_as_little_endian_and_keeps_the_limit() -> None:
    found: set[bool] = set()
    for nonce in range(40):
        header = make_header(4, BlockHash(bytes(32)), bytes(32), 0, 0x207FFFFF, nonce)
        meets = int.from_bytes(header.hash, "little") <= target_from_bits(0x207FFFFF)
        found.add(meets)
        if meets:
            check_pow(header, REGTEST)
            with pytest.raises(Invalid) as refused:
                check_pow(header, devnet_params())
            assert refused.value.code is Reject.HIGH_HASH
        else:
            with pytest.raises(Invalid) as refused:
                check_pow(header, REGTEST)
            assert refused.value.code is Reject.HIGH_HASH
    assert found == {True, False}


@pytest.mark.parametrize("bits", [0, 0x01003456, 0x04923456, 0xFF123456, 0x20800000, 0x21010000])
def test_bits_that_are_no_target_are_refused(bits: int) -> None:
    with pytest.raises(Invalid) as refused:
        check_pow(make_header(4, BlockHash(bytes(32)), bytes(32), 0, bits, 0), REGTEST)
    assert refused.value.code is Reject.HIGH_HASH


def test_a_hash_may_equal_the_target() -> None:
    header = make_header(4, BlockHash(bytes(32)), bytes(32), 0, 0x207FFFFF, 0)
    target = target_from_bits(0x207FFFFF)
    check_pow(replace(header, hash=BlockHash(target.to_bytes(32, "little"))), REGTEST)
    with pytest.raises(Invalid):
        check_pow(replace(header, hash=BlockHash((target + 1).to_bytes(32, "little"))), REGTEST)


# aserti3-2d

BCH_LIMIT_BITS = 0x1D00FFFF


@dataclass(frozen=True)
class Parent:
    """A header of which nothing matters but where it stands in its branch's schedule."""

    height: int
    time: int
    schedule: Schedule | None

    @property
    def max_time(self) -> int:
        """Nothing came before it."""
        return self.time


def bits_after(height: int, elapsed_s: int, params: Params) -> int:
    """The bits on top of a block at `height`, so many seconds after the anchor's parent."""
    assert params.asert is not None
    schedule = Schedule(start_time=1_000, idle_s=10) if height >= params.asert.anchor_height else None
    return next_bits(Parent(height, 1_010 + elapsed_s, schedule), params)


def read_run(path: Path) -> tuple[dict[str, int], list[tuple[int, int, int]]]:
    """A run's header lines, and its rows as (height, time, bits)."""
    facts: dict[str, int] = {}
    rows = []
    for line in path.read_text().splitlines():
        if line.startswith("##"):
            name, _, amount = line[2:].strip().partition(":")
            if name != "description":
                facts[name] = int(amount, 0)
        elif line and not line.startswith("#"):
            _, height, time, bits = line.split()
            rows.append((int(height), int(time), int(bits, 16)))
    return facts, rows


RUNS = [f"run{n:02}.txt" for n in range(1, 7)]


@pytest.mark.parametrize("run", RUNS)
def test_every_row_of_bchs_runs(vectors: Path, run: str) -> None:
    """A row's target is what a block on top of one with that height and time must have."""
    facts, rows = read_run(vectors / "asert" / run)
    asert = Asert(600, 172_800, facts["anchor height"], facts["anchor nBits"], None)
    params = Params("bch", BCH_LIMIT_BITS, 210_000, 7200, False, asert)
    assert len(rows) == facts["iterations"]
    assert rows[0][:2] == (facts["start height"], facts["start time"])
    for height, time, bits in rows:
        elapsed_s = time - facts["anchor parent time"]
        assert asert_bits(asert, height - asert.anchor_height, elapsed_s, BCH_LIMIT_BITS) == bits
        assert bits_after(height, elapsed_s, params) == bits


def test_all_rows_of_all_runs_are_there(vectors: Path) -> None:
    assert sum(len(read_run(vectors / "asert" / run)[1]) for run in RUNS) == 1480


def test_bits_below_and_at_the_anchor() -> None:
    params = devnet_params(first_bits=0x1E7FFFFF)
    assert {bits_after(height, 10**9, params) for height in range(101)} == {0x1F03FFFF}
    assert bits_after(101, 10**9, params) == 0x1E7FFFFF
    assert bits_after(102, 10, params) == 0x1E7FFFFF
    assert bits_after(102, 10 + 150, params) == bits_from_target(2 * target_from_bits(0x1E7FFFFF))
    assert bits_after(102, 10 - 150, params) == bits_from_target(target_from_bits(0x1E7FFFFF) // 2)


@given(st.integers(0, 10**6), st.integers(-(2**33), 2**33))
def test_bits_never_leave_the_range(blocks: int, elapsed_s: int) -> None:
    asert = Asert(10, 150, 102, 0x1E7FFFFF, 150)
    target = target_from_bits(asert_bits(asert, blocks, elapsed_s, 0x1F03FFFF))
    assert 1 <= target <= target_from_bits(0x1F03FFFF)


@given(st.integers(0, 1000), st.integers(-5000, 20000), st.integers(1, 3000))
def test_later_is_never_harder(blocks: int, elapsed_s: int, more: int) -> None:
    asert = Asert(10, 150, 102, 0x1E00FFFF, 150)
    sooner, later = (target_from_bits(asert_bits(asert, blocks, t, 0x1F03FFFF)) for t in (elapsed_s, elapsed_s + more))
    assert sooner <= later
