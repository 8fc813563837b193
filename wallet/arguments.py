"""Parameter types of the command line; an invalid value is a usage error of one line."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from chain.tx import COIN
from wallet.amounts import parse_amount, parse_fee_rate
from wallet.errors import InvalidValue
from wallet.uri import PaymentRequest, parse_request

EVERYTHING = "max"
"""The amount that means everything that can be spent."""


class Parsed(click.ParamType):
    """A parameter type around one of the wallet's parsers."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parser's value."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (InvalidValue, ValueError) as error:
            self.fail(str(error), param, ctx)


def _recipient(text: str) -> PaymentRequest:
    request = parse_request(text)
    import_module("wallet.build").payable_script(request.address)  # which brings the curve
    return request


def _amount(text: str) -> int | str:
    return EVERYTHING if text.strip().lower() == EVERYTHING else parse_amount(text)


def _outpoint(text: str) -> Any:
    return import_module("wallet.state").parse_outpoint(text)


def _fee(text: str) -> int:
    fee = parse_amount(text)
    # A bare 5000 would mean coins, and be no limit at all.
    if fee >= COIN:
        raise InvalidValue(f"a fee of {text} coins is not meant: write satoshis as {text.strip()}sat")
    return fee


RECIPIENT = Parsed("recipient", _recipient)
"""A PaymentRequest: an address that can be paid, or a `bitcoin:` URI."""
AMOUNT = Parsed("amount", _amount)
"""Satoshis, or EVERYTHING."""
FEE = Parsed("fee", _fee)
"""Satoshis."""
FEE_RATE = Parsed("fee rate", parse_fee_rate)
"""A FeeRate."""
OUTPOINT = Parsed("outpoint", _outpoint)
"""An OutPoint."""
