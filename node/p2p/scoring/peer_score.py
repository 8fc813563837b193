"""Reputation of nodes: a score from what each did, that fades, and can say what it is made of.

Each kind of deed has points and a most that all deeds of that kind can come to: what is cheap to
do often can neither buy off an offence nor, where an honest node may be to blame, drop it. Points
halve every HALF_LIFE_S. Scores are kept by id beyond the session, of so many nodes.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from node.interface.endpoint import PeerId

HALF_LIFE_S = 3_600.0
"""Seconds in which points halve."""
CONTRIBUTION_HALF_LIFE_S = 600.0
"""Seconds in which the useful bytes that choking goes by halve: what was given long ago earns nothing now."""
KEPT_MAX = 5_000
"""Nodes remembered; beyond, the one that did nothing for longest is forgotten."""
SERVED_UNIT = 1_000_000
"""Bytes of valid blocks and transactions that are one deed of service."""
PREFER, CHOKE, DROP = 10.0, -20.0, -100.0
"""Scores from which on a peer is preferred, and down to which it is choked, dropped."""
WORTH_TELLING = 0.01
"""Fewer points are no reason."""


class Weight(NamedTuple):
    """Points of a kind of event."""

    points: float
    """Points for each event."""
    most: float
    """Limit of all points of the kind together, in either direction."""
    words: str
    """Description for operators."""


class PeerEvent(Enum):
    """Something that a peer did, or failed to do."""

    BLOCK_FIRST = Weight(5.0, 60.0, "delivered valid blocks first")
    TX_FIRST = Weight(0.05, 20.0, "delivered valid transactions first")
    ANSWERED = Weight(0.01, 5.0, "answered in time")
    SERVED = Weight(1.0, 20.0, "served useful bytes")
    LATE = Weight(-1.0, 15.0, "did not answer in time")
    """May be the line's fault, or ours: never enough to be dropped for."""
    BROKEN_PROMISE = Weight(-1.0, 30.0, "announced and did not deliver")
    """May be honest too."""
    SPAM = Weight(-1.0, 150.0, "sent more than it may")
    EARLY_INVALID = Weight(-5.0, 40.0, "passed on early what turned out to be invalid blocks")
    """The peer passed on a block before its verdict, as BIP152 has everybody do in good faith."""
    INVALID_TX = Weight(-10.0, 150.0, "sent invalid transactions")
    OFFENCE = Weight(-100.0, 200.0, "broke the rules, provably")


class Grade(Enum):
    """The grade that a score comes to."""

    PREFER = "prefer"
    """Kept rather than others."""
    TOLERATE = "tolerate"
    CHOKE = "choke"
    """Gets no bulk service while there is contention, and is the first to make room."""
    DROP = "drop"
    """Disconnected, and not taken back before its points have faded."""


@dataclass(slots=True)
class _Record:
    """The deeds of one node."""

    at: float
    """Time when the points were last brought up to date."""
    points: dict[PeerEvent, float] = field(default_factory=dict)
    useful: float = 0.0
    """Bytes that it contributed, fading."""


class PeerScore:
    """The scores of all nodes that are remembered."""

    def __init__(self) -> None:
        self._records: OrderedDict[PeerId, _Record] = OrderedDict()
        """Records, the one that did nothing for longest first."""

    def __len__(self) -> int:
        return len(self._records)

    def note(self, peer: PeerId, deed: PeerEvent, now: float, times: float = 1.0) -> None:
        """A peer did this so many times."""
        record = self._touch(peer, now)
        weight = deed.value
        points = record.points.get(deed, 0.0) + weight.points * times
        record.points[deed] = max(-weight.most, min(weight.most, points))

    def contributed(self, peer: PeerId, size: int, now: float) -> None:
        """A peer brought so many bytes that were new and valid."""
        self.note(peer, PeerEvent.SERVED, now, size / SERVED_UNIT)
        self._records[peer].useful += size

    def score(self, peer: PeerId, now: float) -> float:
        """Points, 0 for one that is not known."""
        record = self._records.get(peer)
        return sum(record.points.values()) * _faded(now - record.at, HALF_LIFE_S) if record else 0.0

    def contribution(self, peer: PeerId, now: float) -> float:
        """Useful bytes that it brought lately."""
        record = self._records.get(peer)
        return record.useful * _faded(now - record.at, CONTRIBUTION_HALF_LIFE_S) if record else 0.0

    def why(self, peer: PeerId, now: float) -> tuple[tuple[str, float], ...]:
        """The score's reasons and points, those that weigh most first."""
        record = self._records.get(peer)
        if record is None:
            return ()
        fade = _faded(now - record.at, HALF_LIFE_S)
        parts = [(deed.value.words, points * fade) for deed, points in record.points.items()]
        told = [(words, round(points, 2)) for words, points in parts if abs(points) >= WORTH_TELLING]
        return tuple(sorted(told, key=lambda part: (-abs(part[1]), part[0])))

    def grade(self, peer: PeerId, now: float) -> Grade:
        """The grade that its score comes to."""
        score = self.score(peer, now)
        if score <= DROP:
            return Grade.DROP
        if score <= CHOKE:
            return Grade.CHOKE
        return Grade.PREFER if score >= PREFER else Grade.TOLERATE

    def _touch(self, peer: PeerId, now: float) -> _Record:
        """The record, up to date and the last to be forgotten."""
        record = self._records.get(peer)
        if record is None:
            record = self._records[peer] = _Record(now)
            if len(self._records) > KEPT_MAX:
                self._records.popitem(last=False)
            return record
        self._records.move_to_end(peer)
        fade = _faded(now - record.at, HALF_LIFE_S)
        for deed in record.points:
            record.points[deed] *= fade
        record.useful *= _faded(now - record.at, CONTRIBUTION_HALF_LIFE_S)
        record.at = now
        return record


def _faded(elapsed_s: float, half_life_s: float) -> float:
    """The factor left after so much time."""
    return float(0.5 ** (elapsed_s / half_life_s))
