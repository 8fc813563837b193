"""What nodes may answer instead of the truth, as data: each lie with what the wallet has to say to it.

A lie about a query is told to every command that asks, a lie about a payment to every command that
pays. Where nothing is expected in particular the general rules still hold (tests.gateway.matrix).
"""

import gzip
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chain.tx import COIN, MAX_MONEY
from tests.gateway import rules
from tests.gateway.proxy import Answer, Exchange, Raw, Rule

MEGABYTE = 1_000_000
FLOOD_BYTES = 60 * MEGABYTE
PAGE = 25
"""Confirmed transactions on a page of Esplora's."""
QUERY = "/(?!tx$)"
"""Everything but a payment handed over."""
HISTORY = r"/(scripthash|address)/[^/]+/txs"
TXS = rf"{HISTORY}|/tx/[0-9a-f]{{64}}$"
COINS = r"/(scripthash|address)/[^/]+/utxo"
TIP_HASH, TIP_HEIGHT = "/blocks/tip/hash", "/blocks/tip/height"
ESTIMATES = "/fee-estimates|/v1/fees"


@dataclass(frozen=True, slots=True)
class Expect:
    """How a command has to end."""

    codes: tuple[int, ...] = (0, 1)
    error: str = ""
    """A regular expression for its error, if it fails."""


ANYTHING = Expect()
TRUTH = Expect((0,))
MAYBE_SENT = Expect((1,), r"may have been sent")
MAYBE_OR_SENT = Expect((0, 1), r"may have been sent")


def failure(error: str = "") -> Expect:
    """It has to fail, saying so."""
    return Expect((1,), error)


@dataclass(frozen=True, slots=True)
class Lie:
    """One lie. A rule is made anew for each command."""

    name: str
    make: Callable[[], Rule]
    reads: Expect = ANYTHING
    """balance, history, coins; `address` does without a node."""
    pays: Expect = ANYTHING
    slow: bool = False
    """The wallet has to wait for its deadline."""
    unprovable: bool = False
    """Nobody can tell it from the truth by looking at transactions alone."""
    busy: bool = False
    """It is about addresses with more than a page of transactions."""

    def __str__(self) -> str:
        return self.name


def _query(name: str, rule: Rule, reads: Expect = ANYTHING, pays: Expect = ANYTHING, **more: bool) -> Lie:
    return Lie(name, lambda: rules.on(QUERY, rule), reads, pays, **more)


def _at(name: str, pattern: str, rule: Rule, reads: Expect = ANYTHING, pays: Expect = ANYTHING, **more: bool) -> Lie:
    return Lie(name, lambda: rules.on(pattern, rule), reads, pays, **more)


# hardly HTTP

NO_ANSWER = failure("no node answers|takes too long|not ready")
NO_ESPLORA = failure()
CONTROLS = b"\x1b[2J\x1b]0;title\x07\r\nError: all is well\n\x00"
CHUNKED = rules.head("200 OK", "Transfer-Encoding: chunked")


def _bomb() -> bytes:
    return gzip.compress(bytes(FLOOD_BYTES), 9)


