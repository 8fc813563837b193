"""How much anything in an object graph holds."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

PLAIN = (str, bytes, int, float, bool, type(None), type)
HOLDERS = (Mapping, list, set, frozenset, tuple, deque)


def sizes(root: object, skip: tuple[type, ...] = ()) -> dict[str, int]:
    """The most members of every container that can be reached, by the names on the way to it; what
    lies in containers of one name is one. Objects of `skip` are not looked into."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    stack: list[tuple[str, object]] = [(type(root).__name__, root)]
    while stack:
        name, thing = stack.pop()
        if isinstance(thing, (*PLAIN, *skip)) or id(thing) in seen or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, HOLDERS):
            found[name] = max(found.get(name, 0), len(thing))
        stack += _below(name, thing)
    return found


def _below(name: str, thing: Any) -> Iterator[tuple[str, object]]:
    if isinstance(thing, Mapping):
        yield from ((f"{name}[]", value) for value in thing.values())
        yield from ((f"{name}<>", key) for key in thing if not isinstance(key, PLAIN))
    elif isinstance(thing, HOLDERS):
        yield from ((f"{name}[]", value) for value in thing)
    if is_dataclass(thing):
        yield from ((f"{name}.{field.name}", getattr(thing, field.name)) for field in fields(thing))
    elif hasattr(thing, "__dict__"):
        yield from ((f"{name}.{key}", value) for key, value in vars(thing).items())
    elif hasattr(type(thing), "__slots__"):
        names = type(thing).__slots__
        yield from ((f"{name}.{key}", getattr(thing, key)) for key in names if hasattr(thing, key))
