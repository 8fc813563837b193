"""The `wallet` command."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import segno

from chain.address import encode_address
from chain.hashes import to_hex
from chain.tx import OutPoint
from wallet.account import Receiving, Wallet
from wallet.amounts import format_coins, format_rate, parse_amount, parse_fee_rate
from wallet.client import Esplora
from wallet.console import EPILOG, Group, Settings, busy, is_dialogue, is_terminal, note, write_json, write_table
from wallet.derivation import ENTROPY_BYTES, RECEIVE, Account, KeyPath, check_words, words_from_entropy
from wallet.draft import TARGET_BLOCKS, Draft, Order, Sent
from wallet.errors import ChainLimit, WalletError
from wallet.facts import coin_facts, entry_facts, sent_facts
from wallet.history import Entry
from wallet.networks import load_network
from wallet.state import parse_outpoint
from wallet.store import WalletFile

WORDS_CHARS_MAX = 4_096
TARGET_MAX = 1_008
"""The furthest target in blocks that nodes estimate fee rates for."""


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="groat", message="wallet, groat %(version)s", help="Show the version.")
def cli() -> None:
    """A wallet for the coins of groat networks and Bitcoin's regtest.

    \b
    Make a wallet, get paid, pay:
      wallet create
      wallet address
      wallet balance
      wallet send bcrt1q... 0.5
      wallet history
    """


def main() -> None:
    """The console script."""
    cli(prog_name="wallet")


# --- making a wallet -------------------------------------------------------------------------------

network_option = click.option(
    "--network", default="regtest", metavar="regtest|FILE", help="The network, or its TOML file.  [default: regtest]"
)


@cli.command()
@network_option
@click.pass_obj
def create(settings: Settings, network: str) -> None:
    """Make a new wallet and show its words.

    The twelve words are the wallet: whoever has them has the coins, and they bring everything
    back if the file is lost. Write them down. The password guards the file alone.

    \b
    Examples:
      wallet create
      wallet --wallet savings.json create --network devnet/network.toml
      wallet create --json --password-file password.txt
    """
    params = load_network(network)
    _refuse_existing(settings.wallet)
    words = words_from_entropy(os.urandom(ENTROPY_BYTES))
    WalletFile.create(settings.wallet, words, settings.password(confirm=True), params, Esplora.pause)
    note("Write the words down and keep them secret: they bring the coins back, to whoever has them.")
    _show_new(settings, {"words": words})


@cli.command()
@network_option
@click.pass_obj
def restore(settings: Settings, network: str) -> None:
    """Make a wallet from words written down before.

    They are 12 to 24 English BIP39 words, asked for or read from standard input. `wallet balance`
    then finds the coins.

    \b
    Examples:
      wallet restore
      wallet --wallet copy.json restore --password-file password.txt < words.txt
    """
    params = load_network(network)
    _refuse_existing(settings.wallet)
    typed = str(click.prompt("Words", err=True)) if is_dialogue() else sys.stdin.read(WORDS_CHARS_MAX)
    words = check_words(typed)
    WalletFile.create(settings.wallet, words, settings.password(confirm=True), params, Esplora.pause)
    _show_new(settings, {})


def _show_new(settings: Settings, secret: dict[str, str]) -> None:
    # No node is asked, not even for whether the address is used: the words have to be shown whatever happens.
    made = WalletFile(settings.wallet).identity
    first = encode_address(Account(made.xpub).script(KeyPath(RECEIVE, 0)))
    facts = {"file": str(settings.wallet.absolute()), "network": made.network, "address": first, **secret}
    if settings.json:
        write_json(facts)
        return
    for name, fact in facts.items():
        click.echo(f"{name + ':':9}{fact}")


def _refuse_existing(path: Path) -> None:
    # Before any question is asked; making the file checks it again.
    if os.path.lexists(path):
        raise WalletError(f"{path} exists already and is left alone: give another --wallet FILE")


# --- looking ---------------------------------------------------------------------------------------


@contextmanager
def _opened(settings: Settings) -> Iterator[Wallet]:
    """The wallet and its node; afterwards what the person should know of older payments."""
    with Esplora(settings.node_urls) as client:
        wallet = Wallet.open(settings.wallet, None, client)
        yield wallet
        for warning in wallet.warnings:
            note(f"Note: {warning}")


@cli.command()
@click.option("--new", is_flag=True, help="An address that was never handed out before.")
@click.option("--qr", is_flag=True, help="Draw it as a QR code too.")
@click.pass_obj
def address(settings: Settings, new: bool, qr: bool) -> None:
    """Show an address to be paid at.

    It is the first that nobody has paid yet. Needs no password.

    \b
    Examples:
      wallet address
      wallet address --qr
      wallet address --new --json
    """
    with _opened(settings) as wallet:
        receiving = wallet.new_address() if new else wallet.address()
    if receiving.warning:
        note(f"Note: {receiving.warning}")
    if settings.json:
        write_json({"address": receiving.address, "index": receiving.index})
        return
    click.echo(receiving.address)
    if qr:
        _draw(receiving)


def _draw(receiving: Receiving) -> None:
    # In capitals a QR code needs fewer dots; bech32 means the same either way (BIP173).
    code = segno.make(receiving.address.upper(), micro=False)
    blocks = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    code.terminal(out=sys.stdout, border=2, compact=blocks)


@cli.command()
@click.pass_obj
def balance(settings: Settings) -> None:
    """Show what the wallet has.

    Needs no password. Confirmed coins are in blocks; unconfirmed ones wait for a block; immature ones were mined
    less than 100 blocks ago. Spendable is what `send` can use now: confirmed and unconfirmed.

    \b
    Examples:
      wallet balance
      wallet balance --json
    """
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


@cli.command()
@click.pass_obj
def history(settings: Settings) -> None:
    """List the wallet's transactions, newest first.

    Needs no password.

    \b
    Examples:
      wallet history
      wallet history --json
    """
    with _opened(settings) as wallet, busy("reading the chain"):
        entries, tip = wallet.history()
    if settings.json:
        write_json([entry_facts(entry, tip.height) for entry in entries])
    elif not entries:
        note("No transactions yet.")
    else:
        columns = ("time", "kind", "amount", "fee_sat", "height", "txid", "with")
        write_table(columns, [_entry_row(entry) for entry in entries], ("amount", "fee_sat", "height"))


def _entry_row(entry: Entry) -> list[str]:
    sign = "+" if entry.net >= 0 else ""
    others = entry.counterparties
    return [
        ""
        if entry.time is None
        else datetime.fromtimestamp(entry.time, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        entry.kind,
        sign + format_coins(entry.net),
        "" if entry.fee is None else str(entry.fee),
        "unconfirmed" if entry.height is None else str(entry.height),
        to_hex(entry.txid),
        others[0] + (f" and {len(others) - 1} more" if len(others) > 1 else "") if others else "",
    ]


@cli.command()
@click.pass_obj
def coins(settings: Settings) -> None:
    """List the wallet's unspent coins, the largest first.

    Needs no password.

    \b
    Examples:
      wallet coins
      wallet coins --json
    """
    with _opened(settings) as wallet, busy("reading the chain"):
        view = wallet.look()
        held = sorted(view.coins.values(), key=lambda coin: -coin.value)
        facts = [coin_facts(coin, wallet.address_of, view.tip.height) for coin in held]
    if settings.json:
        write_json(facts)
    elif not facts:
        note("No coins yet.")
    else:
        rows = [
            [
                format_coins(row["value_sat"]),
                "unconfirmed" if row["height"] is None else str(row["confirmations"]),
                "" if row["spendable"] else "immature",
                row["outpoint"],
                row["address"],
            ]
            for row in facts
        ]
        write_table(("amount", "confirmations", "", "outpoint", "address"), rows, ("amount", "confirmations"))


# --- paying ----------------------------------------------------------------------------------------


@cli.command()
@click.argument("address")
@click.argument("amount")
@click.option("--fee-rate", metavar="SAT_VB", help="Satoshis per virtual byte; without it the node's estimate.")
@click.option(
    "--target",
    type=click.IntRange(1, TARGET_MAX),
    metavar="BLOCKS",
    help=f"Estimate the fee to be mined within so many blocks.  [default: {TARGET_BLOCKS}]",
)
@click.option("--subtract-fee", is_flag=True, help="The recipient gets the amount less the fee.")
@click.option(
    "--coin", "coin", multiple=True, metavar="OUTPOINT", help="Spend this coin (txid:index); repeat for more."
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing. Needs no password.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="At the node's limit of unconfirmed payments in a row, wait for a block.")
@click.pass_obj
def send(
    settings: Settings,
    address: str,
    amount: str,
    fee_rate: str | None,
    target: int | None,
    subtract_fee: bool,
    coin: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    wait: bool,
) -> None:
    """Pay AMOUNT to ADDRESS, and print the transaction's id.

    AMOUNT is in coins with up to 8 decimals (0.5), or in satoshis (1500sat). Confirmed coins are
    spent first. With --coin just the coins named are spent, all of them. On a terminal it shows
    what it will do and asks; a script is not asked.

    \b
    Examples:
      wallet send bcrt1q... 0.5
      wallet send bcrt1q... 1500sat --fee-rate 2 --yes
      wallet send bcrt1q... 10 --subtract-fee --dry-run
      wallet send bcrt1q... 0.1 --json --yes --wait --password-file password.txt
    """
    if fee_rate is not None and target is not None:
        raise click.UsageError("--fee-rate and --target exclude each other.")
    with _opened(settings) as wallet:
        order = wallet.order(
            address,
            parse_amount(amount),
            rate=None if fee_rate is None else parse_fee_rate(fee_rate),
            target=target or TARGET_BLOCKS,
            subtract_fee=subtract_fee,
            only=_parse_coins(coin),
        )
        if dry_run:
            _show_draft(settings, wallet, wallet.draft(order))
            return
        wallet.unlock(settings.password())
        draft = None if yes or not is_dialogue() else wallet.draft(order)
        if draft and not click.confirm(_question(draft, address), err=True):
            raise WalletError("nothing was sent")
        sent = _pay(wallet, order, draft, wait)
    _show_sent(settings, wallet, sent)


def _parse_coins(texts: tuple[str, ...]) -> list[OutPoint]:
    try:
        return [parse_outpoint(text) for text in texts]
    except ValueError as error:
        raise WalletError(f"--coin: {error}") from error


def _pay(wallet: Wallet, order: Order, draft: Draft | None, wait: bool) -> Sent:
    """Just what the person agreed to; if only a block helps and they agreed to wait, the same order after it."""
    if draft:
        try:
            return wallet.pay_draft(draft)
        except ChainLimit:
            if not wait:
                raise
    return wallet.pay(order, wait=wait, on_wait=note)


def _question(draft: Draft, address: str) -> str:
    paid = sum(coin.value for coin in draft.coins) - draft.fee - (draft.change.value if draft.change else 0)
    fee = f"{format_coins(draft.fee)} ({format_rate(draft.fee, draft.vsize)} sat/vB)"
    return f"Pay {format_coins(paid)} to {address}, with a fee of {fee}?"


def _show_draft(settings: Settings, wallet: Wallet, draft: Draft) -> None:
    sent = Sent(draft.tx.txid, draft.fee, draft.vsize, draft.coins, draft.change)
    facts = sent_facts(sent, wallet.address_of)
    if settings.json:
        write_json({**facts, "dry_run": True})
        return
    click.echo("nothing was sent; this would be:")
    _describe(facts)


def _show_sent(settings: Settings, wallet: Wallet, sent: Sent) -> None:
    facts = sent_facts(sent, wallet.address_of)
    if settings.json:
        write_json(facts)
    elif is_terminal():
        _describe(facts)
    else:
        click.echo(facts["txid"])


def _describe(facts: dict[str, Any]) -> None:
    for row in facts["inputs"]:
        click.echo(f"spends  {format_coins(row['value_sat'])}  {row['outpoint']}")
    if change := facts["change"]:
        click.echo(f"change  {format_coins(change['value_sat'])}  {change['outpoint']}")
    click.echo(f"fee     {facts['fee_sat']} sat, {facts['fee_rate_sat_vb']} sat/vB for {facts['vsize']} vB")
    click.echo(f"txid    {facts['txid']}")
