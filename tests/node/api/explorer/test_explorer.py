"""The explorer's pages over real HTTP: what they show, what they refuse, what strangers cannot do with them."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from chain.address import encode_address
from chain.hashes import sha256, to_hex
from chain.scripttype import ScriptType
from chain.tx import TxOut
from tests.chainlab import Lab, coinbase_input, lock, pay, reblock
from tests.node.api.conftest import MakeDesk
from tests.node.api.desk import Desk, Reply

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HOSTILE = b"<script>alert(1)</script>{{7*7}}"
UNKNOWN = "ab" * 32
PAGES = ("", "mempool", "forks", "charts", "peers", "search", "block/5", "block/0")


def page(desk: Desk, path: str, status: int = 200) -> str:
    """The text of a page."""
    reply = desk.get(f"/explorer/{path}")
    assert reply.status == status, reply.text
    assert reply.type == "text/html; charset=utf-8"
    return reply.text


def words(html: str) -> str:
    """A page without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.partition("<main")[2]).split())


def block_hash(lab: Lab, height: int) -> str:
    return to_hex(lab.blocks[height - 1].hash)


def follow(desk: Desk, path: str) -> str:
    """Where a page leads."""
    reply = desk.get(f"/explorer/{path}")
    assert reply.status == 302, reply.text
    return reply.headers["location"]


# what every page has


@pytest.mark.parametrize("path", [*PAGES, "nowhere", f"tx/{UNKNOWN}"])
def test_every_answer_is_guarded(shared: Desk, path: str) -> None:
    reply = shared.get(f"/explorer/{path}")
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_nothing_that_the_policy_forbids(shared: Desk, path: str) -> None:
    reply = shared.get(f"/explorer/{path}")
    html = shared.get(reply.headers["location"]).text if reply.status == 302 else reply.text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    assert not re.search(r'(?:src|href|action)="(?!/|#)', html)


@pytest.mark.parametrize("path", PAGES)
def test_each_page_has_landmarks_and_one_heading(shared: Desk, path: str) -> None:
    reply = shared.get(f"/explorer/{path}")
    html = shared.get(reply.headers["location"]).text if reply.status == 302 else reply.text
    for landmark in ("<header", "<nav", "<main", "<footer", 'role="search"', 'class="skip"', '<html lang="en">'):
        assert landmark in html
    assert len(re.findall("<h1", html)) == 1


def test_pages_and_the_api_lead_to_each_other(shared: Desk) -> None:
    assert '<a href="/docs">API</a>' in page(shared, "")
    docs = shared.get("/docs").text
    for end in ("", "mempool", "forks", "charts", "peers"):
        assert f'href="/explorer/{end}"' in page(shared, "")
        assert f'href="/explorer/{end}"' in docs


def test_browsers_find_the_icon_without_the_explorer(shared: Desk) -> None:
    reply = shared.get("/favicon.ico")
    assert (reply.status, reply.type, reply.body[:4]) == (200, "image/x-icon", b"\0\0\1\0")
    assert reply.headers["cache-control"] == "public, max-age=86400"
    assert shared.request("HEAD", "/favicon.ico").status == 200


def test_head_is_get_without_a_body(shared: Desk) -> None:
    head, whole = shared.request("HEAD", "/explorer/mempool"), shared.get("/explorer/mempool")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))


def test_the_root_and_a_missing_slash_lead_to_the_pages(shared: Desk) -> None:
    assert shared.get("/").headers["location"] == "/explorer/"
    assert shared.get("/explorer").headers["location"].endswith("/explorer/")


def test_static_files_are_kept_for_ever_under_their_version(shared: Desk) -> None:
    link = re.search(r'href="(/explorer/static/explorer\.css\?v=[0-9a-f]{12})"', page(shared, ""))
    assert link
    reply = shared.get(link[1])
    assert (reply.status, reply.type.split(";")[0]) == (200, "text/css")
    assert reply.headers["cache-control"] == "public, immutable, max-age=31536000"
    assert shared.get("/explorer/static/../site.py").status == 404
    assert shared.get("/explorer/static/%2e%2e/site.py").status == 404


