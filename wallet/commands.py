"""The commands' work. Imported by the first command that runs, so that `wallet --help` is quick."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from chain.address import encode_address
from wallet.account import Wallet
from wallet.amounts import format_amount, format_coins, format_rate
from wallet.client import Esplora
from wallet.console import Settings, busy, is_dialogue, note, write_json
from wallet.derivation import CHANGE, ENTROPY_BYTES, RECEIVE, Account, KeyPath, check_words, words_from_entropy
from wallet.display import write_coins, write_draft, write_history, write_sent
from wallet.draft import Draft
from wallet.errors import ChainLimit, WalletError
from wallet.facts import coin_facts, entry_facts
from wallet.networks import load_network
from wallet.store import WalletFile
from wallet.uri import PaymentRequest

WORDS_CHARS_MAX = 4_096


def create(settings: Settings, network: str) -> None:
    """Make a wallet file of new words, and show them."""
    params = load_network(network)
    _refuse_existing(settings.wallet)
    words = words_from_entropy(os.urandom(ENTROPY_BYTES))
    WalletFile.create(settings.wallet, words, settings.password(confirm=True), params, Esplora.pause)
    note("Write the words down and keep them secret: anyone who has them can spend the coins.")
    _show_new(settings, {"words": words})


def restore(settings: Settings, network: str) -> None:
    """Make a wallet file of words typed or read."""
    params = load_network(network)
    _refuse_existing(settings.wallet)
    typed = str(click.prompt("Words", err=True)) if is_dialogue() else sys.stdin.read(WORDS_CHARS_MAX)
    words = check_words(typed)
    WalletFile.create(settings.wallet, words, settings.password(confirm=True), params, Esplora.pause)
    if not settings.json:
        _show_new(settings, {})
    found = _search(settings)
    if settings.json:
        _show_new(settings, {"found": found})
    elif found:
        looked_at = " and ".join(f"{found[f'{chain}_addresses']} {chain}" for chain in ("receiving", "change"))
        note(
            f"Looked at {looked_at} addresses: {found['used_addresses']} used, "
            f"{format_coins(found['balance_sat'])} coins. Addresses further on count once one before them is used."
        )


def _search(settings: Settings) -> dict[str, int] | None:
    """Look for a restored wallet's coins on the chain; None without a node: the wallet is made all the same."""
    try:
        with _opened(settings) as wallet, busy("looking for coins"):
            view = wallet.look()
    except WalletError as error:
        note(f"Note: the chain was not searched for coins: {error}; `wallet balance` does it.")
        return None
    balance = view.balance
    return {
        "receiving_addresses": view.found.looked_at[RECEIVE],
        "change_addresses": view.found.looked_at[CHANGE],
        "used_addresses": len(view.found.used),
        "balance_sat": balance.confirmed + balance.unconfirmed + balance.immature,
    }


def _show_new(settings: Settings, more: Mapping[str, Any]) -> None:
    # For a new wallet no node is asked, not even for whether the address is used: the words have to be
    # shown whatever happens.
    made = WalletFile(settings.wallet).identity
    first = encode_address(Account(made.xpub).script(KeyPath(RECEIVE, 0)))
    facts = {"file": str(settings.wallet.absolute()), "network": made.network, "address": first, **more}
    if settings.json:
        write_json(facts)
        return
    for name, fact in facts.items():
        # A file's name may have bytes that are no text.
        click.echo(f"{name + ':':9}{click.format_filename(fact or '')}")


def _refuse_existing(path: Path) -> None:
    # Before any question is asked; making the file checks it again.
    if os.path.lexists(path):
        raise WalletError(f"{path} already exists: choose another file with --wallet FILE")


@contextmanager
def _opened(settings: Settings) -> Iterator[Wallet]:
    """An open wallet and its node; prints warnings about older payments afterwards."""
    with Esplora(settings.node_urls) as client:
        wallet = Wallet.open(settings.wallet, None, client)
        try:
            yield wallet
        finally:
            for warning in dict.fromkeys(wallet.warnings):
                note(f"Note: {warning}")


