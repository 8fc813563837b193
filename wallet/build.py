"""Building and signing transactions from chosen coins. Pure; randomness is passed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from chain.address import REGTEST_ADDRESSES, AddressError, decode_address
from chain.coins import Coin
from chain.keys import Engine, encode_der
from chain.script import SIGHASH_ALL, Spend
from chain.scripttype import SPENDABLE_KINDS, ScriptType, classify
from chain.tx import OutPoint, Tx, TxIn, TxOut, make_tx
from wallet.derivation import KeyPath
from wallet.errors import InvalidValue, WalletError
from wallet.sizes import dust_threshold

TX_VERSION = 2
SEQUENCE = 0xFFFF_FFFD
"""Enables the lock time and signals replaceability (BIP125); no relative lock time (BIP68)."""

SecretLookup = Callable[[KeyPath], bytes]
"""Returns the 32-byte secret key at a path."""


@dataclass(frozen=True, slots=True)
class Spendable:
    """A coin with what signing needs."""

    outpoint: OutPoint
    value: int
    """Satoshis."""
    script: bytes
    path: KeyPath


def payable_script(address: str) -> bytes:
    """The scriptPubKey of an address that can be paid and spent from here.

    Raises InvalidValue for an invalid address or another network's, WalletError for one that could
    never be spent on this network (P2SH, P2WSH, unknown witness versions, a taproot key on no curve point).
    """
    try:
        script = decode_address(address.strip())
    except AddressError as error:
        if error.other_network:
            raise InvalidValue(
                f"{address} is an address of another network: here they start with {REGTEST_ADDRESSES.hrp}1"
            ) from error
        _, colon, why = str(error).partition(": ")
        raise InvalidValue(f"{address!r} is not a valid address{colon}{why}") from error
    kind = classify(script)
    if kind not in SPENDABLE_KINDS:
        name = {ScriptType.P2SH: "P2SH", ScriptType.P2WSH: "P2WSH"}.get(kind, "this kind")
        raise WalletError(
            f"{address}: coins paid to {name} could never be spent on this network: ask for a P2WPKH one (bcrt1q...)"
        )
    return script


def check_payment(output: TxOut, engine: Engine, *, amount_known: bool = True) -> None:
    """Raises WalletError for an output that nodes would not relay or that could never be spent."""
    dust = dust_threshold(output.script)
    if amount_known and output.value < dust:
        raise WalletError(f"{output.value} sat is too little to pay: nodes take at least {dust} sat for this address")
    if classify(output.script) is ScriptType.P2TR:
        try:
            engine.tweak_public(output.script[2:], bytes(32))
        except ValueError as error:
            raise WalletError("no key can spend from that taproot address: ask for another one") from error


def draft_tx(coins: Sequence[Spendable], outputs: Sequence[TxOut], lock_time: int, rng: Random) -> Tx:
    """The unsigned transaction, inputs and outputs in random order, so that change does not show.

    `lock_time` is the tip's height: final in the next block, and worth nothing to a miner who
    would rather rewrite the tip (fee sniping).
    """
    spent = [TxIn(coin.outpoint, b"", SEQUENCE) for coin in coins]
    paid = list(outputs)
    rng.shuffle(spent)
    rng.shuffle(paid)
    return make_tx(TX_VERSION, tuple(spent), tuple(paid), lock_time)


def sign_tx(tx: Tx, coins: Sequence[Spendable], secret_of: SecretLookup, engine: Engine) -> Tx:
    """`tx` with a witness for every input; `coins` has those that it spends, in any order.

    Deterministic (RFC 6979). Each signature is checked before anybody sees it: a fault while
    signing could otherwise give the key away.
    """
    by_outpoint = {coin.outpoint: coin for coin in coins}
    spent = [by_outpoint[txin.outpoint] for txin in tx.inputs]
    spend = Spend(tx, [_as_coin(coin) for coin in spent])
    inputs = []
    for index, (txin, coin) in enumerate(zip(tx.inputs, spent, strict=True)):
        secret = secret_of(coin.path)
        signature = engine.sign_ecdsa(secret, spend.signature_hash(index, SIGHASH_ALL))
        witness = (encode_der(signature) + bytes((SIGHASH_ALL,)), engine.public_key(secret))
        inputs.append(replace(txin, witness=witness))
    signed = make_tx(tx.version, tuple(inputs), tx.outputs, tx.lock_time)
    proof = Spend(signed, [_as_coin(coin) for coin in spent])
    if engine.first_failure(b"".join(proof.check(index) for index in range(len(inputs)))) is not None:
        raise WalletError("a signature came out wrong: nothing was sent; check this machine's memory and try again")
    return signed


def _as_coin(coin: Spendable) -> Coin:
    # Digests take a coin's value and script only.
    return Coin.make(0, False, TxOut(coin.value, coin.script))
