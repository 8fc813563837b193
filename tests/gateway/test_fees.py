"""Nodes that lie about fees: no payment costs more than its ceiling, and nothing is handed out for one that would."""

from collections.abc import Iterator

import pytest

from tests.functional.cluster import Cluster
from tests.gateway import rules
from tests.gateway.commands import Commands
from tests.gateway.proxy import Gateway
from tests.gateway.purse import Purse

MATURE = 101
BURN = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture(scope="module")
def gateway(pair: Cluster) -> Iterator[Gateway]:
    with Gateway(pair.nodes[0].api) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def purse(pair: Cluster, gateway: Gateway, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Purse:
    purse = Purse(commands, tmp_path_factory.mktemp("purse") / "wallet.json", gateway.url).create()
    pair.rpc(0, "generatetoaddress", MATURE, purse.address())
    return purse


def estimates(rate: float) -> rules.Rule:
    return rules.on("/fee-estimates", rules.altered(lambda told, _: dict.fromkeys(told, rate)))


def minimum(rate: float) -> rules.Rule:
    return rules.on("/v1/fees/recommended", rules.altered(lambda told, _: {**told, "minimumFee": rate}))


LIES = [
    (estimates(700), "1000sat", "the fee of 98700 sat follows the node's 700 sat/vB, above 100"),
    (estimates(9_900), "0.014", "follows the node's 9900 sat/vB, above 100"),
    (estimates(101), "20", "follows the node's 101 sat/vB, above 100"),
    (estimates(50), "0.0005", "the fee of 7050 sat is more than a tenth of the 50000 sat paid"),
    (estimates(10**8), "20", "the node estimates 100000000 sat/vB, which is no fee rate"),
    (minimum(700), "1000sat", "follows the node's 700 sat/vB, above 100"),
    (minimum(50), "1000sat", "the fee of 7050 sat is more than a tenth of the 1000 sat paid"),
]


@pytest.mark.parametrize(("lie", "amount", "says"), LIES)
def test_a_lie_about_fees_costs_nothing(
    gateway: Gateway, purse: Purse, lie: rules.Rule, amount: str, says: str
) -> None:
    gateway.rules = [lie]
    gateway.payments.clear()
    before = purse.file.read_bytes()
    for more in (["--yes"], []):
        outcome = purse.run("send", BURN, amount, *more)
        assert (outcome.code, outcome.out, len(outcome.lines)) == (1, "", 1)
        assert says in outcome.err
    assert gateway.payments == []
    assert purse.file.read_bytes() == before


def test_a_high_fee_is_paid_by_whoever_names_it(pair: Cluster, gateway: Gateway, purse: Purse) -> None:
    gateway.rules = [estimates(700)]
    refused = purse.run("send", BURN, "1000sat", "--max-fee", "98699sat")
    assert "the fee of 98700 sat is above the maximum of 98699 sat: nothing was sent" in refused.err
    sent = purse.get("send", BURN, "1000sat", "--max-fee", "98700sat")
    assert sent["fee_sat"] == 98_700
    assert sent["txid"] in pair.rpc(0, "getrawmempool")
