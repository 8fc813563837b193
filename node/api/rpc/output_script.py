"""Destinations of coins: an address, or a descriptor of one script."""

from collections.abc import Sequence

from chain.address import AddressError, decode_address
from node.api.actions.core_errors import BAD_VALUE, NOT_FOUND, RpcError
from node.descriptors.errors import DescriptorError, NotDerivable
from node.descriptors.reading import PlainDescriptor, parse_descriptor


def output_script(output: str) -> bytes:
    """The scriptPubKey; of combo() the witness one, where there is one. Raises RpcError(-5, -8)."""
    try:
        found = parse_descriptor(output)
    except DescriptorError:
        try:
            return decode_address(output)
        except AddressError:
            raise RpcError(NOT_FOUND, "Error: Invalid address or descriptor") from None
    return _script_of(found)


def descriptor_script(text: str) -> bytes:
    """The script of a descriptor without a range. Raises RpcError(-5, -8)."""
    try:
        found = parse_descriptor(text)
    except DescriptorError as error:
        raise RpcError(NOT_FOUND, str(error)) from None
    return _script_of(found)


def _script_of(found: Sequence[PlainDescriptor]) -> bytes:
    if len(found) > 1:
        raise RpcError(BAD_VALUE, "Multipath descriptor not accepted")
    if found[0].is_range:
        raise RpcError(BAD_VALUE, "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?")
    try:
        scripts = [one.script for one in found[0].at(0)]
    except NotDerivable as error:
        raise RpcError(NOT_FOUND, str(error)) from None
    return scripts[len(scripts) // 2]
