"""The command line's frame: global options before or after any subcommand, errors as one line,
tables and colour for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource
from platformdirs import user_data_path

from wallet.errors import InvalidValue, WalletError
from wallet.networks import DEFAULT_NODE

PASSWORD_VARIABLE = "GROAT_WALLET_PASSWORD"
PASSWORD_BYTES_MAX = 4_096
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
EPILOG = """\b
Every option is also an environment variable: GROAT_ and its name
(GROAT_WALLET, GROAT_NODE, GROAT_FEE_RATE, ...), and GROAT_WALLET_PASSWORD
holds the password.
\b
Completion in your shell: put one of these into its start-up file.
  bash  eval "$(_WALLET_COMPLETE=bash_source wallet)"
  zsh   eval "$(_WALLET_COMPLETE=zsh_source wallet)"
  fish  _WALLET_COMPLETE=fish_source wallet | source"""


@dataclass(slots=True)
class Settings:
    """The global options."""

    json: bool = False
    wallet: Path = field(default_factory=lambda: user_data_path("groat") / "wallet.json")
    nodes: list[str] = field(default_factory=list)
    """Nodes named on the command line."""
    nodes_around: list[str] = field(default_factory=list)
    """Nodes named in the environment: used where the command line names none."""
    password_file: Path | None = None

    @property
    def node_urls(self) -> list[str]:
        """Nodes to try, best first."""
        return self.nodes or self.nodes_around or [DEFAULT_NODE]

    def password(self, *, confirm: bool = False) -> str:
        """The password from the file, the environment, or a person. Raises WalletError where none of them has it."""
        if self.password_file is not None:
            return _password_from(self.password_file)
        if (password := os.environ.get(PASSWORD_VARIABLE)) is not None:
            return password
        if not sys.stdin.isatty():
            raise WalletError(f"no password: give --password-file FILE, or set {PASSWORD_VARIABLE}")
        prompt = "New password" if confirm else "Password"
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))


def _password_from(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(PASSWORD_BYTES_MAX + 1)
        if len(content) > PASSWORD_BYTES_MAX:
            raise WalletError(f"{path} is too long to be a password file")
        password = content.decode()
    except OSError as error:
        raise WalletError(f"cannot read the password file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WalletError(f"the password file {path} is not UTF-8 text") from error
    return password.removesuffix("\r\n" if password.endswith("\r\n") else "\n")


def _keep(context: click.Context, param: click.Parameter, given: Any) -> None:
    """Store a global option, wherever it stood, in the one Settings."""
    settings = context.ensure_object(Settings)
    if not given:
        return
    if param.name == "node":
        around = context.get_parameter_source("node") is ParameterSource.ENVIRONMENT
        (settings.nodes_around if around else settings.nodes).extend(given)
        return
    if param.name == "password_file" and not Path(given).exists():
        raise WalletError(f"cannot read the password file {given}: there is none")
    setattr(settings, param.name or "", given)


def global_options(*, environment: bool) -> list[click.Parameter]:
    """The options that every command takes. Only the outermost reads the environment, so that what
    stands on the command line wins."""
    file = click.Path(path_type=Path)
    specs: list[tuple[str, str, dict[str, Any]]] = [
        ("--json", "One JSON document on stdout, nothing else.", {"is_flag": True}),
        (
            "--wallet",
            "The wallet file.  [default: wallet.json in your data folder, groat]",
            {"type": file, "metavar": "FILE"},
        ),
        (
            "--node",
            f"A node's API; give several to try the next where one does not answer.  [default: {DEFAULT_NODE}]",
            {"multiple": True, "metavar": "URL"},
        ),
        (
            "--password-file",
            "The password, in a file; one newline at its end is dropped.",
            {"type": file, "metavar": "FILE"},
        ),
    ]
    return [
        click.Option(
            [flag],
            help=text,
            callback=_keep,
            expose_value=False,
            envvar="GROAT_" + flag[2:].upper().replace("-", "_") if environment else None,
            **extra,
        )
        for flag, text, extra in specs
    ]


class _Usage(click.Command):
    """A command whose usage errors always show the usage."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, and say which command an error belongs to."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


class Command(_Usage):
    """A subcommand, with the global options in a section of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = list(self.params)
        self.params += global_options(environment=False)
        for param in self._own:
            if isinstance(param, click.Option) and param.envvar is None:
                param.envvar = "GROAT_" + max(param.opts, key=len)[2:].upper().replace("-", "_")

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options first, then those of all commands."""
        own = [param for param in self._own if isinstance(param, click.Option)]
        shared = [param for param in self.get_params(context) if param not in self._own]
        for title, params in (("Options", own), ("Options of every command", shared)):
            if records := [record for param in params if (record := param.get_help_record(context))]:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(_Usage, click.Group):
    """The whole command line; turns errors into one line and an exit code."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options(environment=True)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.Abort:
            _fail("interrupted", EXIT_INTERRUPTED)
        except click.UsageError as error:
            # A value that cannot be is told in one line: the usage would say nothing about it.
            if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
                _fail(error.format_message(), EXIT_USAGE)
            error.show()
            sys.exit(EXIT_USAGE)
        except click.ClickException as error:
            _fail(error.format_message(), EXIT_FAILED)
        except WalletError as error:
            _fail(str(error), EXIT_USAGE if isinstance(error, InvalidValue) else EXIT_FAILED)
        except UnicodeError:
            _fail("what was typed is not UTF-8 text", EXIT_FAILED)
        except OSError as error:
            _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", EXIT_FAILED)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    note(f"Error: {message}")
    sys.exit(code)


def is_terminal() -> bool:
    """True if a person reads stdout."""
    return sys.stdout.isatty()


def is_dialogue() -> bool:
    """True if a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def note(line: str) -> None:
    """Print one line for people, on stderr."""
    click.echo(" ".join(line.split()), err=True)


def write_json(document: object) -> None:
    """The one JSON document of a command."""
    click.echo(json.dumps(document, indent=2 if is_terminal() else None))


def write_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str] = (),
    *,
    details: Sequence[Sequence[str]] = (),
) -> None:
    """Aligned columns, with colour on a terminal. `numbers` names the columns that are set to the
    right, `details` has what follows each row on indented lines of its own."""
    coloured = is_terminal() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for place, line in enumerate([columns, *rows]):
        cells = []
        for cell, width, column in zip(line, widths, columns, strict=True):
            aligned = cell.rjust(width) if column in numbers else cell.ljust(width)
            style = _style(cell) if place else {"bold": True}
            cells.append(click.style(aligned, **style) if coloured and style else aligned)
        click.echo("  ".join(cells).rstrip())
        for detail in details[place - 1] if place and details else ():
            click.echo(f"  {detail}")


def _style(cell: str) -> dict[str, Any]:
    if cell.startswith(("unconfirmed", "immature")):
        return {"fg": "yellow"}
    if cell[:1] in "+-" and cell[1:2].isdigit():
        return {"fg": "green" if cell[0] == "+" else "red"}
    return {}


@contextmanager
def busy(text: str) -> Iterator[None]:
    """A spinner on the terminal while something takes long."""
    if not sys.stderr.isatty():
        yield
        return
    # Imported here: programs need not wait for it.
    with import_module("rich.console").Console(stderr=True).status(text):
        yield
