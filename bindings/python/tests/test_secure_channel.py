"""SecureServer and SecureClient: what the first version's programs do, and who is kept out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pqc_secure_transfer import Client, Identity
from pqc_secure_transfer.errors import IdentityChangedError, PqcError, RefusedError
from pqc_secure_transfer.secure_channel import SecureClient, SecureServer

WAIT = 60


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")


class Arrived:
    """What on_received was called with; to be awaited."""

    def __init__(self) -> None:
        self.paths: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> str:
        return await asyncio.wait_for(self.paths.get(), WAIT)


@contextlib.asynccontextmanager
async def serving(
    arrived: Arrived | None = None, **more: Any
) -> AsyncIterator[tuple[SecureServer, str]]:
    more.setdefault("port", 0)
    server = SecureServer("127.0.0.1", on_received=arrived and arrived.paths.put_nowait, **more)
    task = asyncio.ensure_future(server.start_server())
    uri = await asyncio.wait_for(server.wait_started(), WAIT)
    try:
        yield server, uri
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, WAIT)


def run(function: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await function()

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- sending ----


def test_a_file_arrives(tmp_path: Path, home: Path) -> None:
    data = os.urandom(5_000_000)
    (tmp_path / "model ü.bin").write_bytes(data)

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            client = SecureClient(server_uri=uri)
            assert await client.send_file(str(tmp_path / "model ü.bin"), {"round": 7}) is True
            paths = [await arrived.next(), await arrived.next()]
        assert [os.path.basename(path) for path in paths] == [
            "received_model ü.bin.metadata.json",
            "received_model ü.bin",
        ]

    run(go)
    out = tmp_path / "out"
    assert (out / "received_model ü.bin").read_bytes() == data
    assert json.loads((out / "received_model ü.bin.metadata.json").read_text()) == {"round": 7}
    assert sorted(os.listdir(home)) == [
        "identity",
        "identity.pub",
        "known_servers",
        "secure_server",
        "state",
    ]
    # own files do not stay in the store
    assert not [path for path in (home / "secure_server").glob("port-0/objects/*/*")]


def test_many_files(tmp_path: Path) -> None:
    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived, directory=tmp_path / "elsewhere") as (_, uri):
            for i in range(6):
                (tmp_path / f"{i}").write_bytes(bytes([i]) * 100_000 * i)
            sent = await asyncio.gather(
                *(SecureClient(uri).send_file(tmp_path / f"{i}") for i in range(6))
            )
            assert sent == [True] * 6
            for _ in range(6):
                await arrived.next()

    run(go)
    for i in range(6):
        assert (tmp_path / "elsewhere" / f"received_{i}").read_bytes() == bytes([i]) * 100_000 * i
    assert os.listdir(tmp_path / "out") == []


def test_one_name_again(tmp_path: Path) -> None:
    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            for content in (b"one", b"two", b"three"):
                (tmp_path / "x").write_bytes(content)
                assert await SecureClient(uri).send_file(str(tmp_path / "x"))
                path = await arrived.next()
                assert Path(path).read_bytes() == content

    run(go)


def test_two_versions_at_once(tmp_path: Path) -> None:
    """A newer version that comes while the older one is taken out must not get lost."""

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            for i in range(20):
                (tmp_path / "x").write_bytes(b"%03d" % i * 1000)
                assert await SecureClient(uri).send_file(tmp_path / "x")
            seen = b""
            while seen != b"019" * 1000:
                seen = Path(await arrived.next()).read_bytes()

    run(go)


def test_what_is_not_of_our_client_stays(tmp_path: Path) -> None:
    """A name that may get another content at any time is not deleted."""

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            me, url = Client(Identity.default(), accept_new=True), "pqc" + uri[len("ws") :]
            for content in (b"one", b"two"):
                await asyncio.to_thread(me.send, content, f"{url}/models/x")
                assert Path(await arrived.next()).read_bytes() == content
            assert await asyncio.to_thread(me.get_bytes, f"{url}/models/x") == b"two"

    run(go)


def test_on_received_may_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x").write_bytes(b"data")

    async def go() -> None:
        paths: asyncio.Queue[str] = asyncio.Queue()

        def fail(path: str) -> None:
            paths.put_nowait(path)
            raise KeyError("mine")

        server = SecureServer("127.0.0.1", 0, on_received=fail)
        task = asyncio.ensure_future(server.start_server())
        uri = await asyncio.wait_for(server.wait_started(), WAIT)
        for _ in range(2):
            assert await SecureClient(uri).send_file(tmp_path / "x")
            await asyncio.wait_for(paths.get(), WAIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(go)
    assert "on_received failed" in caplog.text


def test_what_has_arrived_appears_before_the_end(tmp_path: Path) -> None:
    """A program that is stopped when its client is done has the file."""
    (tmp_path / "x").write_bytes(os.urandom(3_000_000))

    async def go() -> None:
        for _ in range(5):
            async with serving() as (_, uri):
                assert await SecureClient(uri).send_file(tmp_path / "x", {"a": 1})
            received = tmp_path / "out" / "received_x"
            assert received.read_bytes() == (tmp_path / "x").read_bytes()
            received.unlink()

    run(go)


def test_what_cannot_be_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x").write_bytes(b"data")

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            client = SecureClient(uri)
            assert await client.send_file(str(tmp_path / "none"), {"a": 1}) is False
            assert await client.send_file(str(tmp_path), {"a": 1}) is False
            assert await client.send_file(str(tmp_path / "x"), {"a": object()}) is False
            assert "cannot send" in caplog.text
            strict = SecureClient(uri, raise_errors=True)
            with pytest.raises(FileNotFoundError):
                await strict.send_file(str(tmp_path / "none"))
            with pytest.raises(TypeError):
                await strict.send_file(str(tmp_path / "x"), {"a": object()})
            assert await strict.send_file(str(tmp_path / "x"))
            assert os.path.basename(await arrived.next()) == "received_x"
        assert os.listdir(tmp_path / "out") == ["received_x"]

    run(go)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "localhost",
        "http://localhost:1",
        "ws://",
        "ws://a b/",
        "ws://[::1",
        "ws://localhost:99999",
    ],
)
def test_uris_that_are_none(tmp_path: Path, uri: str) -> None:
    (tmp_path / "x").write_bytes(b"data")

    async def go() -> None:
        assert await SecureClient(uri).send_file(str(tmp_path / "x")) is False
        with pytest.raises(ValueError):
            await SecureClient(uri, raise_errors=True).send_file(str(tmp_path / "x"))

    run(go)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """As in the first version: False, and not after ten minutes of trying."""
    (tmp_path / "x").write_bytes(b"data")
    uri = f"ws://127.0.0.1:{free_port()}"

    async def go() -> None:
        assert await SecureClient(uri, retry_for=0).send_file(tmp_path / "x") is False
        with pytest.raises(ConnectionError):
            await SecureClient(uri, raise_errors=True, retry_for=0).send_file(tmp_path / "x")

    run(go)


def test_cancelled_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(os.urandom(8_000_000))

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            task = asyncio.ensure_future(SecureClient(uri).send_file(str(tmp_path / "x")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await SecureClient(uri).send_file(str(tmp_path / "x"))
            path = await arrived.next()
            assert Path(path).read_bytes() == (tmp_path / "x").read_bytes()

    run(go)


# ---- who ----


def as_(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PQC_HOME", str(home))


def test_others_are_let_in_by_allow_only(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"of somebody else")

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (server, uri):
            as_(monkeypatch, tmp_path / "other")
            client = SecureClient(uri, raise_errors=True)
            with pytest.raises(RefusedError):
                await client.send_file(tmp_path / "x")
            other = Identity.default()
            await asyncio.to_thread(server.allow, other.public)
            assert await client.send_file(tmp_path / "x")
            assert Path(await arrived.next()).read_bytes() == b"of somebody else"
            # to its own place only, and it gets nothing back
            strange = Client(other, accept_new=True)
            url = "pqc" + uri[len("ws") :]
            for name in ("x", "a/b", f"{bytes(32).hex()}/x"):
                with pytest.raises(RefusedError):
                    await asyncio.to_thread(strange.send, b"data", f"{url}/{name}")
            (mine,) = await asyncio.to_thread(strange.list, f"{url}/")
            with pytest.raises(RefusedError):
                await asyncio.to_thread(strange.get_bytes, f"{url}/{mine.name}")
            await asyncio.to_thread(server.deny, other.id)
            with pytest.raises(RefusedError):
                await client.send_file(tmp_path / "x")
        as_(monkeypatch, home)

    run(go)
    assert os.listdir(tmp_path / "out") == ["received_x"]


def test_allow_lasts(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"data")
    other = Identity.generate()
    SecureServer().allow(other.public)
    SecureServer().allow(other.public)
    lines = (home / "secure_server" / "authorized").read_text().splitlines()
    assert len([line for line in lines if line.startswith(other.id.hex())]) == 1

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            url = "pqc" + uri[len("ws") :]
            client = Client(other, accept_new=True)
            await asyncio.to_thread(client.send, b"data", f"{url}/{other.id.hex()}/y")
            assert os.path.basename(await arrived.next()) == "received_y"

    run(go)


def test_another_server_is_noticed(tmp_path: Path) -> None:
    """Who was remembered at the first use must be there ever after."""
    (tmp_path / "x").write_bytes(b"data")
    port = free_port()

    async def go() -> None:
        async with serving(port=port) as (_, uri):
            assert await SecureClient(uri).send_file(tmp_path / "x")
        async with serving(port=port) as (_, uri):  # the same again
            assert await SecureClient(uri).send_file(tmp_path / "x")
        async with serving(port=port, data_dir=tmp_path / "impostor") as (_, uri):
            assert await SecureClient(uri).send_file(tmp_path / "x") is False
            with pytest.raises(IdentityChangedError):
                await SecureClient(uri, raise_errors=True).send_file(tmp_path / "x")

    run(go)


# ---- the server's life ----


def test_what_was_left_behind_is_collected(tmp_path: Path, home: Path) -> None:
    """Stored, but killed before it was taken out: the next start does that."""
    from pqc_secure_transfer.server import Server

    identity = Identity.default(create=True)
    base = home / "secure_server"
    base.mkdir()
    with Server(
        base / "port-0",
        identity=base / "identity",
        kek_file=base / "kek",
        access_file=base / "authorized",
    ) as server:
        server.allow(identity.public, "all")
        Client(identity, server_id=server.public.id).send(
            b"left", server.url(f"{identity.id.hex()}/left")
        )

    async def go() -> None:
        async with serving():
            assert (tmp_path / "out" / "received_left").read_bytes() == b"left"

    run(go)


def test_a_full_disk_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be put into the directory stays in the store, until the next start."""
    (tmp_path / "x").write_bytes(b"data")

    async def go() -> None:
        arrived = Arrived()
        async with serving(arrived) as (_, uri):
            (tmp_path / "out" / "received_x").mkdir()
            assert await SecureClient(uri).send_file(tmp_path / "x")
            (tmp_path / "y").write_bytes(b"other")
            assert await SecureClient(uri).send_file(tmp_path / "y")
            assert os.path.basename(await arrived.next()) == "received_y"
        assert "stays in the server's store" in caplog.text
        (tmp_path / "out" / "received_x").rmdir()
        async with serving():
            assert (tmp_path / "out" / "received_x").read_bytes() == b"data"

    run(go)


