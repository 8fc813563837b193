"""Signature checks in a process of its own: batches in, the first failure out.

`python -m node.workers.verifier_process` reads batches of 129-byte checks from standard input and answers each
with its token and an index or -1; the end of the input ends it. It knows no chain, network or file.
"""

import argparse
import contextlib
import os
import select
import signal
import sys
from struct import Struct
from typing import BinaryIO

from chain.keys import CHECK_SIZE, Engine, libsecp256k1_engine, python_engine

BATCH_HEAD = Struct("<I")
"""Number of checks that follow."""
VERDICT = Struct("<4si")
"""The batch's token, and the index of the first check that fails, or -1."""
ENGINES = {"libsecp256k1": libsecp256k1_engine, "python": python_engine}
NICENESS = 5
"""Verifiers take what the node leaves of the processors: its answers come first, and on a machine
where every core has a verifier none is idle."""
CHECKS_PER_LOOK = 64
"""After so many checks the verifier looks whether anybody still waits for the answer."""


def serve(engine: Engine, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer batches until the pipe closes. Raises EOFError then."""
    hang_up = select.poll()
    hang_up.register(requests, 0)
    while True:
        (count,) = BATCH_HEAD.unpack(_take(requests, BATCH_HEAD.size))
        checks = _take(requests, count * CHECK_SIZE)
        failure = None
        for start in range(0, count, CHECKS_PER_LOOK):
            part = checks[start * CHECK_SIZE : (start + CHECKS_PER_LOOK) * CHECK_SIZE]
            failure = engine.first_failure(part)
            if failure is not None:
                failure += start
                break
            if hang_up.poll(0):
                raise EOFError
        answers.write(VERDICT.pack(token_of(checks), -1 if failure is None else failure))
        answers.flush()


def token_of(checks: bytes) -> bytes:
    """The beginning of an answer to this batch: the end of its last digest, zeros for no checks.

    So no answer passes for one to another batch, nor anything else that gets into the pipe: some
    library's word of warning, for one.
    """
    return checks[-4:] or bytes(4)


def _take(stream: BinaryIO, size: int) -> bytes:
    taken = stream.read(size)
    if len(taken) < size:
        raise EOFError
    return taken


def main() -> None:
    """The command line."""
    # Ctrl-C reaches the whole terminal; the node stops us when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    parser = argparse.ArgumentParser(prog="python -m node.workers.verifier_process", description="Check signatures.")
    parser.add_argument("--engine", choices=ENGINES, default="libsecp256k1")
    engine = ENGINES[parser.parse_args().engine]()
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(engine, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
