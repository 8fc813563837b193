"""The address book as bytes, so that a restarted node trusts the same endpoints as before, and no others.

    version (1 byte), secret (32), anchors (count and endpoints), count (4 bytes), then for each
    entry: endpoint (19), flags (1), three Unix times of 8 bytes in whole seconds (heard, proved or 0,
    attempted or 0), failures (2), round-trip time in microseconds or 0 (4), source's group (length and
    bytes), buckets among the new (count, and 2 bytes each); sha256 over all before (32)

Little endian, lengths and counts as compact sizes. What is believed is only the format: places
are found anew, and whatever may not be dialled is left out by the book.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from chain.codec import Reader, malformed, varbytes
from chain.hashes import sha256
from node.interface.endpoint import Endpoint
from node.interface.wall_clock import WallClock
from node.p2p.addrman.addrman_buckets import BUCKET_SIZE, ENTRIES_MAX, NEW_BUCKETS, REFERENCES_MAX, AddrInfo, make_entry
from node.p2p.wire import fields

VERSION = 1
SECRET_SIZE = 32
"""Bytes of the key of all places."""
SUM_SIZE = 32
ANCHORS_MAX = 2
"""Endpoints to be dialled first."""
GROUP_MAX = 255
"""Bytes of a network group."""
FAILURES_TOLD_MAX = 0xFFFF
MICROSECONDS_MAX = 0xFFFF_FFFF
TIME_MAX = 1 << 40
"""Seconds; a later time is no time."""
TRIED = 1
"""Flag: stands in the tried table."""

_FIXED = struct.Struct("<B16s2sBQQQHI")
IPV4, IPV6 = 4, 6
IPV4_SIZE = 4
_anchors = fields.endpoints(ANCHORS_MAX)
_endpoint = fields.listener()


@dataclass(frozen=True, slots=True)
class Saved:
    """The content of a file."""

    secret: bytes
    """32 bytes."""
    anchors: tuple[Endpoint, ...]
    entries: Sequence[AddrInfo]


def encode(book: Saved, wall: WallClock) -> bytes:
    """The file's content."""
    head = bytes((VERSION,)) + book.secret + _anchors.write(book.anchors)
    entries = b"".join([_encode_entry(entry, wall) for entry in book.entries])
    body = head + len(book.entries).to_bytes(4, "little") + entries
    return body + sha256(body)


def decode(saved: bytes, allow_local: bool, wall: WallClock) -> Saved:
    """Decode what `encode` was given; of the places only the buckets. Raises Invalid(MALFORMED), also
    on trailing bytes and a wrong sum."""
    body, told = saved[:-SUM_SIZE], saved[-SUM_SIZE:]
    if sha256(body) != told:
        raise malformed("the address book's sum is wrong")
    reader = Reader(body)
    version = reader.uint(1)
    if version != VERSION:
        raise malformed(f"address book of version {version}")
    secret, anchors, count = reader.take(SECRET_SIZE), _anchors.read(reader), reader.uint(4)
    if count > ENTRIES_MAX:
        raise malformed(f"{count} endpoints are over the limit of {ENTRIES_MAX}")
    entries = [_decode_entry(reader, allow_local, wall) for _ in range(count)]
    reader.finish()
    return Saved(secret, anchors, entries)


def _encode_entry(entry: AddrInfo, wall: WallClock) -> bytes:
    """The bytes of an entry, fast: the core waits while a whole book is written."""
    host, port = entry.key[:-2], entry.key[-2:]
    buckets = [] if entry.tried else [place // BUCKET_SIZE for place in entry.places]
    fixed = _FIXED.pack(
        IPV4 if len(host) == IPV4_SIZE else IPV6,
        host.rjust(16, b"\0"),
        port,
        TRIED if entry.tried else 0,
        _unix(entry.heard, wall),
        _unix(entry.proved, wall),
        _unix(entry.attempted, wall),
        min(FAILURES_TOLD_MAX, entry.failures),
        0 if entry.round_trip_s is None else min(MICROSECONDS_MAX, max(1, round(entry.round_trip_s * 1e6))),
    )
    return b"".join((fixed, varbytes(entry.source), struct.pack(f"<B{len(buckets)}H", len(buckets), *buckets)))


def _unix(time: float | None, wall: WallClock) -> int:
    """Unix time of a monotonic one; 0 for never."""
    return 0 if time in (None, -math.inf) else min(TIME_MAX, max(0, round(wall.at(time))))


def _decode_entry(reader: Reader, allow_local: bool, wall: WallClock) -> AddrInfo:
    endpoint = _endpoint.read(reader)
    if endpoint is None or not endpoint.host:
        raise malformed("an endpoint without an address")
    flags, heard, proved, attempted = reader.uint(1), reader.uint(8), reader.uint(8), reader.uint(8)
    failures, round_trip = reader.uint(2), reader.uint(4)
    source = reader.varbytes(GROUP_MAX)
    buckets = [reader.uint(2) for _ in range(reader.varint(REFERENCES_MAX))]
    if flags not in (0, TRIED) or max(heard, proved, attempted) > TIME_MAX:
        raise malformed("a flag or time that cannot be")
    if any(bucket >= NEW_BUCKETS for bucket in buckets):
        raise malformed("a bucket that does not exist")
    entry = make_entry(endpoint, source, heard - wall.ahead_s, allow_local)
    entry.tried = bool(flags)
    entry.proved = proved - wall.ahead_s if proved else None
    entry.attempted = attempted - wall.ahead_s if attempted else -math.inf
    entry.failures, entry.round_trip_s = failures, round_trip / 1e6 or None
    entry.places = [bucket * BUCKET_SIZE for bucket in buckets]
    return entry
