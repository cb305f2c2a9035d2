"""KeyManager: a store that keeps what it is given, and refuses what somebody else put there."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pqc_secure_transfer import HybridCrypto, KeyManager, seal_bytes
from pqc_secure_transfer.errors import PassphraseError

PASSWORD = "a master password"
PUBLIC, PRIVATE = b"public key bytes", b"private key bytes"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: Argon2id takes its time, once is enough."""
    place = tmp_path_factory.mktemp("template") / "keys"
    KeyManager(place, PASSWORD)
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def store(place: Path) -> KeyManager:
    return KeyManager(place, PASSWORD)


def keep(store: KeyManager, key_id: str, private: bytes = PRIVATE) -> None:
    assert store.store_keypair(key_id, PUBLIC, private, "Kyber768", {"for": key_id}) is True


# ---- keeping ----


def test_a_key_comes_back(store: KeyManager, place: Path) -> None:
    began = time.time()
    assert (
        store.store_keypair(
            key_id="one",
            public_key=PUBLIC,
            private_key=PRIVATE,
            algorithm="Anything",
            metadata={"a": [1, None, "ü"]},
        )
        is True
    )
    for each in (store, KeyManager(str(place), master_password=PASSWORD)):
        assert each.load_keypair("one") == (PUBLIC, PRIVATE, "Anything")
        (listed,) = each.list_keys()
        assert set(listed) == {"key_id", "algorithm", "created_at", "metadata"}
        assert listed["key_id"] == "one" and listed["algorithm"] == "Anything"
        assert listed["metadata"] == {"a": [1, None, "ü"]}
        assert began <= listed["created_at"] <= time.time()


def test_a_missing_key(store: KeyManager) -> None:
    assert store.load_keypair("none") is None
    assert store.rotate_keys("none") is None
    assert store.export_public_key("none") is None
    assert store.get_key_fingerprint("none") is None
    assert store.delete_key("none") is True
    assert store.list_keys() == []


def test_replace_and_delete(store: KeyManager, place: Path) -> None:
    keep(store, "one")
    keep(store, "one", b"another")
    assert store.load_keypair("one") == (PUBLIC, b"another", "Kyber768")
    assert store.delete_key("one") is True
    assert store.load_keypair("one") is None
    assert sorted(os.listdir(place)) == ["master.key"]


def test_nothing_is_readable_by_others_or_without_the_password(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = KeyManager(tmp_path / "deep" / "keys", PASSWORD)
        keep(store, "one")
    finally:
        os.umask(old)
    place = tmp_path / "deep" / "keys"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    for path in place.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        for secret in (PASSWORD.encode(), PRIVATE, PUBLIC, base64.b64encode(PRIVATE)):
            assert secret not in content


def test_the_working_directory_may_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    store = KeyManager("keys", PASSWORD)
    monkeypatch.chdir("/")
    keep(store, "one")
    assert (place / "one.key").exists()


def test_no_secret_is_shown(store: KeyManager) -> None:
    assert PASSWORD not in repr(store) + repr(vars(store))
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(store)


def test_what_cannot_be_stored(store: KeyManager, place: Path) -> None:
    for public, private, algorithm, metadata in (
        ("text", PRIVATE, "A", None),
        (PUBLIC, None, "A", None),
        (PUBLIC, PRIVATE, 5, None),
        (PUBLIC, PRIVATE, "A", {"x": object()}),
        (PUBLIC, PRIVATE, "A", {"x": b"bytes"}),
    ):
        assert not store.store_keypair("one", public, private, algorithm, metadata)  # type: ignore
    assert sorted(os.listdir(place)) == ["master.key"]


# ---- key ids ----


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        ".",
        "..",
        "../one",
        "/etc/passwd",
        "a/b",
        "a\\b",
        ".hidden",
        "master",
        "MASTER",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "\u202eoffline",
        "x" * 201,
        "ü" * 101,
        "\udc80",
    ],
)
def test_hostile_key_ids(store: KeyManager, place: Path, key_id: str) -> None:
    for call in (
        lambda: store.store_keypair(key_id, PUBLIC, PRIVATE, "A"),
        lambda: store.load_keypair(key_id),
        lambda: store.delete_key(key_id),
        lambda: store.rotate_keys(key_id),
        lambda: store.export_public_key(key_id),
        lambda: store.import_public_key("AAAA", key_id, "A", "raw"),
        lambda: store.get_key_fingerprint(key_id),
    ):
        with pytest.raises(ValueError):
            call()
    assert sorted(os.listdir(place)) == ["master.key"]
    assert sorted(os.listdir(place.parent)) == ["keys"]


