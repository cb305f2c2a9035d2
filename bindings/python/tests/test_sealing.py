"""Sealing and opening: every kind of source and sink, keys, and what goes wrong on the way."""

from __future__ import annotations

import array
import asyncio
import contextvars
import gc
import gzip
import hashlib
import io
import mmap
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from conftest import MIB, child, ended

import pqc_secure_transfer as pqc
from pqc_secure_transfer import aio

KEY = bytes(range(32))
DATA = os.urandom(3 * MIB + 17)  # several parts of 64 KiB, and a rest
PART = 1 << 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plain"
    path.write_bytes(DATA)
    return path


def sealed(data: Any = DATA) -> bytes:
    return pqc.seal_bytes(data, key=KEY, part_size=PART)


# ---- where bytes come from ----

class Own(Exception):
    """What only the test raises."""


class OnlyRead:
    """read() and nothing else, and less than is asked for."""

    def __init__(self, data: bytes = DATA) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 10_007))


class OnlyReadinto(io.RawIOBase):
    def __init__(self, data: bytes = DATA) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        return self._file.readinto(view[:10_007])


def numbers(data: bytes) -> Any:
    return array.array("B", data)


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


SOURCES: Dict[str, Callable[[Path], Any]] = {
    "str": str,
    "Path": lambda path: path,
    "bytes": lambda path: DATA,
    "bytearray": lambda path: bytearray(DATA),
    "memoryview": lambda path: memoryview(DATA),
    "read-only view of a bytearray": lambda path: memoryview(bytearray(DATA)).toreadonly(),
    "array": lambda path: numbers(DATA),
    "mmap": lambda path: mapped(DATA),
    "open": lambda path: path.open("rb"),
    "open for both": lambda path: path.open("r+b"),
    "unbuffered": lambda path: path.open("rb", buffering=0),
    "BytesIO": lambda path: io.BytesIO(DATA),
    "BufferedReader of something else": lambda path: io.BufferedReader(OnlyReadinto()),
    "read": lambda path: OnlyRead(),
    "readinto": lambda path: OnlyReadinto(),
    "gzip": lambda path: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA, 1))),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
def test_source(file: Path, make: Callable[[Path], Any]) -> None:
    source, sink = make(file), io.BytesIO()
    result = pqc.seal(source, sink, key=KEY, part_size=PART, sha256=True)
    assert result.size == len(DATA) and result.sealed_size == len(sink.getvalue())
    assert result.parts > 40 and result.sha256 == hashlib.sha256(DATA).digest()
    assert pqc.open_bytes(sink.getvalue(), key=KEY) == DATA
    if hasattr(source, "close"):
        assert not source.closed
        source.close()  # nothing holds it


def closed_pipe(data: bytes) -> Any:
    """The reading end of a pipe that gets data."""
    read, write = os.pipe()

    def feed() -> None:
        with open(write, "wb") as f:
            f.write(data)

    threading.Thread(target=feed).start()
    return read


@pytest.mark.parametrize("buffering", [0, -1])
def test_source_pipe(buffering: int) -> None:
    with open(closed_pipe(DATA), "rb", buffering=buffering) as f:
        begin = f.read(5)  # a buffered one takes more than that out of the pipe
        sink = io.BytesIO()
        pqc.seal(f, sink, key=KEY)
    assert begin + pqc.open_bytes(sink.getvalue(), key=KEY) == DATA


@pytest.mark.parametrize("mode, buffering", [("rb", -1), ("rb", 0), ("r+b", -1)])
def test_source_file_is_read_from_its_position(file: Path, mode: str, buffering: int) -> None:
    with open(file, mode, buffering=buffering) as f:
        f.read(1000)
        sink = io.BytesIO()
        pqc.seal(f, sink, key=KEY)
        assert f.tell() == len(DATA) and f.read() == b""
        f.seek(5)
        assert f.read(3) == DATA[5:8]
    assert pqc.open_bytes(sink.getvalue(), key=KEY) == DATA[1000:]


def test_source_file_is_where_it_was_after_an_error(file: Path) -> None:
    class Broken:
        def write(self, data: bytes) -> None:
            raise Own

    with open(file, "rb") as f:
        f.read(1000)
        with pytest.raises(Own):
            pqc.seal(f, Broken(), key=KEY)
        assert f.tell() == 1000 and f.read(7) == DATA[1000:1007]


