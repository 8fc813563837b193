"""The single writer: which blocks there are, which chain is followed, what the ledger holds.

A block's way: `examine` (outside the lock) -> `submit_block` (header, body stored) -> `advance`
(connected over the ledger, a slice at a time) -> signatures verified elsewhere -> `verified`
(committed). A reorganisation is one move of any depth, so one atomic write. While blocks come in
one after the other, the next is connected over the deltas of those still being verified.

The steps named here are those of `chain/validate.py`, which has the whole rule in one piece.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Sequence
from functools import partial

from chain.block import Header
from chain.blocktree import BlockNode, BlockTree, is_on, path
from chain.coins import CoinLookup
from chain.connect import connect_body, context_after
from chain.errors import Invalid, Reject, Rejected
from chain.hashes import BlockHash, Wtxid, to_hex
from chain.params import Params
from chain.validate import validate_header
from node.chainstate.block_cache import BlockCache
from node.chainstate.load_block_index import INVALID_MARK, OPERATOR_MARK, load_block_index
from node.chainstate.reorg import SLICE_BLOCKS_MAX, ChainUpdate, ConnectBatch, Fault
from node.chainstate.stale_blocks import StaleBlocks
from node.chainstate.stored_blocks import BodyLost, StoredBlocks
from node.chainstate.tip_change import StoredBlock, TipChange
from node.interface.checked_block import CheckedBlock
from node.interface.counters import BLOCK, Counters
from node.interface.mock_time import MockTime
from node.interface.storage import Store
from node.interface.wall_clock import WallClock

log = logging.getLogger("groat.chain")

AHEAD_MAX = 2
"""Slices, and moves, connected ahead of their signatures' verdict."""
FAILURES_MAX = 1_000
"""Reasons kept for blocks found invalid; beyond, the oldest is forgotten (the mark is not)."""
FIRST_SEEN = -1
"""Sequence of the tip that a start finds; those of blocks that come later are positive, those of blocks that
the operator prefers below."""


