"""Messages: both ways without loss, one form only, every cap enforced, nothing else accepted."""

from collections.abc import Callable
from dataclasses import fields as fields_of
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import Header, make_header
from chain.codec import varbytes, varint
from chain.errors import Invalid, Reject
from chain.hashes import BlockHash, Txid
from chain.tx import Tx, TxIn, TxOut, make_tx, outpoint
from node.interface.endpoint import Endpoint, PeerId
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
    NEIGHBOURS_MAX,
    PUSHED_MAX,
    SALT_SIZE,
    SHORT_ID_SIZE,
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
    Neighbour,
    News,
    Nodes,
    Ok,
    Poll,
    Prefer,
    Reason,
    Refusal,
    Txs,
    Want,
    Welcome,
)
from node.p2p.wire.codec import (
    LAYOUTS,
    ROUTES,
    WIRE_VERSION,
    decode_reply,
    decode_request,
    encode,
    route_name,
)
from tests.node.p2p.wire.replies import may_answer

HASH = st.binary(min_size=32, max_size=32)
ENDPOINT = st.builds(Endpoint, st.ip_addresses().map(str), st.integers(1, 0xFFFF)).filter(
    lambda endpoint: not endpoint.host.startswith("::ffff:")
)
LISTEN = st.none() | ENDPOINT | st.builds(Endpoint, st.just(""), st.integers(1, 0xFFFF))


def chain_of(count: int, seed: int = 0) -> tuple[Header, ...]:
    """Headers that follow one another."""
    headers: list[Header] = []
    for number in range(count):
        prev = headers[-1].hash if headers else BlockHash(bytes(32))
        headers.append(make_header(4, prev, bytes(32), 1000 + number, 0x207FFFFF, seed))
    return tuple(headers)


def a_tx(script: bytes = b"\x51", number: int = 0) -> Tx:
    return make_tx(2, (TxIn(outpoint(Txid(bytes(32)), number), b"", 0, (b"w",)),), (TxOut(1, script),), 0)


FACTS = st.builds(
    Facts,
    st.integers(0, 0xFFFF),
    st.builds(lambda parity, x: bytes((parity,)) + x, st.sampled_from((2, 3)), HASH),
    HASH,
    st.binary(min_size=8, max_size=8),
    LISTEN,
    st.integers(0, 2**32 - 1),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=AGENT_MAX),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**256 - 1),
    HASH,
)
TOKEN, PROOF = st.binary(min_size=16, max_size=16), st.binary(min_size=64, max_size=64)
NODE_ID = st.binary(min_size=20, max_size=20).map(PeerId)
NEIGHBOURS = st.lists(
    st.builds(Neighbour, NODE_ID, ENDPOINT), max_size=NEIGHBOURS_MAX, unique_by=lambda neighbour: neighbour.id
).map(tuple)
HEADERS = st.builds(chain_of, st.integers(0, 8), st.integers(0, 99))
TXS = st.lists(st.builds(a_tx, st.binary(max_size=50), st.integers(0, 9)), max_size=5).map(tuple)


def id_lists(most: int, least: int = 0) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.lists(HASH, min_size=least, max_size=min(most, 20), unique=True).map(tuple)


def name_lists(most: int) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.lists(st.binary(min_size=8, max_size=8), max_size=min(most, 20), unique=True).map(tuple)


