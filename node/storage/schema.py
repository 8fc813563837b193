"""The layout of the two databases: every key and value of `blocks/` and `ledger/`.

All integers are big endian here, so that keys sort by them; hashes are in wire order.

`blocks/`: what cannot be derived. Content-addressed, nearly in the order of writing.

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `m`                              | schema version (4), network id (32)                      |
| `b` height (4) block hash (32)   | the block's bytes, in parts                              |
| `h` height (4) block hash (32)   | its 80-byte header, so that a start need not read bodies;|
|                                  | then `01` once it has undo, written with that            |
| `u` height (4) block hash (32)   | the coins its inputs spent, in parts, each one under a   |
|                                  | checksum (8): nothing else could tell whether these are  |
|                                  | right. A coin is its size (4) and its bytes              |
| `x` block hash (32)              | why not to build on it: `invalid` or `operator`          |
| `w`                              | blocks that a repair could not keep: how many, height of |
|                                  | the lowest and the highest (4 each); goes when the best  |
|                                  | chain is as high again                                   |

Of a value in parts (see chunks.py) further rows follow the first, their number (2) in the key.

A body comes in one batch with its header, undo with the mark behind the header. LevelDB writes a batch
wholly or not at all, but it takes a damaged length at the end of a log for an unfinished write, and then
drops batches without a word: so each thing that a start relies on stands for all of its batch. `k` and
`j` do the same for the ledger's commits.

`ledger/`: derived from the best chain's blocks; thrown away and made again when in doubt.

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `m`                              | schema version (4), network id (32), indexed (1)         |
| `t`                              | tip: block hash (32), height (4), digest (64)            |
| `v`                              | the same as `t`, and only until the next commit: the     |
|                                  | coins matched the digest at a start, and whatever changed|
|                                  | since was committed without an error                     |
| `c` outpoint (36)                | the coin, as chain/coins.py encodes it                   |
| `k` height (4)                   | the hash of the best chain's block there                 |
| `j` number (8)                   | nothing: the commit of this number was written. A number |
|                                  | that is missing among the others is a commit that is lost|
| `d` height (4) block hash (32)   | nothing: the block was in a best chain and is not in this|
|                                  | one, so that a start sees whether it is lost             |

With the index also:

| key                              | value                                                    |
|----------------------------------|----------------------------------------------------------|
| `i` txid (32)                    | height, position, offset and size in the block, offset   |
|                                  | and size of the coins it spent in the undo (4 each)      |
| `s` outpoint (36)                | its spender: txid (32), input index (4), height (4)      |
| `a` script hash (32) height (4)  | what one block did to a script: sums (36), then position |
|                                  | (4) and outpoint (36) of each output that pays it, or, of|
|                                  | transactions that only spend it, txid and `ff ff ff ff`  |
| `a` script hash, height, `+`     | now and then, what all blocks up to this one did to it:  |
|                                  | sums (36); then height (4) and number of transactions (4)|
|                                  | at its latest list                                       |
| `n` height, script hash          | nothing: the summary's key by its height, so that it is  |
|                                  | found when the block leaves the best chain               |
| `l` script hash, height          | that list: outpoints (36) among which are all coins that |
|                                  | the script had after this block, the newest first        |

The sums are five counters in one number: transactions (4 bytes), coins paid to the script (4),
their satoshis (12), coins spent (4), their satoshis (12). So adding two numbers adds all five.

Five rows then stand for a transaction of one input and two outputs, and leaving a block is
deleting its rows. That which would have to be changed with each transaction is not kept: a
script's statistics are the sum over its rows, and its coins are found among those that the rows
name. What bounds that search are the last three kinds of rows, which script_summaries.py writes for one
in so many transactions of a script.
"""

import struct
from collections.abc import Iterable
from hashlib import blake2b

from chain.coins import Coin
from chain.hashes import BlockHash
from chain.tx import OutPoint
from node.interface.storage import ScriptStats, StoredTip

BLOCKS_SCHEMA = 3
"""Schema of `blocks/` that is written. 1, which had no parts, and 2, where no header told of undo, are read as well; a
higher one is refused."""
LEDGER_SCHEMA = 4
"""A lower number in the data directory has `ledger/` built anew; a higher one is refused."""

META = b"m"
BODY = b"b"
HEADER = b"h"
UNDO = b"u"
CONNECTED = b"\x01"
"""Behind a header: the block has undo."""
MARK = b"x"
LOST = b"w"
TIP = b"t"
VOUCHED = b"v"
COIN = b"c"
CHAIN = b"k"
COMMIT = b"j"
LEFT = b"d"
LOCATION = b"i"
SPENDER = b"s"
HISTORY = b"a"
COINS_LIST = b"l"
SUMMARIZED = b"n"

BLOCK_KEY_SIZE = 37
"""Bytes of the key of a body's, header's or undo's first row."""
DIGEST_SIZE = 64
DIGEST_MODULUS = 1 << 8 * DIGEST_SIZE
_META = struct.Struct(">I32s")
LOST_VALUE = struct.Struct(">III")
_TIP = struct.Struct(f">32sI{DIGEST_SIZE}s")
_CHECKSUM_SIZE = 8
COIN_HEAD_SIZE = 4
"""Bytes of a coin's size before the coin in the undo."""

