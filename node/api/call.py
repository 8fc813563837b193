"""The context of a handler: one View, and a way to ask the core for a change."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from chain.value import value
from node.api.answers import Problem, Request
from node.api.http.tallies import Tallies
from node.api.lookup import BlockMeasures
from node.api.rest.feed import Feed
from node.api.rpc.coin_search import CoinSearch
from node.api.rpc.commands import Commands
from node.api.rpc.template_cache import Templates
from node.config import Config
from node.filters.index import FilterIndex
from node.node import Node
from node.ports import Park, Step
from node.runtime import Runtime
from node.view import View

R = TypeVar("R")


@value
class Call:
    """One request being answered."""

    view: View
    """Taken once: everything the answer says is of one moment."""
    runtime: Runtime
    config: Config
    measures: BlockMeasures
    """Measures of blocks, kept from request to request."""
    scan_turn: AbstractContextManager[None]
    """Held by whoever walks through the whole coin set."""
    coin_search: CoinSearch
    """The search of the coin set that runs, if any does."""
    started: float
    """Time when the application was made, Unix time in seconds."""
    body: Callable[[], bytes]
    """Reads the request's body."""
    tallies: Tallies
    """Counts of the listeners."""
    request: Request
    feed: Feed
    """The events that can be followed."""
    templates: Templates
    """Block templates for external miners."""
    commands: Commands
    """JSON-RPC's calls under way."""
    filters: FilterIndex | None = None
    """The filters of blocks; None where none are made (--no-index)."""

    def change(self, ask: Callable[[Node, float], Step[R]]) -> R:
        """Have the core do something: `ask(node, now)` under the lock, its effects, its reply.

        Raises Rejected; Problem(503) where the core gave no reply in time.
        """

        def boxed(node: Node, now: float) -> Step[tuple[R]]:
            step = ask(node, now)
            # None may be what the core says: the box tells it from no reply at all.
            return Step(step.reply if isinstance(step.reply, Park) else (step.reply,), step.effects)

        reply = self.runtime.call(boxed)
        if reply is None:
            raise Problem(503, "the node did not get to it in time", [("Retry-After", "1")])
        return reply[0]
