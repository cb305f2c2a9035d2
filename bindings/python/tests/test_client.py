"""Transfers with the real server: what arrives, resuming, and every way to end one early."""

from __future__ import annotations

import asyncio
import copy
import io
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, List

import pytest
from conftest import MIB, Gate, Served, child, ended, journals

import pqc_secure_transfer as pqc
from pqc_secure_transfer import aio

PART = 1 << 16
DATA = os.urandom(3 * MIB + 17)
GateMaker = Callable[[int], Gate]


class Own(Exception):
    """What only the test raises."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plain"
    path.write_bytes(DATA)
    return path


# ---- what arrives ----

def test_send_and_get(known: Served, me: pqc.Identity, file: Path, tmp_path: Path) -> None:
    began = time.time()
    sent = pqc.send(file, known.url("dir/object"), part_size=PART)
    assert (sent.server_id, sent.sender_id) == (known.public.id, me.id)
    assert sent.size == len(DATA) and sent.parts == sent.parts_moved > 40
    assert (sent.resumed_bytes, sent.reconnects) == (0, 0)
    assert len(sent.file_id) == 32 and len(sent.trace_id) == 32
    assert sent.seconds > 0 and sent.queue_seconds >= 0
    proof = pqc.verify_receipt(sent.receipt, server=known.public, sender=me.public)
    assert (proof.server_id, proof.sender_id) == (known.public.id, me.id)
    assert (proof.file_id, proof.size) == (sent.file_id, len(DATA))
    assert began - 5 < proof.time < time.time() + 5

    got = pqc.get(known.url("dir/object"), tmp_path / "got", sender=me.public)
    assert (tmp_path / "got").read_bytes() == DATA
    assert got.file_id == sent.file_id and got.size == len(DATA) and got.receipt == b""
    assert got.sender_id == me.id


@pytest.mark.parametrize(
    "make", [lambda: DATA, lambda: bytearray(DATA), lambda: memoryview(DATA).toreadonly(),
             lambda: io.BytesIO(DATA)],
)
@pytest.mark.parametrize("resume", [True, False])
def test_buffers_and_streams(known: Served, make: Callable[[], Any], resume: bool) -> None:
    client = pqc.Client()
    sent = client.send(make(), known.url("x"), resume=resume)
    assert sent.size == len(DATA)
    assert client.get_bytes(known.url("x")) == DATA
    room = bytearray(len(DATA) + 5)
    assert client.get(known.url("x"), room).size == len(DATA)
    assert room[:-5] == DATA
    sink = io.BytesIO()
    client.get(known.url("x"), sink, sender=client.identity.id)
    assert sink.getvalue() == DATA
    with pytest.raises(pqc.QuotaError) as caught:
        client.get(known.url("x"), bytearray(len(DATA) - 1))
    assert caught.value.code == "too-big"


def test_a_client_is_not_copied(me: pqc.Identity) -> None:
    """Two would free one handle."""
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        for client in (pqc.Client(me), aio.Client(me)):
            if isinstance(client, pqc.Client) or copier is not copy.copy:
                with pytest.raises(TypeError, match="not copied or pickled"):
                    copier(client)


def test_files(known: Served, file: Path, tmp_path: Path) -> None:
    client = pqc.Client()
    with open(file, "rb") as f:
        f.read(10)
        client.send(f, known.url("x"))
        assert f.tell() == len(DATA)
    with open(tmp_path / "got", "w+b") as f:
        f.write(b"before ")
        client.get(known.url("x"), f)
        f.write(b" after")
    assert (tmp_path / "got").read_bytes() == b"before " + DATA[10:] + b" after"


def test_numpy(known: Served) -> None:
    np = pytest.importorskip("numpy")
    weights = np.arange(300_000, dtype=np.float32).reshape(300, 1000)
    client = pqc.Client()
    assert client.send(weights, known.url("x")).size == weights.nbytes
    back = np.empty_like(weights)
    client.get(known.url("x"), back)
    assert np.array_equal(weights, back)
    with pytest.raises(ValueError, match="np.ascontiguousarray"):
        client.send(weights.T, known.url("x"))
    with pytest.raises(ValueError, match="np.ascontiguousarray"):
        client.get(known.url("x"), back[:, ::2])


def test_empty(known: Served, tmp_path: Path) -> None:
    client = pqc.Client()
    for source in (b"", io.BytesIO(b"")):
        assert client.send(source, known.url("x")).size == 0
        assert client.get_bytes(known.url("x")) == b""


def test_list_delete_receipt(known: Served, me: pqc.Identity) -> None:
    client, began = pqc.Client(), time.time()
    sent = {name: client.send(name.encode(), known.url(name)) for name in ("a/1", "a/ü", "b")}
    entries = client.list(known.url("a/"))
    assert [(e.name, e.size, e.owner) for e in entries] == [
        ("a/1", 3, me.id), ("a/ü", 4, me.id)]
    assert all(began - 5 < e.time < time.time() + 5 for e in entries)
    assert len(client.list(known.url())) == 3
    assert pqc.verify_receipt(client.receipt(known.url("b"))).file_id == sent["b"].file_id
    client.delete(known.url("b"))
    assert len(client.list(known.url())) == 2
    for call in (client.delete, client.receipt, client.get_bytes):
        with pytest.raises(PermissionError):
            call(known.url("b"))


def test_replace(known: Served, tmp_path: Path) -> None:
    client, path = pqc.Client(), tmp_path / "got"
    path.write_bytes(b"precious")
    client.send(b"said", known.url("x"))
    with pytest.raises(FileExistsError) as caught:
        client.get(known.url("x"), path)
    assert path.read_bytes() == b"precious"
    assert isinstance(caught.value, pqc.AlreadyExistsError)
    client.get(known.url("x"), path, replace=True)
    assert path.read_bytes() == b"said"


def test_progress(known: Served, file: Path) -> None:
    for source in (file, DATA):
        seen: List[pqc.Progress] = []
        threads = set()

        def progress(p: pqc.Progress) -> None:
            seen.append(p)
            threads.add(threading.current_thread())

        pqc.send(source, known.url("x"), part_size=PART, progress=progress)
        assert threads == {threading.main_thread()}
        assert (seen[-1].done, seen[-1].total, seen[-1].fraction) == (len(DATA), len(DATA), 1.0)
        assert [p.done for p in seen] == sorted(p.done for p in seen)
        seen.clear()
        pqc.Client().get_bytes(known.url("x"), progress=progress)
        assert seen[-1].fraction == 1.0


# ---- who is there ----

def test_unknown_server(served: Served, me: pqc.Identity) -> None:
    served.allow(me.public)
    client = pqc.Client(retry_for=0)
    with pytest.raises(pqc.UnknownServerError) as caught:
        client.send(DATA, served.url("x"))
    assert isinstance(caught.value, PermissionError) and caught.value.transfer is not None
    found = client.ping(served.url())
    assert not found.pinned and found.server_id == served.public.id
    assert found.suite == served.public.suite and found.tls_group is None and found.seconds > 0
    pqc.Client(server_id=served.public).send(DATA, served.url("x"))
    with pytest.raises(pqc.UnknownServerError):
        client.send(DATA, served.url("x"))
    pqc.Client(accept_new=True).send(DATA, served.url("x"))
    client.send(DATA, served.url("x"))
    assert client.ping(served.url()).pinned


def test_identity_changed(known: Served) -> None:
    client, other = pqc.Client(retry_for=0), pqc.Identity.generate().public
    with pytest.raises(pqc.AlreadyExistsError):
        client.trust(known.address, other)
    client.untrust(known.address)
    with pytest.raises(pqc.NotFoundError):
        client.untrust(known.address)
    client.trust(known.address, other.id)
    with pytest.raises(pqc.IdentityChangedError):
        client.send(DATA, known.url("x"))


def test_own_files(known: Served, tmp_path: Path, home: Path) -> None:
    mine = pqc.Identity.generate()
    known.allow(mine.public)
    client = pqc.Client(mine, known_servers=tmp_path / "servers", state_dir=tmp_path / "state")
    with pytest.raises(pqc.UnknownServerError):
        client.send(b"said", known.url("x"))
    client.trust(known.address, known.public)
    client.send(b"said", known.url("x"))
    assert (tmp_path / "servers").exists()
    with pytest.raises(pqc.PqcError):  # it must be another's
        pqc.get(known.url("x"), tmp_path / "got", sender=pqc.Identity.generate().public)
    assert not (tmp_path / "got").exists()


def test_refused(known: Served) -> None:
    stranger = pqc.Client(pqc.Identity.generate())
    for call in (
        lambda: stranger.send(DATA, known.url("x")),
        lambda: stranger.get_bytes(known.url("x")),
        lambda: stranger.list(known.url()),
    ):
        with pytest.raises(pqc.RefusedError) as caught:
            call()
        assert caught.value.exit_code == 4
    assert stranger.ping(known.url()).pinned


def test_nobody_there(me: pqc.Identity, gate: GateMaker) -> None:
    closed = gate(0)
    closed.close()
    client = pqc.Client(retry_for=0, connect_timeout=5, idle_timeout=5)
    with pytest.raises(ConnectionError) as caught:
        client.send(DATA, f"pqc://{closed.address}/x")
    assert isinstance(caught.value, pqc.TemporaryError)
    assert caught.value.transfer is not None and len(caught.value.transfer.trace_id) == 32


@pytest.mark.parametrize(
    "arguments",
    [{"threads": -1}, {"connect_timeout": 0}, {"connect_timeout": -1}, {"idle_timeout": 1e9},
     {"retry_for": -1}, {"retry_for": float("nan")}, {"server_id": b"short"},
     {"known_servers": "a\0b"}, {"trace_parent": "no traceparent"}],
)
def test_options_that_cannot_be(me: pqc.Identity, arguments: Any) -> None:
    with pytest.raises(ValueError):
        pqc.Client(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"identity": "me"}, {"server_id": "0" * 64}, {"threads": "2"}, {"state_dir": 7}],
)
def test_options_of_wrong_types(me: pqc.Identity, arguments: Any) -> None:
    with pytest.raises(TypeError):
        pqc.Client(**arguments)


def test_urls_that_cannot_be(me: pqc.Identity) -> None:
    client = pqc.Client(retry_for=0)
    for url in ("", "x", "http://localhost/x", "pqc://", "pqc://h/\0", "pqc://localhost:0/x",
                "pqc://localhost/../x"):
        with pytest.raises(ValueError):
            client.send(b"", url)
        with pytest.raises(ValueError):
            client.get_bytes(url)
    with pytest.raises(TypeError):
        client.send(b"", b"pqc://localhost/x")  # type: ignore[arg-type]


def test_no_identity() -> None:
    with pytest.raises(FileNotFoundError):
        pqc.Client()


def test_limits_are_taken(known: Served) -> None:
    client = pqc.Client(retry_for=float("inf"), connect_timeout=0.5, idle_timeout=3600, threads=3)
    client.send(DATA, known.url("x"))
    trace = "0af7651916cd43dd8448eb211c80319c"
    client = pqc.Client(trace_parent=f"00-{trace}-b7ad6b7169203331-01")
    assert client.send(DATA, known.url("x")).trace_id == trace


def test_receipts_that_are_none(known: Served, me: pqc.Identity) -> None:
    receipt = pqc.send(DATA, known.url("x")).receipt
    middle = len(receipt) // 2
    other = b"A" if receipt[middle : middle + 1] != b"A" else b"B"
    for wrong in (b"", b"no receipt", receipt[:-100],
                  receipt[:middle] + other + receipt[middle + 1 :]):
        with pytest.raises(pqc.IntegrityError):
            pqc.verify_receipt(wrong)
    for names in ({"server": me.public}, {"sender": known.public.id}):
        with pytest.raises(pqc.RefusedError, match="is another"):
            pqc.verify_receipt(receipt, **names)
    with pytest.raises(TypeError):
        pqc.verify_receipt(receipt.decode())  # type: ignore[arg-type]


# ---- ends before the end, and going on ----

LIMIT = 40 * PART  # of 49 parts


def stop(known: Served, client: pqc.Client, gate: Gate, source: Any) -> None:
    """A send through a gate that closes on the way; progress raises when something has moved."""
    raised = Own()

    def progress(p: pqc.Progress) -> None:
        if p.done > 0:
            known.wait_for_durable()
            raise raised

    with pytest.raises(Own) as caught:
        client.send(source, f"pqc://{gate.address}/x", part_size=PART, progress=progress)
    assert caught.value is raised


@pytest.mark.parametrize("kind", ["path", "bytes", "bytearray"])
def test_exception_in_progress_of_a_send(
    known: Served, gate: GateMaker, file: Path, home: Path, kind: str
) -> None:
    source: Any = {"path": file, "bytes": DATA, "bytearray": bytearray(DATA)}[kind]
    client, closing = pqc.Client(), gate(LIMIT)
    stop(known, client, closing, source)
    assert len(journals(home)) == 1
    closing.open()
    notices: List[Any] = []
    again = bytes(source) if kind == "bytearray" else source  # the same bytes elsewhere
    sent = client.send(again, f"pqc://{closing.address}/x", part_size=PART,
                       notice=lambda *said: notices.append(said))
    assert 0 < sent.resumed_bytes < len(DATA) and sent.parts_moved < sent.parts
    assert "resume" in [event for event, text in notices]
    assert client.get_bytes(known.url("x")) == DATA
    assert journals(home) == []


def test_other_bytes_are_not_resumed(known: Served, gate: GateMaker) -> None:
    client, closing = pqc.Client(), gate(LIMIT)
    stop(known, client, closing, DATA)
    closing.open()
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    assert client.send(other, f"pqc://{closing.address}/x", part_size=PART).resumed_bytes == 0
    assert client.get_bytes(known.url("x")) == other


def test_resume_can_be_declined(known: Served, gate: GateMaker, home: Path) -> None:
    closing = gate(LIMIT)
    with pytest.raises(Own):
        pqc.Client().send(DATA, f"pqc://{closing.address}/x", part_size=PART, resume=False,
                          progress=raiser)
    assert journals(home) == []


def raiser(p: pqc.Progress) -> None:
    if p.done:
        raise Own


def test_exception_in_progress_of_a_get(known: Served, gate: GateMaker, tmp_path: Path) -> None:
    client, closing = pqc.Client(), gate(LIMIT)
    client.send(DATA, known.url("x"), part_size=PART)
    url, path = f"pqc://{closing.address}/x", tmp_path / "got"
    with pytest.raises(Own):
        client.get(url, path, progress=raiser)
    assert not path.exists()
    closing.open()
    got = client.get(url, path)
    assert got.resumed_bytes > 0 and path.read_bytes() == DATA


def test_exception_in_notice(known: Served, gate: GateMaker, file: Path) -> None:
    client, closing = pqc.Client(), gate(LIMIT)
    stop(known, client, closing, file)
    closing.open()

    def notice(event: str, text: str) -> None:
        raise Own

    with pytest.raises(Own):
        client.send(file, f"pqc://{closing.address}/x", part_size=PART, notice=notice)


@pytest.mark.parametrize("after", [0, 5])
def test_exception_in_read(known: Served, after: int) -> None:
    raised, calls = Own(), []

    class Broken:
        def read(self, size: int) -> bytes:
            calls.append(1)
            if len(calls) > after:
                raise raised
            return bytes(min(size, PART))

    client = pqc.Client()
    with pytest.raises(Own) as caught:
        client.send(Broken(), known.url("x"), part_size=PART)
    assert caught.value is raised
    assert client.list(known.url()) == []


def test_exception_in_write(known: Served) -> None:
    raised = Own()

    class Full:
        def write(self, data: bytes) -> int:
            raise raised

    client = pqc.Client()
    client.send(DATA, known.url("x"))
    with pytest.raises(Own) as caught:
        client.get(known.url("x"), Full())
    assert caught.value is raised


CTRL_C = """
import sys, threading
import pqc_secure_transfer as pqc

