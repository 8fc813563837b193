"""`/docs` in a browser: accessible in both schemes and widths, found by filtering, useful without scripts."""

import re

from playwright.sync_api import Page, expect

from chain.hashes import to_hex
from tests.browser.conftest import Open, Site, Watched
from tests.browser.test_layout import flaws
from tests.browser.test_pages import violations


def docs(opened: Open, site: Site, anchor: str = "", **options: bool) -> Page:
    return docs_in(opened(site, **options), site, anchor)


def docs_in(window: Watched, site: Site, anchor: str = "") -> Page:
    window.page.goto(f"http://{site.host}/docs{anchor}")
    return window.page


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


def test_a_path_that_is_the_same_row_opens_it(shared: Site, opened: Open) -> None:
    page = docs(opened, shared, "#get_blocks")
    expect(page.locator("#get_blocks_start")).to_have_attribute("open", "")
    expect(page.locator("#get_blocks_start")).to_contain_text("The same at /blocks")


def test_a_route_is_tried(shared: Site, opened: Open) -> None:
    window = opened(shared)
    page = docs_in(window, shared, "#get_block_block_hash")
    form = page.locator("#get_block_block_hash .try")
    tip = to_hex(shared.scene.lab.tip.hash)
    form.get_by_label("block_hash").fill(tip)
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".sent")).to_contain_text("200 application/json")
    expect(form.locator(".answer")).to_contain_text(f'"id": "{tip}"')
    form.get_by_label("block_hash").fill("xyz")
    form.get_by_role("button", name="Send").press("Enter")
    expect(form.locator(".sent")).to_contain_text("400 text/plain")
    expect(form.locator(".answer")).to_have_text("Invalid hex string")
    window.complaints[:] = [line for line in window.complaints if "400" not in line]


def test_a_method_is_tried_with_its_login_and_without(shared: Site, opened: Open) -> None:
    window = opened(shared)
    page = window.page
    page.goto(f"http://{shared.host}/docs#method-getblockcount")
    form = page.locator("#method-getblockcount .try")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".sent")).to_contain_text("401")
    node = shared.cluster.nodes[0]
    cookie = node.datadir / shared.cluster.network_name / ".cookie"
    form.get_by_label("Login").fill(cookie.read_text())
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".sent")).to_contain_text("200 application/json")
    expect(form.locator(".answer")).to_contain_text(f'"result": {shared.scene.lab.height}')
    window.complaints[:] = [line for line in window.complaints if "401" not in line]


def test_it_looks_like_the_explorer(shared: Site, opened: Open) -> None:
    """The same frame in the same colours, and one choice of dark and light for both."""
    window = opened(shared)
    page = docs_in(window, shared)
    look = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.top')).height]"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Change between dark and light").click()
    here = page.evaluate(look)
    expect(page.get_by_role("link", name="API", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Peers", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Peers")
    assert page.evaluate(look) == here
    assert here[0] == "rgb(17, 20, 22)"


def test_nothing_is_cut_on_the_page(shared: Site, opened: Open) -> None:
    page = docs(opened, shared, "#get_block_block_hash")
    assert flaws(page) == {}


def test_the_slash_goes_to_the_filter(shared: Site, opened: Open) -> None:
    page = docs(opened, shared)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_without_scripts(shared: Site, opened: Open) -> None:
    page = docs(opened, shared, java_script_enabled=False)
    expect(page.locator("#filter")).to_be_hidden()
    expect(page.get_by_role("button")).to_have_count(0)
    entry = page.locator("#method-getblock")
    entry.locator("summary").click()
    expect(entry.locator(".curl")).to_contain_text("getblock")
