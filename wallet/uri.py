"""`bitcoin:` payment URIs (BIP21): an address, optionally with amount, label and message. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from wallet.amounts import parse_coins
from wallet.errors import InvalidValue

SCHEME = "bitcoin:"
URI_CHARS_MAX = 2_000
TEXT_CHARS_MAX = 200
"""Characters of a label or message that are shown to people."""

_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A payment request: an address and what the URI adds to it."""

    address: str
    amount: int | None = None
    """Satoshis."""
    label: str | None = None
    """The recipient's name, as the URI has it."""
    message: str | None = None
    """The purpose of the payment, as the URI has it."""


def parse_request(text: str) -> PaymentRequest:
    """The request of an address as it is, or of a `bitcoin:` URI. Raises InvalidValue.

    Parameters of unknown meaning are passed over unless their name starts with `req-`.
    """
    text = text.strip()
    if text[: len(SCHEME)].lower() != SCHEME:
        return PaymentRequest(text)
    if len(text) > URI_CHARS_MAX:
        raise InvalidValue(f"a bitcoin: URI has at most {URI_CHARS_MAX} characters, and this one {len(text)}")
    address, _, query = text[len(SCHEME) :].partition("#")[0].partition("?")
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, content = part.partition("=")
        key = _plain(key).lower()
        if key in found:
            raise InvalidValue(f"the URI gives {key!r} twice")
        if key.startswith("req-"):
            raise InvalidValue(f"the URI requires {key!r}, which this wallet does not know: ask for another one")
        found[key] = _plain(content)
    amount = parse_coins(found["amount"]) if "amount" in found else None
    return PaymentRequest(_plain(address), amount, _line(found.get("label")), _line(found.get("message")))


def _plain(text: str) -> str:
    if not _ESCAPES.fullmatch(text):
        raise InvalidValue("the URI has a % that two hex digits do not follow")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidValue("the URI's text is not UTF-8") from error


def _line(text: str | None) -> str | None:
    """The text as one line that is safe to show."""
    if text is None:
        return None
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:TEXT_CHARS_MAX] or None
