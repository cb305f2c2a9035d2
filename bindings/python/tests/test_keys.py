"""Identities and key-encryption keys; files in common with `pqc`."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import stat
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from conftest import Cli

import pqc_secure_transfer as pqc
from pqc_secure_transfer import Identity, Kek, PublicIdentity
from pqc_secure_transfer._buffers import SecretCopy

SECRET = "correct horse battery staple"


@pytest.mark.parametrize("suite", ["Kyber768", "Kyber1024", "ML-KEM-768", "ML-KEM-1024"])
def test_generate(suite: str) -> None:
    one, other = Identity.generate(suite), Identity.generate(suite)
    assert one.suite == suite.replace("ML-KEM-", "Kyber") == one.public.suite
    assert len(one.id) == 32 and one.id == one.public.id != other.id


def test_generate_of_no_such_suite() -> None:
    with pytest.raises(ValueError, match="RSA"):
        Identity.generate("RSA")
    with pytest.raises(pqc.UsageError, match="zero byte"):
        Identity.generate("Kyber768\0")


@pytest.mark.parametrize("passphrase", [None, SECRET, SECRET.encode(), bytearray(b"\xff\xfe"), "päss"])
def test_save_and_load(tmp_path: Path, passphrase: Any) -> None:
    made = Identity.generate()
    path = tmp_path / "key"
    made.save(path, passphrase, comment="Ada Lovelace")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PublicIdentity.load(f"{path}.pub").text.endswith("Ada Lovelace")
    again = Identity.load(str(path), passphrase)
    assert again.id == made.id and again.public == made.public
    with pytest.raises(FileExistsError):
        made.save(path)


def test_wrong_and_missing_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Identity.generate().save(path, SECRET)
    for wrong in (None, "hunter2"):
        with pytest.raises(pqc.PassphraseError) as caught:
            Identity.load(path, wrong)
        assert "hunter2" not in repr(caught.value.args)


def test_passphrase_of_a_wrong_kind() -> None:
    for wrong in (7, ["x"], object()):
        with pytest.raises(TypeError, match="passphrase must be str or bytes"):
            Identity.generate().export(wrong)  # type: ignore[arg-type]
    for zero in ("a\0b", b"a\0b"):
        with pytest.raises(pqc.UsageError, match="zero byte") as caught:
            Identity.generate().export(zero)
        assert "a\\x00b" not in str(caught.value)


def test_load_of_what_is_not_there(tmp_path: Path) -> None:
    for load in (Identity.load, PublicIdentity.load, Kek.load):
        with pytest.raises(FileNotFoundError, match="absent"):
            load(tmp_path / "absent")
    with pytest.raises(pqc.UsageError, match="zero byte"):
        Identity.load("a\0b")
    with pytest.raises(TypeError):
        Identity.load(7)  # type: ignore[arg-type]


def test_file_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Identity.generate().save(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError):
        Identity.load(path)


@pytest.mark.parametrize("passphrase", [None, SECRET])
def test_export_and_parse(passphrase: Any) -> None:
    made = Identity.generate("Kyber1024")
    text = made.export(passphrase)
    for form in (text, bytearray(text), memoryview(text), text.decode()):
        assert Identity.parse(form, passphrase).id == made.id
    with pytest.raises(ValueError):
        Identity.parse(text[:-100], passphrase)
    with pytest.raises(ValueError):
        Identity.parse(b"", passphrase)


def test_default(home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Identity.default()
    made = Identity.default(SECRET, create=True)
    assert (home / "identity").exists() and stat.S_IMODE(home.stat().st_mode) == 0o700
    assert Identity.default(SECRET).id == Identity.default(SECRET, create=True).id == made.id
    with pytest.raises(pqc.PassphraseError):
        Identity.default(create=True)


def test_default_made_by_many_at_once(home: Path) -> None:
    made: List[bytes] = []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait()
        made.append(Identity.default(create=True).id)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [made[0]] * 4


def test_keys_of_the_program(cli: Cli, home: Path, tmp_path: Path) -> None:
    printed = cli("keygen", "--comment", "Bob").decode().strip()
    mine = Identity.default()
    assert printed == mine.id.hex()
    assert PublicIdentity.load(home / "identity.pub") == mine.public
    ours = Identity.generate("Kyber1024")
    ours.save(tmp_path / "ours")
    cli("seal", "-r", tmp_path / "ours.pub", "--sign-with", tmp_path / "ours", "-o",
        tmp_path / "x.pqx", stdin=b"said")
    assert cli("open", "-i", tmp_path / "ours", "-o", "-", tmp_path / "x.pqx") == b"said"


def test_public_identity() -> None:
    mine, other = Identity.generate().public, Identity.generate().public
    again = PublicIdentity.parse(mine.text)
    assert again == mine and hash(again) == hash(mine) and again is not mine
    assert mine != other and mine != mine.text
    assert PublicIdentity.parse(mine.text.encode() + b"\n") == mine
    assert {mine, again, other} == {mine, other}
    for copied in (pickle.loads(pickle.dumps(mine)), copy.copy(mine), copy.deepcopy(mine)):
        assert copied == mine and copied.text == mine.text
    for wrong in ("", "pqc-identity-v1 AAAA", mine.text[:-40], mine.text.upper()):
        with pytest.raises(ValueError):
            PublicIdentity.parse(wrong)


def test_private_things_are_not_copied() -> None:
    for secret in (Identity.generate(), Kek(bytes(16), 1, bytes(32))):
        for copier in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not copied or pickled"):
                copier(secret)


def test_they_are_not_made_by_calling_the_class() -> None:
    for kind in (Identity, PublicIdentity):
        with pytest.raises(TypeError, match="use "):
            kind()
    gc.collect()  # what was half made goes without a word


def test_kek(tmp_path: Path) -> None:
    key = os.urandom(32)
    kek = Kek(bytes(range(16)), 7, key)
    assert (kek.id, kek.version) == (bytes(range(16)), 7)
    path = tmp_path / "kek"
    path.write_text(f"# comment\npqc-kek-v1 {kek.id.hex()} 7 {key.hex()}\n")
    path.chmod(0o600)
    loaded = Kek.load(path)
    assert (loaded.id, loaded.version) == (kek.id, kek.version)
    sealed = pqc.seal_bytes(b"said", kek=kek)
    assert pqc.open_bytes(sealed, kek=loaded) == b"said"
    path.write_text("pqc-kek-v1 nonsense\n")
    with pytest.raises(ValueError):
        Kek.load(path)


@pytest.mark.parametrize(
    "arguments", [(bytes(15), 1, bytes(32)), (bytes(16), -1, bytes(32)), (bytes(16), 2**32, bytes(32)),
                  (bytes(16), 1, bytes(31)), (bytes(16), 1, bytes(33))],
)
def test_kek_that_cannot_be(arguments: Any) -> None:
    with pytest.raises(pqc.UsageError):
        Kek(*arguments)


def test_no_secret_is_shown() -> None:
    key = bytes(range(100, 132))
    identity = Identity.generate()
    shown = [repr(identity), str(identity), repr(Kek(bytes(16), 1, key))]
    calls: List[Callable[[], Any]] = [
        lambda: pqc.seal_bytes(b"", key=key[:-1]),
        lambda: pqc.open_bytes(b"no container", key=key),
        lambda: pqc.open_bytes(b"no container", passphrase=SECRET),
        lambda: pqc.seal_bytes(b"", passphrase=SECRET, key=key),
        lambda: Kek(bytes(16), 1, key + key),
        lambda: Identity.parse(identity.export(SECRET), SECRET + "!"),
    ]
    for call in calls:
        with pytest.raises(pqc.PqcError) as caught:
            call()
        shown.append(repr(caught.value) + str(caught.value))
    for text in shown:
        assert SECRET not in text and key[:4].hex() not in text and repr(key)[2:8] not in text


def test_threads_use_one_at_the_same_time() -> None:
    mine = Identity.generate()
    results: Dict[int, bytes] = {}

    def work(n: int) -> None:
        for _ in range(10):
            sealed = pqc.seal_bytes(bytes([n]) * 1000, recipients=[mine.public], sign=mine)
            results[n] = pqc.open_bytes(sealed, identity=mine, sender=mine.public)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: bytes([n]) * 1000 for n in range(4)}


def test_copies_of_secrets_are_wiped() -> None:
    for value, size in ((SECRET, None), (bytearray(range(32)), 32)):
        with SecretCopy(value, "secret", size) as copied:
            memory = copied._copy
            assert any(memory.raw) and memory.raw[-1] == 0
        assert not any(memory.raw)
        copied.release()  # once more does nothing
    kek = Kek(bytes(16), 1, bytes(range(32)))
    struct = kek._struct
    del kek
    assert not any(struct.key)
