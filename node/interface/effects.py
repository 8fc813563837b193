"""Interfaces of the core: calls in, replies and effects out. The core has no sockets, threads or clock.

`Store` is the only interface the core calls. Everything else it returns as values: a `Step` is
a reply for whoever asked, and the effects that the runtime (or a simulator) carries out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from chain.frozen import value
from chain.keys import Check
from node.interface.checked_block import CheckedBlock
from node.interface.disconnect_reason import DisconnectReason
from node.interface.endpoint import Endpoint, Link, PeerId
from node.interface.events import Event
from node.interface.messages import Hello, Reply, Request

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver a message; its answer comes back as `Answer(request_id, ...)` from that peer."""

    link: Link
    message: Request
    request_id: int
    deadline: float
    """Time by which the whole answer must be here."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Greet whoever listens there; the answer comes back as `Answer(request_id, Welcome | Failed)`."""

    endpoint: Endpoint
    message: Hello
    request_id: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a peer's connections and queues."""

    peer: PeerId
    reason: DisconnectReason
    detail: str = ""
    """What it was exactly."""

    @property
    def why(self) -> str:
        """Both, for the log."""
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


@dataclass(frozen=True, slots=True)
class Verify:
    """Check signatures outside the lock; the verdict comes back as `Verified(token, ...)`."""

    token: int
    checks: Sequence[Check]


@value  # there may be thousands a second
class Publish:
    """Something happened: wakes whoever is parked on the topic, and feeds live events."""

    topic: str
    events: Sequence[Event] = ()
    """Events for followers, in order; none: whoever waits is woken, and that is all."""
    about: object = None
    """All that it is about (a transaction, a TipChange), for listeners in this process; nobody keeps it."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Do something costly outside the lock; what it came to comes back as `Computed(job, ...)`."""

    job: int
    run: Callable[[], object]
    """Needs nothing that the lock protects, and raises nothing. Its outcome means something to the sender alone."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Once the other effects are under way: come back with this very value, there is more to do."""


Effect = Send | Dial | Close | Verify | Publish | Compute | Resume


@dataclass(frozen=True, slots=True)
class Park:
    """No reply yet: wait, without the lock, for a Publish on `topic` or the deadline; then ask again."""

    topic: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Step(Generic[R]):
    """The outcome of one call of the core."""

    reply: R | Park
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that brought nothing: refused, timed out, cut off, or not decodable."""

    reason: str
    offence: bool = False
    """True if the peer answered with something that breaks the protocol."""
    retry_s: float = 0.0
    """Seconds for which the peer wants no more of this kind: it is well, and we are too fast for it."""


Bodies = tuple[CheckedBlock | None, ...]
"""A `Blocks`, unpacked: the first of the blocks that were asked for, in order; None for one that the peer lacks."""
PeerReply = Reply | Bodies | Failed
"""All that a request to a peer can come to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a Send or Dial."""

    request_id: int
    message: PeerReply


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdict on a Verify: the index of a check that fails, or None."""

    token: int
    failure: int | None


@dataclass(frozen=True, slots=True)
class Computed:
    """The outcome of a Compute."""

    job: int
    outcome: object