def test_nothing_takes_a_post(shared: Desk) -> None:
    assert shared.request("POST", "/explorer/", b"").status == 404


def test_flask_comes_with_the_first_page_only() -> None:
    program = "import sys, node.daemon, node.api.app; print('flask' in sys.modules, 'jinja2' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


# pages


def test_the_overview_shows_the_tip_and_what_waits(desk: Desk, lab: Lab) -> None:
    tx = pay(lab.take(), fee=3_000)
    desk.pool(tx)
    html = page(desk, "")
    assert f"/explorer/block/{block_hash(lab, 112)}" in html
    assert to_hex(tx.txid) in html
    assert "Latest block 112" in words(html)
    assert "1 unconfirmed" in words(html)


def test_a_block_shows_all_its_facts(shared: Desk, lab: Lab) -> None:
    text = words(page(shared, f"block/{block_hash(lab, 112)}"))
    block = lab.blocks[111]
    assert "Block 112" in text
    assert f"Size {block.size:,} bytes" in text
    assert f"Weight {block.weight:,} units" in text
    # An odd one: each of the three splits leaves a fee, and 112 is below the first halving.
    fees = block.txs[0].outputs[0].value - 50 * 10**8
    assert f"50.00000000 new + 0.{fees:08d} fees" in text
    assert f"{block.header.merkle_root[::-1].hex()}" in text
    assert f"0x{block.header.nonce:08x}" in text
    assert all(to_hex(tx.txid)[:8] in text for tx in block.txs)


def test_blocks_lead_to_their_neighbours(shared: Desk, lab: Lab) -> None:
    html = page(shared, f"block/{block_hash(lab, 50)}")
    assert f'rel="prev" href="/explorer/block/{block_hash(lab, 49)}"' in html
    assert f'rel="next" href="/explorer/block/{block_hash(lab, 51)}"' in html
    assert follow(shared, "block/50") == f"/explorer/block/{block_hash(lab, 50)}"


def test_a_block_of_many_is_paged(desk: Desk, lab: Lab) -> None:
    txs = [pay([coin]) for coin in lab.take(ScriptType.P2WPKH, 55)]
    desk.give([lab.mine(txs)])
    seen = []
    for start in (0, 25, 50):
        html = page(desk, f"block/{to_hex(lab.tip.hash)}?start={start}")
        seen += re.findall(r'data-key="([0-9a-f]{64})"', html)
        assert f"start={start + 25}" in html or start == 50
    assert seen == [to_hex(tx.txid) for tx in lab.blocks[-1].txs]
    assert "ends before position 75" in words(page(desk, f"block/{to_hex(lab.tip.hash)}?start=75"))


def test_a_stale_block_says_so_and_keeps_its_transactions(desk: Desk, lab: Lab) -> None:
    other = lab.copy()
    tx = pay(other.take(), fee=2_000)
    stale = other.mine([tx], extra_nonce=1)
    desk.give([stale])
    desk.give([lab.mine(), lab.mine()])
    html = page(desk, f"block/{to_hex(stale.hash)}")
    text = words(html)
    assert "not part of the chain" in text
    assert "left the best chain at block 112" in text
    assert f"In its place: {block_hash(lab, 113)[:8]}" in text
    assert "Confirmations none" in text
    link = re.search(rf'href="(/explorer/(tx/{to_hex(tx.txid)}\?block=[0-9a-f]{{64}}))"', html)
    assert link
    assert "in a stale block" in words(page(desk, link[2]))
    # Back in the mempool, as the best chain does not have it.
    assert "unconfirmed" in words(page(desk, f"tx/{to_hex(tx.txid)}"))


