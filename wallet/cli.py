"""The `wallet` command."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import segno

from chain.address import encode_address
from chain.tx import OutPoint
from wallet.account import Receiving, Wallet
from wallet.amounts import FeeRate, format_amount, format_coins, format_rate
from wallet.arguments import AMOUNT, EVERYTHING, FEE, FEE_RATE, OUTPOINT, RECIPIENT
from wallet.client import Esplora
from wallet.console import EPILOG, Group, Settings, busy, is_dialogue, note, write_json
from wallet.derivation import ENTROPY_BYTES, RECEIVE, Account, KeyPath, check_words, words_from_entropy
from wallet.display import write_coins, write_draft, write_history, write_sent
from wallet.draft import TARGET_BLOCKS, Draft, Sent
from wallet.errors import ChainLimit, WalletError
from wallet.facts import coin_facts, entry_facts
from wallet.networks import load_network
from wallet.store import WalletFile
from wallet.uri import PaymentRequest

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
    facts = [entry_facts(entry, tip.height) for entry in entries]
    if settings.json:
        write_json(facts)
    elif facts:
        write_history(facts)
    else:
        note("No transactions yet.")


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
    elif facts:
        write_coins(facts)
    else:
        note("No coins yet.")


# --- paying ----------------------------------------------------------------------------------------


@cli.command()
@click.argument("address", type=RECIPIENT)
@click.argument("amount", type=AMOUNT, required=False)
@click.option("--fee-rate", type=FEE_RATE, metavar="SAT_VB", help="Satoshis per virtual byte, not the node's estimate.")
@click.option(
    "--target",
    type=click.IntRange(1, TARGET_MAX),
    metavar="BLOCKS",
    help=f"Estimate the fee to be mined within so many blocks.  [default: {TARGET_BLOCKS}]",
)
@click.option("--max-fee", type=FEE, metavar="AMOUNT", help="Allow a fee up to this, and no higher one.")
@click.option("--subtract-fee", is_flag=True, help="Take the fee out of AMOUNT.")
@click.option(
    "--coin", "coin", type=OUTPOINT, multiple=True, metavar="OUTPOINT",
    help="Spend this coin (txid:index); repeat for more.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the payment and send nothing. Needs no password.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait for a block if too many payments in a row are unconfirmed.")
@click.pass_obj
def send(
    settings: Settings,
    address: PaymentRequest,
    amount: int | str | None,
    fee_rate: FeeRate | None,
    target: int | None,
    max_fee: int | None,
    subtract_fee: bool,
    coin: tuple[OutPoint, ...],
    dry_run: bool,
    yes: bool,
    wait: bool,
) -> None:
    """Pay AMOUNT to ADDRESS, and print the transaction's id.

    AMOUNT is in coins with up to 8 decimals (0.5), in satoshis (1500sat), or max: all that can be
    spent, less the fee. ADDRESS may be a bitcoin: URI, which may have the amount in it. Confirmed
    coins are spent first; with --coin just the coins named, all of them.

    On a terminal it shows the payment and asks. A fee above a tenth of the amount, 0.1 coins or
    100 sat/vB is asked about with the reason; scripts and --yes have to allow it with --max-fee.

    \b
    Examples:
      wallet send bcrt1q... 0.5
      wallet send bcrt1q... max --dry-run
      wallet send bcrt1q... 1500sat --fee-rate 2 --yes
      wallet send bcrt1q... 10 --subtract-fee --max-fee 2000sat
      wallet send 'bitcoin:bcrt1q...?amount=0.1' --json --yes --wait
    """
    if fee_rate is not None and target is not None:
        raise click.UsageError("--fee-rate and --target exclude each other.")
    satoshis = _amount_of(address, amount)
    if subtract_fee and satoshis is None:
        raise click.UsageError("max has the fee taken out already: leave --subtract-fee away.")
    on_wait = note if wait else None
    with _opened(settings) as wallet:
        order = wallet.order(
            address.address,
            satoshis,
            rate=fee_rate,
            target=target or TARGET_BLOCKS,
            subtract_fee=subtract_fee,
            only=coin,
            max_fee=max_fee,
        )
        if dry_run:
            draft = wallet.draft(order, wait=wait, on_wait=on_wait)
            write_draft(settings, draft, wallet.address_of)
            return
        wallet.unlock(settings.password())
        if yes or not is_dialogue():
            sent = wallet.pay(order, wait=wait, on_wait=on_wait)
        else:
            draft = wallet.draft(order, wait=wait, on_wait=on_wait)
            sent = _pay(wallet, _agreed(draft, address), wait)
    write_sent(settings, sent, wallet.address_of)


def _amount_of(request: PaymentRequest, amount: int | str | None) -> int | None:
    """The amount in satoshis, or None for everything."""
    if amount is None:
        if request.amount is None:
            raise click.UsageError("Missing argument 'AMOUNT'.")
        return request.amount
    if request.amount is not None and request.amount != amount:
        raise click.UsageError(
            f"The URI asks for {format_coins(request.amount)}: leave AMOUNT away, or pay an address."
        )
    return None if amount == EVERYTHING else int(amount)


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


def _pay(wallet: Wallet, draft: Draft, wait: bool) -> Sent:
    """Just what the person agreed to; if only a block helps and they agreed to wait, the same order after it."""
    try:
        return wallet.pay_draft(draft)
    except ChainLimit:
        if not wait:
            raise
    return wallet.pay(draft.order, wait=True, on_wait=note)
