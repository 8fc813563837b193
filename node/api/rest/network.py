"""The network that this node is on. Genesis blocks of regtest and of all devnets are equal, so that their hash does not
tell."""

from node.api.context import Call
from node.api.http.message import JSON, Response, document
from node.api.routing.route import Route


def network(call: Call) -> Response:
    """The network's name, and its id: the hash of its parameters and genesis."""
    params = call.config.params
    return document({"name": params.name, "id": params.network_id.hex()})


ROUTES = (Route("GET", "/v1/network", network, JSON, "Network"),)
"""About the network."""
