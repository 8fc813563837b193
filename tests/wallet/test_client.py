"""The HTTP client against servers that behave, misbehave, and are not there. Real HTTP throughout."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chain.hashes import Txid, sha256
from chain.params import GENESIS
from chain.tx import outpoint
from tests.wallet.esplora_server import STRANGER_SCRIPT, Chain, Server, serve
from wallet import client as client_module
from wallet.client import Esplora
from wallet.delivery import NodeAnswer
from wallet.errors import InvalidValue, NodeError, NodeNotReady, NodeRefused, NodeUnreachable, WalletError
from wallet.esplora import Spending


@contextmanager
def raw_server(answer: Callable[[socket.socket], object], until: bytes = b"\r\n\r\n") -> Iterator[str]:
    """Accepts connections one after the other, reads each request's head and lets `answer` do the rest."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(5)
            with connection:
                try:
                    while until and until not in connection.recv(65_536):
                        pass
                    answer(connection)
                except OSError:
                    pass  # the client has had enough

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


@pytest.fixture
def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_routes(client: Esplora, chain: Chain) -> None:
    chain.mine(60)
    tx = chain.pay(STRANGER_SCRIPT, 5_000, 6_000)
    tip = client.tip()
    assert (tip.hash, tip.height) == (chain.blocks[-1][0], chain.height)
    assert (client.tip_hash(), client.tip_height()) == (tip.hash, tip.height)
    assert client.block_hash(0) == GENESIS.hash
    shown = client.tx(tx.txid)
    assert shown
    assert (shown.txid, shown.height) == (tx.txid, chain.height)
    assert client.raw_tx(tx.txid) == tx
    assert (client.tx(Txid(bytes(32))), client.raw_tx(Txid(bytes(32)))) == (None, None)
    assert client.outspend(tx.inputs[0].outpoint) == Spending(tx.txid, chain.height)
    assert client.outspend(outpoint(tx.txid, 0)) is None
    assert client.fee_estimates() == {1: Decimal("3.5"), 6: Decimal(2), 25: Decimal(1)}
    script_hash = sha256(STRANGER_SCRIPT)
    first = client.script_txs(script_hash)
    assert len(first) == 25
    assert (first[0].txid, first[1].is_coinbase) == (tx.txid, True)
    assert [o.value for o in first[0].outputs][:2] == [5_000, 6_000]
    assert (first[0].fee, first[0].height) == (10_000, chain.height)
    second = client.script_txs_after(script_hash, first[-1].txid)
    assert len(second) == 25
    assert not {t.txid for t in first} & {t.txid for t in second}
    assert len(client.script_coins(script_hash)) == 199 + 61 + 3  # hoard, mined, and what the payment made
    with pytest.raises(NodeRefused) as refused:
        client.block_hash(10_000)
    assert (refused.value.status, refused.value.reason) == (404, "not found")


def test_one_connection_serves_many_calls(client: Esplora, server: Server) -> None:
    for _ in range(20):
        client.tip_hash()
    assert server.connections == 1


def test_a_connection_that_the_node_closed_meanwhile_is_made_again() -> None:
    tip = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7"  # and the connection is closed
    with raw_server(lambda connection: connection.sendall(tip)) as url, Esplora([url]) as client:
        assert [client.tip_height() for _ in range(5)] == [7] * 5


@pytest.mark.parametrize("drip", ["status line", "header", "body"])
def test_a_dripping_node_meets_the_deadline(drip: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    whole = {"status line": b"", "header": head[:30], "body": head}[drip]

    def answer(connection: socket.socket) -> None:
        connection.sendall(whole)
        for _ in range(200):
            connection.sendall(b"7")
            time.sleep(0.05)

    with raw_server(answer) as url, Esplora([url], deadline_s=0.6) as client:
        began = time.monotonic()
        with pytest.raises(NodeUnreachable, match="takes too long to answer"):
            client.tip_height()
        assert time.monotonic() - began < 3


def test_an_endless_answer_is_cut_off() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1_000):
            connection.sendall(b"7" * 65_536)

    with raw_server(answer) as url, Esplora([url]) as client, pytest.raises(NodeError, match="over 65536 bytes"):
        client.tip_height()


def test_redirects_are_not_followed(server: Server, client: Esplora) -> None:
    elsewhere = f"HTTP/1.1 302 Found\r\nLocation: {server.url}/api/blocks/tip/height\r\nContent-Length: 0\r\n\r\n"
    with raw_server(lambda connection: connection.sendall(elsewhere.encode())) as url, Esplora([url]) as other:
        with pytest.raises(NodeRefused) as refused:
            other.tip_height()
        assert refused.value.status == 302
    assert server.requests == []


