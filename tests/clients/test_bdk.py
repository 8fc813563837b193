"""The Bitcoin Development Kit's wallet over the node's Esplora API, from an empty wallet to a reorganisation."""

from typing import Any

import pytest

from tests.clients.conftest import MATURE, SUBSIDY, FreshNode

bdk = pytest.importorskip("bdkpython")  # a compiled library: there is no wheel for every machine

WORDS = "abandon " * 11 + "about"
SOMEBODY = "legal winner thank year wave sausage worth useful legal winner thank yellow"
OTHER_WORDS = "zoo " * 11 + "wrong"
STOP_GAP = 20
PARALLEL = 5
NETWORK = bdk.Network.REGTEST
EXTERNAL = bdk.KeychainKind.EXTERNAL


class Bdk:
    """One BDK wallet and its Esplora client."""

    def __init__(self, node: FreshNode, make: str = "new_bip84", words: str = WORDS) -> None:
        kind = bdk.NetworkKind.TEST
        secret = bdk.DescriptorSecretKey(kind, bdk.Mnemonic.from_string(words.strip()), None)
        descriptors = [
            getattr(bdk.Descriptor, make)(secret, chain, kind) for chain in (EXTERNAL, bdk.KeychainKind.INTERNAL)
        ]
        self.wallet = bdk.Wallet(*descriptors, NETWORK, bdk.Persister.new_in_memory())
        self.client = bdk.EsploraClient(node.url)

    def full_scan(self) -> None:
        request = self.wallet.start_full_scan().build()
        self.wallet.apply_update(self.client.full_scan(request, STOP_GAP, PARALLEL))

    def sync(self) -> None:
        request = self.wallet.start_sync_with_revealed_spks().build()
        self.wallet.apply_update(self.client.sync(request, PARALLEL))

    def new_address(self) -> str:
        return str(self.wallet.reveal_next_address(EXTERNAL).address)

    def send(self, psbt: Any) -> Any:
        """Sign it, extract it, broadcast it."""
        assert self.wallet.sign(psbt)
        tx = psbt.extract_tx()
        self.client.broadcast(tx)
        return tx

    def pay(self, address: str, satoshis: int, rate: int = 2) -> Any:
        script = bdk.Address(address, NETWORK).script_pubkey()
        builder = bdk.TxBuilder().add_recipient(script, bdk.Amount.from_sat(satoshis))
        return self.send(builder.fee_rate(bdk.FeeRate.from_sat_per_vb(rate)).finish(self.wallet))

    def balances(self) -> tuple[int, int, int]:
        """Confirmed and mature, immature, and pending, in satoshis."""
        balance = self.wallet.balance()
        pending = balance.trusted_pending.to_sat() + balance.untrusted_pending.to_sat()
        return balance.confirmed.to_sat(), balance.immature.to_sat(), pending

    def confirmed_at(self, txid: Any) -> int | None:
        """The height of its block; None while it waits. Fails for what the wallet does not know."""
        found = self.wallet.get_tx(txid)
        assert found, f"{txid} is not in the wallet"
        position = found.chain_position
        return position.confirmation_block_time.block_id.height if position.is_confirmed() else None


def test_an_empty_wallet_scans_an_empty_chain(node: FreshNode) -> None:
    wallet = Bdk(node)
    wallet.full_scan()
    assert wallet.balances() == (0, 0, 0)
    assert wallet.wallet.latest_checkpoint().height == 0
    assert wallet.client.get_height() == 0


@pytest.mark.parametrize("make", ["new_bip84", "new_bip86", "new_bip44"])
def test_receive_spend_and_confirm(node: FreshNode, make: str) -> None:
    """P2WPKH, P2TR and P2PKH: found by a scan, spent, mined, and found by another wallet's scan."""
    payer, payee = Bdk(node, make), Bdk(node, make, OTHER_WORDS)
    node.mine(MATURE + 1, payer.new_address())
    payer.full_scan()
    # Mature are the coins that the next block may spend: those of blocks 1 to 3.
    assert payer.balances() == (3 * SUBSIDY, (MATURE - 2) * SUBSIDY, 0)

    tx = payer.pay(payee.new_address(), 12_345_678)
    txid, fee = tx.compute_txid(), payer.wallet.calculate_fee(tx).to_sat()
    assert node.rpc("getrawmempool") == [str(txid)]
    payee.sync()
    assert payee.balances() == (0, 0, 12_345_678)
    assert payee.confirmed_at(txid) is None

    node.mine(1, node_address(node))
    payer.sync()
    payee.full_scan()
    assert payee.balances() == (12_345_678, 0, 0)
    assert payee.confirmed_at(txid) == payer.confirmed_at(txid) == MATURE + 2
    mature, immature, pending = payer.balances()
    assert (mature + immature, pending) == ((MATURE + 1) * SUBSIDY - 12_345_678 - fee, 0)

    fresh = Bdk(node, make)
    fresh.full_scan()
    assert fresh.balances() == payer.balances()


