"""The description is true: of every route, by real answers and by schemathesis; and the page says the same."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from chain.hashes import to_hex
from node.api.docs.openapi import document, path_of
from node.api.docs.openapi_rpc import TYPES
from node.api.docs.page import digest
from node.api.docs.parameters import PARAMETERS
from node.api.docs.schemas import SCHEMAS
from node.api.http.message import JSON, TEXT
from node.api.rest.table import CHAIN_ROUTES, ROUTES
from node.api.routing.route import NO_BODY_MAX, PREFIXES, ParamType, Route
from node.api.rpc.table import METHODS
from node.interface.storage import Damaged
from node.p2p.discovery.config import DiscoveryConfig, DiscoveryMethod
from node.p2p.scoring.service_flags import Role
from node.runtime.runtime import DAMAGED
from tests.node.api.desk import PASSWORD, USER, Desk
from tests.node.api.stocked import STREAM, ZOO, Stocked, stock

ROOT = Path(__file__).parents[4]
NAMES = [f"{route.method} {route.path}" for route in ROUTES]
EXAMPLES = int(os.environ.get("GROAT_SCHEMATHESIS") or 20)
"""Of each operation. Named in the environment it makes the long form, with JSON-RPC in both places and each parameter
of its methods by itself, which takes longer than all the rest."""
CONFIG = """
hooks = "tests.node.api.schemathesis_hooks"
# Unknown methods get Esplora's 404: test_esplora.py.
[checks.unsupported_method]
enabled = false
[checks.allow_header_conformance]
enabled = false
# What fits the schema may still be refused: a transaction, a page's start, what is not there.
[checks.positive_data_acceptance]
expected-statuses = ["2XX", 302, 400, 404, 500]
# JSON-RPC's own statuses; a batch gets 200 whatever is in it.
[[operations]]
include-method = "POST"
include-path-regex = "^/(wallet/.*)?$"
checks.not_a_server_error.enabled = false
checks.negative_data_rejection.enabled = false
"""
SHORT = "phases.coverage.enabled = false\n"
"""For JSON-RPC, whose own tests have it all."""


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stocked]:
    desk = Desk(tmp_path_factory.mktemp("stocked") / "desk")
    yield stock(desk)
    desk.close()


def known(stocked: Stocked) -> dict[str, list[str]]:
    """Values that the node knows, by the format of parameters."""
    blocks = [stocked.tip, to_hex(stocked.many.hash), to_hex(stocked.stale.hash)]
    txs = [stocked.zoo, stocked.spender, stocked.waiting_spender, stocked.confirmed[30], stocked.many.txs[0]]
    return {
        "block-hash": blocks,
        "txid": [to_hex(tx.txid) for tx in txs],
        "script-hash": [stocked.script_hash],
        "bitcoin-address": [stocked.address, *(address for *_, address in ZOO.values() if address)],
        "coins": ["0.1"],
        "number": ["0", "25", "50", "113"],
        "transaction-hex": [stocked.waiting[0].raw.hex(), stocked.spender.raw.hex()],
    }


# the document


def test_it_is_served_and_is_openapi(stocked: Stocked) -> None:
    for prefix in PREFIXES:
        reply = stocked.desk.get(f"{prefix}/openapi.json")
        assert (reply.status, reply.type, reply.json()) == (200, JSON, document())
    validate(document())


def test_every_route_is_in_it() -> None:
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    routes = {(route.method, path_of(route)) for route in ROUTES}
    assert described == routes | {("GET", "/"), ("POST", "/"), ("POST", "/wallet/{wallet}")}


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_every_route_says_what_it_answers_and_takes(route: Route) -> None:
    assert (route.schema in SCHEMAS) == (route.content == JSON), "a JSON route names its schema, others have none"
    assert (route.takes in SCHEMAS) == (route.body_max != NO_BODY_MAX), "a route with a body names its schema"


def test_every_schema_is_used_and_every_kind_is_known() -> None:
    text = json.dumps(document())
    for name in SCHEMAS:
        assert f'"#/components/schemas/{name}"' in text, name
    assert set(PARAMETERS) == set(ParamType)
    assert {word for method in METHODS for arg in method.args for word in arg.kind.split(" or ")} <= set(TYPES)


def test_every_example_is_of_its_schema() -> None:
    for schema, _, example in PARAMETERS.values():
        Draft202012Validator(schema).validate(example)


# real answers


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document()["components"]})


def values_of(route: Route, stocked: Stocked) -> dict[str, list[str]]:
    """For each parameter what the node knows."""
    kinds = {**route.params, **route.query}
    return {name: known(stocked)[PARAMETERS[kind][0].get("format", "number")] for name, kind in kinds.items()}


def path_with(route: Route, values: Mapping[str, str]) -> str:
    """The path with these in it."""
    path = re.sub(r":(\w+)", lambda name: quote(values[name[1]], safe="%"), route.path)
    query = [f"{name}={values[name]}" for name in route.query]
    return path + ("?" + "&".join(query) if query else "")


def paths_of(route: Route, stocked: Stocked) -> Iterator[str]:
    """The route with each value that the node knows for its parameters, one after the other."""
    values = values_of(route, stocked)
    for turn in range(max(map(len, values.values()), default=1)):
        yield path_with(route, {name: some[turn % len(some)] for name, some in values.items()})


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method == "GET" and route.content != STREAM], ids=lambda r: r.path
)
def test_real_answers_are_as_described(stocked: Stocked, route: Route) -> None:
    responses = document()["paths"][path_of(route)]["get"]["responses"]
    good = 0
    for path in paths_of(route, stocked):
        reply = stocked.desk.get(path)
        assert str(reply.status) in responses, path
        assert reply.type == (route.content if reply.status == 200 else "text/plain")
        if reply.status == 200:
            good += 1
        if reply.status == 200 and route.schema:
            # A float where an integer belongs is none, even if it is whole.
            validator(route.schema).validate(json.loads(reply.body, parse_float=Decimal))
    assert good, "no real value was answered with 200"


WRONG = ("ab" * 32, "x", "-1", str(2**63), "%20", "9" * 20, "%C3%A9")
"""Values of parameters that nothing has, or that are none."""


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.params or route.query], ids=lambda r: f"{r.method} {r.path}"
)
def test_errors_are_as_described(stocked: Stocked, route: Route) -> None:
    """Status and line of whatever a bad value in the place of each parameter gets."""
    responses = document()["paths"][path_of(route)][route.method.lower()]["responses"]
    good = {name: some[0] for name, some in values_of(route, stocked).items()}
    body = stocked.waiting[0].raw.hex() if route.takes else None
    for name in good:
        for wrong in WRONG:
            path = path_with(route, {**good, name: wrong})
            reply = stocked.desk.request(route.method, path, body)
            assert str(reply.status) in responses, path
            if reply.status in (400, 404):
                lines = [one["value"] for one in responses[str(reply.status)]["content"][TEXT]["examples"].values()]
                assert any(map(reply.text.startswith, lines)), (path, reply.text)


@pytest.mark.parametrize(
    "settings", [{"role": Role.LIGHT}, {"finding": DiscoveryConfig(frozenset({DiscoveryMethod.TRACKER}))}]
)
def test_what_nodes_without_a_chain_answer_is_described(
    make_desk: Callable[..., Desk], settings: dict[str, Any]
) -> None:
    desk = make_desk(**settings)
    for route in ROUTES:
        responses = document()["paths"][path_of(route)][route.method.lower()]["responses"]
        described = "content" in responses.get("501", {})
        assert described == (route in CHAIN_ROUTES), route.path
        if described:
            reply = desk.request(route.method, re.sub(r":\w+", "0" * 64, route.path), "00" if route.takes else None)
            lines = [one["value"] for one in responses[str(reply.status)]["content"][TEXT]["examples"].values()]
            assert reply.text in lines, route.path


def test_what_a_node_with_damaged_storage_answers_is_described(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    desk.runtime.fail(Damaged("a row"))
    components = document()["components"]["responses"]
    for route in ROUTES:
        reply = desk.request(route.method, re.sub(r":\w+", "0" * 64, route.path), "00" if route.takes else None)
        assert (reply.status, reply.text) == (500, DAMAGED), route.path
        answer = document()["paths"][path_of(route)][route.method.lower()]["responses"]["500"]
        if "$ref" in answer:
            answer = components[answer["$ref"].rpartition("/")[2]]
        assert DAMAGED in [one["value"] for one in answer["content"][TEXT]["examples"].values()], route.path
    for path in ("/", "/wallet/{wallet}"):
        assert JSON in document()["paths"][path]["post"]["responses"]["500"]["content"]


def test_lists_are_not_empty(stocked: Stocked) -> None:
    """Else the schemas of what is in them would never be tried."""
    for path in ("/v1/peers", "/mempool/recent", f"/scripthash/{stocked.script_hash}/utxo", "/mempool/txids"):
        assert stocked.desk.get(path).json(), path
    assert stocked.desk.get("/mempool").json()["fee_histogram"]
    spends = stocked.desk.get(f"/tx/{to_hex(stocked.zoo.txid)}/outspends").json()
    assert [spend["spent"] for spend in spends] == [True] + [False] * (len(ZOO) - 1)


@pytest.mark.parametrize(
    ("name", "path", "where", "wrong"),
    [
        ("Transaction", "/tx/{txid}", ("vout", 0, "value"), "5"),
        ("Transaction", "/tx/{txid}", ("vout", 0, "value"), Decimal("5.5")),
        ("Transaction", "/tx/{txid}", ("fee",), Decimal("5.0")),
        ("Transaction", "/tx/{txid}", ("status", "block_height"), None),
        ("Transaction", "/tx/{txid}", ("status", "confirmed"), False),
        ("Transaction", "/tx/{txid}", ("vin", 0, "prevout", "scriptpubkey_type"), "v0"),
        ("Block", "/block/{block}", ("bits",), "207fffff"),
        ("Block", "/block/{block}", ("id",), "ab"),
        ("Outspend", "/tx/{txid}/outspend/0", ("spent",), False),
        ("AddressStats", "/address/{address}", ("chain_stats", "tx_count"), -1),
    ],
)
def test_a_wrong_answer_would_be_noticed(
    stocked: Stocked, name: str, path: str, where: tuple[str | int, ...], wrong: object
) -> None:
    txid, block = to_hex(stocked.zoo.txid), stocked.tip
    shape = stocked.desk.get(path.format(txid=txid, block=block, address=stocked.address)).json()
    validator(name).validate(shape)
    *way, last = where
    for changed in (wrong, ...):  # another value; none at all; a key that is not described
        bent = deepcopy(shape)
        place = bent
        for step in way:
            place = place[step]
        if changed is ...:
            del place[last]
        else:
            place[last] = changed
        assert not validator(name).is_valid(bent), changed
    assert not validator(name).is_valid({**shape, "surprise": 1})


def test_json_rpc_is_as_described(stocked: Stocked) -> None:
    bodies = [
        {"method": "getblockcount"},
        {"method": "getblock", "params": [stocked.tip, 2], "id": 7},
        {"method": "getblock", "params": {"args": [stocked.tip], "verbosity": True}, "id": "x"},
        {"method": "estimatesmartfee", "params": {"conf_target": 6}, "id": None},
    ]
    for body in bodies:
        validator("RpcCall").validate(body)
        reply = stocked.desk.post_rpc(json.dumps(body))
        assert (reply.status, reply.type) == (200, JSON)
        validator("RpcAnswer").validate(reply.json())
    validator("RpcBatch").validate(bodies)
    assert [validator("RpcAnswer").is_valid(one) for one in stocked.desk.post_rpc(json.dumps(bodies)).json()] == [
        True
    ] * len(bodies)
    failing = [("{}", 400), ('{"method":"nothing"}', 404), ("{", 500), ('{"method":"getblock"}', 500)]
    for text, status in failing:
        reply = stocked.desk.post_rpc(text)
        assert reply.status == status
        validator("RpcAnswer").validate(reply.json())
    for wrong in (
        {},
        {"method": "nothing"},
        {"method": "getblock"},
        {"method": "getblock", "params": []},
        {"method": "getblock", "params": [5]},
        {"method": "getblock", "params": {"hash": "ab"}},
        {"method": "getblockcount", "params": [1]},
    ):
        assert not validator("RpcCall").is_valid(wrong), wrong


def test_every_method_is_described() -> None:
    names = {ref["$ref"].removeprefix("#/components/schemas/rpc.") for ref in SCHEMAS_OF["RpcCall"]["anyOf"]}
    assert names == {method.name for method in METHODS}


SCHEMAS_OF = document()["components"]["schemas"]


# schemathesis


def test_schemathesis_finds_nothing(stocked: Stocked, tmp_path: Path) -> None:
    """Unknown, malformed, missing, doubled: everything is answered as described, and the node lives on."""
    desk = stocked.desk
    config, described = tmp_path / "schemathesis.toml", tmp_path / "openapi.json"
    config.write_text(CONFIG if os.environ.get("GROAT_SCHEMATHESIS") else CONFIG + SHORT)
    described.write_bytes(desk.get("/openapi.json").body)  # of a document under a URL it leaves out that URL
    url = f"http://127.0.0.1:{desk.port}"
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", described]
    command += ["--url", url, "--auth", f"{USER}:{PASSWORD}", "--max-redirects", "0", "--seed", "7", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--continue-on-failure", "--warnings", "off"]
    environment = {**os.environ, "GROAT_KNOWN": json.dumps(known(stocked)), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60 + 30 * EXAMPLES, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert desk.get("/blocks/tip/hash").text == stocked.tip
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested
    # Each route, JSON-RPC, and the front page.
    rest = 3 if os.environ.get("GROAT_SCHEMATHESIS") else 2
    assert int(tested[1]) == len([route for route in ROUTES if route.content != STREAM]) + rest


# the page


def test_the_page_holds_all_that_it_uses(stocked: Stocked) -> None:
    reply = stocked.desk.get("/docs")
    assert (reply.status, reply.type) == (200, "text/html; charset=utf-8")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", reply.text, re.DOTALL)
        assert f"{tag}-src {digest(content)}" in policy
    markup = re.sub(r"<(style|script)>.*?</\1>", "", reply.text, flags=re.DOTALL)
    assert not re.findall(r"""\s(?:style|on\w+)=""", markup)
    assert not re.findall(r"url\(|@import|https?:", "".join(re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL)))
    assert set(re.findall(r'\s(?:src|href)="([^#"][^"]*)"', markup)) == {
        "openapi.json", "/favicon.ico", "/docs", "/explorer/", "/explorer/mempool", "/explorer/forks",
        "/explorer/charts", "/explorer/peers",
    }  # fmt: skip
    links = set(re.findall(r'href="#([^"]+)"', markup))
    ids = re.findall(r'\sid="([^"]+)"', markup)
    assert links <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_page_has_everything(stocked: Stocked) -> None:
    page = stocked.desk.get("/api/docs").text
    for route in ROUTES:
        assert re.search(rf"<code[^>]*>{re.escape(path_of(route))}</code>", page), route.path
    for method in METHODS:
        assert f"<code>{method.usage}</code>" in page
    for name in SCHEMAS:
        assert f'id="schema-{name}"' in page


def test_the_page_has_no_row_twice(stocked: Stocked) -> None:
    """Paths that do the same are one row, which names them all."""
    rows = re.findall(r"<summary><h3>(.*?)</h3> <span>(.*?)</span></summary>", stocked.desk.get("/docs").text)
    rest = [(re.sub(r" <code>.*", "", head), summary) for head, summary in rows if "method" in head]
    assert len(rest) > 40
    assert len(set(rest)) == len(rest)


def test_examples_on_the_page_work(stocked: Stocked) -> None:
    """Every example of a GET is of something that each node has, or is refused as the page says."""
    for path, methods in document()["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", ()):
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        if "get" in methods and STREAM not in str(methods["get"]["responses"]["200" if path != "/" else "302"]):
            assert stocked.desk.get(path).status in (200, 302, 400 if path == "/broadcast" else 200), path


def test_a_start_loads_none_of_it() -> None:
    """What makes the description costs a node nothing before somebody asks."""
    probe = "import sys, node.daemon; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"apispec", "jinja2", "node.api.docs.openapi", "node.api.docs.schemas"} & set(loaded.split())
