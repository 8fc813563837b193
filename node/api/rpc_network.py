"""JSON-RPC about peers. Core counts bytes a peer; this node does not, and says nothing of them."""

import ipaddress
from functools import partial
from typing import Any

from node.api.call import Call
from node.api.jsontext import Coins
from node.api.rpc_args import flag, integer, string
from node.api.rpc_method import ALREADY_ADDED, BAD_VALUE, MISC, NOT_ADDED, NOT_IN_NODES, RpcError, topic
from node.api.shapes import Shape
from node.config import ConfigError, read_endpoint
from node.node import Node
from node.peers.messages import PROTOCOL_VERSION, SERVES_BLOCKS
from node.peers.network import PeerInfo
from node.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB
from node.ports import Endpoint, Step

CORE_VERSION = 290000
"""The Bitcoin Core whose JSON-RPC this follows: what clients choose their dialect by."""
AGENT = "/groat/"
COMMANDS = ("add", "remove", "onetry")
DEFAULT_PORT = 18444
"""Of peers named without one."""


def getpeerinfo(call: Call) -> list[Shape]:
    """All peers."""
    return [_peer_shape(peer) for peer in _peers(call)]


def getconnectioncount(call: Call) -> int:
    """How many peers there are."""
    return len(_peers(call))


def getnetworkinfo(call: Call) -> Shape:
    """This node as others see it."""
    peers = _peers(call)
    outbound = sum(peer.outbound for peer in peers)
    return {
        "version": CORE_VERSION,
        "subversion": AGENT,
        "protocolversion": PROTOCOL_VERSION,
        "localservices": _services_hex(SERVES_BLOCKS),
        "localservicesnames": _service_names(SERVES_BLOCKS),
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": True,
        "connections": len(peers),
        "connections_in": len(peers) - outbound,
        "connections_out": outbound,
        "networks": [
            {"name": name, "limited": False, "reachable": True, "proxy": "", "proxy_randomize_credentials": False}
            for name in ("ipv4", "ipv6")
        ],
        "relayfee": Coins(MIN_RELAY_FEE_SAT_KVB),
        "incrementalfee": Coins(INCREMENTAL_FEE_SAT_KVB),
        "localaddresses": [],
        "warnings": [],
    }


def addnode(call: Call, node: str, command: str, v2transport: bool) -> None:
    """Stay connected with HOST:PORT (add), no longer (remove), or connect to it (onetry)."""
    if command not in COMMANDS:
        raise RpcError(MISC, f"command must be one of {', '.join(COMMANDS)}")
    endpoint = _endpoint(node)
    if command == "remove":
        if not call.change(lambda core, now: core.remove_peer(endpoint, now)):
            raise RpcError(NOT_ADDED, "Error: Node could not be removed. It has not been added previously.")
    # A peer to try once is kept all the same: there is no such thing here as forgetting it.
    elif not call.change(lambda core, now: core.add_peer(endpoint, now)) and command == "add":
        raise RpcError(ALREADY_ADDED, "Error: Node already added")


def disconnectnode(call: Call, address: str, number: int | None) -> None:
    """End the connections of one peer, by its address or number."""
    if bool(address) == (number is not None):
        raise RpcError(BAD_VALUE, "Only one of address and nodeid should be provided.")
    wanted = _endpoint(address) if address else None
    found = [peer for peer in _peers(call) if peer.number == number or (wanted and peer.endpoint == wanted)]
    if not found:
        raise RpcError(NOT_IN_NODES, "Node not found in connected nodes")
    for peer in found:
        call.change(partial(_disconnect, peer))


def _disconnect(peer: PeerInfo, core: Node, now: float) -> Step[None]:
    return core.disconnect(peer.id, now)


def _peers(call: Call) -> tuple[PeerInfo, ...]:
    return call.change(lambda core, now: core.peers(now))


def _peer_shape(peer: PeerInfo) -> Shape:
    shape: dict[str, Any] = {
        "id": peer.number,
        "addr": str(peer.endpoint or peer.host),
        "nodeid": peer.id.hex(),
        "network": _network_name(peer.host),
        "services": _services_hex(peer.services),
        "servicesnames": _service_names(peer.services),
        "relaytxes": True,
        "lastrecv": int(peer.heard),
        "lastsend": int(peer.heard),
        "conntime": int(peer.since),
        "timeoffset": 0,
        "version": peer.version,
        "subver": f"/{peer.agent}/",
        "inbound": not peer.outbound,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "startingheight": peer.starting_height,
        "synced_headers": peer.synced_headers,
        "synced_blocks": peer.synced_blocks,
        "inflight": list(peer.in_flight),
        "connection_type": _connection_type(peer),
        "transport_protocol_type": "http",
    }
    if peer.round_trip_s is not None:
        shape["pingtime"] = shape["minping"] = round(peer.round_trip_s, 6)
    return shape


def _connection_type(peer: PeerInfo) -> str:
    if peer.static:
        return "manual"
    return "outbound-full-relay" if peer.outbound else "inbound"


def _services_hex(services: int) -> str:
    return f"{services:016x}"


def _service_names(services: int) -> list[str]:
    return ["NETWORK"] if services & SERVES_BLOCKS else []


def _network_name(host: str) -> str:
    try:
        return f"ipv{ipaddress.ip_address(host).version}"
    except ValueError:
        return "not_publicly_routable"


def _endpoint(given: str) -> Endpoint:
    """HOST:PORT, or HOST with the usual port. Raises RpcError(-8)."""
    named = given if ":" in given.rpartition("]")[2] else f"{given}:{DEFAULT_PORT}"
    try:
        return read_endpoint(named, "node")
    except ConfigError as error:
        raise RpcError(BAD_VALUE, str(error)) from None


METHODS = topic(
    "Network",
    (getpeerinfo,),
    (getconnectioncount,),
    (getnetworkinfo,),
    (addnode, string("node"), string("command"), flag("v2transport", False)),
    (disconnectnode, string("address", ""), integer("nodeid", None)),
)
"""About peers."""
