"""The page of peers, with the facts of `GET /v1/peers`."""

from typing import Any

from chain.frozen import value
from node.api.actions.peer_json import all_peers, full_shape
from node.api.context import Call

PEERS_SHOWN = 200
"""Peers shown at most, in order of arrival; a node has fewer unless its operator raised every limit."""
REASONS_SHOWN = 3


@value
class PeersPage:
    """All peers."""

    peers: list[dict[str, Any]]
    """Peers as the API has them; docs/api.md says what each field is."""
    count: int
    inbound: int
    sent: int
    """Bytes to all of them."""
    received: int


def peers_page(call: Call) -> PeersPage:
    """The peers of this node, as of now."""
    found = all_peers(call)
    shapes = [full_shape(call, peer) for peer in found[:PEERS_SHOWN]]
    for shape in shapes:
        shape["why"] = shape["why"][:REASONS_SHOWN]
    return PeersPage(
        shapes,
        len(found),
        sum(not peer.outbound for peer in found),
        sum(shape["bytes_sent"] for shape in shapes),
        sum(shape["bytes_received"] for shape in shapes),
    )
