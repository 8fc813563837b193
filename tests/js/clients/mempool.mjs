// mempool.js against the REST API. Arguments: {port, address, hex, txid, spent, block}; prints what it was told.
import mempoolJS from '@mempool/mempool.js';

const { port, address, hex, step, txid, block } = JSON.parse(process.argv[2]);
const { bitcoin } = mempoolJS({ hostname: `127.0.0.1:${port}`, network: 'regtest', protocol: 'http' });
const { addresses, blocks, fees, mempool, transactions } = bitcoin;

async function refusal(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { status: error.response?.status, text: error.response?.data };
  }
}

async function broadcast() {
  const sent = await transactions.postTx({ txhex: hex });
  return {
    sent,
    again: await transactions.postTx({ txhex: hex }),
    bad: await refusal(transactions.postTx({ txhex: '00' })),
    unconfirmed: (await addresses.getAddressTxsMempool({ address })).map((tx) => tx.txid),
    mempool: await mempool.getMempool(),
    txids: await mempool.getMempoolTxids(),
    recent: await mempool.getMempoolRecent(),
    recommended: await fees.getFeesRecommended(),
  };
}

async function confirmed() {
  const first = await addresses.getAddressTxs({ address });
  const last = first[first.length - 1].txid;
  const tx = await transactions.getTx({ txid });
  return {
    tip: [await blocks.getBlocksTipHeight(), await blocks.getBlocksTipHash()],
    at_height: await blocks.getBlockHeight({ height: 1 }),
    header: await blocks.getBlockHeader({ hash: block }),
    block_status: await blocks.getBlockStatus({ hash: block }),
    block_txids: await blocks.getBlockTxids({ hash: block }),
    block_txid: await blocks.getBlockTxid({ hash: block, index: 1 }),
    block_txs: (await blocks.getBlockTxs({ hash: block, start_index: 0 })).map((each) => each.txid),
    block: await blocks.getBlock({ hash: block }),
    blocks: (await blocks.getBlocks({ start_height: 12 })).map((each) => each.height),
    tx: { fee: tx.fee, status: tx.status, spent: tx.vin[0].prevout.value },
    status: await transactions.getTxStatus({ txid }),
    hex: await transactions.getTxHex({ txid }),
    merkle_proof: await transactions.getTxMerkleProof({ txid }),
    merkleblock_proof: await transactions.getTxMerkleBlockProof({ txid }),
    outspend: await transactions.getTxOutspend({ txid: tx.vin[0].txid, vout: tx.vin[0].vout }),
    outspends: await transactions.getTxOutspends({ txid }),
    address: await addresses.getAddress({ address }),
    utxos: (await addresses.getAddressTxsUtxo({ address })).length,
    pages: [first, await addresses.getAddressTxs({ address, after_txid: last })].map((page) => page.map((each) => each.txid)),
    chain: (await addresses.getAddressTxsChain({ address })).length,
    absent: await refusal(transactions.getTx({ txid: 'ab'.repeat(32) })),
  };
}

console.log(JSON.stringify(await { broadcast, confirmed }[step]()));
