"""JSON-RPC about descriptors: what one says, the addresses behind it."""

from collections.abc import Iterator
from typing import Any

from chain.address import encode_address
from chain.scripttype import ScriptType, classify
from node.api.actions.core_errors import BAD_VALUE, NOT_FOUND, RpcError
from node.api.context import Call
from node.api.encoding.json_codec import Shape
from node.api.rpc.args import integer_in, string, wrong_type
from node.api.rpc.limits import DERIVED_MAX
from node.api.rpc.method import Arg, topic
from node.descriptors.checksum import descriptor_checksum
from node.descriptors.errors import DescriptorError, NotDerivable
from node.descriptors.reading import PlainDescriptor, PlainOutput, parse_descriptor
from node.runtime.runtime import NotReady

RANGE_MAX = 1_000_000
"""Indexes of a range; a longer one is refused, as in Core."""
LOOK_EVERY = 1_000
"""Indexes between two looks at whether the node stops."""


def getdescriptorinfo(call: Call, descriptor: str) -> Shape:
    """Check a descriptor; its canonical form, its checksum, whether it is a range."""
    found = read_descriptor(descriptor)
    first = found[0]
    shape: Shape = {"descriptor": str(first)}
    if len(found) > 1:
        shape["multipath_expansion"] = [str(one) for one in found]
    return {
        **shape,
        "checksum": descriptor_checksum(descriptor.partition("#")[0]),
        "isrange": first.is_range,
        "issolvable": first.is_solvable,
        "hasprivatekeys": any(one.has_private_keys for one in found),
    }


def deriveaddresses(call: Call, descriptor: str, indexes: range | None) -> list[Any]:
    """The addresses of a descriptor, which needs its checksum; of a range those of [begin,end]."""
    found = read_descriptor(descriptor, checksum_required=True)
    if not found[0].is_range and indexes is not None:
        raise RpcError(BAD_VALUE, "Range should not be specified for an un-ranged descriptor")
    if found[0].is_range and indexes is None:
        raise RpcError(BAD_VALUE, "Range must be specified for a ranged descriptor")
    check_cost(found, indexes or range(1))
    lists = [_addresses(call, one, indexes or range(1)) for one in found]
    return lists[0] if len(lists) == 1 else lists


def read_descriptor(text: str, *, checksum_required: bool = False) -> tuple[PlainDescriptor, ...]:
    """The descriptors that the text stands for. Raises RpcError(-5)."""
    try:
        return parse_descriptor(text, checksum_required=checksum_required)
    except DescriptorError as error:
        raise RpcError(NOT_FOUND, str(error)) from None


def check_cost(descriptors: tuple[PlainDescriptor, ...], indexes: range) -> int:
    """Number of keys to be derived. Raises RpcError(-8) for too many."""
    cost = len(indexes) * sum(one.cost for one in descriptors)
    if cost > DERIVED_MAX:
        raise too_many_keys()
    return cost


def too_many_keys() -> RpcError:
    """The error for more than DERIVED_MAX keys, whose derivation would take long."""
    return RpcError(BAD_VALUE, f"Range is too large: more than {DERIVED_MAX} keys are not derived in one call")


def outputs(call: Call, descriptor: PlainDescriptor, indexes: range) -> Iterator[list[PlainOutput]]:
    """The addresses of a descriptor, index by index. Raises RpcError(-5), NotReady."""
    try:
        for index in indexes:
            if index % LOOK_EVERY == 0 and not call.runtime.ready:
                raise NotReady
            yield descriptor.at(index)
    except NotDerivable as error:
        raise RpcError(NOT_FOUND, str(error)) from None


def index_range(name: str, default: Any) -> Arg:
    """Indexes of a descriptor: an end, or a beginning and an end, both counted."""
    return Arg(name, lambda _, content: read_range(content), "numeric or array", default)


def read_range(content: Any) -> range:
    """The indexes that a JSON value names. Raises RpcError."""
    first, last = 0, content
    if isinstance(content, list):
        if len(content) != 2:
            raise _no_range()
        first, last = content
    for one in (first, last):
        if isinstance(one, bool) or not isinstance(one, int):
            raise _no_range() if one is content else wrong_type(one, "number")
    first, last = integer_in(first, -(2**63), 2**63 - 1), integer_in(last, -(2**63), 2**63 - 1)
    if first > last:
        raise RpcError(BAD_VALUE, "Range specified as [begin,end] must not have begin after end")
    if first < 0:
        raise RpcError(BAD_VALUE, "Range should be greater or equal than 0")
    if last >> 31:
        raise RpcError(BAD_VALUE, "End of range is too high")
    if last >= first + RANGE_MAX:
        raise RpcError(BAD_VALUE, "Range is too large")
    return range(first, last + 1)


def _no_range() -> RpcError:
    return RpcError(BAD_VALUE, "Range must be specified as end or as [begin,end]")


def _addresses(call: Call, descriptor: PlainDescriptor, indexes: range) -> list[str]:
    addresses = []
    for found in outputs(call, descriptor, indexes):
        for one in found:
            address = encode_address(one.script)
            if address is not None:
                addresses.append(address)
            elif len(found) == 1 or classify(one.script) is not ScriptType.P2PK:
                raise RpcError(NOT_FOUND, "Descriptor does not have a corresponding address")
    return addresses


METHODS = topic(
    "Util",
    (getdescriptorinfo, string("descriptor")),
    (deriveaddresses, string("descriptor"), index_range("range", None)),
)
"""About descriptors."""
