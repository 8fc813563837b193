"""Tables of transactions and coins, summaries of payments: at most 80 columns, with whole ids."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from wallet.amounts import format_amount, format_coins
from wallet.console import Settings, is_terminal, note, write_json, write_table
from wallet.draft import Draft, Sent
from wallet.facts import AddressOf, sent_facts

INPUTS_SHOWN = 5
"""Spent coins listed in a summary: a payment of everything may have hundreds."""
REASON_COLUMNS_MAX = 78
"""Columns of a node's refusal in a table; --json has all of it."""


def write_history(entries: Sequence[dict[str, Any]]) -> None:
    """Transactions, each with its id and the others in it on lines of their own."""
    columns = ("time", "kind", "amount", "fee_sat", "height")
    rows = [
        (
            _time(entry["time"]),
            entry["kind"],
            ("+" if entry["net_sat"] >= 0 else "") + format_coins(entry["net_sat"]),
            "" if entry["fee_sat"] is None else str(entry["fee_sat"]),
            entry["status"] if entry["height"] is None else str(entry["height"]),
        )
        for entry in entries
    ]
    details = [[entry["txid"], *_counterparties(entry), *_trouble(entry)] for entry in entries]
    write_table(columns, rows, numbers=("amount", "fee_sat", "height"), details=details)


def _time(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _counterparties(entry: dict[str, Any]) -> list[str]:
    first, *others = entry["counterparties"] or [None]
    if first is None:
        return []
    way = "to" if entry["kind"] == "sent" else "from"
    return [f"{way} {first}" + (f" and {len(others)} more" if others else "")]


def _trouble(entry: dict[str, Any]) -> list[str]:
    if entry["conflict"]:
        return [f"conflict {entry['conflict']}"]
    return [f"not taken: {entry['reason']}"[:REASON_COLUMNS_MAX]] if entry["reason"] else []


def write_coins(coins: Sequence[dict[str, Any]]) -> None:
    """Unspent coins, each with its outpoint on a line of its own."""
    rows = [(format_coins(coin["value_sat"]), _confirmations(coin), coin["address"]) for coin in coins]
    write_table(
        ("amount", "confirmations", "address"),
        rows,
        numbers=("amount", "confirmations"),
        details=[[coin["outpoint"]] for coin in coins],
    )


def _confirmations(coin: dict[str, Any]) -> str:
    if coin["height"] is None:
        return "unconfirmed" if coin["spendable"] else "waiting"
    return f"{coin['confirmations']}" if coin["spendable"] else f"immature {coin['confirmations']}"


def write_draft(settings: Settings, draft: Draft, address_of: AddressOf) -> None:
    """A payment that would be sent, and why it might be refused."""
    warnings = []
    if draft.fee_excess:
        warnings.append(f"the fee of {format_amount(draft.fee)} {draft.fee_excess}")
    if draft.below_minimum:
        warnings.append(draft.below_minimum)
    facts = sent_facts(draft.sent(), address_of)
    if settings.json:
        write_json({**facts, "dry_run": True, "warnings": warnings})
    else:
        click.echo("nothing was sent; this would be:")
        _describe(facts)
    for warning in warnings:
        note(f"Attention: {warning}")


def write_sent(settings: Settings, sent: Sent, address_of: AddressOf) -> None:
    """A payment that was sent: in full for people and as JSON, else its txid alone."""
    facts = sent_facts(sent, address_of)
    if settings.json:
        write_json(facts)
    elif is_terminal():
        _describe(facts)
    else:
        click.echo(facts["txid"])


def _describe(facts: dict[str, Any]) -> None:
    paid = [("pays", row, None) for row in facts["recipients"]]
    change = [("change", facts["change"], None)] if facts["change"] else []
    spent = [("spends", row, row["outpoint"]) for row in facts["inputs"][:INPUTS_SHOWN]]
    width = max(len(format_coins(row["value_sat"])) for _, row, _ in [*paid, *change, *spent])
    for name, row, outpoint in [*paid, *change, *spent]:
        click.echo(f"{name:8}{format_coins(row['value_sat']):>{width}}  {row['address']}")
        if outpoint:
            click.echo(f"{'':8}{outpoint}")
    if more := len(facts["inputs"]) - len(spent):
        click.echo(f"{'':8}and {more} more coins; --json lists all")
    click.echo(f"fee     {facts['fee_sat']} sat, {facts['fee_rate_sat_vb']} sat/vB for {facts['vsize']} vB")
    click.echo(f"txid    {facts['txid']}")
