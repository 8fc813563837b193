"""Who answers a path, and what becomes of a handler's exceptions."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from node.api.app import query_of
from node.api.http.message import Problem, Request, Response
from node.api.query.queries import NoIndex
from node.api.rest.table import ROUTES
from node.api.routing.dispatcher import Dispatcher, Paths
from node.interface.storage import Damaged, StoreError
from node.runtime.runtime import Busy, NotReady


def request(method: str = "GET", path: str = "/", query: str = "") -> Request:
    return Request(method, path, path + "?" + query if query else path, query, {}, "127.0.0.1", bytes)


def view(name: str) -> Callable[[Request, Mapping[str, str]], Response]:
    return lambda asked, given: Response(200, f"{name} {dict(given)}".encode())


@pytest.fixture
def paths() -> Paths:
    paths = Paths()
    for path in ("/", "/a", "/a/b/c", "/a/:x", "/a/:x/c", "/a/:x/:y", "/a/b/:z/d", "/:any/end"):
        paths.add("GET", path, view(path))
    paths.add("GET", "/list/:start", view("/list/:start"), optional_end=True)
    paths.add("POST", "/a", view("posted"))
    return paths


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "/ {}"),
        ("/a", "/a {}"),
        ("/a/b/c", "/a/b/c {}"),
        ("/a/x", "/a/:x {'x': 'x'}"),
        ("/a/:x", "/a/:x {'x': ':x'}"),
        ("/a/:", "/a/:x {'x': ':'}"),
        ("/a/x/c", "/a/:x/c {'x': 'x'}"),
        ("/a/x/y", "/a/:x/:y {'x': 'x', 'y': 'y'}"),
        # What is spelled out comes first, but nothing is lost where it leads nowhere.
        ("/a/b/z/d", "/a/b/:z/d {'z': 'z'}"),
        ("/a/b/x", "/a/:x/:y {'x': 'b', 'y': 'x'}"),
        ("/a/end", "/a/:x {'x': 'end'}"),
        ("/x/end", "/:any/end {'any': 'x'}"),
        ("/list/5", "/list/:start {'start': '5'}"),
        ("/list/", "/list/:start {'start': ''}"),
    ],
)
def test_paths(paths: Paths, path: str, answer: str) -> None:
    for method in ("GET", "HEAD"):
        found = paths.find(method, path)
        assert found is not None
        asked = request(method, path)
        assert found[0](asked, found[1]).body.decode() == answer


@pytest.mark.parametrize(
    "path", ["", "/a/", "/list", "/list//", "/a//c", "//end", "/x", "/a/b/z/d/e", "/A", "a", "/a/b/c/", "/x/END"]
)
def test_no_paths(paths: Paths, path: str) -> None:
    assert paths.find("GET", path) is None


def test_each_method_has_its_own(paths: Paths) -> None:
    found = paths.find("POST", "/a")
    assert found is not None
    assert found[0](request("POST"), {}).body == b"posted {}"
    for method, path in (("POST", "/a/b"), ("POST", "/"), ("PUT", "/a"), ("get", "/a"), ("OPTIONS", "/a")):
        assert paths.find(method, path) is None


class _Runtime:
    """Remembers why it was stopped."""

    fault: str | None = None
    refusal = "the node is starting"

    def fail(self, error: Exception) -> None:
        self.fault = str(error)
        self.refusal = "the node stops"


def dispatched(error: Exception) -> tuple[Response, _Runtime]:
    runtime: Any = _Runtime()
    dispatcher = Dispatcher(runtime)

    def fails(asked: Request, given: Mapping[str, str]) -> Response:
        raise error

    dispatcher.add("GET", "/", fails)
    return dispatcher(request()), runtime


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (Problem(418, "short", [("X", "y")]), 418, (("X", "y"),)),
        (NotReady(), 503, (("Retry-After", "1"),)),
        (Busy(16), 503, (("Retry-After", "1"),)),
        (NoIndex(), 400, ()),
    ],
)
def test_what_a_handler_may_raise(error: Exception, status: int, headers: tuple[tuple[str, str], ...]) -> None:
    answer, runtime = dispatched(error)
    assert (answer.status, answer.headers, answer.content_type) == (status, headers, "text/plain")
    assert runtime.fault is None


@pytest.mark.parametrize("error", [StoreError("gone"), Damaged("gone")])
def test_a_damaged_store_stops_the_node_and_nobody_is_told_to_come_again(error: StoreError) -> None:
    answer, runtime = dispatched(error)
    assert (answer.status, answer.body, answer.headers) == (500, b"the node stops", ())
    assert runtime.fault == "gone"


def test_a_bug_is_logged_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer, runtime = dispatched(RuntimeError("secret"))
    assert (answer.status, answer.body) == (500, b"internal server error")
    assert "secret" in caplog.text
    assert runtime.fault is None


def test_nobody_there() -> None:
    runtime: Any = _Runtime()
    asked = Request("GET", "/x", '/%78"\\?y', "y", {}, "", bytes)
    answer = Dispatcher(runtime)(asked)
    assert (answer.status, answer.body) == (404, b'endpoint does not exist "/%78\\"\\\\"')


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1"}),
        ("a=&b", {"a": "", "b": ""}),
        ("a=%c3%a9+%2b", {"a": "é +"}),
        ("a=\xc3\xa9&%00=%ff&=&&&;", {"a": "é", "\0": "\ufffd", "": "", ";": ""}),
    ],
)
def test_queries(query: str, values: dict[str, str]) -> None:
    assert query_of(request(query=query)) == values


def test_quick_routes_are_what_can_be_looked_up() -> None:
    quick = [route for route in ROUTES if route.quick]
    assert {route.path for route in quick} == {"/blocks/tip/height", "/blocks/tip/hash", "/v1/events"}
    for route in quick:
        assert route.method == "GET"
        assert not route.params
        assert not route.writes
        assert not route.needs_index
