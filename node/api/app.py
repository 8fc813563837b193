"""The API listener's application: Esplora at `/…` and `/api/…`, JSON-RPC at `POST /`, pages at `/explorer/`.

Puts tables, guards and the core together; everything that decides stands in the modules beside this one.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from node.api.chainless import CHAINLESS_PAGES, CHAINLESS_STATUS, no_chain
from node.api.context import Call
from node.api.explorer.mount import EXPLORER, ICON, Explorer, icon
from node.api.http.message import TEXT, Headers, Problem, Request, Response
from node.api.query.queries import BlockMeasures, NoIndex
from node.api.rest.table import CHAIN_ROUTES, ROUTES
from node.api.routing.auth import PREFLIGHT_HEADERS, Credentials, HostList, check_origin, cors_headers, is_allowed
from node.api.routing.dispatcher import Dispatcher, View, raw_path
from node.api.routing.route import NO_BODY_MAX, PREFIXES, Route, parse
from node.api.rpc.coins import ScanTurn
from node.api.rpc.limits import RPC_BODY_MAX
from node.api.rpc.pace import CallPace
from node.api.rpc.server import RpcServer
from node.api.rpc.table import METHODS
from node.api.services.active_calls import ActiveCalls
from node.api.services.coin_scan import CoinScan
from node.api.services.event_feed import EventFeed
from node.api.services.request_metrics import RequestMetrics
from node.api.services.template_cache import TemplateCache
from node.blockfilter.filter_index import FilterIndex
from node.config import Config
from node.interface.endpoint import Endpoint
from node.runtime.runtime import NotReady, Runtime

UNAUTHORIZED_BODY_MAX = 64 * 1024
"""Bytes of a JSON-RPC request without the right credentials; more is not read."""
SECURITY_HEADERS: Headers = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


class ApiApp(Dispatcher):
    """The routes behind their guards."""

    def __init__(
        self,
        runtime: Runtime,
        config: Config,
        listening: tuple[Endpoint, ...] = (),
        tallies: RequestMetrics | None = None,
        filters: FilterIndex | None = None,
    ) -> None:
        """`listening` is where it is served, if not where `config` says; `tallies` is what the
        listeners count; `filters` are those of blocks, if they are made.

        Raises OSError, ValueError where there are no credentials."""
        super().__init__(runtime)
        self._config = config
        self._tallies = tallies or RequestMetrics()
        self._filters = filters
        self._hosts = HostList(config.allow_hosts, listening or config.api)
        self._measures, self._scan_turn, self._started = BlockMeasures(), ScanTurn(), runtime.now()
        self._feed = EventFeed(runtime)
        self._coin_search = CoinScan()
        self._explorer = Explorer()
        self._templates, self._commands = TemplateCache(), ActiveCalls()
        self._no_chain = no_chain(config)
        self._rpc = RpcServer(METHODS, Credentials.of(config), runtime, self._commands, self._no_chain)
        everywhere = [(route, prefix + route.path) for prefix in PREFIXES for route in ROUTES]
        for route, path in everywhere:
            self.add(route.method, path, self._view(route), optional_end=route.has_optional_end)
        self.add("GET", "/", lambda request, given: Response(302, b"", TEXT, (("Location", EXPLORER),)))
        self.add("GET", ICON, lambda request, given: icon())
        self._caps = {(route.method, path): route.body_max for route, path in everywhere}
        self.quick = frozenset((route.method, path) for route, path in everywhere if route.quick)
        """True for requests that the listener's own thread may answer; see `Route.quick`."""

    def body_cap(self, method: str, path: str, headers: Mapping[str, str]) -> int:
        """Bytes of body that the listener reads of a request, by its header."""
        if _is_rpc(method, path):
            known = self._rpc.credentials.accept(headers.get("AUTHORIZATION", ""))
            return RPC_BODY_MAX if known else UNAUTHORIZED_BODY_MAX
        # Only paths without parameters take a body.
        return self._caps.get((method, path), NO_BODY_MAX)

    def __call__(self, request: Request) -> Response:
        """Raises nothing."""
        answer = super().__call__(request)
        more = SECURITY_HEADERS
        if answer.headers:
            named = {name for name, _ in answer.headers}
            more = tuple(header for header in more if header[0] not in named)
        if self._config.cors_origins:
            more += cors_headers(request.header("ORIGIN"), self._config.cors_origins)
        return Response(answer.status, answer.body, answer.content_type, answer.headers + more, answer.stream)

    def respond(self, request: Request) -> Response:
        """The answer to a request that may be made. Raises what `Dispatcher` knows."""
        self._hosts.check(request.header("HOST"))
        if request.method == "OPTIONS" and request.header("ORIGIN") and request.header("ACCESS_CONTROL_REQUEST_METHOD"):
            return self._preflight(request)
        if request.method == "POST":
            self._check_origin(request)
        if _is_rpc(request.method, request.path):
            pace = CallPace(self._runtime, request.is_gone)
            login = request.header("AUTHORIZATION")
            return self._rpc.answer(login, request.body(), lambda: self._call(request), pace)
        if self._explorer.takes(request):
            if self._no_chain and not request.path.removeprefix(EXPLORER).startswith(CHAINLESS_PAGES):
                raise Problem(CHAINLESS_STATUS, self._no_chain)
            page = self._explorer.answer(request, lambda: self._call(request))
            if self._runtime.fault:  # the page would say that the node is starting
                raise NotReady
            return page
        if raw_path(request) == "/" and request.method not in ("GET", "HEAD"):
            raise Problem(405, "JSONRPC server handles only POST requests")
        return super().respond(request)

    def _call(self, request: Request) -> Call:
        return Call(
            self._runtime.view,
            self._runtime,
            self._config,
            self._measures,
            self._scan_turn,
            self._coin_search,
            self._started,
            request.body,
            self._tallies,
            request,
            self._feed,
            self._templates,
            self._commands,
            self._filters,
        )

    def _view(self, route: Route) -> View:
        def view(request: Request, given: Mapping[str, str]) -> Response:
            if route.writes and request.method != "POST":
                self._check_origin(request)
            call = self._call(request)
            if self._no_chain and route in CHAIN_ROUTES:
                raise Problem(CHAINLESS_STATUS, self._no_chain)
            if route.needs_index and not call.view.reader.has_index:
                raise NoIndex
            values = {name: parse(kind, given[name]) for name, kind in route.params.items()}
            if route.query:
                asked = query_of(request)
                for name, kind in route.query.items():
                    values[name] = parse(kind, asked[name]) if name in asked else None
            return route.answer(call, **values)

        return view

    def _check_origin(self, request: Request) -> None:
        check_origin(
            request.header("HOST"),
            request.header("ORIGIN"),
            request.header("SEC_FETCH_SITE"),
            self._config.cors_origins,
        )

    def _preflight(self, request: Request) -> Response:
        """Answer a browser's preflight of a request from another origin. Raises Problem(403)."""
        origin = request.header("ORIGIN")
        if not is_allowed(origin, self._config.cors_origins):
            raise Problem(403, f"pages of {origin!r} may not read this node (see --cors-origin)")
        return Response(204, headers=PREFLIGHT_HEADERS)


def query_of(request: Request) -> dict[str, str]:
    """The query parameters; of one that is there twice the first."""
    # Bounded by the header's size.
    pairs = parse_qsl(request.query.encode("latin-1").decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))


def _is_rpc(method: str, path: str) -> bool:
    return method == "POST" and (path == "/" or (path.startswith("/wallet/") and path != "/wallet/"))
