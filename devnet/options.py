"""The options that every devnet command takes; errors as one line and an exit status."""

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import platformdirs
from click.core import ParameterSource

from devnet.screen import Screen
from devnet.state import BadValue, DevnetError
from wallet.errors import WalletError

F = TypeVar("F", bound=Callable[..., Any])
FAILED, MISUSED, INTERRUPTED = 1, 2, 130
"""Exit statuses; the last after Ctrl-C, as shells have it."""


def default_folder() -> Path:
    """The folder of a devnet without --dir."""
    return platformdirs.user_data_path("groat") / "devnet"


@dataclass(slots=True)
class Shared:
    """The values of the global options, which may stand before and after a subcommand."""

    folder: Path = field(default_factory=default_folder)
    as_json: bool = False
    folder_given: bool = False
    """The folder stands on the command line, so that other commands for this devnet need it too."""

    @property
    def screen(self) -> Screen:
        """Progress for people."""
        return Screen(quiet=self.as_json, wording=self.worded)

    def worded(self, text: str) -> str:
        """A message whose commands, as in `devnet up`, can be given as they stand."""
        if not self.folder_given:
            return text
        return re.sub("`devnet [a-z]+", lambda command: f"{command[0]} --dir {shlex.quote(str(self.folder))}", text)


def setting(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option that the environment variable GROAT_DEVNET_<ITS LONG NAME> sets too."""
    long = next(name for name in names if name.startswith("--"))
    variable = long.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=f"GROAT_DEVNET_{variable}", show_envvar=True, **attributes)


def _keep(context: click.Context, parameter: click.Parameter, given: Any) -> None:
    if given is not None:
        shared = context.ensure_object(Shared)
        setattr(shared, str(parameter.name), given)
        if parameter.name == "folder":
            shared.folder_given = context.get_parameter_source("folder") is ParameterSource.COMMANDLINE


def everywhere(option: Callable[..., Any] = click.option) -> Callable[[F], F]:
    """--dir and --json. The group's can be set by the environment, which a subcommand's override."""
    shared = {"callback": _keep, "expose_value": False, "default": None}
    # Absolute: nodes run in another folder than we do.
    folder = click.Path(path_type=Path, file_okay=False, resolve_path=True)
    folder_help = f"The devnet's folder.  [default: {default_folder()}]"

    def decorate(command: F) -> F:
        command = option("--json", "as_json", is_flag=True, help="Print one JSON document.", **shared)(command)
        return option("--dir", "folder", type=folder, metavar="DIR", help=folder_help, **shared)(command)

    return decorate


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command line; every failure is a line on standard error and an exit status."""
    shared = Shared()
    try:
        outcome = command.main(prog_name=name, standalone_mode=False, obj=shared)
        sys.stdout.flush()
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.UsageError as error:
        if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
            # A bad value: usage lines would not help.
            fail(error.format_message(), MISUSED)
        # An option without its argument knows no context.
        error.ctx = error.ctx or click.Context(command, info_name=name)
        error.show()
        sys.exit(MISUSED)
    except BadValue as error:
        fail(shared.worded(str(error)), MISUSED)
    except (DevnetError, WalletError) as error:
        fail(shared.worded(str(error)), FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; say nothing, not even at exit
        sys.exit(FAILED)
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}", FAILED)


def fail(text: str, status: int) -> NoReturn:
    """Print an error on one line; returns the exit status."""
    click.echo(f"Error: {' '.join(text.split())}", err=True)
    sys.exit(status)
