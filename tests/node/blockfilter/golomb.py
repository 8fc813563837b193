"""BIP158 from the reader's side, bit by bit: what a client does with a filter. Written after the text of the
BIP, and apart from the node's code."""

from collections.abc import Iterator

from chain.codec import read_varint

M = 784_931
P = 19
_U64 = (1 << 64) - 1


def siphash(key: bytes, message: bytes) -> int:
    """SipHash-2-4, as its authors' reference goes."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(number: int, bits: int) -> int:
        return (number << bits | number >> 64 - bits) & _U64

    def sip_round() -> None:
        v[0] = v[0] + v[1] & _U64
        v[1] = rotate(v[1], 13) ^ v[0]
        v[0] = rotate(v[0], 32)
        v[2] = v[2] + v[3] & _U64
        v[3] = rotate(v[3], 16) ^ v[2]
        v[0] = v[0] + v[3] & _U64
        v[3] = rotate(v[3], 21) ^ v[0]
        v[2] = v[2] + v[1] & _U64
        v[1] = rotate(v[1], 17) ^ v[2]
        v[2] = rotate(v[2], 32)

    words = [message[start : start + 8] for start in range(0, len(message) // 8 * 8, 8)]
    rest = message[len(message) // 8 * 8 :]
    words.append(rest.ljust(7, b"\x00") + bytes((len(message) % 256,)))
    for word in words:
        number = int.from_bytes(word, "little")
        v[3] ^= number
        sip_round()
        sip_round()
        v[0] ^= number
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def decoded(encoded: bytes) -> Iterator[int]:
    """The numbers of the set, ascending."""
    count, start = read_varint(encoded, 0)
    bits = iter("".join(f"{byte:08b}" for byte in encoded[start:]))
    last = 0
    for _ in range(count):
        quotient = 0
        while next(bits) == "1":
            quotient += 1
        remainder = int("".join(next(bits) for _ in range(P)), 2)
        last += (quotient << P) + remainder
        yield last


def matches(encoded: bytes, block_hash: bytes, script: bytes) -> bool:
    """Whether the filter of the block (hash in wire order) says that it touches the script."""
    count, _ = read_varint(encoded, 0)
    return (siphash(block_hash[:16], script) * count * M) >> 64 in set(decoded(encoded))
