"""Descriptors out of text. Follows Bitcoin Core's reading, errors included."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain.address import AddressError, decode_address
from node.descriptors.checksum import split_checksum, with_checksum
from node.descriptors.errors import DescriptorError
from node.descriptors.expressions import Address, Expression, Multi, OneKey, Raw, Taproot, Tree, Wrapped
from node.descriptors.keyparse import ScriptContext, is_hex, parse_key
from node.descriptors.keys import Key
from node.descriptors.networks import TEST_KEYS, KeyNetwork

DESCRIPTOR_MAX = 50_000
"""Characters; a longer text is refused."""
MULTI_KEYS_MAX, MULTI_A_KEYS_MAX, BARE_KEYS_MAX = 20, 999, 3
"""Keys of a multisig: in a script, in a tapscript, in a scriptPubKey."""
REDEEM_SCRIPT_MAX = 520
"""Bytes of a script behind P2SH."""
TREE_DEPTH_MAX = 128
"""Branches above a leaf (BIP341)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Output:
    """A script that a descriptor stands for."""

    script: bytes
    """The scriptPubKey."""
    expression: Expression
    """The expression with definite keys."""

    @property
    def descriptor(self) -> str | None:
        """The inferred descriptor, with the public key and its origin; None: no more than the script says."""
        return with_checksum(str(self.expression)) if self.expression.is_solvable else None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor."""

    expression: Expression

    def __str__(self) -> str:
        """The descriptor in canonical form: without private keys, with its checksum."""
        return with_checksum(str(self.expression))

    @property
    def is_range(self) -> bool:
        """True if the descriptor stands for other scripts at every index."""
        return any(key.is_range for key in self.expression.keys)

    @property
    def is_solvable(self) -> bool:
        """True if the descriptor says how to spend what it stands for."""
        return self.expression.is_solvable

    @property
    def has_private_keys(self) -> bool:
        """True if the descriptor was given with private keys."""
        return any(key.is_private for key in self.expression.keys)

    @property
    def cost(self) -> int:
        """Number of keys derived for each index."""
        return max(1, len(self.expression.keys))

    def at(self, index: int) -> list[Output]:
        """The outputs at an index. Raises NotDerivable."""
        return [Output(one.script(), one) for one in self.expression.at(index)]


def parse_descriptor(
    text: str, network: KeyNetwork = TEST_KEYS, *, checksum_required: bool = False
) -> tuple[Descriptor, ...]:
    """The descriptors that the text stands for: one, or those of a multipath. Raises DescriptorError."""
    if len(text) > DESCRIPTOR_MAX:
        raise DescriptorError(f"Descriptor of more than {DESCRIPTOR_MAX} characters")
    body = split_checksum(text, required=checksum_required)
    expression, rest = _first(body)
    found = _Parser(network).script(expression, ScriptContext.TOP)
    if rest:
        raise DescriptorError(f"'{rest}' after the descriptor")
    return tuple(Descriptor(one) for one in found)


class _Parser:
    """Reads expressions of one network; each comes as the list of its multipath's alternatives."""

    def __init__(self, network: KeyNetwork) -> None:
        self._network = network

    def script(self, text: str, context: ScriptContext) -> Sequence[Expression]:
        """One script expression, which is all of the text."""
        function, argument = _call(text)
        top = context is ScriptContext.TOP
        bare = context in (ScriptContext.TOP, ScriptContext.P2SH)
        match function:
            case "pk":
                return self._one_key(function, argument, context)
            case "pkh" if context is not ScriptContext.P2TR:
                return self._one_key(function, argument, context)
            case "multi" | "sortedmulti" if context is not ScriptContext.P2TR:
                return self._multi(function, argument, context)
            case "multi_a" | "sortedmulti_a" if context is ScriptContext.P2TR:
                return self._multi(function, argument, context)
            case "wpkh" if bare:
                return self._one_key(function, argument, ScriptContext.P2WPKH)
            case "sh" if top:
                return self._wrapped(function, argument, ScriptContext.P2SH)
            case "wsh" if bare:
                return self._wrapped(function, argument, ScriptContext.P2WSH)
            case "combo" | "rawtr" | "tr" | "addr" | "raw" if top:
                return self._top_level(function, argument)
        raise DescriptorError(_OUT_OF_PLACE.get(function) or _unknown(text, context))

    def _top_level(self, function: str, argument: str) -> Sequence[Expression]:
        match function:
            case "combo":
                return self._one_key(function, argument, ScriptContext.TOP)
            case "rawtr":
                if _first(argument)[1]:
                    raise DescriptorError("rawtr(): only one key expected.")
                return self._one_key(function, argument, ScriptContext.P2TR)
            case "tr":
                return self._taproot(argument)
            case "raw":
                if not is_hex(argument):
                    raise DescriptorError("Raw script is not hex")
                return [Raw(bytes.fromhex(argument))]
            case _:
                try:
                    return [Address(decode_address(argument, self._network.addresses), self._network)]
                except AddressError:
                    raise DescriptorError("Address is not valid") from None

    def _one_key(self, function: str, argument: str, context: ScriptContext) -> Sequence[Expression]:
        return [OneKey(function, key) for key in self._key(f"{function}(): ", argument, context)]

    def _key(self, where: str, text: str, context: ScriptContext) -> list[Key]:
        try:
            return parse_key(text, context, self._network)
        except DescriptorError as error:
            raise DescriptorError(f"{where}{error}") from None

    def _wrapped(self, function: str, argument: str, context: ScriptContext) -> Sequence[Expression]:
        inner, rest = _first(argument)
        found = self.script(inner, context)
        if rest:
            raise DescriptorError(f"'{rest}' after the script of {function}()")
        return [Wrapped(function, one) for one in found]

    def _multi(self, function: str, argument: str, context: ScriptContext) -> Sequence[Expression]:
        given, rest = _first(argument)
        if not given.isascii() or not given.isdigit() or len(given) > 10 or int(given) >= 2**32:
            raise DescriptorError(f"Multi threshold '{given}' is not valid")
        members: list[list[Key]] = []
        while rest:
            if rest[0] != ",":
                raise DescriptorError(f"Multi: expected ',', got '{rest[0]}'")
            text, rest = _first(rest[1:])
            members.append(self._key("Multi: ", text, context))
            if len(members) > MULTI_A_KEYS_MAX:
                break  # refused below
        _check_multi(function, int(given), [alternatives[0].size for alternatives in members], context)
        return [
            Multi(function, int(given), keys)
            for keys in _alternatives(members, "multi(): Multipath derivation paths have mismatched lengths")
        ]

    def _taproot(self, argument: str) -> Sequence[Expression]:
        text, rest = _first(argument)
        internal = self._key("tr(): ", text, ScriptContext.P2TR)
        if not rest:
            return [Taproot(key, None) for key in internal]
        if rest[0] != ",":
            raise DescriptorError(f"tr: expected ',', got '{rest[0]}'")
        trees, rest = self._tree(rest[1:], 0)
        if rest:
            raise DescriptorError("tr(): expected ')' after script expression")
        mismatch = "tr(): Multipath internal key mismatches multipath subscripts lengths"
        return [Taproot(key, tree) for key, tree in _pairs(internal, trees, mismatch)]

    def _tree(self, text: str, depth: int) -> tuple[Sequence[Tree], str]:
        """The tree at the start of the text, and what comes after it."""
        if text[:1] != "{":
            leaf, rest = _first(text)
            return self.script(leaf, ScriptContext.P2TR), rest
        if depth == TREE_DEPTH_MAX:
            raise DescriptorError(f"tr() supports at most {TREE_DEPTH_MAX} nesting levels")
        left, rest = self._tree(text[1:], depth + 1)
        if rest[:1] != ",":
            raise DescriptorError("tr(): expected ',' after script expression")
        right, rest = self._tree(rest[1:], depth + 1)
        if rest[:1] != "}":
            raise DescriptorError("tr(): expected '}' after script expression")
        return _pairs(left, right, "tr(): Multipath subscripts have mismatched lengths"), rest[1:]