def test_one_server_a_port(tmp_path: Path) -> None:
    async def go() -> None:
        port = free_port()
        async with serving(port=port):
            second = SecureServer("127.0.0.1", port)
            with pytest.raises(OSError):
                await second.start_server()
            third = SecureServer("127.0.0.1", port, data_dir=tmp_path / "third")
            waiting = asyncio.ensure_future(third.wait_started())
            await asyncio.sleep(0)
            with pytest.raises(PqcError):
                await third.start_server()
            with pytest.raises(PqcError):
                await waiting

    run(go)


@pytest.mark.parametrize("host", ["localhost", "", None, "127.0.0.1"])
def test_hosts(tmp_path: Path, host: Any) -> None:
    (tmp_path / "x").write_bytes(b"data")

    async def go() -> None:
        port = free_port()
        server = SecureServer(host, port)
        task = asyncio.ensure_future(server.start_server())
        await asyncio.wait_for(server.wait_started(), WAIT)
        assert await SecureClient(f"ws://localhost:{port}").send_file(tmp_path / "x")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(go)


def test_a_host_that_is_not_here() -> None:
    with pytest.raises(OSError):
        asyncio.run(SecureServer("192.0.2.1", 0).start_server())


def test_channel_is_gone() -> None:
    with pytest.raises(ImportError, match="SecureServer and SecureClient"):
        from pqc_secure_transfer.secure_channel import SecureChannel  # type: ignore  # noqa
    with pytest.raises(AttributeError):
        from pqc_secure_transfer import secure_channel

        secure_channel.nonsense


