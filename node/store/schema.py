"""What lies where: the keys and values of the two databases.

All integers are big endian here, so that keys sort by them; hashes are in wire order.

`blocks/`: what cannot be derived. Content-addressed, nearly in the order of writing.

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `m`                              | schema version (4), network id (32)                      |
| `b` height (4) block hash (32)   | the block's bytes                                        |
| `h` height (4) block hash (32)   | its 80-byte header, so that a start need not read bodies |
| `u` height (4) block hash (32)   | checksum (8), then each coin its inputs spent: size (4), |
|                                  | coin; nothing else could tell whether these are right    |
| `x` block hash (32)              | why not to build on it: `invalid` or `operator`          |

`ledger/`: derived from the best chain's blocks; thrown away and made again when in doubt.

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `m`                              | schema version (4), network id (32), indexed (1)         |
| `t`                              | tip: block hash (32), height (4), digest (64)            |
| `c` outpoint (36)                | the coin, as chain/coins.py encodes it                   |

With the index also:

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `i` txid (32)                    | height, position, offset in the block, size (4 each)     |
| `s` outpoint (36)                | its spender: txid (32), input index (4), height (4)      |
| `a` script hash (32) height (4)  | what one block did to a script: sums (32), then for each |
|                                  | transaction that pays or spends it position (4), txid    |

The sums are four counters in one number: coins paid to the script (4 bytes), their satoshis
(12), coins spent (4), their satoshis (12). So adding two numbers adds all four, and a script's
statistics are the sum over its rows: a block's rows depend on nothing but the block and its
undo, and leaving the block is deleting them. Which coins a script has is no row of its own:
they are found among the coins of the transactions in its history. Both are a scan of that
history when somebody asks, which keeps a commit at five rows for a transaction of one input
and two outputs.
"""

import struct
from collections.abc import Iterable
from hashlib import blake2b

from chain.coins import Coin
from chain.hashes import BlockHash
from chain.tx import OutPoint
from node.ports import Tip

BLOCKS_SCHEMA = 1
"""Another number in the data directory is refused."""
LEDGER_SCHEMA = 1
"""Another number asks for `groatd reindex`."""

META = b"m"
BODY = b"b"
HEADER = b"h"
UNDO = b"u"
MARK = b"x"
TIP = b"t"
COIN = b"c"
LOCATION = b"i"
SPENDER = b"s"
HISTORY = b"a"

DIGEST_SIZE = 64
DIGEST_MODULUS = 1 << 8 * DIGEST_SIZE
_META = struct.Struct(">I32s")
_TIP = struct.Struct(f">32sI{DIGEST_SIZE}s")
_CHECKSUM_SIZE = 8

LOCATION_VALUE = struct.Struct(">IIII")
SPENDER_VALUE = struct.Struct(">32sII")

SUMS_SIZE = 32
HISTORY_ENTRY_SIZE = 36
FUNDED_SHIFT = 128
"""Where the sums' satoshis paid start; satoshis spent start at 0."""
COUNT_SHIFT = 96
"""How far above satoshis their count is."""
SATOSHIS_MASK = (1 << COUNT_SHIFT) - 1
COUNT_MASK = (1 << 32) - 1
SPENT_ONE = 1 << COUNT_SHIFT
FUNDED_ONE = SPENT_ONE << FUNDED_SHIFT


def block_key(prefix: bytes, height: int, block_hash: BlockHash) -> bytes:
    """The key of a body, header or undo."""
    return prefix + height.to_bytes(4, "big") + block_hash


def split_block_key(key: bytes) -> tuple[int, BlockHash]:
    """Height and hash of such a key."""
    return int.from_bytes(key[1:5], "big"), BlockHash(key[5:])


def encode_meta(schema: int, network_id: bytes, extra: bytes = b"") -> bytes:
    """What a database says of itself."""
    return _META.pack(schema, network_id) + extra


def decode_meta(record: bytes) -> tuple[int, bytes, bytes]:
    """Schema, network id and what follows."""
    padded = record.ljust(_META.size, b"\x00")  # what is too short is no schema of ours
    schema, network_id = _META.unpack(padded[: _META.size])
    return schema, network_id, record[_META.size :]


def encode_tip(tip: Tip) -> bytes:
    """The tip's record."""
    return _TIP.pack(tip.hash, tip.height, tip.digest.to_bytes(DIGEST_SIZE, "big"))


def decode_tip(record: bytes) -> Tip | None:
    """The tip, or None if the record is none."""
    if len(record) != _TIP.size:
        return None
    block_hash, height, digest = _TIP.unpack(record)
    return Tip(BlockHash(block_hash), height, int.from_bytes(digest, "big"))


def encode_undo(key: bytes, coins: Iterable[Coin]) -> bytes:
    """A block's spent coins under a checksum over them and their key."""
    parts = []
    for coin in coins:
        parts.append(len(coin).to_bytes(4, "big"))
        parts.append(coin)
    content = b"".join(parts)
    return _checksum(key, content) + content


def decode_undo(key: bytes, record: bytes) -> tuple[Coin, ...] | None:
    """The coins, or None if these are not the bytes that were written."""
    content = record[_CHECKSUM_SIZE:]
    if record[:_CHECKSUM_SIZE] != _checksum(key, content):
        return None
    coins = []
    start = 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "big")
        coins.append(Coin(content[start + 4 : end]))
        start = end
    return tuple(coins)


def _checksum(key: bytes, content: bytes) -> bytes:
    return blake2b(key + content, digest_size=_CHECKSUM_SIZE).digest()


def coins_digest(coins: Iterable[tuple[OutPoint, Coin]]) -> int:
    """The sum modulo 2^512 of blake2b-512(outpoint || coin): equal for equal sets, whatever the
    order, and carried on by adding what comes and subtracting what goes. It finds corruption;
    it commits to nothing against somebody who chooses the coins."""
    from_bytes, digest = int.from_bytes, blake2b
    return sum(from_bytes(digest(point + coin).digest(), "little") for point, coin in coins) % DIGEST_MODULUS
