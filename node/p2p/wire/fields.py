"""The formats that peers' messages are made of: each knows its bytes, and how many there can be."""

import ipaddress
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any, NamedTuple

from chain.block import HEADER_SIZE, Header, decode_header
from chain.codec import Reader, malformed, varbytes, varint
from chain.tx import Tx, decode_tx
from node.interface.endpoint import Endpoint, PeerId
from node.interface.messages import Neighbour

COUNT_SIZE = 5
"""Bytes of the largest count or length in a message."""
ENDPOINT_SIZE = 1 + 16 + 2
ID_SIZE = 20
"""Bytes of a node's id."""


class Field(NamedTuple):
    """The format of a field."""

    layout: str
    """The format in words, for the documentation."""
    most: int
    """Bytes that it takes at most."""
    write: Callable[[Any], bytes]
    read: Callable[[Reader], Any]
    """The inverse of `write`. Raises Invalid(MALFORMED)."""


def integer(size: int) -> Field:
    """An unsigned integer, little endian."""
    return Field(f"uint{8 * size}", size, lambda n: n.to_bytes(size, "little"), lambda reader: reader.uint(size))


def fixed(size: int) -> Field:
    """Exactly `size` bytes."""
    return Field(f"{size} bytes", size, bytes, lambda reader: reader.take(size))


def text(most: int) -> Field:
    """Printable ASCII with its length in front."""

    def read(reader: Reader) -> str:
        raw = reader.varbytes(most)
        if not all(0x20 <= byte < 0x7F for byte in raw):
            raise malformed("text is not printable ASCII")
        return raw.decode("ascii")

    return Field(f"length, up to {most} characters", COUNT_SIZE + most, lambda s: varbytes(s.encode("ascii")), read)


def choice(codes: Collection[int], make: Callable[[int], object]) -> Field:
    """A number out of a few."""

    def read(reader: Reader) -> object:
        code = reader.uint(1)
        if code not in codes:
            raise malformed("unknown code")
        return make(code)

    return Field("uint8", 1, lambda code: int(code).to_bytes(1, "little"), read)


def public_key() -> Field:
    """A compressed public key."""

    def read(reader: Reader) -> bytes:
        key = reader.take(33)
        if key[0] not in (2, 3):
            raise malformed("not a compressed public key")
        return key

    return Field("33 bytes", 33, bytes, read)


def blobs(most: int, bytes_most: int) -> Field:
    """Runs of bytes, one at least, each with its length, limited in number and in bytes together."""

    def read(reader: Reader) -> tuple[bytes, ...]:
        count, left, found = reader.varint(most), bytes_most, []
        if not count:
            raise malformed("an empty list")
        for _ in range(count):
            found.append(reader.varbytes(left))
            left -= len(found[-1])
        return tuple(found)

    return Field(
        f"count, 1 to {most} times length and bytes, up to {bytes_most} bytes of these",
        COUNT_SIZE + COUNT_SIZE * most + bytes_most,
        lambda given: varint(len(given)) + b"".join(map(varbytes, given)),
        read,
    )


def ids(most: int, least: int = 0, size: int = 32) -> Field:
    """Hashes of `size` bytes, none twice."""

    def read(reader: Reader) -> tuple[bytes, ...]:
        hashes = tuple(reader.take(size) for _ in range(reader.varint(most)))
        if len(set(hashes)) != len(hashes):
            raise malformed("an id twice in one list")
        if len(hashes) < least:
            raise malformed("an empty list")
        return hashes

    return Field(
        f"count, {least} to {most} times {size} bytes" if least else f"count, up to {most} times {size} bytes",
        COUNT_SIZE + size * most,
        lambda hashes: varint(len(hashes)) + b"".join(hashes),
        read,
    )


