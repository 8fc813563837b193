"""The `devnet` command's subcommands. Command lines are read here, and nowhere else the environment."""

import signal
from typing import Any

import click

from devnet import files, logs, network
from devnet.groatdoptions import PORT_MAX, check_for_all
from devnet.later import funds, launch, webbrowser
from devnet.node_commands import NODE_COMMANDS
from devnet.options import Shared, everywhere, groatd_options, options_given, run, running_node, setting
from devnet.report import show_next_steps, show_status, status_document
from devnet.screen import Screen, write_json
from devnet.state import API_PORT_DEFAULT, NODES_MAX, Devnet, DevnetError, load, load_existing, locked

EPILOG = """
\b
Examples:
  devnet up                              three nodes, one of them mining
  devnet up --nodes 5 --miners 2 --spacing 5
  devnet status --json
  devnet fund bcrt1q... 1.5
  devnet up -- --cors-origin http://localhost:3000
  devnet open
  devnet down --wipe

\b
Completion for bash (zsh and fish alike):
  eval "$(_DEVNET_COMPLETE=bash_source devnet)"
"""
SPACING_MAX_S = 86_400
DUTY_DEFAULT = 20
"""Percent of one core: enough for even spacing, too little to warm a laptop."""
BLOCKS_MAX = 100_000
MINE_TIMEOUT_S = 3_600.0
"""Time for one block to be mined: real work takes long."""
LEFT_SHOWN_MAX = 5
"""Files of others that `down --wipe` names."""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@everywhere(setting)
@click.version_option(package_name="groat", message="devnet, groat %(version)s", help="Show the version.")
@click.pass_context
def cli(context: click.Context) -> None:
    """A network of real proof-of-work nodes on this machine, and a funded wallet.

    `devnet up` starts it, `devnet down` stops it. All its files are in one folder.
    """
    context.ensure_object(Shared)


for node_command in NODE_COMMANDS:
    cli.add_command(node_command)


