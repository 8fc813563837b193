"""Network parameters: Bitcoin's regtest, and regtest with difficulty."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.block import Block, decode_block
from chain.hashes import sha256
from chain.target import target_from_bits
from chain.tx import COIN

COINBASE_MATURITY = 100
"""Blocks until a coinbase's outputs can be spent."""
INITIAL_SUBSIDY = 50 * COIN
"""Satoshis that the first blocks may create."""
DEVNET_LIMIT_BITS = 0x1F03FFFF
"""About 2^14 hashes."""
REGTEST_LIMIT_BITS = 0x207FFFFF

GENESIS: Block = decode_block(
    bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e"
        "67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f20020000000101000000010000000000000000000000"
        "000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a61"
        "6e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f7220"
        "62616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea"
        "1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
    )
)
"""Bitcoin's regtest genesis, the first block of every network here. Taken as given: neither its
bits nor its work is checked, and its coinbase never enters the coin set."""


@dataclass(frozen=True, slots=True)
class Asert:
    """Difficulty that follows a schedule: aserti3-2d (BCH, 2020), with an idle cap of our own."""

    spacing_s: int
    """Wanted seconds between blocks."""
    half_life_s: int
    """Being this far behind schedule halves the difficulty."""
    anchor_height: int
    """The schedule starts with this block; all before it have the limit's bits."""
    first_bits: int
    """The anchor block's bits."""
    gap_cap_s: int | None
    """Time beyond this between two blocks does not count: a network that slept owes nothing.
    None: all time counts, as on BCH."""


@dataclass(frozen=True, slots=True)
class Params:
    """A network. Two nodes talk to each other only if all of this is equal."""

    name: str
    """1 to 32 of a-z, 0-9 and hyphen: also the folder's name."""
    pow_limit_bits: int
    """The easiest target, compact."""
    halving_interval: int
    """Blocks between halvings of the subsidy."""
    future_limit_s: int
    """Seconds that a header's time may be ahead of the clock."""
    allow_local: bool
    """Peers may be on loopback and private addresses."""
    asert: Asert | None
    """None: every block has the limit's bits, for ever."""

    @property
    def has_difficulty(self) -> bool:
        """Blocks take real work, and the difficulty follows their pace; without it every second hash makes one."""
        return self.asert is not None

    @property
    def target_spacing_s(self) -> int | None:
        """Seconds between blocks that the difficulty aims at; None where there is none."""
        return self.asert.spacing_s if self.asert else None

    @property
    def spacing_s(self) -> int:
        """Wanted seconds between blocks; 10 where nothing enforces it."""
        return self.target_spacing_s or 10

    @property
    def network_id(self) -> bytes:
        """32 bytes that differ for any two networks: a hash over the parameters and the genesis."""
        facts = "\n".join(f"{key}={setting}" for key, setting in sorted(self.to_mapping().items()))
        return sha256(f"groat network\n{facts}\n".encode() + GENESIS.header.raw)

    def to_mapping(self) -> dict[str, Any]:
        """The flat mapping that a network file holds."""
        mapping: dict[str, Any] = {
            "name": self.name,
            "pow_limit_bits": f"{self.pow_limit_bits:08x}",
            "halving_interval": self.halving_interval,
            "future_limit_s": self.future_limit_s,
            "allow_local": self.allow_local,
        }
        if self.asert:
            mapping |= {
                "spacing_s": self.asert.spacing_s,
                "half_life_s": self.asert.half_life_s,
                "anchor_height": self.asert.anchor_height,
                "first_bits": f"{self.asert.first_bits:08x}",
            }
            if self.asert.gap_cap_s is not None:
                mapping["gap_cap_s"] = self.asert.gap_cap_s
        return mapping

    @staticmethod
    def from_mapping(mapping: Mapping[str, Any]) -> "Params":
        """The network that a network file describes.

        Raises ValueError, with a line that names the key, on anything unknown, missing, of the
        wrong type or out of range.
        """
        unknown = sorted(set(mapping) - _KEYS.keys())
        if unknown:
            raise ValueError(f"network file: unknown key {unknown[0]!r}")
        for key, kind in _KEYS.items():
            if key not in mapping:
                if key == "gap_cap_s":
                    continue
                raise ValueError(f"network file: {key} is missing")
            if type(mapping[key]) is not kind:
                raise ValueError(f"network file: {key} must be {_KIND_NAMES[kind]}")
        if not re.fullmatch(r"[a-z0-9-]{1,32}", mapping["name"]):
            raise ValueError("network file: name must be 1 to 32 of a-z, 0-9 and hyphen")
        if mapping["name"] == REGTEST.name:
            raise ValueError(f"network file: the name {REGTEST.name} is taken")
        for key in ("spacing_s", "half_life_s", "halving_interval", "future_limit_s", "gap_cap_s", "anchor_height"):
            if not 1 <= mapping.get(key, 1) <= _LARGEST:
                raise ValueError(f"network file: {key} must be from 1 to {_LARGEST}")
        if "gap_cap_s" in mapping and mapping["future_limit_s"] >= mapping["gap_cap_s"]:
            raise ValueError("network file: future_limit_s must be below gap_cap_s")
        limit, first = (_read_bits(mapping, key) for key in ("pow_limit_bits", "first_bits"))
        if target_from_bits(first) > target_from_bits(limit):
            raise ValueError("network file: first_bits is easier than pow_limit_bits")
        asert = Asert(
            mapping["spacing_s"], mapping["half_life_s"], mapping["anchor_height"], first, mapping.get("gap_cap_s")
        )
        return Params(
            mapping["name"],
            limit,
            mapping["halving_interval"],
            mapping["future_limit_s"],
            mapping["allow_local"],
            asert,
        )


_LARGEST = 2**31 - 1
_KIND_NAMES = {str: "a string", int: "a whole number", bool: "true or false"}
_KEYS: dict[str, type] = {
    "name": str,
    "spacing_s": int,
    "half_life_s": int,
    "anchor_height": int,
    "pow_limit_bits": str,
    "first_bits": str,
    "gap_cap_s": int,
    "future_limit_s": int,
    "halving_interval": int,
    "allow_local": bool,
}


def _read_bits(mapping: Mapping[str, Any], key: str) -> int:
    if not re.fullmatch(r"[0-9a-f]{8}", mapping[key]):
        raise ValueError(f"network file: {key} must be 8 lower-case hex digits")
    bits = int(mapping[key], 16)
    if not target_from_bits(bits):
        raise ValueError(f"network file: {key} is no target")
    return bits


REGTEST = Params("regtest", REGTEST_LIMIT_BITS, 150, 7200, True, None)
"""Bitcoin's regtest, bit for bit."""


def devnet_params(first_bits: int = DEVNET_LIMIT_BITS, spacing_s: int = 10, name: str = "devnet") -> Params:
    """Regtest with difficulty switched on: blocks every `spacing_s` seconds by real work."""
    asert = Asert(spacing_s, 15 * spacing_s, 102, first_bits, 15 * spacing_s)
    return Params(name, DEVNET_LIMIT_BITS, 210_000, 6 * spacing_s, True, asert)
