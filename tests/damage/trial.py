"""One damaged copy: started, asked, repaired, asked again; every answer held against the whole one's."""

import json
import logging
import random
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chain.block import Block
from node.api.actions.core_errors import DATABASE
from node.api.http.message import JSON, Response
from node.interface.storage import StoreError
from tests.damage.dataset import DataSet
from tests.damage.disknode import DiskNode, Question
from tests.damage.places import Place

NETWORK = "regtest"
STARTS_MAX = 4
"""Starts until a node answers; each one that fails has to have mended something."""
REFUSED_AFTER = 5
"""Questions asked of a node that has given up."""
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass
class Report:
    """What became of all trials."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """Wrong answers, and nodes that stay dead."""


class Named(logging.Handler):
    """Hashes of the blocks that the log says are lost, wholly or their undo."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.hashes: set[bytes] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Note them."""
        if record.getMessage().startswith("lost "):
            self.hashes.update(bytes.fromhex(name)[::-1] for name in _HASH.findall(record.getMessage()))


class Trial:
    """Takes place after place."""

    def __init__(self, whole: Path, work: Path, data: DataSet, questions: list[Question]) -> None:
        """`whole` is a data directory without damage, `work` a folder for copies of such."""
        self._work, self._data, self._questions = work, data, questions
        self._rights: dict[bytes, list[Response]] = {}
        """The whole answers, by the tip at which they are given."""
        self._named = Named()
        self.report = Report()
        shutil.copytree(whole, work / "whole")
        node = DiskNode(work / "whole")
        node.make_filters()
        self._rights[node.tip] = [node.ask(question) for question in questions]
        self._tip = node.tip
        node.close()

    def run(self, place: Place, rng: random.Random) -> None:
        """Damage a copy and see."""
        copy = self._work / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(place.whole.parent, copy)
        if not place.live:
            place.damage(copy / NETWORK)
        nodes: list[DiskNode] = []
        log = logging.getLogger("groat.store")
        self._named.hashes.clear()
        log.addHandler(self._named)
        try:
            self._see(copy, place, rng, nodes)
        finally:
            log.removeHandler(self._named)
            for node in nodes:
                node.close()

    def _see(self, copy: Path, place: Place, rng: random.Random, nodes: list[DiskNode]) -> None:
        node, starts = self._start(copy)
        if node is None:
            self._fail(place, "the node stays dead")
            return
        nodes.append(node)
        if place.live:
            try:
                place.damage(copy / NETWORK)
            except FileNotFoundError:  # LevelDB compacts when it likes
                self.report.outcomes["the file had gone"] += 1
                return
        if node.runtime.fault is None and node.runtime.view.pool.totals.count:
            nodes.pop().close()  # it has left the other branch once more, whose payments wait again
            node = DiskNode(copy)
            nodes.append(node)
        outcome = "not noticed" if starts == 1 else "a start that failed, then whole"
        if node.store.rebuilding:
            outcome = "repaired at the start"
        node.make_filters()
        if node.runtime.fault is None and node.tip != self._tip:
            self._compare(node, place, rng, node.tip)
            node = self._refetch(node, copy, nodes)
            outcome += ", blocks fetched again"
        if self._compare(node, place, rng, self._tip):
            if place.is_for_start:
                self._fail(place, "a start that did not notice what is lost")
            outcome = "an error, then repaired"
            nodes.pop().close()
            node, _ = self._start(copy)
            if node is None:
                self._fail(place, "the node stays dead after an error")
                return
            nodes.append(node)
            node = self._refetch(node, copy, nodes)
            if self._compare(node, place, rng, self._tip):
                self._fail(place, f"not repaired: {node.runtime.fault}")
        self.report.outcomes[outcome] += 1

    def _refetch(self, node: DiskNode, copy: Path, nodes: list[DiskNode]) -> DiskNode:
        """Have peers send everything; the node started anew, so that its mempool is empty."""
        node.give([*self._data.blocks, *self._data.left])
        nodes.pop().close()
        nodes.append(DiskNode(copy))
        nodes[-1].make_filters()
        return nodes[-1]

    def _start(self, copy: Path) -> tuple[DiskNode | None, int]:
        """The node, and how many starts it took; None if it does not start any more."""
        for number in range(1, STARTS_MAX + 1):
            try:
                return DiskNode(copy), number
            except StoreError:
                continue
        return None, STARTS_MAX

    def _compare(self, node: DiskNode, place: Place, rng: random.Random, tip: bytes) -> bool:
        """Ask everything that a node at this tip has to know; True if there was an error. Of a node that
        gave up only a few more questions."""
        rights, order = self._right_at(tip), list(range(len(self._questions)))
        unknown = self._may_be_unknown(tip)
        order = [n for n in order if self._questions[n].block not in unknown]
        if unknown:
            order = [n for n in order if not self._questions[n].of_all]
        rng.shuffle(order)
        error, left = "", len(order)
        for number in order:
            question, right = self._questions[number], rights[number]
            answer = node.ask(question)
            if (answer.status, answer.body) != (right.status, right.body):
                if _is_error(question, answer):
                    error = error or f"{question}: {answer.status} {answer.body[:200]!r}"
                else:
                    self._fail(place, f"{question}: {answer.status} {answer.body[:200]!r}, not {right.body[:200]!r}")
            left = min(left - 1, REFUSED_AFTER) if node.runtime.fault else left - 1
            if left <= 0:
                break
        if error and node.runtime.fault is None and node.filters.fault is None:
            self._fail(place, f"an error, and the node does not stop: {error}")
        return bool(error)

    def _may_be_unknown(self, tip: bytes) -> set[bytes]:
        """Blocks that a node with its best chain up to there need not know any more: above the tip, or of the
        other branch from the first on that the log has named as lost."""
        left = [block.hash for block in self._data.left]
        if tip != self._tip:
            known = {block.hash for block in self._way_to(tip)}
            return {block.hash for block in (*self._data.blocks, *self._data.left)} - known
        lost = [number for number, block_hash in enumerate(left) if block_hash in self._named.hashes]
        return set(left[lost[0] :]) if lost else set()

    def _right_at(self, tip: bytes) -> list[Response]:
        """What a node says that knows the chain up to this tip alone."""
        if tip not in self._rights:
            folder = self._work / "shorter"
            shutil.rmtree(folder, ignore_errors=True)
            node = DiskNode(folder)
            node.give(self._way_to(tip))
            node.make_filters()
            assert node.tip == tip, "a tip that never was"
            self._rights[tip] = [node.ask(question) for question in self._questions]
            node.close()
        return self._rights[tip]

    def _way_to(self, tip: bytes) -> list[Block]:
        """The blocks from height 1 to this one: of the best chain, or of the branch that was left."""
        for chain in (self._data.blocks, [*self._data.blocks[: self._data.fork], *self._data.left]):
            for height, block in enumerate(chain, 1):
                if block.hash == tip:
                    return chain[:height]
        return []

    def _fail(self, place: Place, what: str) -> None:
        self.report.failures.append(f"{place}: {what}")


def _is_error(question: Question, answer: Response) -> bool:
    """True for what says that something is broken, not that there is no such thing."""
    if question.path == "/" and answer.content_type == JSON:
        error = json.loads(answer.body)["error"]
        return error is not None and (error["code"] == DATABASE or "not available" in error["message"])
    return answer.status >= 500
