"""Where bytes come from and go to: Python's paths, buffers and file-like objects as pqc_source and
pqc_sink."""

from __future__ import annotations

import ctypes
import io
import os
import select
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _native
from ._buffers import Memory, is_buffer, path_bytes
from .errors import Cancelled

if TYPE_CHECKING:
    from typing import Protocol

    from ._buffers import Buffer, StrPath

    class Reader(Protocol):
        """A binary file-like object to read from; readinto() is used instead where it is."""

        def read(self, size: int, /) -> Optional[bytes]: ...

    class Writer(Protocol):
        """A binary file-like object to write to."""

        def write(self, data: Any, /) -> Any: ...

    Source = Union[StrPath, Buffer, Reader]
    Sink = Union[StrPath, Buffer, Writer]

_FAILED = int(_native.pqc_code.PQC_EINTERRUPTED)  # the call ends; what was raised is told instead
_POLL_MS = 100


class Stream:
    """One source or sink of a call: `struct` for C, and what must live as long as the call.

    Attributes:
        finished: to be set when the call has done what it should.
    """

    def __init__(self, struct: Any) -> None:
        self.struct = struct
        self.finished = False
        self._memory: Optional[Memory] = None
        self._file: Any = None  # a Python file whose descriptor C uses
        self._start: Optional[int] = None  # its position, if it has one

    def release(self) -> None:
        """The call is over. A second time does nothing."""
        if self._memory is not None:
            self._memory.release()
        file, self._file = self._file, None
        if file is not None and self._start is not None and not file.closed:
            # Python believes what it remembers of a position until it seeks to the end.
            position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            file.seek(0, os.SEEK_END)
            if isinstance(self.struct, _native.pqc_sink):
                file.seek(position)
            elif not self.finished:
                file.seek(self._start)

    def _path(self, path: StrPath) -> None:
        self.struct.kind = _native.pqc_io.PQC_IO_PATH
        self.struct.path = path_bytes(path)

    def _buffer(self, thing: object, writable: bool) -> None:
        self._memory = Memory(thing, writable)
        self.struct.kind = _native.pqc_io.PQC_IO_MEMORY
        self.struct.data, self.struct.size = self._memory.address, self._memory.size

    def _descriptor(self, file: Any) -> None:
        if not file.seekable():
            file.flush()
        else:
            self._start = file.tell()
            file.seek(0, os.SEEK_END)  # writes and forgets what Python has buffered
            os.lseek(file.fileno(), self._start, os.SEEK_SET)
        self._file = file
        self.struct.kind = _native.pqc_io.PQC_IO_FD
        self.struct.fd = file.fileno()

    def _callback(self, file: Any, fail: Callable[[BaseException], None]) -> None:
        self.struct.kind = _native.pqc_io.PQC_IO_CALLBACK
        self.struct.size = _native.PQC_SIZE_UNKNOWN
        self.struct.read = _native.READ(_reader(file, fail))


def _is_text(file: object) -> bool:
    return isinstance(file, io.TextIOBase) or isinstance(getattr(file, "file", None), io.TextIOBase)


def _is_plain(file: Any, *buffered: type) -> bool:
    """A file of the system's, with nothing between but Python's buffer."""
    return type(file) is io.FileIO or (type(file) in buffered and type(file.raw) is io.FileIO)


class _Pipe:
    """What is to be read from a pipe: what Python's buffer holds, then what the system has.

    Another thread than the main one sleeps in a read() for ever, whatever Ctrl-C does. So no read
    begins before there is something, and waiting for that ends with the call.
    """

    def __init__(self, file: io.BufferedReader, is_cancelled: Callable[[], bool]) -> None:
        self._file, self._is_cancelled = file, is_cancelled
        self._poll = select.poll()
        self._poll.register(file.fileno(), select.POLLIN)
        # No other way tells what is in the buffer. In the caller's thread, which Ctrl-C reaches.
        self._ahead = len(file.peek(1))

    def readinto(self, view: memoryview) -> Optional[int]:
        if self._ahead:
            count = self._file.readinto(view[: self._ahead])
            self._ahead -= count
            return count
        while not self._poll.poll(_POLL_MS):
            if self._is_cancelled():
                raise Cancelled("interrupted", "interrupted")
        raw: Any = self._file.raw
        found: Optional[int] = raw.readinto(view)
        return found