MESSAGES: dict[type[Message], st.SearchStrategy[Message]] = {
    Hello: st.builds(Hello, FACTS, HASH),
    Welcome: st.builds(Welcome, FACTS, HASH, TOKEN, PROOF),
    Confirm: st.builds(Confirm, TOKEN, PROOF),
    Refusal: st.builds(Refusal, st.sampled_from(Reason)),
    Ok: st.just(Ok()),
    GetHeaders: st.builds(GetHeaders, id_lists(LOCATOR_MAX), HASH),
    Headers: st.builds(Headers, HEADERS),
    GetBlocks: st.builds(GetBlocks, id_lists(BLOCKS_MAX, 1)),
    Blocks: st.builds(Blocks, st.lists(st.binary(max_size=60), min_size=1, max_size=BLOCKS_MAX).map(tuple)),
    Announce: st.builds(Announce, HEADERS),
    Inv: st.builds(Inv, name_lists(INV_MAX)),
    Want: st.builds(Want, name_lists(WANT_MAX)),
    Txs: st.builds(Txs, TXS),
    GetTxs: st.builds(GetTxs, name_lists(WANT_MAX), id_lists(WANT_MAX)),
    GetAddresses: st.just(GetAddresses()),
    Addresses: st.builds(Addresses, st.lists(ENDPOINT, max_size=20).map(tuple)),
    Poll: st.builds(Poll, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    News: st.builds(News, HEADERS, id_lists(INV_MAX), id_lists(BLOCKS_MAX)),
    FindNode: st.builds(FindNode, NODE_ID),
    Nodes: st.builds(Nodes, NEIGHBOURS),
    AnnounceAddress: st.builds(AnnounceAddress, st.lists(ENDPOINT, max_size=PUSHED_MAX).map(tuple)),
    Bye: st.just(Bye()),
    CompactBlock: st.builds(
        lambda headers, *parts: CompactBlock(headers[0], *parts),
        st.builds(chain_of, st.just(1), st.integers(0, 99)),
        st.binary(min_size=SALT_SIZE, max_size=SALT_SIZE),
        st.builds(a_tx, st.binary(max_size=50), st.integers(0, 9)),
        st.lists(st.binary(min_size=SHORT_ID_SIZE, max_size=SHORT_ID_SIZE), max_size=20).map(tuple),
    ),
    GetCompact: st.builds(GetCompact, HASH),
    GetBlockTxs: st.builds(
        GetBlockTxs, HASH, st.sets(st.integers(0, BLOCK_TXS_MAX - 1), min_size=1, max_size=20).map(sorted).map(tuple)
    ),
    BlockTxs: st.builds(BlockTxs, TXS),
    Prefer: st.builds(Prefer, st.booleans()),
}
ANY = st.one_of(*MESSAGES.values())


def decode(message: Message, body: bytes) -> Message:
    """As the side that gets this kind of message would."""
    for name, route in ROUTES.items():
        if route.request is type(message):
            return decode_request(name, body)
        if type(message) in (*route.replies, Refusal):
            return decode_reply(name, body)
    raise AssertionError(f"no route carries {message!r}")


def verdict(decoder: Callable[[], Message]) -> Message | Reject:
    """What the bytes mean, or why they mean nothing."""
    try:
        return decoder()
    except Invalid as error:
        return Reject(error.code)


def refused(message: Message, body: bytes) -> bool:
    return verdict(lambda: decode(message, body)) is Reject.MALFORMED


def test_tables_are_whole() -> None:
    assert set(MESSAGES) == set(LAYOUTS)
    assert len({layout.kind for layout in LAYOUTS.values()}) == len(LAYOUTS)
    for message, layout in LAYOUTS.items():
        assert len(layout.fields) == len(fields_of(message))
        assert all(field.layout for field in layout.fields)


@given(ANY)
@settings(max_examples=400)
def test_both_ways(message: Message) -> None:
    body = encode(message)
    assert len(body) <= LAYOUTS[type(message)].most
    assert decode(message, body) == message


@given(ANY, st.data())
@settings(max_examples=300)
def test_no_other_bytes_mean_the_same(message: Message, data: st.DataObject) -> None:
    """Whatever decodes encodes to the very same bytes: there is one form."""
    body = bytearray(encode(message))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= data.draw(st.integers(1, 255))
    other = verdict(lambda: decode(message, bytes(body)))
    assert other is Reject.MALFORMED or (encode(other) == bytes(body) and other != message)


@given(ANY, st.data())
def test_truncations_and_additions_are_malformed(message: Message, data: st.DataObject) -> None:
    body = encode(message)
    assert refused(message, body[: data.draw(st.integers(0, len(body) - 1))])
    assert refused(message, body + data.draw(st.binary(min_size=1, max_size=3)))


@given(st.binary(max_size=400), st.sampled_from(sorted(ROUTES)))
def test_noise_is_malformed_or_canonical(body: bytes, name: str) -> None:
    for decoder in (decode_request, decode_reply):
        message = verdict(partial(decoder, name, body))
        assert message is Reject.MALFORMED or encode(message) == body


def test_another_kind_or_version_is_malformed() -> None:
    body = encode(GetBlocks((BlockHash(bytes(32)),)))
    with pytest.raises(Invalid, match="another kind"):
        decode_request("inv", body)
    with pytest.raises(Invalid, match="another kind"):
        decode_reply("blocks", body)
    with pytest.raises(Invalid, match="wire version"):
        decode_request("blocks", bytes((WIRE_VERSION + 1,)) + body[1:])


def ids(count: int, size: int = 32) -> tuple[bytes, ...]:
    return tuple(number.to_bytes(size, "little") for number in range(count))


def neighbours(count: int) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(PeerId(number.to_bytes(20, "big")), Endpoint("1.2.3.4", 7)) for number in range(count))