def test_a_transaction_shows_where_coins_come_from_and_go(desk: Desk, lab: Lab) -> None:
    coins = lab.take(ScriptType.P2WPKH, 2)
    tx = pay(coins, [TxOut(1_000_000, lock(ScriptType.P2TR, 4)), TxOut(2_345_678, lock(number=1))], fee=0)
    desk.give([lab.mine([tx], fees=0)])
    html = page(desk, f"tx/{to_hex(tx.txid)}")
    text = words(html)
    fee = sum(coin.value for _, coin in coins) - 3_345_678
    assert f"{fee:,} sat" in text
    assert "1 confirmation" in text
    assert encode_address(lock(ScriptType.P2TR, 4)) in html
    assert "0.01" in text
    assert "0.02345678" in text
    assert html.count('<path class="in"') == 2
    assert html.count('<path class="out"') == 2
    assert html.count('<path class="fee"') == 1
    source = to_hex(coins[0].point[:32])
    assert f"/explorer/tx/{source}#output-" in html
    assert f"/explorer/tx/{to_hex(tx.txid)}#input-0" in page(
        desk, f"tx/{source}?outputs={int.from_bytes(coins[0].point[32:], 'little')}"
    )
    assert tx.raw.hex() in html


def test_an_address_has_its_balance_history_and_coins(desk: Desk, lab: Lab) -> None:
    script = lock(ScriptType.P2WPKH, 11)
    address = encode_address(script)
    before = page(desk, f"address/{address}")
    [coin] = lab.take()
    desk.pool(pay([coin], [TxOut(700_000, script), TxOut(coin.coin.value - 701_000, lock())]))
    html = page(desk, f"address/{address}")
    assert "unconfirmed" not in words(before)
    assert "1 unconfirmed +0.007" in words(html)
    assert 'class="qr-ink"' in html
    assert page(desk, f"script/{sha256(script).hex()}").count('data-key="') == html.count('data-key="')


def test_a_history_is_paged_without_gaps_while_blocks_come(desk: Desk, lab: Lab) -> None:
    script = lock(ScriptType.P2WPKH, 9)
    address = encode_address(script)
    txs = [pay([coin], [TxOut(coin.coin.value - 1_000, script)]) for coin in lab.take(ScriptType.P2WPKH, 58)]
    desk.give([lab.mine(txs[:30]), lab.mine(txs[30:])])
    whole = [row["txid"] for row in history(desk, address)]
    seen: list[str] = []
    path: str | None = f"address/{address}"
    while path:
        html = page(desk, path)
        rows = html.partition('id="history"')[2].partition("<h2")[0]
        seen += re.findall(r'<tr data-key="([0-9a-f]{64})"', rows)
        older = re.search(r'rel="next" href="/explorer/([^"]*after=[0-9a-f]{64})"', rows)
        path = older[1] if older else None
        desk.give([lab.mine(script=script)])
    assert seen == whole
    assert "is not in this history" in words(page(desk, f"address/{address}?after={UNKNOWN}"))


def history(desk: Desk, address: str) -> list[dict[str, str]]:
    """All of an address's transactions, as the API has them."""
    rows = desk.get(f"/address/{address}/txs").json()
    while more := desk.get(f"/address/{address}/txs/chain/{rows[-1]['txid']}").json():
        rows += more
    return list(rows)


def test_the_mempool_by_fee_rate(desk: Desk, lab: Lab) -> None:
    cheap, dear = (
        pay([coin], fee=fee) for coin, fee in zip(lab.take(ScriptType.P2WPKH, 2), (200, 20_000), strict=True)
    )
    desk.pool(dear, cheap)
    newest, best = (
        re.findall(r'<tr data-key="([0-9a-f]{64})"', page(desk, f"mempool{query}"))
        for query in ("", "?order=best-paid")
    )
    assert newest == [to_hex(cheap.txid), to_hex(dear.txid)]
    assert best == newest[::-1]
    assert re.search(r"150–200 \d+ vB 1 .* 1–2 \d+ vB 1", words(page(desk, "mempool")))


