"""The wallet file: what opens it, what is refused, and that it is whole whatever happens."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.params import REGTEST, devnet_params
from tests.wallet.conftest import CHEAP, PASSWORD
from wallet import files
from wallet.derivation import AccountSecret, KeyPath, words_from_entropy
from wallet.errors import DamagedFile, WalletError, WrongPassword
from wallet.files import exclusive, read_file, write_file
from wallet.keystore import Cost, WalletIdentity, decode_keystore, encode_keystore, open_words, seal_words
from wallet.state import State
from wallet.store import WalletFile

WORDS = words_from_entropy(bytes(16))
IDENTITY = WalletIdentity("regtest", REGTEST.network_id, AccountSecret(WORDS).xpub)


def no_pause(_: float) -> None:
    raise AssertionError("nobody else holds the lock")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "wallet.json"
    WalletFile.create(file, WORDS, PASSWORD, REGTEST, no_pause, CHEAP)
    return file


# the seal


@pytest.mark.parametrize("password", ["x", "correct horse", "pässwörd ✓", " spaces ", "a" * 500])
def test_the_password_opens_and_others_do_not(password: str) -> None:
    seal = seal_words(WORDS, password, IDENTITY, CHEAP)
    assert open_words(seal, password, IDENTITY) == WORDS
    for wrong in ("", password + " ", password.upper() + "!"):
        with pytest.raises(WrongPassword):
            open_words(seal, wrong, IDENTITY)


def test_one_password_typed_on_two_systems() -> None:
    seal = seal_words(WORDS, "p\u00e4ss", IDENTITY, CHEAP)
    assert open_words(seal, "pa\u0308ss", IDENTITY) == WORDS


def test_the_seal_is_bound_to_what_stands_in_clear() -> None:
    seal = seal_words(WORDS, "x", IDENTITY, CHEAP)
    other = AccountSecret(words_from_entropy(b"\x01" * 16)).xpub
    for changed in (
        WalletIdentity("devnet", IDENTITY.network_id, IDENTITY.xpub),
        WalletIdentity("regtest", bytes(32), IDENTITY.xpub),
        WalletIdentity("regtest", IDENTITY.network_id, other),
    ):
        with pytest.raises(WrongPassword):
            open_words(seal, "x", changed)


def test_no_two_seals_are_alike() -> None:
    seals = [seal_words(WORDS, "x", IDENTITY, CHEAP) for _ in range(2)]
    assert seals[0].salt != seals[1].salt
    assert seals[0].ciphertext != seals[1].ciphertext


def test_a_password_guess_has_its_price() -> None:
    assert Cost() == Cost(n=32_768, r=8, p=1)


def test_the_words_do_not_stand_in_the_file(path: Path) -> None:
    content = path.read_bytes()
    assert b"abandon" not in content
    assert WORDS.encode().hex().encode() not in content


# decoding


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_keystore(IDENTITY, seal_words(WORDS, "x", IDENTITY, CHEAP), {}))
    return found | changes


def with_seal(**changes: Any) -> dict[str, Any]:
    found = document()
    found["seal"] |= changes
    return found


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        None,
        {"groat_wallet": 1},
        document(groat_wallet=3),
        document(groat_wallet=0),
        document(groat_wallet=True),
        document(groat_wallet="1"),
        document(network=None),
        document(network={"name": "regtest", "id": "00"}),
        document(network={"name": "x" * 33, "id": "00" * 32}),
        document(xpub=5),
        document(seal=[]),
        document(state=None),
        with_seal(n=2**21),
        with_seal(n=12_345),
        with_seal(n=-16),
        with_seal(n=16.0),
        with_seal(n=True),
        with_seal(r=0),
        with_seal(r=17),
        with_seal(p=9),
        with_seal(n=2**20, r=16),  # each in range, together 2 GiB
        with_seal(kdf="md5"),
        with_seal(cipher="rot13"),
        with_seal(salt="zz" * 16),
        with_seal(salt="ABCD" * 8),
        with_seal(nonce=""),
        with_seal(ciphertext="00"),
        with_seal(ciphertext="00" * 2_000),
    ],
)
def test_damaged_documents(broken: Any) -> None:
    with pytest.raises(DamagedFile) as caught:
        decode_keystore(json.dumps(broken).encode())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"{", b"nonsense", b'{"groat_wallet": NaN}', b'{"a": 1, "a": 1}', b"[" * 100_000, b"\xff\xfe"],
)
def test_what_is_no_json(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        decode_keystore(content)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_one_clean_error(path: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        secret = WalletFile(damaged).open_secret(PASSWORD)
    except WalletError:
        return
    # The damage was in what is not bound: the keys are the same.
    assert secret.xpub == IDENTITY.xpub


# the file on disk


def test_the_file_is_its_owners_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = WalletFile(path)
    path.chmod(0o644)
    with file.locked(no_pause):
        file.save(State(receive_next=3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert WalletFile(path).state == State(receive_next=3)


def test_nothing_is_ever_overwritten(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    (tmp_path / "link.json").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    for existing in (path, tmp_path / "folder"):
        with pytest.raises(WalletError, match="already exists: choose another file"):
            WalletFile.create(existing, WORDS, "x", REGTEST, no_pause, CHEAP)
    assert path.read_bytes() == before


def test_through_a_link_the_file_itself_is_replaced(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    file = WalletFile(link)
    with file.locked(no_pause):
        file.save(State(receive_next=7))
    assert link.is_symlink()
    assert WalletFile(path).state.receive_next == 7


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="the password is empty"):
        WalletFile.create(tmp_path / "new.json", WORDS, "", REGTEST, no_pause, CHEAP)
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_kept(tmp_path: Path) -> None:
    params = devnet_params(first_bits=0x1E00FFFF, spacing_s=7)
    WalletFile.create(tmp_path / "w.json", WORDS, "x", params, no_pause, CHEAP)
    identity = WalletFile(tmp_path / "w.json").identity
    assert (identity.network, identity.network_id) == ("devnet", params.network_id)


def test_a_file_of_other_words_is_noticed(path: Path) -> None:
    # The seal fits, but the words are another account's: only whoever knows the password can make such a file.
    other = AccountSecret(words_from_entropy(b"\x01" * 16)).xpub
    identity = WalletIdentity("regtest", REGTEST.network_id, other)
    path.write_bytes(
        encode_keystore(identity, seal_words(WORDS, "x", identity, CHEAP), json.loads(path.read_bytes())["state"])
    )
    with pytest.raises(DamagedFile, match="another account's"):
        WalletFile(path).open_secret("x")


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = path.read_bytes()
    file = WalletFile(path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    class FullDisk:
        def __init__(self, descriptor: int, _: str) -> None:
            self.descriptor = descriptor

        def __enter__(self) -> "FullDisk":
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self.descriptor)

        write = fail

    with file.locked(no_pause):
        if step == "replace":
            monkeypatch.setattr(Path, "replace", fail)
        elif step == "write":
            monkeypatch.setattr(files.os, "fdopen", FullDisk)
        else:
            monkeypatch.setattr(files.os, step, fail)
        with pytest.raises(WalletError, match=r"cannot write .*wallet\.json: No space left on device"):
            file.save(State(receive_next=9))
        monkeypatch.undo()
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.new"))
    assert file.state == State()


def test_leftovers_of_a_crash_are_in_nobodys_way(path: Path) -> None:
    path.with_name("wallet.json.new").write_bytes(b"half a wal")
    write_file(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    """A process that rewrites the file for ever is killed at any moment: the file is one of its versions."""
    path = tmp_path / "file"
    program = (
        "import sys\nfrom pathlib import Path\nfrom wallet.files import write_file\npath, n = Path(sys.argv[1]), 0\n"
        "while True:\n    n += 1\n    write_file(path, b'%d.' % n * 20_000)\n"
    )
    for round_ in range(4):
        with subprocess.Popen([sys.executable, "-c", program, str(path)]) as writer:
            wait_until(path.exists)
            size = path.stat().st_mtime_ns
            wait_until(lambda size=size: path.stat().st_mtime_ns != size)
            writer.kill()
        content = path.read_bytes()
        number = content.split(b".")[0]
        assert content == number + b"." + (number + b".") * 19_999, f"round {round_}"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match=r"no wallet at .*: make one with `wallet create`, or give --wallet FILE"):
        read_file(tmp_path / "none.json")
    with pytest.raises(WalletError, match="Is a directory"):
        read_file(tmp_path)
    with pytest.raises(WalletError, match="cannot write"):
        write_file(tmp_path / "no" / "folder.json", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 100)
    (tmp_path / "huge.json").write_bytes(b" " * 101)
    with pytest.raises(WalletError, match="too large"):
        read_file(tmp_path / "huge.json")


# the lock


def test_the_lock_waits_for_whoever_holds_it(path: Path) -> None:
    with exclusive(path, no_pause):
        pauses: list[float] = []
        with pytest.raises(WalletError, match="another command is using"), exclusive(path, pauses.append):
            raise AssertionError("two hold the lock")
    assert sum(pauses) == pytest.approx(60)
    with exclusive(path, no_pause):
        pass


def test_the_lock_goes_with_its_process(path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom wallet.files import exclusive\n"
        "with exclusive(Path(sys.argv[1]), time.sleep):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WalletError), exclusive(path, lambda _: None):
            raise AssertionError("two hold the lock")
        holder.kill()
    with exclusive(path, no_pause):
        pass


def test_another_process_changes_are_seen_under_the_lock(path: Path) -> None:
    first, second = WalletFile(path), WalletFile(path)
    with first.locked(no_pause):
        first.save(State(change_next=5))
    with second.locked(no_pause):
        assert second.state.change_next == 5
        second.save(State(change_next=6, settled=frozenset({KeyPath(0, 3)})))
    with first.locked(no_pause):
        assert first.state == State(change_next=6, settled=frozenset({KeyPath(0, 3)}))