def test_proxies_in_the_environment_are_not_asked(
    client: Esplora, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, closed_url)
    assert client.tip_height() == 0


@pytest.mark.parametrize(
    "body",
    ["", "x", "-1", "99999999999", "[]", "1.5", "\u0663", "7 7", "1" * 5_000],
)
def test_a_height_that_is_none(server: Server, client: Esplora, body: str) -> None:
    server.before = lambda _: (200, body)
    with pytest.raises(NodeError, match=f"{server.url} gave an answer that is not the Esplora API's"):
        client.tip_height()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[1]",
        "[{}]",
        "[null]",
        "nonsense",
        "[" * 50_000,
        '[{"txid": "00"}]',
        '[{"txid": NaN}]',
        '[{"txid": "%s", "vout": 0, "value": 5.0, "status": {"confirmed": false}}]' % ("00" * 32),
        '[{"txid": "%s", "vout": -1, "value": 5, "status": {"confirmed": false}}]' % ("00" * 32),
        '[{"txid": "%s", "vout": 0, "value": 5, "status": {"confirmed": true}}]' % ("00" * 32),
        '[{"txid": "%s", "vout": 0, "value": 5, "status": []}]' % ("00" * 32),
        '[{"txid": "%s", "vin": [], "vout": [], "fee": 0, "status": {"confirmed": false}}]' % ("00" * 32),
        '[{"txid": "%s", "vin": 5, "vout": [], "fee": 0, "status": {"confirmed": false}}]' % ("00" * 32),
    ],
)
def test_answers_of_another_shape(server: Server, client: Esplora, body: str) -> None:
    server.before = lambda _: (200, body)
    for call in (client.script_txs, client.script_coins):
        if (call, body) in ((client.script_coins, "{}"),):
            continue
        with pytest.raises(NodeError, match="not the Esplora API's"):
            call(bytes(32))


@pytest.mark.parametrize(
    "body", ["{}", "[]", '{"a": 1}', '{"1": -1}', '{"1": "x"}', '{"1": 1e999999999}', '{"1": null}']
)
def test_estimates_that_are_none(server: Server, client: Esplora, body: str) -> None:
    server.before = lambda _: (200, body)
    with pytest.raises(NodeError, match="not the Esplora API's"):
        client.fee_estimates()


def test_what_a_refusal_says_is_one_safe_line(server: Server, client: Esplora) -> None:
    server.before = lambda _: (400, "sendrawtransaction RPC error -26: \x1b[31mdust\n\r\0bad" + "x" * 5_000)
    receipt = client.send(b"\0", Txid(bytes(32)))
    assert receipt.answer is NodeAnswer.REFUSED
    assert receipt.reason.startswith("-26: [31mdust bad")
    assert len(receipt.reason) <= 300
    assert receipt.reason.isprintable()


def test_a_transaction_that_is_not_the_one_of_its_id(server: Server, client: Esplora, chain: Chain) -> None:
    """The parts that the API shows make up the id: no amount, script or outpoint can be another."""
    tx = chain.pay(STRANGER_SCRIPT, 5_000)
    good = chain.tx_json(tx)
    rows: list[dict[str, Any]] = [json.loads(json.dumps(good)) for _ in range(6)]
    rows[0]["vout"][0]["value"] += 1
    rows[1]["vout"][0]["scriptpubkey"] = "00"
    rows[2]["vin"][0]["vout"] += 1
    rows[3]["locktime"] += 1
    rows[4]["version"] = 1
    rows[5]["txid"] = "00" * 32
    for row in rows:
        server.before = lambda _, row=row: (200, json.dumps([row]))  # type: ignore[misc]
        with pytest.raises(NodeError, match="not the Esplora API's"):
            client.script_txs(bytes(32))
    server.before = lambda _: (200, json.dumps({**good, "version": good["version"] - 2**32}))
    assert client.tx(tx.txid)  # some servers give the version with a sign
    with pytest.raises(NodeError, match="another transaction than was asked for"):
        client.tx(Txid(bytes(32)))
    server.before = lambda _: (200, tx.raw.hex())
    with pytest.raises(NodeError, match="another transaction than was asked for"):
        client.raw_tx(Txid(bytes(32)))


def test_an_answer_of_too_many_values_is_not_read(server: Server, client: Esplora) -> None:
    server.before = lambda _: (200, "[" + "[]," * 400_000 + "[]]")
    with pytest.raises(NodeError, match="not the Esplora API's"):
        client.script_txs(bytes(32))


