"""Kinds of parameters in the description: schema, meaning, an example that every network has.

The limits are those that routes.py checks.
"""

from collections.abc import Mapping

from chain.address import BASE58_MAX, BECH32_MAX
from chain.hashes import sha256, to_hex
from chain.params import GENESIS
from node.api.docs.schemas import Schema
from node.api.routing.route import INDEX_MAX, NUMBER_MAX, ParamType
from node.interface.events import TOPICS

_GENESIS_BLOCK = to_hex(GENESIS.hash)
_GENESIS_TX = to_hex(GENESIS.txs[0].txid)
_GENESIS_SCRIPT = sha256(GENESIS.txs[0].outputs[0].script).hex()
_TOPIC = "|".join(TOPICS)
_ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""BIP173's first, on regtest."""


def _hash(kind: str) -> Schema:
    return {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "format": kind}


def _number(most: int) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": most}


def _anything(kind: str) -> Schema:
    return {"type": "string", "format": kind}


PARAMETERS: Mapping[ParamType, tuple[Schema, str, str | int]] = {
    ParamType.BLOCK_HASH: (_hash("block-hash"), "A block's hash.", _GENESIS_BLOCK),
    ParamType.TXID: (_hash("txid"), "A transaction's id.", _GENESIS_TX),
    ParamType.NUMBER: (_number(NUMBER_MAX), "A height, or a position; counted from 0.", 0),
    ParamType.INDEX: (_number(INDEX_MAX), "An output's index; counted from 0.", 0),
    ParamType.ADDRESS: (
        {
            "type": "string",
            "pattern": "^[0-9A-Za-z]+$",
            "maxLength": max(BECH32_MAX, BASE58_MAX),
            "format": "bitcoin-address",
        },
        "An address of the network: bech32, bech32m or Base58Check.",
        _ADDRESS,
    ),
    ParamType.SCRIPT_HASH: (_hash("script-hash"), "SHA-256 of the scriptPubKey, not reversed.", _GENESIS_SCRIPT),
    ParamType.LENIENT_NUMBER: (_anything("number"), "A height, or a position; anything else counts as left out.", "0"),
    ParamType.LENIENT_TXID: (
        _anything("txid"),
        "The last transaction of the page before; anything that is not a txid counts as left out.",
        _GENESIS_TX,
    ),
    ParamType.TOPICS: (
        {"type": "string", "pattern": f"^({_TOPIC})(,({_TOPIC}))*$"},
        "Kinds of events, with commas between them; all if it is left out.",
        ",".join(TOPICS[:2]),
    ),
    ParamType.COINS: (
        {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,8})?$", "format": "coins"},
        "Coins, with at most 8 decimals; of a fee rate for 1,000 virtual bytes.",
        "0.1",
    ),
    ParamType.TX_HEX: (_anything("transaction-hex"), "A transaction in hex.", GENESIS.txs[0].raw.hex()),
}
"""Schemas of parameters by kind; the formats are names for people and for test tools, and add no rule
but the address's checksum."""
