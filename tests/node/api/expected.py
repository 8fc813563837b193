"""What Esplora's API has to say of a `Stocked` desk, made from its blocks and transactions alone."""

from typing import Any

from chain.address import encode_address
from chain.block import Block
from chain.hashes import to_hex
from chain.params import GENESIS
from chain.tx import NULL_OUTPOINT, Tx, TxOut, outpoint, outpoint_index
from tests.node.api.stocked import ZOO, Stocked

ASM = {
    "p2pk": "OP_PUSHBYTES_33 {2:-2} OP_CHECKSIG",
    "p2pk, uncompressed": "OP_PUSHBYTES_65 {2:-2} OP_CHECKSIG",
    "p2sh": "OP_HASH160 OP_PUSHBYTES_20 {4:-2} OP_EQUAL",
    "p2wsh": "OP_0 OP_PUSHBYTES_32 {4:}",
    "op_return": "OP_RETURN OP_PUSHBYTES_2 {4:}",
    "op_return alone": "OP_RETURN",
    "multisig": "OP_PUSHNUM_1 OP_PUSHBYTES_33 {4:70} OP_PUSHBYTES_33 {72:138} OP_PUSHNUM_2 OP_CHECKMULTISIG",
    "witness version 2": "OP_PUSHNUM_2 OP_PUSHBYTES_16 {4:}",
    "witness version 16": "OP_PUSHNUM_16 OP_PUSHBYTES_2 {4:}",
    "witness version 1, 20 bytes": "OP_PUSHNUM_1 OP_PUSHBYTES_20 {4:}",
    "witness version 0, 16 bytes": "OP_0 OP_PUSHBYTES_16 {4:}",
    "anything": "OP_PUSHNUM_1 OP_EQUAL",
    "a push cut short": "OP_PUSHBYTES_5 <push past end>",
    "empty": "",
    "v0_p2wpkh": "OP_0 OP_PUSHBYTES_20 {4:}",
    "p2pkh": "OP_DUP OP_HASH160 OP_PUSHBYTES_20 {6:-4} OP_EQUALVERIFY OP_CHECKSIG",
    "v1_p2tr": "OP_PUSHNUM_1 OP_PUSHBYTES_32 {4:}",
}
"""Scripts as text, {from:to} standing for a part of the hex; by the names of ZOO, or by type."""


def asm(name: str, script: bytes) -> str:
    pattern, digits = ASM[name], script.hex()
    while "{" in pattern:
        head, _, rest = pattern.partition("{")
        part, _, tail = rest.partition("}")
        first, _, last = part.partition(":")
        pattern = head + digits[int(first) : int(last) if last else None] + tail
    return pattern


def output(script: bytes, amount: int) -> dict[str, Any]:
    name = next((name for name, (known, *_) in ZOO.items() if known == script), None)
    if name is not None:
        _, kind, address = ZOO[name]
        text = asm(name if name in ASM else kind, script)
    elif script[:6] == b"\x6a\x24\xaa\x21\xa9\xed":
        kind, text, address = "op_return", f"OP_RETURN OP_PUSHBYTES_36 {script[2:].hex()}", None
    else:
        kind = {22: "v0_p2wpkh", 25: "p2pkh", 34: "v1_p2tr"}[len(script)]
        text, address = asm(kind, script), encode_address(script)
    shape = {"scriptpubkey": script.hex(), "scriptpubkey_asm": text, "scriptpubkey_type": kind, "value": amount}
    return shape | ({"scriptpubkey_address": address} if address else {})


def status(s: Stocked, height: int | None) -> dict[str, Any]:
    if height is None:
        return {"confirmed": False}
    header = s.lab.blocks[height - 1].header
    return {
        "confirmed": True,
        "block_height": height,
        "block_hash": to_hex(header.hash),
        "block_time": header.time,
    }


def coins(s: Stocked) -> dict[bytes, TxOut]:
    txs = [*(tx for block in s.lab.blocks for tx in block.txs), *s.waiting, s.waiting_spender]
    return {bytes(outpoint(tx.txid, n)): made for tx in txs for n, made in enumerate(tx.outputs)}


def whole(s: Stocked, tx: Tx, height: int | None) -> dict[str, Any]:
    known = coins(s)
    spent = [known.get(bytes(one.outpoint)) for one in tx.inputs]
    vin = []
    for one, coin in zip(tx.inputs, spent, strict=True):
        size = one.script_sig[0] if one.script_sig else 0
        words = f"OP_PUSHBYTES_{size} {one.script_sig[1 : size + 1].hex()}"
        words += f" OP_PUSHBYTES_33 {one.script_sig[size + 2 :].hex()}"
        shape = {
            "txid": to_hex(one.outpoint[:32]),
            "vout": outpoint_index(one.outpoint),
            "prevout": output(coin.script, coin.value) if coin else None,
            "scriptsig": one.script_sig.hex(),
            "scriptsig_asm": words if coin and size else "",
            "is_coinbase": one.outpoint == NULL_OUTPOINT,
            "sequence": one.sequence,
        }
        if one.witness:
            shape["witness"] = [item.hex() for item in one.witness]
        if coin is None:  # a coinbase: the height, and an extra nonce
            height_bytes = one.script_sig[1:2].hex()
            shape["scriptsig_asm"] = f"OP_PUSHBYTES_1 {height_bytes} OP_PUSHBYTES_8 {one.script_sig[3:].hex()}"
        vin.append(shape)
    return {
        "txid": to_hex(tx.txid),
        "version": tx.version,
        "locktime": tx.lock_time,
        "vin": vin,
        "vout": [output(made.script, made.value) for made in tx.outputs],
        "size": len(tx.raw),
        "weight": tx.weight,
        "fee": sum(coin.value for coin in spent if coin) - sum(m.value for m in tx.outputs) if all(spent) else 0,
        "status": status(s, height),
    }