def _view(address: int, size: int) -> memoryview:
    """C's memory, for the time of one callback."""
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def source(
    thing: Source, fail: Callable[[BaseException], None], is_cancelled: Callable[[], bool]
) -> Stream:
    """What a caller gave as source: a path (str, PathLike), a buffer, or something with read().

    fail is told what read() raised, and ends the call; is_cancelled says that it ends.
    """
    stream = Stream(_native.pqc_source())
    if isinstance(thing, (str, os.PathLike)):
        stream._path(thing)
    elif is_buffer(thing):
        stream._buffer(thing, writable=False)
    elif _is_text(thing):
        raise TypeError('the source is a text file: open it with mode "rb"')
    elif isinstance(thing, io.BufferedReader) and _is_plain(thing, io.BufferedReader):
        if thing.seekable():
            stream._descriptor(thing)
        else:
            stream._callback(_Pipe(thing, is_cancelled), fail)
    elif _is_plain(thing, io.BufferedRandom):
        stream._descriptor(thing)
    elif callable(getattr(thing, "read", None)):
        stream._callback(thing, fail)
    else:
        raise TypeError(
            "the source must be a path, bytes or another buffer, or a binary file, "
            f"not {type(thing).__name__}"
        )
    return stream


def _reader(file: Any, fail: Callable[[BaseException], None]) -> Callable[..., int]:
    into = getattr(file, "readinto", None)

    def fill(address: int, size: int) -> int:
        if callable(into):
            with _view(address, size) as view:
                count = into(view)
            if count is None:
                raise BlockingIOError("the source has nothing to read yet: it must block")
            if not 0 <= count <= size:
                raise ValueError(f"readinto() of the source returned {count}, for {size} bytes")
            return int(count)
        data = file.read(size)
        if data is None:
            raise BlockingIOError("the source has nothing to read yet: it must block")
        if isinstance(data, str):
            raise TypeError("read() of the source returned str: it must be a binary file")
        with Memory(data) as memory:
            if memory.size > size:
                raise ValueError(f"read({size}) of the source returned {memory.size} bytes")
            ctypes.memmove(address, memory.address or 0, memory.size)
            return memory.size

    def read(arg: Optional[int], address: int, size: int) -> int:
        try:
            return fill(address, size)
        except BaseException as error:
            fail(error)
            return _FAILED

    return read


def sink(thing: Sink, replace: bool, fail: Callable[[BaseException], None]) -> Stream:
    """What a caller gave as sink: a path, a writable buffer, or something with write()."""
    stream = Stream(_native.pqc_sink())
    if isinstance(thing, (str, os.PathLike)):
        stream._path(thing)
        stream.struct.replace = bool(replace)
    elif is_buffer(thing):
        stream._buffer(thing, writable=True)
    elif _is_text(thing):
        raise TypeError('the sink is a text file: open it with mode "wb"')
    elif _is_plain(thing, io.BufferedWriter, io.BufferedRandom):
        stream._descriptor(thing)
    elif callable(getattr(thing, "write", None)):
        stream.struct.kind = _native.pqc_io.PQC_IO_CALLBACK
        stream.struct.write = _native.WRITE(_writer(thing, fail))
    else:
        raise TypeError(
            "the sink must be a path, a writable buffer, or a binary file, "
            f"not {type(thing).__name__}"
        )
    return stream


def _writer(file: Any, fail: Callable[[BaseException], None]) -> Callable[..., int]:
    is_io = isinstance(file, io.IOBase)

    def take(data: Any, size: int) -> None:
        at = 0
        while at < size:
            with memoryview(data)[at:] as rest:
                count = file.write(rest if is_io else bytes(rest))
            if count is None and isinstance(file, io.RawIOBase):
                raise BlockingIOError("the sink takes nothing yet: it must block")
            if count is None:
                return
            if not 0 < count <= size - at:
                raise OSError(f"write() of the sink returned {count}, for {size - at} bytes")
            at += count

    def write(arg: Optional[int], address: int, size: int) -> int:
        try:
            # Only what follows Python's rules for files may see C's memory: others may keep it.
            if is_io:
                with _view(address, size) as view:
                    take(view, size)
            else:
                take(ctypes.string_at(address, size), size)
            return 0
        except BaseException as error:
            fail(error)
            return _FAILED

    return write
