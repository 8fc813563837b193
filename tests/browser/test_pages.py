"""Every page in both schemes and at both widths: accessible, within its width, without a complaint."""

from typing import Any

import pytest

from tests.browser.conftest import NARROW, PAGES, WIDE, Open, Site, paths_of

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""axe-core's names for the levels A and AA of WCAG 2.2."""
RUN = """async (levels) => {
    const found = await axe.run(document, { runOnly: levels });
    return found.violations.map(({ id, nodes }) => [id, nodes.map((node) => [node.target, node.failureSummary])]);
}"""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page(shared: Site, opened: Open, axe: str, name: str, scheme: str, size: tuple[int, int]) -> None:
    window = opened(shared, size, scheme)
    page = window.open(shared, paths_of(shared.scene)[name])
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "scrolls sideways"
    page.evaluate(axe)
    violations: list[Any] = page.evaluate(RUN, LEVELS)
    assert violations == []
