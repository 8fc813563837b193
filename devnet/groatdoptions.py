"""Options of groatd that a devnet hands on to its nodes, as they stand behind `--` on devnet's command line.

Which there are, and what they may be set to, only groatd knows: its `--check` is asked.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise

from devnet.state import BadValue

SET_BY_DEVNET = {
    "--network": "it is one for all nodes",
    "--datadir": "each node has its folder",
    "--api": "`devnet up --api-port BASE` chooses the ports",
    "--p2p": "`devnet up --api-port BASE` chooses the ports",
    "--log-file": "`devnet logs I` shows it",
}
FOR_SINGLE_NODES = {"--no-index": "the devnet's wallet asks the nodes' indexes"}
ENDS_AT_ONCE = {"-h", "--help", "--version", "--check"}
FILES = {"--config"}
"""Options that name a file: nodes run in another folder than we do."""
ZMQ_STEP = 10
"""Between the ports of one node and the next: room for so many `--zmq` in a row."""
OPTIONS_MAX = 100
OPTION_BYTES_MAX = 4_096
PORT_MAX = 65_535


def read_options(words: Sequence[str]) -> tuple[str, ...]:
    """The options, each as `--name` and its value or `--name` alone. Raises BadValue."""
    if len(words) > OPTIONS_MAX or sum(map(len, words)) > OPTION_BYTES_MAX:
        raise BadValue(f"at most {OPTIONS_MAX} words with {OPTION_BYTES_MAX} bytes can be handed on to groatd")
    options: list[str] = []
    for word in words:
        name, equals, given = word.partition("=") if word.startswith("--") else (word, "", "")
        if not options and not name.startswith("-"):
            raise BadValue(f"unexpected {word!r}: options of groatd stand behind `--`, as in `-- --cors-origin '*'`")
        if name in SET_BY_DEVNET:
            raise BadValue(f"{name} is set by the devnet itself: {SET_BY_DEVNET[name]}")
        if name in ENDS_AT_ONCE:
            raise BadValue(f"with {name} a node would end at once")
        options += (name, given) if equals else (word,)
    return tuple(_absolute(options))


def _absolute(words: Sequence[str]) -> Iterable[str]:
    for before, word in zip(("", *words), words, strict=False):
        yield os.path.abspath(word) if before in FILES else word


def check_for_all(options: Sequence[str]) -> None:
    """Nothing is among them that not all nodes can have. Raises BadValue."""
    for name in options:
        if name in FOR_SINGLE_NODES:
            raise BadValue(f"not all nodes can have {name}: {FOR_SINGLE_NODES[name]}; `devnet add -- {name}` adds one")


def options_for_each(options: Sequence[str], nodes: Iterable[int]) -> tuple[tuple[str, ...], ...]:
    """The options for each of these nodes; where each needs its own address, one is made. Raises BadValue."""
    return tuple(_options_for(options, index) for index in nodes)


def _options_for(options: Sequence[str], index: int) -> tuple[str, ...]:
    words = list(options)
    for place, (before, word) in enumerate(zip(("", *words), options, strict=False)):
        if before == "--zmq":
            words[place] = zmq_address(word, index)
    return tuple(words)


def zmq_address(address: str, index: int) -> str:
    """Node 0 publishes at the address as given, the others at ports or paths of their own. Raises BadValue."""
    front, colon, port = address.rpartition(":")
    if address.startswith("tcp://") and port.isascii() and port.isdigit():
        if int(port) + ZMQ_STEP * index > PORT_MAX:
            raise BadValue(f"--zmq {address}: no port is left for node {index}, at {ZMQ_STEP} more for each node")
        return f"{front}{colon}{int(port) + ZMQ_STEP * index}"
    return address if index == 0 else f"{address}.{index}"


def zmq_addresses(options: Sequence[str]) -> list[str]:
    """ZeroMQ addresses of a node with these options."""
    return [word for before, word in pairwise(options) if before == "--zmq"]


def without_zmq(options: Sequence[str]) -> tuple[str, ...]:
    """The others."""
    before = ("", *options)
    return tuple(word for last, word in zip(before, options, strict=False) if "--zmq" not in (last, word))
