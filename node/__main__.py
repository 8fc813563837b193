"""groatd: the command line, and the one place where a Config is made."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from platformdirs import user_data_dir

from chain.hashes import to_hex
from node.config import (
    MINE_INTERVAL_S,
    THREADS_MAX,
    Config,
    ConfigError,
    read_endpoint,
    read_mine,
    read_network,
    read_rpc_login,
)
from node.daemon import choose_engine, run, spare_cores
from node.logs import start_logging, stop_logging
from node.maintenance import LedgerFacts, Progress, reindex_ledger, verify_ledger
from node.ports import StoreError
from node.runtime import monotonic
from node.verifying import VerifierPool

ENVIRONMENT = "GROAT"
"""In front of an option's name in the environment: GROAT_MINE_THREADS."""
ENGINES = ("auto", "libsecp256k1", "python")


def main() -> None:
    """The console script: errors in one line, exit 1; wrong usage with a hint, exit 2."""
    try:
        exit_code = groatd.main(standalone_mode=False, prog_name="groatd")
    except click.ClickException as error:
        # A value that cannot be used is no wrong usage.
        if isinstance(error, click.UsageError) and type(error) is not click.BadParameter:
            error.show()
            exit_code = 2
        else:
            exit_code = _fail(error.format_message())
    except (ConfigError, StoreError) as error:
        exit_code = _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        exit_code = 1
    sys.exit(exit_code or 0)


def _fail(reason: str) -> int:
    click.echo(f"groatd: {' '.join(reason.split())}", err=True)
    return 1


def _read_toml(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """Make a file's keys the defaults of the options of the same name."""
    if name is None:
        return None
    try:
        settings = tomllib.loads(Path(name).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--config: cannot read {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config: {name} is no TOML: {error}") from None
    options = {option.name: option for option in context.command.params if isinstance(option, click.Option)}
    defaults = {}
    for key, setting in settings.items():
        option = options.get(key.replace("-", "_"))
        if option is None or option is parameter:
            raise ConfigError(f"--config: {name} has an unknown key {key!r}")
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
    is_number = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    return _toml_value_of((int, float) if is_number else str, setting, where)


def _toml_value_of(kind: Any, setting: Any, where: str) -> Any:
    if not isinstance(setting, kind) or (isinstance(setting, bool) and kind is not bool):
        raise ConfigError(f"{where} is of the wrong type")
    return setting


@click.group(
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": ENVIRONMENT, "help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--network", default="regtest", show_default=True, metavar="regtest|FILE", help="The network: regtest, or a network's TOML file.")
@click.option("--datadir", metavar="DIR", help="Where data is kept, a folder for each network.  [default: the user's data folder]")
@click.option("--api", multiple=True, default=["127.0.0.1:18443"], show_default=True, metavar="HOST:PORT", help="Where explorer, REST and JSON-RPC listen. May be repeated.")
@click.option("--p2p", default="127.0.0.1:18444", show_default=True, metavar="HOST:PORT", help="Where other nodes connect to.")
@click.option("--peer", multiple=True, metavar="HOST:PORT", help="A node to connect to and keep. May be repeated.")
@click.option("--mine", metavar="ADDRESS", help="Mine, and have blocks pay to this address.")
@click.option("--mine-threads", type=click.IntRange(1, THREADS_MAX), default=1, show_default=True, metavar="N", help="Miner processes.")
@click.option("--mine-duty", type=click.IntRange(1, 100), default=100, show_default=True, metavar="PERCENT", help="Share of the time that they work.")
@click.option("--mine-interval", type=click.FloatRange(0.001), default=MINE_INTERVAL_S, show_default=True, metavar="SECONDS", help="Between blocks on regtest.")
@click.option("--no-index", is_flag=True, help="Keep no indexes of transactions and scripts: much of the REST API is off.")
@click.option("--rpc-user", metavar="USER", help="A JSON-RPC login beside the cookie's.")
@click.option("--rpc-password", metavar="PASSWORD", help="Its password.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A further name that the API may be called by. May be repeated.")
@click.option("--cors-origin", multiple=True, metavar="ORIGIN", help="An origin whose pages may use the API; * for all. May be repeated.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Log lines.")
@click.option("--log-file", metavar="FILE", help="Log to this file, which is kept small, not to standard error.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="Who verifies signatures.")
@click.option("--config", is_eager=True, callback=_read_toml, metavar="FILE", help="TOML file with any of these options as keys.")
@click.pass_context
def groatd(context: click.Context, **given: Any) -> int | None:
    """A Bitcoin-format proof-of-work node. Without a command it runs.

    Every option can also be set in the environment (GROAT_MINE_THREADS for --mine-threads) and in
    the file named by --config (mine-threads = 2).
    """
    context.obj = given
    if context.invoked_subcommand is not None:
        return None
    config = _read_config(**given)
    try:
        handler = start_logging(config.log_format, config.log_file)
    except OSError as error:
        raise ConfigError(f"--log-file: cannot write {config.log_file}: {error.strerror}") from None
    try:
        fault = run(config)
    finally:
        stop_logging(handler)
    return _fail(fault) if fault else None
