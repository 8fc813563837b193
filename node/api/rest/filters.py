"""Routes about basic block filters (BIP157, BIP158), for clients that look for their scripts themselves."""

from collections.abc import Callable
from typing import TypeVar

from chain.hashes import BlockHash, to_hex
from node.api.context import Call
from node.api.http.conditional import immutable
from node.api.http.message import JSON, OCTETS, Problem, Response, document, octets
from node.api.query.queries import NoIndex
from node.api.routing.route import ParamType, Route
from node.blockfilter.filter_index import BlockFilter, FilterIndex, FiltersBehind, FiltersBroken, NoFilter

HEADERS_LISTED = 2_000
RETRY_S = 1
BEHIND = "the filters of blocks are still being made"
NO_FILTER = "Filter not found"

_NO_BLOCK = (404, "Block not found")
_NO_FILTER = (404, NO_FILTER)
_BEHIND = (503, BEHIND)
_BROKEN = (500, "block filters are not available")

R = TypeVar("R")


def block_filter(call: Call, block_hash: BlockHash) -> Response:
    """A block's basic filter and filter header."""
    found = _filter(call, block_hash)
    shape = {"filter": found.encoded.hex(), "header": to_hex(found.header)}
    return immutable(call.request, document(shape), to_hex(block_hash))


def block_filter_raw(call: Call, block_hash: BlockHash) -> Response:
    """A block's basic filter, its bytes."""
    return immutable(call.request, octets(_filter(call, block_hash).encoded), to_hex(block_hash))


def filter_headers(call: Call, start_height: int) -> Response:
    """2000 filter headers of the best chain, from a height upwards."""
    if start_height > call.view.tip.height:
        raise Problem(*_NO_BLOCK)
    found = _ask(call, lambda index: index.headers(call.view, start_height, HEADERS_LISTED))
    return document([to_hex(header) for header in found])


def _filter(call: Call, block_hash: BlockHash) -> BlockFilter:
    entry = call.view.get(block_hash)
    if entry is None:
        raise Problem(*_NO_BLOCK)
    return _ask(call, lambda index: index.of(call.view, entry))


def _ask(call: Call, question: Callable[[FilterIndex], R]) -> R:
    if call.filters is None:
        raise NoIndex
    try:
        return question(call.filters)
    except FiltersBehind:
        raise Problem(*_BEHIND, [("Retry-After", str(RETRY_S))]) from None
    except FiltersBroken as reason:
        raise Problem(_BROKEN[0], str(reason)) from None
    except NoFilter as reason:
        raise Problem(404, f"{NO_FILTER}: {reason}") from None


_HASH = {"block_hash": ParamType.BLOCK_HASH}
_ERRORS = (_NO_BLOCK, _NO_FILTER, _BEHIND, _BROKEN)
ROUTES = (
    Route(
        "GET",
        "/v1/filters/:block_hash",
        block_filter,
        JSON,
        "BlockFilter",
        params=_HASH,
        errors=_ERRORS,
        needs_index=True,
    ),
    Route(
        "GET", "/v1/filters/:block_hash/raw", block_filter_raw, OCTETS, params=_HASH, errors=_ERRORS, needs_index=True
    ),
    Route(
        "GET",
        "/v1/filters/headers/:start_height",
        filter_headers,
        JSON,
        "FilterHeaders",
        params={"start_height": ParamType.NUMBER},
        errors=_ERRORS,
        needs_index=True,
    ),
)
"""About filters."""
