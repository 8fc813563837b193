"""The first blocks, mined here before any node runs: their times are spaced and end now."""

import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from chain.block import Block, decode_header, make_block
from chain.blocktemplate import build_block
from chain.blocktree import BlockNode, BlockTree
from chain.params import COINBASE_MATURITY, Params
from devnet.processes import environment, python
from devnet.state import DevnetError

FIRST_BLOCKS = COINBASE_MATURITY + 1
"""Number of first blocks: the first coinbase can then be spent in the next one."""
HELPERS_MAX = 8
ANSWER_TIMEOUT_S = 30.0

Helper = subprocess.Popen[str]


def mine_first_blocks(
    params: Params, script: bytes, now: int, spacing_s: int, progress: Callable[[int], None] = lambda done: None
) -> list[Block]:
    """FIRST_BLOCKS solved blocks on genesis that pay `script`, spaced, the last one's time being `now`.

    Raises DevnetError. Calls `progress` with the number of blocks done.
    """
    tree = BlockTree(params)
    tip = tree.genesis
    blocks: list[Block] = []
    with _helpers(min(os.cpu_count() or 1, HELPERS_MAX)) as helpers:
        miner = _Miner(helpers)
        while len(blocks) < FIRST_BLOCKS:
            time = now - (FIRST_BLOCKS - 1 - len(blocks)) * spacing_s
            block = miner.solve(tip, script, time, params)
            tip = tree.add(block.header)
            blocks.append(block)
            progress(len(blocks))
    return blocks


class _Miner:
    """Keeps every helper busy with a candidate of its own until one is solved."""

    def __init__(self, helpers: list[Helper]) -> None:
        self._idle = helpers
        self._busy: dict[Helper, Block] = {}

    def solve(self, parent: BlockNode, script: bytes, time: int, params: Params) -> Block:
        """A block on top of `parent`. Helpers still at the block before are left to finish."""
        extra_nonces = count()
        while True:
            for helper in self._idle:
                block = build_block(parent, (), 0, script, time, params, next(extra_nonces))
                _tell(helper, block)
                self._busy[helper] = block
            self._idle = _ready(list(self._busy))
            for helper in self._idle:
                candidate, answer = self._busy.pop(helper), _hear(helper)
                if answer != "-" and candidate.header.prev_hash == parent.hash:
                    # The other ready helpers' answers are read when they are waited for again.
                    return self._take(helper, candidate, answer)

    def _take(self, solver: Helper, candidate: Block, answer: str) -> Block:
        self._idle = [helper for helper in self._idle if helper not in self._busy]
        assert solver in self._idle
        return make_block(decode_header(bytes.fromhex(answer)), candidate.txs)


def _tell(helper: Helper, block: Block) -> None:
    assert helper.stdin
    try:
        helper.stdin.write(block.header.raw.hex() + "\n")
        helper.stdin.flush()
    except BrokenPipeError:
        raise DevnetError(f"a mining helper ended: {_last_words(helper)}") from None


def _hear(helper: Helper) -> str:
    assert helper.stdout
    answer = helper.stdout.readline().strip()
    if not answer:
        raise DevnetError(f"a mining helper ended: {_last_words(helper)}")
    return answer


def _ready(helpers: list[Helper]) -> list[Helper]:
    """The helpers that have answered. Each has one line to answer at a time, so none hides in a buffer."""
    streams = [helper.stdout for helper in helpers if helper.stdout]
    ready = select.select(streams, (), (), ANSWER_TIMEOUT_S)[0]
    if not ready:
        raise DevnetError("the mining helpers do not answer: is this machine very busy?")
    return [helper for helper in helpers if helper.stdout in ready]


def _last_words(helper: Helper) -> str:
    helper.kill()
    return (helper.communicate()[1] or "").strip().rpartition("\n")[2] or "no output"


@contextmanager
def _helpers(number: int) -> Iterator[list[Helper]]:
    started: list[Helper] = []
    try:
        for _ in range(number):
            started.append(
                subprocess.Popen(
                    python("devnet.solver"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd="/",
                    env=environment(),
                    start_new_session=True,  # Ctrl-C is for us alone
                )
            )
        yield started
    finally:
        for helper in started:
            helper.kill()
            helper.communicate()
