"""Proof of work in a process of its own: headers in, solved headers out.

`python -m node.miner` reads `Work` from standard input and writes a `Report` for each piece that
it solves or uses up; newer work replaces older within milliseconds, and the end of the input ends
the process. With `--measure` it prints its hash rate instead. It knows no chain, network or file.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from node.child import Child

HEADER_SIZE = 80
NONCE_SIZE = 4
NONCES = 1 << 32
"""How many nonces a header has."""
LAST_BYTES = tuple(bytes((byte,)) for byte in range(256))
ROW = len(LAST_BYTES)
"""Hashes tried in one go: the nonces that differ in their last byte alone."""
ROWS_PER_LOOK = 8
"""After so many rows, about 2 ms, the miner looks for newer work."""
SLICE_S = 0.05
"""Work and rest together take so long: too short for anything to get hot."""

_WORK = Struct("<Q80s32sQQ")
_REPORT = Struct("<Q?80s")
REPORT_SIZE = _REPORT.size


class Work(NamedTuple):
    """A header to solve. The newest is the only one worked on."""

    work_id: int
    """Repeated in the report."""
    header: bytes
    """80 bytes; the nonce in it does not matter."""
    target: int
    """The hash, read as a little-endian number, must not be above; 0 stops the miner."""
    first: int
    """The first nonce, its bytes read as a big-endian number, and a multiple of `ROW`."""
    nonces: int
    """How many nonces to try, a multiple of `ROW`."""

    def encode(self) -> bytes:
        """For the miner's standard input."""
        return _WORK.pack(self.work_id, self.header, self.target.to_bytes(32, "little"), self.first, self.nonces)


class Report(NamedTuple):
    """What came of a piece of work."""

    work_id: int
    solved: bool
    """False when no nonce of the range fits."""
    header: bytes
    """With the nonce that fits."""


def decode_report(raw: bytes) -> Report:
    """The report in these `REPORT_SIZE` bytes of a miner's standard output."""
    return Report(*_REPORT.unpack(raw))


def _decode_work(raw: bytes) -> Work:
    work_id, header, target, first, nonces = _WORK.unpack(raw)
    return Work(work_id, header, int.from_bytes(target, "little"), first, nonces)


def scan_row(header: bytes, nonce: int, target: int) -> bytes | None:
    """Try the `ROW` nonces from `nonce` on; the solved header, or None.

    This loop is where a miner spends its life. The first block and all of the second but the last
    byte are hashed once a row; the table holds that byte ready-made; and the hash's top byte
    tells on its own, 255 times of 256 or more, that the number is too large.
    """
    start = header[:-NONCE_SIZE] + nonce.to_bytes(NONCE_SIZE, "big")[:-1]
    copy, outer = sha256(start).copy, sha256
    top_byte = target >> 248
    for last in LAST_BYTES:
        trial = copy()
        trial.update(last)
        digest = outer(trial.digest()).digest()
        if digest[31] <= top_byte and int.from_bytes(digest, "little") <= target:
            return start + last
    return None


class Search:
    """A piece of work and how far it has come."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._next = work.first
        self._end = work.first + work.nonces

    def advance(self) -> Report | None:
        """Try some more nonces; a report once the work is solved or used up."""
        work = self._work
        stop = min(self._next + ROWS_PER_LOOK * ROW, self._end)
        for nonce in range(self._next, stop, ROW):
            solved = scan_row(work.header, nonce, work.target)
            if solved:
                return Report(work.work_id, True, solved)
        self._next = stop
        return Report(work.work_id, False, work.header) if stop == self._end else None


class Duty:
    """Shares time between work and rest, so that a laptop stays cool."""

    def __init__(self, percent: int) -> None:
        self._rest_per_work = (100 - percent) / percent
        self._work_s = SLICE_S * percent / 100
        self._since = time.monotonic()

    def rest_s(self) -> float:
        """How long to rest now: 0 until a slice's share of work is done."""
        worked_s = time.monotonic() - self._since
        return worked_s * self._rest_per_work if worked_s >= self._work_s else 0.0

    def resume(self) -> None:
        """Work starts again here."""
        self._since = time.monotonic()


class Inbox:
    """Standard input, read without waiting longer than asked."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        self._buffer = b""

    def newest(self, wait_s: float | None) -> Work | None:
        """The latest work that has arrived, waiting up to `wait_s`. Raises EOFError at the end."""
        newest = None
        if self._poll.poll(None if wait_s is None else wait_s * 1000):
            chunk = os.read(self._stream, 1 << 16)
            if not chunk:
                raise EOFError
            self._buffer += chunk
            whole = len(self._buffer) // _WORK.size * _WORK.size
            if whole:
                newest = _decode_work(self._buffer[whole - _WORK.size : whole])
            self._buffer = self._buffer[whole:]
        return newest


def mine(stream_in: int, stream_out: int, duty_percent: int) -> None:
    """Solve what arrives on one pipe and report on the other. Raises EOFError when it closes."""
    inbox, duty = Inbox(stream_in), Duty(duty_percent)
    search: Search | None = None
    wait_s: float | None = None
    while True:
        work = inbox.newest(wait_s)
        if wait_s != 0.0:
            duty.resume()
        if work:
            search = Search(work) if work.target else None
        report = search.advance() if search else None
        if report:
            os.write(stream_out, _REPORT.pack(*report))
            search = None
        wait_s = duty.rest_s() if search else None


def measure(seconds: float, duty_percent: int) -> float:
    """Hashes a second of one loop at this duty."""
    duty = Duty(duty_percent)
    start = time.monotonic()
    nonce = 0
    header = os.urandom(HEADER_SIZE)
    while time.monotonic() - start < seconds:
        scan_row(header, nonce % NONCES, 0)
        nonce += ROW
        rest_s = duty.rest_s()
        if rest_s:
            time.sleep(rest_s)
            duty.resume()
    return nonce / (time.monotonic() - start)


def measure_together(seconds: float, threads: int, duty_percent: int) -> float:
    """Hashes a second of so many loops at once, each in its own process."""
    if threads == 1:
        return measure(seconds, duty_percent)
    arguments = ("--measure", str(seconds), "--duty", str(duty_percent))
    loops = [Child("node.miner", *arguments) for _ in range(threads)]
    rates = [json.loads(loop.read_all())["hashes_per_s"] for loop in loops]
    for loop in loops:
        loop.end()
    return float(sum(rates))


def main() -> None:
    """The command line."""
    # Ctrl-C reaches the whole terminal; the node stops us when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m node.miner", description="Solve headers.")
    parser.add_argument("--duty", type=int, choices=range(1, 101), metavar="PERCENT", default=100)
    parser.add_argument("--threads", type=int, metavar="N", default=1, help="with --measure")
    parser.add_argument("--measure", type=float, metavar="SECONDS")
    options = parser.parse_args()
    if options.measure is not None:
        rate = measure_together(options.measure, max(1, options.threads), options.duty)
        print(json.dumps({"hashes_per_s": round(rate)}))
        return
    try:
        mine(sys.stdin.fileno(), sys.stdout.fileno(), options.duty)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
