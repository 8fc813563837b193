"""JSON of coins, transactions and payments. Pure.

The names are part of the command line's interface: amounts in satoshis end in `_sat`.
"""

from collections.abc import Callable
from typing import Any

from chain.address import encode_address
from chain.hashes import to_hex
from wallet.amounts import format_rate
from wallet.derivation import KeyPath
from wallet.draft import Sent
from wallet.history import HistoryEntry
from wallet.state import OwnCoin, format_outpoint

AddressOf = Callable[[KeyPath], str]
"""Finds the address of a key."""


def entry_facts(entry: HistoryEntry, tip_height: int) -> dict[str, Any]:
    """A transaction of the wallet."""
    return {
        "txid": to_hex(entry.txid),
        "kind": entry.kind,
        "net_sat": entry.net,
        "fee_sat": entry.fee,
        "status": entry.status,
        "confirmed": entry.height is not None,
        "height": entry.height,
        "confirmations": 0 if entry.height is None else max(1, tip_height - entry.height + 1),
        "time": entry.time,
        "counterparties": list(entry.counterparties),
        "conflict": None if entry.conflict is None else to_hex(entry.conflict),
        "reason": entry.reason or None,
    }


def coin_facts(coin: OwnCoin, address_of: AddressOf, tip_height: int, *, is_spendable: bool) -> dict[str, Any]:
    """An unspent coin."""
    return {
        "outpoint": format_outpoint(coin.outpoint),
        "value_sat": coin.value,
        "height": coin.height,
        "confirmations": coin.confirmations(tip_height),
        "spendable": is_spendable,
        "address": address_of(coin.path),
    }


def sent_facts(sent: Sent, address_of: AddressOf) -> dict[str, Any]:
    """A payment that was or would be sent."""
    change = None
    if sent.change and sent.change_outpoint:
        change = {
            "outpoint": format_outpoint(sent.change_outpoint),
            "value_sat": sent.change.value,
            "address": address_of(sent.change.path),
        }
    return {
        "txid": to_hex(sent.txid),
        "recipients": [
            {"address": encode_address(output.script), "value_sat": output.value} for output in sent.payments
        ],
        "fee_sat": sent.fee,
        "fee_rate_sat_vb": float(format_rate(sent.fee, sent.vsize)),
        "vsize": sent.vsize,
        "change": change,
        "inputs": [
            {"outpoint": format_outpoint(coin.outpoint), "value_sat": coin.value, "address": address_of(coin.path)}
            for coin in sent.coins
        ],
    }
