"""An encrypted store of key pairs in a directory, as the first Python version had it.

``master.key`` is a container (docs/container.md) that the master password opens; in it is a random
key of 32 bytes. Each ``ID.key`` is a container under that key, bound to its id, so that files of a
store cannot be exchanged for one another. Files are replaced whole: a program that is killed at any
moment leaves a store that can be read.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import getpass
import hashlib
import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Optional, Union

from .errors import PqcError
from .sealing import open_bytes, seal_bytes

__all__ = ["KeyManager"]

_log = logging.getLogger("pqc_secure_transfer")

_MASTER = "master.key"
_SUFFIX = ".key"
_KEY_SIZE = 32
_MAX_ID = 200  # bytes; leaves room for what rotation and the suffix add
_PART_SIZE = 64 * 1024  # the smallest there is: what is stored here is small
_MAGIC = b"\x89PQX\r\n\x1a\n"
_FERNET = b"gAAAAA"  # a Fernet token, version 128, until the year 2106
_FERNET_SALT = 16
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
_DAY = 24 * 3600
# it cannot be read, it is damaged, it is not what we write
_UNREADABLE = (PqcError, OSError, ValueError, KeyError, TypeError, RecursionError)


def _checked_id(key_id: str) -> str:
    """The id, if it is one that can name a file of the store and nothing else."""
    if not isinstance(key_id, str):
        raise TypeError(f"a key id is a str, not {type(key_id).__name__}")
    try:
        size = len(key_id.encode())
    except UnicodeEncodeError:
        raise ValueError(f"key id {key_id!r}: is not valid Unicode") from None
    if not 1 <= size <= _MAX_ID:
        raise ValueError(f"key id of {size} bytes: must have 1 to {_MAX_ID}")
    if "/" in key_id or "\\" in key_id or not key_id.isprintable() or key_id.startswith("."):
        raise ValueError(
            f"key id {key_id!r}: must not begin with '.', nor hold '/', '\\' or what "
            "cannot be printed"
        )
    if key_id.casefold() == "master":
        raise ValueError(f"key id {key_id!r}: that is the file of the master key")
    return key_id


def _bound_to(key_id: str) -> bytes:
    return b"pqc_secure_transfer key store\0" + key_id.encode()


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[int]:
    """Nobody else writes meanwhile, of this process or another. The directory's descriptor."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _replace(directory: int, name: str, data: bytes) -> None:
    """The file has the old content or the new one, whatever happens; then the new one for good."""
    temporary = f".{secrets.token_hex(8)}.tmp"
    fd = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory
    )
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)


def _remove_temporaries(directory: int) -> None:
    """What killed programs left: who is still writing holds the lock."""
    for name in os.listdir(directory):
        if _TEMPORARY.fullmatch(name):
            os.unlink(name, dir_fd=directory)


def _ask_password(new: bool) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass("New master password: " if new else "Master password: ")
        if new and getpass.getpass("Once more: ") != password:
            raise ValueError("the two master passwords are not the same")
    elif sys.stdin is not None:
        password = sys.stdin.readline().rstrip("\r\n")  # the first version took it from there
    else:
        password = ""
    if not password:
        raise ValueError("no master password: give master_password")
    return password


