"""JSON-RPC about scripts."""

from chain.address import encode_address
from chain.coins import is_unspendable
from chain.hashes import hash160, sha256
from chain.script import COMPRESSED_SIZE
from chain.scripttype import ScriptType, classify, p2sh_script, p2wpkh_script, p2wsh_script, payload
from node.api.context import Call
from node.api.encoding.disassembler import has_valid_operators, instructions, multisig, multisig_descriptor
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import hex_bytes
from node.api.rpc.core_json import script_shape, script_type
from node.api.rpc.method import topic
from node.descriptors.checksum import with_checksum

_SUCCESS = frozenset((80, 98, *range(126, 130), *range(131, 135), 137, 138, 141, 142, *range(149, 154)))
"""Operators up to the last of old that make a tapscript valid whatever else is in it (BIP342)."""
_NEVER_WRAPPED = frozenset({"nulldata", "scripthash", "witness_unknown", "witness_v1_taproot", "anchor"})
_NEVER_IN_P2WSH = frozenset({"witness_v0_keyhash", "witness_v0_scripthash"})


def decodescript(call: Call, script: bytes) -> Shape:
    """Decode a script in hex; the addresses of P2SH and segwit outputs that it could be behind."""
    shape = script_shape(script)
    del shape["hex"]
    if not _can_be_wrapped(script):
        return shape
    shape["p2sh"] = encode_address(_p2sh(script))
    if _can_be_segwit(script):
        shape["segwit"] = _segwit_shape(script)
    return shape


def _segwit_shape(script: bytes) -> Shape:
    """The witness output that does the same."""
    kind = classify(script)
    if kind is ScriptType.P2PK:
        output = p2wpkh_script(hash160(payload(script)))
    elif kind is ScriptType.P2PKH:
        output = p2wpkh_script(payload(script))
    else:
        output = p2wsh_script(sha256(script))
    shape = script_shape(output)
    inner = multisig_descriptor(script)
    if inner is not None:
        shape["desc"] = with_checksum(f"wsh({inner})")
    return {**shape, "p2sh-segwit": encode_address(_p2sh(output))}


def _p2sh(script: bytes) -> bytes:
    return p2sh_script(hash160(script))


def _can_be_wrapped(script: bytes) -> bool:
    """True if P2SH would not make the script meaningless, as Core judges it."""
    if script_type(script) in _NEVER_WRAPPED or is_unspendable(script):
        return False
    return has_valid_operators(script) and all(step and step.operator not in _SUCCESS for step in instructions(script))


def _can_be_segwit(script: bytes) -> bool:
    """True if the script can be a witness script, as Core judges it: compressed keys only, and no witness output."""
    kind = script_type(script)
    if kind in _NEVER_IN_P2WSH:
        return False
    keys = [payload(script)] if kind == "pubkey" else (multisig(script) or (0, ()))[1]
    return all(len(key) == COMPRESSED_SIZE for key in keys)


METHODS = topic("Rawtransactions", (decodescript, hex_bytes("hexstring", "argument")))
"""About scripts."""
