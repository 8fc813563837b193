"""Blocks that an outside miner makes of a template's fields alone: Bitcoin Core's engine takes them, and this node."""

from pathlib import Path

from chain.hashes import to_hex
from chain.scripttype import ScriptType
from tests.chainlab import KINDS, funded, lock, made_by, pay
from tests.functional.external_miner import Work
from tests.node.api.desk import Desk
from tests.oracle.kernel import Kernel

BLOCKS = 45
"""From height 113: the subsidy halves on the way, at 150."""
REQUEST = {"rules": ["segwit"]}


def test_the_engine_takes_blocks_made_of_templates(tmp_path: Path) -> None:
    lab = funded()
    desk = Desk(tmp_path / "desk")
    try:
        desk.give(lab.blocks)
        with Kernel() as kernel:
            kernel.follow(lab.blocks)
            for number in range(BLOCKS):
                kind = KINDS[number % len(KINDS)]
                parent = pay(lab.take(kind), fee=1000 + number)
                desk.pool(parent, pay([made_by(parent), *lab.take(ScriptType.P2TR)]) if number % 4 == 1 else parent)
                template = desk.rpc("getblocktemplate", REQUEST)
                solved = Work(template, lock(kind, number)).solve(1000)
                assert solved is not None
                assert desk.rpc("submitblock", solved) is None
                tip = desk.rpc("getbestblockhash")
                verdict = kernel.submit(desk.get(f"/block/{tip}/raw").body)
                assert verdict.accepted, verdict.detail
                assert len(template["transactions"]) == (2 if number % 4 == 1 else 1)
                assert kernel.tip == tip
            assert (kernel.height, template["coinbasevalue"] // 10**8) == (112 + BLOCKS, 25)
            # The whole subsidy was asked for: one satoshi more, and both refuse.
            template = desk.rpc("getblocktemplate", REQUEST)
            greedy = Work(template | {"coinbasevalue": template["coinbasevalue"] + 1}, lock()).solve(1000)
            assert greedy is not None
            assert desk.rpc("submitblock", greedy) == "bad-cb-amount"
            assert to_hex(desk.runtime.view.tip.hash) == kernel.tip
    finally:
        desk.close()
