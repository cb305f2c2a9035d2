"""Server: `pqc serve` inside a program."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, Mapping

import pytest
from pqc_secure_transfer import Client, Identity, PublicIdentity
from pqc_secure_transfer.errors import NotFoundError, PqcError, RefusedError, UsageError
from pqc_secure_transfer.server import Access, Received, Server

WAIT = 30


@pytest.fixture(scope="module")
def alice() -> Identity:
    return Identity.generate()


@pytest.fixture(scope="module")
def bob() -> Identity:
    return Identity.generate()


def client(identity: Identity, server: Server, place: Path) -> Client:
    return Client(
        identity,
        known_servers=place / "known",
        state_dir=place / "state",
        server_id=server.public.id,
        retry_for=0,
    )


# ---- life ----


def test_send_and_get(tmp_path: Path, alice: Identity) -> None:
    data = os.urandom(3_000_000)
    with Server(tmp_path / "data") as server:
        server.allow(alice.public, "all")
        c = client(alice, server, tmp_path)
        c.send(data, server.url("a b/ü"))
        assert c.get_bytes(server.url("a b/ü")) == data
        assert [entry.name for entry in c.list(server.url())] == ["a b/ü"]
        c.delete(server.url("a b/ü"))
        with pytest.raises(PqcError):
            c.get_bytes(server.url("a b/ü"))


def test_a_server_is_not_copied(tmp_path: Path) -> None:
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied or pickled"):
            copier(Server(tmp_path))


def test_it_is_the_same_server_again(tmp_path: Path, alice: Identity) -> None:
    server = Server(tmp_path / "data")
    server.allow(alice.public)
    with server:
        public = server.public
        client(alice, server, tmp_path).send(b"data", server.url("x"))
    with pytest.raises(RuntimeError, match="does not run"):
        server.address
    with server:
        assert server.public.id == public.id
        assert client(alice, server, tmp_path).get_bytes(server.url("x")) == b"data"
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
    assert server.stop() is True and server.wait(0) is True


def test_stop_ends_the_port(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data") as server:
        c, url = client(alice, server, tmp_path), server.url("x")
        assert server.wait(0) is False
    with pytest.raises(PqcError):
        c.send(b"data", url)


def test_several_addresses(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data", ["127.0.0.1:0", "127.0.0.2:0"]) as server:
        assert len(server.addresses) == 2 and server.addresses[1].startswith("127.0.0.2:")
        assert server.address == server.addresses[0]
        assert server.addresses[1] in repr(server)
    with Server(tmp_path / "data", "0.0.0.0:0") as server:
        assert server.url("x").startswith("pqc://127.0.0.1:")


def test_two_cannot_have_one_address(tmp_path: Path) -> None:
    with Server(tmp_path / "one") as server:
        second = Server(tmp_path / "two", server.address)
        with pytest.raises(PqcError):
            second.start()
        second.stop()


def test_a_second_server_on_one_data_dir(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data") as one, Server(tmp_path / "data") as two:
        one.allow(alice.public)
        two.reload()
        client(alice, one, tmp_path).send(b"data", one.url("x"))
        assert client(alice, two, tmp_path).get_bytes(two.url("x")) == b"data"


def test_an_exception_inside_ends_it(tmp_path: Path) -> None:
    class Mine(Exception):
        pass

    with pytest.raises(Mine), Server(tmp_path / "data") as server:
        raise Mine
    assert server.wait(0)


def test_many_starts_and_stops(tmp_path: Path) -> None:
    threads = threading.active_count()
    for _ in range(10):
        with Server(tmp_path / "data"):
            pass
    assert threading.active_count() == threads


def test_stop_from_many_threads(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.start()
    stoppers = [threading.Thread(target=server.stop) for _ in range(5)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join(WAIT)
    assert server.wait(WAIT)


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "raise SystemExit(0)"])
def test_a_program_may_end_with_a_server_running(tmp_path: Path, end: str) -> None:
    program = textwrap.dedent(f"""
        import sys
        from pqc_secure_transfer.server import Server
        server = Server({str(tmp_path / 'data')!r}, log=lambda line: None)
        server.start()
        print("on", flush=True)
        {end}
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


# ---- settings ----


def test_settings(tmp_path: Path, alice: Identity) -> None:
    with Server(
        tmp_path / "data",
        max_transfers=1,
        no_metrics=True,
        max_size="1M",
        min_free=None,
        reuse_port=False,
        allow_origin=["https://a.example", "https://b.example"],
    ) as server:
        server.allow(alice.public)
        c = client(alice, server, tmp_path)
        c.send(bytes(1000), server.url("x"))
        with pytest.raises(PqcError) as caught:
            c.send(bytes(2_000_000), server.url("y"))
        assert caught.value.code == "quota"