# ---- programs written for the first version ----

SERVER = textwrap.dedent("""
    import argparse, asyncio, os
    from pqc_secure_transfer import SecureServer

    async def main():
        parser = argparse.ArgumentParser()
        parser.add_argument("--host", default="localhost")
        parser.add_argument("--port", type=int, default=8765)
        args = parser.parse_args()
        try:
            server = SecureServer(host=args.host, port=args.port)
            await server.start_server()
        except KeyboardInterrupt:
            print("stopped")

    asyncio.run(main())
""")

CLIENT = textwrap.dedent("""
    import argparse, asyncio, os
    from pqc_secure_transfer import SecureClient

    async def main():
        parser = argparse.ArgumentParser()
        parser.add_argument("--server", default="ws://localhost:8765")
        parser.add_argument("--file")
        args = parser.parse_args()
        client = SecureClient(server_uri=args.server)
        metadata = {"original_name": os.path.basename(args.file),
                    "size_mb": os.path.getsize(args.file) / 1024 / 1024}
        print("sent" if await client.send_file(args.file, metadata) else "failed")

    asyncio.run(main())
""")

BASICS = textwrap.dedent("""
    import os, shutil, sys, tempfile
    from pqc_secure_transfer import HybridCrypto, KeyManager, StreamingEncryptor
    from pqc_secure_transfer.streaming_encryptor import ProgressTracker

    alice, bob = HybridCrypto("Kyber768"), HybridCrypto("Kyber768")
    alice_public, alice_private = alice.generate_keypair()
    bob_public, bob_private = bob.generate_keypair()
    shared, encapsulated = alice.encapsulate_key(bob_public)
    assert bob.decapsulate_key(encapsulated) == shared
    key = shared[:32]

    encryptor = StreamingEncryptor(key, chunk_size=4*1024*1024)
    with tempfile.NamedTemporaryFile() as plain, tempfile.NamedTemporaryFile() as sealed, \\
            tempfile.NamedTemporaryFile() as opened:
        plain.write(os.urandom(9000000))
        plain.flush()
        plain.seek(0)
        digest = encryptor.encrypt_stream(plain, sealed)
        sealed.seek(0)
        assert encryptor.decrypt_stream(sealed, opened) == digest
        opened.seek(0)
        plain.seek(0)
        assert opened.read() == plain.read()

    with open("plain", "wb") as file:
        file.write(os.urandom(1000000))
    digest = encryptor.encrypt_file("plain", "plain.encrypted")
    assert os.path.getsize("plain.encrypted") == encryptor.estimate_encrypted_size(1000000)
    assert encryptor.decrypt_file("plain.encrypted", "plain.decrypted") == digest
    print(digest.hex())

    manager = KeyManager(key_store_path=".demo_keys", master_password="demo123")
    assert manager.store_keypair(key_id="demo_keypair_001", public_key=alice_public,
                                 private_key=alice_private, algorithm="Kyber768",
                                 metadata={"purpose": "demo"})
    public, private, algorithm = manager.load_keypair("demo_keypair_001")
    assert public == alice_public and private == alice_private
    print(manager.get_key_fingerprint("demo_keypair_001"))
    print(manager.export_public_key("demo_keypair_001", format="pem")[:100])
    assert len(manager.list_keys()) == 1
    manager.delete_key("demo_keypair_001")
    shutil.rmtree(".demo_keys")

    tracker = ProgressTracker(100, "Working")
    tracker.update(100)
    tracker.close()
""")


