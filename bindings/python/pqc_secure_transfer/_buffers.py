"""Python's bytes for C: memory of buffers without copies, secrets that are wiped, text, paths."""

from __future__ import annotations

import ctypes
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Type, Union

from .errors import UsageError

if TYPE_CHECKING:
    from typing import Protocol

    class SupportsBuffer(Protocol):
        """Anything with the buffer protocol: array.array, mmap, ctypes arrays, numpy arrays."""

        def __buffer__(self, flags: int, /) -> memoryview: ...

    class SupportsArray(Protocol):
        """numpy arrays, as their stubs describe them before Python 3.12."""

        @property
        def __array_interface__(self) -> dict[str, Any]: ...

    Buffer = Union[bytes, bytearray, memoryview, SupportsBuffer, SupportsArray]
    StrPath = Union[str, os.PathLike[str]]
    Secret = Union[str, bytes, bytearray]

_SIMPLE, _WRITABLE = 0, 1  # flags of PyObject_GetBuffer


class _Py_buffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


# Prototypes of our own: the attributes of ctypes.pythonapi are everybody's.
_check_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(
    ("PyObject_CheckBuffer", ctypes.pythonapi)
)
_get_buffer = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.py_object, ctypes.POINTER(_Py_buffer), ctypes.c_int
)(("PyObject_GetBuffer", ctypes.pythonapi))
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_Py_buffer))(
    ("PyBuffer_Release", ctypes.pythonapi)
)


def is_buffer(thing: object) -> bool:
    """Does thing have the buffer protocol?"""
    return bool(_check_buffer(thing))


class Memory:
    """The memory of an object with the buffer protocol, in place, held until `release`.

    While it is held a bytearray cannot be resized, and a numpy array cannot be resized in place.

    Attributes:
        address: where it is; None for no bytes.
        size: bytes.
    """

    def __init__(self, thing: object, writable: bool = False) -> None:
        self._view: Optional[_Py_buffer] = None
        if getattr(getattr(thing, "dtype", None), "hasobject", False):
            raise UsageError("this array holds Python objects: what is in its memory are pointers")
        view = _Py_buffer()
        try:
            _get_buffer(thing, ctypes.byref(view), _WRITABLE if writable else _SIMPLE)
        except (BufferError, ValueError) as error:
            kind = type(thing).__name__
            raise UsageError(
                f"the memory of this {kind} cannot be used in place ({error}): it must be "
                + ("writable and " if writable else "")
                + "C-contiguous; for an array that is not, take np.ascontiguousarray(array)"
            ) from error
        self._view = view
        self.address: Optional[int] = view.buf
        self.size: int = view.len

    def release(self) -> None:
        """Let go of it. A second time does nothing."""
        view, self._view = self._view, None
        if view is not None:
            _release_buffer(ctypes.byref(view))

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


class SecretCopy:
    """A copy of a secret that C can read, zero-terminated, wiped by `release`.

    What of it Python itself keeps (a str is never wiped) is the caller's.
    """

    def __init__(self, value: Union[Secret, Buffer], what: str, size: Optional[int] = None) -> None:
        """what names it in errors, "passphrase"; size: how many bytes it must have, None: text."""
        self._copy: Any = None
        if isinstance(value, str) and size is None:
            value = value.encode()
        if isinstance(value, str) or not is_buffer(value):
            wanted = "str or bytes" if size is None else f"{size} bytes"
            raise TypeError(f"{what} must be {wanted}, not {type(value).__name__}")
        with Memory(value) as memory:
            if size is not None and memory.size != size:
                raise UsageError(f"{what} must be {size} bytes, not {memory.size}")
            if size is None and 0 in memoryview(value).cast("B"):  # type: ignore[arg-type]
                raise UsageError(f"{what} must not hold a zero byte")
            self._copy = ctypes.create_string_buffer(memory.size + 1)
            ctypes.memmove(self._copy, memory.address or 0, memory.size)
            self.size = memory.size

    @property
    def address(self) -> int:
        """Where it is."""
        return ctypes.addressof(self._copy)

    def release(self) -> None:
        """Wipe it. A second time does nothing."""
        copy, self._copy = self._copy, None
        if copy is not None:
            ctypes.memset(copy, 0, ctypes.sizeof(copy))

    def __enter__(self) -> SecretCopy:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def text_bytes(text: str, what: str) -> bytes:
    """A str for C: UTF-8 without zero bytes. what names it in errors."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    encoded = text.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise UsageError(f"{what} must not hold a zero byte")
    return encoded


def path_bytes(path: StrPath) -> bytes:
    """A path for C."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise UsageError("a path must not hold a zero byte")
    return encoded


def optional_path(path: Optional[StrPath]) -> Optional[bytes]:
    """A path for C; None stays None."""
    return None if path is None else path_bytes(path)


def id_bytes(identity: object, what: str) -> bytes:
    """An id: 32 bytes, or the .id of an Identity or PublicIdentity."""
    value = getattr(identity, "id", identity)
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{what} must be a PublicIdentity or 32 bytes, not {type(identity).__name__}")
    if len(value) != 32:
        raise UsageError(f"{what} must be 32 bytes, not {len(value)}")
    return bytes(value)
