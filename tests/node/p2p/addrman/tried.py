"""What an address manager knows of an endpoint."""

from node.interface.endpoint import Endpoint
from node.p2p.addrman.addrman import AddrMan


def is_tried(book: AddrMan, endpoint: Endpoint) -> bool:
    """True if the node chose to dial it and met somebody."""
    entry = book._entries.get(endpoint)
    return entry is not None and entry.tried
