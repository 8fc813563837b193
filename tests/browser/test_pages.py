"""Every page in both schemes and at both widths: accessible, within its width, without a complaint."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, PAGES, WIDE, Open, Site, paths_of
from tests.browser.scene import Scene
from tests.functional.conftest import StartCluster

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""axe-core's names for the levels A and AA of WCAG 2.2."""
AGO = re.compile(r"\S+ \w+ ago|just now")
"""What goes on by itself: "3 minutes ago"."""
RUN = """async (levels) => {
    const found = await axe.run(document, { runOnly: levels });
    return found.violations.map(({ id, nodes }) => [id, nodes.map((node) => [node.target, node.failureSummary])]);
}"""


def violations(page: Page, axe: str) -> dict[str, Any]:
    """What axe-core finds wrong, by scheme and width; and pages that are wider than their window."""
    page.evaluate(axe)
    found: dict[str, Any] = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width, height in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": height})
            if wrong := page.evaluate(RUN, LEVELS):
                found[f"{scheme} {width}"] = wrong
            if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
                found[f"width {width}"] = needed
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page(shared: Site, opened: Open, axe: str, name: str) -> None:
    page = opened(shared).open(shared, paths_of(shared.scene)[name])
    for summary in page.locator("summary").all():
        summary.click()
    assert violations(page, axe) == {}


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_page_has_its_words_and_no_dead_button(shared: Site, opened: Open, name: str) -> None:
    path = paths_of(shared.scene)[name]
    page = opened(shared, java_script_enabled=False).open(shared, path)
    for summary in page.locator("summary").all():
        summary.click()
    assert [button.get_attribute("aria-label") for button in page.locator("button:visible").all()] == ["Search"]
    words = page.locator("main").inner_text()
    if name == "peers":  # whose numbers are others a moment later
        assert "Nodes connected to this one" in words
        return
    scripted = opened(shared).open(shared, path)
    for summary in scripted.locator("summary").all():
        summary.click()
    assert AGO.sub("", words).split() == AGO.sub("", scripted.locator("main").inner_text()).split()


def test_a_fresh_chain_without_an_index(start_cluster: StartCluster, scene: Scene, opened: Open, axe: str) -> None:
    """The pages that have nothing to show yet, and those that say what is missing."""
    site = Site(start_cluster(1, options=[["--no-index"]]), scene)
    window = opened(site)
    for path, says in {
        "": "A fresh chain",
        "mempool": "The mempool is empty",
        "forks": "None at these heights",
        "charts": "Not enough blocks yet",
        "peers": "No peers yet",
        "block/0": "Block 0",
        f"address/{scene.address}": "This node has no index",
        f"tx/{'ab' * 32}": "This node has no index",
    }.items():
        page = window.open(site, path)
        expect(page.locator("main")).to_contain_text(says)
        assert violations(page, axe) == {}, path
    # What is mined appears where nothing was.
    page = window.open(site)
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    site.rpc("generatetoaddress", 1, scene.address)
    expect(page.locator(".tip .huge")).to_have_text("1")
    expect(page.get_by_text("A fresh chain")).to_have_count(0)


def test_what_a_stranger_could_bring_in_does_not_run(shared: Site, opened: Open) -> None:
    """The policy is in force, and the watch of these tests sees what breaks it."""
    window = opened(shared)
    page = window.open(shared)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = true\">')")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = true' }))"
    )
    page.wait_for_function("performance.now() > 0")
    assert page.evaluate("window.ran") is None
    assert [line for line in window.complaints if "policy: script-src" in line]
    window.complaints.clear()
