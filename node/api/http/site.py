"""The application of a listener, and its rules."""

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from node.api.http.gate import ApiGate, Gate
from node.api.http.message import Handler
from node.api.http.request_parser import BodyCap

API_THREADS = 32
P2P_THREADS = 64


@dataclass(frozen=True, slots=True)
class Site:
    """Application and rules of one listener."""

    name: str
    """Name of the listener, in the log and of its thread."""
    app: Handler
    """Called from any thread; raises nothing."""
    body_cap: BodyCap
    threads: int
    quick: Container[tuple[str, str]] = frozenset()
    """(method, path) of what `app` answers at once, without waiting for anybody: the listener's own
    thread has it answered, without waking another."""
    gate: Gate = field(default_factory=ApiGate)
    """Admission of connections and requests."""
    parked: Callable[[], int] = lambda: 0
    """Number of threads that wait in `app` for something to happen."""
