"""The context of a handler: one NodeView, and a way to ask the core for a change."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from chain.frozen import value
from node.api.http.message import Problem, Request
from node.api.query.queries import BlockMeasures
from node.api.services.active_calls import ActiveCalls
from node.api.services.coin_scan import CoinScan
from node.api.services.event_feed import EventFeed
from node.api.services.request_metrics import RequestMetrics
from node.api.services.template_cache import TemplateCache
from node.blockfilter.filter_index import FilterIndex
from node.config import Config
from node.core.node import Node
from node.core.view import NodeView
from node.interface.effects import Park, Step
from node.runtime.runtime import Runtime

R = TypeVar("R")


@value
class Call:
    """One request being answered."""

    view: NodeView
    """Taken once: everything the answer says is of one moment."""
    runtime: Runtime
    config: Config
    measures: BlockMeasures
    """Measures of blocks, kept from request to request."""
    scan_turn: AbstractContextManager[None]
    """Held by whoever walks through the whole coin set."""
    coin_search: CoinScan
    """The search of the coin set that runs, if any does."""
    started: float
    """Time when the application was made, Unix time in seconds."""
    body: Callable[[], bytes]
    """Reads the request's body."""
    tallies: RequestMetrics
    """Counts of the listeners."""
    request: Request
    feed: EventFeed
    """The events that can be followed."""
    templates: TemplateCache
    """Block templates for external miners."""
    commands: ActiveCalls
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