_OUT_OF_PLACE = {
    "combo": "Can only have combo() at top level",
    "multi": "Can only have multi/sortedmulti at top level, in sh(), or in wsh()",
    "sortedmulti": "Can only have multi/sortedmulti at top level, in sh(), or in wsh()",
    "multi_a": "Can only have multi_a/sortedmulti_a inside tr()",
    "sortedmulti_a": "Can only have multi_a/sortedmulti_a inside tr()",
    "wpkh": "Can only have wpkh() at top level or inside sh()",
    "sh": "Can only have sh() at top level",
    "wsh": "Can only have wsh() at top level or inside sh()",
    "addr": "Can only have addr() at top level",
    "tr": "Can only have tr at top level",
    "rawtr": "Can only have rawtr at top level",
    "raw": "Can only have raw() at top level",
}


def _unknown(text: str, context: ScriptContext) -> str:
    if context is ScriptContext.P2SH:
        return "A function is needed within P2SH"
    if context is ScriptContext.P2WSH:
        return "A function is needed within P2WSH"
    return f"'{text}' is not a valid descriptor function"


def _check_multi(function: str, threshold: int, sizes: Sequence[int], context: ScriptContext) -> None:
    """The limits on a multisig, given the sizes of its keys. Raises DescriptorError."""
    count = len(sizes)
    name, most = ("multi_a", MULTI_A_KEYS_MAX) if function.endswith("_a") else ("multisig", MULTI_KEYS_MAX)
    if not 1 <= count <= most:
        raise DescriptorError(f"Cannot have {count} keys in {name}; must have between 1 and {most} keys, inclusive")
    if threshold < 1:
        raise DescriptorError(f"Multisig threshold cannot be {threshold}, must be at least 1")
    if threshold > count:
        raise DescriptorError(
            "Multisig threshold cannot be larger than the number of keys; "
            f"threshold is {threshold} but only {count} keys specified"
        )
    if context is ScriptContext.TOP and count > BARE_KEYS_MAX:
        raise DescriptorError(f"Cannot have {count} pubkeys in bare multisig; only at most {BARE_KEYS_MAX} pubkeys")
    script_size = sum(sizes) + count + 3
    if context is ScriptContext.P2SH and script_size > REDEEM_SCRIPT_MAX:
        raise DescriptorError(f"P2SH script is too large, {script_size} bytes is larger than {REDEEM_SCRIPT_MAX} bytes")


