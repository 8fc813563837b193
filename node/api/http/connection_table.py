"""A listener's open connections: whose they are, which one goes when there are too many, and what they may hold.

Everything here runs in the listener's own thread; others may look at a copy.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

UNSENT_BYTES_MAX = 64 * 1024 * 1024
"""Answers of one listener that wait for slow readers; beyond, the slowest are cut off."""
BODIES_BYTES_MAX = 64 * 1024 * 1024
"""Bodies of one listener that are here, answered yet or not; beyond, the oldest unfinished one is cut off."""


class Connection(Protocol):
    """An open connection, as the table sees it."""

    @property
    def owner(self) -> bytes | None:
        """The owner it counts with; None: it is not counted."""
        ...

    @property
    def is_answering(self) -> bool:
        """True while a request is being answered: it stays."""
        ...

    @property
    def is_streaming(self) -> bool:
        """True if it follows a stream: it goes where nobody else can, for it can come back."""
        ...

    @property
    def body_bytes(self) -> int:
        """Bytes of a body that is coming in, or of the request that is being answered."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """Bytes of answers that the client has not taken."""
        ...

    @property
    def sending_since(self) -> float | None:
        """Time since when the client has not taken all that there is for it; None: it has."""
        ...

    def cut_off(self) -> None:
        """Close at once, whatever is unsent, and leave the table."""
        ...


C = TypeVar("C", bound=Connection)


class ConnectionTable(Generic[C]):
    """Open connections in the order in which they began to wait, for a request or for the rest of one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[C, None] = {}
        self._by_owner: dict[bytes | None, dict[C, None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[C]:
        """Connections that are open now; they may close meanwhile. From any thread."""
        return iter(list(self._open))

    def count(self, owner: bytes | None) -> int:
        """Number of connections of an owner."""
        return len(self._by_owner.get(owner, ()))

    @property
    def owners(self) -> dict[bytes | None, int]:
        """Number of connections, by owner. From any thread."""
        return {owner: len(connections) for owner, connections in self._by_owner.copy().items()}

    @property
    def is_full(self) -> bool:
        """True if one more has room only where another goes."""
        return len(self._open) >= self._most

    @property
    def can_take_one(self) -> bool:
        """True if there is room for one more, or one can go for it."""
        return not self.is_full or any(not connection.is_answering for connection in self._open)

    def add(self, connection: C) -> None:
        """Enter a connection that is open, and waits from now on."""
        self._open[connection] = None
        self._by_owner.setdefault(connection.owner, {})[connection] = None

    def remove(self, connection: C) -> None:
        """Remove a connection that is closed, perhaps not for the first time."""
        if connection not in self._open:
            return
        del self._open[connection]
        siblings = self._by_owner[connection.owner]
        del siblings[connection]
        if not siblings:
            del self._by_owner[connection.owner]

    def touch(self, connection: C) -> None:
        """Put a connection behind all others: it begins to wait anew."""
        if connection in self._open:
            siblings = self._by_owner[connection.owner]
            del self._open[connection], siblings[connection]
            self._open[connection] = siblings[connection] = None

    def make_room(self, owner: bytes | None = None) -> bool:
        """Close the connection that has waited longest, of an owner's or of all (None). False if none can go."""
        connections = self._open if owner is None else self._by_owner.get(owner, {})
        follower: C | None = None
        for connection in connections:
            if connection.is_streaming:
                follower = follower or connection
            elif not connection.is_answering:
                connection.cut_off()
                return True
        if follower is not None:
            follower.cut_off()
        return follower is not None

    def shed_answers(self, coming: int) -> None:
        """Keep the sum of unsent answers bounded, when one of `coming` bytes is about to be sent."""
        unsent = {connection: size for connection in self._open if (size := connection.unsent_bytes)}
        total = coming + sum(unsent.values())
        for connection in sorted(unsent, key=_unread_since):
            if total <= UNSENT_BYTES_MAX:
                return
            total -= unsent[connection]
            connection.cut_off()

    def shed_bodies(self) -> None:
        """Keep the sum of bodies bounded: the oldest unfinished request goes first."""
        holders = [connection for connection in self._open if connection.body_bytes]
        if sum(connection.body_bytes for connection in holders) > BODIES_BYTES_MAX:
            for connection in holders:
                if not connection.is_answering:
                    connection.cut_off()
                    return


def _unread_since(connection: Connection) -> float:
    since = connection.sending_since
    return float("inf") if since is None else since
