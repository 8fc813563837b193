"""Python's clients of Bitcoin Core's JSON-RPC: each sends a payment, mines it, reads it, and hears of errors."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from http.client import HTTPConnection

import bitcoin
import bitcoin.rpc
import pytest
from bitcoin.core import CMutableTransaction, CMutableTxIn, CMutableTxOut, COutPoint, CTxInWitness, CTxWitness, lx
from bitcoin.core.script import OP_0, SIGHASH_ALL, SIGVERSION_WITNESS_V0, CScript, CScriptWitness, SignatureHash
from bitcoin.core.serialize import Hash160
from bitcoin.wallet import CBitcoinAddress, CBitcoinSecret, P2PKHBitcoinAddress, P2WPKHBitcoinAddress
from bitcoin_core_rpc import BitcoinCoreRpcClient, HttpError, RpcError
from bitcoinrpc._exceptions import RPCError
from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException
from bitcoinrpc.bitcoin_rpc import BitcoinRPC
from easybitcoinrpc import RPC, AuthenticationError, MethodNotFoundError, RpcCall
from easybitcoinrpc import RpcError as EasyRpcError

from chain.hashes import to_hex
from tests.clients.conftest import MATURE, SUBSIDY, FreshNode, Purse

UNKNOWN = "ab" * 32
NOT_FOUND = -5
CALL_S = 30.0
METHOD_NOT_FOUND = -32601


@pytest.fixture
def connection(node: FreshNode) -> Iterator[HTTPConnection]:
    """For python-bitcoinrpc, which never closes its own."""
    with closing(HTTPConnection("127.0.0.1", node.port, timeout=CALL_S)) as connection:
        yield connection


def test_python_bitcoinrpc(node: FreshNode, purse: Purse, connection: HTTPConnection) -> None:
    rpc = AuthServiceProxy(node.url_with_credentials, connection=connection)
    tx, tx_hex = purse.payment()
    txid = rpc.sendrawtransaction(tx_hex)
    assert txid == to_hex(tx.txid)
    assert rpc.getmempoolentry(txid)["fees"]["base"] == Decimal("0.00001000")
    [mined] = rpc.generatetoaddress(1, purse.address)
    assert rpc.getblock(mined)["tx"][1] == txid
    assert rpc.getrawtransaction(txid, 1)["confirmations"] == 1
    output = rpc.gettxout(txid, 0)
    assert output["value"] == Decimal("49.99999000")
    # Its batches name version 2.0 and are read in the older form, which Core too has given up in version 28.
    with pytest.raises(KeyError, match="error"):
        rpc.batch_([["getblockhash", height] for height in range(50)])
    with pytest.raises(JSONRPCException) as absent:
        rpc.getblock(UNKNOWN)
    assert (absent.value.code, absent.value.message) == (NOT_FOUND, "Block not found")
    with pytest.raises(JSONRPCException) as unknown:
        rpc.nosuchmethod()
    assert unknown.value.code == METHOD_NOT_FOUND
    with pytest.raises(JSONRPCException, match="401 Unauthorized"):
        AuthServiceProxy(f"http://{node.user}:wrong@{node.host}", connection=connection).getblockcount()


@pytest.fixture
def regtest_params() -> None:
    """python-bitcoinlib has its network in a global."""
    bitcoin.SelectParams("regtest")


@pytest.mark.usefixtures("regtest_params")
@pytest.mark.parametrize("witness", [True, False])
def test_python_bitcoinlib(node: FreshNode, witness: bool) -> None:
    """Its own keys and signatures, its proxy's objects, and its exceptions by code."""
    proxy = bitcoin.rpc.Proxy(node.url_with_credentials)
    secret = CBitcoinSecret.from_secret_bytes(b"\x07" * 32)
    program = Hash160(secret.pub)
    if witness:
        address = P2WPKHBitcoinAddress.from_scriptPubKey(CScript([OP_0, program]))
    else:
        address = P2PKHBitcoinAddress.from_pubkey(secret.pub)
    # Its generatetoaddress hands the address on as it is, which json cannot take.
    [first, *_] = [lx(each) for each in proxy.call("generatetoaddress", MATURE, str(address))]

    block = proxy.getblock(first)
    assert proxy.getblockcount() == MATURE
    assert proxy.getblockhash(1) == block.GetHash() == first
    assert proxy.getblockheader(first).hashMerkleRoot == block.calc_merkle_root()
    coinbase = block.vtx[0]
    assert coinbase.vout[0].nValue == SUBSIDY

    spend = CMutableTransaction(
        [CMutableTxIn(COutPoint(coinbase.GetTxid(), 0))],
        [CMutableTxOut(SUBSIDY - 1000, CBitcoinAddress(str(address)).to_scriptPubKey())],
    )
    code = CBitcoinAddress(str(P2PKHBitcoinAddress.from_pubkey(secret.pub))).to_scriptPubKey()
    if witness:
        digest = SignatureHash(code, spend, 0, SIGHASH_ALL, SUBSIDY, SIGVERSION_WITNESS_V0)
        stack = [secret.sign(digest) + bytes([SIGHASH_ALL]), secret.pub]
        spend.wit = CTxWitness([CTxInWitness(CScriptWitness(stack))])
    else:
        digest = SignatureHash(code, spend, 0, SIGHASH_ALL)
        spend.vin[0].scriptSig = CScript([secret.sign(digest) + bytes([SIGHASH_ALL]), secret.pub])
    txid = proxy.sendrawtransaction(spend)
    assert txid == spend.GetTxid()
    assert proxy.getrawmempool() == [txid]
    assert proxy.getrawtransaction(txid).serialize() == spend.serialize()

    [mined] = proxy.call("generatetoaddress", 1, str(address))
    found = proxy.getrawtransaction(txid, verbose=True)
    assert (found["tx"].serialize(), found["confirmations"], found["blockhash"]) == (spend.serialize(), 1, lx(mined))
    output = proxy.gettxout(COutPoint(txid, 0))
    assert output["txout"].nValue == SUBSIDY - 1000
    assert output["bestblock"] == lx(mined)
    with pytest.raises(IndexError):
        proxy.gettxout(COutPoint(coinbase.GetTxid(), 0))
    with pytest.raises(IndexError):
        proxy.getblock(lx(UNKNOWN))
    with pytest.raises(IndexError):
        proxy.getblockhash(MATURE + 5)
    with pytest.raises(bitcoin.rpc.VerifyAlreadyInChainError):
        proxy.sendrawtransaction(spend)
    spend.nLockTime = 1
    with pytest.raises(bitcoin.rpc.VerifyError):
        proxy.sendrawtransaction(spend)
    proxy.close()