def _first(text: str) -> tuple[str, str]:
    """Up to the first comma or closing bracket that is in no brackets, and the rest."""
    level = 0
    for position, character in enumerate(text):
        if character in "({":
            level += 1
        elif level:
            level -= character in ")}"
        elif character in ",)}":
            return text[:position], text[position:]
    return text, ""


def _call(text: str) -> tuple[str, str]:
    """The function's name and what is in its brackets; "" for what is no call."""
    name, bracket, argument = text.partition("(")
    return (name, argument[:-1]) if bracket and argument[-1:] == ")" else ("", "")


def _alternatives(lists: Iterable[Sequence[T]], mismatch: str) -> list[tuple[T, ...]]:
    """The first of each, the second of each...; what has no alternatives is in all of them."""
    found: list[Sequence[T]] = list(lists)
    count = max(len(one) for one in found)
    if any(len(one) not in (1, count) for one in found):
        raise DescriptorError(mismatch)
    return [tuple(one[number] if len(one) > 1 else one[0] for one in found) for number in range(count)]


def _pairs(left: Sequence[T], right: Sequence[Tree], mismatch: str) -> list[tuple[T, Tree]]:
    count = max(len(left), len(right))
    if len(left) not in (1, count) or len(right) not in (1, count):
        raise DescriptorError(mismatch)
    return [(left[n if len(left) > 1 else 0], right[n if len(right) > 1 else 0]) for n in range(count)]