verb, url, path = sys.argv[1:]
told = []

def progress(p):
    if p.done and not told:
        told.append(1)
        print("going", flush=True)

client = pqc.Client()
try:
    if verb == "send":
        client.send(path, url, part_size=1 << 16, progress=progress)
    elif verb == "array":
        with open(path, "rb") as f:
            data = bytearray(f.read())
        client.send(data, url, part_size=1 << 16, progress=progress)
    else:
        client.get(url, path, progress=progress)
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate()])
    if verb == "array":
        data.append(1)  # free again
else:
    sys.exit("it was not interrupted")
"""


@pytest.mark.parametrize("verb", ["send", "array", "get"])
def test_ctrl_c(known: Served, gate: GateMaker, file: Path, tmp_path: Path, home: Path,
                verb: str) -> None:
    closing, client = gate(LIMIT), pqc.Client()
    url, path = f"pqc://{closing.address}/x", file
    if verb == "get":
        path = tmp_path / "got"
        client.send(file, known.url("x"), part_size=PART)
    process = child(CTRL_C, verb, url, path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    if verb != "get":
        known.wait_for_durable()
    process.send_signal(signal.SIGINT)
    assert ended(process) == "['MainThread']\n"
    closing.open()
    if verb == "get":
        assert client.get(url, path).resumed_bytes > 0
    else:
        assert len(journals(home)) == 1
        source = path if verb == "send" else DATA
        assert client.send(source, url, part_size=PART).resumed_bytes > 0
    client.get(known.url("x"), tmp_path / "end")
    assert (tmp_path / "end").read_bytes() == DATA


def test_ctrl_c_in_progress(known: Served, gate: GateMaker, file: Path) -> None:
    """It arises where the caller's function is, and ends the call from there."""
    closing = gate(LIMIT)
    script = CTRL_C.replace('print("going", flush=True)',
                            'print("going", flush=True); threading.Event().wait()')
    process = child(script, "send", f"pqc://{closing.address}/x", file)
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    known.wait_for_durable()
    process.send_signal(signal.SIGINT)
    assert ended(process) == "['MainThread']\n"
    closing.open()
    assert pqc.Client().send(file, f"pqc://{closing.address}/x", part_size=PART).resumed_bytes > 0