def test_all_branches_are_drawn(desk: Desk, lab: Lab) -> None:
    other = lab.copy()
    side = [other.mine(extra_nonce=1), other.mine(extra_nonce=2)]
    desk.give(side)
    desk.give([lab.mine() for _ in range(3)])
    html = page(desk, "forks")
    drawn = dict(
        re.findall(r'href="/explorer/block/([0-9a-f]{64})" data-key="[0-9a-f]+" class="node (\S+?)["\s]', html)
    )
    assert {drawn[to_hex(block.hash)] for block in side} == {"stale"}
    assert {drawn[block_hash(lab, height)] for height in range(92, 116)} == {"best"}
    assert len(drawn) == 26
    assert "2 blocks after block 112" in words(html)
    assert "Reorganisations since the node started 1, the deepest of 2 blocks" in words(html)


def test_a_reorganisation_is_told_between_two_tips(desk: Desk, lab: Lab) -> None:
    other = lab.copy()
    left = other.mine(extra_nonce=1)
    desk.give([left])
    came = [lab.mine(), lab.mine()]
    desk.give(came)
    reply = desk.get(f"/explorer/reorg?from={to_hex(left.hash)}&to={to_hex(came[1].hash)}")
    assert "Reorganisation, 1 block deep" in words("<main" + reply.text)
    assert all(to_hex(block.hash) in reply.text for block in (left, *came))
    straight = desk.get(f"/explorer/reorg?from={to_hex(came[0].hash)}&to={to_hex(came[1].hash)}")
    assert (straight.status, straight.body) == (204, b"")


def test_the_pulse_beats_with_blocks_and_payments(desk: Desk, lab: Lab) -> None:
    def pulse() -> dict[str, object]:
        return dict(desk.get("/explorer/pulse").json())

    first = pulse()
    assert first == {"tip": block_hash(lab, 112), "height": 112, "blocks": 113, "mempool": "0:0:0"}
    desk.pool(pay(lab.take()))
    second = pulse()
    assert second["mempool"] != first["mempool"]
    desk.give([lab.mine()])
    assert pulse() == {"tip": block_hash(lab, 113), "height": 113, "blocks": 114, "mempool": second["mempool"]}


@pytest.mark.parametrize("path", ["", "mempool", "forks", "charts", "peers"])
def test_a_live_part_is_what_the_page_has(shared: Desk, path: str) -> None:
    part = shared.get(f"/explorer/fragments/{path}").text
    assert "<html" not in part

    def bare(text: str) -> str:
        # How long ago something was goes on between the two.
        return re.sub(r"<(time|dd|text|p)\b.*?</\1>", "", text, flags=re.DOTALL).strip()

    assert bare(part) in bare(page(shared, path))


# search


def test_search_leads_to_what_is_meant(shared: Desk, lab: Lab) -> None:
    tip, txid = block_hash(lab, 112), to_hex(lab.blocks[111].txs[1].txid)
    address, script = encode_address(lock()), sha256(lock()).hex()
    assert address
    for query, path in {
        "112": f"block/{tip}",
        "%23112": f"block/{tip}",
        "++112%0A": f"block/{tip}",
        "0112": f"block/{tip}",
        "(112),": f"block/{tip}",
        f"bitcoin:{address}": f"address/{address}",
        f"bitcoin:{address}%3Famount=0.5%26label=112": f"address/{address}",
        f"BITCOIN:{address.upper()}%3FAMOUNT=0.5": f"address/{address}",
        f"bitcoin://{address}": f"address/{address}",
        tip: f"block/{tip}",
        tip.upper(): f"block/{tip}",
        f"{tip[:30]}+{tip[30:]}": f"block/{tip}",
        txid: f"tx/{txid}",
        f"{txid}:1": f"tx/{txid}",
        address: f"address/{address}",
        address.upper(): f"address/{address}",
        script: f"script/{script}",
        f"{tip[:8]}%E2%80%A6{tip[-8:]}": f"block/{tip}",
    }.items():
        assert follow(shared, f"search?q={query}") == f"/explorer/{path}", query


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 200, "What you can search for"),
        ("113", 404, "The chain ends at block 112"),
        (UNKNOWN, 404, "No block, transaction or script"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", 404, "another Bitcoin network"),
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", 404, "its checksum does not match"),
        ("bitcoin:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", 404, "its checksum does not match"),
        ("bitcoin:5", 404, "not a valid address"),
        ("bitcoin:%3Famount=5", 404, "not a valid address"),
        ("bitcoin:tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", 404, "another Bitcoin network"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", 404, "&lt;script&gt;"),
        ("x" * 5_000, 404, "Nothing found"),
        ("%00%ff%E2%80%AE", 404, "Nothing found"),
        ("%D9%A1%D9%A2", 404, "Nothing found"),
    ],
)
def test_search_says_what_there_is_where_nothing_fits(shared: Desk, query: str, status: int, says: str) -> None:
    html = page(shared, f"search?q={query}", status)
    assert says in words(html)
    assert "<script>" not in html


