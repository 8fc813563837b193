"""Hosts of their own, far apart: network namespaces, and a relay between them that takes its time.

Each host has a namespace with one address and a veth cable to a hub. The hub routes nothing: what
a host sends to another's address arrives at a relay there, which connects onward in the sender's
name and hands over every byte half a round-trip time later. So both ends see each other's true
addresses. Everything is gone when the fixture ends.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

PORT = 18444
"""Of every node: the relay's, too."""
HUB_ADDRESS = "30.255.0.1"
CLONE_NEWNET = 0x40000000
RELAY = Path(__file__).with_name("delayrelay.py")
TABLE = "200"
"""Of routes for what comes out of a cable: all of it is the relay's."""

R = TypeVar("R")


class Forbidden(Exception):
    """This machine lets us make no namespaces."""


class Hosts:
    """All namespaces of one test."""

    def __init__(self, folder: Path, round_trip_ms: Mapping[str, float]) -> None:
        """One host an address; between two of them it takes the longer of their times.
        Raises Forbidden."""
        self._folder = folder
        self._prefix = f"groat{os.getpid()}"
        self._addresses = list(round_trip_ms)
        self._relay: subprocess.Popen[bytes] | None = None
        self._made: list[str] = []
        try:
            self._make()
            self._start_relay(round_trip_ms)
        except BaseException:
            self.close()
            raise

    def name(self, address: str) -> str:
        """The namespace of a host."""
        return f"{self._prefix}-{self._addresses.index(address)}"

    def command(self, address: str, *command: str) -> list[str]:
        """A command line that runs another one on a host."""
        return ["ip", "netns", "exec", self.name(address), *command]

    def inside(self, address: str, fn: Callable[[], R]) -> R:
        """Call `fn` on a host: sockets that it opens are there. For this thread only."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{self.name(address)}", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return fn()
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def close(self) -> None:
        """Take everything away."""
        if self._relay is not None:
            self._relay.send_signal(signal.SIGKILL)
            self._relay.wait()
            assert self._relay.stdout is not None
            self._relay.stdout.close()
        for name in self._made:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def _make(self) -> None:
        hub = f"{self._prefix}-hub"
        self._add(hub)
        _ip("-n", hub, "address", "add", f"{HUB_ADDRESS}/32", "dev", "lo")
        _ip("-n", hub, "route", "add", "local", "30.0.0.0/8", "dev", "lo", "table", TABLE)
        for number, address in enumerate(self._addresses):
            name, cable = self.name(address), f"host{number}"
            self._add(name)
            _ip("link", "add", "name", cable, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", hub, "link", "set", cable, "up")
            _ip("-n", hub, "route", "add", f"{address}/32", "dev", cable)
            _ip("-n", hub, "rule", "add", "iif", cable, "lookup", TABLE)
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "address", "add", f"{address}/32", "dev", "eth0")
            _ip("-n", name, "route", "add", "default", "dev", "eth0")

    def _add(self, name: str) -> None:
        _ip("netns", "add", name)
        self._made.append(name)
        _ip("-n", name, "link", "set", "lo", "up")

    def _start_relay(self, round_trip_ms: Mapping[str, float]) -> None:
        command = [sys.executable, "-P", str(RELAY), str(PORT), json.dumps(dict(round_trip_ms))]
        hub = f"{self._prefix}-hub"
        with open(self._folder / "relay.log", "ab") as log:
            self._relay = subprocess.Popen(
                ["ip", "netns", "exec", hub, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        assert self._relay.stdout is not None
        if not self._relay.stdout.readline():
            raise Forbidden("the relay did not start")


def _ip(*arguments: str) -> None:
    """Run `ip`. Raises Forbidden."""
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)
    except FileNotFoundError:
        raise Forbidden("there is no `ip` command") from None
    except subprocess.CalledProcessError as error:
        raise Forbidden(f"ip {' '.join(arguments)}: {error.stderr.decode().strip()}") from None


@contextlib.contextmanager
def hosts(folder: Path, round_trip_ms: Mapping[str, float]) -> Iterator[Hosts]:
    """Hosts for as long as the block lasts. Raises Forbidden."""
    made = Hosts(folder, round_trip_ms)
    try:
        yield made
    finally:
        made.close()
