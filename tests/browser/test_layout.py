"""No text is cut or leaves its card, at four widths in both schemes, with the longest texts that there can be."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import PAGES, Open, Site, paths_of

WIDTHS = (320, 390, 768, 1280)
"""CSS pixels: a small phone, a phone, a tablet, a desktop."""
EDGE = 6
"""Pixels that a text keeps from the border of its card at least."""
STRETCH = """() => {
    const longest = {
        'time': '59 minutes ago',
        'table .amount, .cube .amount': '21,000,000.00000000',
        '.plus .amount, .minus .amount': '+21,000,000.00000000',
        '.facts dd:nth-of-type(1) .amount, .huge .amount, dd > .amount': '21,000,000.00000000',
        '.huge a, .cube strong, .when a, .tabular': '99,999,999',
        '.rows td.num:nth-child(3):not(:last-child)': '999,999',
        '.rows td.num:nth-child(4):not(:last-child)': '100,000',
        '.when > .soft:only-child': '12,345 → 12,345',
        '.cube:not(.next) span:nth-of-type(1)': '12,345 tx',
        '.cube span:nth-of-type(2)': '100.0 % full',
        '.cube span:nth-of-type(3)': '123,456,789 sat fees',
        '.cube:not(.next) span:nth-of-type(4)': 'WWWWWWWWWWWWWWWWWWWW',
        '.cube.next span:nth-of-type(4)': '12,345.67–12,345.67 sat/vB',
        '.node-name': 'WWWWWWWWWWWWWWWWWWWW',
        '.net': 'regtest',
        '#state .words': 'offline',
        '.bands tbody th': '1,000+',
        '.bands tbody td:nth-child(3)': '999.99 kvB',
        '.bands tbody td:nth-child(4)': '50,000',
        '.estimates tbody th': '1,008 blocks',
        '.estimates tbody td': 'not enough data',
        '.peers h2': '[2001:db8:1111:2222:3333:4444:5555:6666]:65535',
        '.pairs dd': '59 minutes ago',
        '.agent': '/a-long-agent-of-a-peer:1.2.3(without-a-space-where-its-text-could-be-broken)/'.repeat(3),
        '.facts dd.soft': '999.99 kvB, 21,000,000.00000000 in fees',
        'svg.forks .height': '99,999,999',
    };
    for (const [where, text] of Object.entries(longest)) {
        for (const element of document.querySelectorAll(where)) {
            if (element.closest('.hidden')) continue;
            element.removeAttribute('datetime');  // or its words would be put right again
            element.textContent = text;
        }
    }
    for (const details of document.querySelectorAll('details')) details.open = true;
}"""
MEASURE = """(edge) => {
    const wrong = [];
    const width = innerWidth;
    const name = (element) => element.tagName.toLowerCase() + [...element.classList].map((c) => '.' + c).join('');
    const tell = (what, element, text) => wrong.push(`${what}: ${name(element)} ${(text ?? '').trim().slice(0, 40)}`);
    // The tree of blocks may be wider than its card, and is scrolled there; commands are too. A stranger's
    // text in the drawing of a transaction is whole among its scripts.
    const isAway = (head) => head && getComputedStyle(head).position === 'absolute';
    const free = (element) => isAway(element.closest('thead')) ||
        element.closest('svg, .scroll, pre, input, textarea, .hidden, .skip, [hidden], .who:has(q)');
    if (document.documentElement.scrollWidth > width) wrong.push(`page: ${document.documentElement.scrollWidth}`);
    for (const element of document.body.querySelectorAll('*')) {
        if (free(element) || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        if (style.overflowX !== 'visible' && element.scrollWidth > element.clientWidth + 1) tell('cut', element);
        if (style.overflowY === 'hidden' && element.scrollHeight > element.clientHeight + 1) tell('cut below', element);
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode, parent = text.parentElement;
        if (!text.data.trim() || free(parent) || !parent.checkVisibility()) continue;
        let block = parent;
        while (/^(inline|contents)/.test(getComputedStyle(block).display)) block = block.parentElement;
        const card = parent.closest('.cube, .facts > div, .grid > div, .card, .note, details.more, .notice');
        const range = document.createRange();
        range.selectNodeContents(text);
        const inside = block.getBoundingClientRect(), around = card?.getBoundingClientRect();
        for (const box of range.getClientRects()) {
            if (!box.width) continue;
            if (box.left < -1 || box.right > width + 1) tell('outside', parent, text.data);
            else if (box.left < inside.left - 1 || box.right > inside.right + 1) tell('overflows', block, text.data);
            else if (around && (box.left < around.left + edge || box.right > around.right - edge)) {
                tell('at the edge', card, text.data);
            } else continue;
            break;
        }
    }
    for (const text of document.querySelectorAll('svg.forks text')) {
        const box = text.getBBox();
        const isCut = box.x < 0 || box.x + box.width > text.ownerSVGElement.viewBox.baseVal.width;
        if (isCut) tell('cut', text, text.textContent);
    }
    const tab = document.querySelector('nav [aria-current="page"]');
    if (tab) {
        const box = tab.getBoundingClientRect();
        const seen = document.elementFromPoint(box.left + 2, box.top + box.height / 2) === tab &&
            document.elementFromPoint(box.right - 2, box.top + box.height / 2) === tab;
        if (box.left < 0 || box.right > width || !seen) tell('hidden tab', tab, tab.textContent);
    }
    return wrong;
}"""


def flaws(page: Page) -> dict[str, list[str]]:
    """What is cut, by scheme and width: as the page is, and with the longest texts."""
    found = {}
    for is_stretched in (False, True):
        if is_stretched:
            page.evaluate(STRETCH)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate("scrollTo(0, 0)")
                if wrong := page.evaluate(MEASURE, EDGE):
                    found[f"{'longest, ' * is_stretched}{scheme} {width}"] = wrong[:8]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_at_any_width(shared: Site, opened: Open, name: str) -> None:
    page = opened(shared).open(shared, paths_of(shared.scene)[name])
    page.wait_for_load_state("load")
    assert flaws(page) == {}


def test_what_is_cut_is_found(shared: Site, opened: Open) -> None:
    """The measure itself: a row that is too long for its card, a tab that is pushed out of the window."""
    page = opened(shared).open(shared, "mempool")
    page.evaluate("document.querySelector('h1').textContent = 'W'.repeat(200)")
    assert any("outside" in line for line in page.evaluate(MEASURE, EDGE))
    page.reload()
    page.evaluate("document.querySelector('.facts dd').textContent = 'W'.repeat(40)")
    page.evaluate("document.querySelector('.facts dd').style.overflowWrap = 'normal'")
    assert any("overflows" in line for line in page.evaluate(MEASURE, EDGE))
    page.reload()
    page.evaluate("document.querySelector('nav ul').style.marginLeft = '-40rem'")
    assert any("hidden tab" in line or "outside" in line for line in page.evaluate(MEASURE, EDGE))
