"""The mempool and the address book in files: taken back at a start, saved from time to time and at the end."""

import contextlib
import logging
from pathlib import Path

from chain.errors import Invalid, Rejected
from chain.tx import Tx
from node.core.node import Node
from node.mempool.persist import load_dump
from node.mempool.policy import Policy, Refused
from node.runtime.runtime import Runtime
from node.secret_files import write_private

log = logging.getLogger("groat.node")

MEMPOOL_SAVE_S = 60.0
"""Seconds between two saves of the mempool."""
BUSY_PAUSE_S = 0.1
"""Before a saved transaction is offered again, for which there was no time to look at it."""
BOOK_SAVE_S = 180.0
"""Seconds between two saves of the address book."""


class SavedFiles:
    """What a node knows of unconfirmed transactions and of other nodes, from one run to the next."""

    def __init__(self, runtime: Runtime, mempool: Path, address_book: Path) -> None:
        self._runtime = runtime
        self._mempool = mempool
        self._address_book = address_book
        self._saved: object = None
        self._loaded = False
        """The saved mempool is back: from now on it may be overwritten."""

    def save(self) -> None:
        """Save both, for the end. Raises NotReady."""
        self._save_book()
        if self._loaded:
            self._save_mempool()

    def load_book(self, core: Node) -> None:
        """Load the address book of the last run; without the file, or with a damaged one, it stays empty."""
        path = self._address_book
        try:
            core.load_book(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, Invalid) as error:
            log.warning("%s is not used: %s", path, error)

    def keep_book(self) -> None:
        """Save the address book from time to time, until the node stops."""
        while not self._runtime.pause(BOOK_SAVE_S):
            self._save_book()

    def _save_book(self) -> None:
        path = self._address_book
        dump = self._runtime.call(lambda node, now: node.dump_book(now), None)
        try:
            write_private(path, dump or b"")
        except OSError as error:
            log.error("cannot save the address book to %s: %s", path, error.strerror)

    def keep_mempool(self) -> None:
        """Take back what was saved, then save from time to time."""
        self._load_mempool()
        while not self._runtime.pause(MEMPOOL_SAVE_S):
            self._save_mempool()

    def _load_mempool(self) -> None:
        path = self._mempool
        try:
            saved = load_dump(path.read_bytes())
        except FileNotFoundError:
            saved = []
        except (OSError, Invalid) as error:
            log.warning("%s is not used: %s", path, error)
            saved = []
        taken = 0
        for tx, entered in saved:
            with contextlib.suppress(Rejected):
                self._take_back(tx, entered)
                taken += 1
        self._loaded = True
        if saved:
            log.info("mempool: %d of %d saved transactions are back", taken, len(saved))

    def _take_back(self, tx: Tx, entered: float) -> None:
        """Raises Rejected, but not because peers send more than can be looked at."""
        while True:
            try:
                self._runtime.call(lambda node, now: node.submit_tx(tx, now, time=entered), None)
            except Refused as error:
                if error.code is not Policy.BUSY or self._runtime.pause(BUSY_PAUSE_S):
                    raise
            else:
                return

    def _save_mempool(self) -> None:
        view = self._runtime.peek()
        if view is None:
            return
        state = view.tip.hash, view.pool.totals
        if state == self._saved:
            return
        dump = self._runtime.call(lambda node, now: node.dump_mempool(now), None)
        try:
            write_private(self._mempool, dump or b"")
        except OSError as error:
            log.error("cannot save the mempool to %s: %s", self._mempool, error.strerror)
        else:
            self._saved = state
