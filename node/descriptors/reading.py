"""The door to this package for the API: the parser is imported with the first descriptor.

Its many small classes take 13 ms, which a node that nobody asks about descriptors need not spend.
"""

from importlib import import_module
from typing import Protocol

PARSER = "node.descriptors.parse"


class PlainOutput(Protocol):
    """A script that a descriptor stands for; see parse.py."""

    @property
    def script(self) -> bytes: ...
    @property
    def descriptor(self) -> str | None: ...


class PlainDescriptor(Protocol):
    """A descriptor; its text is canonical. See parse.py."""

    @property
    def is_range(self) -> bool: ...
    @property
    def is_solvable(self) -> bool: ...
    @property
    def has_private_keys(self) -> bool: ...
    @property
    def cost(self) -> int: ...
    def at(self, index: int) -> list[PlainOutput]: ...


def parse_descriptor(text: str, *, checksum_required: bool = False) -> tuple[PlainDescriptor, ...]:
    """The descriptors of this network that the text stands for: one, or those of a multipath.

    Raises DescriptorError.
    """
    found: tuple[PlainDescriptor, ...] = import_module(PARSER).parse_descriptor(
        text, checksum_required=checksum_required
    )
    return found
