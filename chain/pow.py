"""Proof of work: does a header show it, and how much must the next one show."""

from chain.block import Header
from chain.errors import Invalid, Reject
from chain.params import Asert, Params
from chain.target import bits_from_target, target_from_bits


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


def next_bits(height: int, elapsed_s: int, params: Params) -> int:
    """The bits that the block on top of one at `height` must have.

    `elapsed_s` is the parent's time less the anchor's parent's, idle time left out; it counts
    only from the anchor on.
    """
    asert = params.asert
    if asert is None or height + 1 < asert.anchor_height:
        return params.pow_limit_bits
    if height + 1 == asert.anchor_height:
        return asert.first_bits
    return asert_bits(asert, height - asert.anchor_height, elapsed_s, params.pow_limit_bits)


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
