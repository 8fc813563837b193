"""Routes of the pages. Each page that changes is there twice: whole, and as its live part alone."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from chain.address import AddressError
from chain.blocktree import BlockNode
from chain.hashes import BlockHash, Txid, from_hex
from node.api.explorer.block import TXS_PER_PAGE, block_page, tx_of_block
from node.api.explorer.charts import RANGES, charts_page
from node.api.explorer.forks import forks_page, reorg_between
from node.api.explorer.home import home
from node.api.explorer.mempool import mempool_page
from node.api.explorer.peers import peers_page
from node.api.explorer.render import FRAGMENTS, TroubleError, current_call, show
from node.api.explorer.script import script_of, script_page
from node.api.explorer.search import Hit, search, suggest
from node.api.explorer.transaction import tx_page
from node.api.query.queries import FoundTx, NoIndex, find_tx
from node.api.routing.route import whole_number

PAGE_MAX = 2**32
"""Largest position in a list that can be asked for."""

pages = Blueprint("pages", __name__)

Page = Callable[..., ResponseReturnValue]


def page(rule: str, *, live: bool = True) -> Callable[[Page], Page]:
    """A page at this path, and its live part at the same behind /fragments."""

    def register(answer: Page) -> Page:
        name = answer.__name__
        pages.add_url_rule(rule, name, answer, methods=["GET"])
        if live:
            pages.add_url_rule(FRAGMENTS + rule, f"{name}_part", answer, methods=["GET"])
        return answer

    return register


@page("/")
def index() -> ResponseReturnValue:
    """The tip, the latest blocks, the mempool, the newest payments."""
    return show("home", home(current_call(), request.environ["groat.payments"]), live="tip mempool")


@page("/block/<name>")
def block(name: str) -> ResponseReturnValue:
    """A block by its hash; by its height it leads to the hash."""
    call = current_call()
    height = whole_number(name)
    if height is not None:
        at = call.view.entry_at(height)
        if at is None:
            raise TroubleError(404, "no-height", height=height, tip=call.view.tip.height)
        return redirect(url_for("pages.block", name=at.hash[::-1].hex()))
    found = block_page(call, _entry(name), _position("start", TXS_PER_PAGE))
    return show("block", found, live="tip block")


@page("/tx/<name>")
def tx(name: str) -> ResponseReturnValue:
    """A transaction; `?block=` names a block of any branch that it is in."""
    sides = _position("inputs", 1), _position("outputs", 1)
    return show("tx", tx_page(current_call(), _tx(name), *sides), live="tip mempool")


@page("/address/<name>")
def address(name: str) -> ResponseReturnValue:
    """A script by its address."""
    try:
        script, script_hash = script_of(name)
    except AddressError as error:
        kind = "other-network" if error.other_network else "bad-address"
        raise TroubleError(400, kind, name=name) from None
    found = script_page(current_call(), name, script, script_hash, _after())
    return show("script", found, live="tip mempool")


@page("/script/<name>")
def script(name: str) -> ResponseReturnValue:
    """A script by its hash."""
    try:
        script_hash = from_hex(name)[::-1]
    except ValueError:
        raise TroubleError(400, "bad-hash", name=name, what="script hash") from None
    found = script_page(current_call(), name, None, script_hash, _after())
    return show("script", found, live="tip mempool")


@page("/mempool")
def mempool() -> ResponseReturnValue:
    """The mempool; with `?order=best-paid` the highest fee rates first."""
    order = "best-paid" if request.args.get("order") == "best-paid" else "newest"
    return show("mempool", mempool_page(current_call(), order), live="mempool tip")


@page("/forks")
def forks() -> ResponseReturnValue:
    """All branches of the latest heights, or of those up to `?top=`."""
    top = whole_number(request.args.get("top", ""))
    call = current_call()
    if top is not None and top >= call.view.tip.height:
        top = None
    return show("forks", forks_page(call, top), live="tip block" if top is None else "")


@page("/charts")
def charts() -> ResponseReturnValue:
    """Charts of the latest blocks, as many as `?blocks=` says."""
    asked = whole_number(request.args.get("blocks", ""))
    count = asked if asked in RANGES else RANGES[0]
    return show("charts", charts_page(current_call(), count), live="tip")


@page("/peers")
def peers() -> ResponseReturnValue:
    """The peers of this node."""
    return show("peers", peers_page(current_call()), live="time")


@page("/search", live=False)
def search_page() -> ResponseReturnValue:
    """Redirects to what was searched for, or lists what fits."""
    found = search(current_call(), request.args.get("q", ""))
    if len(found.hits) == 1 and found.is_certain:
        return redirect(_path_of(found.hits[0]))
    return show("search", found, status=200 if found.hits or found.reason == "empty" else 404)


@page("/suggest", live=False)
def suggestions() -> ResponseReturnValue:
    """Suggestions for the text typed so far, for search.js."""
    hits = suggest(current_call(), request.args.get("q", ""))
    return [{"words": hit.words, "name": hit.name, "path": _path_of(hit)} for hit in hits]


@page("/pulse", live=False)
def pulse() -> ResponseReturnValue:
    """A text for live.js without an event stream: changes whenever a page may have to."""
    view = current_call().view
    newest = view.pool.newest(1)
    return {
        "tip": view.tip.hash[::-1].hex(),
        "height": view.tip.height,
        "blocks": len(view.tree.entries),
        "mempool": f"{view.pool.totals.count}:{view.pool.totals.fee}:{newest[0].sequence if newest else 0}",
    }


@page("/reorg", live=False)
def reorg() -> ResponseReturnValue:
    """The reorganisation between two tips, as a notice; 204 where there was none."""
    old, new = _entry(request.args.get("from", "")), _entry(request.args.get("to", ""))
    happened = reorg_between(old, new)
    return render_template("parts/reorg.html", reorg=happened) if happened else ("", 204)


def _path_of(hit: Hit) -> str:
    return url_for(f"pages.{hit.kind}", name=hit.name)


def _entry(name: str) -> BlockNode:
    """The block of that hash. Raises TroubleError."""
    try:
        block_hash = BlockHash(from_hex(name))
    except ValueError:
        raise TroubleError(400, "bad-hash", name=name, what="block hash") from None
    entry = current_call().view.get(block_hash)
    if entry is None:
        raise TroubleError(404, "no-block", name=name)
    return entry


def _tx(name: str) -> FoundTx:
    """The transaction of that id. Raises TroubleError."""
    try:
        txid = Txid(from_hex(name))
    except ValueError:
        raise TroubleError(400, "bad-hash", name=name, what="transaction id") from None
    view = current_call().view
    try:
        if wanted := request.args.get("block"):
            found = tx_of_block(view, _entry(wanted), txid)
        else:
            found = find_tx(view, txid)
    except NoIndex:
        raise TroubleError(400, "no-index-tx", name=name) from None
    if found is None:
        raise TroubleError(404, "no-tx", name=name)
    return found


def _after() -> Txid | None:
    given = request.args.get("after")
    if not given:
        return None
    try:
        return Txid(from_hex(given))
    except ValueError:
        raise TroubleError(400, "bad-hash", name=given, what="transaction id") from None


def _position(name: str, step: int) -> int:
    """The first item of a list's page; anything that is not a multiple of `step` is rounded down."""
    given: Any = whole_number(request.args.get(name, "0"), PAGE_MAX)
    return 0 if given is None else given - given % step