def test_a_long_history_is_scanned_to_its_end(node: FreshNode) -> None:
    """More transactions of one script than a page holds, and coins behind a gap of unused addresses."""
    wallet = Bdk(node)
    addresses = [wallet.new_address() for _ in range(STOP_GAP)]
    node.mine(60, addresses[0])
    node.mine(1, addresses[-1])
    fresh = Bdk(node)
    fresh.full_scan()
    assert len(fresh.wallet.transactions()) == 61
    assert fresh.wallet.derivation_index(EXTERNAL) == STOP_GAP - 1


def test_a_fee_bump_replaces_the_payment(node: FreshNode) -> None:
    payer, payee = Bdk(node), Bdk(node, words=OTHER_WORDS)
    node.mine(MATURE, payer.new_address())
    payer.full_scan()
    first_tx = payer.pay(payee.new_address(), 1_000_000)
    first = first_tx.compute_txid()
    payer.sync()
    payee.sync()
    assert payee.confirmed_at(first) is None
    bumped = payer.send(bdk.BumpFeeTxBuilder(first, bdk.FeeRate.from_sat_per_vb(10)).finish(payer.wallet))
    assert node.rpc("getrawmempool") == [str(bumped.compute_txid())]
    for wallet in (payer, payee):
        wallet.sync()
        assert wallet.confirmed_at(bumped.compute_txid()) is None
        assert wallet.wallet.get_tx(first) is None
    assert payee.balances() == (0, 0, 1_000_000)

    # The cheaper one does not come back, and BDK hears so at once: it never repeats a broadcast.
    with pytest.raises(bdk.EsploraError.HttpResponse) as refused:
        payer.client.broadcast(first_tx)
    assert refused.value.status == 400
    node.mine(1, node_address(node))
    payee.sync()
    assert payee.confirmed_at(bumped.compute_txid()) == MATURE + 1


def test_a_reorganisation_moves_and_drops_what_it_must(node: FreshNode) -> None:
    """The payment goes back to the mempool and into another block; the lost coinbase goes for good."""
    payer, payee = Bdk(node), Bdk(node, words=OTHER_WORDS)
    node.mine(MATURE, payer.new_address())
    payer.full_scan()
    txid = payer.pay(payee.new_address(), 5_000_000).compute_txid()
    lost = node.mine(2, payee.new_address())
    payee.full_scan()
    assert payee.confirmed_at(txid) == MATURE + 1
    mature, immature, pending = payee.balances()
    assert (mature, pending) == (5_000_000, 0)
    assert immature > 2 * SUBSIDY

    node.rpc("invalidateblock", lost[0])
    assert node.rpc("getrawmempool") == [str(txid)]
    # BDK ignores a chain that is shorter than what it knows.
    node.rpc("generateblock", node_address(node), [])
    node.mine(2, node_address(node))
    payee.sync()
    assert payee.balances() == (5_000_000, 0, 0)
    assert payee.confirmed_at(txid) == MATURE + 2
    assert payee.wallet.latest_checkpoint().height == MATURE + 3
    assert str(payee.wallet.latest_checkpoint().hash) == node.rpc("getbestblockhash")


def test_every_single_call_of_its_client(node: FreshNode) -> None:
    payer, payee = Bdk(node), Bdk(node, words=OTHER_WORDS)
    address = payer.new_address()
    hashes = node.mine(MATURE, address)
    payer.full_scan()
    tx = payer.pay(payee.new_address(), 1_000_000)
    txid = tx.compute_txid()
    client = payer.client
    assert client.get_tx_status(txid).confirmed is False
    assert client.get_merkle_proof(txid) is None
    [mined] = node.mine(1, address)

    block_hash = client.get_block_hash(MATURE + 1)
    assert str(block_hash) == mined == str(client.get_tip_hash())
    assert client.get_tx_no_opt(txid).serialize() == client.get_tx(txid).serialize() == tx.serialize()
    assert client.get_tx_info(txid).fee == payer.wallet.calculate_fee(tx).to_sat()
    status = client.get_tx_status(txid)
    assert (status.confirmed, status.block_height, str(status.block_hash)) == (True, MATURE + 1, mined)
    proof = client.get_merkle_proof(txid)
    assert (proof.block_height, proof.pos, len(proof.merkle)) == (MATURE + 1, 1, 1)
    assert client.get_block_by_hash(block_hash).txdata[1].compute_txid() == txid
    assert str(client.get_header_by_hash(block_hash).prev_blockhash) == hashes[-1]
    assert client.get_txid_at_block_index(block_hash, 1) == txid
    assert client.get_txid_at_block_index(block_hash, 2) is None
    spent = tx.input()[0].previous_output
    assert client.get_output_status(spent.txid, spent.vout).txid == txid
    assert len(client.get_address_txs(bdk.Address(address, NETWORK), None)) == 25
    assert client.get_fee_estimates()[1] >= 1.0
    unknown = bdk.Txid.from_string("ab" * 32)
    assert client.get_tx(unknown) is None
    assert client.get_tx_status(unknown).confirmed is False


def node_address(node: FreshNode) -> str:
    """Somebody else's address."""
    return str(Bdk(node, words=SOMEBODY).new_address())
