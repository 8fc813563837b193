"""Pure code is tested without a clock or a network: both raise for it here."""

import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest


def _refusing(real: Callable[..., Any]) -> Callable[..., Any]:
    """`real` for everybody but `chain/` (hypothesis itself reads the clock)."""

    def guarded(*arguments: Any, **options: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.split(".")[0] == "chain":
            raise AssertionError(f"{caller} touched the clock or the network")
        return real(*arguments, **options)

    return guarded


@pytest.fixture(autouse=True, scope="package")
def no_clock_no_network() -> Any:
    """`chain/` takes time as an argument and knows no sockets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", _refusing(time.time))
        patch.setattr(socket, "socket", _refusing(socket.socket))
        yield
