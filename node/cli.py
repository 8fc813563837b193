"""groatd's command line: options, and which of the commands is meant."""

import gc
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from json import dumps
from pathlib import Path
from typing import Any

import click

from node.interface.settings import (
    BULK_KB,
    BULK_KB_MAX,
    ENGINES,
    INTERVAL_MAX_S,
    MINE_INTERVAL_S,
    ROLES,
    THREADS_MAX,
    BadOption,
    ConfigError,
)

CONFIG, DAEMON, LEDGER_TOOLS = "node.config", "node.daemon", "node.ledger_tools"
"""Imported where a command is carried out: `--help` is to be there at once."""
ENVIRONMENT = "GROAT"
"""Prefix of an option's name in the environment: GROAT_MINE_THREADS."""
FAILED, MISUSED = 1, 2
"""Exit statuses."""
EPILOG = """
\b
Examples:
  groatd                        regtest, API at http://127.0.0.1:18443
  groatd --mine bcrt1q... --mine-interval 5
  groatd --datadir ~/b --api 127.0.0.1:18445 --p2p 127.0.0.1:18446 \\
      --bootstrap 127.0.0.1:18444
  groatd --network ~/.local/share/groat/devnet/network.toml \\
      --datadir ~/c --api 127.0.0.1:18461 --p2p 127.0.0.1:18462 \\
      --bootstrap 127.0.0.1:18444
  groatd verify --deep

\b
Completion for bash (zsh and fish alike):
  eval "$(_GROATD_COMPLETE=bash_source groatd)"
"""


def main() -> None:
    """The console script: errors are one line and exit 1; for wrong usage, bad values included, exit 2."""
    try:
        exit_code = groatd.main(standalone_mode=False, prog_name="groatd")
    except click.UsageError as error:
        if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
            exit_code = _fail(error.format_message(), MISUSED)  # usage lines would not help
        else:
            error.ctx = error.ctx or click.Context(groatd, info_name="groatd")  # so that it shows the usage
            error.show()
            exit_code = MISUSED
    except BadOption as error:
        exit_code = _fail(str(error), MISUSED)
    except (ConfigError, click.ClickException) as error:
        exit_code = _fail(error.format_message() if isinstance(error, click.ClickException) else str(error))
    except (click.Abort, KeyboardInterrupt):
        exit_code = 1
    sys.exit(exit_code or 0)


def _fail(reason: str, exit_code: int = FAILED) -> int:
    click.echo(f"groatd: {' '.join(reason.split())}", err=True)
    return exit_code


