"""What counts as catching up: blocks that peers bring, and nothing else."""

from types import SimpleNamespace
from typing import Any

import pytest

from chain.params import REGTEST
from node.core.view import NodeView
from node.p2p.block_sync.initial_block_download import DELIVERY_S, SYNCED_AGE_S, SYNCED_BLOCKS, InitialBlockDownload


def view(ahead: int, catch_up: InitialBlockDownload) -> NodeView:
    """Of a node at height 10 with headers of so many blocks more."""
    nothing: Any = None
    tree: Any = SimpleNamespace(best_header=SimpleNamespace(height=10 + ahead))
    tip: Any = SimpleNamespace(height=10)
    return NodeView(tip, tree, nothing, nothing, nothing, REGTEST, nothing, catch_up=catch_up)


def test_headers_alone_are_nothing_to_wait_for() -> None:
    assert not view(1000, InitialBlockDownload()).is_catching_up(2, 100.0)


def test_a_block_that_a_peer_brought_is_for_a_while() -> None:
    catch_up = InitialBlockDownload()
    catch_up.delivered(100.0)
    assert view(3, catch_up).is_catching_up(2, 100.0 + DELIVERY_S - 0.1)
    assert not view(3, catch_up).is_catching_up(2, 100.0 + DELIVERY_S)
    assert not view(2, catch_up).is_catching_up(2, 100.0)


@pytest.mark.parametrize(("deliveries", "is_enough"), [(4, False), (5, True), (9, True)])
def test_several_in_a_short_time_can_be_asked_for(deliveries: int, is_enough: bool) -> None:
    catch_up = InitialBlockDownload()
    for number in range(deliveries):
        catch_up.delivered(100.0 + number)
    assert catch_up.is_under_way(100.0 + deliveries, 5, 5.5) == is_enough


@pytest.mark.parametrize(
    ("age_s", "behind", "is_over"),
    [(0, 0, True), (SYNCED_AGE_S, SYNCED_BLOCKS, True), (SYNCED_AGE_S + 1, 0, False), (0, SYNCED_BLOCKS + 1, False)],
)
def test_the_initial_download_ends_at_a_recent_tip_near_the_best_header(age_s: int, behind: int, is_over: bool) -> None:
    catch_up = InitialBlockDownload()
    catch_up.reached(1_000_000 - age_s, behind, 1_000_000.0)
    assert catch_up.is_synced == is_over


def test_and_does_not_begin_again() -> None:
    catch_up = InitialBlockDownload()
    catch_up.reached(1_000_000, 0, 1_000_000.0)
    catch_up.reached(1_000_000, 5_000, 1_000_000.0)
    assert catch_up.is_synced
