"""What people see: progress and tables on a terminal, plain lines elsewhere, or one JSON document."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class Screen:
    """Facts go to standard output, progress to standard error."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        """One document on standard output, and nothing else."""
        self._progress = Console(stderr=True, quiet=as_json)
        self._facts = Console(highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """While something takes its time: a spinner with `text`, replaced by what it is called with."""
        if self._progress.is_terminal and not self.as_json:
            with self._progress.status(escape(text)) as status:
                yield lambda text: status.update(escape(text))
        else:
            self.note(text)
            yield lambda _: None

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar, moved by calling it with how much is done."""
        if not self._progress.is_terminal or self.as_json:
            with self.step(text):
                yield lambda _: None
            return
        columns = (TextColumn(escape(text)), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._progress, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda done: progress.update(task, completed=done)

    def note(self, text: str) -> None:
        """A line for people only."""
        self._progress.print(text, highlight=False, markup=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        """A line of the answer."""
        self._facts.print(text, markup=False)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows in columns: with a frame on a terminal, aligned by spaces elsewhere."""
        if self._facts.is_terminal:
            table = Table(*headers)
            for row in rows:
                table.add_row(*row)
            self._facts.print(table)
            return
        widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
        for row in (headers, *rows):
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def document(self, facts: Any) -> None:
        """The JSON document."""
        print(json.dumps(facts, indent=2))

