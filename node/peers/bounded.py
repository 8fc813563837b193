"""Memory that cannot grow: what peers make us remember is kept in these."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Recent(Generic[K]):
    """A set of at most `most` members; beyond, the oldest is forgotten."""

    __slots__ = ("_members", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._members: dict[K, None] = {}

    def add(self, member: K) -> None:
        """Put it in, as the newest; if it is in, its place stays."""
        self._members.setdefault(member)
        if len(self._members) > self.most:
            del self._members[next(iter(self._members))]

    def discard(self, member: K) -> None:
        """Take it out, if it is in."""
        self._members.pop(member, None)

    def clear(self) -> None:
        """Forget all."""
        self._members.clear()

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[K]:
        """Oldest first."""
        return iter(self._members)
