"""Reading a JSON document that may be damaged or hostile: every field with its type and range."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from wallet.errors import DamagedFile


def refuse_fraction(text: str) -> NoReturn:
    """Money is whole satoshis: a fraction has no place in the document."""
    raise ValueError(f"{text} does not belong here")


def parse_json(text: bytes, fraction: Callable[[str], Any] = refuse_fraction, *, values_max: int | None = None) -> Any:
    """A JSON value; `fraction` reads numbers that are not whole. Raises ValueError, also on what the
    standard library lets pass (NaN, keys given twice, nesting beyond all sense), and for more than
    `values_max` values within: two bytes of text may become a hundred in memory."""
    if values_max is not None and sum(map(text.count, (b",", b"[", b"{"))) > values_max:
        raise ValueError("too many values")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=refuse_fraction, parse_float=fraction)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key is given twice")
    return mapping


class Fields:
    """One JSON object, field by field. Every method raises DamagedFile that names the field."""

    def __init__(self, mapping: object, name: str) -> None:
        """`name` says in errors what the object is."""
        if not isinstance(mapping, Mapping):
            raise DamagedFile(f"{name} is not an object")
        self._mapping = mapping
        self._name = name

    def has(self, key: str) -> bool:
        """True if the field is there and not null."""
        return self._mapping.get(key) is not None

    def integer(self, key: str, least: int, most: int) -> int:
        """A whole number in a range."""
        number = self._mapping.get(key)
        if type(number) is not int or not least <= number <= most:
            raise self._wrong(key)
        return number

    def text(self, key: str, longest: int) -> str:
        """A string of at most so many characters."""
        text = self._mapping.get(key)
        if not isinstance(text, str) or len(text) > longest:
            raise self._wrong(key)
        return text

    def content(self, key: str, least: int, most: int) -> bytes:
        """Bytes from hex, in a range of sizes."""
        text = self.text(key, most * 2)
        if len(text) < least * 2 or len(text) % 2 or not re.fullmatch("[0-9a-f]*", text):
            raise self._wrong(key)
        return bytes.fromhex(text)

    def flag(self, key: str) -> bool:
        """True or false."""
        flag = self._mapping.get(key)
        if not isinstance(flag, bool):
            raise self._wrong(key)
        return flag

    def rows(self, key: str, most: int) -> list[Any]:
        """A list of at most so many items."""
        rows = self._mapping.get(key)
        if not isinstance(rows, list) or len(rows) > most:
            raise self._wrong(key)
        return rows

    def object(self, key: str) -> "Fields":
        """An object within."""
        return Fields(self._mapping.get(key), f"{self._name}'s {key}")

    def _wrong(self, key: str) -> DamagedFile:
        return DamagedFile(f"{self._name}'s {key} is missing or wrong")