def test_source_is_written_to_the_file_before(tmp_path: Path) -> None:
    with open(tmp_path / "both", "w+b") as f:
        f.write(b"written, maybe not to the file yet")
        f.seek(0)
        f.write(b"W")
        f.seek(0)
        sink = io.BytesIO()
        pqc.seal(f, sink, key=KEY)
    assert pqc.open_bytes(sink.getvalue(), key=KEY) == b"Written, maybe not to the file yet"


@pytest.mark.parametrize("data", [b"", b"x", bytes(PART), DATA])
def test_sizes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        sink = io.BytesIO()
        assert pqc.seal(source, sink, key=KEY, part_size=PART).size == len(data)
        assert pqc.open_bytes(sink.getvalue(), key=KEY) == data
        assert len(sink.getvalue()) == pqc.sealed_size(len(data), part_size=PART)


@pytest.mark.parametrize("wrong", [7, None, object(), ["x"], 0])
def test_what_is_no_source_and_no_sink(wrong: Any) -> None:
    with pytest.raises(TypeError, match="the source must be a path"):
        pqc.seal(wrong, io.BytesIO(), key=KEY)
    with pytest.raises(TypeError, match="the sink must be a path"):
        pqc.seal(b"", wrong, key=KEY)
    with pytest.raises(TypeError):
        pqc.seal_bytes(wrong, key=KEY)


def test_text_files(file: Path) -> None:
    with open(file) as f, pytest.raises(TypeError, match='"rb"'):
        pqc.seal(f, io.BytesIO(), key=KEY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='"wb"'):
        pqc.seal(b"", io.StringIO(), key=KEY)

    class Text:
        def read(self, size: int) -> str:
            return "text"

    with pytest.raises(TypeError, match="returned str"):
        pqc.seal(Text(), io.BytesIO(), key=KEY)  # type: ignore[arg-type]


def test_bytes_that_are_str() -> None:
    with pytest.raises(TypeError, match="not str"):
        pqc.seal_bytes("some text", key=KEY)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        pqc.seal("some text", io.BytesIO(), key=KEY)


@pytest.mark.parametrize("answer", [None, -1, 10**9, "x", b"x" * 10_000_000])
def test_source_that_does_not_do_as_files_do(answer: Any) -> None:
    class Strange:
        def read(self, size: int) -> Any:
            return answer

    class StrangeInto:
        def read(self, size: int) -> bytes:
            return b""

        def readinto(self, view: Any) -> Any:
            return answer

    for strange in (Strange(), StrangeInto()):
        with pytest.raises((TypeError, ValueError, BlockingIOError)) as caught:
            pqc.seal(strange, io.BytesIO(), key=KEY)
        assert not isinstance(caught.value, pqc.PqcError)


# ---- where they go to ----

class OnlyWrite:
    """write() and nothing else, that keeps what it is given."""

    def __init__(self) -> None:
        self.given: List[Any] = []

    def write(self, data: Any) -> None:
        self.given.append(data)