@pytest.mark.parametrize(
    "query",
    [
        "0.5", "1.5", "5.0", ".5", "5.", "1,5", "1.000", "1,12", "1 12", "5e0", "5E1", "-5", "+5", "0x5", "0b1", "5/1",
        "5:5", "5%", "5+5", "#-5", "##5", "5#", "1__12", "5 blocks", "NaN", "9" * 200, "9" * 20, "4294967301",
        "18446744073709551621", "1,000.000", "1,0000", ",112,1", "\N{MINUS SIGN}5", "\N{ARABIC-INDIC DIGIT FIVE}",
        "\N{FULLWIDTH DIGIT FIVE}", "\N{SUPERSCRIPT TWO}", "\N{ROMAN NUMERAL FIVE}",
    ],
)  # fmt: skip
def test_what_is_no_height_opens_no_block(shared: Desk, query: str) -> None:
    assert "Nothing found" in words(page(shared, f"search?q={quote(query)}", 404))


def test_heights_may_have_their_thousands_apart(make_desk: MakeDesk) -> None:
    lab = Lab()
    desk = make_desk()
    desk.give([lab.mine() for _ in range(1_002)])
    for sign in (",", "_", "'", "\N{RIGHT SINGLE QUOTATION MARK}", " ", "\N{NO-BREAK SPACE}", "\N{THIN SPACE}"):
        assert follow(desk, f"search?q={quote(f'1{sign}001')}") == f"/explorer/block/{block_hash(lab, 1_001)}"


def test_digits_above_the_tip_do_not_lead_to_a_hash_that_has_them(desk: Desk, lab: Lab) -> None:
    """Who looks for block 7312 is not taken to another block because its hash begins so."""

    def by_digits() -> list[str]:
        return [name for block in lab.blocks if (name := to_hex(block.hash))[:4].isdigit() and name[0] != "0"]

    while not by_digits():
        desk.give([lab.mine()])
    text = words(page(desk, f"search?q={by_digits()[0][:4]}"))
    assert f"There is no block {by_digits()[0][:4]} yet" in text
    assert f"Block {lab.blocks.index(next(b for b in lab.blocks if to_hex(b.hash) == by_digits()[0])) + 1}" in text


def test_a_piece_that_several_hashes_have_asks_which(desk: Desk, lab: Lab) -> None:
    def shared_by() -> list[str]:
        names = [to_hex(block.hash) for block in lab.blocks]
        heads = [name[:4] for name in names]
        return [name for name in names if heads.count(name[:4]) > 1]

    while not shared_by():
        desk.give([lab.mine()])
    several = shared_by()
    html = page(desk, f"search?q={several[0][:4]}*")
    assert "Which one?" in html
    assert set(re.findall(r"/explorer/block/([0-9a-f]{64})", html)) == set(several)


# strangers


