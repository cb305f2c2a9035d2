"""Encryption of files and streams under one key of 32 bytes, by the first version's names.

What is written is a container (docs/container.md) that the key opens: ``pqc open --raw-key-file``
reads it too, where no associated data was given. ``seal`` and ``open`` of this package can do more.
"""

from __future__ import annotations

import operator
import os
import stat
import sys
from typing import Any, BinaryIO, Callable, NoReturn, Optional, Union

from . import _native, sealing
from .client import Progress
from .errors import IntegrityError, PqcError

__all__ = ["ProgressTracker", "StreamingEncryptor"]

Path = Union[str, os.PathLike[str]]
BytesLike = Union[bytes, bytearray, memoryview]

_KEY_SIZE = 32
_CHUNK_SIZE = 4 * 1024 * 1024
_MIN_PART, _MAX_PART = 64 * 1024, 32 * 1024 * 1024
_UNKNOWN_SIZE = 2**64 - 1
_MAGIC = b"\x89PQX\r\n\x1a\n"
# the first version's header, nonce[12] | u64 size, and that of its first chunk, u32 length |
# nonce[12] | tag[16]
_OLD_HEADER, _OLD_PREFIX, _OLD_NONCE = 20, 8, slice(24, 36)
_HEAD_SIZE = 36


def _part_size(chunk_size: int) -> int:
    """The container's part size for a chunk size: a quarter, as several are worked on at a time."""
    size = operator.index(chunk_size)
    if size <= 0:
        raise ValueError(f"chunk_size {size}: must be positive")
    quarter = -(-size // 4)
    return min(max(1 << (quarter - 1).bit_length(), _MIN_PART), _MAX_PART)


def _is_of_first_version(head: bytes) -> bool:
    """Its first chunk repeats the beginning of the file's nonce, followed by the chunk's number."""
    if len(head) < _HEAD_SIZE:
        return len(head) == _OLD_HEADER and not any(head[12:])  # an empty file
    return head[_OLD_NONCE] == head[:_OLD_PREFIX] + bytes(4)


def _explained(error: IntegrityError, head: bytes) -> Exception:
    if head.startswith(_MAGIC):
        return error
    if _is_of_first_version(head):
        return ValueError(
            "this is of the first version of pqc_secure_transfer, whose format this "
            "one cannot read: decrypt it with that version, and encrypt it again"
        )
    return error


def _read_head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_HEAD_SIZE)


