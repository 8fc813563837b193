"""The client for our own nodes, against a server that answers what a test wants."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from devnet.rpc import NodeClient, NodeRpcError, Unreachable


@dataclass
class Stage:
    """What the server answers, and what it was asked."""

    client: NodeClient
    server: HTTPServer
    status: int = 200
    body: bytes = b""
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)
    """(method, path, authorization, body)."""


class Handler(BaseHTTPRequestHandler):
    stage: Stage

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.stage.asked.append((self.command, self.path, self.headers.get("Authorization") or "", body))
        self.send_response(self.stage.status)
        self.send_header("Content-Length", str(len(self.stage.body)))
        self.end_headers()
        self.wfile.write(self.stage.body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:00ff\n")

    class ThisHandler(Handler):
        pass

    with HTTPServer(("127.0.0.1", 0), ThisHandler) as server:
        client = NodeClient(f"127.0.0.1:{server.server_port}", cookie, 5)
        ThisHandler.stage = Stage(client, server)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield ThisHandler.stage
        server.shutdown()
        thread.join()


def test_a_call(stage: Stage) -> None:
    stage.body = b'[{"result": {"blocks": 7}, "error": null, "id": 0}]'
    assert stage.client.rpc("getblockchaininfo", 1, "x") == {"blocks": 7}
    authorization = "Basic " + base64.b64encode(b"__cookie__:00ff").decode()
    request = {"id": 0, "method": "getblockchaininfo", "params": [1, "x"]}
    assert stage.asked == [("POST", "/", authorization, [request])]


def test_a_batch_keeps_its_order(stage: Stage) -> None:
    stage.body = b'[{"result": 1, "error": null}, {"result": null, "error": null}]'
    assert stage.client.batch([("one", ()), ("two", (5,))]) == [1, None]


def test_an_error_in_a_batch(stage: Stage) -> None:
    error = b'{"result": null, "error": {"code": -5, "message": "Block not found"}}'
    stage.body = b'[{"result": 1, "error": null}, ' + error + b"]"
    with pytest.raises(NodeRpcError, match="Block not found") as caught:
        stage.client.batch([("one", ()), ("two", ())])
    assert caught.value.code == -5


def test_a_batch_refused_as_a_whole(stage: Stage) -> None:
    stage.status, stage.body = 500, b'{"result": null, "error": {"code": -28, "message": "Loading..."}, "id": null}'
    with pytest.raises(NodeRpcError, match="Loading"):
        stage.client.rpc("getblockcount")


@pytest.mark.parametrize(("status", "body"), [(401, b""), (503, b"starting"), (200, b"\xff"), (200, b"<html>")])
def test_anything_else_is_no_answer(stage: Stage, status: int, body: bytes) -> None:
    stage.status, stage.body = status, body
    with pytest.raises(Unreachable):
        stage.client.rpc("getblockcount")


def test_get(stage: Stage) -> None:
    stage.body = b"101"
    assert stage.client.get("/blocks/tip/height") == "101"
    stage.status, stage.body = 503, b"not yet"
    with pytest.raises(Unreachable, match="503 not yet"):
        stage.client.get("/blocks/tip/height")


def test_nobody_there(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no credentials"):
        NodeClient("127.0.0.1:1", tmp_path / "none").rpc("getblockcount")
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:1 does not answer"):
        NodeClient("127.0.0.1:1", tmp_path / ".cookie").rpc("getblockcount")
