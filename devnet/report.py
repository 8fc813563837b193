"""The report of `up` and `status`: every node, the wallet, and what to try next."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from devnet import network
from devnet.groatdoptions import without_zmq, zmq_addresses
from devnet.later import funds
from devnet.options import default_folder
from devnet.screen import write_line, write_table
from devnet.state import PASSWORD, Devnet
from wallet.errors import WalletError

SHORT_HASH = 8
"""Digits of a block hash that tell people enough."""
ASKED_AT_ONCE_MAX = 16
"""Nodes."""
LAG_BLOCKS = 2
"""Blocks behind the highest from which on a node is shown as lagging: one may be on its way."""
COIN = 100_000_000


def status_document(devnet: Devnet) -> dict[str, Any]:
    """The facts, as `status --json` prints them."""
    with ThreadPoolExecutor(min(devnet.nodes, ASKED_AT_ONCE_MAX)) as askers:
        asked = [askers.submit(network.node_status, devnet, index) for index in range(devnet.nodes)]
        funds.load()  # while the nodes answer
        states = [question.result() for question in asked]
    nodes = [_node_facts(devnet, index, state) for index, state in enumerate(states)]
    return {
        "network": devnet.network,
        "dir": str(devnet.folder),
        "nodes": nodes,
        "wallet": {
            "file": str(devnet.wallet_file),
            "address": devnet.address,
            "balance_sat": _balance_sat(nodes, lambda url: funds.balance_sat(devnet, url)),
        },
    }


def _balance_sat(nodes: list[dict[str, Any]], balance_by: Callable[[str], int]) -> int | None:
    """The wallet's spendable balance, or None if no node can tell: one without an index cannot, nor a light one."""
    answering = [node for node in nodes if node["height"] is not None]
    for node in sorted(answering, key=lambda node: -node["height"]):
        try:
            return balance_by(node["api"])
        except WalletError:
            continue
    return None


def _node_facts(devnet: Devnet, index: int, node: network.NodeStatus) -> dict[str, Any]:
    process = devnet.processes[index]
    return {
        "index": index,
        "pid": process.pid if process and node.running else None,
        "api": devnet.api_url(index),
        "p2p": devnet.p2p(index),
        "datadir": str(devnet.datadir(index)),
        "cookie": str(devnet.cookie(index)),
        "height": node.height,
        "tip": node.tip,
        "peers": node.peers,
        "mempool": node.mempool,
        "running": node.running,
        "options": list(devnet.options[index]),
        "warnings": list(node.warnings),
    }


def show_status(devnet: Devnet) -> None:
    """The facts, for people."""
    facts = status_document(devnet)
    nodes = facts["nodes"]
    headers = ("node", "API", "P2P", "pid", "height", "tip", "peers", "mempool")
    top = max((node["height"] for node in nodes if node["height"] is not None), default=0)
    colours = [_colour(node, top) for node in nodes]
    write_table(headers, [_row(node) for node in nodes], ("node", "P2P", "pid", "height", "peers", "mempool"), colours)
    for node, colour in zip(nodes, colours, strict=True):
        if node["running"] and colour and node["height"] is not None:
            write_line(f"node {node['index']} is {top - node['height']} blocks behind the highest", colour)
        for warning in node["warnings"]:
            write_line(f"node {node['index']} warns: {' '.join(warning.split())}", "yellow")
    for label, text in _facts_below(devnet, facts):
        click.echo(f"{label:<8}  {text}")


def _row(node: dict[str, Any]) -> list[str]:
    state = "stopped" if not node["running"] else "busy" if node["height"] is None else node["height"]
    tip = (node["tip"] or "")[-SHORT_HASH:]
    port = node["p2p"].rpartition(":")[2]
    cells = (node["index"], node["api"], port, node["pid"], state, tip, node["peers"], node["mempool"])
    return ["" if cell is None else str(cell) for cell in cells]


def _colour(node: dict[str, Any], top: int) -> str | None:
    """Red for a node that does not run, yellow for one that is busy or behind the others."""
    if not node["running"]:
        return "red"
    return "yellow" if node["height"] is None or node["height"] <= top - LAG_BLOCKS else None


def _facts_below(devnet: Devnet, facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    wallet, nodes = facts["wallet"], facts["nodes"]
    balance = "no node can tell what there is to spend"
    if wallet["balance_sat"] is not None:
        balance = "{}.{:08d} coins to spend".format(*divmod(wallet["balance_sat"], COIN))
    yield "network", f"{facts['network']} in {facts['dir']}"
    # The folder is named once: these lines fit 80 columns.
    yield "wallet", f"{balance}: {devnet.wallet_file.name} there, password {PASSWORD}"
    first = next((node for node in nodes if node["running"]), None)
    if first:
        yield "explorer", f"{first['api']}/explorer/"
        yield "JSON-RPC", f"{first['api']}/ with the login in {Path(first['cookie']).relative_to(devnet.folder)} there"
    for node in nodes:
        for address in zmq_addresses(node["options"]):
            yield "ZeroMQ", f"{address} (node {node['index']})"
    others = [without_zmq(options) for options in devnet.options]
    for options in filter(None, dict.fromkeys(others)):
        indexes = ", ".join(str(index) for index, own in enumerate(others) if own == options)
        yield "options", f"{shlex.join(options)} (node {indexes})"


def show_next_steps(devnet: Devnet) -> None:
    """Four commands that work as they stand."""
    folder = [] if devnet.folder == default_folder() else ["--dir", str(devnet.folder)]
    pay = [command("wallet"), "--wallet", str(devnet.wallet_file), "--node", devnet.api_url(0)]
    login = f'"$(cat {shlex.quote(str(devnet.cookie(0)))})"'
    call = shlex.join(["--data", '{"method": "getblockchaininfo"}', f"{devnet.api_url(0)}/"])
    click.echo()
    click.echo("Try next:")
    click.echo("  " + shlex.join([command("devnet"), "status", *folder]))
    click.echo(f"  GROAT_WALLET_PASSWORD={PASSWORD} " + shlex.join([*pay, "send", devnet.address, "0.25", "--yes"]))
    click.echo("  " + shlex.join(["curl", f"{devnet.api_url(devnet.nodes - 1)}/address/{devnet.address}"]))
    click.echo(f"  curl --user {login} {call}")


def command(name: str) -> str:
    """The command line of one of our commands from here: by its name where that finds it, else by its path."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and os.path.realpath(found) == os.path.realpath(path):
        return name
    beside = os.path.relpath(path)
    return beside if not beside.startswith("..") else str(path)
