"""Numbers, amounts, times and strangers' texts as people read them. Pure: the time comes as an argument."""

import re
from datetime import UTC, datetime

from markupsafe import Markup

from chain.tx import COIN

SHORT_HEAD, SHORT_TAIL = 8, 8
"""Characters of a long name that are shown on both sides of the gap."""
TEXT_MAX = 300
"""Characters shown of what a stranger wrote; the rest is cut."""
_TAG = re.compile(rb"/([A-Za-z0-9](?:[A-Za-z0-9 ._:-]{0,28}[A-Za-z0-9.])?)/")
"""A miner's name in a coinbase."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LATEST = 253_402_300_799
"""The last second that has a date of four digits."""


def number(count: int) -> str:
    """1234567 as 1,234,567."""
    return f"{count:,}"


def coins(satoshis: int, *, signed: bool = False) -> Markup:
    """An amount in coins with 8 decimals; zeros at the end are marked up to be faint."""
    sign = "−" if satoshis < 0 else "+" if signed and satoshis else ""
    text = plain_coins(abs(satoshis))
    strong = text.rstrip("0") + ("00" if text.endswith("00000000") else "")
    faint = text[len(strong) :]
    return Markup('<span class="amount">{}{}<span class="faint">{}</span></span>').format(sign, strong, faint)


def plain_coins(satoshis: int) -> str:
    """An amount in coins without markup."""
    whole, rest = divmod(abs(satoshis), COIN)
    return f"{'−' if satoshis < 0 else ''}{whole:,}.{rest:08d}"


def significant(amount: float, digits: int = 3) -> str:
    """A positive number with so many digits that count; very large and small ones as powers of ten."""
    if amount == 0:
        return "0"
    if 1e-4 <= amount < 1e7:
        exponent = int(f"{amount:e}".partition("e")[2])
        return f"{amount:,.{max(0, digits - 1 - exponent)}f}"
    mantissa, _, power = f"{amount:.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPTS)}"


def scaled(amount: float, unit: str) -> str:
    """1234567 "H/s" as 1.23 MH/s."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if amount < 1000 or prefix == "E":
            break
        amount /= 1000
    return f"{significant(amount)} {prefix}{unit}"


def hashes(work: int) -> str:
    """An amount of work."""
    return f"{work:,} hashes" if work < 10_000_000 else f"{significant(work)} hashes"


def size(size_bytes: int) -> str:
    """1234567 as 1.23 MB."""
    return f"{size_bytes:,} B" if size_bytes < 1000 else scaled(size_bytes, "B")


def fee_rate(rate_sat_vb: float) -> str:
    """Satoshis per virtual byte."""
    return f"{rate_sat_vb:,.0f}" if rate_sat_vb >= 1000 else f"{rate_sat_vb:,.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """0.1234 as 12.3 %; something is never nothing."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f} %"


def shorten(name: str) -> str:
    """A hash with its middle left out; what is not much longer than that stays whole."""
    return name if len(name) <= SHORT_HEAD + SHORT_TAIL + 4 else f"{name[:SHORT_HEAD]}…{name[-SHORT_TAIL:]}"


def duration(seconds: float) -> str:
    """A duration, in its largest unit or two."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    left = round(seconds)
    if left < _MINUTE:
        return f"{left} s"
    if left < _HOUR:
        return _pair(left // _MINUTE, "min", left % _MINUTE, "s")
    if left < _DAY:
        return _pair(left // _HOUR, "h", left % _HOUR // _MINUTE, "min")
    return _pair(left // _DAY, "d", left % _DAY // _HOUR, "h")


def _pair(many: int, unit: str, few: int, small_unit: str) -> str:
    return f"{many} {unit} {few} {small_unit}" if few and many < 10 else f"{many:,} {unit}"


def ago(seconds: float) -> str:
    """The time since then, in words. What times.js writes later is the same."""
    if seconds < 0:
        return f"in {ago(-seconds).removesuffix(' ago')}" if seconds <= -2 else "just now"
    for limit, unit, name in (
        (2, 0, "just now"),
        (_MINUTE, 1, "second"),
        (_HOUR, _MINUTE, "minute"),
        (_DAY, _HOUR, "hour"),
    ):
        if seconds < limit:
            return _units(int(seconds // unit), name) if unit else name
    return _units(int(seconds // _DAY), "day")


def _units(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'} ago"


def exact(time: float) -> str:
    """Unix time as a date and time of day in UTC."""
    return f"{_moment(time):%Y-%m-%d %H:%M:%S} UTC"


def moment(time: float, now: float) -> Markup:
    """The time since then, with the exact time on hover; times.js keeps it up to date."""
    stamp = f"{_moment(time):%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, exact(time), ago(now - time))


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(min(max(time, 0), _LATEST), UTC)


def readable(text: str) -> str:
    """A stranger's text in one line: what does not print, or turns the writing round, is a box."""
    shown = "".join(one if one.isprintable() else "□" for one in text[:TEXT_MAX])
    return shown if len(text) <= TEXT_MAX else shown + "…"


def message(content: bytes) -> str | None:
    """The text in bytes, or None where they are hardly meant as one."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    printable = sum(one.isprintable() for one in text)
    return readable(text) if text and printable >= 0.8 * len(text) else None


def letters(content: bytes) -> str:
    """The ASCII text in bytes, a box for each of the others."""
    return readable("".join(chr(byte) if 0x20 <= byte < 0x7F else "\0" for byte in content))


def miner_name(coinbase: bytes) -> str | None:
    """The miner's tag in a coinbase's script: the text between two slashes, as pools have it."""
    match = _TAG.search(coinbase)
    return match[1].decode() if match else None


FILTERS = {
    "number": number,
    "coins": coins,
    "plain_coins": plain_coins,
    "significant": significant,
    "scaled": scaled,
    "size": size,
    "hashes": hashes,
    "fee_rate": fee_rate,
    "percent": percent,
    "shorten": shorten,
    "duration": duration,
    "exact": exact,
    "readable": readable,
}
"""Filters of the templates, by name."""
