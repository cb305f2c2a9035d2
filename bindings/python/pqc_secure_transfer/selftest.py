"""Does the package work here? `python -m pqc_secure_transfer.selftest` says so, a line a check.

Everything happens in temporary directories and on the loopback interface; no program is needed.
Exit status: 0 when all is well, 1 when a check failed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import pqc_secure_transfer as pqc

from . import aio
from .hybrid_crypto import HybridCrypto
from .key_manager import KeyManager
from .server import Server
from .streaming_encryptor import StreamingEncryptor

MIB = 1024 * 1024
_BAR = 50  # MB/s: what the first version was asked for
_SENT = 32 * MIB  # what the transfer moves; it is cancelled in the middle
_PATIENCE = 60  # seconds for what takes none

# What `pqc seal --raw-key-file` of version 0.1.0 made with the key 00 01 02 ... 1f, in Base64: what
# is before offset 65536, without the zeros there at the end; and what is behind.
_OLD_TEXT = b"what pqc seal of 0.1.0 made"
_OLD_HEAD = (
    "iVBRWA0KGgoAAQABAAEAAAAAAAAAAAAbAAAAAAAAAAFNyoPvMQg+cE+LV0ZXgMUqENIDrYglgvsxf//Rd588VAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAqgm7rEIIwfmnpYH/uGPRrSa42NBXBTZ7L3KQx5DlsGsAAACc"
    "AAAAAQEAAAAABQBwmT8oGqbjD7UJQLfQ3M48Gpg/oDLgT4QLEDZvIoM88mt/psfGGCwgjOqOcbiBkzBGWTbR+s9J"
    "tBHS0QHO+r38+3OutcpHiw4+1sOV63OliSyT4sBjF8aRGMQ/irrCUnVQ1mCMby/aOsGqTujdgrrvnjq7Bn2dghpf"
    "bVezHSumVGUSabDyZE3y4a90uQfXzxnR"
)
_OLD_BODY = (
    "jtIHth0BqhEEO9A/bfqcJ+R9aqksCJ6rmQdLiHZSNvjZVwPoOmL4z4jNICB+66wkD2YFVmuXva05xzN0aI6argjV"
    "f/MFJIX+NzQ6fbAJz2pS9bO+Yqq/Yuv/IDx1tr9jZZZOcHF4bQAB0C3nJanCERVfh+P+8JNZjM10WOzgBHzqyJxe"
    "B65Vs/E2cNKwvgADG6Rs2zQFxdO1qsP2pxZRUKW9WJZp+pTjLwAAAAAAAAABAAAAAAAAABtTTU+dUsyJlJIC8zaC"
    "8VAg0U9yQm0N+/fFj3QvJlozsQAAAABrBn7sAIzw7M32+ma7Lr4eNXwGbVCaT+8yPGYvF4hFJeO+cYexAAAAn1BR"
    "WE0="
)


class _Failed(Exception):
    """A check found something that is not as it must be."""


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise _Failed(what)


def _must_raise(kind: type[BaseException], function: Callable[[], object], what: str) -> None:
    try:
        function()
    except kind:
        return
    raise _Failed(what)


# ---- what the first version's test looked at ----


def streams(_: Path) -> str:
    """streams of 14 MB are encrypted and decrypted"""
    data = b"Weights and biases. " * 700_000
    encryptor = StreamingEncryptor(os.urandom(32))
    sealed, opened = io.BytesIO(), io.BytesIO()
    digest = encryptor.encrypt_stream(io.BytesIO(data), sealed)
    sealed.seek(0)
    _need(encryptor.decrypt_stream(sealed, opened) == digest, "the hashes differ")
    _need(digest == hashlib.sha256(data).digest(), "the hash is not the SHA-256 of the content")
    _need(opened.getvalue() == data, "what was decrypted is not what was encrypted")
    return f"{len(data)} bytes"


def files(place: Path) -> str:
    """files of odd sizes are encrypted and decrypted, and their size is known before"""
    encryptor = StreamingEncryptor(os.urandom(32), chunk_size=100_000)
    plain, sealed, opened = place / "plain", place / "sealed", place / "opened"
    sizes = (0, 1, 65_535, 130_000, 1_000_003)
    for size in sizes:
        plain.write_bytes(os.urandom(size))
        digest = encryptor.encrypt_file(plain, sealed, b"bound")
        estimate = StreamingEncryptor.estimate_encrypted_size(size, 100_000)
        _need(sealed.stat().st_size == estimate, f"{size} bytes: the estimate is wrong")
        _need(encryptor.decrypt_file(sealed, opened, b"bound") == digest, "the hashes differ")
        _need(opened.read_bytes() == plain.read_bytes(), f"{size} bytes: came out as others")
    return f"{len(sizes)} sizes"


def mistakes(place: Path) -> str:
    """wrong keys, changed files and missing files are noticed"""
    plain, sealed, opened = place / "plain", place / "sealed", place / "opened"
    plain.write_bytes(os.urandom(200_000))
    encryptor = StreamingEncryptor(os.urandom(32))
    encryptor.encrypt_file(plain, sealed)
    _must_raise(ValueError, lambda: StreamingEncryptor(b"short"), "a short key is taken")
    _must_raise(
        ValueError,
        lambda: StreamingEncryptor(os.urandom(32)).decrypt_file(sealed, opened),
        "another key opens it",
    )
    _must_raise(
        ValueError,
        lambda: encryptor.decrypt_file(sealed, opened, b"other"),
        "other associated data opens it",
    )
    damaged = bytearray(sealed.read_bytes())
    damaged[65536 + 1000] ^= 1
    sealed.write_bytes(damaged)
    _must_raise(ValueError, lambda: encryptor.decrypt_file(sealed, opened), "damage goes unnoticed")
    _must_raise(
        FileNotFoundError,
        lambda: encryptor.encrypt_file(place / "none", sealed),
        "a missing file is found",
    )
    _need(not opened.exists(), "a file that did not open is there")
    return "5 kinds"


def key_exchange(_: Path) -> str:
    """two parties agree on a secret, with both suites"""
    for algorithm in ("Kyber768", "ML-KEM-1024"):
        alice, bob = HybridCrypto(algorithm), HybridCrypto(algorithm)
        bob_public, bob_private = bob.generate_keypair()
        secret, encapsulated = alice.encapsulate_key(bob_public)
        _need(bob.decapsulate_key(encapsulated) == secret, f"{algorithm}: two secrets")
        _need(
            alice.decapsulate_key(encapsulated, bob_private) == secret, f"{algorithm}: two secrets"
        )
    return "Kyber768, Kyber1024"


def key_store(place: Path) -> str:
    """a key store keeps, rotates and exports keys"""
    store = KeyManager(place / "keys", "a master password")
    public, private = HybridCrypto().generate_keypair()
    _need(store.store_keypair("one", public, private, "Kyber768", {"test": True}), "not stored")
    rotated = store.rotate_keys("one")
    again = KeyManager(place / "keys", "a master password")
    _need(again.load_keypair("one") == (public, private, "Kyber768"), "another key came out")
    _need({key["key_id"] for key in again.list_keys()} == {"one", rotated}, "other keys are listed")
    text = again.export_public_key("one")
    _need(text is not None and again.import_public_key(text, "copy", "Kyber768"), "not imported")
    _need(
        again.get_key_fingerprint("copy") == again.get_key_fingerprint("one"),
        "the fingerprints differ",
    )
    _must_raise(
        ValueError, lambda: KeyManager(place / "keys", "wrong"), "a wrong password opens it"
    )
    return "Argon2id"


# ---- the rest ----


def containers(_: Path) -> str:
    """containers open for whom they are sealed, and for nobody else"""
    data = os.urandom(300_000)
    for suite in ("Kyber768", "Kyber1024"):
        alice, bob, eve = (pqc.Identity.generate(suite) for _ in range(3))
        sealed = pqc.seal_bytes(data, recipients=[bob.public], sign=alice)
        _need(pqc.open_bytes(sealed, identity=bob, sender=alice.public) == data, "other bytes")
        _must_raise(
            pqc.NoKeyError, lambda: pqc.open_bytes(sealed, identity=eve), "anybody opens it"
        )
        _must_raise(
            pqc.PqcError,
            lambda: pqc.open_bytes(sealed, identity=bob, sender=eve.public),
            "anybody signed it",
        )
    sealed = pqc.seal_bytes(data, passphrase="correct horse")
    _need(pqc.open_bytes(sealed, passphrase="correct horse") == data, "other bytes")
    _must_raise(
        pqc.PassphraseError,
        lambda: pqc.open_bytes(sealed, passphrase="battery staple"),
        "any passphrase opens it",
    )
    return "recipients of both suites, passphrase"


def interop(place: Path) -> str:
    """a container that the program made opens, and a changed one does not"""
    sealed = base64.b64decode(_OLD_HEAD).ljust(65536, b"\0") + base64.b64decode(_OLD_BODY)
    _need(pqc.open_bytes(sealed, key=bytes(range(32))) == _OLD_TEXT, "other bytes")
    for at in (5, 100, 200, 65536 + 40, len(sealed) - 20):
        changed = bytearray(sealed)
        changed[at] ^= 1
        _must_raise(
            pqc.PqcError,
            lambda: pqc.open_bytes(changed, key=bytes(range(32))),
            f"byte {at} may be changed",
        )
    (place / "sealed").write_bytes(sealed)
    StreamingEncryptor(bytes(range(32))).decrypt_file(place / "sealed", place / "opened")
    _need((place / "opened").read_bytes() == _OLD_TEXT, "decrypt_file: other bytes")
    return "raw key"


class _Gate:
    """Stands before a server, and lets no more than so many bytes of clients through until opened."""

    def __init__(self, address: str, limit: int) -> None:
        host, _, port = address.rpartition(":")
        self._server, self._limit = (host, int(port)), limit
        self._opened, self.full = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._opened.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                for way in ((client, server, self._limit), (server, client, sys.maxsize)):
                    threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, limit: int) -> None:
        passed = 0
        with one, contextlib.suppress(OSError):
            while data := one.recv(65536):
                if passed + len(data) > limit:
                    self.full.set()
                    self._opened.wait()
                other.sendall(data)
                passed += len(data)
            other.shutdown(socket.SHUT_WR)


async def _cancelled_in_the_middle(client: aio.Client, path: Path, url: str, gate: _Gate) -> None:
    task = asyncio.ensure_future(client.send(path, url))
    await asyncio.to_thread(gate.full.wait, _PATIENCE)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise _Failed("a cancelled call comes to its end")


def transfer(place: Path) -> str:
    """a transfer to a server of our own is cancelled, goes on, and comes back the same"""
    path, copy = place / "file", place / "copy"
    path.write_bytes(os.urandom(_SENT))
    identity, stored = pqc.Identity.generate(), threading.Event()
    with Server(place / "server", on_received=lambda _: stored.set()) as server:
        server.allow(identity.public, "all")
        gate = _Gate(server.address, _SENT // 2)
        with contextlib.closing(gate):
            who: Dict[str, Any] = {
                "known_servers": place / "known",
                "state_dir": place / "state",
                "server_id": server.public.id,
            }
            url = f"pqc://{gate.address}/models/one"
            asyncio.run(_cancelled_in_the_middle(aio.Client(identity, **who), path, url, gate))
            gate.open()
            client = pqc.Client(identity, **who)
            sent = client.send(path, url)
        _need(sent.resumed_bytes > 0, "it did not go on where it had stopped")
        _need(stored.wait(_PATIENCE), "the server does not tell of what it has stored")
        proof = pqc.verify_receipt(sent.receipt, server=server.public, sender=identity.public)
        _need(proof.size == _SENT, "the receipt is of another file")
        url = server.url("models/one")
        client.get(url, copy, sender=identity.public)
        _need(copy.read_bytes() == path.read_bytes(), "what came back is not what was sent")
        _need([entry.name for entry in client.list(server.url())] == ["models/one"], "list")
        client.delete(url)
        stranger = pqc.Client(pqc.Identity.generate(), **who)
        _must_raise(pqc.RefusedError, lambda: stranger.send(path, url), "strangers may send")
    return f"went on from {100 * sent.resumed_bytes // _SENT} %"


def speed(place: Path) -> str:
    """encryption of a file of 100 MB is faster than 50 MB/s"""
    plain, sealed = place / "plain", place / "sealed"
    with open(plain, "wb") as file:
        for _ in range(100):
            file.write(os.urandom(1_000_000))
    encryptor = StreamingEncryptor(os.urandom(32))
    began = time.perf_counter()
    encryptor.encrypt_file(plain, sealed)
    rate = 100 / (time.perf_counter() - began)
    _need(rate > _BAR, f"{rate:.0f} MB/s")
    return f"{rate:.0f} MB/s, durable"


CHECKS: tuple[Callable[[Path], str], ...] = (
    streams,
    files,
    mistakes,
    key_exchange,
    key_store,
    containers,
    interop,
    transfer,
    speed,
)


def run(check: Callable[[Path], str]) -> Optional[str]:
    """What a check says when it passes; None when it does not, and why is printed."""
    title = (check.__doc__ or check.__name__).strip()
    try:
        with tempfile.TemporaryDirectory(prefix="pqc-selftest-") as place:
            said = check(Path(place))
    except _Failed as failed:
        print(f"FAIL  {title}: {failed}")
    except Exception as error:
        print(f"FAIL  {title}: {type(error).__name__}: {error}")
        traceback.print_exc()
    else:
        print(f"ok    {title} ({said})", flush=True)
        return said
    return None


def main() -> int:
    """Run every check; the exit status."""
    print(f"pqc_secure_transfer {pqc.__version__}, Python {sys.version.split()[0]}")
    failed = sum(run(check) is None for check in CHECKS)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
