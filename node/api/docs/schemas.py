"""JSON schemas (2020-12) of what the REST routes answer: the shapes of `query/esplora_json.py` and of the routes.

`Route.schema` names them. Objects are closed: a key that is not here is never sent. Imported with the first
request for a description, never before.
"""

from collections.abc import Mapping
from typing import Any

from node.api.actions.peer_json import SERVICE_NAMES
from node.api.rest.blocks import BLOCKS_LISTED, TXS_PER_PAGE
from node.api.rest.filters import HEADERS_LISTED
from node.api.rest.mempool import RECENT_TXS, RECOMMENDED_TARGETS
from node.api.rest.scripts import UNCONFIRMED_MAX
from node.mempool.fee_estimator import TARGETS
from node.mempool.package_prechecks import PACKAGE_TXS_MAX
from node.p2p.scoring.peer_score import Grade
from node.p2p.scoring.service_flags import Role

Schema = dict[str, Any]

INT64_MAX = 2**63 - 1
UINT32_MAX = 2**32 - 1


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def described(schema: Schema, words: str) -> Schema:
    """A schema with its meaning in words."""
    return {**schema, "description": words}


def nullable(schema: Schema) -> Schema:
    """That, or null."""
    if isinstance(schema.get("type"), str) and not schema.keys() & {"enum", "const"}:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema, most: int | None = None) -> Schema:
    """An array of such, of `most` at most."""
    return {"type": "array", "items": items, **({} if most is None else {"maxItems": most})}