class Little(io.RawIOBase):
    """Takes less than it is given."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += data[:10_007]
        return min(len(data), 10_007)


def test_sink_path(tmp_path: Path) -> None:
    path = tmp_path / "out"
    pqc.open(sealed(), path, key=KEY)
    assert path.read_bytes() == DATA
    with pytest.raises(FileExistsError):
        pqc.open(sealed(b"other"), str(path), key=KEY)
    assert path.read_bytes() == DATA
    pqc.open(sealed(b"other"), path, key=KEY, replace=True)
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("mode, buffering", [("wb", -1), ("wb", 0), ("w+b", -1)])
def test_sink_file_is_written_from_its_position(tmp_path: Path, mode: str, buffering: int) -> None:
    with open(tmp_path / "out", mode, buffering=buffering) as f:
        f.write(b"before ")
        pqc.open(sealed(), f, key=KEY)
        assert f.tell() == 7 + len(DATA)
        f.write(b" after")
    assert (tmp_path / "out").read_bytes() == b"before " + DATA + b" after"


def test_sink_appended(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before ")
    with open(tmp_path / "out", "ab") as f:
        pqc.open(sealed(), f, key=KEY)
    assert (tmp_path / "out").read_bytes() == b"before " + DATA


def test_sink_pipe() -> None:
    read, write = os.pipe()
    got: List[bytes] = []

    def drain() -> None:
        with open(read, "rb") as f:
            got.append(f.read())

    thread = threading.Thread(target=drain)
    thread.start()
    with open(write, "wb") as f:
        f.write(b"before ")
        pqc.open(sealed(), f, key=KEY)
        f.write(b" after")
    thread.join()
    assert got == [b"before " + DATA + b" after"]


@pytest.mark.parametrize("kind", [bytearray, lambda b: memoryview(bytearray(b)), mapped, numbers])
def test_sink_buffer(kind: Any) -> None:
    buffer = kind(bytes(len(DATA)))
    assert pqc.open(sealed(), buffer, key=KEY).size == len(DATA)
    assert bytes(memoryview(buffer)) == DATA


def test_sink_buffer_larger_than_needed() -> None:
    buffer = bytearray(b"x" * (len(DATA) + 3))
    assert pqc.open(sealed(), buffer, key=KEY).size == len(DATA)
    assert buffer == DATA + b"xxx"
    container = bytearray(pqc.sealed_size(len(DATA)) + 5)
    made = pqc.seal(DATA, container, key=KEY)
    assert pqc.open_bytes(container[: made.sealed_size], key=KEY) == DATA


def test_sink_buffer_too_small() -> None:
    with pytest.raises(pqc.QuotaError) as caught:
        pqc.open(sealed(), bytearray(len(DATA) - 1), key=KEY)
    assert caught.value.code == "too-big"
    with pytest.raises(pqc.QuotaError):
        pqc.seal(DATA, bytearray(len(DATA)), key=KEY)


def test_sink_buffer_that_cannot_be_written() -> None:
    for constant in (bytes(len(DATA)), memoryview(bytes(len(DATA)))):
        with pytest.raises(ValueError, match="writable"):
            pqc.open(sealed(), constant, key=KEY)


def test_sink_that_keeps_what_it_is_given() -> None:
    sink = OnlyWrite()
    pqc.open(sealed(), sink, key=KEY)
    assert all(type(one) is bytes for one in sink.given)
    assert b"".join(sink.given) == DATA


def test_sink_that_takes_less() -> None:
    sink = Little()
    pqc.open(sealed(), sink, key=KEY)
    assert sink.taken == DATA


def test_sink_of_pythons_that_keeps_a_view() -> None:
    kept: List[memoryview] = []

    class Keeper(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            kept.append(data)
            return len(data)

    pqc.open(sealed(), Keeper(), key=KEY)
    for view in kept:
        with pytest.raises(ValueError, match="released"):
            bytes(view)


@pytest.mark.parametrize("answer", [0, -1, 10**9, "x"])
def test_sink_that_does_not_do_as_files_do(answer: Any) -> None:
    class Strange:
        def write(self, data: bytes) -> Any:
            return answer

    with pytest.raises((OSError, TypeError)):
        pqc.open(sealed(), Strange(), key=KEY)


# ---- numpy ----

def test_numpy() -> None:
    np = pytest.importorskip("numpy")
    for weights in (
        np.arange(300_000, dtype=np.float32).reshape(300, 1000),
        np.arange(12, dtype=np.int64)[::1],
        np.zeros((0, 3)),
        np.float64(3.5) + np.zeros(()),
        np.arange(1000, dtype=np.float16)[100:200],
    ):
        weights = np.asarray(weights)
        weights.setflags(write=False)
        container = pqc.seal_bytes(weights, key=KEY)
        back = np.empty_like(weights)
        assert pqc.open(container, back, key=KEY).size == weights.nbytes
        assert np.array_equal(back, weights)


def test_numpy_not_contiguous() -> None:
    np = pytest.importorskip("numpy")
    square = np.zeros((100, 100))
    for array_ in (square.T[1:], square[:, ::2], np.asfortranarray(square)):
        with pytest.raises(ValueError, match="np.ascontiguousarray"):
            pqc.seal_bytes(array_, key=KEY)
        with pytest.raises(ValueError, match="np.ascontiguousarray"):
            pqc.open(sealed(b""), array_, key=KEY)
    pqc.seal_bytes(np.ascontiguousarray(square[:, ::2]), key=KEY)


# ---- buffers are held for the call, and no longer ----

def test_buffer_is_held_for_the_call_only() -> None:
    seen: List[str] = []

    class Sink:
        def write(self, data: bytes) -> None:
            try:
                source.append(1)
            except BufferError:
                seen.append("held")

    source = bytearray(DATA)
    pqc.seal(source, Sink(), key=KEY, part_size=PART)
    assert set(seen) == {"held"}
    source.append(1)  # free again


def test_buffers_are_free_after_an_error() -> None:
    source, sink, secret = bytearray(DATA), bytearray(10), bytearray(KEY)
    with pytest.raises(pqc.QuotaError):
        pqc.seal(source, sink, key=secret)
    with pytest.raises(TypeError):
        pqc.seal(source, sink, key=secret, sign="me")  # type: ignore[arg-type]
    with pytest.raises(pqc.UsageError):
        pqc.seal(source, sink, key=secret, part_size=1)
    with pytest.raises(TypeError):
        pqc.seal(source, 7, key=secret, associated_data=sink)  # type: ignore[arg-type]
    for buffer in (source, sink, secret):
        buffer.append(1)


def test_nothing_is_left_behind() -> None:
    class Data(bytearray):
        pass

    class File(io.BytesIO):
        pass

    gone: List[Any] = []
    gc.collect()
    gc.disable()  # without cycles nothing needs it
    try:
        for fails in (False, True):
            data, file = Data(DATA), File()
            gone += [weakref.ref(data), weakref.ref(file)]
            seen: List[pqc.Progress] = []
            try:
                pqc.seal(data, file, key=KEY, part_size=3 if fails else PART, progress=seen.append)
            except pqc.UsageError:
                pass
            del data, file
        assert [one() for one in gone] == [None] * 4
    finally:
        gc.enable()


# ---- keys ----

def test_recipients_and_signature() -> None:
    alice, bob = pqc.Identity.generate("Kyber1024"), pqc.Identity.generate("Kyber1024")
    carol = pqc.Identity.generate("Kyber1024")
    container = pqc.seal_bytes(DATA, recipients=(one.public for one in (alice, bob)), sign=alice)
    sink = io.BytesIO()
    result = pqc.open(container, sink, identity=bob, sender=alice.public, sha256=True)
    assert sink.getvalue() == DATA
    assert result.is_signed and result.sender_id == alice.id and result.suite == "Kyber1024"
    assert result.sha256 == hashlib.sha256(DATA).digest() and result.time > 1_700_000_000
    assert pqc.open_bytes(container, identity=alice, sender=alice.id) == DATA
    with pytest.raises(pqc.NoKeyError):
        pqc.open_bytes(container, identity=carol)
    with pytest.raises((pqc.IntegrityError, pqc.RefusedError)):
        pqc.open_bytes(container, identity=bob, sender=carol.id)


def test_unsigned() -> None:
    bob = pqc.Identity.generate()
    result = pqc.open(pqc.seal_bytes(DATA, recipients=[bob.public]), io.BytesIO(), identity=bob)
    assert not result.is_signed and result.sender_id is None and result.suite == "Kyber768"
    assert result.sha256 is None


def test_passphrase() -> None:
    container = pqc.seal_bytes(DATA, passphrase="pässword")
    assert pqc.open_bytes(container, passphrase="pässword".encode()) == DATA
    with pytest.raises(pqc.PassphraseError):
        pqc.open_bytes(container, passphrase="password")
    with pytest.raises(pqc.NoKeyError):
        pqc.open_bytes(container, identity=pqc.Identity.generate())


def test_key_and_associated_data() -> None:
    container = pqc.seal_bytes(DATA, key=memoryview(KEY), associated_data=bytearray(b"round 7"))
    assert pqc.open_bytes(container, key=bytearray(KEY), associated_data=b"round 7") == DATA
    for key, data in ((KEY, b"round 8"), (KEY, None), (bytes(32), b"round 7")):
        with pytest.raises(pqc.NoKeyError):
            pqc.open_bytes(container, key=key, associated_data=data)
    with pytest.raises(pqc.UsageError, match="associated_data"):
        pqc.seal_bytes(DATA, passphrase="x", associated_data=b"round 7")


@pytest.mark.parametrize(
    "arguments, kind",
    [
        ({}, ValueError),
        ({"key": KEY[:-1]}, ValueError),
        ({"key": "x" * 32}, TypeError),
        ({"key": 7}, TypeError),
        ({"passphrase": "x", "key": KEY}, ValueError),
        ({"passphrase": 7}, TypeError),
        ({"recipients": ["bob"]}, TypeError),
        ({"recipients": pqc.Identity.generate().public}, TypeError),
        ({"key": KEY, "kek": KEY}, TypeError),
        ({"key": KEY, "sign": KEY}, TypeError),
        ({"key": KEY, "suite": "RSA"}, ValueError),
        ({"key": KEY, "suite": 7}, TypeError),
        ({"key": KEY, "part_size": 65537}, ValueError),
        ({"key": KEY, "part_size": -1}, ValueError),
        ({"key": KEY, "part_size": 2**40}, ValueError),
        ({"key": KEY, "part_size": 1.5}, TypeError),
        ({"key": KEY, "threads": -1}, ValueError),
        ({"key": KEY, "progress": 7}, TypeError),
    ],
)
def test_arguments_that_cannot_be(arguments: Any, kind: type) -> None:
    with pytest.raises(kind):
        pqc.seal(b"", io.BytesIO(), **arguments)


def test_sealed_size() -> None:
    me = pqc.Identity.generate("Kyber1024")
    for size in (0, 1, 100_000):
        made = pqc.seal_bytes(bytes(size), recipients=[me.public], sign=me, part_size=PART)
        assert len(made) == pqc.sealed_size(size, suite="Kyber1024", part_size=PART, signed=True)
    for wrong in ({"size": -1}, {"size": 2**64 - 2}, {"size": 1, "part_size": 7},
                  {"size": 1, "suite": "RSA"}):
        with pytest.raises(pqc.UsageError):
            pqc.sealed_size(**wrong)


def test_inspect(tmp_path: Path) -> None:
    me = pqc.Identity.generate()
    result = pqc.seal(DATA, tmp_path / "x.pqx", recipients=[me.public], sign=me)
    found = pqc.inspect(tmp_path / "x.pqx")
    assert found["file_id"] == result.file_id.hex()
    (tmp_path / "x").write_bytes(b"no container")
    with pytest.raises(pqc.IntegrityError):
        pqc.inspect(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        pqc.inspect(tmp_path / "absent")


def test_rewrap(tmp_path: Path) -> None:
    alice, bob = pqc.Identity.generate(), pqc.Identity.generate()
    path = tmp_path / "x.pqx"
    pqc.seal(DATA, path, recipients=[alice.public])
    pqc.rewrap(path, identity=alice, add_recipients=[bob.public], add_key=KEY,
               add_associated_data=b"x", remove=[alice.public])
    for keys in ({"identity": bob}, {"key": KEY, "associated_data": b"x"}):
        assert pqc.open_bytes(path.read_bytes(), **keys) == DATA
    with pytest.raises(pqc.NoKeyError):
        pqc.open_bytes(path.read_bytes(), identity=alice)
    with pytest.raises(pqc.NotFoundError):
        pqc.rewrap(path, identity=bob, remove=[alice.id])
    with pytest.raises(pqc.UsageError):
        pqc.rewrap(path, identity=bob)


def test_rewrap_kek(tmp_path: Path) -> None:
    bob, path = pqc.Identity.generate(), tmp_path / "x.pqx"
    old, new = (pqc.Kek(bytes(16), version, KEY) for version in (1, 2))
    pqc.seal(DATA, path, recipients=[bob.public], kek=old)
    pqc.rewrap(path, kek=old, remove_all=True, add_kek=new)
    assert pqc.open_bytes(path.read_bytes(), kek=new) == DATA
    for keys in ({"identity": bob}, {"kek": old}):
        with pytest.raises(pqc.NoKeyError):
            pqc.open_bytes(path.read_bytes(), **keys)


def test_damage() -> None:
    container = bytearray(sealed())
    with pytest.raises(pqc.IntegrityError):
        pqc.open_bytes(container[:-1], key=KEY)
    container[len(container) // 2] ^= 1
    with pytest.raises(ValueError) as caught:
        pqc.open_bytes(container, key=KEY)
    assert isinstance(caught.value, pqc.IntegrityError) and caught.value.code == "integrity"


# ---- progress, and ends before the end ----

def test_progress() -> None:
    seen: List[pqc.Progress] = []
    threads = set()

    def progress(p: pqc.Progress) -> None:
        seen.append(p)
        threads.add(threading.current_thread())

    pqc.seal(DATA, io.BytesIO(), key=KEY, part_size=PART, progress=progress)
    assert threads == {threading.main_thread()}
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].fraction) == (len(DATA), len(DATA), 1.0)
    assert not seen[-1].queued and seen[-1].estimate is None and seen[-1].resumed == 0
    seen.clear()
    pqc.seal(b"", io.BytesIO(), key=KEY, progress=progress)
    assert seen[-1].fraction == 1.0


class Endless:
    """Gives data as long as it is asked, and tells that it was."""

    def __init__(self) -> None:
        self.given = threading.Event()

    def read(self, size: int) -> bytes:
        self.given.set()
        return bytes(size)


class Nowhere:
    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)


@pytest.mark.parametrize("kind", [Own, pqc.IntegrityError, StopIteration, SystemExit, KeyboardInterrupt])
def test_exception_in_progress(kind: Any, tmp_path: Path) -> None:
    raised = kind("mine")

    def progress(p: pqc.Progress) -> None:
        raise raised

    with pytest.raises(kind) as caught:
        pqc.seal(Endless(), tmp_path / "out", key=KEY, progress=progress)
    assert caught.value is raised
    assert list(tmp_path.iterdir()) == []  # no half of a file


@pytest.mark.parametrize("kind", [Own, OSError, SystemExit])
def test_exception_in_read(kind: Any, tmp_path: Path) -> None:
    raised = kind("mine")

    class Broken(Endless):
        def read(self, size: int) -> bytes:
            if self.given.is_set():
                raise raised
            return super().read(size)

    with pytest.raises(kind) as caught:
        pqc.seal(Broken(), tmp_path / "out", key=KEY)
    assert caught.value is raised
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [Own, OSError, SystemExit])
def test_exception_in_write(kind: Any) -> None:
    raised = kind("mine")

    class Full:
        def write(self, data: bytes) -> None:
            raise raised

    with pytest.raises(kind) as caught:
        pqc.open(sealed(), Full(), key=KEY)
    assert caught.value is raised


def test_calls_within_callbacks() -> None:
    inner: List[bytes] = []

    class Sink:
        def write(self, data: bytes) -> None:
            inner.append(sealed(b"inner"))

    pqc.seal(DATA, Sink(), key=KEY, progress=lambda p: inner.append(sealed(b"inner")))
    assert len(inner) >= 2 and pqc.open_bytes(inner[-1], key=KEY) == b"inner"


def test_calls_from_other_threads() -> None:
    seen: List[Any] = []

    def work() -> None:
        me = threading.current_thread()
        pqc.seal(DATA, io.BytesIO(), key=KEY,
                 progress=lambda p: seen.append(threading.current_thread() is me))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen and all(seen)


def test_the_interpreter_is_free_meanwhile() -> None:
    """C waits for bytes that only another thread of Python sends."""
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as source, open(write, "wb", buffering=0) as feed:
        sink = io.BytesIO()
        thread = threading.Thread(target=lambda: pqc.seal(source, sink, key=KEY))
        thread.start()
        for _ in range(10):
            feed.write(b"x" * 100)
        feed.close()
        thread.join()
    assert pqc.open_bytes(sink.getvalue(), key=KEY) == b"x" * 1000


CTRL_C = """
import sys, threading
import pqc_secure_transfer as pqc

