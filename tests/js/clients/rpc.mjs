// Three clients of Bitcoin Core's JSON-RPC do the same: each in its manner. Arguments:
// {client, port, user, password, address, hex}; prints what it was told.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { client, port, user, password, address, hex } = JSON.parse(process.argv[2]);
const UNKNOWN = 'ab'.repeat(32);

async function refusal(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { code: error.code ?? null, message: error.message };
  }
}

// Named parameters, batches, and long methods in camel case.
async function bitcoinCore() {
  const Client = require('bitcoin-core');
  const options = { host: `http://127.0.0.1:${port}`, username: user, version: '29.0.0' };
  const rpc = new Client({ ...options, password });
  const txid = await rpc.sendRawTransaction({ hexstring: hex });
  const [mined] = await rpc.generateToAddress({ nblocks: 1, address });
  const [count, hash, absent] = await rpc.command([
    { method: 'getblockcount', parameters: [] },
    { method: 'getblockhash', parameters: { height: 1 } },
    { method: 'getblock', parameters: [UNKNOWN] },
  ]);
  return {
    txid, mined, count, hash, absent: { code: absent.code, message: absent.message },
    block: (await rpc.getBlock({ blockhash: mined, verbosity: 2 })).tx.map((tx) => tx.txid),
    positional: (await rpc.getBlock(mined)).height,
    info: (await rpc.getBlockchainInfo()).chain,
    refused: await refusal(rpc.getBlock(UNKNOWN)),
    unauthorized: (await refusal(new Client({ ...options, password: 'wrong' }).getBlockCount())).code,
  };
}

// Always named parameters, and a wallet's path if it is told of one.
async function rpcBitcoin() {
  const { RPCClient } = require('rpc-bitcoin');
  const options = { url: 'http://127.0.0.1', port, user };
  const rpc = new RPCClient({ ...options, pass: password });
  const txid = await rpc.sendrawtransaction({ hexstring: hex });
  const [mined] = await rpc.generatetoaddress({ nblocks: 1, address });
  const batch = await rpc.batch([
    { method: 'getblockcount', params: [], id: 1 },
    { method: 'getblockhash', params: { height: 1 }, id: 2 },
    { method: 'getblock', params: [UNKNOWN], id: 3 },
  ]);
  return {
    txid, mined, count: batch[0].result, hash: batch[1].result, absent: batch[2].error,
    block: (await rpc.getblock({ blockhash: mined, verbosity: 2 })).tx.map((tx) => tx.txid),
    positional: (await rpc.getblock({ blockhash: mined })).height,
    info: (await rpc.getblockchaininfo()).chain,
    refused: await refusal(rpc.getblock({ blockhash: UNKNOWN })),
    unauthorized: (await refusal(new RPCClient({ ...options, pass: 'wrong' }).getblockcount())).message.slice(0, 3),
  };
}

// Callbacks, and no Content-Type that says so.
async function bitcoindRpc() {
  const RpcClient = require('bitcoind-rpc');
  RpcClient.config.logger = 'none';
  const options = { protocol: 'http', host: '127.0.0.1', port, user };
  const rpc = new RpcClient({ ...options, pass: password });
  const call = (method, ...params) => new Promise((resolve, reject) => {
    rpc[method](...params, (error, reply) => (error ? reject(error) : resolve(reply.result)));
  });
  const txid = await call('sendRawTransaction', hex);
  const [mined] = await call('generateToAddress', 1, address);
  const batch = await new Promise((resolve, reject) => {
    rpc.batch(
      () => { rpc.getBlockCount(); rpc.getBlockHash(1); rpc.getBlock(UNKNOWN); },
      (error, replies) => (error ? reject(error) : resolve(replies)),
    );
  });
  const wrong = new RpcClient({ ...options, pass: 'wrong' });
  return {
    txid, mined, count: batch[0].result, hash: batch[1].result, absent: batch[2].error,
    block: (await call('getBlock', mined, 2)).tx.map((tx) => tx.txid),
    positional: (await call('getBlock', mined)).height,
    info: (await call('getBlockchainInfo')).chain,
    refused: await refusal(call('getBlock', UNKNOWN)),
    unauthorized: (await refusal(new Promise((resolve, reject) => {
      wrong.getBlockCount((error, reply) => (error ? reject(error) : resolve(reply)));
    }))).message,
  };
}

const clients = { 'bitcoin-core': bitcoinCore, 'rpc-bitcoin': rpcBitcoin, 'bitcoind-rpc': bitcoindRpc };
console.log(JSON.stringify(await clients[client]()));
