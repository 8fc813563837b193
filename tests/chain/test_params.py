"""Networks: what a network file may say, and that any difference makes another network."""

from typing import Any

import pytest

from chain.params import REGTEST, Asert, Params, devnet_params

GOOD: dict[str, Any] = {
    "name": "devnet",
    "spacing_s": 10,
    "half_life_s": 150,
    "anchor_height": 102,
    "pow_limit_bits": "1f03ffff",
    "first_bits": "1e7fffff",
    "gap_cap_s": 150,
    "future_limit_s": 60,
    "halving_interval": 210000,
    "allow_local": True,
}


def test_a_network_file_is_read_in_full() -> None:
    expected = Params("devnet", 0x1F03FFFF, 210000, 60, True, Asert(10, 150, 102, 0x1E7FFFFF, 150))
    assert Params.from_mapping(GOOD) == expected == devnet_params(first_bits=0x1E7FFFFF)
    assert expected.to_mapping() == GOOD


def test_without_a_cap_all_time_counts() -> None:
    mapping = {key: setting for key, setting in GOOD.items() if key != "gap_cap_s"}
    params = Params.from_mapping(mapping)
    assert params.asert == Asert(10, 150, 102, 0x1E7FFFFF, None)
    assert params.to_mapping() == mapping
    assert params.network_id != Params.from_mapping(GOOD).network_id


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "a" * 33}, "name"),
    ({"name": "Devnet"}, "name"),
    ({"name": "dev net"}, "name"),
    ({"name": "devnet\n"}, "name"),
    ({"name": "../devnet"}, "name"),
    ({"name": "dévnet"}, "name"),
    ({"name": 7}, "name"),
    ({"name": "regtest"}, "regtest"),
    ({"spacing_s": 0}, "spacing_s"),
    ({"spacing_s": -10}, "spacing_s"),
    ({"spacing_s": 10.0}, "spacing_s"),
    ({"spacing_s": "10"}, "spacing_s"),
    ({"spacing_s": True}, "spacing_s"),
    ({"spacing_s": 2**31}, "spacing_s"),
    ({"half_life_s": 0}, "half_life_s"),
    ({"half_life_s": None}, "half_life_s"),
    ({"anchor_height": 0}, "anchor_height"),
    ({"anchor_height": "102"}, "anchor_height"),
    ({"pow_limit_bits": 0x1F03FFFF}, "pow_limit_bits"),
    ({"pow_limit_bits": "0x1f03ffff"}, "pow_limit_bits"),
    ({"pow_limit_bits": "1F03FFFF"}, "pow_limit_bits"),
    ({"pow_limit_bits": "1f03fff"}, "pow_limit_bits"),
    ({"pow_limit_bits": "00000000"}, "pow_limit_bits"),
    ({"pow_limit_bits": "1f83ffff"}, "pow_limit_bits"),
    ({"pow_limit_bits": "ff03ffff"}, "pow_limit_bits"),
    ({"first_bits": "1f040000"}, "first_bits"),
    ({"first_bits": "207fffff"}, "first_bits"),
    ({"first_bits": "1e80ffff"}, "first_bits"),
    ({"first_bits": ""}, "first_bits"),
    ({"first_bits": "1e7fffff\n"}, "first_bits"),
    ({"gap_cap_s": 0}, "gap_cap_s"),
    ({"gap_cap_s": -1}, "gap_cap_s"),
    ({"gap_cap_s": False}, "gap_cap_s"),
    ({"gap_cap_s": 60}, "future_limit_s"),
    ({"gap_cap_s": 59}, "future_limit_s"),
    ({"future_limit_s": 150}, "future_limit_s"),
    ({"future_limit_s": 0}, "future_limit_s"),
    ({"halving_interval": 0}, "halving_interval"),
    ({"halving_interval": 2.5}, "halving_interval"),
    ({"allow_local": 1}, "allow_local"),
    ({"allow_local": "yes"}, "allow_local"),
    ({"spacing": 10}, "spacing"),
    ({"Name": "devnet"}, "Name"),
]


@pytest.mark.parametrize(("change", "named"), BAD, ids=[str(change) for change, _ in BAD])
def test_a_bad_setting_is_refused_in_one_line_that_names_it(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        Params.from_mapping(GOOD | change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", [key for key in GOOD if key != "gap_cap_s"])
def test_a_missing_setting_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is missing"):
        Params.from_mapping({k: setting for k, setting in GOOD.items() if k != key})


def test_every_setting_makes_another_network() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"name": "devnet2"},
        {"spacing_s": 11},
        {"half_life_s": 151},
        {"anchor_height": 103},
        {"pow_limit_bits": "1f04ffff"},
        {"first_bits": "1e7ffffe"},
        {"gap_cap_s": 151},
        {"future_limit_s": 61},
        {"halving_interval": 210001},
        {"allow_local": False},
    ]
    ids = [Params.from_mapping(GOOD | change).network_id for change in changes]
    assert len({*ids, REGTEST.network_id}) == len(changes) + 1
    assert all(len(network_id) == 32 for network_id in ids)
    assert Params.from_mapping(dict(reversed(GOOD.items()))).network_id == ids[0]


def test_the_networks_constants() -> None:
    assert Params("regtest", 0x207FFFFF, 150, 7200, True, None) == REGTEST
    assert devnet_params().asert == Asert(10, 150, 102, 0x1F03FFFF, 150)
    fast = devnet_params(spacing_s=1)
    assert fast.asert is not None
    assert (fast.asert.half_life_s, fast.asert.gap_cap_s, fast.future_limit_s, fast.spacing_s) == (15, 15, 6, 1)