class Endless:
    def read(self, size):
        return bytes(size)

def progress(p):
    if p.done and not told:
        told.append(1)
        print("going", flush=True)

told = []
try:
    pqc.seal(Endless(), sys.argv[1], key=bytes(32), progress=progress)
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate()])
"""


def test_ctrl_c(tmp_path: Path) -> None:
    process = child(CTRL_C, tmp_path / "out")
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == "['MainThread']\n"
    assert list(tmp_path.iterdir()) == []


CTRL_C_PIPE = """
import os, sys, threading
import pqc_secure_transfer as pqc

class Sink:
    def write(self, data):
        if threading.current_thread() is not main and not told:
            told.append(1)
            print("going", flush=True)

told, main = [], threading.current_thread()
read, write = os.pipe()
try:
    if sys.argv[1] == "read":
        os.write(write, b"and no more")
        pqc.seal(open(read, "rb"), Sink(), key=bytes(32))  # its head is written first
    else:
        def look():
            os.read(read, 1)  # the call is under way
            print("going", flush=True)

        threading.Thread(target=look, daemon=True).start()
        pqc.seal(bytes(1 << 24), open(write, "wb"), key=bytes(32))
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate() if not t.daemon])
"""


@pytest.mark.parametrize("end", ["read", "write"])
def test_ctrl_c_at_a_pipe_that_blocks(end: str) -> None:
    """Python's own read() and write() would sleep on, in another thread than the signal's."""
    process = child(CTRL_C_PIPE, end)
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGINT)
    assert ended(process).endswith("['MainThread']\n")


def test_sink_pipe_with_something_in_its_buffer() -> None:
    read, write = os.pipe()
    with open(read, "rb") as end, open(write, "wb") as f:
        f.write(b"head")
        pqc.seal(b"x" * 100, f, key=KEY, part_size=PART)
        f.write(b"tail")
        f.close()
        whole = end.read()
    assert whole[:4] == b"head" and whole[-4:] == b"tail"
    assert pqc.open_bytes(whole[4:-4], key=KEY) == b"x" * 100


def test_a_call_while_the_interpreter_ends() -> None:
    """No thread starts then: waiting for one would be for ever."""
    process = child("""
