"""Every page in both schemes and at both widths: accessible, within its width, without a complaint."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import NARROW, PAGES, WIDE, Open, Site, paths_of

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""axe-core's names for the levels A and AA of WCAG 2.2."""
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