# several nodes


def test_nobody_there(closed_url: str) -> None:
    with Esplora([closed_url]) as client, pytest.raises(NodeUnreachable) as error:
        client.tip_height()
    assert (
        str(error.value) == f"no node answers at {closed_url}: start one (`devnet up` or `groatd`), or give --node URL"
    )


def test_the_next_node_is_asked_and_stayed_with(closed_url: str, server: Server) -> None:
    with Esplora([closed_url, server.url]) as client:
        assert [client.tip_height() for _ in range(3)] == [0, 0, 0]
        assert len(server.requests) == 3
    with serve(Chain()) as other:
        with Esplora([server.url, other.url]) as client:
            client.tip_height()
            server.before = lambda _: (503, "")
            assert client.tip_height() == 0
        assert len(other.requests) == 1


def test_a_node_that_says_no_is_believed(server: Server, closed_url: str) -> None:
    server.before = lambda _: (404, "no")
    with serve(Chain()) as other, Esplora([server.url, other.url]) as client:
        with pytest.raises(NodeRefused):
            client.tip_height()
        assert other.requests == []


def test_a_node_that_is_starting_is_asked_again(
    server: Server, client: Esplora, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(503, "loading"), (503, "loading")]
    server.before = lambda _: answers.pop() if answers else None
    monkeypatch.setattr(client_module, "NOT_READY_PAUSE_S", 0.01)
    assert client.tip_height() == 0
    assert len(server.requests) == 3


def test_a_node_that_never_gets_ready(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.before = lambda _: (503, "loading")
    monkeypatch.setattr(client_module, "NOT_READY_PAUSE_S", 0.01)
    with Esplora([server.url], deadline_s=0.2) as client, pytest.raises(NodeNotReady, match="is not ready"):
        client.tip_height()


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host", "http://", "http://host:0", "http://host:x", "http://host:99999", "http://h?q=1", "http://h/#a",
     "http://h/a b", "/api"],
)  # fmt: skip
def test_what_is_no_node(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"is not a node's URL: write it like http://127\.0\.0\.1:18443"):
        Esplora([url])


def test_a_node_address_as_people_write_it(server: Server) -> None:
    behind = ("/", "/api", "/api/", "//", "/explorer", "/explorer/")
    for url in (*(server.url + path for path in behind), server.url.removeprefix("http://"), f" {server.url} "):
        with Esplora([url]) as client:
            assert client.tip_height() == 0


def test_tls_with_a_server_that_has_none() -> None:
    """It is told at once, and not that a node takes too long."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with raw_server(answer, until=b"\x16") as url:
        secure = url.replace("http", "https")
        with (
            Esplora([secure]) as client,
            pytest.raises(NodeUnreachable, match=f"{secure} does not speak TLS: write http:// and not https://"),
        ):
            client.tip_height()


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, *(datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2100))
    )
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    def answer(connection: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True):
            pass

    with raw_server(answer, until=b"") as url:
        secure = url.replace("http", "https")
        with Esplora([secure]) as client, pytest.raises(NodeUnreachable, match=f"the certificate of {secure} is not"):
            client.tip_height()


def test_a_port_where_no_api_is(server: Server, client: Esplora) -> None:
    server.before = lambda _: (404, "endpoint does not exist")
    assert (client.network(), client.minimum_fee_rate()) == (None, None)
    with pytest.raises(NodeRefused, match="endpoint does not exist"):
        client.block_hash(0)


def test_no_more_than_a_handful_of_nodes() -> None:
    with pytest.raises(WalletError):
        Esplora([])
    with pytest.raises(WalletError):
        Esplora(["http://host"] * 17)


def test_waiting_for_a_block(client: Esplora, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TIP_POLL_S", 0.01)
    tip = client.tip_hash()
    assert client.wait_for_new_tip(tip, 0.1) is False
    timer = threading.Timer(0.2, chain.mine)
    timer.start()
    assert client.wait_for_new_tip(tip, 20) is True
    timer.join()


def test_a_node_that_is_gone_is_left_by_all_who_ask_at_once(chain: Chain) -> None:
    with serve(chain) as gone:
        url = gone.url
    with serve(chain) as good, Esplora([url, good.url]) as client:
        for _ in range(10):
            client._urls = [url, good.url]
            assert client.first_pages([bytes([n]) * 32 for n in range(32)]) == [[]] * 32
            assert client.asked == good.url