@cli.command()
@setting(
    "--nodes", type=click.IntRange(1, NODES_MAX), default=3, show_default=True, metavar="N", help="Number of nodes."
)
@setting(
    "--miners",
    type=click.IntRange(0, NODES_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of nodes that mine: the first ones.",
)
@setting(
    "--network",
    type=click.Choice(["devnet", "regtest"]),
    default="devnet",
    show_default=True,
    help="devnet: real proof of work. regtest: Bitcoin's test rules, a block at each spacing.",
)
@setting(
    "--spacing",
    "spacing_s",
    type=click.IntRange(1, SPACING_MAX_S),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Time between blocks that the difficulty aims at.",
)
@setting(
    "--mine-duty",
    type=click.IntRange(1, 100),
    default=DUTY_DEFAULT,
    show_default=True,
    metavar="PERCENT",
    help="Percent of a core that each miner uses.",
)
@setting(
    "--api-port",
    type=click.IntRange(1024, PORT_MAX),
    default=API_PORT_DEFAULT,
    show_default=True,
    metavar="BASE",
    help="Node i's API is at BASE + 2i, its P2P at BASE + 2i + 1.",
)
@setting(
    "--attach/--detach",
    help="Show the logs, and stop the network at Ctrl-C; or return once it runs.  [default: detach]",
)
@groatd_options
@everywhere()
@click.pass_context
def up(context: click.Context, attach: bool, plain: bool, groatd_options: tuple[str, ...], **plan: Any) -> None:
    """Start the network, or start it again as it was. A higher --nodes adds nodes.

    \b
    Options of groatd behind -- are given to every node, now and at later starts.
    With --zmq tcp://HOST:PORT node i publishes at PORT + 10i.

    \b
    Examples:
      devnet up
      devnet up --network regtest --spacing 2 --attach
      devnet up -- --cors-origin http://localhost:3000
    """
    shared = context.ensure_object(Shared)
    if attach and shared.as_json:
        raise click.UsageError("--attach shows logs: it does not go with --json")
    # A terminated `up` takes its half-made network with it, as an interrupted one does; and that one also
    # where a script has started it in the background, for which shells have it ignore interrupts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    chosen = {name for name in plan if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    options = options_given(groatd_options, plain)
    check_for_all(options or ())
    devnet = launch.up(shared.folder, launch.Plan(**plan, options=options), chosen, shared.screen)
    if shared.as_json:
        write_json(status_document(devnet))
        return
    show_status(devnet)
    show_next_steps(devnet)
    if attach:
        _attend(devnet, shared.screen)


def _attend(devnet: Devnet, screen: Screen) -> None:
    """Show every node's log until Ctrl-C, then stop the network; or until somebody else stops it."""
    indexes = range(devnet.nodes)
    click.echo()
    click.echo("Attached: Ctrl-C stops the network.")
    try:
        logs.follow(
            [devnet.log(index) for index in indexes],
            lambda index, line: click.echo(f"node{index} {line}"),
            lambda: any(network.is_running(load(devnet.folder) or devnet, index) for index in indexes),
        )
    except KeyboardInterrupt:
        with locked(devnet.folder, screen.note), screen.step("stopping the nodes") as say:
            network.stop(load_existing(devnet.folder), indexes, say, force=True)


@cli.command()
@everywhere()
@click.pass_obj
def status(shared: Shared) -> None:
    """Show what every node is doing, and what the wallet can spend.

    \b
    Examples:
      devnet status
      devnet status --json
    """
    devnet = load_existing(shared.folder)
    if shared.as_json:
        write_json(status_document(devnet))
    else:
        show_status(devnet)


@cli.command()
@click.argument("address")
@click.argument("amount")
@everywhere()
@click.pass_obj
def fund(shared: Shared, address: str, amount: str) -> None:
    """Pay AMOUNT coins, or max, to ADDRESS from the devnet's wallet.

    \b
    Examples:
      devnet fund bcrt1q... 0.5
      devnet fund bcrt1q... 1500sat
    """
    devnet = load_existing(shared.folder)
    amount_sat = funds.read_payment(address, amount)
    with shared.screen.step("paying"):
        payment = funds.pay(devnet, devnet.api_url(running_node(devnet, None)), address, amount_sat)
    if shared.as_json:
        write_json({"address": address, **payment})
    else:
        click.echo(payment["txid"])


@cli.command(short_help="Mine BLOCKS blocks now.")
@click.argument("blocks", type=click.IntRange(1, BLOCKS_MAX))
@setting("--node", type=int, metavar="I", help="Index of the node that mines.  [default: the first that runs]")
@setting("--to", metavar="ADDRESS", help="The address that the blocks pay to.  [default: the devnet's wallet]")
@everywhere()
@click.pass_obj
def mine(shared: Shared, blocks: int, node: int | None, to: str | None) -> None:
    """Mine BLOCKS blocks now, by real work where the network asks for it.

    \b
    Examples:
      devnet mine 6
      devnet mine 1 --node 2 --to bcrt1q...
    """
    devnet, screen = load_existing(shared.folder), shared.screen
    index = running_node(devnet, node)
    payee = devnet.address
    if to is not None:
        funds.read_address(to, "--to")
        payee = to
    miner = network.client(devnet, index, MINE_TIMEOUT_S)
    hashes: list[str] = []
    with screen.bar(f"mining {blocks} block{'s' if blocks > 1 else ''}", blocks) as progress:
        while len(hashes) < blocks:
            # An empty list where the node gave up after its own number of tries: once more then.
            hashes += miner.rpc("generatetoaddress", 1, payee)
            progress(len(hashes))
    if shared.as_json:
        write_json({"node": index, "hashes": hashes})
    else:
        for block_hash in hashes:
            click.echo(block_hash)


@cli.command("open")
@setting("--node", type=int, metavar="I", help="Index of the node.  [default: the first that runs]")
@setting("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@everywhere()
@click.pass_obj
def open_command(shared: Shared, node: int | None, no_browser: bool) -> None:
    """Open a node's explorer in a browser, and print its address.

    \b
    Examples:
      devnet open
      devnet open --node 1 --no-browser
    """
    devnet = load_existing(shared.folder)
    index = running_node(devnet, node)
    url = f"{devnet.api_url(index)}/explorer/"
    opened = not no_browser and webbrowser.open(url)
    if shared.as_json:
        write_json({"node": index, "url": url, "opened": opened})
        return
    click.echo(url)
    if not opened and not no_browser:
        click.echo("no browser was found here: open this address in one", err=True)


@cli.command()
@setting("--wipe", is_flag=True, help="Delete the chain, the wallet and whatever else this devnet has made.")
@everywhere()
@click.pass_obj
def down(shared: Shared, wipe: bool) -> None:
    """Stop all nodes. `devnet up` starts them again, unless they were wiped.

    \b
    Examples:
      devnet down
      devnet down --wipe
    """
    _load_any(shared)
    left: list[str] = []
    with locked(shared.folder, shared.screen.note), shared.screen.step("stopping the nodes") as say:
        devnet = _load_any(shared)
        running = [index for index in range(devnet.nodes) if network.is_running(devnet, index)]
        devnet = network.stop(devnet, running, say, force=True)
        if wipe:
            say("deleting the devnet")
            files.remove(devnet)
            left = files.remove_folder(devnet)
    if shared.as_json:
        write_json({"stopped": running, "wiped": wipe, "left": left})
        return
    plural = "" if len(running) == 1 else "s"
    click.echo(f"stopped {len(running)} node{plural}" + (f", wiped {devnet.folder}" if wipe else ""))
    if left:
        more = f" and {len(left) - LEFT_SHOWN_MAX} more" if len(left) > LEFT_SHOWN_MAX else ""
        click.echo(f"left there, not the devnet's: {', '.join(left[:LEFT_SHOWN_MAX])}{more}")


def _load_any(shared: Shared) -> Devnet:
    """The devnet, whole or not. Raises DevnetError if there is none."""
    devnet = load(shared.folder)
    if not devnet:
        raise DevnetError(f"there is no devnet in {shared.folder}")
    return devnet


def main() -> None:
    """The console script."""
    run(cli, "devnet")
