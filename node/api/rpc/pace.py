"""Long work in slices: between two of them others get their turn, and whoever asked may have gone."""

from collections.abc import Callable

from node.runtime.runtime import Runtime, monotonic

SLICE_S = 0.01
"""Seconds that such work goes on before it pauses."""
BREATH_S = 0.001
"""The pause: whoever waits for the interpreter gets it at once, and does not have to ask for it."""


class CallPace:
    """Pauses of one request's work, and its end once the client has gone. For one thread."""

    def __init__(self, runtime: Runtime, is_gone: Callable[[], bool]) -> None:
        """`is_gone` is `Request.is_gone`."""
        self._runtime = runtime
        self._is_gone = is_gone
        self._pause_at = monotonic() + SLICE_S

    def go_on(self) -> bool:
        """Pause at a slice's end; called before each small step. False: the client has gone, or the node
        stops, and nobody wants the rest."""
        if monotonic() < self._pause_at:
            return True
        if self._is_gone() or self._runtime.pause(BREATH_S):
            return False
        self._pause_at = monotonic() + SLICE_S
        return True
