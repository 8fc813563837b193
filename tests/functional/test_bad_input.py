"""Thousands of bad inputs against one real node: each gets what its specification says, or a 4xx
and one line; nothing of it is left in the log or in memory."""

import base64
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chain.address import encode_address
from chain.block import decode_block
from node.api.app import UNAUTHORIZED_BODY_MAX
from node.api.rest.table import ROUTES as API_ROUTES
from node.api.rest.txs import TX_BODY_MAX
from node.api.routing.route import NO_BODY_MAX
from node.api.rpc.limits import RPC_BODY_MAX
from node.api.rpc.table import METHODS
from node.p2p.wire.codec import ROUTES
from tests.chainlab import lock, made_by, pay
from tests.functional.bad_calls import (
    RPC_STATUS,
    bad_calls,
    bad_credentials,
    bad_envelopes,
    oversized_calls,
)
from tests.functional.bad_inputs import (
    Case,
    Ground,
    bad_http,
    bad_messages,
    bad_transactions,
    bad_values,
    bent_paths,
    oversized,
    request,
    strangers,
    unknown_paths,
    wrong_methods,
)
from tests.functional.cluster import Cluster
from tests.functional.conftest import StartCluster

CASES_LEAST = 2_000
GROWTH_MAX_BYTES = 20 * 1024 * 1024
TIMEOUT_S = 20.0
BLOCKS = 110
USER, PASSWORD = "ann", "correct horse"


HARMFUL = {"stop"}
"""Methods whose bad calls would be good ones."""


def all_cases(ground: Ground) -> Iterator[Case]:
    """Everything, in an order in which no case spoils another."""
    for route in API_ROUTES:
        for make in (bad_values, wrong_methods, bent_paths, strangers):
            yield from make(route)
    yield from unknown_paths()
    yield from bad_transactions(ground)
    yield from oversized()
    yield from oversized_calls(ground)
    yield from bad_http()
    for method in METHODS:
        if method.name not in HARMFUL:
            yield from bad_calls(method, ground)
    yield from bad_envelopes(ground)
    yield from bad_credentials(ground)
    yield from bad_messages(ground)


class Answer:
    """Status, headers and body, read off a connection."""

    def __init__(self, stream: "Connection", method: str) -> None:
        head = stream.until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert re.fullmatch(r"HTTP/1\.[01] \d{3} .+", first), first
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): content for name, _, content in (line.partition(": ") for line in lines if line)}
        length = int(self.headers.get("content-length", 0))
        self.body = b"" if method == "HEAD" or self.status in (204, 304) else stream.take(length)
        self.is_last = self.headers.get("connection", "").lower() == "close"


class Connection:
    """Sends bytes as they are, and reads answers; connects again when the server has closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._unread = b""

    def ask(self, raw: bytes, method: str) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S)
            self._unread = b""
        self._socket.sendall(raw)
        answer = Answer(self, method)
        if answer.is_last:
            self.close()
        return answer

    def until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._receive()
        head, _, self._unread = self._unread.partition(mark)
        return head

    def take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _receive(self) -> None:
        assert self._socket is not None
        received = self._socket.recv(1 << 16)
        assert received, "closed without an answer"
        self._unread += received


def complaint(case: Case, answer: Answer) -> str | None:
    """What is wrong with the answer, if anything is."""
    if answer.status not in case.statuses:
        return f"status {answer.status}"
    if case.rpc_code is not None:
        return rpc_complaint(case.rpc_code, answer)
    if answer.status >= 500 and answer.status not in (501, 505):
        return "a 5xx"
    if answer.status < 400 or answer.status == 401:
        return None
    if answer.headers.get("content-type") != "text/plain":
        return f"type {answer.headers.get('content-type')}"
    line = answer.body.decode("ascii", "replace")
    if not line.isascii() or not line.isprintable() or not 0 < len(line) <= 300:
        return "not one line of ASCII"
    if case.line is not None and not line.startswith(case.line):
        return "another line than promised"
    return None


def rpc_complaint(code: int, answer: Answer) -> str | None:
    """The same of a JSON-RPC envelope; code 0 stands for any."""
    if answer.headers.get("content-type") != "application/json":
        return f"type {answer.headers.get('content-type')}"
    envelope = json.loads(answer.body)
    if set(envelope) != {"result", "error", "id"}:
        return "no envelope"
    error = envelope["error"]
    if answer.status == 200:
        return None if error is None else "200 with an error"
    if set(error) != {"code", "message"} or not error["message"] or envelope["result"] is not None:
        return "no error object"
    if code not in (0, error["code"]):
        return f"code {error['code']}"
    return None if answer.status == RPC_STATUS.get(error["code"], 500) else "a status that is not the code's"


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.fixture
def node(start_cluster: StartCluster) -> Cluster:
    """One regtest node with some blocks."""
    cluster = start_cluster(1, links=(), options=[["--rpc-user", USER, "--rpc-password", PASSWORD]])
    cluster.rpc(0, "generatetoaddress", BLOCKS, encode_address(lock()))
    return cluster


@pytest.fixture
def ground(node: Cluster) -> Ground:
    """Some payments, confirmed and not, and one that is never sent."""
    coins = []
    for height in (1, 2, 3):
        block = decode_block(bytes.fromhex(node.rpc(0, "getblock", node.rpc(0, "getblockhash", height), 0)))
        coins.append(made_by(block.txs[0], 0, height))
    confirmed, waiting, unsent = (pay([coin]) for coin in coins)
    node.rpc(0, "sendrawtransaction", confirmed.raw.hex())
    node.rpc(0, "generatetoaddress", 1, encode_address(lock()))
    txid = node.rpc(0, "sendrawtransaction", waiting.raw.hex())
    node.wait_for(lambda: all(index["synced"] for index in node.rpc(0, "getindexinfo").values()), "the filters")
    return Ground(f"{USER}:{PASSWORD}", node.rpc(0, "getbestblockhash"), txid, unsent.raw)


@pytest.fixture
def connections(node: Cluster) -> Iterator[dict[bool, Connection]]:
    """To the listeners: True is the peers'."""
    with ExitStack() as stack:
        ports = {True: node.nodes[0].p2p_port, False: node.nodes[0].api_port}
        yield {p2p: stack.enter_context(closing(Connection(port))) for p2p, port in ports.items()}


