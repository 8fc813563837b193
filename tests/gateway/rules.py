"""Rules for a gateway: which requests, how often, and what is answered instead.

What a rule answers is one of: a refusal, an answer that no node gives, the node's own answer with
something altered, the answer of an earlier time, bytes that are hardly HTTP, or none at all.
"""

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.gateway.proxy import CUT, Answer, Exchange, Raw, Rule

JSON_TYPE = ("Content-Type", "application/json")
PIECE = b"x" * 65_536
BLOCK_PATH = re.compile(r"/block/[0-9a-f]{64}$|/block-height/0$|/tx/[0-9a-f]{64}/(hex|raw)$")
"""Answers that never change."""

Change = Callable[[Any, Exchange], Any]
"""Makes another JSON document of the node's."""


# which requests


def on(pattern: str, rule: Rule) -> Rule:
    """The rule for paths that a regular expression matches from their start."""
    compiled = re.compile(pattern)
    return lambda exchange: rule(exchange) if compiled.match(exchange.path) else None


def on_payment(rule: Rule) -> Rule:
    """The rule for transactions handed over."""
    return lambda exchange: rule(exchange) if exchange.payment else None


def first(times: int, rule: Rule) -> Rule:
    """The rule until it has answered so often."""
    left = itertools.count(times, -1)
    lock = threading.Lock()
    spent = threading.Event()

    def limited(exchange: Exchange) -> Answer | Raw | None:
        with lock:
            if spent.is_set():
                return None
            reply = rule(exchange)
            if reply is not None and next(left) <= 1:
                spent.set()
            return reply

    return limited


def after(times: int, rule: Rule) -> Rule:
    """The rule once it would have answered so often."""
    seen = itertools.count(1)
    lock = threading.Lock()

    def late(exchange: Exchange) -> Answer | Raw | None:
        with lock:
            reply = rule(exchange)
            return reply if reply is not None and next(seen) > times else None

    return late


# payments


def lose_request(exchange: Exchange) -> Raw:
    """Nobody gets it, nobody answers."""
    return CUT


def lose_answer(exchange: Exchange) -> Raw:
    """The node gets it; the connection is closed without its answer."""
    exchange.forward()
    return CUT


def say(status: int, body: bytes | str = b"", *, forward: bool = False) -> Rule:
    """The same answer to everything; `forward` lets the node have the request nevertheless."""
    content = body.encode() if isinstance(body, str) else body

    def answer(exchange: Exchange) -> Answer:
        if forward:
            exchange.forward()
        return Answer(status, content)

    return answer


def refuse(reason: str, *, forward: bool = False) -> Rule:
    """A refusal in Esplora's form; `reason` is Bitcoin Core's code and text ("-26: ...")."""
    return say(400, f"sendrawtransaction RPC error {reason}", forward=forward)


def say_other_txid(exchange: Exchange) -> Answer:
    """The node gets it; the answer names another transaction."""
    exchange.forward()
    return Answer(200, b"5a" * 32)


# the node's answers, altered


def altered(change: Change) -> Rule:
    """The node's JSON document, changed; what is no such document is passed on."""

    def answer(exchange: Exchange) -> Answer | None:
        reply = exchange.forward()
        try:
            document = json.loads(reply.body)
        except ValueError:
            return reply
        if reply.status != 200 or not isinstance(document, dict | list):
            return reply
        return Answer(200, json.dumps(change(document, exchange)).encode(), (JSON_TYPE,))

    return answer


def each_tx(change: Callable[[dict[str, Any]], Any]) -> Change:
    """A change made in place to each transaction of a list, or to the single one."""

    def changed(document: Any, exchange: Exchange) -> Any:
        for tx in document if isinstance(document, list) else [document]:
            if isinstance(tx, dict):
                change(tx)
        return document

    return changed


def listed(keep: Callable[[dict[str, Any]], bool]) -> Change:
    """Only some rows of a list."""
    return lambda document, _: [row for row in document if keep(row)] if isinstance(document, list) else document


# an earlier time


class Memory:
    """Answers as they were. While `replays` is false it remembers the node's answer to each GET;
    then it gives these again. Not asked before: what `unknown` says, or the node as it is now."""

    def __init__(self, unknown: Rule = lambda _: None) -> None:
        self.replays = False
        self._unknown = unknown
        self._answers: dict[str, Answer] = {}

    def forget(self) -> None:
        """Remember nothing so far."""
        self._answers.clear()

    def __call__(self, exchange: Exchange) -> Answer | Raw | None:
        if exchange.method != "GET":
            return None
        if not self.replays:
            self._answers[exchange.path] = exchange.forward()
            return self._answers[exchange.path]
        if exchange.path in self._answers:
            return self._answers[exchange.path]
        return None if BLOCK_PATH.match(exchange.path) else self._unknown(exchange)


# hardly HTTP


def raw(*pieces: bytes) -> Rule:
    """These bytes, and the end of the connection."""
    return lambda _: Raw(lambda: pieces)


def head(status: str = "200 OK", *lines: str) -> bytes:
    """The beginning of an HTTP answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def drip(body: bytes = b"[]" * 500, pause_s: float = 1.0) -> Rule:
    """An answer of which a byte comes a second."""
    whole = head("200 OK", f"Content-Length: {len(body)}") + body
    return lambda _: Raw(lambda: (whole[place : place + 1] for place in range(len(whole))), pause_s)


def silence(exchange: Exchange) -> Raw:
    """The connection stays open, and nothing comes."""
    return Raw(lambda: itertools.repeat(b""), 0.1)


def endless(beginning: bytes = b"[", more: bytes = PIECE) -> Rule:
    """A body that never ends."""
    return lambda _: Raw(lambda: itertools.chain([head() + beginning], itertools.repeat(more)))


def endless_head(exchange: Exchange) -> Raw:
    """Header after header."""
    lines = (f"X-{number}: {'y' * 60}\r\n".encode() for number in itertools.count())
    return Raw(lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], lines))


def endless_chunks(exchange: Exchange) -> Raw:
    """A chunked body that never ends."""
    chunk = f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n"
    return Raw(lambda: itertools.chain([head("200 OK", "Transfer-Encoding: chunked")], itertools.repeat(chunk)))


def flood(pieces: Callable[[], Iterable[bytes]], size: int) -> Rule:
    """A large body of a length that is told beforehand."""
    return lambda _: Raw(lambda: itertools.chain([head("200 OK", f"Content-Length: {size}")], pieces()))
