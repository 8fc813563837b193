"""The first scheduled block's difficulty: computed from the hash rate, measured on real loops."""

import sys

import pytest

import chain.params
from chain.params import DEVNET_LIMIT_BITS, Params
from chain.target import target_from_bits
from devnet import difficulty
from devnet.difficulty import EXPECTED_MAX, first_bits, measure_hash_rate
from devnet.state import DevnetError


def test_first_bits_ask_for_one_spacing_of_hashing() -> None:
    expected = 1_000_000 * 10
    assert 2**256 // target_from_bits(first_bits(1_000_000, 10)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("hashes_per_s", [0.0, 1.0, 1638.0])
def test_first_bits_are_never_easier_than_the_limit(hashes_per_s: float) -> None:
    assert first_bits(hashes_per_s, 10) == DEVNET_LIMIT_BITS


@pytest.mark.parametrize("hashes_per_s", [2.0**40, 1e30])
def test_first_bits_are_never_harder_than_two_to_the_forty(hashes_per_s: float) -> None:
    assert target_from_bits(first_bits(hashes_per_s, 10)) == 2**256 // EXPECTED_MAX


@pytest.mark.parametrize("hashes_per_s", [0.0, 5e4, 3.21e5, 7.7e7, 1e30])
@pytest.mark.parametrize("spacing_s", [1, 10, 86_400])
def test_a_network_takes_every_first_bits(hashes_per_s: float, spacing_s: int) -> None:
    params = chain.params.devnet(first_bits(hashes_per_s, spacing_s), spacing_s)
    assert Params.from_mapping(params.to_mapping()) == params


def test_measuring_adds_up_real_loops() -> None:
    one = measure_hash_rate(1, 100)
    assert one > 1_000
    assert measure_hash_rate(2, 100) > one / 2  # two cannot be slower than half of one, even on one busy core


def test_no_miners_no_rate() -> None:
    assert measure_hash_rate(0, 20) == 0


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("import sys; sys.exit('first line\\nno such thing')", "no such thing"),
        ("print('not json')", "no output"),
        ("print('{}')", "no output"),
    ],
)
def test_a_loop_that_fails_is_an_error_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, program: str, complaint: str
) -> None:
    monkeypatch.setattr(difficulty, "python", lambda *_: [sys.executable, "-c", program])
    with pytest.raises(DevnetError, match=complaint):
        measure_hash_rate(1, 20)


def test_a_loop_that_hangs_is_an_error_and_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difficulty, "MEASURE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(difficulty, "python", lambda *_: [sys.executable, "-c", "import signal; signal.pause()"])
    with pytest.raises(DevnetError, match="too long"):
        measure_hash_rate(1, 20)
