"""JSON-RPC's search of the coin set for what descriptors stand for, on a snapshot, outside the lock."""

from typing import Any

from chain.hashes import to_hex
from chain.tx import outpoint_index, outpoint_txid
from node.api.actions.core_errors import BAD_VALUE, MISC, RpcError, shown
from node.api.context import Call
from node.api.encoding.disassembler import descriptor
from node.api.encoding.json_codec import Coins, Shape
from node.api.rpc.args import array, string, wrong_type
from node.api.rpc.descriptors import check_cost, outputs, read_descriptor, read_range, too_many_keys
from node.api.rpc.limits import DERIVED_MAX
from node.api.rpc.method import topic
from node.api.services.coin_scan import FOUND_MAX, Found, TooMany
from node.descriptors.reading import PlainDescriptor, PlainOutput
from node.runtime.runtime import NotReady

DEFAULT_RANGE = range(1_001)
"""Indexes of a ranged descriptor that comes without (Core)."""


def scantxoutset(call: Call, action: str, scanobjects: list[Any] | None) -> Any:
    """Search all unspent outputs for descriptors ("start"), ask how far that is ("status") or end it ("abort")."""
    search = call.coin_search
    if action == "status":
        progress = search.progress
        return None if progress is None else {"progress": progress}
    if action == "abort":
        return search.abort()
    if action != "start":
        raise RpcError(BAD_VALUE, f"Invalid action '{shown(action)}'")
    if not search.begin():
        raise RpcError(BAD_VALUE, 'Scan already in progress, use action "abort" or "status"')
    try:
        if scanobjects is None:
            raise RpcError(MISC, "scanobjects argument is required for the start action")
        scripts = _wanted(call, scanobjects)
        found = search.run(call.view.reader.coins(), scripts.keys(), lambda: _check_ready(call))
    except TooMany:
        raise RpcError(MISC, f"More than {FOUND_MAX} unspent outputs: search for less") from None
    finally:
        search.end()
    return _found_shape(call, found, scripts)


def _wanted(call: Call, scanobjects: list[Any]) -> dict[bytes, PlainOutput]:
    """Scripts to search for, each with what is known of it. Raises RpcError."""
    scripts: dict[bytes, PlainOutput] = {}
    objects = [_read_object(given) for given in scanobjects]
    if sum(check_cost(found, indexes) for found, indexes in objects) > DERIVED_MAX:
        raise too_many_keys()
    for found, indexes in objects:
        for one in found:
            for found_at in outputs(call, one, indexes):
                for output in found_at:
                    scripts.setdefault(output.script, output)
    return scripts


def _read_object(given: Any) -> tuple[tuple[PlainDescriptor, ...], range]:
    """The descriptors of a scan object, and the indexes that are wanted of them. Raises RpcError."""
    indexes = DEFAULT_RANGE
    text = given
    if isinstance(given, dict):
        text = given.get("desc")
        if text is None:
            raise RpcError(BAD_VALUE, "Descriptor needs to be provided in scan object")
        if not isinstance(text, str):
            raise wrong_type(text, "string")
        if given.get("range") is not None:
            indexes = read_range(given["range"])
    elif not isinstance(given, str):
        raise RpcError(BAD_VALUE, "Scan object needs to be either a string or an object")
    found = read_descriptor(text)
    return found, indexes if found[0].is_range else range(1)


def _check_ready(call: Call) -> None:
    if not call.runtime.ready:
        raise NotReady  # storage is about to be closed


def _found_shape(call: Call, found: Found, scripts: dict[bytes, PlainOutput]) -> Shape:
    tip = call.view.tip
    # Once a script: many coins may have the same, and its descriptor's checksum takes long.
    told = {
        script: scripts[script].descriptor or descriptor(script) for script in {coin.script for _, coin in found.coins}
    }
    return {
        "success": found.whole,
        "txouts": found.seen,
        "height": tip.height,
        "bestblock": to_hex(tip.hash),
        "unspents": [
            {
                "txid": to_hex(outpoint_txid(point)),
                "vout": outpoint_index(point),
                "scriptPubKey": coin.script.hex(),
                "desc": told[coin.script],
                "amount": Coins(coin.value),
                "coinbase": coin.is_coinbase,
                "height": coin.height,
                "blockhash": to_hex(tip.ancestor(coin.height).hash),
                "confirmations": tip.height - coin.height + 1,
            }
            for point, coin in found.coins
        ],
        "total_amount": Coins(sum(coin.value for _, coin in found.coins)),
    }


METHODS = topic("Blockchain", (scantxoutset, string("action"), array("scanobjects", None)))
"""About coins of some scripts."""
