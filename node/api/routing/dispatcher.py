"""Dispatch of requests: a table of paths, and one line of text for whatever goes wrong.

Knows nothing of what is asked or answered; `app.py` and `p2p.py` fill the table.
"""

import logging
from collections.abc import Callable, Mapping

from node.api.http.message import Problem, Request, Response, not_ready, problem
from node.api.query.queries import NoIndex
from node.interface.storage import StoreError
from node.runtime.runtime import Busy, NotReady, Runtime

log = logging.getLogger("groat.api")

NO_INDEX = (400, "this node runs with --no-index: it cannot answer this")

View = Callable[[Request, Mapping[str, str]], Response]
"""Called with the request and the path's parameters. May raise what `Dispatcher` knows."""


class Paths:
    """Views by method and path. A piece of a path that starts with a colon is a parameter: any text without a slash."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], View] = {}
        self._trees: dict[str, _Piece] = {}
        """Trees of the paths that have parameters, by method."""

    def add(self, method: str, path: str, view: View, *, optional_end: bool = False) -> None:
        """Have `view` answer that. A GET answers HEAD too. With `optional_end` the last parameter may be empty."""
        if "/:" not in path:
            self._exact[method, path] = view
            return
        piece = self._trees.setdefault(method, _Piece())
        names = []
        for part in path.split("/"):
            if part.startswith(":"):
                names.append(part[1:])
                part = ":"
            piece = piece.following.setdefault(part, _Piece())
        piece.view, piece.names, piece.may_be_empty = view, tuple(names), optional_end

    def find(self, method: str, path: str) -> tuple[View, Mapping[str, str]] | None:
        """The route that answers, and the parameters; None if there is no such route."""
        if method == "HEAD":
            method = "GET"
        view = self._exact.get((method, path))
        if view is not None:
            return view, {}
        tree = self._trees.get(method)
        return tree.find(path.split("/"), 0, ()) if tree else None


class _Piece:
    """The pieces that may follow the beginning of a path."""

    __slots__ = ("following", "may_be_empty", "names", "view")

    def __init__(self) -> None:
        self.following: dict[str, _Piece] = {}
        """Branches by the next piece; ":" stands for a parameter."""
        self.view: View | None = None
        self.names: tuple[str, ...] = ()
        """Names of the parameters on the way here."""
        self.may_be_empty = False
        """The last of them is optional."""

    def find(self, parts: list[str], at: int, given: tuple[str, ...]) -> tuple[View, Mapping[str, str]] | None:
        """Find the route for what is left of a path. No deeper than the table's longest path."""
        if at == len(parts):
            return None if self.view is None else (self.view, dict(zip(self.names, given, strict=True)))
        part = parts[at]
        found = None
        if part != ":" and part in self.following:
            found = self.following[part].find(parts, at + 1, given)
        if found is None and (parameter := self.following.get(":")) is not None:
            is_last = at + 1 == len(parts)
            if part or (is_last and parameter.may_be_empty):
                found = parameter.find(parts, at + 1, (*given, part))
        return found


class Dispatcher(Paths):
    """Answers every request, whatever happens."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    def __call__(self, request: Request) -> Response:
        """Raises nothing."""
        try:
            return self.respond(request)
        except Problem as error:
            return problem(error.status, error.line, error.headers)
        except NotReady:
            return self._not_ready()
        except Busy as busy:
            retry = [("Retry-After", str(busy.retry_after_s))]
            return problem(503, f"too many requests are waiting ({busy.most} may): come again", retry)
        except NoIndex:
            return problem(*NO_INDEX)
        except StoreError as error:
            self._runtime.fail(error)
            return self._not_ready()
        except Exception:
            log.exception("a bug in the node: %s %r", request.method, request.path[:100])
            return problem(500, "internal server error")

    def respond(self, request: Request) -> Response:
        """The view's answer, or what it raises. Raises Problem(404) for an unknown path."""
        found = self.find(request.method, request.path)
        if found is None:
            raise no_endpoint(request)
        view, given = found
        return view(request, given)

    def _not_ready(self) -> Response:
        return not_ready(self._runtime.refusal, for_good=self._runtime.fault is not None)


def raw_path(request: Request) -> str:
    """The path as it came."""
    return request.target.partition("?")[0]


def no_endpoint(request: Request) -> Problem:
    """Nothing is here, or nothing that takes this method."""
    quoted = raw_path(request).replace("\\", "\\\\").replace('"', '\\"')
    return Problem(404, f'endpoint does not exist "{quoted}"')
