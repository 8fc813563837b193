"""What `up` and `status` tell: every node, the wallet, and what to try next."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from devnet import funds, network
from devnet.options import default_folder
from devnet.state import PASSWORD, Devnet
from wallet.amounts import format_coins
from wallet.console import write_table

SHORT_HASH = 16
"""Digits of a block hash that tell people enough."""


def status_document(devnet: Devnet) -> dict[str, Any]:
    """The facts, as `status --json` prints them."""
    nodes = []
    for index, process in enumerate(devnet.processes):
        node = network.node_status(devnet, index)
        nodes.append(
            {
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
            }
        )
    answering = [node["api"] for node in nodes if node["height"] is not None]
    return {
        "network": devnet.network,
        "dir": str(devnet.folder),
        "nodes": nodes,
        "wallet": {
            "file": str(devnet.wallet_file),
            "address": devnet.address,
            "balance_sat": funds.balance_sat(devnet, str(answering[0])) if answering else None,
        },
    }


def show_status(devnet: Devnet) -> None:
    """The facts, for people."""
    facts = status_document(devnet)
    headers = ("node", "API", "P2P", "pid", "height", "tip", "peers", "mempool")
    rows = []
    for node in facts["nodes"]:
        state = "stopped" if not node["running"] else "busy" if node["height"] is None else node["height"]
        tip = (node["tip"] or "")[-SHORT_HASH:]
        cells = (node["index"], node["api"], node["p2p"], node["pid"], state, tip, node["peers"], node["mempool"])
        rows.append(["" if cell is None else str(cell) for cell in cells])
    write_table(headers, rows, ("node", "pid", "height", "peers", "mempool"))
    wallet = facts["wallet"]
    balance = "unknown while no node runs"
    if wallet["balance_sat"] is not None:
        balance = f"{format_coins(wallet['balance_sat'])} coins to spend"
    click.echo(f"network {facts['network']} in {facts['dir']}")
    click.echo(f"wallet  {wallet['file']} (password {PASSWORD}): {balance}")
    running = next((node["api"] for node in facts["nodes"] if node["running"]), None)
    if running:
        click.echo(f"explorer {running}/explorer/")


def show_next_steps(devnet: Devnet) -> None:
    """Three commands that work as they stand."""
    folder = [] if devnet.folder == default_folder() else ["--dir", str(devnet.folder)]
    pay = [command("wallet"), "--wallet", str(devnet.wallet_file), "--node", devnet.api_url(0)]
    click.echo()
    click.echo("Try next:")
    click.echo("  " + shlex.join([command("devnet"), "status", *folder]))
    click.echo(f"  GROAT_WALLET_PASSWORD={PASSWORD} " + shlex.join([*pay, "send", devnet.address, "0.25", "--yes"]))
    click.echo("  " + shlex.join(["curl", f"{devnet.api_url(devnet.nodes - 1)}/address/{devnet.address}"]))


def command(name: str) -> str:
    """How to call one of our commands from here: by its name where that finds it, else by its path."""
    path = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and os.path.realpath(found) == os.path.realpath(path):
        return name
    beside = os.path.relpath(path)
    return beside if not beside.startswith("..") else str(path)