class _Begun:
    """A stream from its beginning on, of which something was read to look at it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.head = stream, b""
        while len(self.head) < _HEAD_SIZE:
            more = stream.read(_HEAD_SIZE - len(self.head))
            if more is None or isinstance(more, str):
                raise TypeError(f"read() gave {more!r:.20}: must be a binary stream that blocks")
            if not more:
                break
            self.head += more
        self._left = self.head

    def read(self, n: int) -> Any:
        if not self._left:
            return self._stream.read(n)
        some, self._left = self._left[:n], self._left[n:]
        return some


def _in_place(path: Path) -> Optional[str]:
    """The file to replace when path is written to; None: it is there, and no file, but a device."""
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        return real
    return real if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None


class StreamingEncryptor:
    """Encrypts and decrypts files of any length with little memory, of the order of a chunk.

    One object may be used by many threads at a time. While it works the GIL is free.
    """

    def __init__(self, key: BytesLike, chunk_size: int = _CHUNK_SIZE) -> None:
        """What to encrypt and decrypt with.

        key: exactly 32 random bytes, else ValueError. chunk_size: bytes, any positive number, else
        ValueError; about what may be in memory. The container's part size is a quarter of it,
        rounded up to a power of two, at least 64 KiB and at most 32 MiB. Only writing depends on it.
        """
        key = bytes(memoryview(key))
        if len(key) != _KEY_SIZE:
            raise ValueError(f"a key of {len(key)} bytes: must have {_KEY_SIZE}")
        self._key = key
        self._part_size = _part_size(chunk_size)
        self.chunk_size = chunk_size

    @property
    def key(self) -> bytes:
        """The key. It is in no repr, and an encryptor is not pickled."""
        return self._key

    def __repr__(self) -> str:
        return f"StreamingEncryptor(chunk_size={self.chunk_size})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a StreamingEncryptor holds a key and is not to be pickled")

    # ---- files ----

    def encrypt_file(
        self,
        input_path: Path,
        output_path: Path,
        associated_data: Optional[BytesLike] = None,
        progress: Optional[Callable[[Progress], object]] = None,
    ) -> bytes:
        """Encrypt a file; returns the SHA-256 of its content, 32 bytes.

        What is at ``output_path`` is replaced, when the new file is whole and durable. Who decrypts
        it must give the same ``associated_data``; it is not in the file. FileNotFoundError: no such
        input. OSError: reading or writing failed.
        """
        return self._encrypt_to(os.fsdecode(input_path), output_path, associated_data, progress)

    def decrypt_file(
        self,
        input_path: Path,
        output_path: Path,
        associated_data: Optional[BytesLike] = None,
        progress: Optional[Callable[[Progress], object]] = None,
    ) -> bytes:
        """Decrypt a file; returns the SHA-256 of its content, the same that ``encrypt_file`` gave.

        ``output_path`` is replaced only when all was checked. ValueError: the key or the associated
        data is not that of the file (``NoKeyError``), the file was changed or cut
        (``IntegrityError``), or it is of the first version, whose format is another.
        """
        try:
            return self._decrypt_to(os.fsdecode(input_path), output_path, associated_data, progress)
        except IntegrityError as error:
            explained = _explained(error, _read_head(input_path))
            if explained is error:
                raise
            raise explained from None

    def _encrypt_to(
        self,
        source: Any,
        path: Path,
        data: Optional[BytesLike],
        progress: Optional[Callable[[Progress], object]],
    ) -> bytes:
        target = _in_place(os.fsdecode(path))
        if target is not None:
            return self._seal(source, target, data, progress)
        with open(path, "wb", buffering=0) as device:
            return self._seal(source, device, data, progress)

    def _decrypt_to(
        self,
        source: Any,
        path: Path,
        data: Optional[BytesLike],
        progress: Optional[Callable[[Progress], object]],
    ) -> bytes:
        target = _in_place(os.fsdecode(path))
        if target is not None:
            return self._open(source, target, data, progress)
        with open(path, "wb", buffering=0) as device:
            return self._open(source, device, data, progress)

    # ---- streams ----

    def encrypt_stream(
        self,
        input_stream: BinaryIO,
        output_stream: BinaryIO,
        associated_data: Optional[BytesLike] = None,
    ) -> bytes:
        """Encrypt what is between the input's position and its end, to the output's position.

        Both are binary and blocking; they need no more than ``read(n)`` and ``write(data)``, and
        stay open. Returns the SHA-256 of what was read. An exception of theirs comes out unchanged.
        """
        return self._seal(input_stream, output_stream, associated_data, None)

    def decrypt_stream(
        self,
        input_stream: BinaryIO,
        output_stream: BinaryIO,
        associated_data: Optional[BytesLike] = None,
    ) -> bytes:
        """Decrypt what is between the input's position and its end, to the output's position.

        What is written is a true beginning of what was encrypted at any time; that it is all of it
        is known when the call returns, with its SHA-256. ValueError as for ``decrypt_file``.
        """
        begun: Any = _Begun(input_stream)
        head = begun.head
        if _seek_back(input_stream, len(head)):
            begun = input_stream
        try:
            return self._open(begun, output_stream, associated_data, None)
        except IntegrityError as error:
            explained = _explained(error, head)
            if explained is error:
                raise
            raise explained from None

    # ---- both ----

    def _seal(
        self,
        source: Any,
        sink: Any,
        data: Optional[BytesLike],
        progress: Optional[Callable[[Progress], object]],
    ) -> bytes:
        done = sealing.seal(
            source,
            sink,
            key=self._key,
            associated_data=_bound(data),
            part_size=self._part_size,
            sha256=True,
            replace=True,
            progress=progress,
        )
        assert done.sha256 is not None
        return done.sha256

    def _open(
        self,
        source: Any,
        sink: Any,
        data: Optional[BytesLike],
        progress: Optional[Callable[[Progress], object]],
    ) -> bytes:
        done = sealing.open(
            source,
            sink,
            key=self._key,
            associated_data=_bound(data),
            sha256=True,
            replace=True,
            progress=progress,
        )
        assert done.sha256 is not None
        return done.sha256

    @staticmethod
    def estimate_encrypted_size(original_size: int, chunk_size: int = _CHUNK_SIZE) -> int:
        """The size in bytes, exactly, of what encrypting ``original_size`` bytes with this
        ``chunk_size`` gives. ValueError: no container can hold so many.
        """
        size, part_size = operator.index(original_size), _part_size(chunk_size)
        if not 0 <= size < _UNKNOWN_SIZE:
            raise ValueError(f"{size} bytes cannot be encrypted")
        sealed = int(_native.lib.pqc_sealed_size(None, size, part_size, 0))
        if sealed == _UNKNOWN_SIZE:
            raise ValueError(f"{size} bytes cannot be encrypted in chunks of {part_size}")
        return sealed


def _bound(data: Optional[BytesLike]) -> Optional[bytes]:
    """Empty associated data is none, as it was in the first version."""
    return None if data is None else bytes(memoryview(data)) or None


def _seek_back(stream: Any, n: int) -> bool:
    try:
        stream.seek(-n, os.SEEK_CUR)
        return True
    except (AttributeError, OSError, ValueError):
        return False


class ProgressTracker:
    """A line on standard error that says how far something is; nothing when that is no terminal.

    Either call ``update`` by hand, or give the tracker as ``progress=`` to a call of this package.
    """

    def __init__(self, total_size: int, description: str = "Processing") -> None:
        """``total_size``: bytes that there are to do; 0 when that is not known."""
        self.total_size = total_size
        self.processed = 0
        self.description = description
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._percent = -1

    def update(self, chunk_size: int) -> None:
        """So many bytes more are done."""
        self.processed += chunk_size
        if not self._shown:
            return
        if self.total_size <= 0:
            said = f"{self.processed} bytes"
        else:
            percent = 100 * self.processed // self.total_size
            said = f"{percent}% ({self.processed} of {self.total_size} bytes)"
            if percent == self._percent:
                return
            self._percent = percent
        print(f"\r{self.description}: {said}", end="", file=sys.stderr, flush=True)

    def __call__(self, progress: Progress) -> None:
        self.update(progress.done - self.processed)

    def close(self) -> None:
        """End the line."""
        if self._shown:
            print(file=sys.stderr)
            self._shown = False

    def __enter__(self) -> ProgressTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
