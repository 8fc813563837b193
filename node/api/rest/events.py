"""`GET /v1/events`: what happens in the node, told while it happens. docs/api.md lists every field."""

from collections.abc import Set

from node.api.context import Call
from node.api.http.message import Problem, Response
from node.api.routing.route import ParamType, Route, whole_number
from node.api.services.event_feed import HOST_FOLLOWERS_MAX
from node.interface.events import TOPICS

CONTENT = "text/event-stream"
BAD_ID = "Invalid Last-Event-ID"
ALL = frozenset(TOPICS)
_TOO_MANY = (429, f"{HOST_FOLLOWERS_MAX} streams go to this address already")


def events(call: Call, topics: Set[str] | None) -> Response:
    """Live events as Server-Sent Events, from now on or after the one named by Last-Event-ID."""
    given = call.request.header("LAST_EVENT_ID")
    since = whole_number(given)
    if given and since is None:
        raise Problem(400, BAD_ID)
    stream = call.feed.open(call.request.client, ALL if topics is None else topics, since)
    # The second asks nginx to hold nothing back.
    headers = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
    return Response(200, content_type=CONTENT, headers=headers, stream=stream)


ROUTES = (
    Route(
        "GET",
        "/v1/events",
        events,
        CONTENT,
        query={"topics": ParamType.TOPICS},
        headers={"Last-Event-ID": "The id of the last event that was received: what came after it is sent first."},
        errors=((400, BAD_ID), _TOO_MANY),
        quick=True,
    ),
)
"""Live events."""
