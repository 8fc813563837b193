// bitcoinjs-lib and the REST API: a key's coins, a PSBT of them, its signatures, its way into a block.
// One step of it per run, and JSON out. Arguments: {url, kind, step, txid}.
import * as bitcoin from 'bitcoinjs-lib';
import * as ecc from '@bitcoinerlab/secp256k1';
import { ECPairFactory } from 'ecpair';

const { url, kind, step, txid } = JSON.parse(process.argv[2]);
const network = bitcoin.networks.regtest;
bitcoin.initEccLib(ecc);
const ECPair = ECPairFactory(ecc);

const key = ECPair.fromPrivateKey(Buffer.alloc(32, 7), { network });
const internalPubkey = key.publicKey.slice(1, 33);
const payments = {
  p2wpkh: bitcoin.payments.p2wpkh({ pubkey: key.publicKey, network }),
  p2pkh: bitcoin.payments.p2pkh({ pubkey: key.publicKey, network }),
  p2tr: bitcoin.payments.p2tr({ internalPubkey, network }),
};
const payment = payments[kind];

async function get(path) {
  const reply = await fetch(url + path);
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
  return reply.headers.get('content-type') === 'application/json' ? reply.json() : reply.text();
}

async function inputOf(utxo) {
  const input = { hash: utxo.txid, index: utxo.vout };
  if (kind === 'p2pkh') return { ...input, nonWitnessUtxo: Buffer.from(await get(`/tx/${utxo.txid}/hex`), 'hex') };
  const witnessUtxo = { script: payment.output, value: BigInt(utxo.value) };
  return kind === 'p2tr' ? { ...input, witnessUtxo, tapInternalKey: internalPubkey } : { ...input, witnessUtxo };
}

async function spend() {
  const height = Number(await get('/blocks/tip/height'));
  const utxos = await get(`/address/${payment.address}/utxo`);
  const mature = utxos.filter((utxo) => utxo.status.confirmed && height - utxo.status.block_height >= 99);
  const rate = (await get('/fee-estimates'))['1'];
  const psbt = new bitcoin.Psbt({ network });
  for (const utxo of mature.slice(0, 2)) psbt.addInput(await inputOf(utxo));
  const total = mature.slice(0, 2).reduce((sum, utxo) => sum + utxo.value, 0);
  const fee = Math.ceil(rate * 500);
  psbt.addOutput({ address: payment.address, value: BigInt(total - fee) });
  // The PSBT travels as text between whoever makes it and whoever signs it.
  const signer = bitcoin.Psbt.fromBase64(psbt.toBase64(), { network });
  if (kind === 'p2tr') {
    signer.signAllInputs(key.tweak(bitcoin.crypto.taggedHash('TapTweak', internalPubkey)));
  } else {
    signer.signAllInputs(key);
    const valid = signer.validateSignaturesOfAllInputs((pubkey, hash, signature) =>
      ECPair.fromPublicKey(pubkey).verify(hash, signature));
    if (!valid) throw new Error('signatures are not valid');
  }
  const tx = signer.finalizeAllInputs().extractTransaction();
  const reply = await fetch(`${url}/tx`, { method: 'POST', body: tx.toHex() });
  const txid = await reply.text();
  return {
    status: reply.status, txid, ours: tx.getId(), fee, total, virtual_size: tx.virtualSize(),
    unconfirmed: await get(`/tx/${txid}/status`),
  };
}

async function confirmed(txid) {
  const tx = bitcoin.Transaction.fromHex(await get(`/tx/${txid}/hex`));
  const status = await get(`/tx/${txid}/status`);
  const raw = await fetch(`${url}/block/${status.block_hash}/raw`);
  const block = bitcoin.Block.fromBuffer(Buffer.from(await raw.arrayBuffer()));
  return {
    status, txid: tx.getId(), fee: (await get(`/tx/${txid}`)).fee,
    block: block.getId(), roots: block.checkTxRoots(), proof_of_work: block.checkProofOfWork(),
    position: block.transactions.findIndex((one) => one.getId() === txid),
  };
}

const steps = { address: () => ({ address: payment.address }), spend, confirmed: () => confirmed(txid) };
console.log(JSON.stringify(await steps[step]()));
