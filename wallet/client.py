"""A node's Esplora API over HTTP.

What a node answers is checked for shape and range before anybody sees it. Every call has a
deadline and a cap on the answer's size (wallet.http_session).
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlsplit

from chain.errors import Rejected
from chain.hashes import BlockHash, Txid, to_hex
from chain.tx import OutPoint, Tx, outpoint_index, outpoint_txid
from wallet.delivery import NodeAnswer
from wallet.errors import (
    AnswerTooLarge,
    InvalidValue,
    NodeError,
    NodeNotReady,
    NodeRefused,
    NodeUnreachable,
    WalletError,
)
from wallet.esplora import (
    ChainTx,
    NodeNetwork,
    NodeTip,
    Spending,
    Utxo,
    read_block_height,
    read_estimates,
    read_hash,
    read_height,
    read_minimum_rate,
    read_network,
    read_outspend,
    read_raw_tx,
    read_tx,
    read_txs,
    read_utxos,
)
from wallet.http_session import HttpSession
from wallet.networks import DEFAULT_NODE
from wallet.refusals import Receipt, one_line, read_receipt

DEADLINE_S = 30.0
"""Deadline of one call, from connecting to the last byte."""
LIST_BYTES_MAX = 32 * 1024 * 1024
TX_BYTES_MAX = 4 * 1024 * 1024
SMALL_BYTES_MAX = 64 * 1024
"""Bytes of a list, one transaction or one of the lists asked for side by side, anything else. An answer
beyond this is cut off and counts as none."""
NODES_MAX = 16
PARALLEL = 4
"""Requests at a time, where there are many to make."""
TIP_POLL_S = 0.25
NOT_READY_PAUSE_S = 0.5
NOT_READY = (502, 503, 504)
"""HTTP statuses of a node that is starting or full, or of a gateway before one."""
NOT_THE_API = (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, Rejected)
"""Errors that reading an answer raises where it is not the Esplora API's."""
_BLANK = re.compile(r"[\s\x00-\x1f]")

T = TypeVar("T")