import sys
import pqc_secure_transfer as pqc

class Last:
    def __del__(self, pqc=pqc, write=sys.__stdout__.write, flush=sys.__stdout__.flush):
        key = bytes(32)
        write(str(pqc.open_bytes(pqc.seal_bytes(b"last", key=key), key=key)))
        flush()

sys.modules["kept to the end"] = Last()
""")
    assert ended(process) == "b'last'"


# ---- asyncio ----

def test_asyncio() -> None:
    loop_thread = threading.current_thread()
    seen: List[Any] = []

    def progress(p: pqc.Progress) -> None:
        seen.append((threading.current_thread() is loop_thread, p.done))

    async def main() -> None:
        sink = io.BytesIO()
        container, _ = await asyncio.gather(
            aio.seal_bytes(DATA, key=KEY),
            aio.seal(DATA, sink, key=KEY, progress=progress),
        )
        for one in (container, sink.getvalue()):
            assert await aio.open_bytes(one, key=KEY) == DATA

    asyncio.run(main())
    assert seen[-1] == (True, len(DATA))
    assert asyncio.iscoroutinefunction(aio.seal) or sys.version_info >= (3, 14)
    assert aio.seal.__doc__ == pqc.seal.__doc__


@pytest.mark.parametrize("kind", [Own, pqc.IntegrityError, StopIteration])
def test_asyncio_exception_in_progress(kind: Any, tmp_path: Path) -> None:
    raised = kind("mine")

    def progress(p: pqc.Progress) -> None:
        raise raised

    async def main() -> None:
        await aio.seal(Endless(), tmp_path / "out", key=KEY, progress=progress)

    with pytest.raises(RuntimeError if kind is StopIteration else kind) as caught:
        asyncio.run(main())
    assert raised in (caught.value, caught.value.__cause__)
    assert list(tmp_path.iterdir()) == []


def test_asyncio_errors_and_streams() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise Own("mine")

    async def main() -> None:
        with pytest.raises(Own):
            await aio.seal(Broken(), io.BytesIO(), key=KEY)
        with pytest.raises(pqc.UsageError):
            await aio.seal(b"", io.BytesIO())
        with pytest.raises(TypeError):
            await aio.seal(b"")  # type: ignore[call-arg]

    asyncio.run(main())


def test_asyncio_calls_within_callbacks() -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose")
    seen = set()

    class Reader:
        def __init__(self) -> None:
            self._file = io.BytesIO(DATA)

        def read(self, size: int) -> bytes:
            seen.add(("read", whose.get("")))
            assert pqc.open_bytes(sealed(b"inner"), key=KEY) == b"inner"
            return self._file.read(size)

    def progress(p: pqc.Progress) -> None:
        seen.add(("progress", whose.get()))
        assert pqc.open_bytes(sealed(b"inner"), key=KEY) == b"inner"

    async def main() -> None:
        whose.set("the task's")
        sink = io.BytesIO()
        await aio.seal(Reader(), sink, key=KEY, part_size=PART, threads=1, progress=progress)
        assert pqc.open_bytes(sink.getvalue(), key=KEY) == DATA

    asyncio.run(main())
    assert ("progress", "the task's") in seen


@pytest.mark.parametrize("threads", [1, 4])
def test_asyncio_calls_within_callbacks_are_others(tmp_path: Path, threads: int) -> None:
    """What is told of the outer call, and its end, are not taken for the inner one's."""

    class Reader(Endless):
        def read(self, size: int) -> bytes:
            try:
                sealed(b"inner")
            except Own:
                raise AssertionError("the inner call got what is the outer one's") from None
            return super().read(size)

    def progress(p: pqc.Progress) -> None:
        sealed(b"inner")
        raise Own

    async def main() -> None:
        await aio.seal(Reader(), tmp_path / "out", key=KEY, threads=threads, progress=progress)

    with pytest.raises(Own):
        asyncio.run(main())


