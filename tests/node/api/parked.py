"""Calls that wait, seen from outside: asked from threads of their own, watched through getrpcinfo."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tests.node.api.desk import Desk

WAIT_S = 20.0
Ask = Callable[..., "Future[Any]"]
"""`ask(method, *params)` asks from a thread of its own, and returns once it is waited for."""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def held(desk: Desk) -> list[str]:
    """Methods that are being answered, this question's own left out."""
    return [command["method"] for command in desk.rpc("getrpcinfo")["active_commands"]][:-1]
