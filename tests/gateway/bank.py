"""Coins to give away: made once from the first blocks of a chain, and confirmed before they are used."""

from collections import deque
from collections.abc import Sequence

from chain.address import decode_address, encode_address
from chain.block import decode_block
from chain.tx import COIN, Tx, TxOut
from tests.chainlab import Owned, lock, made_by, pay
from tests.gateway.island import MATURITY, Islands

SUBSIDY = 50 * COIN
"""Of the first 149 blocks."""


def fee_for(inputs: int, outputs: int) -> int:
    """Between one and two satoshis a virtual byte: nodes take their estimates from it."""
    return 2 * (12 + 69 * inputs + 44 * outputs)


class Bank:
    """The coins of the first blocks of node 0; nobody else mines before it."""

    def __init__(self, islands: Islands, blocks: int = 20, parts: int = 10) -> None:
        """So many coinbases, each divided into so many coins."""
        self._islands = islands
        islands.mine(0, blocks, encode_address(lock()) or "")
        islands.mine(0, MATURITY)
        self._coins: deque[Owned] = deque()
        self._fresh: list[Owned] = []
        each = (SUBSIDY - fee_for(1, parts)) // parts
        for height in range(1, blocks + 1):
            raw = islands.rpc(0, "getblock", islands.rpc(0, "getblockhash", height), 0)
            coinbase = decode_block(bytes.fromhex(raw)).txs[0]
            split = pay([made_by(coinbase, height=height)], [TxOut(each, lock())] * parts)
            self._send(split)
            self._fresh += [made_by(split, index) for index in range(parts)]
        self.confirm()

    def give(self, address: str, values: Sequence[int]) -> Tx:
        """One transaction with an output for each of the values, in satoshis."""
        coins: list[Owned] = []
        rest = -1
        while rest < 0:
            coins.append(self._coins.popleft())
            fee = fee_for(len(coins), len(values) + 1)
            rest = sum(coin.value for _, coin in coins) - sum(values) - fee
        script = decode_address(address)
        gift = pay(coins, [*(TxOut(value, script) for value in values), TxOut(rest, lock())])
        self._send(gift)
        self._fresh.append(made_by(gift, len(values)))
        return gift

    def confirm(self) -> None:
        """Mine what was given; what was left over can be given now."""
        self._islands.mine(0)
        self._coins += self._fresh
        self._fresh.clear()

    def _send(self, tx: Tx) -> None:
        self._islands.rpc(0, "sendrawtransaction", tx.raw.hex())