# ---- asyncio ----

def test_asyncio(known: Served, me: pqc.Identity, tmp_path: Path) -> None:
    seen: List[Any] = []

    async def main() -> None:
        client = aio.Client()
        assert client.identity.id == me.id
        sent = await asyncio.gather(
            *(client.send(DATA, known.url(f"x{n}"), progress=lambda p: seen.append(
                threading.current_thread() is threading.main_thread())) for n in range(3))
        )
        assert len({one.file_id for one in sent}) == 3
        assert await client.get_bytes(known.url("x0")) == DATA
        assert (await client.get(known.url("x1"), tmp_path / "got")).size == len(DATA)
        assert len(await client.list(known.url())) == 3
        assert pqc.verify_receipt(await client.receipt(known.url("x2"))).size == len(DATA)
        await client.delete(known.url("x2"))
        assert (await client.ping(known.url())).pinned
        client.untrust(known.address)
        client.trust(known.address, known.public)
        await aio.send(DATA, known.url("y"))
        room = bytearray(len(DATA))
        await aio.get(known.url("y"), room)
        assert room == DATA
        with pytest.raises(pqc.RefusedError):
            await client.delete(known.url("absent"))

    asyncio.run(main())
    assert seen and all(seen)


def test_asyncio_cancellation(known: Served, gate: GateMaker, file: Path, home: Path) -> None:
    closing = gate(LIMIT)
    url = f"pqc://{closing.address}/x"

    async def main() -> None:
        going = asyncio.Event()
        task = asyncio.ensure_future(aio.send(
            file, url, part_size=PART, progress=lambda p: going.set() if p.done else None))
        await going.wait()
        known.wait_for_durable()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(journals(home)) == 1
        assert not [t for t in threading.enumerate() if t.name.startswith("pqc")]
        closing.open()
        assert (await aio.send(file, url, part_size=PART)).resumed_bytes > 0

    asyncio.run(main())


