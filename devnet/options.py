"""What all of devnet's commands have in common: options anywhere, and errors as one line."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import platformdirs

from devnet.screen import Screen
from devnet.state import DevnetError
from wallet.errors import WalletError

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def default_folder() -> Path:
    """Where a devnet lives if nobody says otherwise."""
    return platformdirs.user_data_path("groat") / "devnet"


@dataclass(slots=True)
class Shared:
    """What the global options say; they may stand before and after a subcommand."""

    folder: Path = field(default_factory=default_folder)
    as_json: bool = False

    @property
    def screen(self) -> Screen:
        """Where people see what is going on."""
        return Screen(quiet=self.as_json)


def setting(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option that the environment variable GROAT_DEVNET_<ITS LONG NAME> sets too."""
    long = next(name for name in names if name.startswith("--"))
    variable = long.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=f"GROAT_DEVNET_{variable}", show_envvar=True, **attributes)


def _keep(context: click.Context, parameter: click.Parameter, given: Any) -> None:
    if given is not None:
        setattr(context.ensure_object(Shared), str(parameter.name), given)


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
    try:
        outcome = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.MissingParameter as error:
        error.show()
        sys.exit(error.exit_code)
    except click.BadParameter as error:
        # A bad value: usage lines would not help.
        fail(error.format_message())
    except click.UsageError as error:
        # An option without its argument knows no context.
        error.ctx = error.ctx or click.Context(command, info_name=name)
        error.show()
        sys.exit(error.exit_code)
    except (DevnetError, WalletError) as error:
        fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; say nothing, not even at exit
        sys.exit(1)
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}")


def fail(text: str) -> NoReturn:
    """One line, and exit status 1."""
    click.echo(f"Error: {' '.join(text.split())}", err=True)
    sys.exit(1)
