"""`/docs` in a browser: accessible in both schemes and widths, found by filtering, useful without scripts."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Site
from tests.browser.test_pages import violations


def docs(opened: Open, site: Site, anchor: str = "", **options: bool) -> Page:
    page = opened(site, **options).page
    page.goto(f"http://{site.host}/docs{anchor}")
    return page


def test_with_everything_open(shared: Site, opened: Open, axe: str) -> None:
    page = docs(opened, shared)
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert violations(page, axe) == {}


def test_filtering_by_keyboard(shared: Site, opened: Open) -> None:
    page = docs(opened, shared)
    shown = page.locator(".entry:visible")
    everything = shown.count()
    page.get_by_role("searchbox").focus()
    page.keyboard.type("merkle TXID proof")
    expect(page.locator("#get_tx_txid_merkle_proof")).to_be_visible()
    expect(page.locator("#get_mempool")).to_be_hidden()
    assert 0 < shown.count() < everything
    expect(page.locator("#found")).to_have_text(f"{shown.count()} of {everything}")
    expect(page.get_by_role("heading", name="mempool", exact=True)).to_be_hidden()
    page.keyboard.press("Enter")  # sends nothing
    page.get_by_role("searchbox").fill("nothing has this")
    assert shown.count() == 0
    page.get_by_role("searchbox").fill("")
    assert shown.count() == everything
    assert page.url.endswith("/docs")


def test_links_open_what_they_lead_to(shared: Site, opened: Open) -> None:
    page = docs(opened, shared, "#get_tx_txid")
    entry = page.locator("#get_tx_txid")
    expect(entry).to_have_attribute("open", "")
    expect(entry.locator(".curl")).to_have_text(
        re.compile(rf"^curl -s http://{re.escape(shared.host)}/api/tx/\w{{64}}$")
    )
    page.get_by_role("searchbox").fill("uptime")
    expect(entry).to_be_hidden()
    page.goto(f"http://{shared.host}/docs#schema-Transaction")
    expect(page.locator("#schema-Transaction")).to_be_in_viewport()


def test_without_scripts(shared: Site, opened: Open) -> None:
    page = docs(opened, shared, java_script_enabled=False)
    expect(page.locator("#filter")).to_be_hidden()
    entry = page.locator("#method-getblock")
    entry.locator("summary").click()
    expect(entry.locator(".curl")).to_contain_text("getblock")
