"""Proof of work in a process of its own: headers in, solved headers out.

`python -m node.mining.miner_process` reads `Work` from standard input and writes a `Report` for each piece that
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
from struct import Struct
from typing import NamedTuple

from node.mining.hash_loop import HEADER_SIZE, LOOPS, NONCE_SIZE, NONCES, Loop
from node.workers.child_process import ChildProcess

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
    """The first nonce to try, as a number."""
    nonces: int
    """Number of nonces to try."""

    def encode(self) -> bytes:
        """The work as bytes for the miner's standard input."""
        return _WORK.pack(self.work_id, self.header, self.target.to_bytes(32, "little"), self.first, self.nonces)


class Report(NamedTuple):
    """The outcome of a piece of work."""

    work_id: int
    solved: bool
    """False when no nonce of the range fits."""
    header: bytes
    """The header with the nonce that fits."""


def decode_report(raw: bytes) -> Report:
    """The report in these `REPORT_SIZE` bytes of a miner's standard output."""
    return Report(*_REPORT.unpack(raw))


def _decode_work(raw: bytes) -> Work:
    work_id, header, target, first, nonces = _WORK.unpack(raw)
    return Work(work_id, header, int.from_bytes(target, "little"), first, nonces)


class NonceSearch:
    """A piece of work and how far it has come."""

    def __init__(self, work: Work, loop: Loop) -> None:
        self._work = work
        self._loop = loop
        self._next = work.first
        self._end = min(work.first + work.nonces, NONCES)

    def advance(self) -> Report | None:
        """Try some more nonces, for milliseconds; a report once the work is solved or used up."""
        work, loop = self._work, self._loop
        count = min(loop.batch, self._end - self._next)
        nonce = loop.scan(work.header, work.target, self._next, count)
        if nonce is not None:
            return Report(work.work_id, True, work.header[:-NONCE_SIZE] + nonce.to_bytes(NONCE_SIZE, "little"))
        self._next += count
        return Report(work.work_id, False, work.header) if self._next == self._end else None


class Duty:
    """Shares time between work and rest, so that a laptop stays cool."""

    def __init__(self, percent: int) -> None:
        self._rest_per_work = (100 - percent) / percent
        self._work_s = SLICE_S * percent / 100
        self._since = time.monotonic()

    def rest_s(self) -> float:
        """Seconds to rest now: 0 until a slice's share of work is done."""
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


def mine(stream_in: int, stream_out: int, duty_percent: int, loop: Loop) -> None:
    """Solve what arrives on one pipe and report on the other. Raises EOFError when it closes."""
    inbox, duty = Inbox(stream_in), Duty(duty_percent)
    search: NonceSearch | None = None
    wait_s: float | None = None
    while True:
        work = inbox.newest(wait_s)
        if wait_s != 0.0:
            duty.resume()
        if work:
            search = NonceSearch(work, loop) if work.target else None
        report = search.advance() if search else None
        if report:
            os.write(stream_out, _REPORT.pack(*report))
            search = None
        wait_s = duty.rest_s() if search else None


def measure(seconds: float, duty_percent: int, loop: Loop) -> float:
    """Hashes a second of one loop at this duty."""
    duty = Duty(duty_percent)
    start = time.monotonic()
    hashes = 0
    header = os.urandom(HEADER_SIZE)
    while time.monotonic() - start < seconds:
        loop.scan(header, 0, hashes % NONCES, loop.batch)
        hashes += loop.batch
        rest_s = duty.rest_s()
        if rest_s:
            time.sleep(rest_s)
            duty.resume()
    return hashes / (time.monotonic() - start)


def measure_together(seconds: float, threads: int, duty_percent: int, loop: Loop) -> float:
    """Hashes a second of so many loops at once, each in its own process."""
    if threads == 1:
        return measure(seconds, duty_percent, loop)
    arguments = ("--measure", str(seconds), "--duty", str(duty_percent), "--loop", loop.name)
    loops = [ChildProcess("node.mining.miner_process", *arguments) for _ in range(threads)]
    rates = [json.loads(child.read_all())["hashes_per_s"] for child in loops]
    for child in loops:
        child.end()
    return float(sum(rates))


def main() -> None:
    """The command line."""
    # Ctrl-C reaches the whole terminal; the node stops us when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m node.mining.miner_process", description="Solve headers.")
    parser.add_argument("--duty", type=int, choices=range(1, 101), metavar="PERCENT", default=100)
    parser.add_argument("--threads", type=int, metavar="N", default=1, help="with --measure")
    parser.add_argument("--measure", type=float, metavar="SECONDS")
    names = [loop.name for loop in LOOPS]
    parser.add_argument("--loop", choices=names, default=names[0], help="the default is the fastest")
    options = parser.parse_args()
    loop = LOOPS[names.index(options.loop)]
    if options.measure is not None:
        rate = measure_together(options.measure, max(1, options.threads), options.duty, loop)
        print(json.dumps({"hashes_per_s": round(rate), "loop": loop.name}))
        return
    try:
        mine(sys.stdin.fileno(), sys.stdout.fileno(), options.duty, loop)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