def _json_flood(row: bytes) -> Rule:
    count = FLOOD_BYTES // (len(row) + 1)
    return rules.flood(
        lambda: itertools.chain([b"["], itertools.repeat((row + b",") * 1_000, count // 1_000), [row, b"]"]),
        1 + (len(row) + 1) * (count // 1_000) * 1_000 + len(row) + 1,
    )


def _framed(*lines: str, body: bytes = b"[]") -> Rule:
    return rules.raw(rules.head("200 OK", *lines) + body)


HTTP_LIES = (
    _query("no answer", rules.lose_request, NO_ANSWER, NO_ANSWER),
    _query("500", rules.say(500, "internal error"), NO_ESPLORA, NO_ESPLORA),
    _query("404", rules.say(404, "not found"), NO_ESPLORA, NO_ESPLORA),
    _query("401", rules.say(401, "who are you"), NO_ESPLORA, NO_ESPLORA),
    _query("204", rules.say(204), NO_ESPLORA, NO_ESPLORA),
    _query("nothing in it", rules.say(200), NO_ESPLORA, NO_ESPLORA),
    _query("a web page", rules.say(200, "<html>welcome</html>"), NO_ESPLORA, NO_ESPLORA),
    _query("null", rules.say(200, "null"), NO_ESPLORA, NO_ESPLORA),
    _query("an object", rules.say(200, "{}"), NO_ESPLORA, NO_ESPLORA),
    _query("a list", rules.say(200, "[]"), NO_ESPLORA, NO_ESPLORA),
    _query("true", rules.say(200, "true"), NO_ESPLORA, NO_ESPLORA),
    _query("no UTF-8", rules.say(200, b"\xff\xfe\xfd" * 40), NO_ESPLORA, NO_ESPLORA),
    _query("control characters", rules.say(400, CONTROLS), NO_ESPLORA, NO_ESPLORA),
    _query("nested without end", rules.say(200, b"[" * MEGABYTE), NO_ESPLORA, NO_ESPLORA),
    _query("nested objects", rules.say(200, b'{"a":' * 300_000), NO_ESPLORA, NO_ESPLORA),
    _query("a number of a million digits", rules.say(200, b"9" * MEGABYTE), NO_ESPLORA, NO_ESPLORA),
    _query("a longer length", _framed("Content-Length: 5000"), failure(), failure()),
    _query("a shorter length", _framed("Content-Length: 1"), failure(), failure()),
    _query("a negative length", _framed("Content-Length: -5"), failure(), failure()),
    _query("a length in words", _framed("Content-Length: many"), failure(), failure()),
    _query("two lengths", _framed("Content-Length: 2", "Content-Length: 3"), failure(), failure()),
    _query("no HTTP", rules.raw(b"SSH-2.0-OpenSSH_9.6\r\n"), failure(), failure()),
    _query("status 999", rules.raw(rules.head("999 Whatever", "Content-Length: 0")), failure(), failure()),
    _query("chunks of nonsense", rules.raw(CHUNKED + b"zz\r\n[]\r\n0\r\n\r\n"), failure(), failure()),
    _query("a gzip bomb", lambda _: Answer(200, _bomb(), (("Content-Encoding", "gzip"),)), failure(), failure()),
    _query("an endless body", rules.endless(), failure(), failure()),
    _query("endless spaces", rules.endless(b" ", b" " * 65_536), failure(), failure()),
    _query("endless headers", rules.endless_head, failure(), failure()),
    _query("endless chunks", rules.endless_chunks, failure(), failure()),
    _query("60 MB of lists", _json_flood(b"[]"), failure(), failure()),
    _query("60 MB of objects", _json_flood(b'{"a":1}'), failure(), failure()),
    _query("60 MB of numbers", _json_flood(b"1.5"), failure(), failure()),
    _query("503", rules.say(503), NO_ANSWER, NO_ANSWER, slow=True),
    _query("a byte a second", rules.drip(), NO_ANSWER, NO_ANSWER, slow=True),
    _query("silence", rules.silence, NO_ANSWER, NO_ANSWER, slow=True),
    Lie("503 three times", lambda: rules.first(3, rules.on(QUERY, rules.say(503))), TRUTH, TRUTH),
)  # fmt: skip


# the tip and the network

BLOCK = "/block/[0-9a-f]{64}$"


def _heights(height: str) -> Rule:
    """The tip's height, as a text and in the block's description."""
    return lambda exchange: Answer(200, (height if "tip" in exchange.path else f'{{"height":{height}}}').encode())


def _other_genesis() -> Rule:
    """Another's server, which has Esplora's routes alone."""
    return lambda exchange: {
        "/v1/network": Answer(404, b"not found"),
        "/block-height/0": Answer(200, b"5a" * 32),
    }.get(exchange.path)


OTHER_NETWORK = json.dumps({"name": "elsewhere", "id": "5a" * 32})
TIP_LIES = (
    _at("a tip that is no hash", TIP_HASH, rules.say(200, "tip"), NO_ESPLORA, NO_ESPLORA),
    _at("a tip nobody has", TIP_HASH, rules.say(200, "5a" * 32), NO_ESPLORA, NO_ESPLORA),
    _at("another network", "/v1/network", rules.say(200, OTHER_NETWORK), failure("network"), failure("network")),
    _at("a network that is none", "/v1/network", rules.say(200, '{"name": 5, "id": []}')),
    Lie("another genesis", _other_genesis, failure("network"), failure("network")),
    *(
        _at(f"a tip at height {height[:12]}", f"{BLOCK}|{TIP_HEIGHT}", _heights(height))
        for height in ("-1", "1.5", "1e400", "2147483648", "null", "true", "9" * 5_000, '"7"')
    ),
)


# transactions, altered

Row = dict[str, Any]


def _outputs(change: Callable[[Any], Any]) -> Rule:
    def altered(tx: Row) -> None:
        for output in tx["vout"]:
            output["value"] = change(output["value"])
        for txin in tx["vin"]:
            if txin.get("prevout"):
                txin["prevout"]["value"] = change(txin["prevout"]["value"])

    def either(tx: Row) -> None:
        if "vout" in tx and isinstance(tx["vout"], list):
            altered(tx)
        elif "value" in tx:
            tx["value"] = change(tx["value"])

    return rules.altered(rules.each_tx(either))


def _statuses(change: Callable[[Row], Any]) -> Rule:
    return rules.altered(rules.each_tx(lambda tx: change(tx["status"]) if "status" in tx else None))


def _rows(change: Callable[[Row], Any]) -> Rule:
    return rules.altered(rules.each_tx(change))


AMOUNTS = rf"{TXS}|{COINS}"
AMOUNT_LIES = (
    *(
        _at(f"amounts {name}", AMOUNTS, _outputs(change), expect, expect)
        for name, change, expect in (
            ("ten times as large", lambda value: value * 10, ANYTHING),
            ("half as large", lambda value: value // 2, ANYTHING),
            ("of a satoshi", lambda value: 1, ANYTHING),
            ("of all coins there are", lambda value: MAX_MONEY, ANYTHING),
            ("beyond all coins", lambda value: MAX_MONEY + 1, failure()),
            ("below nothing", lambda value: -value, failure()),
            ("with a fraction", lambda value: value + 0.5, failure()),
            ("as texts", str, failure()),
            ("as flags", lambda value: True, failure()),
            ("of nothing", lambda value: None, failure()),
        )
    ),
    _at("other transaction ids", HISTORY, _rows(lambda tx: tx.update(txid="5a" * 32))),
    _at("ids that are none", HISTORY, _rows(lambda tx: tx.update(txid="x")), failure(), failure()),
    _at("fees of a million coins", HISTORY, _rows(lambda tx: tx.update(fee=10**14))),
    _at("rows without inputs", HISTORY, _rows(lambda tx: tx.update(vin=[])), failure(), failure()),
    _at("rows without a status", HISTORY, _rows(lambda tx: tx.pop("status")), failure(), failure()),
    _at("rows that are lists", HISTORY, rules.altered(lambda rows, _: [[] for _ in rows])),
    _at("inputs of elsewhere", HISTORY, _rows(lambda tx: [txin.update(txid="5a" * 32) for txin in tx["vin"]])),
    _at("no coinbases", HISTORY, _rows(lambda tx: [txin.update(is_coinbase=False) for txin in tx["vin"]])),
    _at("every row twice", HISTORY, rules.altered(lambda rows, _: [row for row in rows for _ in (1, 2)])),
    _at("rows in another order", HISTORY, rules.altered(lambda rows, _: rows[::-1])),
    _at("other scripts", HISTORY, _rows(lambda tx: [out.update(scriptpubkey="51") for out in tx["vout"]])),
)  # fmt: skip


def _unconfirmed(status: Row) -> None:
    status.clear()
    status["confirmed"] = False


def _first_block(status: Row) -> None:
    status.update(confirmed=True, block_height=1, block_time=1)


STATUS_LIES = (
    _at("nothing confirmed", TXS, _statuses(_unconfirmed)),
    _at("heights far ahead", TXS, _statuses(lambda status: status.update(block_height=10**6))),
    _at("heights below nothing", TXS, _statuses(lambda status: status.update(block_height=-1))),
    _at("heights beyond all", TXS, _statuses(lambda status: status.update(block_height=2**40))),
    _at("all at height 1", TXS, _statuses(_first_block), unprovable=True),
    _at("times beyond all", TXS, _statuses(lambda status: status.update(block_time=2**60))),
    _at("confirmed as a text", TXS, _statuses(lambda status: status.update(confirmed="yes"))),
)  # fmt: skip


# histories


def script_of(exchange: Exchange) -> str:
    """The hash or address that a history was asked of."""
    return exchange.path.split("/")[2]


def _fabricated(number: int, script: str, value: int = COIN) -> Row:
    """A payment that never was, to a script."""
    txid = f"{number:064x}"
    return {
        "txid": txid,
        "version": 2,
        "locktime": 0,
        "vin": [
            {
                "txid": f"{number + 1:064x}",
                "vout": 0,
                "prevout": {"scriptpubkey": "51", "value": value + 1_000},
                "scriptsig": "",
                "is_coinbase": False,
                "sequence": 0,
            }
        ],
        "vout": [{"scriptpubkey": script, "value": value}],
        "size": 100,
        "weight": 400,
        "fee": 1_000,
        "status": {"confirmed": True, "block_height": 1, "block_hash": "00" * 32, "block_time": 1_600_000_000},
    }


class Scripts:
    """The scripts behind the hashes that the wallet asks for: learnt from the node's own rows, else a guess."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def rows(self, exchange: Exchange, most: int) -> list[Row]:
        """Fresh inventions that pay the script, or somebody else where it is not known."""
        known = self._script(exchange)
        return [_fabricated(next(self._count) * 2, known) for _ in range(most)]

    def _script(self, exchange: Exchange) -> str:
        base = "/".join(exchange.target.split("/")[:5])
        for row in json.loads(exchange.ask("GET", base).body or b"[]"):
            for output in row["vout"]:
                return str(output["scriptpubkey"])
        return "0014" + "5a" * 20


def _inventing(pages: int | None) -> Callable[[], Rule]:
    """Every address has a history of inventions; `pages` of it, or no end."""

    def make() -> Rule:
        scripts = Scripts()
        seen: dict[str, int] = {}

        def answer(exchange: Exchange) -> Answer:
            script = script_of(exchange)
            seen[script] = seen.get(script, 0) + 1
            more = pages is None or seen[script] < pages
            rows = scripts.rows(exchange, PAGE if more else 3)
            return Answer(200, json.dumps(rows).encode())

        return rules.on(HISTORY, answer)

    return make


def _first_page_again() -> Rule:
    def answer(exchange: Exchange) -> Answer:
        return exchange.ask("GET", re.sub(r"/txs/chain/.*", "/txs", exchange.target))

    return rules.on(HISTORY + "/chain", answer)


def _strangers() -> Rule:
    """Each history has a transaction more that has nothing to do with it."""
    stranger = _fabricated(7, "51")
    return rules.on(HISTORY + "$", rules.altered(lambda rows, _: [*rows, stranger]))


def _strangers_of_the_chain() -> Rule:
    """The same with a real one: the coinbase of the first block."""
    kept: list[Any] = []

    def change(rows: Any, exchange: Exchange) -> Any:
        if not kept:
            block = exchange.ask("GET", "/api/block-height/2").body.decode()
            kept.append(json.loads(exchange.ask("GET", f"/api/block/{block}/txs/0").body)[0])
        return [*rows, kept[0]] if not any(row["txid"] == kept[0]["txid"] for row in rows) else rows

    return rules.on(HISTORY + "$", rules.altered(change))


def _rich() -> Rule:
    """The first addresses are paid all the coins there will ever be."""

    def change(rows: Any, exchange: Exchange) -> Any:
        scripts = [output["scriptpubkey"] for row in rows for output in row["vout"]]
        return [_fabricated(9, scripts[0], MAX_MONEY), *rows] if scripts else rows

    return rules.on(HISTORY + "$", rules.altered(change))


def _no_spends() -> Rule:
    """Spent coins look unspent: transactions that spend are left out."""
    return rules.on(HISTORY, rules.altered(rules.listed(lambda tx: all(txin.get("is_coinbase") for txin in tx["vin"]))))


HISTORY_LIES = (
    Lie("nothing ever happened", lambda: rules.on(f"{HISTORY}|{COINS}", rules.say(200, "[]"))),
    Lie("nothing was spent", _no_spends, unprovable=True),
    Lie("strangers in every history", _strangers, failure(), failure()),
    Lie("real strangers in every history", _strangers_of_the_chain, failure(), failure()),
    Lie("all coins there are", _rich),
    Lie("every address is used", _inventing(1)),
    Lie("every address is used much", _inventing(3)),
    Lie("fresh pages without end", _inventing(None)),
    Lie("the first page for ever", _first_page_again, failure(), failure(), busy=True),
    Lie("pages of thousands", lambda: rules.on(HISTORY, rules.altered(lambda rows, _: rows * 200))),
    _at("coins of elsewhere", COINS, _rows(lambda row: row.update(txid="5a" * 32)), busy=True),
    Lie("no coins listed", lambda: rules.on(COINS, rules.say(200, "[]")), busy=True),
)  # fmt: skip


# fees


def _fees(name: str, document: object, expect: Expect = ANYTHING) -> Lie:
    text = document if isinstance(document, str) else json.dumps(document)
    return Lie(f"estimates {name}", lambda: rules.on("/fee-estimates", rules.say(200, text)), TRUTH, expect)


def _minimum(name: str, document: object, expect: Expect = ANYTHING) -> Lie:
    return Lie(f"a minimum {name}", lambda: rules.on("/v1/fees", rules.say(200, json.dumps(document))), TRUTH, expect)


TOO_HIGH = failure("fee|estimate")
FEE_LIES = (
    _fees("of 700", {"1": 700, "6": 700}, TOO_HIGH),
    _fees("of 9,900", {"6": 9_900.0}, TOO_HIGH),
    _fees("without measure", {"6": 1e300}, failure()),
    _fees("below nothing", {"6": -5}, failure()),
    _fees("not a number", '{"6": NaN}', failure()),
    _fees("as texts", {"6": "12"}, failure()),
    _fees("for no target", {}, failure()),
    _fees("for targets that are none", {"soon": 1.0}, failure()),
    _fees("for a million targets", {str(target): 1.0 for target in range(1, 100_001)}),
    _fees("of nothing", {"6": 0}),
    _minimum("of 9,900", {"minimumFee": 9_900}, TOO_HIGH),
    _minimum("below nothing", {"minimumFee": -1}),
    _minimum("that is none", {"minimumFee": "x"}),
    _minimum("in a list", []),
)  # fmt: skip


# payments


def _payment(name: str, rule: Rule, pays: Expect = MAYBE_SENT, **more: bool) -> Lie:
    return Lie(f"payment: {name}", lambda: rules.on_payment(rule), ANYTHING, pays, **more)


def _both(name: str, status: int, body: bytes | str = b"", *, slow: bool = False) -> Iterator[Lie]:
    # One that the node took is shown by it, whatever was answered.
    yield _payment(f"taken, {name}", rules.say(status, body, forward=True), MAYBE_OR_SENT, slow=slow)
    yield _payment(f"not taken, {name}", rules.say(status, body), slow=slow)


def _refused(reason: str, pays: Expect = ANYTHING) -> Iterator[Lie]:
    for forward in (True, False):
        taken = "taken, " if forward else "not taken, "
        yield _payment(f"{taken}{reason}", rules.refuse(reason, forward=forward), pays)


def _then(rule: Rule) -> Rule:
    """The node gets it; what the rule says is answered."""

    def answer(exchange: Exchange) -> Answer | Raw | None:
        exchange.forward()
        return rule(exchange)

    return answer


REASONS = (
    "-25: bad-txns-inputs-missingorspent",
    "-25: Missing inputs",
    "-26: too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]",
    "-26: insufficient fee, rejecting replacement 5a5a; new feerate 0.00001 BTC/kvB <= old feerate 0.00001 BTC/kvB",
    "-26: min relay fee not met, 100 < 141",
    "-26: mempool min fee not met, 141 < 3000",
    "-26: mempool full",
    "-26: txn-mempool-conflict",
    "-26: bad-txns-nonfinal",
    "-26: dust",
    "-26: tx-size",
    "-26: mandatory-script-verify-flag-failed (Signature must be zero)",
    "-22: TX decode failed. Make sure the tx has at least one input.",
    "-25: Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
)
PAYMENT_LIES = (
    _payment("answer lost", rules.lose_answer, MAYBE_OR_SENT),
    _payment("request lost", rules.lose_request),
    *_both("500", 500, "internal error"),
    *_both("502", 502, "<html>bad gateway</html>", slow=True),
    *_both("429", 429, "slow down"),
    *_both("403", 403, "forbidden"),
    *_both("404", 404, "not found"),
    *_both("301", 301),
    *_both("202", 202, "queued"),
    *_both("a web page", 200, "<html>welcome</html>"),
    *_both("nothing said", 200),
    *_both("a document", 200, '{"txid": 5}'),
    *_both("no UTF-8", 200, b"\xff" * 64),
    *_both("400 without a reason", 400),
    *_both("400 of a gateway", 400, "<html><h1>400 Bad Request</h1></html>"),
    _payment("taken, other txid", rules.say_other_txid, MAYBE_OR_SENT),
    _payment("not taken, other txid", rules.say(200, "5a" * 32)),
    _payment("taken, endless answer", _then(rules.endless()), MAYBE_OR_SENT),
    _payment("taken, nested answer", rules.say(200, b"[" * MEGABYTE, forward=True), MAYBE_OR_SENT),
    _payment("taken, answer cut", _then(rules.raw(rules.head("200 OK", "Content-Length: 64") + b"5a")), MAYBE_OR_SENT),
    _payment("taken, a byte a second", _then(rules.drip()), MAYBE_OR_SENT, slow=True),
    *(lie for reason in REASONS for lie in _refused(reason)),
    *_refused("-27: Transaction outputs already in utxo set", MAYBE_OR_SENT),
    *_refused("-27: transaction already in block chain", MAYBE_OR_SENT),
    *_refused("-26: txn-already-known", MAYBE_OR_SENT),
    *_refused("-26: txn-already-in-mempool", MAYBE_OR_SENT),
)  # fmt: skip

QUERY_LIES = (*HTTP_LIES, *TIP_LIES, *AMOUNT_LIES, *STATUS_LIES, *HISTORY_LIES, *FEE_LIES)
