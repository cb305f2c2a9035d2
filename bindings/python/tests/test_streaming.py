"""StreamingEncryptor: what old programs do with it, and what must not pass."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import struct
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import Cli
from pqc_secure_transfer import StreamingEncryptor
from pqc_secure_transfer.errors import IntegrityError, NoKeyError, PqcError
from pqc_secure_transfer.streaming_encryptor import ProgressTracker

KEY = bytes(range(32))
CHUNK, PART = 100_000, 65536
HEAD = 65536  # header and key block
CAPACITY = 65416  # plaintext of a part of 64 KiB: docs/container.md


@pytest.fixture
def encryptor() -> StreamingEncryptor:
    return StreamingEncryptor(KEY, CHUNK)


def seal(encryptor: StreamingEncryptor, data: bytes, bound: bytes | None = None) -> bytes:
    out = io.BytesIO()
    encryptor.encrypt_stream(io.BytesIO(data), out, bound)
    return out.getvalue()


def unseal(encryptor: StreamingEncryptor, sealed: bytes, bound: bytes | None = None) -> bytes:
    out = io.BytesIO()
    encryptor.decrypt_stream(io.BytesIO(sealed), out, bound)
    return out.getvalue()


def first_version(data: bytes, chunk: int = 4 << 20, size: int | None = None) -> bytes:
    """What the first version wrote, but for tags and ciphertext, which nobody reads."""
    nonce = os.urandom(12)
    out = nonce + struct.pack("<Q", len(data) if size is None else size)
    for i in range(0, len(data), chunk):
        piece = data[i : i + chunk]
        out += struct.pack("<I", len(piece)) + nonce[:8] + struct.pack("<I", i // chunk)
        out += os.urandom(16 + len(piece))
    return out


# ---- keys and chunk sizes ----


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_only_keys_of_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match=rf"key of {size} bytes"):
        StreamingEncryptor(bytes(size))


def test_keys_must_be_bytes() -> None:
    with pytest.raises(TypeError):
        StreamingEncryptor("x" * 32)  # type: ignore[arg-type]
    assert (
        unseal(StreamingEncryptor(memoryview(KEY)), seal(StreamingEncryptor(bytearray(KEY)), b"x"))
        == b"x"
    )


def test_the_key_does_not_follow_the_callers_array() -> None:
    key = bytearray(KEY)
    encryptor = StreamingEncryptor(key)
    sealed = seal(encryptor, b"data")
    key[0] ^= 1
    assert unseal(encryptor, sealed) == b"data"


def test_the_key_is_not_shown() -> None:
    encryptor = StreamingEncryptor(b"secret key of exactly 32 bytes!!")
    assert "secret" not in repr(encryptor) and "secret" not in str(encryptor)
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(encryptor)
    assert encryptor.key == b"secret key of exactly 32 bytes!!"


@pytest.mark.parametrize(
    "chunk,part",
    [
        (1, 65536),
        (65536, 65536),
        (262144, 65536),
        (262145, 131072),
        (1_000_000, 1 << 18),
        (4 << 20, 1 << 20),
        (16 << 20, 4 << 20),
        (128 << 20, 32 << 20),
        (129 << 20, 32 << 20),
        (10**30, 32 << 20),
    ],
)
def test_every_positive_chunk_size(chunk: int, part: int) -> None:
    encryptor = StreamingEncryptor(KEY, chunk)
    assert encryptor.chunk_size == chunk
    sealed = seal(encryptor, b"x" * 100_000)
    assert int.from_bytes(sealed[12:16], "big") == part
    assert unseal(StreamingEncryptor(KEY), sealed) == b"x" * 100_000


@pytest.mark.parametrize("chunk", [0, -1, -(10**30)])
def test_no_other_chunk_size(chunk: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        StreamingEncryptor(KEY, chunk)
    with pytest.raises(TypeError):
        StreamingEncryptor(KEY, 4.5)  # type: ignore[arg-type]


# ---- sizes ----


@pytest.mark.parametrize("size", [0, 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY + 7])
def test_estimate_is_exact(encryptor: StreamingEncryptor, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "in").write_bytes(data)
    digest = encryptor.encrypt_file(tmp_path / "in", tmp_path / "out")
    assert digest == hashlib.sha256(data).digest()
    assert (tmp_path / "out").stat().st_size == encryptor.estimate_encrypted_size(size, CHUNK)
    assert len(seal(encryptor, data)) == encryptor.estimate_encrypted_size(size, CHUNK)
    assert encryptor.decrypt_file(tmp_path / "out", tmp_path / "back") == digest
    assert (tmp_path / "back").read_bytes() == data


def test_estimate_of_20_gigabytes() -> None:
    size = 20 * 1024**3
    assert size < StreamingEncryptor.estimate_encrypted_size(size) < 1.01 * size


@pytest.mark.parametrize("size", [-1, 2**64 - 1, 2**64, 10**40, 2**63])
def test_estimate_of_what_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match="cannot be encrypted"):
        StreamingEncryptor.estimate_encrypted_size(size)


# ---- files ----


def test_missing_input(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    for call in (encryptor.encrypt_file, encryptor.decrypt_file):
        with pytest.raises(FileNotFoundError):
            call(str(tmp_path / "none"), str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"precious"
    with pytest.raises(FileNotFoundError):
        (tmp_path / "in").write_bytes(b"x")
        encryptor.encrypt_file(str(tmp_path / "in"), str(tmp_path / "none" / "out"))


def test_output_is_replaced_only_by_a_whole_file(
    encryptor: StreamingEncryptor, tmp_path: Path
) -> None:
    sealed, out = tmp_path / "sealed", tmp_path / "out"
    sealed.write_bytes(seal(encryptor, os.urandom(300_000))[:-400])
    out.write_bytes(b"precious")
    with pytest.raises(ValueError):
        encryptor.decrypt_file(sealed, out)
    assert out.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "sealed"]


def test_a_file_onto_itself(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    path, data = tmp_path / "file", os.urandom(200_000)
    path.write_bytes(data)
    encryptor.encrypt_file(path, path)
    assert path.read_bytes()[:8] == b"\x89PQX\r\n\x1a\n"
    encryptor.decrypt_file(path, path)
    assert path.read_bytes() == data


def test_what_a_link_points_at_is_replaced(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert unseal(encryptor, (tmp_path / "real").read_bytes()) == b"data"


def test_what_is_no_file_is_written_to(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "pipe")
    reader.join()
    assert unseal(encryptor, got[0]) == b"data"
    assert (tmp_path / "pipe").is_fifo()
    encryptor.encrypt_file(tmp_path / "in", "/dev/null")
    assert not Path("/dev/null").is_file()


def test_directories(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    with pytest.raises((OSError, PqcError)):
        encryptor.encrypt_file(tmp_path / "in", tmp_path)
    with pytest.raises((OSError, PqcError)):
        encryptor.encrypt_file(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(500_000))
    seen: list[int] = []
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "out", None, lambda p: seen.append(p.done))
    assert seen[-1] == 500_000 and seen == sorted(seen)

    def no(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encryptor.decrypt_file(tmp_path / "out", tmp_path / "back", progress=no)
    # it was told of the end: what is there is whole
    back = tmp_path / "back"
    assert not back.exists() or back.read_bytes() == bytes(500_000)


def test_the_program_reads_it_and_we_the_programs(
    encryptor: StreamingEncryptor, cli: Cli, tmp_path: Path
) -> None:
    data, key = os.urandom(700_000), tmp_path / "key"
    (tmp_path / "in").write_bytes(data)
    key.touch(0o600)
    key.write_text(KEY.hex() + "\n")
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "sealed")
    cli("open", "--raw-key-file", key, "-o", tmp_path / "opened", tmp_path / "sealed")
    assert (tmp_path / "opened").read_bytes() == data
    for suite in ("Kyber768", "Kyber1024"):
        cli(
            "seal",
            "-f",
            "--suite",
            suite,
            "--raw-key-file",
            key,
            "-o",
            tmp_path / "sealed",
            tmp_path / "in",
        )
        digest = encryptor.decrypt_file(tmp_path / "sealed", tmp_path / "opened")
        assert digest == hashlib.sha256(data).digest()
        assert (tmp_path / "opened").read_bytes() == data
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "sealed", b"bound")
    done = cli.run(
        "open", "-f", "--raw-key-file", key, "-o", tmp_path / "opened", tmp_path / "sealed"
    )
    assert done.returncode == 4


# ---- what must not open ----


def test_wrong_key(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "sealed").write_bytes(seal(encryptor, b"data"))
    with pytest.raises(NoKeyError):
        StreamingEncryptor(os.urandom(32)).decrypt_file(tmp_path / "sealed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "sealed_with,opened_with,good",
    [
        (b"a", b"a", True),
        (b"a", b"b", False),
        (b"a", None, False),
        (None, b"a", False),
        (b"a", b"a\0", False),
        (b"a" * 100_000, b"a" * 100_000, True),
        (b"", None, True),
        (None, b"", True),
        (b"\0", None, False),
    ],
)
def test_associated_data(
    encryptor: StreamingEncryptor, sealed_with: bytes | None, opened_with: bytes | None, good: bool
) -> None:
    sealed = seal(encryptor, b"data", sealed_with)
    if good:
        assert unseal(encryptor, sealed, opened_with) == b"data"
    else:
        with pytest.raises(ValueError):
            unseal(encryptor, sealed, opened_with)


def test_associated_data_is_bytes(encryptor: StreamingEncryptor) -> None:
    with pytest.raises(TypeError):
        seal(encryptor, b"data", "text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "keep",
    [
        0,
        1,
        7,
        8,
        19,
        20,
        36,
        127,
        HEAD - 1,
        HEAD,
        HEAD + PART - 1,
        HEAD + PART,
        HEAD + 2 * PART,
        -1,
        -8,
        -9,
        -300,
    ],
)
def test_cut(encryptor: StreamingEncryptor, tmp_path: Path, keep: int) -> None:
    (tmp_path / "sealed").write_bytes(seal(encryptor, bytes(3 * CAPACITY))[:keep])
    with pytest.raises(IntegrityError):
        encryptor.decrypt_file(tmp_path / "sealed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_flipped_bits(encryptor: StreamingEncryptor) -> None:
    """Wherever it is: refused, and a stream has got a true beginning by then and no more."""
    data = os.urandom(3 * CAPACITY + 100)
    sealed = seal(encryptor, data)
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    places = [
        0,
        8,
        11,
        15,
        23,
        31,
        63,
        95,
        127,
        131,
        400,
        HEAD - 1,
        HEAD,
        len(sealed) - 1,
        len(sealed) - 5,
        len(sealed) - 30,
        *(chance.randrange(len(sealed)) for _ in range(40)),
        *(chance.randrange(HEAD, len(sealed)) for _ in range(40)),
    ]
    for place in places:
        damaged = bytearray(sealed)
        damaged[place] ^= 1 << chance.randrange(8)
        out = io.BytesIO()
        with pytest.raises(ValueError):
            encryptor.decrypt_stream(io.BytesIO(damaged), out)
            pytest.fail(f"byte {place} may be changed (seed {seed})")
        assert data.startswith(out.getvalue()), f"byte {place}, seed {seed}"


def test_parts_in_another_order(encryptor: StreamingEncryptor) -> None:
    sealed = bytearray(seal(encryptor, bytes(4 * CAPACITY)))
    sealed[HEAD : HEAD + PART], sealed[HEAD + PART : HEAD + 2 * PART] = (
        sealed[HEAD + PART : HEAD + 2 * PART],
        sealed[HEAD : HEAD + PART],
    )
    with pytest.raises(ValueError):
        unseal(encryptor, bytes(sealed))


def test_something_behind_it(encryptor: StreamingEncryptor) -> None:
    with pytest.raises(ValueError):
        unseal(encryptor, seal(encryptor, b"data") + b"x")


@pytest.mark.parametrize(
    "data,size", [(b"", None), (b"x", None), (bytes(100_000), None), (bytes(100_000), 0)]
)
def test_files_of_the_first_version(
    encryptor: StreamingEncryptor, tmp_path: Path, data: bytes, size: int | None
) -> None:
    (tmp_path / "old").write_bytes(first_version(data, 60_000, size))
    with pytest.raises(ValueError, match="first version"):
        encryptor.decrypt_file(tmp_path / "old", tmp_path / "out")
    with pytest.raises(ValueError, match="first version"):
        unseal(encryptor, first_version(data, 60_000, size))
    assert not (tmp_path / "out").exists()


def test_other_files_are_not_said_to_be_of_the_first_version(encryptor: StreamingEncryptor) -> None:
    for data in (b"", b"x" * 20, os.urandom(100), os.urandom(100_000), b"\x89PQX\r\n\x1a\n"):
        with pytest.raises(IntegrityError) as caught:
            unseal(encryptor, data)
        assert "first version" not in str(caught.value)


# ---- streams ----


def test_from_a_position_to_a_position(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    for make in (
        lambda n: open(tmp_path / n, "w+b"),
        lambda n: open(tmp_path / n, "w+b", 0),
        lambda n: io.BytesIO(),
        lambda n: tempfile.TemporaryFile(),
        lambda n: tempfile.NamedTemporaryFile(),
        lambda n: tempfile.SpooledTemporaryFile(max_size=1000),
    ):
        with make("plain") as plain, make("sealed") as sealed, make("back") as back:
            plain.write(b"not this" + b"but this" * 30_000)
            plain.seek(8)
            sealed.write(b"before")  # not flushed
            digest = encryptor.encrypt_stream(plain, sealed)
            assert digest == hashlib.sha256(b"but this" * 30_000).digest()
            assert plain.tell() == 8 + 240_000 and plain.read() == b""
            assert sealed.tell() == 6 + encryptor.estimate_encrypted_size(240_000, CHUNK)
            sealed.seek(0)
            assert sealed.read(6) == b"before"
            back.write(b"also before")
            assert encryptor.decrypt_stream(sealed, back) == digest
            assert sealed.read() == b""
            back.write(b", after")
            back.seek(0)
            assert back.read() == b"also before" + b"but this" * 30_000 + b", after"


def test_pipes(encryptor: StreamingEncryptor) -> None:
    data = os.urandom(500_000)

    def through(function: Callable[..., bytes], given: bytes) -> bytes:
        r, w = os.pipe()
        out = io.BytesIO()

        def feed() -> None:
            with open(w, "wb") as file:
                file.write(given)

        feeder = threading.Thread(target=feed)
        feeder.start()
        with open(r, "rb") as file:
            function(file, out)
        feeder.join()
        return out.getvalue()

    sealed = through(encryptor.encrypt_stream, data)
    assert len(sealed) == encryptor.estimate_encrypted_size(len(data), CHUNK)
    assert through(encryptor.decrypt_stream, sealed) == data


class Strange:
    """A stream with nothing but read or write, which does what it is told."""

    def __init__(self, do: Callable[[Any], Any]) -> None:
        self.read = self.write = do


def test_streams_with_nothing_but_read_and_write(encryptor: StreamingEncryptor) -> None:
    source, out = io.BytesIO(b"data" * 50_000), bytearray()
    assert (
        encryptor.encrypt_stream(
            Strange(lambda n: source.read(min(n, 1000))), Strange(out.extend)  # type: ignore
        )
        == hashlib.sha256(b"data" * 50_000).digest()
    )
    assert unseal(encryptor, bytes(out)) == b"data" * 50_000
    sealed, back = io.BytesIO(bytes(out)), bytearray()
    encryptor.decrypt_stream(
        Strange(lambda n: sealed.read(min(n, 7777))), Strange(back.extend)
    )  # type: ignore[arg-type]
    assert bytes(back) == b"data" * 50_000


@pytest.mark.parametrize("answer", [None, "text", 5, bytearray, "too much"])
def test_streams_that_read_nonsense(encryptor: StreamingEncryptor, answer: Any) -> None:
    def read(n: int) -> Any:
        return bytes(n + 1) if answer == "too much" else answer

    for call in (encryptor.encrypt_stream, encryptor.decrypt_stream):
        with pytest.raises((TypeError, ValueError, BlockingIOError)):
            call(Strange(read), io.BytesIO())  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [-1, 0, 10**9, "text"])
def test_streams_that_write_nonsense(encryptor: StreamingEncryptor, answer: Any) -> None:
    with pytest.raises((OSError, TypeError, ValueError)):
        encryptor.encrypt_stream(io.BytesIO(b"x"), Strange(lambda _: answer))  # type: ignore


def test_exceptions_of_streams_come_out(encryptor: StreamingEncryptor) -> None:
    class Mine(Exception):
        pass

    def fail(_: Any) -> Any:
        raise Mine

    with pytest.raises(Mine):
        encryptor.encrypt_stream(Strange(fail), io.BytesIO())  # type: ignore[arg-type]
    with pytest.raises(Mine):
        encryptor.encrypt_stream(io.BytesIO(b"x"), Strange(fail))  # type: ignore[arg-type]
    with pytest.raises(Mine):
        encryptor.decrypt_stream(Strange(fail), io.BytesIO())  # type: ignore[arg-type]
    sealed = seal(encryptor, b"x")
    with pytest.raises(Mine):
        encryptor.decrypt_stream(io.BytesIO(sealed), Strange(fail))  # type: ignore[arg-type]


def test_closed_and_text_streams(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    for closed in (io.BytesIO(b"x"), open(tmp_path / "file", "w+b")):
        closed.close()
        for call in (encryptor.encrypt_stream, encryptor.decrypt_stream):
            with pytest.raises(ValueError):
                call(closed, io.BytesIO())
        with pytest.raises(ValueError):
            encryptor.encrypt_stream(io.BytesIO(b"x"), closed)
    for call in (encryptor.encrypt_stream, encryptor.decrypt_stream):
        with pytest.raises(TypeError):
            call(io.StringIO("text"), io.BytesIO())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        encryptor.encrypt_stream(io.BytesIO(b"x"), io.StringIO())  # type: ignore[arg-type]


def test_one_encryptor_many_threads(encryptor: StreamingEncryptor) -> None:
    failed: list[BaseException] = []

    def work(i: int) -> None:
        try:
            data = bytes([i]) * 150_000
            assert unseal(encryptor, seal(encryptor, data)) == data
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# ---- ProgressTracker ----


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tracker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = ProgressTracker(1000, "Sealing")
    tracker.update(500)
    tracker.close()
    assert tracker.processed == 500
    assert capsys.readouterr() == ("", "")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressTracker(1000, "Sealing") as tracker:
        tracker.update(250)
        tracker.update(750)
    assert terminal.getvalue() == (
        "\rSealing: 25% (250 of 1000 bytes)" "\rSealing: 100% (1000 of 1000 bytes)\n"
    )


def test_tracker_without_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    tracker = ProgressTracker(0)
    tracker.update(12)
    tracker.close()
    tracker.close()
    assert terminal.getvalue() == "\rProcessing: 12 bytes\n"


def test_tracker_watches_a_call(encryptor: StreamingEncryptor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(500_000))
    tracker = ProgressTracker(500_000)
    encryptor.encrypt_file(tmp_path / "in", tmp_path / "out", progress=tracker)
    assert tracker.processed == 500_000
