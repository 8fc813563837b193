"""Proof of work: does a header show it, and how much must the next one show.

Another difficulty rule is a change here and in `params.py` alone: whoever follows headers keeps a
`Schedule` for each, and hands it back without looking into it.
"""

from typing import Protocol

from chain.block import Header
from chain.errors import Invalid, Reject
from chain.frozen import value
from chain.params import Asert, Params
from chain.target import bits_from_target, target_from_bits


@value
class Schedule:
    """The part of a branch's past that the difficulty rule remembers, from the anchor block on."""

    start_time: int
    """Unix time of the anchor's parent, from which on blocks are due."""
    idle_s: int
    """Seconds since then that do not count (see Asert.gap_cap_s)."""


class ScheduledHeader(Protocol):
    """The facts about a header that the difficulty of the next one follows from."""

    @property
    def height(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def max_time(self) -> int: ...
    @property
    def schedule(self) -> Schedule | None: ...


def check_pow(header: Header, params: Params) -> None:
    """The hash, read as a little-endian number, meets the header's own target.

    Raises Invalid: HIGH_HASH, also for bits that are no target of this network. Whether the
    bits are the right ones needs the parent: `connect_header`.
    """
    target = target_from_bits(header.bits)
    if not 0 < target <= target_from_bits(params.pow_limit_bits):
        raise Invalid(Reject.HIGH_HASH, f"bits {header.bits:08x} are no target here")
    if int.from_bytes(header.hash, "little") > target:
        raise Invalid(Reject.HIGH_HASH, "proof of work failed")


def next_bits(parent: ScheduledHeader, params: Params) -> int:
    """The compact bits that the block on top of `parent` must have."""
    asert, schedule = params.asert, parent.schedule
    if asert is None or parent.height + 1 < asert.anchor_height:
        return params.pow_limit_bits
    if schedule is None:  # the next block is the anchor
        return asert.first_bits
    elapsed_s = parent.time - schedule.idle_s - schedule.start_time
    return asert_bits(asert, parent.height - asert.anchor_height, elapsed_s, params.pow_limit_bits)


def next_schedule(parent: ScheduledHeader, time: int, params: Params) -> Schedule | None:
    """The schedule of a branch after one more header, whose time is `time`; None below the anchor."""
    asert, schedule = params.asert, parent.schedule
    if asert is None or parent.height + 1 < asert.anchor_height:
        return None
    if schedule is None:
        schedule = Schedule(parent.time, 0)
    # Between the latest times seen: a block dated back would otherwise make the same time idle twice.
    if asert.gap_cap_s is None or time - parent.max_time <= asert.gap_cap_s:
        return schedule
    return Schedule(schedule.start_time, schedule.idle_s + time - parent.max_time - asert.gap_cap_s)


def asert_bits(asert: Asert, blocks: int, elapsed_s: int, pow_limit_bits: int) -> int:
    """aserti3-2d: the target grows by e's power of how far the chain is behind schedule.

    `blocks` is how many the parent is above the anchor. Integers only, as in BCH's
    specification (2020-11-15 upgrade, full text and test vectors).
    """
    behind = (elapsed_s - asert.spacing_s * (blocks + 1)) * 65536
    exponent = abs(behind) // asert.half_life_s  # truncated toward zero as in C
    if behind < 0:
        exponent = -exponent
    shift, fraction = exponent >> 16, exponent & 0xFFFF
    cubic = 195766423245049 * fraction + 971821376 * fraction**2 + 5127 * fraction**3 + (1 << 47)
    target = target_from_bits(asert.first_bits) * (65536 + (cubic >> 48))
    limit = target_from_bits(pow_limit_bits)
    # A shift this far left is above any limit; refuse to build the number.
    if shift > 256:
        return bits_from_target(limit)
    shift -= 16
    target = target << shift if shift >= 0 else target >> -shift
    return bits_from_target(min(max(target, 1), limit))
