"""JSON-RPC's getblocktemplate: work for miners outside the node (BIP22, BIP23, BIP145)."""

from collections.abc import Mapping
from typing import Any

from chain.blocktemplate import next_header
from chain.check import MAX_SIGOPS_COST, MAX_WEIGHT
from chain.errors import Rejected
from chain.hashes import from_hex, to_hex
from node.api.actions.core_errors import BAD_VALUE, TYPE, RpcError, shown
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.query.block_proposal import check_header_on_tip, check_on_tip
from node.api.rpc.args import mapping, wrong_type
from node.api.rpc.candidate_block import block_time, no_template
from node.api.rpc.core_json import bits_hex, target_hex
from node.api.rpc.method import topic
from node.api.rpc.mining import read_block
from node.api.rpc.waitfor import await_tip
from node.core.view import NodeView
from node.runtime.runtime import Busy

LONGPOLL_S = 60.0
"""Seconds that a request for other work than the one it names is held; then it gets what there is."""
HASH_DIGITS = 64
RULES = ("csv", "!segwit", "taproot")
"""Rules in force here; a client must know those that are marked."""


def getblocktemplate(call: Call, template_request: Mapping[str, Any]) -> Shape | str | None:
    """A template of the next block (BIP22; rules must have "segwit"), at once or with longpollid when that is
    outdated; or the verdict on a block (mode "proposal")."""
    mode = template_request.get("mode")
    if mode == "proposal":
        return _judge(call, template_request.get("data"))
    if mode not in (None, "template"):
        raise RpcError(BAD_VALUE, "Invalid mode")
    if "segwit" not in _client_rules(template_request):
        raise RpcError(
            BAD_VALUE,
            'getblocktemplate must be called with the segwit rule set (call with {"rules": ["segwit"]})',
        )
    view = call.view
    longpollid = template_request.get("longpollid")
    if longpollid is not None:
        _await_other_work(call, longpollid)
        view = call.runtime.view
    return _template_shape(call, view)


def _client_rules(request: Mapping[str, Any]) -> set[str]:
    rules = request.get("rules")
    if not isinstance(rules, list):
        return set()
    for rule in rules:
        if not isinstance(rule, str):
            raise wrong_type(rule, "string")
    return set(rules)


def _template_shape(call: Call, view: NodeView) -> Shape:
    """The template to work on now. Raises RpcError(-1) where a block made now would be refused."""
    now = block_time(call, view)
    try:
        # Of every one that is handed out: the clock moves on, or may have been set back, while a template is kept.
        header = next_header(view.tip, now, view.params)
        check_header_on_tip(view, header, now)
        template = call.templates.current(view, now)
    except (Rejected, ValueError) as error:
        raise no_template(error) from None
    parent = template.parent
    return {
        "capabilities": ["proposal"],
        "version": header.version,
        "rules": list(RULES),
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": to_hex(parent.hash),
        "transactions": template.txs,
        "coinbaseaux": {},
        "coinbasevalue": template.coinbase_value,
        "longpollid": template.longpollid,
        "target": target_hex(header.bits),
        "mintime": parent.median_time + 1,
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": MAX_SIGOPS_COST,
        "sizelimit": MAX_WEIGHT,
        "weightlimit": MAX_WEIGHT,
        "curtime": header.time,
        "bits": bits_hex(header.bits),
        "height": parent.height + 1,
        "default_witness_commitment": template.commitment.hex(),
    }


def _await_other_work(call: Call, longpollid: Any) -> None:
    """Wait until the tip is another than the id's, or LONGPOLL_S; where the mempool is another, only until a
    template with it may be had."""
    view = call.view
    named = _read_longpollid(longpollid) if isinstance(longpollid, str) else (view.tip.hash, view.pool.changes)
    tip_hash, changes = named
    is_outdated = changes != view.pool.changes
    timeout_s = call.templates.due_in_s(view) if is_outdated else LONGPOLL_S
    try:
        await_tip(call, lambda tip: tip.hash != tip_hash, timeout_s)
    except Busy:
        if is_outdated:
            return
        raise


def _read_longpollid(longpollid: str) -> tuple[bytes, int]:
    """The tip's hash, and how far the mempool was. Raises RpcError(-8)."""
    digits = longpollid[:HASH_DIGITS]
    if len(digits) != HASH_DIGITS:
        raise RpcError(
            BAD_VALUE, f"longpollid must be of length {HASH_DIGITS} (not {len(digits)}, for '{shown(digits)}')"
        )
    try:
        tip_hash = from_hex(digits)
    except ValueError:
        raise RpcError(BAD_VALUE, f"longpollid must be hexadecimal string (not '{digits}')") from None
    changes = longpollid[HASH_DIGITS : HASH_DIGITS + 20]
    return tip_hash, int(changes) if changes.isascii() and changes.isdecimal() else -1


def _judge(call: Call, hexdata: Any) -> str | None:
    """BIP22's word for a block that need not be solved; None: it would be valid."""
    if not isinstance(hexdata, str):
        raise RpcError(TYPE, "Missing data String key for proposal")
    view = call.view
    block = read_block(call, hexdata)
    entry = view.get(block.hash)
    if entry is not None:
        if entry.invalid:
            return "duplicate-invalid"
        was_connected = view.reader.was_connected(entry.height, entry.hash)
        return "duplicate" if was_connected else "duplicate-inconclusive"
    if block.header.prev_hash != view.tip.hash:
        return "inconclusive-not-best-prevblk"
    try:
        check_on_tip(view, block, block_time(call, view))
    except Rejected as error:
        return str(error.code)
    return None


METHODS = topic("Mining", (getblocktemplate, mapping("template_request", {})))
"""One method."""