def test_asyncio_ctrl_c(known: Served, gate: GateMaker, file: Path) -> None:
    closing = gate(LIMIT)
    script = """
import asyncio, sys
from pqc_secure_transfer import aio

told = []
def progress(p):
    if p.done and not told:
        told.append(1)
        print("going", flush=True)

try:
    asyncio.run(aio.send(sys.argv[1], sys.argv[2], part_size=1 << 16, progress=progress))
except KeyboardInterrupt:
    print("interrupted")
"""
    process = child(script, file, f"pqc://{closing.address}/x")
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    known.wait_for_durable()
    process.send_signal(signal.SIGINT)
    assert ended(process) == "interrupted\n"
    closing.open()
    assert pqc.Client().send(file, f"pqc://{closing.address}/x", part_size=PART).resumed_bytes > 0


# ---- many ----

def test_threads_share_a_client(known: Served) -> None:
    client, results = pqc.Client(), {}

    def work(n: int) -> None:
        client.send(bytes([n]) * 100_000, known.url(f"x{n}"))
        results[n] = client.get_bytes(known.url(f"x{n}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: bytes([n]) * 100_000 for n in range(6)}


# ---- memory ----

MEMORY = """
import resource, sys
import pqc_secure_transfer as pqc

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

size, url = int(sys.argv[1]), sys.argv[2]
try:
    import numpy
    weights = numpy.full(size // 4, 1.5, numpy.float32)
except ImportError:
    weights = bytearray(b"x") * size
client = pqc.Client()
before = peak()
assert before > size
client.send(weights, url, resume=True)
sent = peak()
assert client.get(url, weights).size == size
print(sent - before, peak() - before)
"""


def above_the_array(known: Served, size: int) -> None:
    sent, got = map(int, ended(child(MEMORY, str(size), known.url("weights"))).split())
    assert sent <= 64 * MIB and got <= 64 * MIB


def test_memory_above_an_array(known: Served) -> None:
    above_the_array(known, 256 * MIB)


@pytest.mark.soak
def test_memory_above_a_large_array(known: Served) -> None:
    above_the_array(known, 2048 * MIB)


def test_clients_and_servers_are_not_copied(home: Path, me: pqc.Identity, tmp_path: Path) -> None:
    for thing in (pqc.Client(), pqc.Server(tmp_path / "server")):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
