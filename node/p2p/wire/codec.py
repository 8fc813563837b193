"""The peer protocol's encoding: the bytes of each message, and the routes.

A body is a version byte, a kind byte and the message's fields, integers little endian, counts and
lengths as compact sizes; nothing may follow. `POST /p2p/<name>` carries the request of the route
of that name and brings one of the route's replies, or a Refusal. `GET /p2p/block/<hash>` brings
one block, bare, so that caches can hold it.

Decoding knows no chain and no clock: `Invalid(MALFORMED)` is all it can say.
"""

from dataclasses import fields as fields_of
from typing import NamedTuple, cast

from chain.codec import Reader, malformed
from node.interface.messages import (
    ADDRESSES_MAX,
    AGENT_MAX,
    ANNOUNCED_MAX,
    BLOCK_BYTES_MAX,
    BLOCK_TXS_MAX,
    BLOCKS_MAX,
    COINBASE_BYTES_MAX,
    HEADERS_MAX,
    INV_MAX,
    LOCATOR_MAX,
    NAME_SIZE,
    NEIGHBOURS_MAX,
    PROOF_SIZE,
    PUSHED_MAX,
    SALT_SIZE,
    TOKEN_SIZE,
    TXS_BYTES_MAX,
    WANT_MAX,
    Addresses,
    Announce,
    AnnounceAddress,
    Blocks,
    BlockTxs,
    Bye,
    CompactBlock,
    Confirm,
    Facts,
    FindNode,
    GetAddresses,
    GetBlocks,
    GetBlockTxs,
    GetCompact,
    GetHeaders,
    GetTxs,
    Headers,
    Hello,
    Inv,
    Message,
    News,
    Nodes,
    Ok,
    Poll,
    Prefer,
    Reason,
    Refusal,
    Reply,
    Request,
    Txs,
    Want,
    Welcome,
)
from node.p2p.wire import compact_fields, fields
from node.p2p.wire.fields import Field

WIRE_VERSION = 1
"""The first byte of every body: how to read the rest."""
SESSION_HEADER = "Groat-Session"
"""HTTP header with the session token in hex."""


class Layout(NamedTuple):
    """The encoding of a message."""

    kind: int
    """The message's second byte."""
    fields: tuple[Field, ...]
    """Fields in the order of the dataclass's."""

    @property
    def most(self) -> int:
        """Bytes of the longest body."""
        return 2 + sum(field.most for field in self.fields)


def _facts() -> Field:
    parts = (
        fields.integer(2),
        fields.public_key(),
        fields.fixed(32),
        fields.fixed(8),
        fields.listener(),
        fields.integer(4),
        fields.text(AGENT_MAX),
        fields.integer(4),
        fields.integer(32),
        fields.fixed(32),
        fields.integer(8),
    )
    return Field(
        "; ".join(part.layout for part in parts),
        sum(part.most for part in parts),
        lambda facts: _write(facts, parts),
        lambda reader: Facts(*(part.read(reader) for part in parts)),
    )


_hash, _challenge, _token, _proof = (fields.fixed(size) for size in (32, 32, TOKEN_SIZE, PROOF_SIZE))
_txs = fields.transactions(WANT_MAX, TXS_BYTES_MAX)
LAYOUTS: dict[type[Message], Layout] = {
    Hello: Layout(1, (_facts(), _challenge)),
    Welcome: Layout(2, (_facts(), _challenge, _token, _proof)),
    Confirm: Layout(3, (_token, _proof)),
    Refusal: Layout(4, (fields.choice(set(Reason), Reason),)),
    Ok: Layout(5, ()),
    GetHeaders: Layout(6, (fields.ids(LOCATOR_MAX), _hash)),
    Headers: Layout(7, (fields.headers(HEADERS_MAX),)),
    GetBlocks: Layout(8, (fields.ids(BLOCKS_MAX, 1),)),
    Blocks: Layout(9, (fields.blobs(BLOCKS_MAX, BLOCK_BYTES_MAX),)),
    Announce: Layout(11, (fields.headers(ANNOUNCED_MAX),)),
    Inv: Layout(12, (fields.ids(INV_MAX, size=NAME_SIZE),)),
    Want: Layout(13, (fields.ids(WANT_MAX, size=NAME_SIZE),)),
    Txs: Layout(14, (_txs,)),
    GetTxs: Layout(15, (fields.ids(WANT_MAX, size=NAME_SIZE), fields.ids(WANT_MAX))),
    GetAddresses: Layout(16, ()),
    Addresses: Layout(17, (fields.endpoints(ADDRESSES_MAX),)),
    Poll: Layout(18, (fields.integer(4), fields.integer(4))),
    News: Layout(19, (fields.headers(ANNOUNCED_MAX), fields.ids(INV_MAX), fields.ids(BLOCKS_MAX))),
    CompactBlock: Layout(
        20,
        (
            compact_fields.header(),
            fields.fixed(SALT_SIZE),
            compact_fields.transaction(COINBASE_BYTES_MAX),
            compact_fields.short_ids(BLOCK_TXS_MAX),
        ),
    ),
    GetCompact: Layout(21, (_hash,)),
    GetBlockTxs: Layout(22, (_hash, compact_fields.positions(BLOCK_TXS_MAX))),
    BlockTxs: Layout(23, (fields.transactions(BLOCK_TXS_MAX, BLOCK_BYTES_MAX),)),
    Prefer: Layout(24, (fields.choice((0, 1), bool),)),
    FindNode: Layout(25, (fields.fixed(20),)),
    Nodes: Layout(26, (fields.neighbours(NEIGHBOURS_MAX),)),
    AnnounceAddress: Layout(27, (fields.endpoints(PUSHED_MAX),)),
    Bye: Layout(28, ()),
}