def test_asyncio_cancellation(tmp_path: Path) -> None:
    endless = Endless()

    async def main() -> None:
        going = asyncio.Event()
        task = asyncio.ensure_future(
            aio.seal(endless, tmp_path / "out", key=KEY, progress=lambda p: going.set())
        )
        await going.wait()
        task.cancel()
        task.cancel()  # once more changes nothing
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []  # all is cleared away when it has ended
        assert not [t for t in threading.enumerate() if t.name.startswith("pqc")]

    asyncio.run(main())


def test_asyncio_cancelled_before_it_began(tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(aio.seal(Endless(), tmp_path / "out", key=KEY))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_asyncio_timeout(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.seal(Endless(), tmp_path / "out", key=KEY), 0.05)

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


# ---- pipes ----

PIPE = """
import sys
import pqc_secure_transfer as pqc
try:
    print(len(sys.stdin.buffer.peek(1)), flush=True)
    pqc.seal(sys.stdin.buffer, sys.argv[1], key=bytes(32), part_size=65536)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def piped(script: str, *args: object) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(filter(None, [str(Path(pqc.__file__).parents[1]),
                                         os.environ.get("PYTHONPATH")]))
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)],
                            env={**os.environ, "PYTHONPATH": path},
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_ctrl_c_while_a_pipe_is_silent(tmp_path: Path) -> None:
    process = piped(PIPE, tmp_path / "out")
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(bytes(100))
    process.stdin.flush()
    assert process.stdout.readline() == b"100\n"     # from here on it is within the try
    process.send_signal(signal.SIGINT)      # stdin stays open: nobody writes any more
    assert process.stdout.readline() == b"interrupted\n"
    process.stdin.close()
    assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Also what Python's buffer had taken before."""
    process = piped(PIPE, tmp_path / "out")
    assert process.stdin is not None
    process.stdin.write(bytes(1_000_000))
    process.stdin.close()
    assert process.wait(60) == 0
    assert pqc.open_bytes((tmp_path / "out").read_bytes(), key=bytes(32)) == bytes(1_000_000)


def test_an_array_of_objects_is_refused() -> None:
    """Its memory holds addresses of this process: nothing for anybody else."""
    np = pytest.importorskip("numpy")
    for array_ in (np.array([{}, "text"], dtype=object), np.zeros(3, [("a", "i4"), ("b", object)])):
        with pytest.raises(pqc.UsageError, match="pointers"):
            pqc.seal_bytes(array_, key=bytes(32))
