"""`Wallet`: one wallet file and a node, together. What the command line calls, and scripts.

    with Esplora(["http://127.0.0.1:18443"]) as client:
        wallet = Wallet.open("wallet.json", "password", client)
        for address in addresses:
            print(wallet.send(address, 10_000).txid)

Payments happen under the wallet's lock: the chain is looked at if there is a new block, coins are
chosen that no payment before holds, the signed transaction is written to the wallet file and read
back, and only then handed to a node. A command signs once at most: what a node says afterwards
changes what is known of the payment (wallet.delivery), never which one it is. An order that is
given again before anybody was told that it was sent goes on with the payment made for it.
"""

import math
import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeVar

from chain.address import encode_address
from chain.hashes import to_hex
from chain.keys import default_engine
from chain.tx import OutPoint, TxOut, outpoint_txid
from wallet.amounts import TARGET_BLOCKS, FeeRate
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.delivery import conflicts_with_all, repetitions
from wallet.derivation import GAP_LIMIT, RECEIVE, Account, AccountSecret, KeyPath
from wallet.draft import Draft, Order, Sent, holdings_of, make_draft, rate_for, sign_draft
from wallet.errors import (
    ChainLimit,
    NodeUnreachable,
    ShortOfFunds,
    WalletError,
)
from wallet.esplora import NodeTip
from wallet.history import HistoryEntry, history_of
from wallet.ledger import Balance
from wallet.network_check import check_network
from wallet.outgoing import OutgoingPayments, sent_again, signed_payment
from wallet.payment import Payment, Stage
from wallet.provenance import foreign_parents, proven_coins, with_proven
from wallet.refusals import NodeRefusal, chain_limit, refusal_kind, refused_error
from wallet.replacement import coins_of, replacement_draft
from wallet.scan import used_receiving
from wallet.state import PAYMENTS_MAX, State
from wallet.store import WalletFile
from wallet.view import WalletView, advanced, changed, look, news

