"""The `devnet` command's subcommands. Command lines are read here, and nowhere else the environment."""

import signal
import webbrowser
from collections.abc import Callable
from typing import Any

import click

from chain.address import AddressError, decode_address
from devnet import funds, launch, logs, network
from devnet.options import Shared, everywhere, run, setting
from devnet.report import show_next_steps, show_status, status_document
from devnet.screen import Screen
from devnet.state import API_PORT_DEFAULT, NODES_MAX, Devnet, DevnetError, load, load_existing, locked
from wallet.amounts import parse_amount
from wallet.console import write_json

EPILOG = """
\b
Examples:
  devnet up                              three nodes, one of them mining
  devnet up --nodes 5 --miners 2 --spacing 5
  devnet status --json
  devnet fund bcrt1q... 1.5
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
"""For one block: real work takes its time."""
LINES_DEFAULT = 20
LINES_MAX = 10_000


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@everywhere(setting)
@click.version_option(package_name="groat", message="devnet, groat %(version)s", help="Show the version.")
@click.pass_context
def cli(context: click.Context) -> None:
    """A network of real proof-of-work nodes on this machine, and a funded wallet.

    `devnet up` starts it, `devnet down` stops it; everything it has lies in one folder.
    """
    context.ensure_object(Shared)


@cli.command()
@setting("--nodes", type=click.IntRange(1, NODES_MAX), default=3, show_default=True, help="How many nodes.")
@setting("--miners", type=click.IntRange(0, NODES_MAX), default=1, show_default=True, help="How many of them mine.")
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
    help="Wanted time between blocks.",
)
@setting(
    "--mine-duty",
    type=click.IntRange(1, 100),
    default=DUTY_DEFAULT,
    show_default=True,
    metavar="PERCENT",
    help="How much of a core each miner uses.",
)
@setting(
    "--api-port",
    type=click.IntRange(1024, launch.PORT_MAX),
    default=API_PORT_DEFAULT,
    show_default=True,
    metavar="BASE",
    help="Node i's API is at BASE + 2i, its P2P at BASE + 2i + 1.",
)
@setting("--attach/--detach", help="Stay, show the logs and stop it all at Ctrl-C; or return.  [default: detach]")
@everywhere()
@click.pass_context
def up(context: click.Context, attach: bool, **plan: Any) -> None:
    """Start the network, or resume it as it was.

    \b
    Examples:
      devnet up
      devnet up --network regtest --spacing 2 --attach
    """
    shared = context.ensure_object(Shared)
    if attach and shared.as_json:
        raise click.UsageError("--attach shows logs: it does not go with --json")
    # A terminated `up` takes its half-made network with it, as an interrupted one does; and that one also
    # where a script has started it in the background, for which shells have it ignore interrupts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    chosen = {name for name in plan if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    devnet = launch.up(shared.folder, launch.Plan(**plan), chosen, shared.screen)
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
        with locked(devnet.folder), screen.step("stopping the nodes") as say:
            network.stop(load_existing(devnet.folder), indexes, say, force=True)


@cli.command()
@everywhere()
@click.pass_obj
def status(shared: Shared) -> None:
    """What every node is doing, and what the wallet holds.

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
    """Pay AMOUNT coins to ADDRESS from the devnet's wallet.

    \b
    Examples:
      devnet fund bcrt1q... 0.5
      devnet fund bcrt1q... 1500sat
    """
    devnet = load_existing(shared.folder)
    amount_sat = parse_amount(amount)
    with shared.screen.step("paying"):
        payment = funds.pay(devnet, devnet.api_url(_any_running(devnet)), address, amount_sat)
    if shared.as_json:
        write_json({"address": address, "amount_sat": amount_sat, **payment})
    else:
        click.echo(payment["txid"])


@cli.command(short_help="Mine BLOCKS blocks now.")
@click.argument("blocks", type=click.IntRange(1, BLOCKS_MAX))
@setting("--node", type=int, metavar="I", help="Which node mines.  [default: the first that runs]")
@setting("--to", metavar="ADDRESS", help="Whom the blocks pay.  [default: the devnet's wallet]")
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
    index = _any_running(devnet) if node is None else devnet.check_index(node)
    payee = to or devnet.address
    try:
        decode_address(payee)
    except AddressError as error:
        raise DevnetError(f"--to: {payee!r} is no address of this network: {error}") from None
    miner = network.client(devnet, index, MINE_TIMEOUT_S)
    hashes: list[str] = []
    with screen.bar(f"mining {blocks} blocks", blocks) as progress:
        while len(hashes) < blocks:
            # An empty list where the node gave up after its own number of tries: once more then.
            hashes += miner.rpc("generatetoaddress", 1, payee)
            progress(len(hashes))
    if shared.as_json:
        write_json({"node": index, "hashes": hashes})
    else:
        for block_hash in hashes:
            click.echo(block_hash)


