"""JSON-RPC about peers, in Core's words; what Core has no word for is called as in `GET /v1/peers`."""

import ipaddress
from functools import partial
from typing import Any

from node.api.actions.core_errors import ALREADY_ADDED, BAD_VALUE, MISC, NOT_ADDED, NOT_IN_NODES, RpcError
from node.api.actions.peer_json import all_peers, full_shape, service_names
from node.api.context import Call
from node.api.encoding.json_codec import Coins, Shape
from node.api.rpc.args import flag, integer, string
from node.api.rpc.method import topic
from node.config import read_endpoint
from node.core.node import Node
from node.interface.effects import Step
from node.interface.endpoint import Endpoint
from node.interface.messages import PROTOCOL_VERSION, RELAYS
from node.interface.settings import ConfigError
from node.mempool.policy import INCREMENTAL_FEE_SAT_KVB, MIN_RELAY_FEE_SAT_KVB
from node.p2p.peer_info import PeerInfo
from node.p2p.scoring.service_flags import offers

CORE_VERSION = 290000
"""The Bitcoin Core whose JSON-RPC this follows: what clients choose their dialect by."""
AGENT = "/groat/"
COMMANDS = ("add", "remove", "onetry")
DEFAULT_PORT = 18444
"""Port of peers named without one."""
NOT_IN_CORE = ("role", "score", "grade", "why", "choked", "first_blocks", "first_transactions", "discovered_by")
"""Fields that `getpeerinfo` takes over from `GET /v1/peers`."""


def getpeerinfo(call: Call) -> list[Shape]:
    """All peers, and how each stands."""
    return [_peer_shape(call, peer) for peer in all_peers(call)]


def getconnectioncount(call: Call) -> int:
    """The number of peers."""
    return len(all_peers(call))


def getnetworkinfo(call: Call) -> Shape:
    """This node as others see it."""
    peers = all_peers(call)
    outbound = sum(peer.outbound for peer in peers)
    services = call.change(lambda core, now: Step(core.services))
    warnings = call.change(lambda core, now: core.warnings(now))
    return {
        "version": CORE_VERSION,
        "subversion": AGENT,
        "protocolversion": PROTOCOL_VERSION,
        "localservices": _services_hex(services),
        "localservicesnames": service_names(services),
        "localrelay": offers(services, RELAYS),
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
        "warnings": [*warnings, *call.view.warnings],
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
    found = [peer for peer in all_peers(call) if peer.number == number or (wanted and peer.endpoint == wanted)]
    if not found:
        raise RpcError(NOT_IN_NODES, "Node not found in connected nodes")
    for peer in found:
        call.change(partial(_disconnect, peer))


def _disconnect(peer: PeerInfo, core: Node, now: float) -> Step[None]:
    return core.disconnect(peer.id, now)


def _peer_shape(call: Call, peer: PeerInfo) -> Shape:
    full = full_shape(call, peer)
    shape: dict[str, Any] = {
        "id": peer.number,
        "addr": str(peer.endpoint or peer.host),
        "nodeid": peer.id.hex(),
        "network": _network_name(peer.host),
        "services": _services_hex(peer.services),
        "servicesnames": service_names(peer.services),
        "relaytxes": not peer.blocks_only,
        "lastrecv": int(peer.heard),
        "lastsend": int(peer.heard),
        "conntime": int(peer.since),
        "last_transaction": int(peer.last_tx),
        "last_block": int(peer.last_block),
        "bytessent": full["bytes_sent"],
        "bytesrecv": full["bytes_received"],
        "timeoffset": round(peer.clock_ahead_s or 0),
        "version": peer.version,
        "subver": f"/{peer.agent}/",
        "inbound": not peer.outbound,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "startingheight": peer.starting_height,
        "synced_headers": peer.synced_headers,
        "synced_blocks": peer.synced_blocks,
        "inflight": list(peer.in_flight),
        "connection_type": peer.connection_type,
        "transport_protocol_type": "http",
        **{name: full[name] for name in NOT_IN_CORE},
    }
    if peer.round_trip_s is not None:
        shape["pingtime"] = round(peer.round_trip_s, 6)
    if peer.least_round_trip_s is not None:
        shape["minping"] = round(peer.least_round_trip_s, 6)
    return shape


def _services_hex(services: int) -> str:
    return f"{services:016x}"


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
