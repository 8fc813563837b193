"""What is done to which file, drawn by lot."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.damage.logfile import HEADER_SIZE, LENGTH_HIGH, record_offsets
from tests.damage.tablefile import TableRow, table_rows

PARTS = ("blocks", "ledger", "filters")
LEFT_OUT = ("LOCK", "LOG", "LOG.old")
"""What nobody reads."""
ZEROS = (1, HEADER_SIZE, 64, 4096)
ASKED = {"blocks": b"bu", "ledger": b"cisa", "filters": b"fh"}
"""Beginnings of the keys that questions read and a start does not."""
NOTHING_SPENT = 8
"""Bytes of undo without a coin, which nobody reads."""
LIVE_SHARE = 0.4
"""Of what is done to rows, while the node runs."""


class Harm(StrEnum):
    """A kind of damage."""

    FLIP = "flip"
    ZERO = "zero"
    CUT = "cut"
    LENGTH = "length"
    """The higher bit of a log record's length: the record seems to go beyond the end of the file."""
    HEADER = "header"
    """A log record's header is zeros: what follows in its block seems never to have been written."""


@dataclass(frozen=True)
class Place:
    """One piece of damage."""

    whole: Path
    """The network's folder that is copied and damaged."""
    file: str
    """Relative to that."""
    harm: Harm
    at: int
    """The first byte."""
    size: int = 1
    """Bytes that become zeros; for a flip, which bit."""
    live: bool = False
    """Done while the node runs, not before its start."""

    def __str__(self) -> str:
        when = ", while running" if self.live else ""
        return f"{self.harm} {self.whole.parent.name}: {self.file} at {self.at} ({self.size}{when})"

    @property
    def is_for_start(self) -> bool:
        """True where LevelDB may drop rows without a word: only a start can find that out, and later
        nobody does. Filters that are dropped so are made again."""
        return self.harm in (Harm.LENGTH, Harm.HEADER) and self.file.endswith(".log")

    def damage(self, folder: Path) -> None:
        """Do it, in place: who has the file open sees it."""
        path = folder / self.file
        content = bytearray(path.read_bytes())
        if self.harm is Harm.CUT:
            with path.open("r+b") as file:
                file.truncate(self.at)
            return
        if self.harm is Harm.FLIP:
            changed = bytes((content[self.at] ^ 1 << self.size,))
        elif self.harm is Harm.LENGTH:
            changed = bytes((content[self.at] ^ 0x80,))
        else:
            changed = bytes(min(self.size, len(content) - self.at))
        with path.open("r+b") as file:
            file.seek(self.at)
            file.write(changed)


def draw(folders: Sequence[Path], rng: random.Random) -> Iterator[Place]:
    """Places without end in these networks' folders: half of them in rows that are asked about, half anywhere."""
    files, rows = [], []
    for folder in folders:
        found = [path for part in PARTS for path in sorted((folder / part).iterdir())]
        files.append([path for path in found if path.name not in LEFT_OUT and path.stat().st_size])
        rows.append(_asked_rows(files[-1]))
    while True:
        for folder, paths, kinds in zip(folders, files, rows, strict=True):
            yield _in_row(folder, *rng.choice(rng.choice(kinds)), rng)
            yield from _anywhere(folder, rng.choice(paths), rng)


def _asked_rows(files: Iterable[Path]) -> list[list[tuple[Path, TableRow]]]:
    """For each kind of row that is asked about those that tables hold, with the table."""
    kinds: dict[tuple[str, int], list[tuple[Path, TableRow]]] = {}
    for path in files:
        if path.suffix == ".ldb":
            for row in table_rows(path.read_bytes()):
                if row.size > NOTHING_SPENT and row.key[0] in ASKED[path.parent.name]:
                    kinds.setdefault((path.parent.name, row.key[0]), []).append((path, row))
    return list(kinds.values())


def _in_row(folder: Path, path: Path, row: TableRow, rng: random.Random) -> Place:
    """In a row's value."""
    file, offset, live = str(path.relative_to(folder)), rng.randrange(row.size), rng.random() < LIVE_SHARE
    if rng.random() < 0.5:
        return Place(folder, file, Harm.FLIP, row.at + offset, rng.randrange(8), live)
    # One row alone: the table's index is left as it is.
    return Place(folder, file, Harm.ZERO, row.at + offset, min(rng.choice(ZEROS), row.size - offset), live)


def _anywhere(folder: Path, path: Path, rng: random.Random) -> Iterator[Place]:
    """One or two places in a file, before the start: LevelDB reads a table's index once, when it opens the
    table, and trusts the mapped bytes from then on. What changes there is found at the next start."""
    file, size = str(path.relative_to(folder)), path.stat().st_size
    if path.suffix == ".log" or path.name.startswith("MANIFEST"):
        offsets = list(record_offsets(path.read_bytes()))
        yield Place(folder, file, Harm.LENGTH, rng.choice(offsets) + LENGTH_HIGH)
        yield Place(folder, file, Harm.HEADER, rng.choice(offsets), HEADER_SIZE)
    elif rng.random() < 0.5:
        yield Place(folder, file, Harm.FLIP, rng.randrange(size), rng.randrange(8))
    else:
        yield Place(folder, file, Harm.ZERO, rng.randrange(size), rng.choice(ZEROS))
    if rng.random() < 0.3:
        yield Place(folder, file, Harm.FLIP, rng.randrange(size), rng.randrange(8))
    if rng.random() < 0.2:
        yield Place(folder, file, Harm.CUT, rng.choice((rng.randrange(size), max(0, size - rng.randrange(1, 200)))))
