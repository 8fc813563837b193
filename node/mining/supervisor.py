"""The loop that keeps miner processes busy: a template, its solution, a block."""

from collections.abc import Callable

from chain.block import Block, Header, make_block, make_header
from chain.errors import Rejected
from chain.hashes import BlockHash, to_hex
from node.core.submission import Submission
from node.interface.checked_block import examine
from node.mining.hash_loop import LOOPS
from node.mining.miner_pool import MinerPool, Solved, log
from node.mining.settings import Mine
from node.runtime.event_hub import OVER, TIP
from node.runtime.protocols import Switch
from node.runtime.runtime import Runtime

REFRESH_S = 1.0
"""Seconds after which the time in the header moves on, and a fuller mempool gives a new template."""
CATCHING_UP_S = 0.5
"""Seconds between two looks whether the chain has been caught up with."""
OFF_S = 0.2
"""Seconds between two looks whether mining is wanted again."""
BEHIND_MAX = 2
"""Blocks by which the best known header may be ahead before mining waits."""
REFUSED_S = 1.0
"""Pause after a block of our own was refused, or none could be made."""


class Supervisor:
    """Keeps the miners on the newest template and hands in what they solve."""

    def __init__(self, runtime: Runtime, pool: MinerPool, mine: Mine, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._runtime = runtime
        self._pool = pool
        self._mine = mine
        self._clock = clock
        self._told_of = b""
        """The tip on which no block could be made, and of which that is said already."""
        for topic in (TIP, OVER):
            runtime.events.subscribe(topic, pool.wake)
        self._switch = runtime.mining = Switch(pool.wake)

    def run(self) -> None:
        """Mine until the node stops."""
        log.info("mining with %d processes that hash with %s", self._mine.threads, LOOPS[0].name)
        interval_s = self._mine.interval_s
        while not self._runtime.over:
            if interval_s is not None and self._runtime.pause(interval_s):
                return
            if not self._switch.is_on:
                self._rest()
            elif self._is_catching_up():
                self._runtime.pause(CATCHING_UP_S)
            else:
                self._mine_block()

    def _rest(self) -> None:
        """Mine nothing until that is wanted again."""
        log.info("mining is off")
        self._pool.rest()
        while not self._switch.is_on and not self._runtime.pause(OFF_S):
            pass
        log.info("mining is on again")

    def _mine_block(self) -> None:
        """Work on one template until it is solved or a better one can be had."""
        state = self._state()
        block = self._template()
        if block is None:
            return
        header: Header | None = None
        while not self._runtime.over and self._switch.is_on and state == self._state():
            newest = at_time(block.header, int(self._runtime.view.time.at(self._runtime.now())))
            if header is None or header.raw != newest.raw:
                header = newest
                self._pool.assign(header)
            outcome = self._pool.wait(self._clock() + REFRESH_S)
            if isinstance(outcome, Solved):
                self._submit(make_block(outcome.header, block.txs))
            if outcome:
                return

    def _template(self) -> Block | None:
        """The block to work on; None after a pause where no block may be made now, as on a chain ahead of the clock."""
        try:
            block: Block | None = self._runtime.call(lambda node, now: node.template(self._mine.script, now), None)
        except (Rejected, ValueError) as error:
            tip = self._runtime.view.tip
            if self._told_of != tip.hash:
                self._told_of = tip.hash
                log.warning("no block can be made on %s at height %d: %s", to_hex(tip.hash), tip.height, error)
            self._runtime.pause(REFUSED_S)
            return None
        assert block
        return block

    def _submit(self, block: Block) -> None:
        submission = Submission(examine(block, self._runtime.view.params), "mined here")
        try:
            verdict = self._runtime.call(lambda node, now: node.submit_block(submission, now), None)
        except Rejected as rejected:
            log.error("own block %s refused: %s", to_hex(block.hash), rejected)
            self._runtime.pause(REFUSED_S)
            return
        if verdict is not None:
            log.info("mined block %s did not become the tip: %s", to_hex(block.hash), verdict)

    def _state(self) -> tuple[BlockHash, object]:
        """Changes when a template made now would be another one."""
        view = self._runtime.view
        return view.tip.hash, view.pool.totals

    def _is_catching_up(self) -> bool:
        """True while blocks of a longer chain come in: what is mined now would be stale."""
        return self._runtime.view.is_catching_up(BEHIND_MAX, self._runtime.now())


def at_time(header: Header, time: int) -> Header:
    """A header with a later time, which nothing else in the block depends on."""
    later = max(header.time, time)
    return make_header(header.version, header.prev_hash, header.merkle_root, later, header.bits, 0)