def block(s: Stocked, one: Block, height: int) -> dict[str, Any]:
    times = [GENESIS.header.time, *(other.header.time for other in s.lab.blocks)][: height + 1]
    if one is s.stale:
        times[-1] = one.header.time
    return {
        "id": to_hex(one.hash),
        "height": height,
        "version": 0x20000000 if height else 1,
        "timestamp": one.header.time,
        "tx_count": len(one.txs),
        "size": len(one.raw),
        "weight": one.weight,
        "merkle_root": to_hex(one.header.merkle_root),
        "previousblockhash": to_hex(one.header.prev_hash) if height else None,
        "mediantime": sorted(times[-11:])[len(times[-11:]) // 2],
        "nonce": one.header.nonce,
        "bits": 0x207FFFFF,
        "difficulty": 4.6565423739069247e-10,
    }


def blocks(s: Stocked, top: int) -> list[dict[str, Any]]:
    chain = [GENESIS, *s.lab.blocks]
    return [block(s, chain[height], height) for height in range(top, max(-1, top - 10), -1)]


def history(s: Stocked) -> list[Tx]:
    """What pays or spends the busy script in blocks, newest first; inside a block the last comes first."""
    known = coins(s)
    return [tx for one in reversed(s.lab.blocks) for tx in reversed(one.txs) if any(flows(s, tx, known))]


def flows(s: Stocked, tx: Tx, known: dict[bytes, TxOut]) -> tuple[list[TxOut], list[TxOut]]:
    """The busy script's outputs that a transaction makes, and those that it spends."""
    spent = [known[bytes(one.outpoint)] for one in tx.inputs if bytes(one.outpoint) in known]
    return [o for o in tx.outputs if o.script == s.busy], [o for o in spent if o.script == s.busy]


def height_of(s: Stocked, tx: Tx) -> int:
    return next(n for n, one in enumerate(s.lab.blocks, 1) if tx in one.txs)


def confirmed(s: Stocked, first: int, last: int) -> list[dict[str, Any]]:
    return [whole(s, tx, height_of(s, tx)) for tx in history(s)[first:last]]


def unconfirmed(s: Stocked) -> list[dict[str, Any]]:
    return [whole(s, tx, None) for tx in s.waiting[:-51:-1]]


def sums(s: Stocked) -> dict[str, Any]:
    known, found = coins(s), {}
    for name, txs in (("chain_stats", history(s)), ("mempool_stats", s.waiting)):
        made, spent = ([o.value for tx in txs for o in flows(s, tx, known)[way]] for way in (0, 1))
        found[name] = {
            "tx_count": len(txs),
            "funded_txo_count": len(made),
            "funded_txo_sum": sum(made),
            "spent_txo_count": len(spent),
            "spent_txo_sum": sum(spent),
        }
    return found


def utxos(s: Stocked) -> list[dict[str, Any]]:
    found = [(tx, height_of(s, tx)) for tx in history(s)] + [(tx, None) for tx in s.waiting]
    gone = {bytes(one.outpoint) for tx, _ in found for one in tx.inputs}
    unspent = [
        {"txid": to_hex(tx.txid), "vout": n, "status": status(s, height), "value": o.value}
        for tx, height in found
        for n, o in enumerate(tx.outputs)
        if o.script == s.busy and bytes(outpoint(tx.txid, n)) not in gone
    ]
    return sorted(unspent, key=lambda coin: (str(coin["txid"]), coin["vout"]))


def outspend(tx: Tx, where: dict[str, Any]) -> dict[str, Any]:
    return {"spent": True, "txid": to_hex(tx.txid), "vin": 0, "status": where}


def merkle_block(s: Stocked) -> str:
    """Of the zoo: the second of the two in block 113. Both hashes; root and right leaf marked."""
    coinbase, zoo = s.lab.blocks[112].txs
    flags = "02" + "0105"[2:]
    hashes = (bytes(coinbase.txid) + bytes(zoo.txid)).hex()
    return s.lab.blocks[112].header.raw.hex() + "02000000" + "02" + hashes + "01" + flags[2:]


def histogram(s: Stocked) -> list[list[float]]:
    """Less than one bin: all of it, at the lowest rate."""
    known = coins(s)
    pool = [*s.waiting, s.waiting_spender]
    rates = [
        (sum(known[bytes(i.outpoint)].value for i in tx.inputs) - sum(o.value for o in tx.outputs)) / tx.vsize
        for tx in pool
    ]
    return [[round(min(rates), 2), sum(tx.vsize for tx in pool)]]


def fee(s: Stocked, tx: Tx) -> int:
    known = coins(s)
    return sum(known[bytes(i.outpoint)].value for i in tx.inputs) - sum(o.value for o in tx.outputs)


def recent(s: Stocked) -> list[dict[str, Any]]:
    newest = [s.waiting_spender, *s.waiting[::-1]][:10]
    return [
        {
            "txid": to_hex(tx.txid),
            "fee": fee(s, tx),
            "vsize": tx.vsize,
            "value": fee(s, tx) + sum(o.value for o in tx.outputs),
        }
        for tx in newest
    ]