COINS_CHECKED_MAX = 20
"""Coins asked for one by one; with more the whole wallet is looked at."""
WAIT_BLOCKS_MAX = 100
WAIT_S = 1_800.0
"""`wait` waits so long for one block, and for so many blocks."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receiving:
    """A receiving address."""

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
        self.outgoing = OutgoingPayments(file, client, self.warnings)
        """Payments that are signed."""
        self._rng = rng
        self._account = Account(file.identity.xpub)
        self._engine = default_engine()
        self._known_network = False
        self._tip: NodeTip | None = None
        self._is_fresh = self._is_thorough = False
        self._minimum: tuple[NodeTip | None, FeeRate | None] | None = None

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

    def balance(self) -> Balance:
        """Balance of the wallet, read off the chain now."""
        return self.look().balance

    def history(self) -> tuple[list[HistoryEntry], NodeTip]:
        """Every transaction of the wallet, newest first, and the tip that confirmations count from."""
        view = self.look(whole=True)
        return history_of(view.found.txs, view.payments, self._account), view.tip

    def look(self, *, whole: bool = False) -> WalletView:
        """Walk the chain for everything the wallet has, and hand over again what no node shows."""
        self._file.refresh()
        self._check_network()
        state = self._file.state
        view = look(self._client, self._account, state, whole=whole)
        self.warnings += news(state, view)
        if changed(state.payments, view.payments):
            self._remember(state, view)
        return view

    def _remember(self, state: State, view: WalletView) -> None:
        """Keep what a look taught about payments, if nobody else changes the file just now."""
        with self._file.locked_at_once() as locked:
            if locked and self._file.state == state:
                try:
                    self._file.save(advanced(state, view))
                except WalletError as error:
                    # Reading is possible in a folder that cannot be written; the next look finds it again.
                    self.warnings.append(f"not remembered: {error}")

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
        """A receiving address that was never shown before; it is remembered as shown."""
        warning, used = None, frozenset[int]()
        self._file.refresh()
        try:
            # Not with the lock held: a node may take its time.
            used = self._used_receiving()
        except NodeUnreachable as error:
            warning = f"not checked whether it was used: {error}"
        after_used = max(used, default=-1) + 1
        first_unused = next(index for index in range(len(used) + 1) if index not in used)
        with self._file.locked(self._client.pause):
            state = self._file.state
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
        """The payment that `pay` would make now. Sends and remembers nothing; waits as `pay` does."""

        def attempt() -> Draft:
            self._file.refresh()
            self._check_network()
            self._catch_up(thorough=True)
            return self._draft(order)

        return self._patiently(attempt, wait, on_wait)

    def resumed(self, order: Order) -> Sent | None:
        """The payment that was signed for the same order before and that nobody was told of, handed
        over again; None if there is none, or only such as were refused and can be replaced.

        Raises PaymentUnclear, ChainLimit. Needs no password.
        """
        with self._file.locked(self._client.pause):
            self._check_network()
            self._catch_up()
            return self._resume(order)

    def pay_draft(self, draft: Draft) -> Sent:
        """Sign and send just this draft. Raises WalletError if its coins were spent meanwhile."""
        with self._file.locked(self._client.pause):
            self._catch_up()
            if sent := self._resume(draft.order):
                return sent
            held = holdings_of(self._file.state)
            earlier = self._repetitions(draft.order)
            free = held.coins.keys() | {point for payment in earlier for point in payment.spent}
            fresh = draft.change is None or draft.change.path.index == held.change_next
            spent = [coin.outpoint for coin in draft.coins]
            if not fresh or not free.issuperset(spent) or not conflicts_with_all(spent, earlier):
                raise WalletError("another payment of this wallet came in between: nothing was sent; run it again")
            return self._hand_over(draft)

    def _place(self, order: Order) -> Sent:
        """Go on with the payment made for the order before, or plan, sign and hand over one."""
        if sent := self._resume(order):
            return sent
        draft = self._planned(order)
        # Planning may have looked once more, and a node taken what it had refused.
        is_taken = any(payment.stage is Stage.SEEN for payment in self._repetitions(order))
        return (self._resume(order) if is_taken else None) or self._hand_over(draft)

    def _repetitions(self, order: Order) -> list[Payment]:
        return repetitions(self._file.state.payments, order.payments)

    def _resume(self, order: Order) -> Sent | None:
        """Hand over again what was signed for this order; the outcome, or None if it may be replaced."""
        for payment in reversed(self._repetitions(order)):
            name = to_hex(payment.txid)
            settled = self.outgoing.deliver(payment, is_fresh=self._is_fresh)
            if settled.stage in (Stage.SEEN, Stage.BURIED):
                self.warnings.append(
                    f"payment {name} was signed before for the same order, and is sent: nothing more was paid. To "
                    "pay the same again, run the command once more"
                )
                return self.outgoing.told(sent_again(settled))
            if refusal_kind(settled.reason) is NodeRefusal.CHAIN_LIMIT:
                raise refused_error(settled)
        return None

    def _planned(self, order: Order) -> Draft:
        """The draft of coins that the node still shows as unspent: after a closer look where they may not be."""
        try:
            draft = self._draft(order)
            if self._is_fresh or not self._are_spent(draft, order):
                return draft
        except (ShortOfFunds, ChainLimit):
            if self._is_thorough:
                raise
        # The last look was at this very tip, but it is the unconfirmed that changed.
        self._catch_up(thorough=True)
        return self._draft(order)

    def _are_spent(self, draft: Draft, order: Order) -> bool:
        """True if a coin of the draft is gone, or spent by something else, as far as is quickly found out."""
        if len(draft.coins) > COINS_CHECKED_MAX:
            return True
        made = {outpoint_txid(coin.outpoint) for coin in draft.coins if coin.height is None}
        if any(self._client.tx(txid) is None for txid in made - {one.txid for one in self._file.state.payments}):
            return True
        earlier = {payment.txid for payment in self._repetitions(order)}
        spenders = (self._client.outspend(coin.outpoint) for coin in draft.coins)
        return any(spender is not None and spender.txid not in earlier for spender in spenders)

    def _draft(self, order: Order) -> Draft:
        minimum = self._minimum_rate()
        rate = order.rate or rate_for(self._client.fee_estimates(), order.target, minimum)
        held = holdings_of(self._file.state)
        earlier = self._repetitions(order)
        if not earlier:
            return make_draft(order, rate, held, self._account, self._rng, self._engine, minimum=minimum)
        theirs = coins_of(self._client, self._file.state.snapshot, earlier)
        held = replace(held, coins={**held.coins, **theirs})

        def make(rate: FeeRate, must: Set[OutPoint]) -> Draft:
            return make_draft(order, rate, held, self._account, self._rng, self._engine, must, minimum)

        return replacement_draft(make, order, rate, held.coins, earlier)

    def _minimum_rate(self) -> FeeRate | None:
        """The lowest fee rate that the node takes, if it says so: asked for once a block."""
        if self._minimum is None or self._minimum[0] != self._tip:
            told = self._client.minimum_fee_rate()
            self._minimum = (self._tip, None if told is None else FeeRate(math.ceil(told * 1_000)))
        return self._minimum[1]

    def _hand_over(self, draft: Draft) -> Sent:
        """Check the coins, sign, write down, and only then give it to a node."""
        if self._secret is None:
            raise WalletError("sending needs the wallet's password: give --password-file FILE")
        state = self._file.state
        if len(state.payments) >= PAYMENTS_MAX:
            raise WalletError(f"{PAYMENTS_MAX} payments wait for a block already: wait for one, and try again")
        if not conflicts_with_all((coin.outpoint for coin in draft.coins), self._repetitions(draft.order)):
            raise AssertionError("a second payment of one order")
        own = {payment.txid: payment.tx for payment in state.payments}
        proven = proven_coins(self._client, self._account, draft.coins, own)
        parents = foreign_parents(self._client, draft.coins, own)
        tx = sign_draft(draft, self._account, self._secret.secret, self._engine)
        height = state.snapshot.height if state.snapshot else 0
        payment = signed_payment(draft, tx, self._account, height, parents)
        change_next = max(state.change_next, draft.change.path.index + 1 if draft.change else 0)
        self._file.save(
            replace(
                state,
                payments=(*state.payments, payment),
                change_next=change_next,
                snapshot=with_proven(state.snapshot, proven),
            )
        )
        settled = self.outgoing.deliver(payment, is_fresh=self._is_fresh)
        if settled.stage is not Stage.SEEN:
            raise refused_error(settled)
        return self.outgoing.told(draft.sent(tx.vsize))

    def _check_network(self) -> None:
        """Raises WalletError unless the node's chain is one that this wallet can be on; asked once."""
        if not self._known_network:
            check_network(self._client, self._file.identity)
            self._known_network = True

    def _catch_up(self, *, thorough: bool = False) -> None:
        """Bring the state up to the node's tip: no work if that has not moved, unless `thorough`."""
        state = self._file.state
        room = state.change_next < state.change_seen + GAP_LIMIT
        if not thorough and room and state.snapshot and state.snapshot.tip == self._client.tip_hash():
            self._tip = NodeTip(state.snapshot.tip, state.snapshot.height)
            self._is_fresh = self._is_thorough = False
            self._account.derive(RECEIVE, state.receive_next)  # to know payments to ourselves
            return
        view = look(self._client, self._account, state, thorough=thorough)
        self.warnings += news(state, view)
        self._tip, self._is_fresh, self._is_thorough = view.tip, True, thorough
        self._file.state = advanced(state, view)
