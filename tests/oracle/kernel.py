"""Bitcoin Core's validation engine (py-bitcoinkernel) behind three words: submit, height, coins.

Only the log knows *why* the engine refuses a block, and how many coins there are: so log lines
are read, and held against the callbacks, so that a change of the log's format is an error here.
"""

import contextlib
import functools
import re
import tempfile
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from chain.block import Block
from chain.hashes import to_hex

pbk = pytest.importorskip("pbk", reason="kernel: py-bitcoinkernel is not installed")

CHECKED = re.compile(r"BlockChecked: block hash=([0-9a-f]{64}) state=(.*)$")
TIP = re.compile(r"UpdateTip: new best=([0-9a-f]{64}) height=(\d+) .*\((\d+)txo\)")
CODE = re.compile(r"[A-Za-z0-9-]+")
"""The reason's first word: details follow in brackets or after a comma."""
MALFORMED = "malformed"
"""Core has no word for bytes that do not decode."""


class KernelVerdict(NamedTuple):
    """What the engine says to a block."""

    accepted: bool
    """It is the tip now."""
    code: str | None
    """Why not."""
    detail: str
    """The whole line, for people."""


@functools.cache
def _log() -> tuple[list[str], Any]:
    """Lines of all engines of this process, as they come, and the connection that brings them,
    which lives as long as somebody holds it. The engine calls us while it works."""
    lines: list[str] = []
    connection = pbk.LoggingConnection(lambda line: lines.append(line.rstrip()))
    pbk.set_log_level_category(pbk.LogCategory.VALIDATION, pbk.LogLevel.DEBUG)
    pbk.enable_log_category(pbk.LogCategory.VALIDATION)
    return lines, connection


class Kernel:
    """One engine on regtest with a folder of its own, gone with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="groat-kernel-")
        self._lines, _ = _log()
        self._checked: list[tuple[str, bool]] = []
        callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._note_checked)
        self._context = pbk.make_context(pbk.ChainType.REGTEST, validation_callbacks=callbacks)
        folder = self._folder.name
        options = pbk.ChainstateManagerOptions(self._context, f"{folder}/data", f"{folder}/blocks")
        options.set_worker_threads_num(1)
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        self._manager: Any = pbk.ChainstateManager(options)
        self.entries_count = 0
        """Entries of the engine's coin cache, which here is never written out: the unspent outputs,
        and every coinbase output that was spent (an engine marks it, as it may lie on disk)."""

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine and its folder."""
        self._manager = self._context = None
        self._folder.cleanup()

    def _note_checked(self, _user_data: Any, block: Any, state: Any) -> None:
        # Runs inside the engine: must not raise, and the state dies with the call.
        self._checked.append((to_hex(bytes(block.block_hash)), state.validation_mode == pbk.ValidationMode.VALID))

    @property
    def height(self) -> int:
        """Of the tip."""
        return int(self._manager.get_active_chain().height)

    def submit(self, block: Block | bytes) -> KernelVerdict:
        """The engine's verdict on a block; if good and best, it is the tip afterwards."""
        raw = block if isinstance(block, bytes) else block.raw
        handle = pbk.capi.bindings.btck_block_create(raw, len(raw))
        if not handle:
            return KernelVerdict(False, MALFORMED, "does not decode")
        decoded = pbk.Block._from_handle(handle)
        if bytes(decoded) != raw:  # its decoder stops at the last transaction and does not mind more
            return KernelVerdict(False, MALFORMED, "encodes to something else")
        block_hash = to_hex(bytes(decoded.block_hash))
        before = len(self._lines), len(self._checked)
        try:
            self._manager.process_block(decoded)
        except pbk.ProcessBlockException:
            pass  # the log has the reason
        return self._read(block_hash, self._lines[before[0] :], self._checked[before[1] :])

    @property
    def tip(self) -> str:
        """The display hash of the tip."""
        entries = self._manager.get_active_chain().block_tree_entries
        return to_hex(bytes(entries[len(entries) - 1].block_hash))

    def offer(self, block: Block) -> None:
        """A block that need not become the tip; what the engine thinks of it, `tip` tells."""
        with contextlib.suppress(pbk.ProcessBlockException):
            self._manager.process_block(pbk.Block(block.raw))

    def _read(self, block_hash: str, lines: list[str], checked: list[tuple[str, bool]]) -> KernelVerdict:
        """What the log says about a block, which must be what the callbacks said."""
        said = [found.groups() for line in lines if (found := CHECKED.search(line))]
        assert [(name, state == "Valid") for name, state in said] == checked, "the log's format has changed"
        for line in lines:
            if found := TIP.search(line):
                self.entries_count = int(found[3])
        states = [state for name, state in said if name == block_hash]
        assert states, f"the engine did not check block {block_hash}: {lines}"
        if states[-1] == "Valid":
            return KernelVerdict(True, None, "Valid")
        code = CODE.match(states[-1])
        assert code, states[-1]
        return KernelVerdict(False, code[0], states[-1])

    def follow(self, blocks: Iterable[Block]) -> "Kernel":
        """Submit blocks that are good."""
        for block in blocks:
            verdict = self.submit(block)
            assert verdict.accepted, verdict.detail
        return self
