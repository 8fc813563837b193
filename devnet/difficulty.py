"""The initial difficulty: the hash rate of this machine is measured, and gives the first scheduled target."""

import json
import subprocess

from chain.params import DEVNET_LIMIT_BITS
from chain.target import bits_from_target, target_from_bits
from devnet.processes import environment, python
from devnet.state import DevnetError

MEASURE_S = 0.5
MEASURE_TIMEOUT_S = 30.0
EXPECTED_MIN = 1 << 14
EXPECTED_MAX = 1 << 40
"""Hashes that the first scheduled block is expected to take, at least and at most."""


def measure_hash_rate(miners: int, duty: int) -> float:
    """Hashes a second of all miners' loops running together, as they will. Raises DevnetError."""
    command = python("node.mining.miner_process", "--measure", str(MEASURE_S), "--threads", "1", "--duty", str(duty))
    loops = [
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment(),
        )
        for _ in range(miners)
    ]
    try:
        return sum(_rate(loop) for loop in loops)
    finally:
        for loop in loops:
            loop.kill()
            loop.communicate()


def _rate(loop: "subprocess.Popen[str]") -> float:
    try:
        output, complaint = loop.communicate(timeout=MEASURE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise DevnetError("measuring the hash rate took too long: is this machine very busy?") from None
    try:
        return float(json.loads(output)["hashes_per_s"])
    except (ValueError, KeyError):
        last_words = complaint.strip().rpartition("\n")[2]
        raise DevnetError(f"measuring the hash rate failed: {last_words or 'no output'}") from None


def first_bits(hashes_per_s: float, spacing_s: int) -> int:
    """The compact target that this hash rate meets once in `spacing_s` seconds, within the network's limits."""
    expected = min(max(int(hashes_per_s * spacing_s), EXPECTED_MIN), EXPECTED_MAX)
    # 2^256 / 2^14 is one step above the limit.
    return bits_from_target(min(2**256 // expected, target_from_bits(DEVNET_LIMIT_BITS)))
