"""Targets and the compact bits that headers carry them in."""


def target_from_bits(bits: int) -> int:
    """The target that compact bits stand for; 0 when they are negative, too large or nothing."""
    size, word = bits >> 24, bits & 0x7FFFFF
    target = word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)
    if bits & 0x800000 or target >= 1 << 256:
        return 0
    return target


def bits_from_target(target: int) -> int:
    """Compact bits of a target, low digits cut off."""
    size = (target.bit_length() + 7) // 8
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & 0x800000:  # the top bit is a sign
        word >>= 8
        size += 1
    return size << 24 | word


def work_from_bits(bits: int) -> int:
    """Expected hashes to meet the target: 2^256 / (target + 1)."""
    return (1 << 256) // (target_from_bits(bits) + 1)
