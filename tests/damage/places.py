"""What is done to which file, drawn by lot."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.damage.logfile import HEADER_SIZE, LENGTH_HIGH, record_offsets

PARTS = ("blocks", "ledger", "filters")
LEFT_OUT = ("LOCK", "LOG", "LOG.old")
"""What nobody reads."""
ZEROS = (1, HEADER_SIZE, 64, 4096)


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

    file: str
    """Relative to the network's folder."""
    harm: Harm
    at: int
    """The first byte."""
    size: int = 1
    """Bytes that become zeros; for a flip, which bit."""
    live: bool = False
    """Done while the node runs, not before its start."""

    def __str__(self) -> str:
        return f"{self.harm} {self.file} at {self.at} ({self.size}{', while running' if self.live else ''})"

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


def draw(folder: Path, rng: random.Random) -> Iterator[Place]:
    """Places without end, over all files of the three databases."""
    files = [
        path
        for part in PARTS
        for path in sorted((folder / part).iterdir())
        if path.name not in LEFT_OUT and path.stat().st_size
    ]
    while True:
        path = rng.choice(files)
        file, size = str(path.relative_to(folder)), path.stat().st_size
        if path.suffix == ".log" or path.name.startswith("MANIFEST"):
            offsets = list(record_offsets(path.read_bytes()))
            yield Place(file, Harm.LENGTH, rng.choice(offsets) + LENGTH_HIGH)
            yield Place(file, Harm.HEADER, rng.choice(offsets), HEADER_SIZE)
        # Of a file that is in use only the bytes are changed: to read behind the end of a mapped one kills.
        live = path.suffix == ".ldb" and rng.random() < 0.3
        at = rng.randrange(size)
        yield Place(file, Harm.FLIP, at, rng.randrange(8), live)
        yield Place(file, Harm.ZERO, rng.randrange(size), rng.choice(ZEROS), live)
        if rng.random() < 0.5:
            yield Place(file, Harm.CUT, rng.choice((rng.randrange(size), max(0, size - rng.randrange(1, 200)))))
