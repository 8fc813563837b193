"""`Wallet`: one wallet file and a node, together. What the command line calls, and scripts.

    with Esplora(["http://127.0.0.1:18443"]) as client:
        wallet = Wallet.open("wallet.json", "password", client)
        for address in addresses:
            print(wallet.send(address, 10_000).txid)

Payments happen under the wallet's lock: the chain is looked at if there is a new block, coins are
chosen that no payment before has spent, the signed transaction is written to the wallet file, and
only then sent. So payments in quick succession, or from several processes, never spend a coin
twice, and one that a node loses is handed over again by whichever command comes next.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeVar

from chain.address import encode_address
from chain.hashes import BlockHash, to_hex
from chain.keys import default_engine
from chain.params import GENESIS
from chain.tx import OutPoint, TxOut, outpoint_txid
from wallet.amounts import TARGET_BLOCKS, FeeRate
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.derivation import CHANGE, GAP_LIMIT, RECEIVE, Account, AccountSecret, KeyPath
from wallet.draft import Draft, Holdings, Order, Sent, make_draft, rate_for, sign_draft
from wallet.errors import ChainLimit, NodeError, NodeRefused, NodeUnreachable, ShortOfFunds, WalletError
from wallet.esplora import Tip
from wallet.history import Entry, history_of
from wallet.ledger import Balance, as_chain_tx, balance_of, unconfirmed_ancestors, with_pending
from wallet.refusals import Refusal, advice, chain_limit, refusal_kind
from wallet.scan import Scan, scan, used_receiving
from wallet.state import (
    BURIED_DEPTH,
    PENDING_KEEP_BLOCKS,
    PENDING_MAX,
    Fate,
    OwnCoin,
    Pending,
    Snapshot,
    State,
)
from wallet.store import WalletFile

PLANS_MAX = 64
"""How often one payment is planned anew with other coins before it is given up."""
BUSY_TRIES = 25
BUSY_PAUSE_S = 0.2
"""How often, and after what pause, a transaction is offered to a node that is busy."""
WAIT_BLOCKS_MAX = 100
WAIT_S = 1_800.0
"""`wait` waits so long for one block, and for so many blocks."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class View:
    """What the chain and our own payments make of the wallet, at one tip."""

    found: Scan
    pending: tuple[Pending, ...]

    @property
    def tip(self) -> Tip:
        """The best block then."""
        return self.found.tip

    @property
    def coins(self) -> dict[OutPoint, OwnCoin]:
        """Every unspent coin, immature ones included."""
        return with_pending(self.found.coins, self.pending)


@dataclass(frozen=True, slots=True)
class Receiving:
    """An address to be paid at."""

    address: str
    index: int
    warning: str | None = None
    """One line for people, where something about it is not as it should be."""


