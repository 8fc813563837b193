"""What people do with the pages: search, keys, dark and light, copying; and what strangers cannot do."""

import re

import pytest
from playwright.sync_api import expect

from chain.hashes import to_hex
from tests.browser.conftest import NARROW, Open, Site, paths_of
from tests.browser.test_pages import LEVELS, RUN

SKIPPED = "Skip to the content"


def test_search_from_any_page(shared: Site, opened: Open) -> None:
    page = opened(shared).open(shared, "peers")
    box = page.get_by_role("searchbox")
    tip = shared.scene.lab.tip
    for query, heading in [
        (f" {tip.height - 1:,} ", f"Block {tip.height - 1}"),
        (to_hex(tip.hash).upper(), f"Block {tip.height}"),
        (to_hex(shared.scene.large.txid), "Transaction"),
        (shared.scene.address.upper(), "Address"),
    ]:
        box.fill(query)
        box.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    box.fill("zzz")
    box.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing found")
    expect(box).to_have_value("zzz")


def test_suggestions_while_typing(shared: Site, opened: Open) -> None:
    """By keys and by pointer, without taking the Enter away from who does not choose."""
    page = opened(shared).open(shared, "peers")
    page.keyboard.press("/")
    box = page.get_by_role("searchbox")
    expect(box).to_be_focused()
    page.keyboard.type("18")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("Block 18")
    expect(options.nth(1)).to_contain_text("Block 180")
    expect(page.locator("#spoken")).to_have_text("8 suggestions")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "suggestion-1")
    expect(box).to_have_value("18")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Block 180")
    box.fill(to_hex(shared.scene.large.txid))
    options.first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Transaction")
    box.fill("17")
    expect(options.first).to_contain_text("Block 17")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Block 17")


def test_what_is_suggested_is_accessible(shared: Site, opened: Open, axe: str) -> None:
    page = opened(shared).open(shared)
    page.get_by_role("searchbox").fill("18")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.evaluate(axe)
    assert page.evaluate(RUN, LEVELS) == []


def test_a_slash_in_a_field_is_a_slash(shared: Site, opened: Open) -> None:
    page = opened(shared).open(shared)
    box = page.get_by_role("searchbox")
    box.focus()
    page.keyboard.type("a/b")
    expect(box).to_have_value("a/b")


def test_the_keyboard_alone_gets_everywhere(shared: Site, opened: Open) -> None:
    page = opened(shared).open(shared)

    def focused() -> str:
        return str(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"))

    page.keyboard.press("Tab")
    assert focused() == SKIPPED
    expect(page.get_by_role("link", name=SKIPPED)).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert focused() == f"{shared.scene.lab.height}"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Block")
    page.wait_for_load_state("load")  # scripts bring their buttons
    # Every control of the page can be reached.
    controls = (
        "[...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)'))"
    )
    wanted = page.evaluate(f"{controls}.length")
    assert wanted > 10
    page.evaluate("document.activeElement.blur(); window.reached = new Set()")
    for _ in range(wanted + 1):
        page.keyboard.press("Tab")
        page.evaluate("window.reached.add(document.activeElement) && 0")
    assert page.evaluate(f"{controls}.filter((e) => !window.reached.has(e)).map((e) => e.outerHTML)") == []


def test_dark_and_light_by_the_system_and_by_choice(shared: Site, opened: Open) -> None:
    window = opened(shared, scheme="dark")
    page = window.open(shared)

    def lightness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 765

    assert lightness() < 0.2
    page.get_by_role("button", name="Change between dark and light").click()
    assert lightness() > 0.8
    window.open(shared, "mempool")
    assert lightness() > 0.8  # remembered, and there before anything is drawn
    page.get_by_role("button", name="Change between dark and light").click()
    assert lightness() < 0.2


def test_hashes_are_copied_whole(shared: Site, opened: Open) -> None:
    window = opened(shared, permissions=["clipboard-read", "clipboard-write"])
    page = window.open(shared)
    page.locator(".tip .copy").click()
    expect(page.locator("#spoken")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == to_hex(shared.scene.lab.tip.hash)


def test_times_go_on_by_themselves(shared: Site, opened: Open) -> None:
    window = opened(shared)
    window.page.clock.install()
    page = window.open(shared)
    shown = page.locator(".tip time")
    before = shown.inner_text()
    page.clock.fast_forward("02:00:00")
    expect(shown).not_to_have_text(before)
    expect(shown).to_contain_text("hours ago")


@pytest.mark.parametrize("name", ["data-transaction", "block", "waiting-transaction"])
def test_texts_of_strangers_stay_texts(shared: Site, opened: Open, name: str) -> None:
    """The window's own watch says if any of them ran."""
    page = opened(shared).open(shared, paths_of(shared.scene)[name])
    for summary in page.locator("summary").all():
        summary.click()
    if name == "data-transaction":
        expect(page.locator("q")).to_have_text("<img src=x onerror=alert(1)> ${7*7} {{7*7}} □evil")
    if name == "block":
        expect(page.locator("main")).to_contain_text("</script><script>alert(2)</script>")
    assert page.locator("main img, main script").count() == 0


def test_ribbons_end_where_their_rows_are(shared: Site, opened: Open) -> None:
    page = opened(shared).open(shared, paths_of(shared.scene)["transaction"])
    drawing = page.locator(".ribbons").bounding_box()
    last = page.locator(".ends.to li").last.bounding_box()
    fee = page.locator(".ribbons .fee").bounding_box()
    assert drawing
    assert last
    assert fee
    assert abs(fee["y"] + fee["height"] - (last["y"] + last["height"] / 2)) < 4


def test_a_phone_shows_the_same(shared: Site, opened: Open) -> None:
    page = opened(shared, NARROW).open(shared, "forks")
    expect(page.get_by_role("heading", name="Side branches")).to_be_visible()
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.locator(".tip")).to_contain_text(str(shared.scene.lab.height))
