"""Keys: who we are (`Identity`), whom we know (`PublicIdentity`), and key-encryption keys (`Kek`).

An identity is a pair of hybrid key pairs: one to receive (ML-KEM with a classical KEM), one to sign
(ML-DSA with Ed25519). Files are those of the program `pqc`: what `pqc keygen` made, `Identity.load`
reads, and the reverse.

Suites: ``"Kyber768"`` (ML-KEM-768 with X25519, ML-DSA-65 with Ed25519) and ``"Kyber1024"``; aliases
``"ML-KEM-768"`` and ``"ML-KEM-1024"``.

Secrets are never in a repr, an exception or a log. The library wipes its copies; what Python itself
keeps of a passphrase given as str or bytes it does not.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import byref
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, Union

from . import _native
from ._buffers import Memory, SecretCopy, path_bytes, text_bytes
from .errors import AlreadyExistsError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ._buffers import Buffer, Secret, StrPath

__all__ = ["Identity", "Kek", "PublicIdentity"]

_lib = _native.lib


def _make(function: Callable[..., int], *args: Any) -> int:
    """function(*args, &out, &error): the handle that it made."""
    out, error = ctypes.c_void_p(), _native.pqc_error()
    _native.check(function(*args, byref(out), byref(error)), error)
    assert out.value is not None
    return out.value


def suite_bytes(suite: Optional[str]) -> Optional[bytes]:
    """A suite's name for C; None, the default, stays None."""
    return None if suite is None else text_bytes(suite, "suite")


class _Passphrase:
    """with _Passphrase(value) as address: ...; value None gives None."""

    def __init__(self, value: Optional[Secret]) -> None:
        self._copy = None if value is None else SecretCopy(value, "passphrase")

    def __enter__(self) -> Optional[int]:
        return None if self._copy is None else self._copy.address

    def __exit__(self, *raised: object) -> None:
        if self._copy is not None:
            self._copy.release()


class Identity:
    """A private identity: to open what was sealed for it, to sign, and to be known by servers.

    Made by `generate`, `load`, `parse` or `default`, never by calling the class. Any number of
    threads may use one at the same time. It cannot be copied or pickled; `save` it.
    """

    __slots__ = ("_handle", "_public")

    _handle: Optional[int]
    _public: PublicIdentity

    def __init__(self) -> None:
        self._handle = None
        raise TypeError("use Identity.generate(), .load(), .parse() or .default()")

    @classmethod
    def _of(cls, handle: int) -> Identity:
        self = object.__new__(cls)
        self._handle = handle
        self._public = PublicIdentity._of(_make(_lib.pqc_identity_public, handle, None))
        return self

    @classmethod
    def generate(cls, suite: str = "Kyber768") -> Identity:
        """A new one, from the system's random numbers; nothing is written.

        Raises:
            UsageError: no such suite.
        """
        return cls._of(_make(_lib.pqc_identity_generate, suite_bytes(suite)))

    @classmethod
    def load(cls, path: StrPath, passphrase: Optional[Secret] = None) -> Identity:
        """Read a private key file.

        Args:
            path: of the file.
            passphrase: str (taken as UTF-8) or bytes; None for a file that has none.

        Raises:
            NotFoundError: no such file.
            PassphraseError: the passphrase is wrong, or the file needs one.
            RefusedError: other users could read the file.
            IntegrityError, UsageError: it is not a private key file.
        """
        with _Passphrase(passphrase) as address:
            return cls._of(_make(_lib.pqc_identity_load, path_bytes(path), address))

    @classmethod
    def parse(cls, text: Union[str, Buffer], passphrase: Optional[Secret] = None) -> Identity:
        """Read the text of a private key file, as `load` does."""
        memory: Union[SecretCopy, Memory]
        memory = SecretCopy(text, "a private key") if isinstance(text, str) else Memory(text)
        with memory, _Passphrase(passphrase) as address:
            size = memory.size
            return cls._of(_make(_lib.pqc_identity_parse, memory.address, size, address))

    @classmethod
    def default(cls, passphrase: Optional[Secret] = None, create: bool = False) -> Identity:
        """The user's own: the file "identity" where `pqc` has it.

        That is in $PQC_HOME, $PQC_KEY_STORE_PATH, $XDG_CONFIG_HOME/pqc or ~/.config/pqc, the first
        that is set.

        Args:
            passphrase: of the file; None for none.
            create: make it (of suite Kyber768, with this passphrase) when it is not there.

        Raises:
            NotFoundError: it is not there, and create is False; else as `load`.
        """
        path = _native.home_path("identity")
        try:
            return cls.load(path, passphrase)
        except NotFoundError:
            if not create:
                raise
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            made = cls.generate()
            made.save(path, passphrase)
            return made
        except AlreadyExistsError:  # somebody else made it meanwhile
            return cls.load(path, passphrase)

    def save(
        self,
        path: StrPath,
        passphrase: Optional[Secret] = None,
        comment: Optional[str] = None,
    ) -> None:
        """Write the private key to path (mode 0600) and the public one to path.pub (0644).

        Args:
            path: of the private key's file.
            passphrase: to encrypt it with; None: it is not encrypted.
            comment: for people, at the end of the public key's line; None: none.

        Raises:
            AlreadyExistsError: one of the files is there; nothing was written.
            IoError, RefusedError, QuotaError: it cannot be written.
        """
        error = _native.pqc_error()
        note = None if comment is None else text_bytes(comment, "comment")
        with _Passphrase(passphrase) as address:
            result = _lib.pqc_identity_save(
                self._handle, path_bytes(path), address, note, byref(error)
            )
        _native.check(result, error)

    def export(self, passphrase: Optional[Secret] = None) -> bytes:
        """The text of a private key file, for `parse`; passphrase None: it is not encrypted."""
        text, error = _native.pqc_buffer(), _native.pqc_error()
        with _Passphrase(passphrase) as address:
            result = _lib.pqc_identity_format(self._handle, address, byref(text), byref(error))
        _native.check(result, error)
        return _native.take(text).rstrip(b"\0")

    @property
    def public(self) -> PublicIdentity:
        """The public half, to give away."""
        return self._public

    @property
    def id(self) -> bytes:
        """32 bytes that name it: the beginning of SHA-512 of the public signature key."""
        return self._public.id

    @property
    def suite(self) -> str:
        """``"Kyber768"`` or ``"Kyber1024"``."""
        return self._public.suite

    def __repr__(self) -> str:
        return f"<Identity {self.suite} {self.id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not copied or pickled: save() it, and load() it there")

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            _lib.pqc_identity_free(handle)


