"""The search: a height, a block, a transaction, an address, a script, by what was typed or pasted."""

import re

from chain.address import AddressError
from chain.frozen import value
from chain.hashes import BlockHash, Txid, to_hex
from node.api.context import Call
from node.api.explorer.script import script_of
from node.api.query.queries import NoIndex, find_tx

QUERY_MAX = 200
"""Characters that are looked at; more is nothing that there is."""
PREFIX_MIN = 4
"""Digits that the beginning or end of a hash has at least to be looked for."""
BLOCKS_SEARCHED = 2_000
"""Latest blocks among which a piece of a hash is looked for."""
TXS_SEARCHED = 20_000
"""Transactions of the mempool, the same."""
SUGGESTED_MAX = 8
"""Things that are suggested while somebody types."""
FOUND_MAX = 20
"""Things that are offered where several fit."""
_HASH = re.compile(r"[0-9a-f]{64}")
_HEIGHT = re.compile(r"#?\s*([0-9]+|[0-9]{1,3}(?:([,_'\u2019\s])[0-9]{3})(?:\2[0-9]{3})*)")
"""Plain ASCII digits, or groups of three with one and the same sign between them. A point is none: 1.500 may be
one and a half, and no block has such a height."""
_URI = re.compile(r"bitcoin:(?://)?([^?]*)(?:\?.*)?", re.IGNORECASE | re.DOTALL)
"""BIP21; what follows the question mark is for whoever pays."""
_OUTPOINT = re.compile(r"([0-9a-f]{64})[:i#/](?:output-)?([0-9]{1,10})")
_AROUND = " \t\r\n\"'`,;<>()[]"
"""Characters around something that is copied out of a text."""
_PIECE = re.compile(r"([0-9a-f]*)(?:…|\.\.+|\*)?([0-9a-f]*)")


@value
class Hit:
    """A place that a search leads to."""

    kind: str
    """block, tx, address or script: as the page is called."""
    name: str
    """The end of its page's path."""
    words: str
    """Description of the match for people."""


@value
class SearchResult:
    """A search and its hits."""

    query: str
    hits: list[Hit]
    reason: str
    """The reason that nothing was found, in a word that the template knows."""
    is_certain: bool = True
    """False where what fits may not be what was meant, so that one asks first."""


def search(call: Call, given: str) -> SearchResult:
    """Search for a text. Looks at no more than the named limits."""
    query = given.strip()[:QUERY_MAX]
    bare = query.strip(_AROUND)
    if not bare:
        return SearchResult(query, [], "empty")
    if match := _URI.fullmatch(bare):
        return _by_address(query, _joined(match[1])) or SearchResult(query, [], "bad-address")
    compact = _joined(bare)
    lowered = compact.lower().removeprefix("0x")
    if _HASH.fullmatch(lowered):
        return _by_hash(call, query, lowered)
    if match := _OUTPOINT.fullmatch(lowered):
        return SearchResult(query, [Hit("tx", match[1], f"Output {match[2]} of a transaction")], "")
    height = height_in(bare)
    if height is not None and (entry := call.view.entry_at(height)) is not None:
        return SearchResult(query, [Hit("block", to_hex(entry.hash), f"Block {height:,}")], "")
    if found := _by_address(query, compact):
        return found
    hits = []
    match = _PIECE.fullmatch(lowered)
    if match and max(len(match[1]), len(match[2])) >= PREFIX_MIN:
        hits = _by_piece(call, match[1], match[2])
    return SearchResult(query, hits, "unknown" if height is None else "above", height is None)


def suggest(call: Call, given: str) -> list[Hit]:
    """Suggestions for a text that is still being typed, the likeliest first."""
    found = list(search(call, given).hits)
    height = height_in(given.strip()[:QUERY_MAX].strip(_AROUND))
    if height is not None:
        for longer in range(10 * height, 10 * height + 10):
            entry = call.view.entry_at(longer) if longer else None
            if entry is not None:
                found.append(Hit("block", to_hex(entry.hash), f"Block {longer:,}"))
    return found[:SUGGESTED_MAX]


def height_in(text: str) -> int | None:
    """The height that a text is, or None: `5`, `#5`, `1,234`; neither `0.5` nor `1,5`, `-5` or `5e3`."""
    match = _HEIGHT.fullmatch(text)
    return int(re.sub(r"[^0-9]", "", match[1])) if match else None


def _joined(text: str) -> str:
    """The text without the spaces and line breaks that copying brings in."""
    return re.sub(r"\s+", "", text).strip(_AROUND)


def _by_address(query: str, text: str) -> SearchResult | None:
    """The address that a text is, or why it is not valid; None where it does not look like one."""
    # Bech32 may be in capitals, as in QR codes; Base58 tells them apart.
    is_bech32 = text.lower().startswith("bcrt1")
    try:
        script_of(text)
    except AddressError as error:
        if error.other_network:
            return SearchResult(query, [], "other-network")
        return SearchResult(query, [], "bad-address") if is_bech32 else None
    return SearchResult(query, [Hit("address", text.lower() if is_bech32 else text, "Address")], "")


def _by_hash(call: Call, query: str, lowered: str) -> SearchResult:
    view, raw = call.view, bytes.fromhex(lowered)
    hits, reason = [], "unknown-hash"
    entry = view.get(BlockHash(raw[::-1]))
    if entry is not None:
        hits.append(Hit("block", lowered, f"Block {entry.height:,}"))
    try:
        if find_tx(view, Txid(raw[::-1])) is not None:
            hits.append(Hit("tx", lowered, "Transaction"))
        if (view.reader.has_index and view.reader.stats(raw).tx_count) or view.pool.script_entries(raw, 1):
            hits.append(Hit("script", lowered, "Script hash"))
    except NoIndex:
        reason = "no-index"
    return SearchResult(query, hits, reason)


def _by_piece(call: Call, head: str, tail: str) -> list[Hit]:
    """Recent blocks and unconfirmed transactions whose hash begins and ends so."""
    view, hits = call.view, []
    entry = view.tip
    for _ in range(BLOCKS_SEARCHED):
        name = to_hex(entry.hash)
        if name.startswith(head) and name.endswith(tail):
            hits.append(Hit("block", name, f"Block {entry.height:,}"))
        if entry.parent is None or len(hits) >= FOUND_MAX:
            break
        entry = entry.parent
    for txid in list(view.pool.entries)[-TXS_SEARCHED:]:
        if len(hits) >= FOUND_MAX:
            break
        name = to_hex(txid)
        if name.startswith(head) and name.endswith(tail):
            hits.append(Hit("tx", name, "Unconfirmed transaction"))
    return hits