@pytest.mark.usefixtures("regtest_params")
def test_python_bitcoinlib_finds_the_cookie(node: FreshNode) -> None:
    """With a bitcoin.conf that names the data folder, and no credentials."""
    conf = node.datadir / "bitcoin.conf"
    conf.write_text(f"rpcconnect=127.0.0.1\nrpcport={node.port}\ndatadir={node.datadir}\n")
    proxy = bitcoin.rpc.Proxy(btc_conf_file=str(conf))
    assert proxy.getblockcount() == 0
    proxy.close()


def test_bitcoin_core_rpc(node: FreshNode, purse: Purse) -> None:
    """JSON-RPC 2.0's marker, named parameters, batches with errors in them, and the cookie file."""
    client = BitcoinCoreRpcClient(node.url, cookie_path=node.cookie)
    tx, tx_hex = purse.payment()
    assert client.call("testmempoolaccept", {"rawtxs": [tx_hex]})[0]["allowed"] is True
    txid = client.call("sendrawtransaction", {"hexstring": tx_hex})
    assert txid == to_hex(tx.txid)
    [mined] = client.call("generatetoaddress", {"nblocks": 1, "address": purse.address})
    assert client.call("getblock", {"blockhash": mined, "verbosity": 2})["tx"][1]["fee"] == Decimal("0.00001000")
    assert client.call("getblock", {"args": [mined], "verbosity": 1})["tx"][1] == txid
    height, absent, tip = client.call_batch(
        [("getblockcount", None), ("getblock", [UNKNOWN]), ("getblockhash", {"height": MATURE + 1})]
    )
    assert (height, tip) == (MATURE + 1, mined)
    assert isinstance(absent, RpcError)
    assert absent.code == NOT_FOUND
    with pytest.raises(RpcError) as named:
        client.call("getblock", {"blockhash": mined, "wordy": True})
    assert named.value.code == -8
    with pytest.raises(HttpError) as refused:
        BitcoinCoreRpcClient(node.url, user=node.user, password="wrong").call("getblockcount")
    assert refused.value.status == 401


def test_easybitcoinrpc(node: FreshNode, purse: Purse) -> None:
    """Every call of it is a batch of one."""
    _, tx_hex = purse.payment()
    with RPC("127.0.0.1", node.port, node.user, node.password) as rpc:
        txid = rpc.client.call("sendrawtransaction", tx_hex)
        [mined] = rpc.client.call("generatetoaddress", 1, purse.address)
        count, block = rpc.client.batch(RpcCall.of("getblockcount"), RpcCall.of("getblock", mined, 1))
        assert (count, block["tx"][1]) == (MATURE + 1, txid)
        assert rpc.blockchain.get_block_count() == MATURE + 1
        assert rpc.blockchain.get_best_block_hash() == mined
        with pytest.raises(EasyRpcError) as absent:
            rpc.client.call("getblock", UNKNOWN)
        assert absent.value.code == NOT_FOUND
        with pytest.raises(MethodNotFoundError):
            rpc.client.call("nosuchmethod")
    with RPC("127.0.0.1", node.port, node.user, "wrong") as rpc, pytest.raises(AuthenticationError):
        rpc.client.call("getblockcount")


def test_bitcoinrpc(node: FreshNode, purse: Purse) -> None:
    """Asynchronous, many calls at once on kept connections."""
    _, tx_hex = purse.payment()

    async def use() -> None:
        async with BitcoinRPC.from_config(node.url, (node.user, node.password)) as rpc:
            txid = await rpc.acall("sendrawtransaction", [tx_hex])
            [mined] = await rpc.acall("generatetoaddress", [1, purse.address])
            assert await rpc.getbestblockhash() == mined
            assert (await rpc.getblock(mined, 2))["tx"][1]["txid"] == txid
            assert (await rpc.getblockheader(mined))["nTx"] == 2
            hashes = await asyncio.gather(*(rpc.getblockhash(height) for height in range(30)))
            assert len(set(hashes)) == 30
            assert (await rpc.getblockchaininfo())["chain"] == "regtest"
            assert (await rpc.getmempoolinfo())["size"] == 0
            with pytest.raises(RPCError) as absent:
                await rpc.getblock(UNKNOWN)
            assert absent.value.error["code"] == NOT_FOUND

    asyncio.run(use())