def test_every_bad_input_gets_its_answer(node: Cluster, ground: Ground, connections: dict[bool, Connection]) -> None:
    process = node.nodes[0].process
    assert process is not None
    height = node.rpc(0, "getblockcount")
    before = resident_bytes(process.pid)
    complaints = []
    seen: Counter[int] = Counter()
    for case in all_cases(ground):
        try:
            answer = connections[case.p2p].ask(case.raw, case.method)
        except (AssertionError, OSError) as error:
            connections[case.p2p].close()
            complaints.append(f"{case.what}: {error}")
            continue
        seen[answer.status] += 1
        if problem := complaint(case, answer):
            complaints.append(f"{case.what}: {problem}, {answer.body[:100]!r}")
    grown = resident_bytes(process.pid) - before
    assert not complaints, "\n".join([f"{len(complaints)} of {seen.total()}", *complaints[:40]])
    assert seen.total() >= CASES_LEAST
    assert {200, 400, 401, 403, 404, 405, 413, 414, 431, 500, 501, 505} <= set(seen)
    print(f"{seen.total()} requests, {grown / 2**20:.1f} MB more", sorted(seen.items()))
    assert grown <= GROWTH_MAX_BYTES, f"{grown / 2**20:.1f} MB more after {seen.total()} requests"
    log = node.nodes[0].log.read_text(errors="replace")
    assert "Traceback" not in log
    assert log.count("\n") < 100, "clients can fill the log"
    assert node.rpc(0, "getblockcount") >= height


def test_an_oversized_body_is_refused_while_the_client_still_sends(node: Cluster) -> None:
    authorized = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    api, p2p = node.nodes[0].api_port, node.nodes[0].p2p_port
    for port, path, cap, headers in (
        (api, "/tx", TX_BODY_MAX, {}),
        (api, "/blocks", NO_BODY_MAX, {}),
        (api, "/", UNAUTHORIZED_BODY_MAX, {}),
        (api, "/", RPC_BODY_MAX, {"Authorization": authorized}),
        (p2p, "/p2p/blocks", ROUTES["blocks"].request_max, {}),
    ):
        size = 20 * cap + 1_000_000
        head = request("POST", path, **headers).replace(b"Content-Length: 0", b"Content-Length: %d" % size)
        with closing(Connection(port)) as stream:
            answer = stream.ask(head + bytes(1000), "POST")  # most of the body is still to come
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert answer.body == b"body over %d bytes" % cap
    for size in (TX_BODY_MAX + 1, 30_000_000):  # and who sends all of it all the same reads it too
        refused = node.request(0, "POST", "/tx", bytes(size))
        assert (refused.status, refused.text) == (413, f"body over {TX_BODY_MAX} bytes")