def address(settings: Settings, new: bool, qr: bool) -> None:
    """Show an unused address, or one never shown before."""
    with _opened(settings) as wallet:
        receiving = wallet.new_address() if new else wallet.address()
    if receiving.warning:
        note(f"Note: {receiving.warning}")
    if settings.json:
        write_json({"address": receiving.address, "index": receiving.index})
        return
    click.echo(receiving.address)
    if qr:
        _draw(receiving.address)


def _draw(text: str) -> None:
    # In capitals a QR code needs fewer dots; bech32 means the same either way (BIP173).
    code = import_module("segno").make(text.upper(), micro=False)
    blocks = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    code.terminal(out=sys.stdout, border=2, compact=blocks)


def balance(settings: Settings) -> None:
    """Show the sums of the wallet's coins."""
    with _opened(settings) as wallet, busy("reading the chain"):
        held = wallet.balance()
    sums = {
        "confirmed": held.confirmed,
        "unconfirmed": held.unconfirmed,
        "immature": held.immature,
        "spendable": held.spendable,
    }
    if settings.json:
        write_json({f"{name}_sat": amount for name, amount in sums.items()})
        return
    for name, amount in sums.items():
        click.echo(f"{name + ':':13}{format_coins(amount):>18}")


def history(settings: Settings) -> None:
    """Show the wallet's transactions."""
    with _opened(settings) as wallet, busy("reading the chain"):
        entries, tip = wallet.history()
    facts = [entry_facts(entry, tip.height) for entry in entries]
    if settings.json:
        write_json(facts)
    elif facts:
        write_history(facts)
    else:
        note("No transactions yet.")


def coins(settings: Settings) -> None:
    """Show the wallet's unspent coins."""
    with _opened(settings) as wallet, busy("reading the chain"):
        view = wallet.look()
        held = sorted(view.coins.values(), key=lambda coin: -coin.value)
        free, height = view.spendable, view.tip.height
        facts = [coin_facts(coin, wallet.address_of, height, is_spendable=coin.outpoint in free) for coin in held]
    if settings.json:
        write_json(facts)
    elif facts:
        write_coins(facts)
    else:
        note("No coins yet.")


def send(
    settings: Settings,
    request: PaymentRequest,
    amount: int | None,
    wanted: Mapping[str, Any],
    *,
    dry_run: bool,
    yes: bool,
    wait: bool,
) -> None:
    """Pay, or show what it would come to; a person is asked first. `wanted` is the rest of `Wallet.order`."""
    on_wait = note if wait else None
    with _opened(settings) as wallet:
        order = wallet.order(request.address, amount, **wanted)
        if dry_run:
            draft = wallet.draft(order, wait=wait, on_wait=on_wait)
            write_draft(settings, draft, wallet.address_of)
            return
        wallet.unlock(settings.password())
        wallet.outgoing.tell = lambda sent: write_sent(settings, sent, wallet.address_of)
        if yes or not is_dialogue():
            wallet.pay(order, wait=wait, on_wait=on_wait)
        elif not wallet.resumed(order):
            draft = wallet.draft(order, wait=wait, on_wait=on_wait)
            _pay(wallet, _agreed(draft, request), wait)


def _agreed(draft: Draft, request: PaymentRequest) -> Draft:
    """The draft, once the person said yes to it."""
    if draft.below_minimum:
        raise WalletError(f"{draft.below_minimum}; nothing was sent")
    for name, words in (("label", request.label), ("message", request.message)):
        if words:
            note(f"The URI's {name}: {words}")
    if draft.fee_excess:
        note(f"Attention: the fee of {format_amount(draft.fee)} {draft.fee_excess}.")
    if not click.confirm(_question(draft), err=True):
        raise WalletError("nothing was sent")
    return draft.agreed()


def _question(draft: Draft) -> str:
    paid = " and ".join(f"{format_coins(out.value)} to {encode_address(out.script)}" for out in draft.payments)
    fee = f"{format_coins(draft.fee)} ({format_rate(draft.fee, draft.vsize)} sat/vB)"
    return f"Pay {paid}, with a fee of {fee}?"


def _pay(wallet: Wallet, draft: Draft, wait: bool) -> None:
    """Send exactly the payment agreed to; with `wait`, the same order after the next block if it has to be."""
    try:
        wallet.pay_draft(draft)
    except ChainLimit:
        if not wait:
            raise
        wallet.pay(draft.order, wait=True, on_wait=note)
