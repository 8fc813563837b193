"""The devnet's own wallet: created with the network, and funded by its first blocks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chain.address import AddressError, decode_address
from chain.block import Block
from chain.hashes import to_hex
from chain.params import Params
from chain.tx import COIN, TxOut, outpoint
from devnet.state import PASSWORD, BadValue, Devnet
from wallet.account import Wallet
from wallet.amounts import parse_amount
from wallet.client import Esplora
from wallet.derivation import ENTROPY_BYTES, RECEIVE, KeyPath, words_from_entropy
from wallet.draft import Order
from wallet.errors import WalletError
from wallet.store import WalletFile

MAX = "max"
"""An amount: all that can be spent."""
PARTS = 100
"""Outputs that the first coin is split into, so that as many payments can be unconfirmed at once."""
PART_SAT = COIN // 2
"""Satoshis of each part but the last, which is the remainder."""


def create(devnet: Devnet, params: Params) -> str:
    """Make the wallet, for this network; its first address. Raises WalletError."""
    words = words_from_entropy(os.urandom(ENTROPY_BYTES))
    WalletFile.create(devnet.wallet_file, words, PASSWORD, params, Esplora.pause)
    with _open(devnet, devnet.api_url(0)) as wallet:
        return wallet.address_of(KeyPath(RECEIVE, 0))


def read_payment(address: str, amount: str) -> int | None:
    """The amount in satoshis, None for `max`, if the address is one too. Raises BadValue."""
    read_address(address, "ADDRESS")
    if amount == MAX:
        return None
    try:
        return parse_amount(amount)
    except WalletError as error:
        raise BadValue(f"AMOUNT: {error}") from None


def read_address(address: str, where: str) -> bytes:
    """The address's script. Raises BadValue naming where the address stands."""
    try:
        return decode_address(address)
    except AddressError as error:
        raise BadValue(f"{where}: {address!r} is not a valid address of this network: {error}") from None


def balance_sat(devnet: Devnet, url: str) -> int:
    """Satoshis that the wallet could spend now, by the node at `url`. Raises WalletError."""
    with _open(devnet, url) as wallet:
        return wallet.balance().spendable


def split(devnet: Devnet, url: str, first: Block) -> None:
    """Pay the first block's coin back to the wallet in PARTS pieces. Raises WalletError."""
    mined = first.txs[0]
    part = TxOut(PART_SAT, decode_address(devnet.address))
    order = Order((part,) * (PARTS - 1), only=(outpoint(mined.txid, 0),))
    with _open(devnet, url, PASSWORD) as wallet:
        wallet.pay(order)


def pay(devnet: Devnet, url: str, address: str, amount_sat: int | None) -> dict[str, Any]:
    """Send from the wallet, None: all of it; {"amount_sat", "txid", "fee_sat"}. Raises WalletError."""
    with _open(devnet, url, PASSWORD) as wallet:
        sent = wallet.send(address, amount_sat)
    paid = sum(output.value for output in sent.payments)
    return {"amount_sat": paid, "txid": to_hex(sent.txid), "fee_sat": sent.fee}


@contextmanager
def _open(devnet: Devnet, url: str, password: str | None = None) -> Iterator[Wallet]:
    with Esplora([url]) as client:
        yield Wallet.open(devnet.wallet_file, password, client)