LOCATION_VALUE = struct.Struct(">IIIIII")
SPENDER_VALUE = struct.Struct(">32sII")

HISTORY_KEY_SIZE = 37
"""Bytes of the key of a script's row for a block; a summary's is longer."""
HISTORY_ENTRY_SIZE = 40
NO_OUTPUT = b"\xff\xff\xff\xff"
"""Stands in an entry for an output's index: no transaction is large enough to have it."""
SUMMARY_SUFFIX = b"+"
SUMS_SIZE = 36
SUMMARY_VALUE = struct.Struct(f">{SUMS_SIZE}sII")
OUTPOINT_SIZE = 36
COUNT_BITS = 32
SATOSHIS_BITS = 96
SPENT_ONE = 1 << SATOSHIS_BITS
FUNDED_SHIFT = SATOSHIS_BITS + COUNT_BITS
"""Bit at which the satoshis paid start in the sums; satoshis spent start at 0."""
FUNDED_ONE = SPENT_ONE << FUNDED_SHIFT
TX_ONE = 1 << 2 * FUNDED_SHIFT
_COUNT_MASK = (1 << COUNT_BITS) - 1
_SATOSHIS_MASK = (1 << SATOSHIS_BITS) - 1


def decode_sums(sums: int) -> ScriptStats:
    """The five counters."""
    return ScriptStats(
        sums >> 2 * FUNDED_SHIFT,
        sums >> FUNDED_SHIFT + SATOSHIS_BITS & _COUNT_MASK,
        sums >> FUNDED_SHIFT & _SATOSHIS_MASK,
        sums >> SATOSHIS_BITS & _COUNT_MASK,
        sums & _SATOSHIS_MASK,
    )


def block_key(prefix: bytes, height: int, block_hash: BlockHash) -> bytes:
    """The key of a body, header or undo."""
    return prefix + height.to_bytes(4, "big") + block_hash


def chain_key(height: int) -> bytes:
    """The key of the best chain's block at a height."""
    return CHAIN + height.to_bytes(4, "big")


def commit_key(number: int) -> bytes:
    """The key that says that this commit was written."""
    return COMMIT + number.to_bytes(8, "big")


def split_block_key(key: bytes) -> tuple[int, BlockHash]:
    """Height and hash of such a key, or of that of one of its parts."""
    return int.from_bytes(key[1:5], "big"), BlockHash(key[5:BLOCK_KEY_SIZE])


def encode_meta(schema: int, network_id: bytes, extra: bytes = b"") -> bytes:
    """Encode a database's record of itself."""
    return _META.pack(schema, network_id) + extra


def decode_meta(record: bytes) -> tuple[int, bytes, bytes]:
    """Schema, network id and what follows."""
    padded = record.ljust(_META.size, b"\x00")  # what is too short is no schema of ours
    schema, network_id = _META.unpack(padded[: _META.size])
    return schema, network_id, record[_META.size :]


def encode_tip(tip: StoredTip) -> bytes:
    """The tip's record."""
    return _TIP.pack(tip.hash, tip.height, tip.digest.to_bytes(DIGEST_SIZE, "big"))


def decode_tip(record: bytes) -> StoredTip | None:
    """The tip, or None if the record is none."""
    if len(record) != _TIP.size:
        return None
    block_hash, height, digest = _TIP.unpack(record)
    return StoredTip(BlockHash(block_hash), height, int.from_bytes(digest, "big"))


def encode_coins(coins: Iterable[Coin]) -> bytes:
    """A block's spent coins, each after its size."""
    return b"".join([part for coin in coins for part in (len(coin).to_bytes(COIN_HEAD_SIZE, "big"), coin)])


def decode_coins(content: bytes) -> tuple[Coin, ...] | None:
    """The coins again, or None if the last one is cut off."""
    coins = []
    start = 0
    while start < len(content):
        begin = start + COIN_HEAD_SIZE
        start = begin + int.from_bytes(content[start:begin], "big")
        coins.append(Coin(content[begin:start]))
    return tuple(coins) if start == len(content) else None


def seal(key: bytes, content: bytes) -> bytes:
    """The content under a checksum over it and its key."""
    return _checksum(key, content) + content


def unseal(key: bytes, record: bytes) -> bytes | None:
    """The content, or None if these are not the bytes that were sealed."""
    content = record[_CHECKSUM_SIZE:]
    return content if record[:_CHECKSUM_SIZE] == _checksum(key, content) else None


def sealed_size(record: bytes) -> int:
    """Bytes of the content."""
    return len(record) - _CHECKSUM_SIZE


def _checksum(key: bytes, content: bytes) -> bytes:
    return blake2b(key + content, digest_size=_CHECKSUM_SIZE).digest()


def coins_digest(coins: Iterable[tuple[OutPoint, Coin]]) -> int:
    """The sum modulo 2^512 of blake2b-512(outpoint || coin): equal for equal sets, whatever the
    order, and carried on by adding what comes and subtracting what goes. It finds corruption;
    it commits to nothing against somebody who chooses the coins."""
    from_bytes, digest = int.from_bytes, blake2b
    return sum(from_bytes(digest(point + coin).digest(), "little") for point, coin in coins) % DIGEST_MODULUS
