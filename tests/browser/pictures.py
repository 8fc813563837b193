"""Take the pictures of docs/explorer.md: every page on a desktop in light and on a phone in dark.

    .venv/bin/python -m tests.browser.pictures docs/explorer

Starts three nodes of a devnet of its own on free ports, and needs what the tests of the pages need. With pngquant,
if that is installed, the files take a third.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS, NAMES, NARROW, WIDE, paths_of
from tests.browser.scene import PICTURED, Scene, make_scene, submit
from tests.functional.cluster import Cluster, make_cluster

PICTURED_PAGES = (
    "overview", "block", "waiting-transaction", "address", "mempool", "forks", "stale-block", "charts", "peers",
    "nothing-found",
)  # fmt: skip
SETTLE_MS = 600
"""After the page is there: until it says that it is live."""


def main(target: Path) -> None:
    """Set the scene, go from page to page."""
    target.mkdir(parents=True, exist_ok=True)
    scene = make_scene(time.time() - 3, PICTURED)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.toml"
        settings = PICTURED.to_mapping().items()
        network.write_text("".join(f"{key} = {json.dumps(setting)}\n" for key, setting in settings))
        names = [("--name", f"node {number}") for number in range(3)]
        cluster = make_cluster(Path(folder) / "nodes", 3, [(0, 1), (1, 2)], names, str(network))
        try:
            cluster.start()
            submit(lambda *call: cluster.rpc(0, *call), scene)
            cluster.wait_for_agreement()
            take(cluster, scene, target)
        finally:
            cluster.close()
    if pngquant := shutil.which("pngquant"):
        files = map(str, sorted(target.glob("*.png")))
        subprocess.run([pngquant, "--force", "--skip-if-larger", "--ext", ".png", "128", *files], check=False)


def take(cluster: Cluster, scene: Scene, target: Path) -> None:
    """All pages at both widths."""
    program = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for size, scheme, suffix in ((WIDE, "light", "desktop"), (NARROW, "dark", "phone")):
            viewport = {"width": size[0], "height": size[1]}
            page = browser.new_page(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
            for name in PICTURED_PAGES:
                shoot(page, f"http://{cluster.nodes[0].api}/explorer/{paths_of(scene)[name]}")
                page.screenshot(path=target / f"{name}-{suffix}.png")
        browser.close()


def shoot(page: Page, url: str) -> None:
    """Go there, and wait until it stands still."""
    page.goto(url)
    page.wait_for_timeout(SETTLE_MS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
