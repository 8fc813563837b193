"""The `wallet` command: its options and help. What the commands do is in wallet.commands."""

from importlib import import_module
from types import ModuleType

import click

from wallet.amounts import TARGET_BLOCKS, FeeRate, format_coins
from wallet.arguments import AMOUNT, EVERYTHING, FEE, FEE_RATE, OUTPOINT, RECIPIENT
from wallet.console import EPILOG, Group, Settings
from wallet.uri import PaymentRequest

TARGET_MAX = 1_008
"""The furthest target in blocks that nodes estimate fee rates for."""


@click.group(
    cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80}
)
@click.version_option(package_name="groat", message="wallet, groat %(version)s", help="Show the version.")
def cli() -> None:
    """A wallet for groat's networks: regtest and devnets.

    \b
    Create a wallet, receive, pay:
      wallet create
      wallet address
      wallet balance
      wallet send bcrt1q... 0.5
      wallet history
    """


def main() -> None:
    """The console script."""
    cli(prog_name="wallet")


def _commands() -> ModuleType:
    return import_module("wallet.commands")


network_option = click.option(
    "--network", default="regtest", metavar="regtest|FILE", help="The network, or its TOML file.  [default: regtest]"
)


@cli.command()
@network_option
@click.pass_obj
def create(settings: Settings, network: str) -> None:
    """Create a wallet and show its recovery words.

    The twelve words restore the wallet if its file is lost, and anyone who has them can spend its
    coins: write them down and keep them secret. The password protects only the file.

    A wallet belongs to one network and refuses the nodes of others. The file of a devnet is
    network.toml in the devnet's folder.

    \b
    Examples:
      wallet create
      wallet --wallet savings.json create
      wallet create --network ~/.local/share/groat/devnet/network.toml
      wallet create --json --password-file password.txt
    """
    _commands().create(settings, network)


@cli.command()
@network_option
@click.pass_obj
def restore(settings: Settings, network: str) -> None:
    """Restore a wallet from its recovery words.

    They are 12 to 24 English BIP39 words, typed at the prompt or read from standard input.
    Searches the chain for coins, and says how many addresses it looked at.

    \b
    Examples:
      wallet restore
      wallet --wallet copy.json restore --password-file pw.txt < words.txt
    """
    _commands().restore(settings, network)


@cli.command()
@click.option("--new", is_flag=True, help="An address that was never shown before.")
@click.option("--qr", is_flag=True, help="Draw it as a QR code too.")
@click.pass_obj
def address(settings: Settings, new: bool, qr: bool) -> None:
    """Show an address to receive coins.

    It is the wallet's first unused one. Needs no password.

    \b
    Examples:
      wallet address
      wallet address --qr
      wallet address --new --json
    """
    _commands().address(settings, new, qr)


@cli.command()
@click.pass_obj
def balance(settings: Settings) -> None:
    """Show the wallet's balance.

    Needs no password. Confirmed coins are in blocks; unconfirmed ones wait for a block; immature
    ones were mined less than 100 blocks ago. Spendable is what `send` can use now: confirmed and
    unconfirmed.

    \b
    Examples:
      wallet balance
      wallet balance --json
    """
    _commands().balance(settings)


@cli.command()
@click.pass_obj
def history(settings: Settings) -> None:
    """List the wallet's transactions, newest first.

    Needs no password. Below each is its id, and who was paid or paid.

    \b
    Examples:
      wallet history
      wallet history --json
    """
    _commands().history(settings)


@cli.command()
@click.pass_obj
def coins(settings: Settings) -> None:
    """List the wallet's unspent coins, largest first.

    Needs no password. Below each is its outpoint, which `send --coin` takes.

    \b
    Examples:
      wallet coins
      wallet coins --json
    """
    _commands().coins(settings)


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
@click.option("--subtract-fee", is_flag=True, help="Subtract the fee from AMOUNT.")
@click.option(
    "--coin", type=OUTPOINT, multiple=True, metavar="OUTPOINT", help="Spend this coin (txid:index); repeat for more."
)
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
    coin: tuple[bytes, ...],
    dry_run: bool,
    yes: bool,
    wait: bool,
) -> None:
    """Pay AMOUNT to ADDRESS, and print the transaction's id.

    AMOUNT is in coins with up to 8 decimals (0.5), in satoshis (1500sat), or max: all that can be
    spent, less the fee. ADDRESS may be a bitcoin: URI, which may include the amount. Confirmed
    coins are spent first; with --coin exactly the coins named.

    On a terminal it shows the payment and asks. If the fee is above a tenth of the amount, 0.1
    coins or 100 sat/vB, it says why it asks; a script, or --yes, needs --max-fee for such a fee.

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
        raise click.UsageError("max already subtracts the fee: omit --subtract-fee.")
    wanted = {
        "rate": fee_rate,
        "target": target or TARGET_BLOCKS,
        "subtract_fee": subtract_fee,
        "only": coin,
        "max_fee": max_fee,
    }
    _commands().send(settings, address, satoshis, wanted, dry_run=dry_run, yes=yes, wait=wait)


def _amount_of(request: PaymentRequest, amount: int | str | None) -> int | None:
    """The amount in satoshis, or None for everything."""
    if amount is None:
        if request.amount is None:
            raise click.UsageError("Missing argument 'AMOUNT'.")
        return request.amount
    if request.amount is not None and request.amount != amount:
        asked = format_coins(request.amount)
        raise click.UsageError(f"The URI asks for {asked} coins: omit AMOUNT, or give the address alone.")
    return None if amount == EVERYTHING else int(amount)
