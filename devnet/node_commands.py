"""The `devnet` subcommands that are about one node: stop, start, add, kill, logs, open."""

from collections.abc import Callable
from typing import Any

import click

from devnet import logs, network
from devnet.groatdoptions import read_options
from devnet.later import launch, webbrowser
from devnet.options import Shared, everywhere, setting
from devnet.screen import write_json
from devnet.state import Devnet, DevnetError, load_existing, locked

LINES_DEFAULT = 20
LINES_MAX = 10_000

handed_on = click.argument("groatd_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- GROATD_OPTIONS]")
"""Options of groatd behind `--`."""


def groatd_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of groatd behind `--`, and --plain to forget them."""
    return setting("--plain", is_flag=True, help="Forget the options of groatd given before.")(handed_on(command))


def options_given(words: tuple[str, ...], plain: bool) -> tuple[str, ...] | None:
    """The options of groatd to start nodes with, or None for those that they had."""
    return read_options(words) if words or plain else None


def running_node(devnet: Devnet, index: int | None) -> int:
    """Index of the node asked for, or of the first that runs. Raises DevnetError if it does not run."""
    if index is None:
        for index in range(devnet.nodes):
            if network.is_running(devnet, index):
                return index
        raise DevnetError("no node is running: `devnet up` starts them")
    if not network.is_running(devnet, devnet.check_index(index)):
        raise DevnetError(f"node {index} is not running: `devnet start {index}` starts it")
    return index


@click.command()
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


@click.command(short_help="Start node INDEX again.")
@click.argument("index", type=int)
@groatd_options
@everywhere()
@click.pass_obj
def start(shared: Shared, index: int, plain: bool, groatd_options: tuple[str, ...]) -> None:
    """Start node INDEX again, with the same options as before, or with those of groatd behind --.

    \b
    Examples:
      devnet start 1
      devnet start 2 -- --role light
    """
    options = options_given(groatd_options, plain)
    _change(shared, index, "starting", lambda devnet, say: launch.start(devnet, index, options, say))


@click.command(short_help="Add a node while the network runs.")
@handed_on
@everywhere()
@click.pass_obj
def add(shared: Shared, groatd_options: tuple[str, ...]) -> None:
    """Add a node to the network, while it runs, with the options of groatd behind --.

    \b
    Examples:
      devnet add
      devnet add -- --role pruned
    """
    options = read_options(groatd_options)
    load_existing(shared.folder)
    with locked(shared.folder, shared.screen.note):
        devnet = launch.add(load_existing(shared.folder), options, shared.screen)
    _tell_change(shared, devnet, devnet.nodes - 1)


@click.command()
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
    with locked(shared.folder, shared.screen.note), shared.screen.step(f"{verb} node {index}") as say:
        devnet = change(load_existing(shared.folder), say)
    _tell_change(shared, devnet, index)


def _tell_change(shared: Shared, devnet: Devnet, index: int) -> None:
    process, running = devnet.processes[index], network.is_running(devnet, index)
    if shared.as_json:
        write_json({"index": index, "pid": process.pid if process else None, "running": running})
    else:
        click.echo(f"node {index} {'runs at ' + devnet.api_url(index) if running else 'is stopped'}")


@click.command("logs")
@click.argument("index", type=int)
@setting(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=LINES_DEFAULT,
    show_default=True,
    metavar="N",
    help="Number of lines.",
)
@setting("-f", "--follow", is_flag=True, help="Show new lines too, until Ctrl-C.")
@everywhere()
@click.pass_obj
def logs_command(shared: Shared, index: int, lines: int, follow: bool) -> None:
    """Show the end of node INDEX's log.

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


@click.command("open")
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


NODE_COMMANDS = (stop, start, add, kill, logs_command, open_command)