class Esplora:
    """One node, or the first that answers of several. Every method raises NodeError: NodeRefused for
    an answer that says no, NodeUnreachable where none came."""

    def __init__(self, urls: Sequence[str] = (DEFAULT_NODE,), *, deadline_s: float = DEADLINE_S) -> None:
        """`urls` are API base addresses, best first. Raises InvalidValue for what is no such address."""
        if not 1 <= len(urls) <= NODES_MAX:
            raise WalletError(f"give 1 to {NODES_MAX} nodes")
        self._urls = [_base_url(url) for url in urls]
        self._deadline_s = deadline_s
        self._own = threading.local()
        self._sessions: list[HttpSession] = []
        self._pool = ThreadPoolExecutor(PARALLEL, "node")

    @property
    def asked(self) -> str:
        """The node that is asked: another one once it does not answer."""
        return self._urls[0]

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(cancel_futures=True)
        for session in self._sessions:
            session.close()

    def __enter__(self) -> "Esplora":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Blocks

    def tip_hash(self) -> BlockHash:
        """The best block's hash."""
        return self._get("/blocks/tip/hash", read_hash)

    def tip_height(self) -> int:
        """The best block's height."""
        return self._get("/blocks/tip/height", read_height)

    def tip(self) -> NodeTip:
        """Hash and height of one and the same best block."""
        best = self.tip_hash()
        return NodeTip(best, self._get(f"/block/{to_hex(best)}", read_block_height))

    def block_hash(self, height: int) -> BlockHash:
        """Hash of the best chain's block at a height."""
        return self._get(f"/block-height/{height}", read_hash)

    def wait_for_new_tip(self, known: BlockHash, most_s: float) -> bool:
        """Wait until the tip is another; False if it still is not after `most_s` seconds."""
        give_up = time.monotonic() + most_s
        while self.tip_hash() == known:
            if time.monotonic() > give_up:
                return False
            self.pause(TIP_POLL_S)
        return True

    @staticmethod
    def pause(seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    # Scripts (their hash is SHA-256 of the scriptPubKey)

    def script_txs(self, script_hash: bytes) -> list[ChainTx]:
        """The first page of a script's history: unconfirmed, then newest first."""
        return self._get(f"/scripthash/{script_hash.hex()}/txs", read_txs, LIST_BYTES_MAX)

    def first_pages(self, script_hashes: Sequence[bytes]) -> list[list[ChainTx]]:
        """The first page of each script's history, asked for side by side; large ones one by one."""
        asked = [self._pool.submit(self._small_page, script_hash) for script_hash in script_hashes]
        try:
            pages = [page.result() for page in asked]
            return [
                self.script_txs(script_hash) if page is None else page
                for script_hash, page in zip(script_hashes, pages, strict=True)
            ]
        finally:
            for page in asked:
                page.cancel()

    def _small_page(self, script_hash: bytes) -> list[ChainTx] | None:
        try:
            return self._get(f"/scripthash/{script_hash.hex()}/txs", read_txs, TX_BYTES_MAX)
        except AnswerTooLarge:
            return None

    def script_txs_after(self, script_hash: bytes, last: Txid) -> list[ChainTx]:
        """The page of confirmed transactions that follows `last`."""
        return self._get(f"/scripthash/{script_hash.hex()}/txs/chain/{to_hex(last)}", read_txs, LIST_BYTES_MAX)

    def script_coins(self, script_hash: bytes) -> list[Utxo]:
        """A script's unspent outputs, less those that the mempool spends."""
        return self._get(f"/scripthash/{script_hash.hex()}/utxo", read_utxos, LIST_BYTES_MAX)

    # Transactions

    def send(self, raw: bytes, txid: Txid, *, patient: bool = True) -> Receipt:
        """Hand a transaction to one node after the other until one takes it. Sending it twice does no harm.

        Where a node said neither yes nor no, each is asked whether it has the transaction: then the
        answer is TAKEN. Nodes that are not ready are asked again, if `patient`. Raises nothing: REFUSED if
        every node refused it, UNCLEAR where any may have it.
        """
        give_up = time.monotonic() + self._deadline_s
        content = raw.hex().encode()
        while True:
            receipts, waiting = [], False
            for base in self._urls:
                try:
                    status, body = self._ask("POST", base, "/tx", content, SMALL_BYTES_MAX)
                except NodeError as error:
                    receipt = Receipt(NodeAnswer.UNCLEAR, str(error))
                else:
                    receipt = read_receipt(status, body, txid)
                    waiting = waiting or status in NOT_READY
                if receipt.answer in (NodeAnswer.TAKEN, NodeAnswer.KNOWN):
                    return receipt
                receipts.append(receipt)
            unclear = next((receipt for receipt in receipts if receipt.answer is NodeAnswer.UNCLEAR), None)
            if unclear and any(self.each_tx(txid)):
                return Receipt(NodeAnswer.TAKEN)
            if not (waiting and patient) or time.monotonic() > give_up:
                return unclear or receipts[0]
            self.pause(NOT_READY_PAUSE_S)

    def tx(self, txid: Txid) -> ChainTx | None:
        """A transaction of the best chain or the mempool, or None where the first node that answers has none."""
        tx = self._find(f"/tx/{to_hex(txid)}", read_tx)
        if tx is not None and tx.txid != txid:
            raise NodeError(f"{self._urls[0]} gave another transaction than was asked for: use another --node")
        return tx

    def each_tx(self, txid: Txid) -> Iterator[ChainTx | None]:
        """The transaction as each node in turn shows it; None of one that has it not, or does not answer."""
        for base in tuple(self._urls):
            try:
                status, body = self._ask("GET", base, f"/tx/{to_hex(txid)}", None, TX_BYTES_MAX)
                tx = read_tx(body) if status == 200 else None
            except (NodeError, *NOT_THE_API):
                tx = None
            yield tx if tx is not None and tx.txid == txid else None

    def raw_tx(self, txid: Txid) -> Tx | None:
        """A transaction itself, its hash checked, or None where the node has none."""
        tx = self._find(f"/tx/{to_hex(txid)}/hex", read_raw_tx)
        if tx is not None and tx.txid != txid:
            raise NodeError(f"{self._urls[0]} gave another transaction than was asked for: use another --node")
        return tx

    def outspend(self, point: OutPoint) -> Spending | None:
        """The transaction that spends an output; None for an unspent one, and for one that the node does not know."""
        path = f"/tx/{to_hex(outpoint_txid(point))}/outspend/{outpoint_index(point)}"
        return self._find(path, read_outspend)

    def fee_estimates(self) -> dict[int, Decimal]:
        """Fee rates in satoshis per virtual byte, by the target in blocks within which they are mined."""
        return self._get("/fee-estimates", read_estimates)

    def minimum_fee_rate(self) -> Decimal | None:
        """The lowest fee rate that the node takes now; None where it does not say."""
        return self._get_if_known("/v1/fees/recommended", read_minimum_rate)

    # The node

    def network(self) -> NodeNetwork | None:
        """The network that the node is on; None where it does not say."""
        return self._get_if_known("/v1/network", read_network)

    # Exchanges

    def _get(self, path: str, parse: Callable[[bytes], T], most: int = SMALL_BYTES_MAX) -> T:
        body = self._exchange(path, most)
        try:
            return parse(body)
        except NOT_THE_API as error:
            raise NodeError(
                f"{self._urls[0]} gave an answer that is not the Esplora API's (to {path[:60]}): check --node"
            ) from error

    def _get_if_known(self, path: str, parse: Callable[[bytes], T]) -> T | None:
        """Get a route that Esplora's own servers do not have; None from those."""
        try:
            return self._get(path, parse)
        except NodeUnreachable:
            raise
        except NodeError:
            return None

    def _find(self, path: str, parse: Callable[[bytes], T]) -> T | None:
        """Get a route as `_get` does; None for what is not found."""
        try:
            return self._get(path, parse, TX_BYTES_MAX)
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise

    def _exchange(self, path: str, most: int) -> bytes:
        """The body of the first node's answer. A node that fails goes to the end of the row; while
        there are nodes that are only not ready yet, they are asked again."""
        give_up = time.monotonic() + self._deadline_s
        while True:
            failures: list[NodeUnreachable] = []
            for base in self._urls:
                try:
                    status, body = self._ask("GET", base, path, None, most)
                except NodeUnreachable as error:
                    failures.append(error)
                else:
                    if status == 200:
                        return body
                    if status not in NOT_READY:
                        raise NodeRefused(f"GET {path[:40]} at {base}", status, one_line(body) or "no reason given")
                    why = "is not ready (it may be starting): try again in a few seconds"
                    failures.append(NodeNotReady(f"the node at {base} {why}"))
                # Replaced and not changed: other threads may be asking, and have found out the same.
                if self._urls[0] == base:
                    self._urls = [*self._urls[1:], base]
            hopeful = [error for error in failures if isinstance(error, NodeNotReady)]
            if not hopeful or time.monotonic() > give_up:
                raise (hopeful or failures)[0]
            self.pause(NOT_READY_PAUSE_S)

    def _ask(self, method: str, base: str, path: str, content: bytes | None, most: int) -> tuple[int, bytes]:
        """Status and body of one node's answer. Raises NodeUnreachable, NodeError for one that is too large."""
        if not hasattr(self._own, "session"):
            self._own.session = HttpSession()
            self._sessions.append(self._own.session)
        session: HttpSession = self._own.session
        return session.ask(method, base, "/api" + path, content, most=most, deadline_s=self._deadline_s)


def _base_url(url: str) -> str:
    """The address that `/api/...` goes behind: what people have may be that of the API or the explorer itself."""
    address = url.strip()
    address = (address if "://" in address else "http://" + address).rstrip("/")
    address = address.removesuffix("/api").removesuffix("/explorer").rstrip("/")
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        good = good and not (parts.query or parts.fragment or _BLANK.search(address))
    except ValueError:
        good = False
    if not good:
        raise InvalidValue(f"{url!r} is not a node's URL: write it like {DEFAULT_NODE}")
    return address