class MessageRoute(NamedTuple):
    """One kind of request and what may answer it."""

    request: type[Request]
    replies: tuple[type[Reply], ...]
    """Besides Refusal, which may answer all."""
    session: bool = True
    """True if the request must name a session; one that need not may, and then counts as that peer's."""

    @property
    def request_max(self) -> int:
        """Bytes of a request's body; more is not read."""
        return LAYOUTS[self.request].most

    @property
    def reply_max(self) -> int:
        """Bytes of a reply's body; more is not read."""
        return max(LAYOUTS[reply].most for reply in (*self.replies, Refusal))


ROUTES: dict[str, MessageRoute] = {
    "hello": MessageRoute(Hello, (Welcome,), session=False),
    "confirm": MessageRoute(Confirm, (Ok,), session=False),
    "headers": MessageRoute(GetHeaders, (Headers,)),
    "blocks": MessageRoute(GetBlocks, (Blocks,), session=False),
    "announce": MessageRoute(Announce, (Ok,)),
    "inv": MessageRoute(Inv, (Want,)),
    "txs": MessageRoute(Txs, (Want,)),
    "gettxs": MessageRoute(GetTxs, (Txs,)),
    "addresses": MessageRoute(GetAddresses, (Addresses,)),
    "poll": MessageRoute(Poll, (News,)),
    "push": MessageRoute(Blocks, (Ok,)),
    "compact": MessageRoute(CompactBlock, (Ok,)),
    "getcompact": MessageRoute(GetCompact, (CompactBlock, Ok)),
    "blocktxs": MessageRoute(GetBlockTxs, (BlockTxs, Ok)),
    "prefer": MessageRoute(Prefer, (Ok,)),
    "findnode": MessageRoute(FindNode, (Nodes,)),
    "newaddress": MessageRoute(AnnounceAddress, (Ok,)),
    "bye": MessageRoute(Bye, (Ok,)),
}
"""Routes by the name in `POST /p2p/<name>`."""

_NAMES = {route.request: name for name, route in ROUTES.items()}


def route_name(request: Request) -> str:
    """The route that a request belongs to."""
    return _NAMES[type(request)]


def encode(message: Message) -> bytes:
    """The body that carries `message`."""
    layout = LAYOUTS[type(message)]
    return bytes((WIRE_VERSION, layout.kind)) + _write(message, layout.fields)


def decode_request(name: str, body: bytes) -> Request:
    """The request in a body sent to route `name`. Raises Invalid(MALFORMED), KeyError without such a route."""
    return cast(Request, _decode((ROUTES[name].request,), body))


def decode_reply(name: str, body: bytes) -> Reply:
    """The reply that route `name` gave. Raises Invalid(MALFORMED), KeyError without such a route."""
    return cast(Reply, _decode((*ROUTES[name].replies, Refusal), body))


def _write(message: Message, layout: tuple[Field, ...]) -> bytes:
    given = (getattr(message, field.name) for field in fields_of(message))
    return b"".join(field.write(part) for field, part in zip(layout, given, strict=True))


def _decode(allowed: tuple[type[Message], ...], body: bytes) -> Message:
    """The one message, of a kind in `allowed`, that the body is."""
    reader = Reader(body)
    if reader.uint(1) != WIRE_VERSION:
        raise malformed("unknown wire version")
    kind = reader.uint(1)
    for message in allowed:
        layout = LAYOUTS[message]
        if layout.kind != kind:
            continue
        if len(body) > layout.most:
            raise malformed(f"body is over the limit of {layout.most} bytes")
        decoded = message(*(field.read(reader) for field in layout.fields))
        reader.finish()
        return decoded
    raise malformed("another kind of message than belongs here")