def _read_toml(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """Make a file's keys the defaults of the options of the same name."""
    if name is None:
        return None
    try:
        settings = tomllib.loads(Path(name).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--config: cannot read {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested too deeply
        raise ConfigError(f"--config: {name} is not valid TOML: {error}") from None
    options = {option.name: option for option in context.command.params if isinstance(option, click.Option)}
    defaults = {}
    for key, setting in settings.items():
        option = options.get(key.replace("-", "_"))
        if option is None or option is parameter or not option.expose_value:
            raise BadOption(f"--config: {name} has an unknown key {key!r}")
        defaults[key.replace("-", "_")] = _toml_value(option, setting, f"--config: {key} in {name}")
    context.default_map = defaults
    return name


def _toml_value(option: click.Option, setting: Any, where: str) -> Any:
    """The setting if it is of the option's type; a list for an option that may be repeated."""
    if option.multiple:
        settings = setting if isinstance(setting, list) else [setting]
        return [_toml_value_of(str, each, where) for each in settings]
    if option.is_flag:
        return _toml_value_of(bool, setting, where)
    kinds: dict[str, Any] = {"integer range": int, "float range": (int, float)}
    return _toml_value_of(kinds.get(option.type.name, str), setting, where)


def _toml_value_of(kind: Any, setting: Any, where: str) -> Any:
    if not isinstance(setting, kind) or (isinstance(setting, bool) and kind is not bool):
        raise BadOption(f"{where} is of the wrong type")
    return setting


@click.group(
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={
        "auto_envvar_prefix": ENVIRONMENT,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 80,
    },
)
@click.option(
    "--network",
    default="regtest",
    show_default=True,
    metavar="regtest|FILE",
    help="The network: regtest, or a network's TOML file.",
)
@click.option(
    "--datadir",
    metavar="DIR",
    help="Folder for the data, with one folder per network.  [default: groat in the user's data folder]",
)
@click.option(
    "--api",
    multiple=True,
    default=["127.0.0.1:18443"],
    show_default=True,
    metavar="HOST:PORT",
    help="Address of the API: explorer, REST and JSON-RPC. May be repeated.",
)
@click.option(
    "--p2p",
    default="127.0.0.1:18444",
    show_default=True,
    metavar="HOST:PORT",
    help="Address for connections from other nodes.",
)
@click.option(
    "--unlisted",
    is_flag=True,
    help="Do not advertise this node's address: nobody could reach it there (NAT, laptop).",
)
@click.option("--peer", multiple=True, metavar="HOST:PORT", help="A node to stay connected to. May be repeated.")
@click.option(
    "--bootstrap",
    multiple=True,
    metavar="HOST:PORT",
    help="A node to find the first peers from; it need not be there later. May be repeated.",
)
@click.option(
    "--discovery",
    default="gossip,kademlia",
    show_default=True,
    metavar="WAYS",
    help="How to find other nodes: gossip, kademlia, or both; or tracker: only introduce others to each other.",
)
@click.option(
    "--minimum-work",
    metavar="HEX",
    help="Minimum chain work, in hex as in getblockchaininfo: branches with less are not kept.",
)
@click.option(
    "--name",
    default="",
    metavar="NAME",
    help="A name for this node: on the explorer's pages, and in the coinbase of blocks that it mines.",
)
@click.option("--mine", metavar="ADDRESS", help="Mine, and pay the block rewards to this address.")
@click.option(
    "--mine-threads",
    type=click.IntRange(1, THREADS_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of miner processes.",
)
@click.option(
    "--mine-duty",
    type=click.IntRange(1, 100),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Percent of the time that each miner process works.",
)
@click.option(
    "--mine-interval",
    type=click.FloatRange(0.001, INTERVAL_MAX_S),
    default=MINE_INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time between blocks on regtest.",
)
@click.option(
    "--no-index", is_flag=True, help="Keep no indexes of transactions and addresses: much of the REST API is off."
)
@click.option("--rpc-user", metavar="USER", help="A user name for JSON-RPC; the cookie works as well.")
@click.option("--rpc-password", metavar="PASSWORD", help="The password of --rpc-user.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Another host name under which the API may be called. May be repeated.",
)
@click.option(
    "--cors-origin",
    multiple=True,
    metavar="ORIGIN",
    help="A web origin, such as http://localhost:3000, whose pages may use the API; * allows all. May be repeated.",
)
@click.option(
    "--zmq",
    multiple=True,
    metavar="ADDRESS",
    help="Publish ZeroMQ notifications at this address, such as tcp://127.0.0.1:28332. May be repeated.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format of log lines."
)
@click.option("--log-file", metavar="FILE", help="Log to this file, which is rotated, instead of standard error.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="Library that verifies signatures."
)
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=ROLES[0],
    show_default=True,
    help="What the node does for others: everything; serve recent blocks only; relay only; headers only.",
)
@click.option(
    "--bulk-budget",
    type=click.IntRange(1, BULK_KB_MAX),
    default=BULK_KB,
    show_default=True,
    metavar="KB",
    help="Upload of old blocks and headers per second before it is rationed.",
)
@click.option("--check", is_flag=True, help="Check the options and the --config file, and end.")
@click.option("--json", is_flag=True, help="verify, reindex: print one JSON document.")
@click.option(
    "--config", is_eager=True, callback=_read_toml, metavar="FILE", help="TOML file with any of these options as keys."
)
@click.version_option(
    package_name="groat", message="groatd, groat %(version)s", help="Show the version.", allow_from_autoenv=False
)
@click.pass_context
def groatd(context: click.Context, json: bool, check: bool, **given: Any) -> int | None:
    """A Bitcoin-format proof-of-work node. Without a command it runs.

    Every option can also be set in the environment (GROAT_MINE_THREADS for --mine-threads) and in
    the file named by --config (mine-threads = 2).
    """
    context.obj = given
    if context.invoked_subcommand is not None:
        return None
    config = _load(CONFIG).read_config(**given)
    if check:
        return None
    fault = _load(DAEMON).run_node(config)
    if fault is None:
        return None
    return _fail(fault) if config.log_file else 1  # or it stands on the terminal already


def _load(module: str) -> Any:
    """Import a module that carries out commands."""
    # Importing makes 100,000 objects and no garbage: the collector would take a seventh of the start.
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _of_ledger(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of the commands that work on a data directory, after the command too."""
    json = click.option("--json", is_flag=True, help="Print one JSON document.")
    datadir = click.option("--datadir", metavar="DIR", help="Folder for the data.")
    network = click.option("--network", metavar="regtest|FILE", help="The network.")
    return click.pass_obj(network(datadir(json(command))))


@groatd.command(short_help="Check all stored data.")
@click.option("--deep", is_flag=True, help="Connect every block again, signatures included.")
@_of_ledger
def verify(given: dict[str, Any], network: str | None, datadir: str | None, json: bool, deep: bool) -> None:
    """Read every stored row and check the ledger; print height, tip and digest.

    The node must be stopped. Nothing is written but a note of damage, so that the
    next start repairs it.

    \b
    Examples:
      groatd verify
      groatd verify --deep --json
    """
    config = _config_of(given, network, datadir)
    with _Bar("verifying") as bar:
        facts = _load(LEDGER_TOOLS).verify(config, deep, bar.show)
    _print_facts(facts, json)


@groatd.command(short_help="Rebuild the ledger from the stored blocks.")
@_of_ledger
def reindex(given: dict[str, Any], network: str | None, datadir: str | None, json: bool) -> None:
    """Rebuild the ledger from the stored blocks (after --no-index: without indexes).

    \b
    Examples:
      groatd reindex
      groatd --no-index reindex
    """
    config = _config_of(given, network, datadir)
    with _Bar("reindexing") as bar:
        facts = _load(LEDGER_TOOLS).reindex(config, bar.show)
    _print_facts(facts, json)


def _config_of(given: dict[str, Any], network: str | None, datadir: str | None) -> Any:
    after = {"network": network, "datadir": datadir}
    said = {name: setting for name, setting in after.items() if setting is not None}
    return _load(CONFIG).read_config(**(given | said))


def _print_facts(facts: Any, as_json: bool) -> None:
    tip = facts.hash[::-1].hex()
    if as_json or click.get_current_context().find_root().params["json"]:
        click.echo(dumps({"height": facts.height, "tip": tip, "digest": f"{facts.digest:0128x}"}))
        return
    click.echo(f"height {facts.height}\ntip {tip}\ndigest {facts.digest:0128x}")


class _Bar:
    """A progress line on a terminal; nothing elsewhere."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            click.echo("\r\x1b[K", nl=False, err=True)

    def show(self, done: int, total: int) -> None:
        """Show that `done` of `total` blocks are done."""
        if self._is_terminal:
            click.echo(f"\r{self._label}: block {done} of {total}\x1b[K", nl=False, err=True)
