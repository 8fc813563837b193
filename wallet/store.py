"""The wallet file on disk: made once, read anew whenever another process changed it, replaced whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.params import Params
from wallet.derivation import AccountSecret
from wallet.errors import DamagedFile, WalletError
from wallet.files import FILE_BYTES_MAX, Pause, exclusive, read_file, tried_lock, write_file
from wallet.keystore import (
    Cost,
    Keystore,
    Seal,
    WalletIdentity,
    decode_keystore,
    encode_keystore,
    open_words,
    seal_words,
)
from wallet.state import State, decode_state, encode_state


class WalletFile:
    """One wallet file. `state` is what it said when last read, or what was put there since."""

    identity: WalletIdentity
    state: State
    _seal: Seal

    def __init__(self, path: Path) -> None:
        """Raises WalletError if there is no wallet at `path`, DamagedFile if it is not whole."""
        # Through a link the file itself is meant: replacing the link would leave it behind.
        self.path = Path(os.path.realpath(path))
        self._stamp: tuple[int, int, int] | None = None
        self._load()

    @staticmethod
    def create(path: Path, words: str, password: str, network: Params, pause: Pause, cost: Cost | None = None) -> None:
        """Make a new wallet file. Raises WalletError, also if anything is there already."""
        path = Path(os.path.realpath(path))
        if not password:
            raise WalletError("the password is empty: it is all that guards the coins")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WalletError(
                f"cannot make the folder {path.parent}: {error.strerror}; choose another place with --wallet FILE"
            ) from error
        _refuse_existing(path)
        with exclusive(path, pause):
            _refuse_existing(path)
            identity = WalletIdentity(network.name, network.network_id, AccountSecret(words).xpub)
            seal = seal_words(words, password, identity, cost)
            write_file(path, encode_keystore(identity, seal, encode_state(State())))

    def open_secret(self, password: str) -> AccountSecret:
        """The keys. Raises WrongPassword."""
        secret = AccountSecret(open_words(self._seal, password, self.identity))
        if secret.xpub != self.identity.xpub:
            raise DamagedFile(f"{self.path}: the words are another account's than the extended public key")
        return secret

    @contextmanager
    def locked(self, pause: Pause) -> Iterator[None]:
        """Be the only one to change the file meanwhile, and see what the last one left."""
        with exclusive(self.path, pause):
            self.refresh()
            yield

    @contextmanager
    def locked_at_once(self) -> Iterator[bool]:
        """Take the lock without waiting: False where another process has the lock, or none can be had."""
        with tried_lock(self.path) as locked:
            if locked:
                self.refresh()
            yield locked

    def refresh(self) -> None:
        """Read the file again if it is another than when last read. Needs no lock: it is always whole."""
        if self._stamp != self._stat():
            self._load()

    def save(self, state: State) -> None:
        """Write the state, and read it back; to be called with the lock held.

        Raises WalletError, with the old file in place, for a state that this program could not read
        again; and if the disk gives back something else than was written.
        """
        content = encode_keystore(self.identity, self._seal, encode_state(state))
        try:
            if len(content) > FILE_BYTES_MAX:
                raise DamagedFile(f"it would have over {FILE_BYTES_MAX} bytes")
            again = _decoded(content)[1]
        except DamagedFile as error:
            raise WalletError(f"the wallet file has no room for more ({error}): nothing was sent") from error
        if again.payments != state.payments:
            raise AssertionError("the payments written are not those read")
        write_file(self.path, content)
        if read_file(self.path) != content:
            raise WalletError(f"{self.path} does not hold what was written to it: nothing was sent; check the disk")
        self.state = state
        self._stamp = self._stat()

    def _load(self) -> None:
        stamp = self._stat()
        content = read_file(self.path)
        try:
            keystore, self.state = _decoded(content)
        except DamagedFile as error:
            raise DamagedFile(
                f"{self.path} is not a wallet file, or is damaged: {error}; restore it from a copy or its words"
            ) from error
        self.identity, self._seal = keystore.identity, keystore.seal
        self._stamp = stamp

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            facts = self.path.stat()
        except OSError:
            return None  # reading it says what is wrong
        return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _decoded(content: bytes) -> tuple[Keystore, State]:
    keystore = decode_keystore(content)
    return keystore, decode_state(keystore.state, keystore.version)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise WalletError(f"{path} already exists: choose another file with --wallet FILE")
