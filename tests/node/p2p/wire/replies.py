"""The replies that the routes allow, for tests that look at both sides of a link."""

from node.interface.messages import Refusal, Request
from node.p2p.wire.codec import ROUTES, route_name


def may_answer(request: Request, reply: object) -> bool:
    """True if `reply` is of a kind that `request` can bring, Refusal included."""
    return isinstance(reply, (*ROUTES[route_name(request)].replies, Refusal))
