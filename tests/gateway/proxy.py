"""A gateway between a wallet and a real node: passes requests on, except where a rule has another answer.

    with Gateway(cluster.nodes[0].api) as gateway:
        gateway.rules = [first(1, on_payment(lose_answer))]
        ...  # run the wallet with --node gateway.url
        gateway.payments  # what it was given to send, in order

A rule looks at an exchange and says what the wallet gets: an `Answer`, `Raw` bytes, or None to
leave it to the next rule. The node is asked only if a rule, or nobody else, does it.
"""

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from types import TracebackType
from typing import Any

from chain.errors import Rejected
from chain.hashes import to_hex
from chain.tx import decode_tx

REQUEST_BYTES_MAX = 4_000_000
"""Of a request's body; a longer one is cut off with its connection."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Of a node's answer; a longer one counts as none."""
NODE_S = 30.0
"""How long a node may take for each piece of its answer."""
CONNECTIONS_MAX = 64
"""At a time; more are closed at once."""
REQUESTS_KEPT = 100_000
"""Requests remembered; the oldest are forgotten."""
RAW_S = 120.0
"""A raw answer without an end ends after so long."""
PREFIX = "/api"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Besides the length."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are, with no HTTP around them but their own; then the connection is closed."""

    pieces: Callable[[], Iterable[bytes]] = tuple
    pause_s: float = 0.0
    """Between two pieces."""


CUT = Raw()
"""No answer: the connection is closed."""


@dataclass(slots=True)
class Payment:
    """A transaction that the wallet handed over."""

    txid: str
    raw: bytes
    forwarded: bool = False
    """A node was given it."""
    node_status: int | None = None
    """What the node answered; None if it was not asked, or did not."""
    told_status: int | None = None
    """What the wallet was told; None if nothing, or something that is no HTTP answer."""


class Exchange:
    """One request, and the node's answer to it once somebody wants it."""

    def __init__(self, gateway: "Gateway", number: int, method: str, target: str, body: bytes) -> None:
        self.number = number
        """How many requests came before."""
        self.method = method
        self.target = target
        """Path and query as the wallet sent them."""
        self.path = target.removeprefix(PREFIX)
        self.body = body
        self.payment: Payment | None = None
        """The transaction, if it is handed over here."""
        self._gateway = gateway
        self._answer: Answer | None = None
        if method == "POST" and self.path == "/tx":
            self.payment = _payment_of(body)

    def forward(self) -> Answer:
        """The node's answer; it is asked once. Raises OSError if there is none."""
        if self._answer is None:
            if self.payment:
                self.payment.forwarded = True
            self._answer = self.ask(self.method, self.target, self.body)
            if self.payment:
                self.payment.node_status = self._answer.status
        return self._answer

    def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Any other answer of the node's. Raises OSError if there is none."""
        return ask(self._gateway.node, method, target, body)


Rule = Callable[[Exchange], "Answer | Raw | None"]


class Gateway:
    """Listens on a free port of 127.0.0.1 while its block lasts. `node` and `rules` may change at any time."""

    def __init__(self, node: str, rules: Sequence[Rule] = ()) -> None:
        """`node` is host:port of its API."""
        self.node = node
        self.rules: Sequence[Rule] = rules
        self.requests: deque[str] = deque(maxlen=REQUESTS_KEPT)
        """Method and path of each request, the oldest first."""
        self.payments: list[Payment] = []
        """Each time that a transaction was handed over, whatever became of it."""
        self.on_payment: Callable[[Payment], object] = lambda _: None
        """Called before anything else happens to a payment."""
        self.over = threading.Event()
        """The block is left: nobody waits any longer."""
        self.lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """What the wallet's --node takes."""
        return f"http://{self.address}"

    def __enter__(self) -> "Gateway":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, method: str, target: str, body: bytes) -> Answer | Raw:
        """What comes back on a request."""
        with self.lock:
            exchange = Exchange(self, len(self.requests), method, target, body)
            self.requests.append(f"{method} {exchange.path}")
            if exchange.payment:
                self.payments.append(exchange.payment)
        if exchange.payment:
            self.on_payment(exchange.payment)
        try:
            reply = next((reply for rule in tuple(self.rules) if (reply := rule(exchange)) is not None), None)
            reply = reply or exchange.forward()
        except OSError:
            reply = CUT
        if exchange.payment and isinstance(reply, Answer):
            exchange.payment.told_status = reply.status
        return reply


def ask(node: str, method: str, target: str, body: bytes = b"") -> Answer:
    """A node's answer. Raises OSError if there is none."""
    connection = http.client.HTTPConnection(node, timeout=NODE_S)
    try:
        connection.request(method, target, body or None, {"Content-Type": "text/plain"})
        with connection.getresponse() as reply:
            content = reply.read(ANSWER_BYTES_MAX + 1)
            if len(content) > ANSWER_BYTES_MAX:
                raise OSError("an answer without measure")
            return Answer(reply.status, content, (("Content-Type", reply.getheader("Content-Type", "text/plain")),))
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error}") from None
    finally:
        connection.close()


def _payment_of(body: bytes) -> Payment | None:
    try:
        raw = bytes.fromhex(body.decode("ascii"))
        return Payment(to_hex(decode_tx(raw).txid), raw)
    except (ValueError, Rejected):
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gateway = gateway
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._open: set[socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._places.release()

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._open):
            with suppress(OSError):  # its thread may have closed it meanwhile
                connection.shutdown(SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is not worth a line."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one piece
    timeout = RAW_S
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= REQUEST_BYTES_MAX:
            self.close_connection = True
            return
        reply = self.server.gateway.serve(self.command, self.path, self.rfile.read(length))
        if isinstance(reply, Raw):
            self.close_connection = True
            for piece in self._paced(reply):
                self.wfile.write(piece)
                self.wfile.flush()
            return
        self.send_response(reply.status)
        for name, text in reply.headers:
            self.send_header(name, text)
        if not any(name.lower() == "content-length" for name, _ in reply.headers):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _paced(self, raw: Raw) -> Iterator[bytes]:
        over = self.server.gateway.over
        ends = time.monotonic() + RAW_S
        for piece in raw.pieces():
            if over.wait(raw.pause_s) or time.monotonic() > ends:
                return
            yield piece

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
