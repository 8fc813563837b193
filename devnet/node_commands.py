"""The `devnet` command's subcommands for one node: stop, start, add, kill, logs."""

from collections.abc import Callable

import click

from devnet import logs, network
from devnet.groatdoptions import read_options
from devnet.later import launch
from devnet.options import Shared, everywhere, groatd_options, handed_on, options_given, setting
from devnet.screen import write_json
from devnet.state import Devnet, load_existing, locked

LINES_DEFAULT = 20
LINES_MAX = 10_000


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


NODE_COMMANDS = (stop, start, add, kill, logs_command)
"""In the order of a node's life."""
