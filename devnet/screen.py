"""Output for people: spinners and progress bars, tables; plain lines without a terminal, nothing with --json."""

import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import click

from devnet.later import console, markup, progress


class Screen:
    """Progress, on standard error."""

    def __init__(self, *, quiet: bool = False, wording: Callable[[str], str] = str) -> None:
        """`wording` is how a message reads to this user."""
        self._quiet = quiet
        self._wording = wording
        self._animated = sys.stderr.isatty() and not quiet

    def note(self, text: str) -> None:
        """A line for people."""
        if not self._quiet:
            click.echo(self._wording(text), err=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """While something takes its time: a spinner with `text`, replaced by what it is called with."""
        if not self._animated:
            self.note(text)
            yield lambda _: None
            return

        with console.Console(stderr=True).status(markup.escape(text)) as status:
            yield lambda text: status.update(markup.escape(text))

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar, moved by calling it with how much is done."""
        if not self._animated:
            self.note(text)
            yield lambda _: None
            return

        label = progress.TextColumn(markup.escape(text))
        columns = (label, progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeElapsedColumn())
        with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as moving:
            task = moving.add_task(text, total=total)
            yield lambda done: moving.update(task, completed=done)


def write_json(document: object) -> None:
    """The one JSON document of a command."""
    click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


def write_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str], colours: Sequence[str | None]
) -> None:
    """Aligned columns; `numbers` names those set to the right, `colours` has one for each row, or None."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line, colour in zip(lines, (None, *colours), strict=True):
        cells = (
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        write_line("  ".join(cells).rstrip(), colour, bold=line is columns)


def write_line(text: str, colour: str | None = None, *, bold: bool = False) -> None:
    """A line on standard output, in colour where that is wanted."""
    if (colour or bold) and _takes_colour():
        text = click.style(text, fg=colour, bold=bold or None)
    click.echo(text)


def _takes_colour() -> bool:
    """A terminal that can, whose user has not set NO_COLOR (no-color.org)."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
