"""Headers of branches with little work: they have to prove themselves before they cost memory.

A header costs its maker nothing where the difficulty is low, and us some 500 bytes for good. So
what stands on a branch with less work than is worth having enters only through a walk in two
passes (as Bitcoin Core's HeadersSyncState):

    first    each header is checked and forgotten; of every PERIOD-th one bit of a salted hash is kept
    second   all are asked for again: the bits show whether they are the same; those behind which
             enough bits agree are let in

Whoever wants our memory must have done the whole work first, and cannot send something else the
second time. A walk holds the same few hundred kilobytes however long the branch is.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.block import Header, decode_header
from chain.blocktree import BlockNode, locator
from chain.hashes import BlockHash, sha256
from chain.headertrail import HeaderTrail
from chain.params import Params
from chain.target import work_from_bits
from node.chainstate.chainstate import Chainstate
from node.interface.endpoint import PeerId
from node.interface.mock_time import MockTime

NEAR_TIP_BLOCKS = 144
"""A branch may have so many of the tip's blocks less work than the tip, and is still kept."""
SIDE_HEADERS_MAX = 16_384
"""Headers beside the best chain; with more, only what leads to more work than the tip's is let in."""
WALKS_MAX = 4
"""Walks at once; a peer that comes when there are as many is heard at its next poll."""
WALK_S = 600.0
"""A walk that takes longer is given up."""
PERIOD = 256
"""Headers for each bit."""
BITS_MAX = 65_536
"""Bits of one walk, so 16 million headers; a longer branch is given up."""
AGREEING_BITS = 24
"""So many bits agree behind a header that is let in: others get so far once in 2^24 walks."""
HELD_MAX = PERIOD * AGREEING_BITS
"""Headers, of 80 bytes, that wait for that in the second pass."""


class GivenUp(Exception):
    """A walk leads nowhere: nothing of it is kept, and nobody has broken a rule."""


class Walk:
    """One peer's branch, in both passes."""

    def __init__(
        self, base: BlockNode, least_work: int, salt: bytes, params: Params, now: float, time: MockTime
    ) -> None:
        """From `base`, which is in the tree, up to a header with `least_work`. `salt` is secret, `time` what
        headers are held against."""
        self._base = base
        self._least_work = least_work
        self._salt = salt
        self._params = params
        self._over_at = now + WALK_S
        self._time = time
        self._trail = HeaderTrail(base, params)
        self._offset = salt[0] % PERIOD
        self._bits = bytearray()
        self._agreed = 0
        """Bits that the second pass has seen again."""
        self._held: deque[bytes] = deque()
        self.is_second = False

    @property
    def is_over(self) -> bool:
        """The branch has been let in up to where its work is enough."""
        return self.is_second and not self._held and self._trail.tip.chainwork >= self._least_work

    def locator(self) -> tuple[BlockHash, ...]:
        """Asks for what comes next."""
        return (self._trail.tip.hash, *locator(self._base))

    def take(self, headers: Sequence[Header], is_full: bool, now: float) -> list[Header]:
        """Take headers; returns those to be let in, lowest first. `is_full` if there may be more.

        Raises GivenUp; Rejected for a header that breaks a rule.
        """
        if now > self._over_at:
            raise GivenUp("it takes too long")
        if not self.is_second:
            self._pass_by(headers, int(self._time.at(now)))
            if not is_full and not self.is_second:
                raise GivenUp("too little work")
            return []
        proved = self._again(headers, int(self._time.at(now)))
        if not is_full and not self.is_over:
            raise GivenUp("not the headers of before")
        return proved

    def _pass_by(self, headers: Sequence[Header], now: int) -> None:
        for header in headers:
            self._trail.follow(header, now)
            if self._has_bit():
                if len(self._bits) == BITS_MAX:
                    raise GivenUp("a branch of too many headers")
                self._bits.append(self._bit())
            if self._trail.tip.chainwork >= self._least_work:
                self.is_second = True
                self._trail = HeaderTrail(self._base, self._params)
                return

    def _again(self, headers: Sequence[Header], now: int) -> list[Header]:
        proved: list[Header] = []
        for position, header in enumerate(headers):
            self._trail.follow(header, now)
            if self._has_bit():
                if self._agreed == len(self._bits) or self._bits[self._agreed] != self._bit():
                    raise GivenUp("not the headers of before")
                self._agreed += 1
            self._held.append(header.raw)
            if self._trail.tip.chainwork >= self._least_work:
                proved += map(decode_header, self._held)
                self._held.clear()
                return proved + list(headers[position + 1 :])  # these stand on enough work
            if len(self._held) > HELD_MAX:
                proved.append(decode_header(self._held.popleft()))
        return proved

    def _has_bit(self) -> bool:
        return self._trail.tip.height % PERIOD == self._offset

    def _bit(self) -> int:
        return sha256(self._salt + self._trail.tip.hash)[0] & 1


@dataclass(frozen=True, slots=True)
class HeadersPresync:
    """Headers that are not let in as they are."""

    base: BlockNode
    """The block that the headers stand on."""
    headers: Sequence[Header]
    """The headers that are not in the tree."""


class HeadersAdmission:
    """Admission of headers to the tree, and the peers at proving a branch with little work."""

    def __init__(self, chain: Chainstate, minimum_work: int, secret: bytes, top: Callable[[], BlockNode]) -> None:
        """`minimum_work` is what the operator knows the best chain to have at least, `secret` what no
        peer can guess, `top` the end of the chain that is followed."""
        self._chain = chain
        self._minimum_work = minimum_work
        self._secret = secret
        self._top = top
        self._walks: dict[PeerId, Walk] = {}
        self._begun = 0

    @property
    def least_work(self) -> int:
        """The chain work that a branch must have for its headers to be kept at once."""
        tip, tree = self._top(), self._chain.tree
        near = tip.chainwork - NEAR_TIP_BLOCKS * work_from_bits(tip.header.bits)
        if len(tree.entries) - tree.best_header.height - 1 >= SIDE_HEADERS_MAX:
            near = tip.chainwork + 1
        return max(near, self._minimum_work)

    def judge(self, headers: Sequence[Header], now: float) -> HeadersPresync | None:
        """None if the headers may be handed in: they are known, lead nowhere, or to enough work.

        Raises Rejected for one, among those with too little work, that breaks a rule.
        """
        tree = self._chain.tree
        fresh = next((i for i, header in enumerate(headers) if tree.get(header.hash) is None), len(headers))
        base = tree.get(headers[fresh].prev_hash) if fresh < len(headers) else None
        if base is None or base.invalid or base.chainwork >= (least_work := self.least_work):
            return None
        trail = HeaderTrail(base, self._chain.params)
        for header in headers[fresh:]:
            trail.follow(header, int(self._chain.time.at(now)))
            if trail.tip.chainwork >= least_work:
                return None
        return HeadersPresync(base, headers[fresh:])

    def walk(self, peer: PeerId) -> Walk | None:
        """The walk that a peer is at."""
        return self._walks.get(peer)

    def begin(self, peer: PeerId, low: HeadersPresync, now: float) -> Walk | None:
        """Start a walk; None if there is no place for one."""
        if len(self._walks) >= WALKS_MAX:
            return None
        self._begun += 1
        salt = sha256(self._secret + self._begun.to_bytes(8, "little"))
        self._walks[peer] = Walk(low.base, self.least_work, salt, self._chain.params, now, self._chain.time)
        return self._walks[peer]

    def end(self, peer: PeerId) -> None:
        """Forget a peer's walk, if there is one."""
        self._walks.pop(peer, None)