def program(text: str, *words: Any, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, words)],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **more,
    )


def ended(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def test_basic_usage() -> None:
    basics = program(BASICS)
    out, err = basics.communicate(timeout=WAIT)
    assert (basics.returncode, err) == (0, "")
    assert "BEGIN KYBER768 PUBLIC KEY" in out


def test_server_and_client_programs(tmp_path: Path) -> None:
    """Nothing was prepared; both are the same user. The server is stopped by Ctrl-C."""
    port = free_port()
    (tmp_path / "model.bin").write_bytes(os.urandom(2_000_000))
    server = program(SERVER, "--port", port)
    try:
        # the client waits for the server by itself: connections that fail are made again
        client = program(
            CLIENT,
            "--server",
            f"ws://localhost:{port}",
            "--file",
            tmp_path / "model.bin",
            cwd=tmp_path,
        )
        out, err = client.communicate(timeout=WAIT)
        assert (client.returncode, out) == (0, "sent\n"), err
        server.send_signal(signal.SIGINT)
    finally:
        ended(server)
    # stopped at once or not: what was sent appears, now or at the next start
    again = program(SERVER, "--port", port)
    try:
        client = program(
            CLIENT,
            "--server",
            f"ws://localhost:{port}",
            "--file",
            tmp_path / "model.bin",
            cwd=tmp_path,
        )
        assert client.communicate(timeout=WAIT)[0] == "sent\n"
        out_dir = tmp_path / "out"
        assert (out_dir / "received_model.bin").read_bytes() == (
            tmp_path / "model.bin"
        ).read_bytes()
        metadata = json.loads((out_dir / "received_model.bin.metadata.json").read_text())
        assert metadata["original_name"] == "model.bin"
    finally:
        again.kill()
        ended(again)


def test_log_is_quiet_by_default(tmp_path: Path) -> None:
    assert not logging.getLogger("pqc_secure_transfer").handlers
