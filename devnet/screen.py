"""What people see while they wait: spinners and bars on a terminal, plain lines elsewhere, nothing with --json."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Screen:
    """Progress, on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._animated = self._console.is_terminal and not quiet

    def note(self, text: str) -> None:
        """A line for people."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """While something takes its time: a spinner with `text`, replaced by what it is called with."""
        if not self._animated:
            self.note(text)
            yield lambda _: None
            return
        with self._console.status(escape(text)) as status:
            yield lambda text: status.update(escape(text))

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar, moved by calling it with how much is done."""
        if not self._animated:
            self.note(text)
            yield lambda _: None
            return
        columns = (TextColumn(escape(text)), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda done: progress.update(task, completed=done)