@pytest.mark.parametrize(
    "key_id",
    [
        "a",
        "client_1",
        "a b",
        "a..b",
        "x" * 200,
        "ü" * 100,
        "a:b",
        "name@host",
        "-rf",
        "one.key",
        "mastered",
    ],
)
def test_other_key_ids(store: KeyManager, key_id: str) -> None:
    keep(store, key_id)
    assert [key["key_id"] for key in store.list_keys()] == [key_id]
    assert store.load_keypair(key_id) == (PUBLIC, PRIVATE, "Kyber768")


def test_ids_are_text(store: KeyManager) -> None:
    with pytest.raises(TypeError):
        store.load_keypair(b"one")  # type: ignore[arg-type]


# ---- what somebody else did to the files ----


def test_exchanged_files(store: KeyManager, place: Path) -> None:
    keep(store, "one", b"first")
    keep(store, "two", b"second")
    (place / "one.key").rename(place / "x")
    (place / "two.key").rename(place / "one.key")
    (place / "x").rename(place / "two.key")
    assert store.load_keypair("one") is None and store.load_keypair("two") is None
    shutil.copy(place / "one.key", place / "three.key")
    assert store.load_keypair("three") is None
    assert store.list_keys() == []


def test_damaged_files(store: KeyManager, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(store, "good")
    keep(store, "bad")
    whole = (place / "bad.key").read_bytes()
    seen = set()
    for damaged in (
        b"",
        whole[:8],
        whole[:65536],
        whole[:-1],
        whole + b"x",
        os.urandom(100),
        b"gAAAAABtoken",
        *(
            whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
            for at in (0, 40, 100, 130, 65536, 65600, len(whole) - 40)
        ),
    ):
        (place / "bad.key").write_bytes(damaged)
        caplog.clear()
        assert store.load_keypair("bad") is None
        assert caplog.records[-1].levelno == logging.ERROR
        assert "cannot load key bad" in caplog.text and PASSWORD not in caplog.text
        seen.add(caplog.records[-1].getMessage())
        assert [key["key_id"] for key in store.list_keys()] == ["good"]
        assert store.rotate_keys("bad") is None
    assert any("first version" in text for text in seen)
    assert store.store_keypair("bad", PUBLIC, PRIVATE, "A")
    assert store.load_keypair("bad") is not None


def test_files_of_another_store(store: KeyManager, place: Path, tmp_path: Path) -> None:
    other = KeyManager(tmp_path / "other", PASSWORD)
    keep(other, "one")
    shutil.copy(tmp_path / "other" / "one.key", place / "one.key")
    assert store.load_keypair("one") is None
    shutil.copy(tmp_path / "other" / "master.key", place / "master.key")
    assert KeyManager(place, PASSWORD).load_keypair("one") is not None


def test_records_that_are_none(store: KeyManager, place: Path) -> None:
    """Who has the key may still not confuse us."""
    from pqc_secure_transfer.key_manager import _bound_to

    for text in (
        b"",
        b"[]",
        b"null",
        b"{",
        b"{}",
        b'{"key_id": "one"}',
        b"[" * 5000,
        b'{"public_key": "*", "private_key": "", "algorithm": "", "key_id": "one", '
        b'"created_at": 1, "metadata": {}}',
    ):
        (place / "one.key").write_bytes(
            seal_bytes(text, key=store._key, associated_data=_bound_to("one"))
        )
        assert store.load_keypair("one") is None, text
        assert store.list_keys() == []


def test_other_files_in_the_directory(store: KeyManager, place: Path) -> None:
    keep(store, "one")
    (place / "notes.txt").write_text("x")
    (place / ".hidden.key").write_text("x")
    (place / "a\nb.key").write_text("x")
    (place / "dir.key").mkdir()
    assert [key["key_id"] for key in store.list_keys()] == ["one"]


# ---- the master password ----


@pytest.mark.parametrize("password", ["wrong", PASSWORD + " ", PASSWORD.upper()])
def test_wrong_password(place: Path, password: str) -> None:
    with pytest.raises(PassphraseError) as caught:
        KeyManager(place, password)
    assert isinstance(caught.value, ValueError) and password not in str(caught.value)


@pytest.mark.parametrize("password", ["a\0b", "a\nb", "a\r"])
def test_passwords_that_cannot_be(tmp_path: Path, password: str) -> None:
    with pytest.raises(ValueError, match="line end or a zero"):
        KeyManager(tmp_path / "keys", password)
    assert not (tmp_path / "keys" / "master.key").exists()


def test_no_password(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    for password in (None, ""):
        with pytest.raises(ValueError, match="no master password"):
            KeyManager(place, password)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="no master password"):
        KeyManager(place)


def test_password_from_a_pipe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\nmore"))
    KeyManager(place)
    assert sys.stdin.read() == "more"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_password_from_a_terminal(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [PASSWORD, "new", "new", "new", "different"]
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: answers.pop(0))
    KeyManager(place)
    KeyManager(tmp_path / "made")
    with pytest.raises(ValueError, match="not the same"):
        KeyManager(tmp_path / "not made")
    assert answers == [] and not (tmp_path / "not made" / "master.key").exists()
    KeyManager(tmp_path / "made", "new")


def test_change_password(store: KeyManager, place: Path) -> None:
    keep(store, "one")
    with pytest.raises(ValueError):
        store.change_password("wrong", "new")
    for bad in ("", "a\0"):
        with pytest.raises(ValueError):
            store.change_password(PASSWORD, bad)
    assert KeyManager(place, PASSWORD).load_keypair("one") is not None
    store.change_password(PASSWORD, "new")
    assert store.load_keypair("one") is not None
    with pytest.raises(ValueError):
        KeyManager(place, PASSWORD)
    assert KeyManager(place, "new").load_keypair("one") == (PUBLIC, PRIVATE, "Kyber768")


def test_damaged_master_key(place: Path) -> None:
    whole = (place / "master.key").read_bytes()
    for damaged in (
        b"",
        whole[:100],
        whole[:-1],
        whole[: 65536 + 10] + b"x" + whole[65536 + 11 :],
        b"x" + whole[1:],
    ):
        (place / "master.key").write_bytes(damaged)
        with pytest.raises(ValueError):
            KeyManager(place, PASSWORD)
        assert (place / "master.key").read_bytes() == damaged
    (place / "master.key").write_bytes(seal_bytes(b"no key", passphrase=PASSWORD))
    with pytest.raises(ValueError, match="not that of a key store"):
        KeyManager(place, PASSWORD)


def test_keys_without_a_master_key(store: KeyManager, place: Path) -> None:
    keep(store, "one")
    (place / "master.key").unlink()
    with pytest.raises(ValueError, match="bring it back"):
        KeyManager(place, PASSWORD)
    assert sorted(os.listdir(place)) == ["one.key"]


def test_a_store_of_the_first_version(tmp_path: Path) -> None:
    token = b"gAAAAA" + base64.urlsafe_b64encode(os.urandom(90))
    (tmp_path / "master.key").write_bytes(os.urandom(16) + token)
    (tmp_path / "one.key").write_bytes(token)
    with pytest.raises(ValueError, match="first version"):
        KeyManager(tmp_path, PASSWORD)
    assert sorted(os.listdir(tmp_path)) == ["master.key", "one.key"]


# ---- rotation, age ----


def test_rotation(store: KeyManager) -> None:
    public, private = HybridCrypto("Kyber768").generate_keypair()
    assert store.store_keypair("one", public, private, "Kyber768")
    made = [store.rotate_keys("one") for _ in range(3)]
    assert len(set(made)) == 3 and None not in made
    assert store.load_keypair("one") == (public, private, "Kyber768")
    for key_id in made:
        assert key_id is not None and key_id.startswith("one_rotated_")
        loaded = store.load_keypair(key_id)
        assert loaded is not None and loaded[2] == "Kyber768"
        secret, encapsulated = HybridCrypto().encapsulate_key(loaded[0])
        assert HybridCrypto().decapsulate_key(encapsulated, loaded[1]) == secret
    (about,) = [key for key in store.list_keys() if key["key_id"] == made[0]]
    assert about["metadata"]["rotated_from"] == "one"
    assert abs(about["metadata"]["rotation_time"] - time.time()) < 600


def test_rotation_to_another_algorithm(store: KeyManager) -> None:
    assert store.store_keypair("one", PUBLIC, PRIVATE, "TestAlgorithm")
    assert store.rotate_keys("one") is None
    made = store.rotate_keys("one", "Kyber1024")
    assert made is not None
    loaded = store.load_keypair(made)
    assert loaded is not None and loaded[2] == "Kyber1024"
    assert b'"Kyber1024"' in loaded[0]


def test_rotation_of_an_id_that_is_too_long_already(store: KeyManager) -> None:
    keep(store, "x" * 200)
    assert store.rotate_keys("x" * 200) is None
    assert len(store.list_keys()) == 1


def test_cleanup(store: KeyManager, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for key_id, days in (("old", 40), ("older", 31), ("new", 29)):
        monkeypatch.setattr(time, "time", lambda age=days: now - age * 86400)
        keep(store, key_id)
    monkeypatch.setattr(time, "time", lambda: now)
    assert [key["key_id"] for key in store.list_keys()] == ["old", "older", "new"]
    assert store.cleanup_old_keys(max_age_days=35) == 1
    assert store.cleanup_old_keys() == 1
    assert store.cleanup_old_keys() == 0
    assert [key["key_id"] for key in store.list_keys()] == ["new"]


# ---- export, import ----


@pytest.mark.parametrize("format", ["pem", "raw", "der"])
def test_export_and_import(store: KeyManager, format: str) -> None:
    public = os.urandom(1216)
    assert store.store_keypair("one", public, PRIVATE, "Kyber768")
    text = store.export_public_key("one", format)
    assert isinstance(text, str) and text.isascii()
    assert store.import_public_key(text, "two", "Kyber768", format) is True
    assert store.load_keypair("two") == (public, b"", "Kyber768")
    (about,) = [key for key in store.list_keys() if key["key_id"] == "two"]
    assert about["metadata"] == {"imported": True, "public_only": True}
    assert store.get_key_fingerprint("two") == hashlib.sha256(public).hexdigest()


def test_formats(store: KeyManager) -> None:
    assert store.store_keypair("one", b"\x01\x02", b"", "Kyber768")
    assert store.export_public_key("one") == (
        "-----BEGIN KYBER768 PUBLIC KEY-----\nAQI=\n-----END KYBER768 PUBLIC KEY-----"
    )
    assert store.export_public_key("one", "raw") == "AQI="
    assert store.export_public_key("one", "der") == "0102"
    with pytest.raises(ValueError, match="format"):
        store.export_public_key("one", "xml")


@pytest.mark.parametrize(
    "text,format",
    [
        ("", "pem"),
        ("AQI=", "pem"),
        ("-----BEGIN X-----\n-----END X-----", "pem"),
        ("*", "raw"),
        ("-----BEGIN X-----\n*\n-----END X-----", "pem"),
        ("", "raw"),
        ("0g", "der"),
        ("", "der"),
        ("AQI=", "xml"),
        (None, "raw"),
        (5, "pem"),
    ],
)
def test_imports_of_nonsense(store: KeyManager, text: Any, format: str) -> None:
    assert store.import_public_key(text, "one", "Kyber768", format) is False
    assert store.list_keys() == []


# ---- many at a time, and killed ----


def test_many_make_one_store(tmp_path: Path) -> None:
    stores: list[KeyManager] = []
    failed: list[BaseException] = []

    def work(i: int) -> None:
        try:
            store = KeyManager(tmp_path / "keys", PASSWORD)
            assert store.store_keypair(f"key {i}", PUBLIC, bytes([i]), "A")
            stores.append(store)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for store in stores:
        assert len(store.list_keys()) == 4


KILLED = textwrap.dedent("""
    import os, signal, sys
    from pqc_secure_transfer import KeyManager

    place, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    left = count

    def counted(function):
        def call(*args, **more):
            global left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*args, **more)
        return call

    def arm():
        for name in ("open", "fsync", "replace", "unlink", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))

    if what == "make":
        arm()
    store = KeyManager(place, "a master password")
    arm()
    if what == "store":
        store.store_keypair("one", b"public", b"new", "A")
    elif what == "delete":
        store.delete_key("one")
    elif what == "password":
        store.change_password("a master password", "new")
""")


@pytest.mark.parametrize("what", ["make", "store", "delete", "password"])
def test_killed_before_every_step(what: str, place: Path, tmp_path: Path) -> None:
    """kill -9 before the first thing that changes the disk, before the second, ...: never harm."""
    if what != "make":
        keep(KeyManager(place, PASSWORD), "one", b"old")
    for count in range(40):
        victim = tmp_path / f"victim {count}"
        if what != "make":
            shutil.copytree(place, victim)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, victim, what, str(count)],
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode in (0, -signal.SIGKILL)
        survived(victim, what, whole=done.returncode == 0)
        if done.returncode == 0:
            assert count >= (3 if what == "delete" else 5), "nothing was interrupted"
            return
    pytest.fail("it never came to its end")


def survived(place: Path, what: str, whole: bool) -> None:
    try:
        store = KeyManager(place, PASSWORD)
        assert what != "password" or not whole
    except PassphraseError:
        assert what == "password"
        store = KeyManager(place, "new")
    loaded = store.load_keypair("one")
    if what == "make":
        assert loaded is None
    elif what == "store":
        assert loaded is not None and loaded[1] in ((b"new",) if whole else (b"old", b"new"))
    elif what == "delete":
        assert loaded is None or not whole
    else:
        assert loaded is not None and loaded[1] == b"old"
    assert all(name.endswith(".key") for name in os.listdir(place)), "remains were not removed"
    assert store.store_keypair("one", PUBLIC, b"after", "A")