class Chainstate:
    """Blocks, branches and the committed ledger. Call only under the lock."""

    def __init__(
        self,
        params: Params,
        store: Store,
        next_token: Callable[[], int],
        known: Container[Wtxid] = frozenset(),
        wall: WallClock | None = None,
    ) -> None:
        """`known` holds witness txids whose signatures the mempool has verified."""
        self.params = params
        self.time = MockTime(wall)
        """The time that headers are checked against."""
        self.tree = BlockTree(params)
        self._store = store
        self._next_token = next_token
        self._known = known
        self._moves: deque[ChainUpdate] = deque()
        """Under way, each from the target of the one before."""
        self._slices: dict[int, ConnectBatch] = {}
        """Slices of the moves that wait for their verdict, by token."""
        self.recent = BlockCache()
        self._blocks = StoredBlocks(store, self.recent)
        self._siblings = StaleBlocks(self._is_needed)
        self._ruled_out: set[BlockHash] = set()
        """Blocks that the operator has marked."""
        self._failures: OrderedDict[BlockHash, Rejected] = OrderedDict()
        self._sequence = 0
        self.stored: list[StoredBlock] = []
        """Blocks whose bodies are new here, until somebody takes note of them and empties the list."""
        self._detached: set[BlockHash] = set()
        """Stored bodies above one that is lost: theirs again as soon as their headers have a place."""
        self._precious = FIRST_SEEN
        """Sequence of the block that was preferred last: each comes before those of earlier calls."""
        self.ruled_out = 0
        """Number of blocks ruled out so far: tells who waits for a verdict that there is one."""
        self.counts = Counters()
        self.tip = self.best = self.tree.genesis
        loaded = load_block_index(self.tree, store)
        self._ruled_out |= loaded.ruled_out
        self._detached |= loaded.detached
        self.tip = loaded.tip
        self.tip.sequence = FIRST_SEEN  # what was followed before the stop is still first seen
        self._follow(self._find_best())
        for entry in self.tree.entries.values():
            if not self._is_needed(entry):
                self._siblings.add(entry)

    @property
    def settled(self) -> bool:
        """True if the ledger stands on the best chain that the stored bodies allow."""
        return self.tip is self.best and not self._moves

    @property
    def head(self) -> BlockNode:
        """The chain's tip once every move under way is over."""
        return self._moves[-1].target if self._moves else self.tip

    def submit_header(self, header: Header, now: float) -> BlockNode:
        """Find the header's place in the tree, adding it if it is new and passes steps 1 and 2.

        `now` is the clock's. Raises Rejected.
        """
        entry = self.tree.get(header.hash)
        if entry is not None:
            if entry.invalid:
                self.counts.rejected(BLOCK, Reject.DUPLICATE_INVALID)
                raise Invalid(Reject.DUPLICATE_INVALID)
            return entry
        try:
            validate_header(header, self.tree.get(header.prev_hash), int(self.time.at(now)), self.params)
        except Rejected as fault:
            self.counts.rejected(BLOCK, fault.code)
            raise
        if header.hash not in self._detached:
            return self.tree.add(header)
        self._detached.discard(header.hash)
        entry = self.tree.add(header, invalid=header.hash in self._store.marks())
        self._admit(entry)
        return entry

    def forget(self, headers: Sequence[BlockNode]) -> None:
        """Drop headers without bodies, those on top first; each on which something else stands stays."""
        gone: set[BlockNode] = set()
        for entry in headers:
            is_top = all(child in gone for child in entry.children)
            if is_top and not entry.has_body and entry is not self.tree.genesis:
                gone.add(entry)
        self.tree.forget([entry for entry in headers if entry in gone])
        if self.tip.chainwork == self.tree.best_header.chainwork and not self.tip.invalid:
            self.tree.best_header = self.tip

    def submit_block(self, examined: CheckedBlock, now: float, *, sync: bool, source: str = "") -> BlockNode:
        """Take in a body: its node has its whole chain (`has_chain`) as soon as all bodies before it are here too.

        `sync` makes it survive a power cut at once; `source` is how the log says where it came from. Raises Rejected;
        the header is marked invalid where the block itself is at fault, unless nothing was known of it, and nothing
        need be.
        """
        block = examined.block
        if examined.fault is not None and block.hash not in self.tree.entries:
            # As in Core, which looks at where it stands only then: so that what stands on it is no more known.
            self.counts.rejected(BLOCK, examined.fault.code)
            raise examined.fault
        entry = self.submit_header(block.header, now)
        if not entry.has_body:
            self._judge_body(entry, examined)
            # What is not followed need not be safe yet: the block that makes it so is written behind it.
            sync = sync and entry.chainwork > self.best.chainwork
            self._store.put_block(entry.height, entry.hash, block.raw, sync=sync)
            self.recent.add(block)
            self.stored.append(StoredBlock(entry, source))
            self._admit(entry)
            if entry.chainwork <= self.tip.chainwork:
                self._siblings.add(entry)
                self._limit_siblings()
        return entry

    def _judge_body(self, entry: BlockNode, examined: CheckedBlock) -> None:
        """Refuse a new body for all that no coins are needed to see, step 4 and the beginning of 5, wherever it stands.

        Raises Invalid.
        """
        fault = examined.fault
        if fault is None and entry.parent is not None:
            try:
                connect_body(examined.block, context_after(entry.parent))
            except Invalid as misplaced:
                fault = misplaced
        if fault is not None:
            self._mark_invalid(entry, fault)
            raise fault

    def _limit_siblings(self) -> None:
        """Forget the oldest blocks beside the best chain where there are too many."""
        for entry in self._siblings.surplus():
            assert entry is not self.tip, "the ledger stands on it"
            assert entry is not self.best, "it is being connected"
            self.tree.remove(entry)
            entry.has_body = entry.has_chain = False
            self.recent.take(entry.hash)
            self._store.drop_block(entry.height, entry.hash)

    def _is_needed(self, entry: BlockNode) -> bool:
        """True if the block must stay: it may be followed, or another stands on it."""
        return (
            entry.last_child is not None
            or entry.parent is None
            or not is_on(entry.parent, self.tip)
            or is_on(entry, self.tip)
            or (entry.chainwork > self.tip.chainwork and not entry.invalid)
            or entry is self.best
            or entry is self.tree.best_header
            or entry.hash in self._ruled_out
            or any(move.target is entry for move in self._moves)
            or self._store.was_connected(entry.height, entry.hash)
        )

    def raw_block(self, block_hash: BlockHash) -> bytes | None:
        """A stored block of any branch."""
        entry = self.tree.get(block_hash)
        return self._store.block(entry.height, entry.hash) if entry and entry.has_body else None

    def failure(self, block_hash: BlockHash) -> Rejected | None:
        """The reason that a block was found invalid, if that is still known."""
        return self._failures.get(block_hash)

    def _admit(self, entry: BlockNode) -> None:
        """The body of `entry` is here: it and what waited for it may now be followed."""
        entry.has_body = True
        if entry.parent is None or not entry.parent.has_chain:
            return
        waiting = [entry]
        for ready in waiting:
            ready.has_chain = True
            self._sequence += 1
            ready.sequence = self._sequence
            if ready.chainwork > self.best.chainwork and not ready.invalid:
                self._follow(ready)
            waiting += [child for child in ready.children if child.has_body]

    def advance(self) -> ConnectBatch | None:
        """Connect the next slice of the way towards `best`, or None if there is nothing to do now.

        Blocks that turn out invalid on the way are marked, and the next best is tried: each
        failure takes a block out, so this ends.
        """
        while len(self._slices) < AHEAD_MAX and (move := self._next_move()) is not None:
            try:
                # A reorganisation finds most coins in what it undoes.
                body = partial(self._blocks.body, load_coins=not move.left)
                cut = move.cut(self._next_token(), self._blocks.change, body, self.params, self._known)
            except Fault as fault:
                self._mark_invalid(fault.entry, fault.reason)
            except BodyLost as lost:
                self._lose(lost.entry)
            else:
                assert cut.token not in self._slices, "a token is given out once"
                assert cut.move is self._moves[-1], "slices are connected in order"
                self._slices[cut.token] = cut
                return cut
        return None

    def _next_move(self) -> ChainUpdate | None:
        """The move to go on with: the last one, if it is not whole yet, or a new one."""
        if self._moves and not self._moves[-1].is_cut:
            return self._moves[-1]
        head, best = self.head, self.best
        if head is best or len(self._moves) >= AHEAD_MAX:
            return None
        if is_on(head, best):
            near = best.ancestor(min(best.height, head.height + SLICE_BLOCKS_MAX))
            return self._begin(*path(head, near))
        if self._moves:
            return None  # what is under way is no longer wanted: let its verdict come first
        return self._begin(*path(head, best))

    def _begin(self, leave: Sequence[BlockNode], enter: Sequence[BlockNode]) -> ChainUpdate:
        target = enter[-1] if enter else leave[-1].parent
        assert target is not None
        assert (leave[0] if leave else enter[0].parent) is self.head, "each move starts where the one before ends"
        assert not enter or not leave or enter[0].parent is leave[-1].parent, "left and entered at one fork"
        # Made anew each time: on the lookup of the move before, it would stand on all moves there ever were.
        base: CoinLookup = self._store.coin
        for before in self._moves:
            base = before.delta.over(base)
        move = ChainUpdate(leave, enter, target, base)
        self._moves.append(move)
        return move

    def verified(self, token: int, failure: int | None) -> list[TipChange]:
        """Take the verdict on a slice's signatures, step 6, and commit the moves that are now free to be committed.

        A token that is no longer out is ignored: its move was dropped.
        """
        verdict_on = self._slices.pop(token, None)
        if verdict_on is None:
            return []
        if failure is not None:
            self._mark_invalid(verdict_on.guilty(failure), Invalid(Reject.SCRIPT_VERIFY, "wrong signature"))
            return []
        assert verdict_on.move in self._moves, "slices of a move that was dropped have no token any more"
        assert token in verdict_on.move.out
        verdict_on.move.out.discard(token)
        changes = []
        while self._moves and self._moves[0].is_over:
            changes.append(self._commit(self._moves.popleft()))
        return changes

    def _commit(self, move: ChainUpdate) -> TipChange:
        old, new = self.tip, move.target
        assert not new.invalid, "moves to a block that turned out invalid are dropped"
        assert old is move.start, "moves are committed in order"
        self._store.commit(new.height, new.hash, move.delta, move.left, move.entered)
        self.tip = new
        assert self._store.tip().hash == new.hash, "tree and ledger have one tip"
        for change in move.left:
            self.recent.disconnected(change.block.hash)
        for change in move.entered:
            self.recent.connected(change)
        return TipChange(old, new, tuple(move.left), tuple(move.entered))

    def prefer(self, entry: BlockNode) -> None:
        """Follow this block rather than others with as much work, as if it had come before them."""
        if not entry.has_chain or entry.invalid or entry.chainwork < self.best.chainwork:
            return
        self._precious -= 1
        entry.sequence = self._precious
        self._follow(entry)

    def invalidate(self, entry: BlockNode) -> None:
        """The operator's word that neither this block nor any on top of it is to be followed."""
        self._store.set_mark(entry.hash, OPERATOR_MARK)
        self._ruled_out.add(entry.hash)
        self._rule_out(entry)

    def reconsider(self, entry: BlockNode) -> None:
        """Take back every mark on this block, those before it and those on top of it."""
        root: BlockNode = entry
        step = entry.parent
        while step is not None:
            root = step if step.invalid else root
            step = step.parent
        marks = self._store.marks()
        for member in self.tree.branch(root):
            if member.hash in marks and (is_on(entry, member) or is_on(member, entry)):
                self._store.set_mark(member.hash, None)
                self._failures.pop(member.hash, None)
                self._ruled_out.discard(member.hash)
                del marks[member.hash]
        self.tree.set_invalid(root, False)
        for block_hash in marks:
            if (marked := self.tree.get(block_hash)) is not None:
                self.tree.set_invalid(marked, True)
        self._follow(self._find_best())

    def _mark_invalid(self, entry: BlockNode, reason: Rejected) -> None:
        log.warning("block %s at height %d is invalid: %s", to_hex(entry.hash), entry.height, reason)
        self.counts.rejected(BLOCK, reason.code)
        self._failures[entry.hash] = reason
        while len(self._failures) > FAILURES_MAX:
            self._failures.popitem(last=False)
        self._store.set_mark(entry.hash, INVALID_MARK)
        self._rule_out(entry)
        self._siblings.add(entry)
        self._limit_siblings()

    def _rule_out(self, entry: BlockNode) -> None:
        self.ruled_out += 1
        self.tree.set_invalid(entry, True)
        self._drop_moves_to(entry)
        if self.best.invalid:
            self._follow(self._find_best())

    def _drop_moves_to(self, entry: BlockNode) -> None:
        """Forget the first move whose target stands on `entry`, and all after it."""
        for position, move in enumerate(self._moves):
            if is_on(entry, move.target):
                while len(self._moves) > position:
                    for token in self._moves.pop().out:
                        self._slices.pop(token, None)
                return

    def _lose(self, entry: BlockNode) -> None:
        """A stored body is gone or damaged: it has to be fetched again."""
        log.warning("block %s at height %d is lost from storage: fetching it again", to_hex(entry.hash), entry.height)
        assert not is_on(entry, self.tip), "what the ledger stands on is not fetched again, but repaired at a start"
        entry.has_body = False
        for member in self.tree.branch(entry):
            member.has_chain = False
        self._drop_moves_to(entry)
        self._follow(self._find_best())

    def _follow(self, best: BlockNode) -> None:
        """Go to this block from now on."""
        tip = self.tip
        assert best.has_chain, "a body before it is missing"
        assert not best.invalid, "never towards a block that breaks a rule"
        assert best.chainwork >= tip.chainwork or tip.invalid or not tip.has_chain, "most work wins"
        self.best = best

    def _find_best(self) -> BlockNode:
        """The block to follow, among what is ready and valid."""
        least = self.tip.chainwork if self.tip.has_chain and not self.tip.invalid else 0  # passes over nearly all
        return max(
            (e for e in self.tree.entries.values() if e.chainwork >= least and e.has_chain and not e.invalid),
            key=self._rank,
        )

    def _rank(self, entry: BlockNode) -> tuple[int, int, bool, int]:
        """The highest is followed: most work, then the operator's last preference, the tip, the first seen."""
        return entry.chainwork, max(0, FIRST_SEEN - entry.sequence), entry is self.tip, -entry.sequence
