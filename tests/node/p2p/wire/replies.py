"""The replies that the routes allow, for tests that look at both sides of a link."""

from node.p2p.wire.codec import ROUTES, route_name
from node.p2p.wire.messages import Refusal, Request


def may_answer(request: Request, reply: object) -> bool:
    """True if `reply` is of a kind that `request` can bring, Refusal included."""
    return isinstance(reply, (*ROUTES[route_name(request)].replies, Refusal))
