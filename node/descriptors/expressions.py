"""Script expressions: what a descriptor is made of. Those whose keys are definite have a script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chain.address import encode_address
from chain.codec import varbytes
from chain.connect import height_push
from chain.hashes import hash160, sha256, tagged_hash
from chain.keys import default_engine
from chain.scripttype import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from node.descriptors.keys import FixedKey, Key
from node.descriptors.networks import KeyNetwork
from node.descriptors.points import COMPRESSED

LEAF_VERSION = 0xC0
"""Leaf version of a tapscript (BIP342)."""
_CHECKSIG, _CHECKMULTISIG, _CHECKSIGADD, _NUMEQUAL = b"\xac", b"\xae", b"\xba", b"\x9c"


@dataclass(frozen=True)
class Expression:
    """One script expression."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """All in it."""
        return ()

    @property
    def is_solvable(self) -> bool:
        """True if the expression says how to spend what it stands for."""
        return True

    def at(self, index: int) -> "tuple[Expression, ...]":
        """The expressions at an index, with definite keys. Raises NotDerivable."""
        return (self,)

    def script(self) -> bytes:
        """The script, if its keys are definite."""
        raise NotImplementedError


@dataclass(frozen=True)
class Raw(Expression):
    """raw(): a scriptPubKey in hex."""

    content: bytes

    @property
    def is_solvable(self) -> bool:
        """False: nobody knows."""
        return False

    def script(self) -> bytes:
        """Itself."""
        return self.content

    def __str__(self) -> str:
        return f"raw({self.content.hex()})"


@dataclass(frozen=True)
class Address(Raw):
    """addr(): a scriptPubKey as an address."""

    network: KeyNetwork

    def __str__(self) -> str:
        return f"addr({encode_address(self.content, self.network.addresses)})"


@dataclass(frozen=True)
class OneKey(Expression):
    """pk(), pkh(), wpkh(), rawtr() and combo()."""

    function: str
    key: Key

    @property
    def keys(self) -> tuple[Key, ...]:
        """The one."""
        return (self.key,)

    def at(self, index: int) -> tuple[Expression, ...]:
        """The scripts of combo(): all that the key could have been paid by (BIP384)."""
        key = self.key.at(index)
        if self.function != "combo":
            return (OneKey(self.function, key),)
        both: tuple[Expression, ...] = (OneKey("pk", key), OneKey("pkh", key))
        if len(key.public) != COMPRESSED:
            return both
        witness = OneKey("wpkh", key)
        return (*both, witness, Wrapped("sh", witness))

    def script(self) -> bytes:
        """A script with the key, or its hash."""
        [content] = _contents(self.keys)
        match self.function:
            case "pk":
                return varbytes(content) + _CHECKSIG
            case "pkh":
                return p2pkh_script(hash160(content))
            case "wpkh":
                return p2wpkh_script(hash160(content))
            case _:
                return p2tr_script(content)

    def __str__(self) -> str:
        return f"{self.function}({self.key})"


@dataclass(frozen=True)
class Multi(Expression):
    """multi(), sortedmulti() (BIP383), and multi_a(), sortedmulti_a() of tapscript (BIP387)."""

    function: str
    threshold: int
    members: tuple[Key, ...]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Keys in the order given."""
        return self.members

    def at(self, index: int) -> tuple[Expression, ...]:
        """Keys at an index, in the order that the script has them in."""
        members = [key.at(index) for key in self.members]
        if self.function.startswith("sorted"):
            members.sort(key=lambda key: key.content)
        return (Multi(self.function.removeprefix("sorted"), self.threshold, tuple(members)),)

    def script(self) -> bytes:
        """The multisig script of definite keys."""
        contents = [varbytes(content) for content in _contents(self.members)]
        if self.function.endswith("_a"):
            first, *others = contents
            added = b"".join(content + _CHECKSIGADD for content in others)
            return first + _CHECKSIG + added + height_push(self.threshold) + _NUMEQUAL
        counted = height_push(len(contents))
        return height_push(self.threshold) + b"".join(contents) + counted + _CHECKMULTISIG

    def __str__(self) -> str:
        return f"{self.function}({','.join((str(self.threshold), *map(str, self.members)))})"


@dataclass(frozen=True)
class Wrapped(Expression):
    """sh() and wsh(): the hash of another script."""

    function: str
    inner: Expression

    @property
    def keys(self) -> tuple[Key, ...]:
        """Keys of the script."""
        return self.inner.keys

    def at(self, index: int) -> tuple[Expression, ...]:
        """The expression at an index, around the definite script."""
        return tuple(Wrapped(self.function, inner) for inner in self.inner.at(index))

    def script(self) -> bytes:
        """P2SH or P2WSH."""
        if self.function == "sh":
            return p2sh_script(hash160(self.inner.script()))
        return p2wsh_script(sha256(self.inner.script()))

    def __str__(self) -> str:
        return f"{self.function}({self.inner})"


Tree = Expression | tuple["Tree", "Tree"]
"""A leaf, or two branches (BIP386)."""


@dataclass(frozen=True)
class Taproot(Expression):
    """tr(): an internal key, and perhaps a tree of scripts."""

    internal: Key
    tree: Tree | None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The internal one, then those of the leaves from left to right."""
        return (self.internal, *(key for leaf in leaves(self.tree) for key in leaf.keys))

    def at(self, index: int) -> tuple[Expression, ...]:
        """The expression at an index, with definite keys everywhere."""
        tree = None if self.tree is None else _tree_at(self.tree, index)
        return (replace(self, internal=self.internal.at(index), tree=tree),)

    def script(self) -> bytes:
        """P2TR of the tweaked key (BIP341)."""
        [internal] = _contents((self.internal,))
        root = b"" if self.tree is None else _tree_hash(self.tree)
        return p2tr_script(default_engine().tweak_public(internal, tagged_hash("TapTweak", internal + root))[0])

    def __str__(self) -> str:
        return f"tr({self.internal})" if self.tree is None else f"tr({self.internal},{_tree_text(self.tree)})"


def leaves(tree: Tree | None) -> Iterator[Expression]:
    """Leaves of a script tree, from left to right."""
    if isinstance(tree, tuple):
        for branch in tree:
            yield from leaves(branch)
    elif tree is not None:
        yield tree


def _tree_at(tree: Tree, index: int) -> Tree:
    if isinstance(tree, tuple):
        return _tree_at(tree[0], index), _tree_at(tree[1], index)
    return tree.at(index)[0]


def _tree_hash(tree: Tree) -> bytes:
    if isinstance(tree, tuple):
        return tagged_hash("TapBranch", b"".join(sorted(map(_tree_hash, tree))))
    return tagged_hash("TapLeaf", bytes((LEAF_VERSION,)) + varbytes(tree.script()))


def _tree_text(tree: Tree) -> str:
    return "{" + ",".join(map(_tree_text, tree)) + "}" if isinstance(tree, tuple) else str(tree)


def _contents(keys: Sequence[Key]) -> list[bytes]:
    """The key bytes in a script of definite keys."""
    return [key.content for key in keys if isinstance(key, FixedKey)]