def test_texts_of_strangers_stay_texts(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    tx = pay([coin], [TxOut(coin.coin.value - 1_000, lock()), TxOut(0, b"\x6a" + bytes((len(HOSTILE),)) + HOSTILE)])
    block = lab.candidate([tx])
    head = block.txs[0].inputs[0].script_sig[:3]
    block = reblock(block, (coinbase_input(block.txs[0], head + HOSTILE), *block.txs[1:]))
    desk.give([block])
    for path in (f"tx/{to_hex(tx.txid)}", f"block/{to_hex(block.hash)}", f"tx/{to_hex(block.txs[0].txid)}"):
        html = page(desk, path)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in html
        assert "<script>" not in html


@pytest.mark.parametrize(
    "path",
    [
        "block/%3Cscript%3E",
        "tx/zz",
        "address/%22%3E%3Cimg%20src=x%3E",
        "script/12",
        "block/" + "9" * 19,
        "block/-1",
        "tx/" + "a" * 3_000,
        "reorg?from=%3C&to=1",
        "fragments/tx/zz",
        "%00",
        "a/b/c",
        "block/5/5",
    ],
)
def test_bad_paths_get_a_page_that_helps(shared: Desk, path: str) -> None:
    reply = shared.get(f"/explorer/{path}")
    assert reply.status in (400, 404)
    assert "<h1>" in reply.text
    assert "<script>" not in reply.text
    assert "<img" not in reply.text


# states of the node


def test_a_fresh_chain_says_how_to_mine(make_desk: MakeDesk) -> None:
    desk = make_desk()
    text = words(page(desk, ""))
    assert "A fresh chain" in text
    assert "generatetoaddress" in text
    assert "The mempool is empty" in text
    for path in ("mempool", "forks", "charts", "peers", "block/0"):
        assert desk.get(f"/explorer/{path}").status in (200, 302)


def test_without_index_pages_say_what_is_missing(make_desk: MakeDesk, lab: Lab) -> None:
    desk = make_desk(index=False)
    desk.give(lab.blocks)
    tx = pay(lab.take())
    desk.pool(tx)
    for path in (f"address/{encode_address(lock())}", f"script/{'ab' * 32}", f"tx/{UNKNOWN}"):
        assert "--no-index" in words(page(desk, path, 400))
    assert "unconfirmed" in words(page(desk, f"tx/{to_hex(tx.txid)}"))
    listed = to_hex(lab.blocks[111].txs[1].txid)
    assert "confirmation" in words(page(desk, f"tx/{listed}?block={block_hash(lab, 112)}"))
    assert "--no-index" in words(page(desk, f"search?q={UNKNOWN}", 404))


def test_a_starting_node_has_a_page_that_tries_again(make_desk: MakeDesk) -> None:
    desk = make_desk(admit=False)
    reply: Reply = desk.get("/explorer/")
    assert (reply.status, reply.headers["retry-after"]) == (503, "2")
    assert "The node is starting" in reply.text
    assert '<meta http-equiv="refresh" content="2">' in reply.text
    style = re.search(r'href="(/explorer/static/explorer\.css[^"]*)"', reply.text)
    assert style
    assert desk.get(style[1]).status == 200


def test_the_files_are_in_the_package() -> None:
    folder = Path(__file__).parents[4] / "node" / "api" / "explorer"
    assert {path.suffix for path in (folder / "static").iterdir()} == {".css", ".ico", ".js", ".svg"}


# what a list says of a transaction and a block


def amounts(html: str, txid: str) -> list[str]:
    """The amounts in a transaction's row."""
    row = html.partition(f'<tr data-key="{txid}"')[2].partition("</tr>")[0]
    parts = re.findall(r'<span class="part[^"]*">(.*?)</span>\s*(?=<span class="part|</td)', row)
    return [re.sub("<[^>]*>", "", part) for part in parts]


def test_change_to_the_same_script_is_no_payment(desk: Desk, lab: Lab) -> None:
    [coin] = lab.take()
    rest = coin.coin.value - 600_000 - 1_000
    tx = pay([coin], [TxOut(600_000, lock(ScriptType.P2TR, 7)), TxOut(rest, coin.coin.script)])
    desk.pool(tx)
    for path in ("", "mempool"):
        assert amounts(page(desk, path), to_hex(tx.txid)) == ["0.00600000"]


def test_what_may_be_change_is_shown_beside_the_payment(desk: Desk, lab: Lab) -> None:
    """Change to a fresh address cannot be told from a payment, so neither is hidden behind a sum."""
    [coin] = lab.take()
    rest = coin.coin.value - 600_000 - 1_000
    tx = pay([coin], [TxOut(600_000, lock(ScriptType.P2TR, 7)), TxOut(rest, lock(ScriptType.P2TR, 8))])
    desk.pool(tx)
    assert amounts(page(desk, ""), to_hex(tx.txid)) == ["0.00600000", f"{rest / 10**8:.8f}"]


def test_a_payment_to_many_is_their_sum_and_one_to_itself_says_so(desk: Desk, lab: Lab) -> None:
    many, itself = lab.take(ScriptType.P2WPKH, 2)
    outputs = [TxOut(10_000 * n, lock(ScriptType.P2TR, n)) for n in range(1, 5)]
    first = pay([many], [*outputs, TxOut(many.coin.value - 101_000, many.coin.script)])
    second = pay([itself], [TxOut(itself.coin.value - 1_000, itself.coin.script)])
    desk.pool(first, second)
    html = page(desk, "")
    assert amounts(html, to_hex(first.txid)) == ["0.00100000", "in 4 outputs"]
    assert amounts(html, to_hex(second.txid))[-1] == "to itself"


def test_blocks_show_how_full_they_are_their_fees_and_their_miner(make_desk: MakeDesk) -> None:
    desk = make_desk(name="node 7")
    address = encode_address(lock())
    desk.rpc("generatetoaddress", 2, address)
    html = page(desk, "")
    assert words(html).count("node 7") >= 2
    assert "0 sat fees" in words(html)
    assert "% full" in words(html)
    tip = desk.rpc("getbestblockhash")
    assert "Miner node 7 by the tag in its coinbase" in words(page(desk, f"block/{tip}"))
    assert "/node 7/" in page(desk, f"block/{tip}")


def test_fees_are_those_that_the_miner_took(desk: Desk, lab: Lab) -> None:
    fees = lab.blocks[111].txs[0].outputs[0].value - 50 * 10**8
    assert fees > 0
    assert f"{fees:,} sat fees" in words(page(desk, ""))


def test_every_page_says_which_node_it_is(make_desk: MakeDesk, shared: Desk) -> None:
    desk = make_desk(name="node 7")
    for path in ("", "mempool", "forks", "charts", "peers", "search"):
        html = page(desk, path)
        assert '<span class="node-name" title="The node that serves this page">node 7</span>' in html
        assert re.search(r"<title>[^<]* · node 7 · groat regtest</title>", html)
    assert ">node 7<" in desk.get("/docs").text
    # Without a name it is where it was asked.
    assert f">127.0.0.1:{shared.port}<" in page(shared, "peers")


def test_the_next_block_is_projected(desk: Desk, lab: Lab) -> None:
    assert "Next block no transactions yet" in words(page(desk, ""))
    txs = [pay([coin], fee=fee) for coin, fee in zip(lab.take(ScriptType.P2WPKH, 2), (200, 20_000), strict=True)]
    desk.pool(*txs)
    assert "Next block 2 tx &lt; 0.1 % full 20,200 sat fees 1–200 sat/vB" in words(page(desk, ""))


def test_an_unknown_estimate_is_no_number(shared: Desk) -> None:
    text = words(page(shared, "mempool"))
    assert "1 block not enough data" in text
    assert "Minimum fee rate 1 sat/vB" in text


def test_suggestions_are_few_and_lead_to_pages(shared: Desk, lab: Lab) -> None:
    found = shared.get("/explorer/suggest?q=11").json()
    assert [hit["words"] for hit in found] == ["Block 11", "Block 110", "Block 111", "Block 112"]
    assert found[3]["path"] == f"/explorer/block/{block_hash(lab, 112)}"
    tip = block_hash(lab, 112)
    assert shared.get(f"/explorer/suggest?q={tip[:10]}").json()[0]["name"] == tip
    assert len(shared.get("/explorer/suggest?q=1").json()) == 8
    for nothing in ("", "0.5", "zzz", "%00", "x" * 5_000, "-1", "9" * 100):
        assert shared.get(f"/explorer/suggest?q={nothing}").json() == []