def _checked_password(password: str) -> str:
    if not isinstance(password, str):
        raise TypeError(f"a master password is a str, not {type(password).__name__}")
    if not password:
        raise ValueError("the master password is empty")
    if any(c in password for c in "\0\r\n"):
        raise ValueError("the master password holds a line end or a zero character")
    return password


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class KeyManager:
    """A store of key pairs. Any number of threads and processes may use one store at a time.

    As in the first version, methods that return a bool or None for a failure do not raise for what
    goes wrong with the store; they log the reason (logger ``pqc_secure_transfer``). A key id that
    cannot be one is ValueError: it has 1 to 200 bytes, all printable, no ``/``, no ``\\``, no ``.``
    at the beginning, and is not ``master``.
    """

    def __init__(
        self,
        key_store_path: Union[str, os.PathLike[str]] = ".pqc_keys",
        master_password: Optional[str] = None,
    ) -> None:
        """Open the store, or make one: the directory has mode 0700 when it is new, files 0600.

        Without a master password it is asked for at the terminal, or else read as a line of
        standard input. ValueError: wrong password (``PassphraseError``), a damaged master key,
        keys without a master key, or a store of the first version, which is in another format.
        """
        self.key_store_path = os.fspath(key_store_path)
        self._directory = os.path.abspath(self.key_store_path)
        os.makedirs(os.path.dirname(self._directory), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._directory, 0o700)
        self._key = self._open_store(master_password or None)

    def __repr__(self) -> str:
        return f"KeyManager({self.key_store_path!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyManager holds a secret and is not to be pickled")

    # ---- the master key ----

    def _open_store(self, password: Optional[str]) -> bytes:
        with _locked(self._directory) as directory:
            _remove_temporaries(directory)
            made = os.path.lexists(os.path.join(self._directory, _MASTER))
        # the lock is free while a person is asked; who is slower opens what the faster one made
        password = _checked_password(password or _ask_password(new=not made))
        with _locked(self._directory) as directory:
            try:
                return self._master_key(password)
            except FileNotFoundError:
                return self._make_master_key(directory, password)

    def _master_key(self, password: str) -> bytes:
        with open(os.path.join(self._directory, _MASTER), "rb") as file:
            sealed = file.read()
        if sealed[_FERNET_SALT:].startswith(_FERNET):
            raise ValueError(
                f"{self.key_store_path}: this store was made by the first version of "
                "pqc_secure_transfer, and this one cannot read it; use another "
                "directory, and export what you need with the first version"
            )
        if not sealed.startswith(_MAGIC):
            raise ValueError(f"{self.key_store_path}: {_MASTER} is damaged")
        key = open_bytes(sealed, passphrase=password)
        if len(key) != _KEY_SIZE:
            raise ValueError(f"{self.key_store_path}: {_MASTER} is not that of a key store")
        return key

    def _make_master_key(self, directory: int, password: str) -> bytes:
        if any(name.endswith(_SUFFIX) for name in os.listdir(directory)):
            raise ValueError(
                f"{self.key_store_path}: there are keys here, but no {_MASTER} that "
                "opens them: bring it back, or use another directory"
            )
        key = os.urandom(_KEY_SIZE)
        _replace(directory, _MASTER, seal_bytes(key, passphrase=password, part_size=_PART_SIZE))
        return key

    def change_password(self, old_password: str, new_password: str) -> None:
        """Put the master key under another password; the keys stay as they are.

        From then on the old one opens copies of ``master.key`` from before only. ValueError:
        ``old_password`` is wrong.
        """
        _checked_password(new_password)
        with _locked(self._directory) as directory:
            key = self._master_key(_checked_password(old_password))
            _replace(
                directory, _MASTER, seal_bytes(key, passphrase=new_password, part_size=_PART_SIZE)
            )

    # ---- records ----

    def _path(self, key_id: str) -> str:
        return os.path.join(self._directory, key_id + _SUFFIX)

    def _sealed(self, record: Mapping[str, Any]) -> bytes:
        return seal_bytes(
            json.dumps(record).encode(),
            key=self._key,
            part_size=_PART_SIZE,
            associated_data=_bound_to(record["key_id"]),
        )

    def _read(self, key_id: str) -> dict[str, Any]:
        with open(self._path(key_id), "rb") as file:
            sealed = file.read()
        if sealed.startswith(_FERNET):
            raise ValueError("was written by the first version")
        record = json.loads(open_bytes(sealed, key=self._key, associated_data=_bound_to(key_id)))
        record["public_key"] = base64.b64decode(record["public_key"], validate=True)
        record["private_key"] = base64.b64decode(record["private_key"], validate=True)
        return {
            name: record[name]
            for name in (
                "key_id",
                "algorithm",
                "public_key",
                "private_key",
                "created_at",
                "metadata",
            )
        }

    def _find(self, key_id: str) -> Optional[dict[str, Any]]:
        _checked_id(key_id)
        try:
            return self._read(key_id)
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            _log.error("%s: cannot load key %s: %s", self.key_store_path, key_id, error)
            return None

    @staticmethod
    def _record(
        key_id: str,
        public_key: bytes,
        private_key: bytes,
        algorithm: str,
        metadata: Optional[Mapping[str, Any]],
    ) -> dict[str, Any]:
        if not isinstance(algorithm, str):
            raise TypeError(f"an algorithm is a str, not {type(algorithm).__name__}")
        return {
            "key_id": key_id,
            "algorithm": algorithm,
            "public_key": _base64(public_key),
            "private_key": _base64(private_key),
            "created_at": time.time(),
            "metadata": dict(metadata or {}),
        }

    # ---- key pairs ----

    def store_keypair(
        self,
        key_id: str,
        public_key: bytes,
        private_key: bytes,
        algorithm: str,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> bool:
        """Store a key pair of any kind, in place of what is there under this id.

        ``private_key`` may be empty. ``metadata`` must be possible in JSON. True when it is on the
        disk.
        """
        _checked_id(key_id)
        try:
            sealed = self._sealed(
                self._record(key_id, public_key, private_key, algorithm, metadata)
            )
            with _locked(self._directory) as directory:
                _replace(directory, key_id + _SUFFIX, sealed)
            return True
        except _UNREADABLE as error:
            _log.error("%s: cannot store key %s: %s", self.key_store_path, key_id, error)
            return False

    def load_keypair(self, key_id: str) -> Optional[tuple[bytes, bytes, str]]:
        """(public key, private key, algorithm), or None: no such key, or its file is damaged."""
        record = self._find(key_id)
        if record is None:
            return None
        return record["public_key"], record["private_key"], record["algorithm"]

    def list_keys(self) -> list[dict[str, Any]]:
        """What there is of each key that can be read, oldest first.

        Keys of a dict: ``key_id``, ``algorithm``, ``created_at`` (seconds since 1970, a float),
        ``metadata``.
        """
        found = []
        for name in os.listdir(self._directory):
            if name.endswith(_SUFFIX) and name != _MASTER:
                try:
                    record = self._find(name[: -len(_SUFFIX)])
                except ValueError:
                    continue  # a file that is not ours
                if record is not None:
                    found.append(
                        {
                            key: record[key]
                            for key in ("key_id", "algorithm", "created_at", "metadata")
                        }
                    )
        return sorted(found, key=lambda key: (key["created_at"], key["key_id"]))

    def delete_key(self, key_id: str) -> bool:
        """True when there is no key of this id any more, also when there was none."""
        _checked_id(key_id)
        try:
            with _locked(self._directory) as directory:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(key_id + _SUFFIX, dir_fd=directory)
                os.fsync(directory)
            return True
        except OSError as error:
            _log.error("%s: cannot delete key %s: %s", self.key_store_path, key_id, error)
            return False

    def rotate_keys(self, key_id: str, new_algorithm: Optional[str] = None) -> Optional[str]:
        """Make a new key pair (``HybridCrypto``) beside the old one, which stays. Its id:
        ``ID_rotated_SECONDS``, with a number behind it when there is one of that name already. Its
        metadata: ``rotated_from`` and ``rotation_time``. None: no such key, or no such algorithm.
        """
        old = self._find(key_id)
        if old is None:
            return None
        from .hybrid_crypto import HybridCrypto

        now = time.time()
        algorithm = new_algorithm or old["algorithm"]
        try:
            public_key, private_key = HybridCrypto(algorithm).generate_keypair()
            record = self._record(
                "",
                public_key,
                private_key,
                algorithm,
                {"rotated_from": key_id, "rotation_time": now},
            )
            return self._store_new(f"{key_id}_rotated_{int(now)}", record)
        except _UNREADABLE as error:
            _log.error("%s: cannot rotate key %s: %s", self.key_store_path, key_id, error)
            return None

    def _store_new(self, key_id: str, record: dict[str, Any]) -> str:
        with _locked(self._directory) as directory:
            unused, count = key_id, 1
            while os.path.lexists(self._path(_checked_id(unused))):
                count += 1
                unused = f"{key_id}_{count}"
            record["key_id"] = unused
            _replace(directory, unused + _SUFFIX, self._sealed(record))
        return unused

    def cleanup_old_keys(self, max_age_days: float = 30) -> int:
        """Delete every key that is older, and return how many that were."""
        oldest = time.time() - max_age_days * _DAY
        deleted = 0
        for key in self.list_keys():
            if key["created_at"] < oldest and self.delete_key(key["key_id"]):
                deleted += 1
                _log.info("%s: deleted old key %s", self.key_store_path, key["key_id"])
        return deleted

    # ---- public keys ----

    def export_public_key(self, key_id: str, format: str = "pem") -> Optional[str]:
        """The public key as text: ``"pem"`` (label ``ALGORITHM PUBLIC KEY``), ``"raw"`` (Base64) or
        ``"der"`` (hexadecimal digits, as the first version had it). None: no such key.
        """
        record = self._find(key_id)
        if record is None:
            return None
        public_key = record["public_key"]
        if format == "raw":
            return _base64(public_key)
        if format == "der":
            return str(public_key.hex())
        if format != "pem":
            raise ValueError(f"format {format!r}: must be 'pem', 'raw' or 'der'")
        text = _base64(public_key)
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        label = f"{record['algorithm'].upper()} PUBLIC KEY"
        return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])

    def import_public_key(
        self, key_data: str, key_id: str, algorithm: str, format: str = "pem"
    ) -> bool:
        """Store a public key that was exported, without a private one. Metadata: ``imported`` and
        ``public_only``. False when ``key_data`` is not of this format.
        """
        _checked_id(key_id)
        try:
            public_key = _parse_public_key(key_data, format)
        except (ValueError, TypeError, AttributeError, binascii.Error) as error:
            _log.error("cannot import key %s: %s", key_id, error)
            return False
        return self.store_keypair(
            key_id, public_key, b"", algorithm, {"imported": True, "public_only": True}
        )

    def get_key_fingerprint(self, key_id: str) -> Optional[str]:
        """SHA-256 of the public key, 64 hexadecimal digits. None: no such key."""
        record = self._find(key_id)
        return None if record is None else hashlib.sha256(record["public_key"]).hexdigest()


def _parse_public_key(text: str, format: str) -> bytes:
    if format == "raw":
        data = base64.b64decode(text.strip(), validate=True)
    elif format == "der":
        data = bytes.fromhex(text)
    elif format == "pem":
        lines = [line.strip() for line in text.strip().splitlines()]
        if len(lines) < 3 or not (
            lines[0].startswith("-----BEGIN ") and lines[-1].startswith("-----END ")
        ):
            raise ValueError("no lines -----BEGIN ...----- and -----END ...-----")
        data = base64.b64decode("".join(lines[1:-1]), validate=True)
    else:
        raise ValueError(f"format {format!r}: must be 'pem', 'raw' or 'der'")
    if not data:
        raise ValueError("an empty key")
    return data