def closed(words: str, required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object of these keys and no others."""
    return {
        "type": "object",
        "description": words,
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def one_of_words(*words: str) -> Schema:
    """A schema for a choice of texts."""
    return {"type": "string", "enum": list(words)}


def _integer(words: str, most: int = INT64_MAX, least: int = 0) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, "description": words}


def _hex(words: str, size: int | None = None) -> Schema:
    """Bytes in hex; `size` is their number."""
    many = "*" if size is None else f"{{{size}}}"
    return {"type": "string", "pattern": f"^([0-9a-f]{{2}}){many}$", "description": words}


def _number(words: str, least: float | None = None) -> Schema:
    return {"type": "number", "description": words, **({} if least is None else {"minimum": least})}


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
HEIGHT = _integer("A height; genesis has 0.", UINT32_MAX)
AMOUNT = _integer("Satoshis.")
TIME = _integer("Unix seconds.")
_TXID = described(HASH, "Id of a transaction.")
_BLOCK_HASH = described(HASH, "Hash of a block.")
_SCRIPT_TYPES = ("p2pk", "p2pkh", "p2sh", "v0_p2wpkh", "v0_p2wsh", "v1_p2tr", "op_return", "empty", "unknown")
_UNCONFIRMED = closed("In the mempool, or nowhere.", {"confirmed": {"const": False}})
_CONFIRMED = closed(
    "In a block of the best chain.",
    {
        "confirmed": {"const": True},
        "block_height": HEIGHT,
        "block_hash": _BLOCK_HASH,
        "block_time": described(TIME, "Of the block's header, Unix seconds."),
    },
)
_OUTPUT = closed(
    "An output.",
    {
        "scriptpubkey": _hex("The script."),
        "scriptpubkey_asm": described(TEXT, "The script as people read it."),
        "scriptpubkey_type": one_of_words(*_SCRIPT_TYPES),
        "value": AMOUNT,
    },
    {"scriptpubkey_address": described(TEXT, "Left out where the script has none.")},
)
_INPUT = closed(
    "An input.",
    {
        "txid": _TXID,
        "vout": _integer("Which output of it; 4294967295 for a coinbase.", UINT32_MAX),
        "prevout": described(nullable(ref("Output")), "The coin that is spent; null for a coinbase, or if unknown."),
        "scriptsig": _hex("The script."),
        "scriptsig_asm": described(TEXT, "The script as people read it."),
        "is_coinbase": FLAG,
        "sequence": _integer("Sequence number.", UINT32_MAX),
    },
    {"witness": described(array(_hex("An item.")), "Left out where it is empty.")},
)
_STATS = closed(
    "Sums of one script.",
    {
        "tx_count": _integer("Transactions that pay or spend it."),
        "funded_txo_count": _integer("Outputs that pay it."),
        "funded_txo_sum": described(AMOUNT, "Their value, in satoshis."),
        "spent_txo_count": _integer("Number of them that are spent."),
        "spent_txo_sum": described(AMOUNT, "Value of these, in satoshis."),
    },
)
_BOTH_STATS = {
    "chain_stats": described(ref("Stats"), "Of the best chain."),
    "mempool_stats": described(ref("Stats"), "Of the mempool alone."),
}
_RATE = _number("Satoshis per virtual byte.", 0)
_MEASURED = nullable(_number("Milliseconds.", 0))
_WHEN = described(nullable(TIME), "Unix seconds; null for never.")
_SYNCED = _integer("A height; -1: not known.", UINT32_MAX, -1)
_COUNT = _integer("A count.")
_BYTES = _integer("Bytes.")

SCHEMAS: Mapping[str, Schema] = {
    "Status": {
        "description": "Status of a transaction: whether it is confirmed, and its block.",
        "oneOf": [_CONFIRMED, _UNCONFIRMED],
    },
    "Output": _OUTPUT,
    "Input": _INPUT,
    "Transaction": closed(
        "A transaction.",
        {
            "txid": _TXID,
            "version": _integer("Version.", UINT32_MAX),
            "locktime": _integer("Height or Unix time before which no block takes it.", UINT32_MAX),
            "vin": {**array(ref("Input")), "minItems": 1},
            "vout": {**array(ref("Output")), "minItems": 1},
            "size": _integer("Bytes, with witness."),
            "weight": _integer("Weight units (BIP141)."),
            "fee": described(AMOUNT, "Satoshis; 0 for a coinbase."),
            "status": ref("Status"),
        },
    ),
    "TransactionPage": array(ref("Transaction"), TXS_PER_PAGE),
    "UnconfirmedHistory": array(ref("Transaction"), UNCONFIRMED_MAX),
    "History": array(ref("Transaction"), UNCONFIRMED_MAX + TXS_PER_PAGE),
    "Txids": array(_TXID),
    "Block": closed(
        "A block without its transactions.",
        {
            "id": _BLOCK_HASH,
            "height": HEIGHT,
            "version": _integer("Version.", UINT32_MAX),
            "timestamp": TIME,
            "tx_count": _integer("Transactions.", least=1),
            "size": _BYTES,
            "weight": _integer("Weight units (BIP141)."),
            "merkle_root": described(HASH, "Root of the transactions' merkle tree."),
            "previousblockhash": described(nullable(HASH), "Null for genesis."),
            "mediantime": _integer("Median time of the eleven blocks that end here, Unix seconds."),
            "nonce": _integer("Nonce.", UINT32_MAX),
            "bits": _integer("The target in compact form, as a number.", UINT32_MAX),
            "difficulty": _number("Difficulty, as a multiple of that of Bitcoin's first target.", 0),
        },
    ),
    "Blocks": {**array(ref("Block"), BLOCKS_LISTED), "minItems": 1},
    "BlockFilter": closed(
        "A block's basic filter (BIP158).",
        {
            "filter": _hex("The filter, in the order of its bytes."),
            "header": described(HASH, "Its filter header (BIP157), reversed."),
        },
    ),
    "FilterHeaders": array(HASH, HEADERS_LISTED),
    "BlockStatus": {
        "description": "Status of a block: whether it is in the best chain, its height, the next block.",
        "oneOf": [
            closed(
                "On the best chain.",
                {
                    "in_best_chain": {"const": True},
                    "height": HEIGHT,
                    "next_best": described(nullable(HASH), "Hash of the block after it; null for the last."),
                },
            ),
            closed(
                "Stale, or unknown.",
                {"in_best_chain": {"const": False}, "height": {"type": "null"}, "next_best": {"type": "null"}},
            ),
        ],
    },
    "Outspend": {
        "description": "Spending status of an output: whether it is spent, and by which input.",
        "oneOf": [
            closed("Unspent, or unknown.", {"spent": {"const": False}}),
            closed(
                "Spent.",
                {
                    "spent": {"const": True},
                    "txid": described(HASH, "Id of the transaction that spends it."),
                    "vin": _integer("Which of its inputs.", UINT32_MAX),
                    "status": ref("Status"),
                },
            ),
        ],
    },
    "Outspends": {**array(ref("Outspend")), "minItems": 1},
    "MerkleProof": closed(
        "That a transaction is in a block.",
        {
            "block_height": HEIGHT,
            "merkle": described(array(HASH), "Siblings, deepest first."),
            "pos": _integer("The transaction's place in the block."),
        },
    ),
    "Stats": _STATS,
    "AddressStats": closed("Sums of an address.", {"address": described(TEXT, "As it was given."), **_BOTH_STATS}),
    "ScriptStats": closed("Sums of a script hash.", {"scripthash": described(TEXT, "As it was given."), **_BOTH_STATS}),
    "Utxo": closed(
        "An unspent output.",
        {"txid": _TXID, "vout": _integer("Which output of it.", UINT32_MAX), "status": ref("Status"), "value": AMOUNT},
    ),
    "Utxos": array(ref("Utxo")),
    "Mempool": closed(
        "The mempool's sums.",
        {
            "count": _COUNT,
            "vsize": _integer("Virtual bytes."),
            "total_fee": AMOUNT,
            "fee_histogram": described(
                array({"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}),
                "Pairs of rate and virtual bytes, from the best-paid down: so many pay that rate or more.",
            ),
        },
    ),
    "RecentTransactions": array(
        closed(
            "A transaction of the mempool.",
            {
                "txid": _TXID,
                "fee": AMOUNT,
                "vsize": _integer("Virtual bytes.", least=1),
                "value": described(AMOUNT, "Satoshis that it spends."),
            },
        ),
        RECENT_TXS,
    ),
    "FeeEstimates": closed(
        "Fee rates (satoshis per virtual byte) by blocks to wait.", {str(target): _RATE for target in TARGETS}
    ),
    "RecommendedFees": closed(
        "Fee rates in mempool.space's words.", dict.fromkeys((*RECOMMENDED_TARGETS, "minimumFee"), _RATE)
    ),
    "Network": closed(
        "The network that the node is on.",
        {"name": TEXT, "id": _hex("The hash of its parameters and genesis.", 32)},
    ),
    "Peer": closed(
        "A peer, and how it stands; docs/api.md explains each field.",
        {
            "number": _integer("In the order of arrival.", least=1),
            "id": _hex("The node's id: hash160 of its public key.", 20),
            "endpoint": described(nullable(TEXT), "Address and port where it listens."),
            "address": described(TEXT, "The IP address it was seen at."),
            "direction": one_of_words("in", "out"),
            "connection_type": one_of_words("static", "inbound", "block-only", "full"),
            "discovered_by": TEXT,
            "agent": described(TEXT, "Its software."),
            "version": _integer("The protocol version that it speaks."),
            "role": one_of_words(*(role.value for role in Role)),
            "services": array(one_of_words(*(name for _, name in SERVICE_NAMES))),
            "round_trip_ms": _MEASURED,
            "least_round_trip_ms": _MEASURED,
            "clock_ahead_s": nullable(_number("Seconds by which its clock was ahead of this node's.")),
            "score": _number("Points for what it did."),
            "grade": one_of_words(*(grade.value for grade in Grade)),
            "why": array(closed("A part of the score.", {"reason": TEXT, "points": _number("Points.")})),
            "choked": FLAG,
            "bytes_sent": _BYTES,
            "bytes_received": _BYTES,
            "first_blocks": _COUNT,
            "first_transactions": _COUNT,
            "last_block": _WHEN,
            "last_transaction": _WHEN,
            "since": TIME,
            "heard": TIME,
            "starting_height": HEIGHT,
            "synced_headers": _SYNCED,
            "synced_blocks": _SYNCED,
            "in_flight": array(HEIGHT),
        },
    ),
    "Peers": array(ref("Peer")),
    "OpenApi": {
        "type": "object",
        "description": "This document.",
        "required": ["openapi", "info", "servers", "paths", "components"],
    },
    "PackageHex": {
        **array({"type": "string", "format": "transaction-hex"}, PACKAGE_TXS_MAX),
        "minItems": 1,
        "description": "A child, which is the last, and its parents in hex.",
    },
    "PackageResult": closed(
        "The verdict on a package, as `submitpackage` has it.",
        {
            "package_msg": {"type": "string", "description": "success, or the error of the whole package."},
            "tx-results": {
                "type": "object",
                "description": "By witness txid.",
                "additionalProperties": closed(
                    "The verdict on one transaction of it.",
                    {"txid": HASH},
                    {
                        "error": {"type": "string", "description": "Reason that it is not in the mempool."},
                        "other-wtxid": described(HASH, "Of the same with other witnesses, which is there."),
                        "vsize": _integer("Virtual bytes."),
                        "fees": closed(
                            "Coins.",
                            {"base": {"type": "number"}},
                            {
                                "effective-feerate": {
                                    "type": "number",
                                    "description": "For 1,000 vB, of all that it was judged with.",
                                },
                                "effective-includes": described(array(HASH), "These, by witness txid."),
                            },
                        ),
                    },
                ),
            },
            "replaced-transactions": described(array(HASH), "Transactions that it replaced."),
        },
    ),
    "TransactionHex": {
        "type": "string",
        "format": "transaction-hex",
        "description": "A transaction in hex; space around it is ignored.",
    },
}
"""Schemas by name, as `Route.schema` and `Route.takes` have them."""