def _any_running(devnet: Devnet) -> int:
    """The first node that runs. Raises DevnetError if none does."""
    for index in range(devnet.nodes):
        if network.is_running(devnet, index):
            return index
    raise DevnetError("no node is running: `devnet up` resumes them")


@cli.command()
@click.argument("index", type=int)
@everywhere()
@click.pass_obj
def stop(shared: Shared, index: int) -> None:
    """Stop node INDEX cleanly.

    \b
    Example:
      devnet stop 1
    """
    _change(shared, index, "stopping", lambda devnet, say: network.stop(devnet, [index], say))


@cli.command()
@click.argument("index", type=int)
@everywhere()
@click.pass_obj
def start(shared: Shared, index: int) -> None:
    """Start node INDEX again, with the same command line as before.

    \b
    Example:
      devnet start 1
    """
    _change(shared, index, "starting", lambda devnet, say: network.start(devnet, [index], say))


@cli.command()
@click.argument("index", type=int)
@everywhere()
@click.pass_obj
def kill(shared: Shared, index: int) -> None:
    """End node INDEX without warning (SIGKILL), as a crash would.

    \b
    Example:
      devnet kill 2
    """
    _change(shared, index, "killing", lambda devnet, say: network.kill(devnet, index))


def _change(shared: Shared, index: int, verb: str, change: Callable[[Devnet, network.Say], Devnet]) -> None:
    load_existing(shared.folder).check_index(index)
    with locked(shared.folder), shared.screen.step(f"{verb} node {index}") as say:
        devnet = change(load_existing(shared.folder), say)
    process, running = devnet.processes[index], network.is_running(devnet, index)
    if shared.as_json:
        write_json({"index": index, "pid": process.pid if process else None, "running": running})
    else:
        click.echo(f"node {index} {'runs at ' + devnet.api_url(index) if running else 'is stopped'}")


@cli.command("logs")
@click.argument("index", type=int)
@setting(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=LINES_DEFAULT,
    show_default=True,
    help="How many of the last lines.",
)
@setting("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@everywhere()
@click.pass_obj
def logs_command(shared: Shared, index: int, lines: int, follow: bool) -> None:
    """The end of node INDEX's log.

    \b
    Examples:
      devnet logs 0 -n 50
      devnet logs 0 --follow
    """
    devnet = load_existing(shared.folder)
    log = devnet.log(devnet.check_index(index))
    if shared.as_json and follow:
        raise click.UsageError("--follow has no end: it does not go with --json")
    recent = network.tail(log, lines)
    if shared.as_json:
        write_json({"index": index, "file": str(log), "lines": recent})
        return
    for line in recent:
        click.echo(line)
    if follow:
        logs.follow([log], lambda _, line: click.echo(line), lambda: True)


@cli.command("open")
@setting("--node", type=int, metavar="I", help="Whose pages.  [default: the first that runs]")
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
    index = _any_running(devnet) if node is None else devnet.check_index(node)
    if not network.is_running(devnet, index):
        raise DevnetError(f"node {index} is not running: `devnet start {index}` starts it")
    url = f"{devnet.api_url(index)}/explorer/"
    opened = not no_browser and webbrowser.open(url)
    if shared.as_json:
        write_json({"node": index, "url": url, "opened": opened})
        return
    click.echo(url)
    if not opened and not no_browser:
        click.echo("no browser was found here: open this address in one", err=True)


@cli.command()
@setting("--wipe", is_flag=True, help="Delete the chain, the wallet and all else that is this devnet's.")
@everywhere()
@click.pass_obj
def down(shared: Shared, wipe: bool) -> None:
    """Stop all nodes. `devnet up` resumes them, unless they were wiped.

    \b
    Examples:
      devnet down
      devnet down --wipe
    """
    if not load(shared.folder):
        raise DevnetError(f"there is no devnet in {shared.folder}")
    with locked(shared.folder), shared.screen.step("stopping the nodes") as say:
        devnet = load(shared.folder)
        if not devnet:
            raise DevnetError(f"there is no devnet in {shared.folder}")
        running = [index for index in range(devnet.nodes) if network.is_running(devnet, index)]
        devnet = network.stop(devnet, running, say, force=True)
        if wipe:
            launch.wipe(devnet)
    if shared.as_json:
        write_json({"stopped": running, "wiped": wipe})
    else:
        click.echo(f"stopped {len(running)} nodes" + (f", wiped {devnet.folder}" if wipe else ""))


def main() -> None:
    """The console script."""
    run(cli, "devnet")
