"""What a page does while it is open: it follows the node, by its stream or by asking, without being loaded again."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from chain.hashes import to_hex
from chain.scripttype import ScriptType
from node.api.services.event_feed import HOST_FOLLOWERS_MAX
from tests.browser.conftest import WAIT_MS, Open, Site
from tests.chainlab import lock
from tests.sse import Follower


@contextmanager
def following(site: Site, how: str) -> Iterator[None]:
    """`stream`: as it is; `polling`: others have taken all streams of this address, so that a page gets none."""
    with ExitStack() as stack:
        for _ in range(HOST_FOLLOWERS_MAX if how == "polling" else 0):
            stack.enter_context(closing(Follower(site.cluster.nodes[0].api_port)))
        yield


def await_state(page: Page, how: str) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", {"stream": "live", "polling": "polls"}[how])


def await_held(page: Page, held: list[tuple[Route, APIResponse]]) -> None:
    """Until the node has answered a request whose answer the page is not given yet."""
    for _ in range(WAIT_MS):
        if held:
            return
        page.wait_for_timeout(1)  # the handler's turn
    raise AssertionError("no request was held")


@pytest.mark.parametrize("how", ["stream", "polling"])
def test_a_new_block_appears_by_itself(site: Site, opened: Open, how: str) -> None:
    window = opened(site)
    with following(site, how):
        page = window.open(site)
        await_state(page, how)
        block = site.scene.next_block()
        site.rpc("submitblock", block.raw.hex())
        expect(page.locator(".tip .huge")).to_have_text(str(site.scene.lab.height))
        expect(page.locator(".strip li").first).to_have_attribute("data-key", to_hex(block.hash))
        expect(page.locator("#spoken")).to_contain_text(f"Height {site.scene.lab.height}")
        expect(page.locator("[data-height]")).to_have_text(f"Height {site.scene.lab.height}")
    assert window.reloads == 1


def test_news_while_the_page_is_being_brought_up_to_date_is_not_lost(site: Site, opened: Open) -> None:
    """The node has answered for the first block, the answer is on its way, and there is a second one."""
    page = opened(site).open(site)
    await_state(page, "stream")
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/fragments/**", lambda route: held.append((route, route.fetch())), times=1)
    with page.expect_request("**/fragments/**"):
        site.rpc("submitblock", site.scene.next_block().raw.hex())
    await_held(page, held)
    second = site.scene.next_block()
    site.rpc("submitblock", second.raw.hex())
    expect(page.locator("[data-height]")).to_have_text(f"Height {site.scene.lab.height}")
    [(route, answer)] = held
    route.fulfill(response=answer)
    expect(page.locator(".strip li").first).to_have_attribute("data-key", to_hex(second.hash))


def test_an_answer_that_the_stream_has_overtaken_does_not_take_the_page_back(site: Site, opened: Open) -> None:
    window = opened(site)
    held: list[tuple[Route, APIResponse]] = []
    window.page.route("**/pulse", lambda route: held.append((route, route.fetch())), times=1)
    page = window.open(site)
    await_state(page, "stream")
    await_held(page, held)
    block = site.scene.next_block()
    site.rpc("submitblock", block.raw.hex())
    height = page.locator("[data-height]")
    expect(height).to_have_text(f"Height {site.scene.lab.height}")
    [(route, answer)] = held
    with page.expect_response("**/pulse"):
        route.fulfill(response=answer)
    expect(page.locator(".strip li").first).to_have_attribute("data-key", to_hex(block.hash))
    expect(height).to_have_text(f"Height {site.scene.lab.height}")
    assert page.locator("#notices .notice").count() == 0


def test_a_page_that_could_not_be_brought_up_to_date_is_tried_again(site: Site, opened: Open) -> None:
    window = opened(site)
    page = window.open(site)
    await_state(page, "stream")
    page.route("**/fragments/**", lambda route: route.fulfill(status=429, body="later"), times=1)
    block = site.scene.next_block()
    site.rpc("submitblock", block.raw.hex())
    expect(page.locator(".strip li").first).to_have_attribute("data-key", to_hex(block.hash))
    window.complaints[:] = [line for line in window.complaints if "429" not in line]


HEAR = """() => {
    window.heard = [];
    const spoken = document.getElementById('spoken');
    new MutationObserver(() => spoken.textContent && heard.push(spoken.textContent)).observe(spoken, {childList: true});
}"""
"""Keeps what a screen reader is given to say."""


def test_blocks_that_come_fast_do_not_chatter(site: Site, opened: Open) -> None:
    window = opened(site)
    window.page.clock.install()
    page = window.open(site)
    await_state(page, "stream")
    page.evaluate(HEAR)
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 60"))
    heights = []
    for _ in range(5):
        block = site.scene.next_block()
        site.rpc("submitblock", block.raw.hex())
        heights.append(f"Height {site.scene.lab.height}")
        expect(page.locator("[data-height]")).to_have_text(heights[-1])
    first, last = f"New block. {heights[0]}", f"New block. {heights[-1]}"
    page.clock.run_for(9_000)
    assert page.evaluate("heard") == [first]
    page.clock.run_for(2_000)
    assert page.evaluate("heard") == [first, last]
    page.clock.run_for(20_000)
    assert page.evaluate("heard") == [first, last]


def test_who_reads_with_the_keyboard_keeps_the_place(site: Site, opened: Open) -> None:
    """The focus stays with its block while others come, and goes to the block beside it when it leaves the list."""
    page = opened(site).open(site)
    await_state(page, "stream")
    strip = page.locator(".strip li")
    last = strip.last.get_by_role("link")
    second = strip.nth(strip.count() - 2).get_attribute("data-key")
    last.focus()
    block = site.scene.next_block()
    site.rpc("submitblock", block.raw.hex())
    expect(strip.first).to_have_attribute("data-key", to_hex(block.hash))
    expect(page.locator(f'.strip li[data-key="{second}"] a')).to_be_focused()


def test_a_row_keeps_the_focus_when_one_before_it_goes(site: Site, opened: Open) -> None:
    scene = site.scene
    stays, coins = scene.payment(), scene.lab.take(ScriptType.P2WPKH)
    goes, comes = scene.conflicting(coins, 2), scene.conflicting(coins, 30)
    site.rpc("sendrawtransaction", stays.raw.hex())
    site.rpc("sendrawtransaction", goes.raw.hex())
    page = opened(site).open(site, "mempool")
    await_state(page, "stream")
    stayed = page.locator(f'tr[data-key="{to_hex(stays.txid)}"]').get_by_role("link").first
    stayed.focus()
    page.evaluate("document.activeElement.addEventListener('blur', () => { window.blurred = true })")
    site.rpc("sendrawtransaction", comes.raw.hex())
    expect(page.locator(f'tr[data-key="{to_hex(comes.txid)}"]')).to_be_visible()
    expect(page.locator(f'tr[data-key="{to_hex(goes.txid)}"]')).to_have_count(0)
    expect(stayed).to_be_focused()
    assert page.evaluate("window.blurred") is None


def test_a_payment_is_followed_from_the_mempool_into_a_block(site: Site, opened: Open) -> None:
    window = opened(site)
    page = window.open(site, "mempool")
    await_state(page, "stream")
    tx = site.scene.payment(to=lock(ScriptType.P2WPKH, 8))
    txid = to_hex(tx.txid)
    assert page.locator(f'tr[data-key="{txid}"]').count() == 0
    site.rpc("sendrawtransaction", tx.raw.hex())
    row = page.locator(f'tr[data-key="{txid}"]')
    expect(row).to_be_visible()
    row.get_by_role("link").first.click()
    badge = page.locator("h1 .badge")
    expect(badge).to_have_text("unconfirmed")
    await_state(page, "stream")
    loaded = window.reloads
    page.get_by_text("Scripts and witnesses").click()
    site.rpc("submitblock", site.scene.next_block([tx]).raw.hex())
    expect(badge).to_have_text("1 confirmation")
    site.rpc("submitblock", site.scene.next_block().raw.hex())
    expect(badge).to_have_text("2 confirmations")
    # What was opened stays open.
    expect(page.locator("details.more").first).to_have_attribute("open", "")
    assert window.reloads == loaded


def test_a_payment_appears_at_its_address(site: Site, opened: Open) -> None:
    window = opened(site)
    page = window.open(site, f"address/{site.scene.address}")
    await_state(page, "stream")
    before = page.locator("h2", has_text="Unconfirmed").inner_text()
    tx = site.scene.payment(to=site.scene.common)
    site.rpc("sendrawtransaction", tx.raw.hex())
    expect(page.locator(f'tr[data-key="{to_hex(tx.txid)}"]').first).to_be_visible()
    assert before
    assert window.reloads == 1


@pytest.mark.parametrize("how", ["stream", "polling"])
def test_a_reorganisation_appears_in_the_tree(site: Site, opened: Open, how: str) -> None:
    window = opened(site)
    with following(site, how):
        page = window.open(site, "forks")
        await_state(page, how)
        scene = site.scene
        other = scene.lab.copy()
        left = scene.next_block()
        site.rpc("submitblock", left.raw.hex())
        expect(page.locator(f'.node.best[data-key="{to_hex(left.hash)}"]')).to_be_visible()
        came = [other.mine(time=int(scene.at) + 1, extra_nonce=5), other.mine(time=int(scene.at) + 2)]
        site.rpc("submitblock", came[0].raw.hex())
        # A branch of the same work is drawn, and not followed.
        expect(page.locator(f'.node.stale[data-key="{to_hex(came[0].hash)}"]')).to_be_visible()
        site.rpc("submitblock", came[1].raw.hex())
        expect(page.locator(f'.node.best[data-key="{to_hex(came[1].hash)}"]')).to_be_visible()
        expect(page.locator(f'.node.stale[data-key="{to_hex(left.hash)}"]')).to_be_visible()
        notice = page.locator("#notices .notice")
        expect(notice).to_contain_text("Reorganisation, 1 block deep")
        expect(notice).to_contain_text("1 block disconnected after block")
        expect(notice).to_contain_text("2 connected")
        notice.get_by_text("Which blocks").click()
        expect(notice.get_by_role("link").first).to_have_attribute("title", to_hex(left.hash))
        # The two of the scene, and this one, which is the newest.
        listed = page.locator(".reorgs > li")
        expect(listed).to_have_count(3)
        expect(listed.first).to_contain_text("1 block disconnected")
        expect(listed.first.get_by_role("link", include_hidden=True).nth(1)).to_have_attribute(
            "title", to_hex(left.hash)
        )
        notice.get_by_role("button", name="Close this notice").click()
        expect(notice).to_have_count(0)
        assert window.reloads == 1


def test_a_replaced_payment_says_so(site: Site, opened: Open) -> None:
    window = opened(site)
    scene = site.scene
    coins = scene.lab.take(ScriptType.P2WPKH)
    first, second = scene.conflicting(coins, 2), scene.conflicting(coins, 30)
    site.rpc("sendrawtransaction", first.raw.hex())
    page = window.open(site, f"tx/{to_hex(first.txid)}")
    await_state(page, "stream")
    site.rpc("sendrawtransaction", second.raw.hex())
    expect(page.get_by_role("heading", level=1)).to_have_text("No such transaction")
    expect(page.locator("main")).to_contain_text("replaced by one that pays a higher fee")
    window.complaints[:] = [line for line in window.complaints if "404" not in line]


def test_a_page_says_when_the_node_is_gone_and_finds_it_again(site: Site, opened: Open) -> None:
    window = opened(site)
    page = window.open(site)
    await_state(page, "stream")
    site.cluster.stop(0)
    expect(page.locator("#state")).to_have_attribute("data-state", "lost")
    site.cluster.start(0)
    block = site.scene.next_block()
    site.rpc("submitblock", block.raw.hex())
    expect(page.locator(".strip li").first).to_have_attribute("data-key", to_hex(block.hash))
    assert window.reloads == 1
    window.complaints.clear()  # of what was asked in vain


def test_ten_pages_share_one_stream(site: Site, opened: Open) -> None:
    """A browser has six connections to a host: with a stream each, the seventh page would never come."""
    window = opened(site)
    pages = [window.page, *(window.context.new_page() for _ in range(9))]
    for page in pages:
        page.goto(site.url("mempool"))
    for page in pages:
        await_state(page, "stream")
    tx = site.scene.payment()
    site.rpc("sendrawtransaction", tx.raw.hex())
    for page in pages:
        expect(page.locator(f'tr[data-key="{to_hex(tx.txid)}"]')).to_be_visible()