class PublicIdentity:
    """A public identity: to seal for, to expect as sender, to pin as a server.

    Two are equal when their ids are. Can be hashed, copied and pickled.
    """

    __slots__ = ("_handle", "id")

    _handle: Optional[int]
    id: bytes
    """32 bytes that name it: the beginning of SHA-512 of the public signature key."""

    def __init__(self) -> None:
        self._handle = None
        raise TypeError("use PublicIdentity.load() or .parse(), or the .public of an Identity")

    @classmethod
    def _of(cls, handle: int) -> PublicIdentity:
        self = object.__new__(cls)
        self._handle = handle
        self.id = ctypes.string_at(_lib.pqc_public_id(handle), _native.PQC_ID_SIZE)
        return self

    @classmethod
    def load(cls, path: StrPath) -> PublicIdentity:
        """Read a .pub file.

        Raises:
            NotFoundError: no such file.
            IntegrityError, UsageError: it is not a public key file.
        """
        return cls._of(_make(_lib.pqc_public_load, path_bytes(path)))

    @classmethod
    def parse(cls, text: Union[str, bytes]) -> PublicIdentity:
        """Read the line of a .pub file.

        Raises:
            IntegrityError, UsageError: it is not a public key's line.
        """
        line = text_bytes(text, "a public key") if isinstance(text, str) else bytes(text)
        return cls._of(_make(_lib.pqc_public_parse, line, len(line)))

    @property
    def text(self) -> str:
        """The line of a .pub file, without newline."""
        text: bytes = _lib.pqc_public_text(self._handle)
        return text.decode()

    @property
    def suite(self) -> str:
        """``"Kyber768"`` or ``"Kyber1024"``."""
        suite: bytes = _lib.pqc_public_suite(self._handle)
        return suite.decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicIdentity):
            return NotImplemented
        return self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<PublicIdentity {self.suite} {self.id.hex()}>"

    def __reduce__(self) -> Any:
        return PublicIdentity.parse, (self.text,)

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            _lib.pqc_public_free(handle)


class Kek:
    """A key-encryption key: a symmetric key with a name and a version, in a file that holds one line
    ``pqc-kek-v1 ID VERSION KEY``: 32 hex digits, a number, 64 hex digits.

    It stays in memory until the object is gone, and is wiped then.

    Args:
        id: 16 bytes that name it.
        version: 0 to 2**32 - 1.
        key: 32 secret bytes.

    Raises:
        UsageError: a length or the version is wrong.
    """

    __slots__ = ("_struct",)

    _struct: Any

    def __init__(self, id: bytes, version: int, key: Buffer) -> None:
        self._struct = _native.pqc_kek()
        if len(id) != 16:
            raise UsageError(f"the id of a Kek must be 16 bytes, not {len(id)}")
        if not 0 <= version < 2**32:
            raise UsageError(f"the version of a Kek must be from 0 to {2**32 - 1}, not {version}")
        with Memory(key) as memory:
            if memory.size != _native.PQC_KEY_SIZE:
                raise UsageError(f"the key of a Kek must be 32 bytes, not {memory.size}")
            ctypes.memmove(self._struct.key, memory.address or 0, memory.size)
        ctypes.memmove(self._struct.id, bytes(id), 16)
        self._struct.version = version

    @classmethod
    def load(cls, path: StrPath) -> Kek:
        """Read a key-encryption key's file.

        Raises:
            NotFoundError: no such file.
            RefusedError: other users could read the file.
            IntegrityError, UsageError: it is not such a file.
        """
        self = object.__new__(cls)
        self._struct = _native.pqc_kek()
        error = _native.pqc_error()
        result = _lib.pqc_kek_load(path_bytes(path), byref(self._struct), byref(error))
        _native.check(result, error)
        return self

    @property
    def id(self) -> bytes:
        """16 bytes that name it."""
        return bytes(self._struct.id)

    @property
    def version(self) -> int:
        """Its version."""
        return int(self._struct.version)

    def __repr__(self) -> str:
        return f"<Kek {self.id.hex()} version {self.version}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key-encryption key is not copied or pickled")

    def __del__(self) -> None:
        struct = getattr(self, "_struct", None)
        if struct is not None:
            ctypes.memset(byref(struct), 0, ctypes.sizeof(struct))
