"""Key expressions: a public key, or an extended key and a path; where each came from.

A key is definite if it stands for one public key. In tr() keys are x only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from chain.hashes import hash160
from node.descriptors.points import COMPRESSED

HARDENED = 1 << 31
"""Added to the number of a hardened step (BIP32)."""


class DescriptorKey(Protocol):
    """The operations on an extended key that are needed here; see base58keys.py."""

    xpub: str
    fingerprint: bytes
    is_private: bool

    def branch(self, path: Sequence[int]) -> "DescriptorKey": ...
    def public_key(self, path: Sequence[int]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Key origin: fingerprint and path in somebody's wallet."""

    fingerprint: bytes
    """4 bytes: the start of the hash160 of the first key's public half."""
    path: tuple[int, ...]
    """Derivation steps from the fingerprint's key to this one."""

    def text(self, mark: str) -> str:
        """The origin in brackets, hardened steps with this mark."""
        return f"[{self.fingerprint.hex()}{path_text(self.path, mark)}]"


def path_text(path: tuple[int, ...], mark: str) -> str:
    """`/0h/1`."""
    return "".join(f"/{step & ~HARDENED}{mark if step & HARDENED else ''}" for step in path)


@dataclass(frozen=True)
class FixedKey:
    """A public key."""

    public: bytes
    """33 bytes, or 65 where that is allowed."""
    origin: Origin | None
    mark: str
    """The mark of hardened steps: h or '."""
    taproot: bool
    """The key stands in tr()."""
    x_only: bool
    """Written without its first byte."""
    is_private: bool = False
    """True if the key was given as a private key."""

    is_range = False

    @property
    def content(self) -> bytes:
        """The key's bytes in a script."""
        return self.public[1:] if self.taproot else self.public

    @property
    def size(self) -> int:
        """Bytes that a script holds of it."""
        return len(self.content)

    def at(self, index: int) -> "FixedKey":
        """Itself, with its origin."""
        origin = self.origin or Origin(hash160(self.public)[:4], ())
        return FixedKey(self.public, origin, "h", self.taproot, self.taproot)

    def __str__(self) -> str:
        origin = self.origin.text(self.mark) if self.origin else ""
        return origin + (self.public[1:] if self.x_only else self.public).hex()


@dataclass(frozen=True)
class DerivedKey:
    """An extended key with a path, perhaps one for each index."""

    extended: DescriptorKey
    path: tuple[int, ...]
    wildcard: int | None
    """Number added to the index in the last step, 0 or HARDENED; None: no such step."""
    origin: Origin | None
    mark: str
    taproot: bool

    @property
    def is_range(self) -> bool:
        """Every index has a key of its own."""
        return self.wildcard is not None

    @property
    def is_private(self) -> bool:
        """True if the key was given as a private key."""
        return self.extended.is_private

    @property
    def size(self) -> int:
        """Bytes that a script holds of it."""
        return COMPRESSED - self.taproot

    @cached_property
    def _parent(self) -> DescriptorKey:
        return self.extended.branch(self.path)

    def at(self, index: int) -> FixedKey:
        """The key of an index. Raises NotDerivable."""
        last = () if self.wildcard is None else (self.wildcard | index,)
        public = self._parent.public_key(last)
        before = self.origin or Origin(self.extended.fingerprint, ())
        origin = Origin(before.fingerprint, (*before.path, *self.path, *last))
        return FixedKey(public, origin, "h", self.taproot, self.taproot)

    def __str__(self) -> str:
        origin = self.origin.text(self.mark) if self.origin else ""
        last = "" if self.wildcard is None else f"/*{self.mark if self.wildcard else ''}"
        return origin + self.extended.xpub + path_text(self.path, self.mark) + last


Key = FixedKey | DerivedKey
