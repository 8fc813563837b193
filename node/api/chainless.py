"""Nodes that follow no chain: light ones have headers alone, trackers only introduce others.

To them every address is unused and every coin unknown: what asks about the chain is refused, with
the reason, rather than answered as by an empty one.
"""

from node.config import Config
from node.p2p.scoring.service_flags import Role

CHAINLESS_STATUS = 501
TRACKER = "this node is a tracker, which only introduces others and follows no chain: ask another node"
LIGHT = "this node is a light one (--role light), which has headers and no blocks: ask a full node"
CHAINLESS_METHODS = frozenset(
    {
        "addnode", "createrawtransaction", "decoderawtransaction", "decodescript", "deriveaddresses", "disconnectnode",
        "getblockchaininfo", "getconnectioncount", "getdescriptorinfo", "getnetworkinfo", "getpeerinfo", "getrpcinfo",
        "getzmqnotifications", "help", "setmocktime", "stop", "uptime", "validateaddress",
    }
)  # fmt: skip
"""JSON-RPC that such a node answers as well: about itself and its peers, or about what the call brings."""
CHAINLESS_PAGES = ("peers", "fragments/peers", "static/")
"""Beginnings of the explorer's paths that it answers."""


def no_chain(config: Config) -> str | None:
    """The reason that this node cannot answer questions about the chain; None if it can."""
    if config.finding.only_introduces:
        return TRACKER
    if config.role is Role.LIGHT:
        return LIGHT
    return None
