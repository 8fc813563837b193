"""Errors of validation. The class says what the caller must do, the code which rule.

Codes are Bitcoin Core's own reject strings, so that users can search for them. The few that
Core does not have are marked "ours".
"""

from enum import StrEnum


class Reject(StrEnum):
    """Every consensus rule that can say no."""

    MALFORMED = "malformed"
    """Ours: bytes that do not decode; Core only says "decode failed"."""

    # Header
    VERSION = "bad-version"
    """Header version below 4 (BIP34, BIP65, BIP66 are in force from the start)."""
    DIFFBITS = "bad-diffbits"
    """Bits differ from what the difficulty rule demands."""
    HIGH_HASH = "high-hash"
    """The block hash is above the target."""
    TIME_TOO_OLD = "time-too-old"
    """The time is not later than the median of the 11 blocks before."""
    TIME_TOO_NEW = "time-too-new"
    """Further ahead of the clock than the network allows (not permanent)."""
    PREV_NOT_FOUND = "prev-blk-not-found"
    """The parent is unknown (not permanent)."""
    BAD_PREV = "bad-prevblk"
    """The parent, or one before it, is invalid."""
    DUPLICATE_INVALID = "duplicate-invalid"
    """The block was found invalid before."""

    # Block without context: this body only
    MERKLE_ROOT = "bad-txnmrklroot"
    """The transactions do not hash to the header's merkle root."""
    MUTATED = "bad-txns-duplicate"
    """A merkle tree with a repeated pair (CVE-2012-2459)."""
    CB_MISSING = "bad-cb-missing"
    """The first transaction is not a coinbase."""
    TX_SIZE_SMALL = "tx-size-small"
    """A transaction of exactly 64 stripped bytes could pass for a merkle node (BIP54)."""
    UNEXPECTED_WITNESS = "unexpected-witness"
    """Witness data in a block that commits to none (BIP141)."""
    WITNESS_NONCE = "bad-witness-nonce-size"
    """The coinbase's witness is not one 32-byte item (BIP141)."""
    WITNESS_MERKLE = "bad-witness-merkle-match"
    """The commitment does not match the witnesses (BIP141)."""

    # Block without context: the block itself
    BLOCK_LENGTH = "bad-blk-length"
    """No transactions, or four times the stripped size above 4,000,000."""
    BLOCK_SIGOPS = "bad-blk-sigops"
    """Signature-operation cost above 80,000 (BIP141)."""
    CB_MULTIPLE = "bad-cb-multiple"
    """A second coinbase."""
    CB_LENGTH = "bad-cb-length"
    """The coinbase's script is not 2 to 100 bytes."""

    # Transaction without context
    VIN_EMPTY = "bad-txns-vin-empty"
    """No inputs."""
    VOUT_EMPTY = "bad-txns-vout-empty"
    """No outputs."""
    OVERSIZE = "bad-txns-oversize"
    """Four times the stripped size above 4,000,000."""
    VOUT_NEGATIVE = "bad-txns-vout-negative"
    """An output pays less than nothing."""
    VOUT_TOO_LARGE = "bad-txns-vout-toolarge"
    """An output above 21,000,000 coins (CVE-2010-5139)."""
    VOUT_TOTAL_TOO_LARGE = "bad-txns-txouttotal-toolarge"
    """Outputs together above 21,000,000 coins (CVE-2010-5139)."""
    INPUTS_DUPLICATE = "bad-txns-inputs-duplicate"
    """One coin spent twice in one transaction (CVE-2018-17144)."""
    PREVOUT_NULL = "bad-txns-prevout-null"
    """A null outpoint outside a coinbase."""

    # In context
    CB_HEIGHT = "bad-cb-height"
    """The coinbase does not start with the minimal push of the height (BIP34)."""
    BLOCK_WEIGHT = "bad-blk-weight"
    """Weight above 4,000,000 (BIP141). It needs no context, but Core looks at it with what does."""
    CB_AMOUNT = "bad-cb-amount"
    """The coinbase takes more than subsidy and fees."""
    NONFINAL = "bad-txns-nonfinal"
    """An absolute or relative lock time is not over (BIP65's, BIP68, BIP113)."""
    INPUTS_MISSING_OR_SPENT = "bad-txns-inputs-missingorspent"
    """An input spends a coin that does not exist, or no longer."""
    PREMATURE_COINBASE = "bad-txns-premature-spend-of-coinbase"
    """A coinbase spent before it is mature."""
    IN_BELOW_OUT = "bad-txns-in-belowout"
    """Outputs above inputs."""

    # Spending
    SCRIPT_UNSUPPORTED = "script-unsupported"
    """Ours: a kind of spend that Core might accept and this node does not."""
    SCRIPT_VERIFY = "block-script-verify-flag-failed"
    """A signature, key or witness that is wrong for the coin it spends."""


class Rejected(Exception):
    """Something from outside is not accepted. `code` is the rule, `detail` says where."""

    def __init__(self, code: StrEnum, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)


class Invalid(Rejected):
    """Raised for what breaks a rule for ever: penalise whoever sent it, mark the branch."""


class Unready(Rejected):
    """Raised for what may become valid: keep it or ask for what is missing; no penalty."""