def headers(most: int) -> Field:
    """Block headers, each the next one's parent."""

    def read(reader: Reader) -> tuple[Header, ...]:
        raw = reader.take(HEADER_SIZE * reader.varint(most))
        found = tuple(decode_header(raw[i : i + HEADER_SIZE]) for i in range(0, len(raw), HEADER_SIZE))
        if any(later.prev_hash != header.hash for header, later in pairwise(found)):
            raise malformed("headers do not follow one another")
        return found

    return Field(
        f"count, up to {most} times 80 bytes",
        COUNT_SIZE + HEADER_SIZE * most,
        lambda given: varint(len(given)) + b"".join(header.raw for header in given),
        read,
    )


def transactions(most: int, bytes_most: int) -> Field:
    """Transactions, each with its length, limited in number and in bytes together."""

    def read(reader: Reader) -> tuple[Tx, ...]:
        raws, left = [], bytes_most
        for _ in range(reader.varint(most)):
            raws.append(reader.varbytes(left))
            left -= len(raws[-1])
        return tuple(map(decode_tx, raws))

    return Field(
        f"count, up to {most} times length and transaction, up to {bytes_most} bytes of these",
        COUNT_SIZE + COUNT_SIZE * most + bytes_most,
        lambda txs: varint(len(txs)) + b"".join(varbytes(tx.raw) for tx in txs),
        read,
    )


def listener() -> Field:
    """The field of a node's own listener. Family 0: nowhere; 1: at the address it is seen from; 4 and 6."""
    return Field("endpoint: family (1 byte), address (16), port (2)", ENDPOINT_SIZE, _write_endpoint, _read_endpoint)


def endpoints(most: int) -> Field:
    """IP addresses and ports."""

    def read(reader: Reader) -> tuple[Endpoint, ...]:
        found = tuple(_read_endpoint(reader) for _ in range(reader.varint(most)))
        if not all(endpoint and endpoint.host for endpoint in found):
            raise malformed("an endpoint without an address")
        return tuple(filter(None, found))

    return Field(
        f"count, up to {most} times {ENDPOINT_SIZE} bytes",
        COUNT_SIZE + ENDPOINT_SIZE * most,
        lambda given: varint(len(given)) + b"".join(map(_write_endpoint, given)),
        read,
    )


def neighbours(most: int) -> Field:
    """Nodes with their ids and endpoints, no id twice."""

    def read(reader: Reader) -> tuple[Neighbour, ...]:
        found = []
        for _ in range(reader.varint(most)):
            node, endpoint = PeerId(reader.take(ID_SIZE)), _read_endpoint(reader)
            if endpoint is None or not endpoint.host:
                raise malformed("an endpoint without an address")
            found.append(Neighbour(node, endpoint))
        if len({neighbour.id for neighbour in found}) != len(found):
            raise malformed("an id twice in one list")
        return tuple(found)

    return Field(
        f"count, up to {most} times id ({ID_SIZE} bytes) and endpoint ({ENDPOINT_SIZE})",
        COUNT_SIZE + (ID_SIZE + ENDPOINT_SIZE) * most,
        lambda given: varint(len(given)) + b"".join(node + _write_endpoint(endpoint) for node, endpoint in given),
        read,
    )


def _write_endpoint(endpoint: Endpoint | None) -> bytes:
    if endpoint is None:
        return bytes(ENDPOINT_SIZE)
    port = endpoint.port.to_bytes(2, "little")
    if not endpoint.host:
        return b"\x01" + bytes(16) + port
    address = ipaddress.ip_address(endpoint.host)
    return bytes((address.version,)) + address.packed.rjust(16, b"\x00") + port


def _read_endpoint(reader: Reader) -> Endpoint | None:
    family, packed, port = reader.uint(1), reader.take(16), reader.uint(2)
    if family == 0 and not port and not any(packed):
        return None
    if not port:
        raise malformed("no port")
    if family == 1 and not any(packed):
        return Endpoint("", port)
    if family == 4 and not any(packed[:12]):
        return Endpoint(str(ipaddress.IPv4Address(packed[12:])), port)
    if family == 6 and (address := ipaddress.IPv6Address(packed)).ipv4_mapped is None:
        return Endpoint(str(address), port)
    raise malformed("not an address in its one form")
