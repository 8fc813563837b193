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
from wallet.amounts import RELAY_RATE, TARGET_BLOCKS, FeeRate, fee_at, format_fee_rate
from wallet.broadcast import hand_over
from wallet.build import payable_script
from wallet.client import Esplora
from wallet.delivery import NodeAnswer, after_answer, answered, conflicts_with_all, repetitions, shared_coins
from wallet.derivation import CHANGE, GAP_LIMIT, RECEIVE, Account, AccountSecret, KeyPath
from wallet.draft import Change, Draft, Holdings, Order, Sent, make_draft, rate_for, sign_draft
from wallet.errors import (
    ChainLimit,
    NodeError,
    NodeRefused,
    NodeUnreachable,
    PaymentRefused,
    ShortOfFunds,
    WalletError,
)
from wallet.esplora import NodeTip
from wallet.history import HistoryEntry, history_of
from wallet.ledger import Balance, offered, unconfirmed_ancestors, with_payments
from wallet.payment import Payment, Stage
from wallet.provenance import foreign_parents, proven_coins
from wallet.refusals import NodeRefusal, Receipt, chain_limit, refusal_kind, refused_error, unclear_error
from wallet.scan import used_receiving
from wallet.state import PAYMENTS_MAX, OwnCoin, Snapshot, State, next_change_index
from wallet.store import WalletFile
from wallet.view import WalletView, advanced, changed, look, news

