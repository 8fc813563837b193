"""Reading the nodes' logs while they are written."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

POLL_S = 0.2
CHUNK_BYTES = 64 * 1024


class Follower:
    """The lines that a log gets from now on; goes on with the new file when the log is rotated."""

    def __init__(self, log: Path, *, from_start: bool = False) -> None:
        self._log = log
        self._file = self._open()
        self._rest = b""
        if self._file and not from_start:
            self._file.seek(0, os.SEEK_END)

    def _open(self) -> BinaryIO | None:
        try:
            return open(self._log, "rb")
        except FileNotFoundError:
            return None

    def _rotated(self) -> bool:
        try:
            return not self._file or os.fstat(self._file.fileno()).st_ino != self._log.stat().st_ino
        except FileNotFoundError:
            return False

    def new_lines(self) -> list[str]:
        """The whole lines that have come since the last call, at most CHUNK_BYTES of them."""
        chunk = self._file.read(CHUNK_BYTES) if self._file else b""
        if not chunk and self._rotated():
            self.close()
            self._file = self._open()
            return []
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        if self._file:
            self._file.close()


def follow(logs: Iterable[Path], show: Callable[[int, str], None], go_on: Callable[[], bool]) -> None:
    """Show (position in `logs`, line) for every new line, until `go_on` says no."""
    followers = [Follower(log) for log in logs]
    try:
        while True:
            shown = 0
            for position, follower in enumerate(followers):
                for line in follower.new_lines():
                    show(position, line)
                    shown += 1
            if not shown:
                if not go_on():
                    return
                time.sleep(POLL_S)
    finally:
        for follower in followers:
            follower.close()
