"""JSON-RPC that puts a transaction together, unsigned."""

from collections.abc import Iterable, Iterator
from typing import Any

from chain.address import AddressError, decode_address
from chain.hashes import Txid
from chain.scripttype import OP_RETURN
from chain.tx import SEQUENCE_FINAL, TxIn, TxOut, make_tx, outpoint
from node.api.actions.core_errors import BAD_VALUE, NOT_FOUND, RpcError, shown
from node.api.context import Call
from node.api.rpc.args import INT32_MAX, amount_in, array, flag, hash_in, hex_in, integer, integer_in, wrong_type
from node.api.rpc.method import Arg, topic

SEQUENCE_REPLACEABLE = SEQUENCE_FINAL - 2
"""Signals replacement (BIP125)."""
UINT32_MAX = 2**32 - 1
VERSION = 2
"""Version of the transactions made here."""


def createrawtransaction(
    call: Call, inputs: list[Any], outputs: list[tuple[str, Any]], locktime: int, replaceable: bool | None
) -> str:
    """An unsigned transaction in hex; outputs are addresses with amounts, and "data" with hex."""
    if not 0 <= locktime <= UINT32_MAX:
        raise RpcError(BAD_VALUE, "Invalid parameter, locktime out of range")
    sequence = SEQUENCE_FINAL - 1 if locktime else SEQUENCE_FINAL
    if replaceable is not False:
        sequence = SEQUENCE_REPLACEABLE
    ins = tuple(_input(given, sequence) for given in inputs)
    outs = tuple(_outputs(outputs))
    if replaceable and ins and all(one.sequence > SEQUENCE_REPLACEABLE for one in ins):
        raise RpcError(BAD_VALUE, "Invalid parameter combination: Sequence number(s) contradict replaceable option")
    return make_tx(VERSION, ins, outs, locktime).raw.hex()


def _input(given: Any, sequence: int) -> TxIn:
    if not isinstance(given, dict):
        raise wrong_type(given, "object")
    txid = Txid(hash_in("txid", given.get("txid")))
    index = given.get("vout")
    if isinstance(index, bool | str | list | dict) or index is None:
        raise RpcError(BAD_VALUE, "Invalid parameter, missing vout key")
    if index < 0:
        raise RpcError(BAD_VALUE, "Invalid parameter, vout cannot be negative")
    index = integer_in(index, 0, INT32_MAX)
    wanted = given.get("sequence")
    if wanted is not None and not isinstance(wanted, bool | str | list | dict):
        sequence = integer_in(wanted, -(2**63), 2**63 - 1)
        if not 0 <= sequence <= SEQUENCE_FINAL:
            raise RpcError(BAD_VALUE, "Invalid parameter, sequence number is out of range")
    return TxIn(outpoint(txid, index), b"", sequence)


def _outputs(given: Iterable[tuple[str, Any]]) -> Iterator[TxOut]:
    seen: set[bytes] = set()
    has_data = False
    for name, content in given:
        if name == "data":
            if has_data:
                raise RpcError(BAD_VALUE, "Invalid parameter, duplicate key: data")
            has_data = True
            yield TxOut(0, OP_RETURN + _push(hex_in("Data", content, empty=False)))
            continue
        try:
            script = decode_address(name)
        except AddressError:
            raise RpcError(NOT_FOUND, f"Invalid Bitcoin address: {shown(name)}") from None
        if script in seen:
            raise RpcError(BAD_VALUE, f"Invalid parameter, duplicated address: {name}")
        seen.add(script)
        yield TxOut(amount_in(content), script)


def _push(content: bytes) -> bytes:
    """The shortest push of some bytes."""
    size = len(content)
    if size < 0x4C:
        return bytes((size,)) + content
    for operator, width in ((0x4C, 1), (0x4D, 2), (0x4E, 4)):
        if size < 1 << 8 * width:
            return bytes((operator,)) + size.to_bytes(width, "little") + content
    raise ValueError("no request is so long")


def _read_outputs(name: str, content: Any) -> list[tuple[str, Any]]:
    """An object, or an array of objects with one key each, as pairs. Raises RpcError."""
    if isinstance(content, dict):
        return list(content.items())
    if not isinstance(content, list):
        raise wrong_type(content, "array")
    pairs: list[tuple[str, Any]] = []
    for one in content:
        if not isinstance(one, dict):
            raise RpcError(BAD_VALUE, "Invalid parameter, key-value pair not an object as expected")
        if len(one) != 1:
            raise RpcError(BAD_VALUE, "Invalid parameter, key-value pair must contain exactly one key")
        pairs += one.items()
    return pairs


METHODS = topic(
    "Rawtransactions",
    (
        createrawtransaction,
        array("inputs"),
        Arg("outputs", _read_outputs, "array or object"),
        integer("locktime", 0, -(2**63), 2**63 - 1),
        flag("replaceable", None),
    ),
)
"""About making transactions."""
