"""Requests under way: their numbers, their deadlines, and who goes on when the answer is here."""

from collections.abc import Callable
from dataclasses import dataclass

from node.interface.effects import Dial, PeerReply, Send
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.messages import Confirm, Hello, Request
from node.interface.outbox import Outbox

GRACE_S = 5.0
"""After its deadline plus this a request has failed, whatever became of it outside."""

Then = Callable[[PeerReply, float], None]
"""Goes on with what a request came to, and the time."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request whose answer is not here yet."""

    request: Request
    peer: PeerId | None
    """The peer asked; None for a greeting."""
    sent: float
    deadline: float
    then: Then


class PendingRequests:
    """All requests under way. Bounded by what each of its users may have open at once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._last_id = 0
        self._pending: dict[int, Pending] = {}

    def send(self, link: Link, request: Request, now: float, timeout_s: float, then: Then) -> None:
        """Ask a peer; its answer goes to `then`."""
        request_id = self._open(Pending(request, link.peer, now, now + timeout_s, then))
        self._outbox.add(Send(link, request, request_id, now + timeout_s))

    def dial(self, endpoint: Endpoint, hello: Hello, now: float, timeout_s: float, then: Then) -> None:
        """Greet whoever listens there; the answer goes to `then`."""
        request_id = self._open(Pending(hello, None, now, now + timeout_s, then))
        self._outbox.add(Dial(endpoint, hello, request_id, now + timeout_s))

    def take(self, request_id: int) -> Pending | None:
        """Close a request: None if its peer is gone or its time was over before."""
        return self._pending.pop(request_id, None)

    def overdue(self, now: float) -> list[int]:
        """Requests that the outside has lost: nothing came back, not even a failure."""
        return [number for number, pending in self._pending.items() if now > pending.deadline + GRACE_S]

    def forget(self, peer: PeerId) -> None:
        """Close all requests to a peer; nobody goes on. A handshake is not of the peer's time with us."""
        for number, pending in list(self._pending.items()):
            if pending.peer == peer and not isinstance(pending.request, Confirm):
                del self._pending[number]

    def has(self, peer: PeerId) -> bool:
        """True if a request to this peer is under way; a greeting counts from its Confirm on."""
        return any(pending.peer == peer for pending in self._pending.values())

    def __len__(self) -> int:
        return len(self._pending)

    def _open(self, pending: Pending) -> int:
        self._last_id += 1
        self._pending[self._last_id] = pending
        return self._last_id