class Wallet:
    """An open wallet. Not for several threads at once; several processes are fine."""

    def __init__(self, file: WalletFile, client: Esplora, rng: Random) -> None:
        self.warnings: list[str] = []
        """Lines for people, about payments that the node does not take; read them after a call."""
        self._file = file
        self._secret: AccountSecret | None = None
        self._client = client
        self._rng = rng
        self._account = Account(file.identity.xpub)
        self._engine = default_engine()
        self._known_network = False
        self._tip: Tip | None = None
        self._minimum: tuple[Tip | None, FeeRate | None] | None = None

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], password: str | None, client: Esplora, rng: Random | None = None
    ) -> "Wallet":
        """The wallet at `path`. Without a password it reads and hands out addresses, but sends nothing.

        Raises WalletError, WrongPassword, DamagedFile.
        """
        wallet = cls(WalletFile(Path(path)), client, rng or SystemRandom())
        if password is not None:
            wallet.unlock(password)
        return wallet

    def unlock(self, password: str) -> None:
        """Make it able to send. Raises WrongPassword."""
        self._secret = self._file.open_secret(password)

    @property
    def network(self) -> str:
        """The name of the wallet's network."""
        return self._file.identity.network

    # --- reading ------------------------------------------------------------------------------

    def balance(self) -> Balance:
        """What the wallet has, read off the chain now."""
        view = self.look()
        return balance_of(view.coins.values(), view.tip.height)

    def history(self) -> tuple[list[Entry], Tip]:
        """Every transaction of the wallet, newest first, and the tip that confirmations count from."""
        view = self.look(whole=True)
        txs = dict(view.found.txs)
        for payment in view.pending:
            if payment.fate is not Fate.LOST and payment.txid not in txs:
                txs[payment.txid] = as_chain_tx(payment, self._account.script)
        return history_of(txs.values(), self._account.path_of), view.tip

    def look(self, *, whole: bool = False) -> View:
        """Walk the chain for everything the wallet has, and hand over again what the node lost."""
        self._file.refresh()
        self._check_network()
        return self._look(whole=whole)

    def address_of(self, path: KeyPath) -> str:
        """The address of the key at `path`."""
        return encode_address(self._account.script(path)) or ""

    def address(self) -> Receiving:
        """The first address that nobody has paid yet. Changes nothing."""
        self._file.refresh()
        try:
            used = self._used_receiving()
        except NodeUnreachable as error:
            return self._receiving(self._file.state.receive_next - 1, f"not checked whether it was used: {error}")
        return self._receiving(next(index for index in range(len(used) + 1) if index not in used))

    def new_address(self) -> Receiving:
        """An address never handed out before, remembered as handed out."""
        warning = None
        with self._file.locked(self._client.pause):
            state = self._file.state
            try:
                used = self._used_receiving()
            except NodeUnreachable as error:
                used, warning = frozenset(), f"not checked whether it was used: {error}"
            after_used = max(used, default=-1) + 1
            first_unused = next(index for index in range(len(used) + 1) if index not in used)
            index = max(state.receive_next, after_used, first_unused + 1)
            self._file.save(replace(state, receive_next=index + 1))
        if not warning and index - after_used >= GAP_LIMIT:
            warning = (
                f"{index - after_used} addresses before it are unused: a wallet restored from the words looks only "
                f"{GAP_LIMIT} ahead and would not find its coins before an earlier one is paid"
            )
        return self._receiving(index, warning)

    def _receiving(self, index: int, warning: str | None = None) -> Receiving:
        return Receiving(self.address_of(KeyPath(RECEIVE, index)), index, warning)

    def _used_receiving(self) -> frozenset[int]:
        self._check_network()
        return used_receiving(self._client, self._account, self._file.state.receive_next)

    # --- paying -------------------------------------------------------------------------------

    def order(
        self,
        address: str,
        amount: int | None,
        *,
        rate: FeeRate | None = None,
        target: int = TARGET_BLOCKS,
        subtract_fee: bool = False,
        only: Sequence[OutPoint] = (),
        max_fee: int | None = None,
    ) -> Order:
        """An order of `amount` satoshis to one address, or of everything less the fee for None.
        `max_fee` takes the place of the fee ceiling. Raises WalletError for an address that cannot be paid."""
        payment = TxOut(amount or 0, payable_script(address))
        return Order((payment,), rate, target, subtract_fee, tuple(only), amount is None, max_fee)

    def send(
        self,
        address: str,
        amount: int | None,
        *,
        rate: FeeRate | None = None,
        max_fee: int | None = None,
        wait: bool = False,
    ) -> Sent:
        """Pay `amount` satoshis, or everything for None. Raises WalletError, FeeTooHigh for a fee above
        the ceiling; nothing was sent then, unless it says so."""
        return self.pay(self.order(address, amount, rate=rate, max_fee=max_fee), wait=wait)

    def pay(self, order: Order, *, wait: bool = False, on_wait: Callable[[str], object] | None = None) -> Sent:
        """Carry out an order. At the node's limit of unconfirmed transactions in a row, `wait` waits
        for blocks, saying so to `on_wait`; without it ChainLimit is raised."""

        def attempt() -> Sent:
            with self._file.locked(self._client.pause):
                self._check_network()
                self._catch_up()
                return self._place(order)

        return self._patiently(attempt, wait, on_wait)

    def _patiently(self, attempt: Callable[[], T], wait: bool, on_wait: Callable[[str], object] | None) -> T:
        """The attempt's outcome; while it raises ChainLimit, after the next block if `wait`."""
        for _ in range(WAIT_BLOCKS_MAX):
            try:
                return attempt()
            except ChainLimit:
                if not wait or self._tip is None:
                    raise
            if on_wait:
                on_wait(f"at the node's limit of unconfirmed transactions: waiting for block {self._tip.height + 1}")
            if not self._client.wait_for_new_tip(self._tip.hash, WAIT_S):
                raise ChainLimit(f"no block in {WAIT_S / 60:.0f} minutes: nothing was sent; is anybody mining?")
        raise chain_limit()

    def draft(self, order: Order, *, wait: bool = False, on_wait: Callable[[str], object] | None = None) -> Draft:
        """What `pay` would do now, for somebody to look at. Sends and remembers nothing; waits as `pay` does."""

        def attempt() -> Draft:
            self._file.refresh()
            self._check_network()
            self._catch_up(thorough=True)
            return self._draft(order)

        return self._patiently(attempt, wait, on_wait)

    def pay_draft(self, draft: Draft) -> Sent:
        """Sign and send just this draft. Raises WalletError if its coins were spent meanwhile."""
        with self._file.locked(self._client.pause):
            self._catch_up()
            held = self._holdings()
            fresh = draft.change is None or draft.change.path.index >= held.change_next
            if not fresh or any(coin.outpoint not in held.coins for coin in draft.coins):
                raise WalletError("another payment of this wallet came in between: nothing was sent; run it again")
            try:
                return self._hand_over(draft)
            except NodeRefused as refused:
                raise advice(refused) from refused

    def _place(self, order: Order) -> Sent:
        """Plan and send, with other coins or a closer look at the chain where that may help."""
        avoid: set[OutPoint] = set()
        thorough = False
        for _ in range(PLANS_MAX):
            try:
                draft = self._draft(order, avoid)
                return self._hand_over(draft)
            except (ShortOfFunds, ChainLimit):
                if thorough:
                    raise
            except NodeRefused as refused:
                kind = refusal_kind(refused)
                parents = {outpoint_txid(coin.outpoint) for coin in draft.coins if coin.height is None}
                if kind is Refusal.CHAIN_LIMIT and parents and not order.only:
                    # Every coin of those transactions stands in the same row.
                    avoid |= {point for point in self._holdings().coins if outpoint_txid(point) in parents}
                    continue
                if kind is not Refusal.COINS_GONE or thorough:
                    raise advice(refused) from refused
            # The last look was at this very tip, but it is the unconfirmed that changed.
            thorough = True
            self._catch_up(thorough=True)
        raise chain_limit()

    def _draft(self, order: Order, avoid: set[OutPoint] | None = None) -> Draft:
        minimum = self._minimum_rate()
        rate = order.rate or rate_for(self._client.fee_estimates(), order.target, minimum)
        held = self._holdings()
        return make_draft(order, rate, held, self._account, self._rng, self._engine, avoid or set(), minimum)

    def _minimum_rate(self) -> FeeRate | None:
        """The lowest fee rate that the node takes, if it says so: asked for once a block."""
        if self._minimum is None or self._minimum[0] != self._tip:
            told = self._client.minimum_fee_rate()
            self._minimum = (self._tip, None if told is None else FeeRate(math.ceil(told * 1_000)))
        return self._minimum[1]

    def _holdings(self) -> Holdings:
        state = self._file.state
        snapshot = state.snapshot
        if snapshot is None:
            raise AssertionError("nothing was looked at yet")
        coins = with_pending(snapshot.coins, state.pending)
        return Holdings(coins, snapshot.height, unconfirmed_ancestors(state.pending), state.change_next)

    def _hand_over(self, draft: Draft) -> Sent:
        """Sign, write down, send. What the node refuses is struck out again."""
        if self._secret is None:
            raise WalletError("sending needs the wallet's password: give --password-file FILE")
        before = self._file.state
        if len(before.pending) >= PENDING_MAX:
            raise WalletError(f"{PENDING_MAX} payments wait for a block already: wait for one, and try again")
        tx = sign_draft(draft, self._account, self._secret.secret, self._engine)
        payment = Pending(
            tx.raw,
            draft.fee,
            tuple((coin.value, coin.path) for coin in draft.coins),
            tuple((i, path) for i, output in enumerate(tx.outputs) if (path := self._account.path_of(output.script))),
            before.snapshot.height if before.snapshot else 0,
        )
        change_next = draft.change.path.index + 1 if draft.change else before.change_next
        self._file.save(replace(before, pending=(*before.pending, payment), change_next=change_next))
        try:
            self._deliver(tx.raw)
        except NodeRefused:
            self._file.save(before)
            raise
        except (NodeUnreachable, KeyboardInterrupt) as error:
            raise NodeUnreachable(
                f"payment {to_hex(tx.txid)} may have been sent: do not repeat it. The wallet keeps it and hands it "
                f"over again; see `wallet history` ({str(error) or 'interrupted'})"
            ) from error
        return draft.sent(tx.vsize)

    def _deliver(self, raw: bytes) -> None:
        """Hand a transaction to the node. Raises NodeRefused, NodeUnreachable."""
        for attempt in range(1, BUSY_TRIES + 1):
            try:
                self._client.send(raw)
            except NodeRefused as refused:
                if refusal_kind(refused) is not Refusal.BUSY or attempt == BUSY_TRIES:
                    raise
                self._client.pause(BUSY_PAUSE_S)
            else:
                return

    # --- looking at the chain -----------------------------------------------------------------

    def _check_network(self) -> None:
        """Raises WalletError unless the node's chain is one that this wallet can be on."""
        if self._known_network:
            return
        told, ours = self._client.network(), self._file.identity
        if told and told.id != ours.network_id:
            # A name may be used twice, an id is not.
            theirs, own = f"{told.name} ({told.id.hex()[:8]})", f"{ours.network} ({ours.network_id.hex()[:8]})"
            raise WalletError(
                f"the node is on network {theirs}, this wallet on {own}: give another --node, "
                "or a wallet made with `wallet create --network FILE`"
            )
        if not told and self._genesis() != GENESIS.hash:
            raise WalletError(f"the node is on another network than this wallet ({self.network}): give another --node")
        self._known_network = True

    def _genesis(self) -> BlockHash:
        try:
            return self._client.block_hash(0)
        except NodeRefused as refused:
            if refused.status != 404:
                raise
            raise NodeError(f"{refused}; no node's API is there: --node may name its port for peers (P2P)") from refused

    def _catch_up(self, *, thorough: bool = False) -> None:
        """Bring the state up to the node's tip: no work if that has not moved, unless `thorough`."""
        state = self._file.state
        if not thorough and state.snapshot and state.snapshot.tip == self._client.tip_hash():
            self._tip = Tip(state.snapshot.tip, state.snapshot.height)
            self._account.derive(RECEIVE, state.receive_next)  # to know payments to ourselves
            return
        view = self._look(thorough=thorough)
        self._tip = view.tip
        self._file.state = _advanced(state, view)

    def _look(self, *, whole: bool = False, thorough: bool = True) -> View:
        state, tip = self._file.state, self._client.tip()
        # Settled addresses are passed over for speed, unless the chain went back.
        behind = state.snapshot is None or tip.height < state.snapshot.height
        skip = () if thorough or behind else state.settled
        handed_out = (state.receive_next, state.change_next)
        found = scan(self._client, self._account, tip, handed_out, whole=whole, passed_over=skip)
        return View(found, tuple(self._fate(payment, found) for payment in state.pending))

    def _fate(self, payment: Pending, found: Scan) -> Pending:
        """What became of a payment; one that the node does not know is handed over again."""
        if shown := found.txs.get(payment.txid):
            return replace(payment, fate=Fate.SEEN, height=shown.height)
        try:
            self._deliver(payment.raw)
        except NodeRefused as refused:
            kind = refusal_kind(refused)
            if kind in (Refusal.CONFIRMED, Refusal.COINS_GONE):
                # Its coins are gone, too, once it is in a block.
                height = self._client.tx_height(payment.txid)
                return replace(payment, fate=Fate.LOST if height is None else Fate.SEEN, height=height)
            self.warnings.append(f"payment {to_hex(payment.txid)} waits: the node does not take it ({refused.reason})")
        return replace(payment, fate=Fate.SENT, height=None)


def _advanced(state: State, view: View) -> State:
    """The state after a look: indexes never go back, buried payments need no keeping."""
    height = view.tip.height
    kept = tuple(
        payment
        for payment in view.pending
        if (payment.height is None or payment.height > height - BURIED_DEPTH + 1)
        and not (payment.fate is Fate.LOST and payment.sent_height < height - PENDING_KEEP_BLOCKS)
    )
    return State(
        receive_next=max(state.receive_next, view.found.next_index(RECEIVE)),
        change_next=max(state.change_next, view.found.next_index(CHANGE)),
        pending=kept,
        snapshot=Snapshot(view.tip.hash, height, tuple(view.found.coins)),
        settled=frozenset(view.found.settled),
    )