@pytest.mark.parametrize(
    "settings,error",
    [
        ({"nonsense": 1}, UsageError),
        ({"max_transfers": "many"}, UsageError),
        ({"max_size": "-1"}, UsageError),
        ({"log_level": "loud"}, UsageError),
        ({"max_size": "1\0M"}, UsageError),
        ({"max_transfers": 1.5}, TypeError),
        ({"max_transfers": b"1"}, TypeError),
        ({"passphrase_file": "x"}, TypeError),
        ({"port_file": "x"}, TypeError),
        ({"config": "x"}, TypeError),
        ({"log_format": "text"}, TypeError),
        ({"print_config": True}, TypeError),
        ({"tls_cert": "/nowhere"}, PqcError),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        with Server(tmp_path / "data", **settings):
            pass


def test_a_passphrase(tmp_path: Path, alice: Identity) -> None:
    alice.save(tmp_path / "key", passphrase="open sesame")
    for passphrase in (None, "wrong"):
        with pytest.raises(PqcError) as caught:
            Server(tmp_path / "data", identity=tmp_path / "key", passphrase=passphrase).start()
        assert caught.value.code == "passphrase"
    with Server(tmp_path / "data", identity=tmp_path / "key", passphrase="open sesame") as server:
        assert server.public.id == alice.id


# ---- access ----


def test_nobody_is_let_in_unasked(tmp_path: Path, alice: Identity, bob: Identity) -> None:
    with Server(tmp_path / "data") as server:
        with pytest.raises(RefusedError):
            client(alice, server, tmp_path).send(b"data", server.url("x"))
        server.allow(alice.public)
        client(alice, server, tmp_path).send(b"data", server.url("x"))
        with pytest.raises(RefusedError):
            client(bob, server, tmp_path).get_bytes(server.url("x"))
        server.allow(bob.public, "get", "x")
        assert client(bob, server, tmp_path).get_bytes(server.url("x")) == b"data"
        with pytest.raises(RefusedError):
            client(bob, server, tmp_path).send(b"data", server.url("y"))
        server.deny(bob.id)
        with pytest.raises(RefusedError):
            client(bob, server, tmp_path).get_bytes(server.url("x"))
        with pytest.raises(NotFoundError):
            server.deny(bob.public)


def test_patterns(tmp_path: Path, alice: Identity, bob: Identity) -> None:
    with Server(tmp_path / "data") as server:
        server.allow(alice.public, "put", "{id}/*")
        c = client(alice, server, tmp_path)
        c.send(b"data", server.url(f"{alice.id.hex()}/x"))
        for name in ("x", f"{bob.id.hex()}/x", f"{alice.id.hex()}/x/y"):
            with pytest.raises(RefusedError):
                c.send(b"data", server.url(name))


def test_access_file(tmp_path: Path, alice: Identity, bob: Identity) -> None:
    access = Access(tmp_path / "authorized")
    assert not access.knows(alice.public)
    access.allow(alice.public, "put,get", "a/**")
    assert access.knows(alice.id) and not access.knows(bob.public)
    for rights, pattern in (("everything", None), (None, "../x"), (None, "a\nb"), ("put\0", None)):
        with pytest.raises((UsageError, PqcError)):
            access.allow(bob.public, rights, pattern)
    with pytest.raises(TypeError):
        access.allow(bob)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        access.deny(b"short")
    assert not access.knows(bob.public)
    access.deny(alice.public)
    assert not access.knows(alice.public)


def test_another_access_file(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data", access_file=tmp_path / "who") as server:
        server.allow(alice.public)
        assert (tmp_path / "who").exists() and not (tmp_path / "data" / "authorized").exists()
        client(alice, server, tmp_path).send(b"data", server.url("x"))


def test_a_reload_that_fails_says_why(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data") as server:
        server.allow(alice.public)
        Path(server.access.path).write_text("nonsense\n")
        with pytest.raises(RuntimeError, match="keeps what it had"):
            server.reload()
        client(alice, server, tmp_path).send(b"data", server.url("x"))
    with pytest.raises(RuntimeError):
        server.reload()


# ---- what comes in ----


def test_on_received(tmp_path: Path, alice: Identity) -> None:
    seen: list[Received] = []
    done = threading.Event()

    def on_received(received: Received) -> None:
        seen.append(received)
        done.set()

    with Server(tmp_path / "data", on_received=on_received) as server:
        server.allow(alice.public)
        sent = client(alice, server, tmp_path).send(bytes(1_500_000), server.url("a/b c"))
        assert done.wait(WAIT)
    (received,) = seen
    assert (received.name, received.size, received.sender_id, received.file_id) == (
        "a/b c",
        1_500_000,
        alice.id,
        sent.file_id,
    )
    assert received.seconds >= 0


def test_iterator(tmp_path: Path, alice: Identity) -> None:
    with Server(tmp_path / "data") as server:
        server.allow(alice.public)
        first, second = server.received(), server.received()
        c = client(alice, server, tmp_path)
        for name in ("one", "two"):
            c.send(name.encode(), server.url(name))
        assert [next(first).name, next(first).name] == ["one", "two"]
        c.send(b"", server.url("three"))
    assert [received.name for received in second] == ["one", "two", "three"]
    assert [received.size for received in first] == [0]
    assert list(first) == []


def test_streams_have_their_size(tmp_path: Path, alice: Identity) -> None:
    class Source:
        left = 1_000_000

        def read(self, n: int) -> bytes:
            n = min(n, self.left)
            self.left -= n
            return bytes(n)

    with Server(tmp_path / "data") as server:
        server.allow(alice.public)
        received = server.received()
        client(alice, server, tmp_path).send(Source(), server.url("x"))
        assert next(received).size == 1_000_000


def test_long_names(tmp_path: Path, alice: Identity) -> None:
    """The log has room for 4096 bytes: a name that does not fit is not said to be another."""
    name = "/".join(["x" * 250] * 16)
    with Server(tmp_path / "data") as server:
        server.allow(alice.public)
        received = server.received()
        client(alice, server, tmp_path).send(b"data", server.url(name))
        assert next(received).name in (None, name)


def test_callbacks_may_use_the_server(tmp_path: Path, alice: Identity, bob: Identity) -> None:
    got: list[Any] = []
    done = threading.Event()

    def on_received(received: Received) -> None:
        try:
            server.allow(bob.public)
            got.append(client(bob, server, tmp_path).get_bytes(server.url(received.name or "")))
            server.stop()
        except BaseException as error:
            got.append(error)
        done.set()

    with Server(tmp_path / "data", on_received=on_received) as server:
        server.allow(alice.public)
        client(alice, server, tmp_path).send(b"data", server.url("x"))
        assert done.wait(WAIT)
    assert got[0] == b"data"
    assert isinstance(got[1], RuntimeError) and "wait for themselves" in str(got[1])


def test_callbacks_that_fail(
    tmp_path: Path, alice: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise KeyError("mine")

    with Server(tmp_path / "data", on_received=fail, log=fail) as server:
        server.allow(alice.public)
        received = server.received()
        for name in ("one", "two"):
            client(alice, server, tmp_path).send(b"data", server.url(name))
        assert [next(received).name, next(received).name] == ["one", "two"]
    assert "log or on_received failed" in caplog.text


def test_log(tmp_path: Path, alice: Identity) -> None:
    lines: list[Mapping[str, Any]] = []
    with Server(tmp_path / "data", log=lines.append) as server:
        server.allow(alice.public)
        client(alice, server, tmp_path).send(b"data", server.url("secret name"))
    events = [line["event"] for line in lines]
    assert "identity.made" in events and events[-1] == "server.stopped"
    assert "transfer" in events and "secret name" not in json.dumps(lines)
    del lines[:]
    with Server(tmp_path / "data", log=lines.append, log_names=True) as server:
        client(alice, server, tmp_path).send(b"data", server.url("secret name"))
    assert "secret name" in json.dumps(lines)
    del lines[:]
    with Server(tmp_path / "data", log=lines.append, log_level="error") as server:
        received = server.received()
        client(alice, server, tmp_path).send(b"data", server.url("x"))
        assert next(received).name == "x"
        server.reload()
    assert lines == []


def test_log_to_a_logger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mine")
    with Server(tmp_path / "data", log=logging.getLogger("mine")):
        pass
    by_event = {
        json.loads(record.getMessage())["event"]: record.levelno
        for record in caplog.records
        if record.name == "mine"
    }
    assert by_event["server.listening"] == logging.INFO
    assert by_event["access.empty"] == logging.WARNING


def test_the_public_identity_is_what_clients_need(tmp_path: Path) -> None:
    with Server(tmp_path / "data", suite="Kyber1024") as server:
        assert PublicIdentity.parse(server.public.text).id == server.public.id
        assert server.public.suite == "Kyber1024"
