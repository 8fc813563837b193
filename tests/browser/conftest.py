"""A real Chromium on pages of a real node. What a page may never do is looked for in every test."""

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from chain.hashes import to_hex
from tests.browser.scene import Scene, make_scene, submit
from tests.functional.cluster import Cluster, make_cluster
from tests.functional.conftest import start_cluster

__all__ = ["start_cluster"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = (1280, 900), (390, 844)
"""A desktop's window and a phone's, in CSS pixels."""
WAIT_MS = 20_000
"""For what a page is to show; the machine may be busy with other tests."""
WATCH_POLICY = "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window, with a profile of its own that is gone afterwards.

    A module's, and no session's: while Playwright runs, an event loop runs in this thread, and tests that need
    one of their own would find it.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("browser: no Chromium here (on Debian: apt-get install chromium)")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker, as a script."""
    if not AXE.exists():
        pytest.skip("browser: npm's axe-core is not installed (scripts/test does it where npm is)")
    return AXE.read_text()


@dataclass
class Site:
    """A node with a scene, and where its pages are."""

    cluster: Cluster
    scene: Scene

    @property
    def host(self) -> str:
        return self.cluster.nodes[0].api

    def url(self, path: str = "") -> str:
        return f"http://{self.host}/explorer/{path}"

    def rpc(self, method: str, *params: Any) -> Any:
        return self.cluster.rpc(0, method, *params)


def start_site(folder: Path, scene: Scene, nodes: int = 1) -> Site:
    cluster = make_cluster(folder, nodes, None, (), "regtest")
    cluster.start()
    site = Site(cluster, scene)
    submit(site.rpc, scene)
    return site


@pytest.fixture(scope="session")
def scene() -> Scene:
    """The same for all tests: those that go on with it take a copy."""
    return make_scene(time.time() - 5)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Iterator[Site]:
    """A node with a peer, whose chain no test changes."""
    site = start_site(tmp_path_factory.mktemp("shared") / "cluster", scene, 2)
    yield site
    site.cluster.close()


@pytest.fixture
def site(tmp_path: Path, scene: Scene) -> Iterator[Site]:
    """A node for one test."""
    mine = copy.copy(scene)
    mine.lab = scene.lab.copy()
    site = start_site(tmp_path / "cluster", mine)
    yield site
    site.cluster.close()


class Watched:
    """A page, and what it must never do: errors, other hosts, breaches of its policy."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.context = context
        self.host = host
        self.complaints: list[str] = []
        self.reloads = 0
        """Documents that were loaded."""
        context.add_init_script(WATCH_POLICY)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._request)
        self.page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium reports a page's own status; that of anything else on it is an error.
        is_own = message.location.get("url") == self.page.url and message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not is_own:
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).netloc != self.host:
            self.complaints.append(f"asks {request.url}")
        self.reloads += request.is_navigation_request()

    def open(self, site: Site, path: str = "") -> Page:
        """Go to a page."""
        self.page.goto(site.url(path))
        return self.page


Open = Callable[..., Watched]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """`opened(site, size, scheme)` is a window; when the test ends none may have complained."""
    windows: list[Watched] = []

    def make(site: Site, size: tuple[int, int] = WIDE, scheme: str = "light", **more: Any) -> Watched:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, **more)  # type: ignore[arg-type]
        windows.append(Watched(context, site.host))
        return windows[-1]

    yield make
    for window in windows:
        window.context.close()
    assert [window.complaints for window in windows if window.complaints] == []


def paths_of(scene: Scene) -> dict[str, str]:
    """Paths of pages of every kind, by a name."""
    return {
        "overview": "",
        "mempool": "mempool",
        "forks": "forks",
        "charts": "charts",
        "peers": "peers",
        "search": "search",
        "block": f"block/{to_hex(scene.lab.blocks[-2].hash)}",
        "stale-block": f"block/{to_hex(scene.stale.hash)}",
        "transaction": f"tx/{to_hex(scene.large.txid)}",
        "waiting-transaction": f"tx/{to_hex(scene.pool[0].txid)}",
        "data-transaction": f"tx/{to_hex(scene.stranger.txid)}",
        "stale-transaction": f"tx/{to_hex(scene.stale_tx.txid)}?block={to_hex(scene.stale.hash)}",
        "address": f"address/{scene.address}",
        "nothing-found": "search?q=nothing",
        "no-such-page": "nowhere",
    }


PAGES = (
    "overview", "mempool", "forks", "charts", "peers", "search", "block", "stale-block", "transaction",
    "waiting-transaction", "data-transaction", "stale-transaction", "address", "nothing-found", "no-such-page",
)  # fmt: skip
"""The names of `paths_of`, for parametrized tests."""
