"""What somebody means who pastes something: a height, a block, a transaction, an address, a script."""

import re

from chain.address import AddressError
from chain.hashes import BlockHash, Txid, to_hex
from chain.value import value
from node.api.call import Call
from node.api.explorer.script import script_of
from node.api.lookup import NoIndex, find_tx

QUERY_MAX = 200
"""Characters that are looked at; more is nothing that there is."""
PREFIX_MIN = 4
"""Digits that the beginning or end of a hash has at least to be looked for."""
BLOCKS_SEARCHED = 2_000
"""Latest blocks among which a piece of a hash is looked for."""
TXS_SEARCHED = 20_000
"""Transactions of the mempool, the same."""
FOUND_MAX = 20
"""Things that are offered where several fit."""
_HASH = re.compile(r"[0-9a-f]{64}")
_HEIGHT = re.compile(r"#?([0-9][0-9,._' ]*)")
_OUTPOINT = re.compile(r"([0-9a-f]{64})[:i#/](?:output-)?([0-9]{1,10})")
_PIECE = re.compile(r"([0-9a-f]*)(?:…|\.\.+|\*)?([0-9a-f]*)")


@value
class Hit:
    """Something that fits."""

    kind: str
    """block, tx, address or script: as the page is called."""
    name: str
    """What its page's path ends in."""
    words: str
    """What it is, for people."""


@value
class Search:
    """What was asked, and what fits."""

    query: str
    hits: list[Hit]
    reason: str
    """Why nothing does, in a word that the template knows."""


def search(call: Call, given: str) -> Search:
    """What fits. Looks at no more than the named limits."""
    query = given.strip()[:QUERY_MAX]
    compact = re.sub(r"\s+", "", query).strip("\"'`,;<>()[]")
    lowered = compact.lower().removeprefix("0x")
    if not compact:
        return Search(query, [], "empty")
    if _HASH.fullmatch(lowered):
        return _by_hash(call, query, lowered)
    if match := _OUTPOINT.fullmatch(lowered):
        return Search(query, [Hit("tx", match[1], f"Output {match[2]} of a transaction")], "")
    hits, reason = [], "unknown"
    if match := _HEIGHT.fullmatch(compact):
        height = int(re.sub(r"[^0-9]", "", match[1]))
        entry = call.view.entry_at(height)
        if entry is not None:
            return Search(query, [Hit("block", to_hex(entry.hash), f"Block {height:,}")], "")
        reason = "above"
    try:
        script_of(compact)
        # Bech32 may be in capitals, as in QR codes; Base58 tells them apart.
        name = lowered if lowered.startswith("bcrt1") else compact
        return Search(query, [Hit("address", name, "Address")], "")
    except AddressError as error:
        if error.other_network:
            return Search(query, [], "other-network")
        if lowered.startswith("bcrt1"):
            return Search(query, [], "bad-address")
    match = _PIECE.fullmatch(lowered)
    if match and max(len(match[1]), len(match[2])) >= PREFIX_MIN:
        hits = _by_piece(call, match[1], match[2])
    return Search(query, hits, reason)


def _by_hash(call: Call, query: str, lowered: str) -> Search:
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
    return Search(query, hits, reason)


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