def compact_block(count: int, coinbase: Tx | None = None) -> CompactBlock:
    ids = tuple(number.to_bytes(SHORT_ID_SIZE, "big") for number in range(count))
    return CompactBlock(chain_of(1)[0], bytes(SALT_SIZE), coinbase or a_tx(), ids)


AT_CAP: dict[str, tuple[Message, Message]] = {
    "locator": (GetHeaders(ids(LOCATOR_MAX)), GetHeaders(ids(LOCATOR_MAX + 1))),  # type: ignore[arg-type]
    "headers": (Headers(chain_of(HEADERS_MAX)), Headers(chain_of(HEADERS_MAX + 1))),
    "announce": (Announce(chain_of(ANNOUNCED_MAX)), Announce(chain_of(ANNOUNCED_MAX + 1))),
    "inv": (Inv(ids(INV_MAX, 8)), Inv(ids(INV_MAX + 1, 8))),
    "news of blocks": (News(chain_of(ANNOUNCED_MAX), ()), News(chain_of(ANNOUNCED_MAX + 1), ())),
    "news of transactions": (News((), ids(INV_MAX)), News((), ids(INV_MAX + 1))),  # type: ignore[arg-type]
    "news of blocks to push": (News((), (), ids(BLOCKS_MAX)), News((), (), ids(BLOCKS_MAX + 1))),  # type: ignore[arg-type]
    "want": (Want(ids(WANT_MAX, 8)), Want(ids(WANT_MAX + 1, 8))),
    "gettxs": (GetTxs(ids(WANT_MAX, 8), ids(WANT_MAX)), GetTxs((), ids(WANT_MAX + 1))),  # type: ignore[arg-type]
    "txs": (Txs(tuple(a_tx(number=n) for n in range(100))), Txs(tuple(a_tx(number=n) for n in range(101)))),
    "addresses": (
        Addresses(tuple(Endpoint("1.2.3.4", n + 1) for n in range(ADDRESSES_MAX))),
        Addresses(tuple(Endpoint("1.2.3.4", n + 1) for n in range(ADDRESSES_MAX + 1))),
    ),
    "newaddress": (
        AnnounceAddress(tuple(Endpoint("1.2.3.4", n + 1) for n in range(PUSHED_MAX))),
        AnnounceAddress(tuple(Endpoint("1.2.3.4", n + 1) for n in range(PUSHED_MAX + 1))),
    ),
    "nodes": (Nodes(neighbours(NEIGHBOURS_MAX)), Nodes(neighbours(NEIGHBOURS_MAX + 1))),
    "getblocks": (GetBlocks(ids(BLOCKS_MAX)), GetBlocks(ids(BLOCKS_MAX + 1))),  # type: ignore[arg-type]
    "blocks": (Blocks((b"",) * BLOCKS_MAX), Blocks((b"",) * (BLOCKS_MAX + 1))),
    "short ids": (compact_block(BLOCK_TXS_MAX), compact_block(BLOCK_TXS_MAX + 1)),
    "coinbase": (
        compact_block(1, a_tx(b"\x6a" * (COINBASE_BYTES_MAX - len(a_tx(b"").raw) - 4))),
        compact_block(1, a_tx(b"\x6a" * COINBASE_BYTES_MAX)),
    ),
    "positions": (
        GetBlockTxs(BlockHash(bytes(32)), tuple(range(BLOCK_TXS_MAX))),
        GetBlockTxs(BlockHash(bytes(32)), tuple(range(BLOCK_TXS_MAX + 1))),
    ),
    "the last position": (
        GetBlockTxs(BlockHash(bytes(32)), (0, BLOCK_TXS_MAX - 1)),
        GetBlockTxs(BlockHash(bytes(32)), (0, BLOCK_TXS_MAX)),
    ),
    "bytes of one block": (Blocks((bytes(BLOCK_BYTES_MAX),)), Blocks((bytes(BLOCK_BYTES_MAX + 1),))),
    "bytes of blocks together": (
        Blocks((bytes(BLOCK_BYTES_MAX // 2),) * 2),
        Blocks((bytes(BLOCK_BYTES_MAX // 2), bytes(BLOCK_BYTES_MAX // 2 + 1))),
    ),
}


@pytest.mark.parametrize("name", AT_CAP)
def test_at_the_cap_and_one_over(name: str) -> None:
    good, bad = AT_CAP[name]
    body = encode(good)
    assert decode(good, body) == good
    assert len(body) <= LAYOUTS[type(good)].most
    assert refused(bad, encode(bad))


def test_bytes_of_transactions_are_capped_together() -> None:
    half = TXS_BYTES_MAX // 2
    fits = a_tx(b"\x6a" * (half - len(a_tx(b"").raw) - 8))
    assert decode_request("txs", encode(Txs((fits,)))) == Txs((fits,))
    assert refused(Txs(()), encode(Txs((fits, a_tx(b"\x6a" * half, 1)))))


def test_a_huge_count_costs_nothing() -> None:
    """A count is a promise of bytes: without them there is nothing to allocate."""
    head = encode(Inv(()))[:2]
    assert refused(Inv(()), head + varint(INV_MAX))
    assert refused(Inv(()), head + b"\xff" + b"\xff" * 8)
    assert refused(Inv(()), head + b"\xfd\x01\x00" + bytes(8))  # not the shortest form


MALFORMED: dict[str, tuple[Message, bytes]] = {
    "an id twice": (Inv(()), varint(2) + bytes(16)),
    "headers of two branches": (Headers(()), varint(2) + chain_of(1)[0].raw * 2),
    "unknown reason": (Refusal(Reason.BUSY), b"\x63"),
    "no block asked for": (GetBlocks(()), varint(0)),
    "a block asked for twice": (GetBlocks(()), varint(2) + bytes(64)),
    "no block": (Blocks(()), varint(0)),
    "block length over the limit": (Blocks(()), varint(1) + varint(BLOCK_BYTES_MAX + 1)),
    "more blocks promised than sent": (Blocks(()), varint(2) + varbytes(b"block")),
    "bytes behind a transaction": (Txs(()), varint(1) + varbytes(a_tx().raw + b"\x00")),
    "no address": (Addresses(()), varint(1) + bytes(19)),
    "address as seen in a list": (Addresses(()), varint(1) + b"\x01" + bytes(16) + b"\x01\x00"),
    "a node without an address": (Nodes(()), varint(1) + bytes(20) + bytes(19)),
    "a node twice": (Nodes(()), varint(2) + encode(Nodes(neighbours(1)))[3:] * 2),
    "a short id": (FindNode(bytes(20)), bytes(19)),
    "no port": (Addresses(()), varint(1) + b"\x04" + bytes(12) + b"\x01\x02\x03\x04" + bytes(2)),
    "IPv4 with dirt in front": (Addresses(()), varint(1) + b"\x04\x01" + bytes(11) + b"\x01\x02\x03\x04\x01\x00"),
    "IPv4 inside IPv6": (Addresses(()), varint(1) + b"\x06" + bytes(10) + b"\xff\xff\x01\x02\x03\x04\x01\x00"),
    "no position": (GetBlockTxs(BlockHash(bytes(32)), (0,)), bytes(32) + varint(0)),
    "neither yes nor no": (Prefer(True), b"\x02"),
    "a salt cut off": (compact_block(0), compact_block(0).header.raw + bytes(SALT_SIZE - 1)),
    "unknown family": (Addresses(()), varint(1) + b"\x07" + b"\x01" * 16 + b"\x01\x00"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_fields(name: str) -> None:
    message, content = MALFORMED[name]
    body = bytes((WIRE_VERSION, LAYOUTS[type(message)].kind)) + content
    assert refused(message, body)


def test_text_is_printable_and_keys_are_keys() -> None:
    facts = Facts(1, b"\x02" + bytes(32), bytes(32), bytes(8), None, 1, "groat", 0, 0, BlockHash(bytes(32)))
    body = encode(Hello(facts, bytes(32)))
    assert decode_request("hello", body) == Hello(facts, bytes(32))
    for old, new in ((b"groat", b"gro\nt"), (b"\x02" + bytes(32), b"\x04" + bytes(32))):
        assert body.count(old) == 1 or old != b"groat"
        assert refused(Hello(facts, bytes(32)), body.replace(old, new, 1))


def test_who_may_answer_what() -> None:
    inv = Inv((bytes(8),))
    assert may_answer(inv, Want(()))
    assert may_answer(inv, Refusal(Reason.BUSY))
    assert not may_answer(inv, Ok())
    assert route_name(inv) == "inv"
