"""The one way this package declares its decoded things: slotted dataclasses, never changed.

`frozen=True` costs a `__setattr__` call a field (309 to 925 ns an object against 138), which on
the hot path is the difference between fast and slow. So the type checker enforces it instead.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A slotted dataclass that is frozen for the type checker and free at run time."""
    return dataclass(slots=True)(cls)