RATE_TRIES = 4
"""Attempts at raising the rate of a payment that replaces another until its fee is enough."""
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
        self.tell: Callable[[Sent], object] | None = None
        """Shows somebody a payment that was sent. Only after that the same order is a new one; without it,
        it is as soon as a node has the payment."""
        self._file = file
        self._secret: AccountSecret | None = None
        self._client = client
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
            held = self._holdings()
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
            settled = self._deliver(payment)
            if settled.stage in (Stage.SEEN, Stage.BURIED):
                self.warnings.append(
                    f"payment {name} was signed before for the same order, and is sent: nothing more was paid. To "
                    "pay the same again, run the command once more"
                )
                return self._told(_sent(settled))
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
        held = self._holdings()
        if earlier := self._repetitions(order):
            return self._replacement(order, rate, minimum, held, earlier)
        return make_draft(order, rate, held, self._account, self._rng, self._engine, minimum=minimum)

    def _replacement(
        self, order: Order, rate: FeeRate, minimum: FeeRate | None, held: Holdings, earlier: Sequence[Payment]
    ) -> Draft:
        """A draft that cannot be mined beside any payment made for the order before, and that a node
        takes in its place (BIP125: more fee, by the relay rate)."""
        coins = {**held.coins, **self._coins_of(earlier)}
        # Better one in a block: the payment that made another may be gone.
        sure = frozenset(point for point, coin in coins.items() if coin.height is not None)
        must = shared_coins(earlier, sure) or shared_coins(earlier, frozenset(coins))
        if must is None:
            name = to_hex(earlier[-1].txid)
            raise PaymentRefused(
                f"payment {name} of this order is signed, and another transaction spends its coins: nothing more is "
                "signed for it before one of the two is buried; see `wallet history`"
            )
        held, least = replace(held, coins=coins), max(payment.fee for payment in earlier)
        for _ in range(RATE_TRIES):
            draft = make_draft(order, rate, held, self._account, self._rng, self._engine, must, minimum)
            enough = least + fee_at(RELAY_RATE, draft.vsize)
            if draft.fee >= enough:
                return draft
            needed = FeeRate(-(-enough * 1_000 // draft.vsize))
            if order.rate:
                raise PaymentRefused(
                    f"payment {to_hex(earlier[-1].txid)} of this order is signed: to replace it give --fee-rate "
                    f"{format_fee_rate(needed)} or more"
                )
            rate = needed
        raise PaymentRefused(f"no fee was found that replaces payment {to_hex(earlier[-1].txid)}: give --fee-rate")

    def _coins_of(self, earlier: Sequence[Payment]) -> dict[OutPoint, OwnCoin]:
        """The coins of payments that nothing else spends, by the node's word."""
        snapshot = self._file.state.snapshot
        known = {coin.outpoint: coin for coin in snapshot.coins} if snapshot else {}
        coins, own = {}, {payment.txid for payment in earlier}
        for payment in earlier:
            for point, (value, path) in zip(payment.spent, payment.inputs, strict=True):
                spender = self._client.outspend(point)
                if spender is None or spender.txid in own:
                    coins[point] = known.get(point) or OwnCoin(point, value, path, None, own=True, proven=True)
        return coins

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
        coins = offered(with_payments(snapshot.coins, state.payments), state.payments)
        return Holdings(coins, snapshot.height, unconfirmed_ancestors(state.payments), next_change_index(state))

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
        payment = Payment(
            raw=tx.raw,
            fee=draft.fee,
            inputs=tuple((coin.value, coin.path) for coin in draft.coins),
            outputs=tuple((i, path) for i, out in enumerate(tx.outputs) if (path := self._account.path_of(out.script))),
            sent_height=state.snapshot.height if state.snapshot else 0,
            paid=draft.order.payments,
            parents=parents,
        )
        change_next = max(state.change_next, draft.change.path.index + 1 if draft.change else 0)
        self._file.save(
            replace(
                state,
                payments=(*state.payments, payment),
                change_next=change_next,
                snapshot=_with_proven(state.snapshot, proven),
            )
        )
        settled = self._deliver(payment)
        if settled.stage is not Stage.SEEN:
            raise refused_error(settled)
        return self._told(draft.sent(tx.vsize))

    def _deliver(self, payment: Payment) -> Payment:
        """Give a payment to a node and write down what came of it. Raises PaymentUnclear where nothing is
        known of it, or somebody interrupts: until the txid is out, nobody may think that nothing was sent."""
        try:
            # One that was shown just now, or in a block of this very chain, is with a node.
            shown = payment.counted and (self._is_fresh or payment.height is not None)
            receipt = Receipt(NodeAnswer.KNOWN) if shown else hand_over(self._client, payment)
            return self._settle(payment, receipt)
        except KeyboardInterrupt as error:
            raise unclear_error(payment, "interrupted") from error

    def _settle(self, payment: Payment, receipt: Receipt) -> Payment:
        """Write down what a node said of a payment. Raises PaymentUnclear where it said nothing."""
        state = self._file.state
        height = state.snapshot.height if state.snapshot else 0
        is_known = payment.counted and receipt.answer in (NodeAnswer.TAKEN, NodeAnswer.KNOWN)
        settled = payment if is_known else after_answer(payment, receipt.answer, height, reason=receipt.reason)
        payments = tuple(settled if one.txid == payment.txid else one for one in state.payments)
        if self.tell is None and settled.stage in (Stage.SEEN, Stage.BURIED):
            payments = answered(payments, settled)
        try:
            self._file.save(replace(state, payments=payments))
        except WalletError as error:
            name = to_hex(payment.txid)
            self.warnings.append(f"payment {name} is in the wallet file, but not what came of it: {error}")
        if receipt.answer is NodeAnswer.UNCLEAR:
            raise unclear_error(settled, receipt.reason)
        return settled

    def _told(self, sent: Sent) -> Sent:
        """Show somebody what was sent, and write down that this was done."""
        if self.tell is None:
            return sent
        self.tell(sent)
        state = self._file.state
        told = next(payment for payment in state.payments if payment.txid == sent.txid)
        try:
            self._file.save(replace(state, payments=answered(state.payments, told)))
        except WalletError as error:
            self.warnings.append(f"the same order given again is taken for payment {to_hex(sent.txid)}: {error}")
        except KeyboardInterrupt:
            # The txid is out and nothing is left to interrupt: who read "interrupted" now would pay again.
            pass
        return sent

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
            hint = "this is not a node's API: --node may name its port for peers (P2P)"
            raise NodeError(f"{refused}; {hint}") from refused

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


def _with_proven(snapshot: Snapshot | None, proven: Sequence[OwnCoin]) -> Snapshot | None:
    """The snapshot with these coins' amounts noted as proven."""
    if snapshot is None:
        return None
    points = {coin.outpoint for coin in proven}
    coins = tuple(replace(coin, proven=True) if coin.outpoint in points else coin for coin in snapshot.coins)
    return replace(snapshot, coins=coins)


def _sent(payment: Payment) -> Sent:
    """The report of a payment that was signed before."""
    own = [Change(index, path, payment.tx.outputs[index].value) for index, path in payment.outputs]
    change = next((output for output in own if output.path.chain == CHANGE), None)
    paid = tuple(output for index, output in enumerate(payment.tx.outputs) if not change or index != change.index)
    coins = tuple(
        OwnCoin(point, value, path, None, own=True, proven=True)
        for point, (value, path) in zip(payment.spent, payment.inputs, strict=True)
    )
    return Sent(payment.txid, paid, payment.fee, payment.tx.vsize, coins, change)
