"""The connected peers, in the style of Esplora's routes. Esplora itself has no such route."""

from node.api.actions.peer_json import all_peers, full_shape
from node.api.context import Call
from node.api.http.message import JSON, Response, document
from node.api.routing.route import Route


def peers(call: Call) -> Response:
    """All peers, and how each stands."""
    return document([full_shape(call, peer) for peer in all_peers(call)])


ROUTES = (Route("GET", "/v1/peers", peers, JSON, "Peers"),)
"""About peers."""
