"""Memory that cannot grow: what peers make us remember is kept in these."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class BoundedSet(Generic[K]):
    """A set of at most `most` members; beyond, the oldest is forgotten."""

    __slots__ = ("_members", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        # Not a dict: its first member is found by walking over all that were taken out before it.
        self._members: OrderedDict[K, None] = OrderedDict()

    def add(self, member: K) -> None:
        """Put it in, as the newest; if it is in, its place stays."""
        self._members[member] = None
        if len(self._members) > self.most:
            self._members.popitem(last=False)

    def update(self, members: Iterable[K]) -> None:
        """Put them all in, one after the other."""
        held, most = self._members, self.most
        for member in members:
            held[member] = None
            if len(held) > most:
                held.popitem(last=False)

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
