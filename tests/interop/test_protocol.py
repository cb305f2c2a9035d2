"""The pqc program against pqp_client.py: what either puts, the other gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ABSENT, PROGRAM, REFUSED, until

import pqp
from identity import SUITES, PrivateIdentity
from pqp_client import Client, Failed, Held, Session, Upload
from pqp_program import P, World, program_of, upload
from pqp_server import Server
from pqx import UNKNOWN_SIZE, capacity

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"no pqc program at {PROGRAM}")
SIZES = (0, 1, P - 1, P, P + 1, 4 * P + 5)
KNOWN = pytest.mark.parametrize("known", [True, False], ids=["size-known", "stream"])


def text(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.fixture(scope="module", params=SUITES, ids=["suite1", "suite2"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"), request.param)
    yield made.start()
    made.end()


@pytest.fixture(scope="module")
def alice(world: World) -> PrivateIdentity:
    return world.person()


@pytest.fixture
def client(world: World, alice: PrivateIdentity) -> Client:
    return world.client(alice)


# What one puts, the other gets


@KNOWN
def test_python_puts_pqc_gets(
    world: World, alice: PrivateIdentity, client: Client, tmp_path: Path, known: bool
) -> None:
    program = world.program(alice)
    for size in SIZES:
        u = Upload(alice, text(size), size_known=known)
        client.put("by/python", u)
        program.ok("get", world.server.url("by/python"), "-o", tmp_path / "out", "--force")
        assert (tmp_path / "out").read_bytes() == u.plain


@KNOWN
def test_pqc_puts_python_gets(
    world: World, alice: PrivateIdentity, client: Client, tmp_path: Path, known: bool
) -> None:
    program, url = world.program(alice), world.server.url("by/pqc")
    for size in SIZES:
        (tmp_path / "in").write_bytes(text(size))
        if known:
            program.ok("send", "--part-size", "64K", tmp_path / "in", url)
        else:
            program.ok("send", "--part-size", "64K", "-", url, stdin=text(size))
        d = client.get("by/pqc")
        assert d.plain == text(size)
        assert d.header.plain_size == (size if known else UNKNOWN_SIZE)
        assert d.header.sender_id == alice.public.id


def test_other_part_sizes(
    world: World, alice: PrivateIdentity, client: Client, tmp_path: Path
) -> None:
    program = world.program(alice)
    for part_size in (1 << 17, 1 << 20):
        u = Upload(alice, text(capacity(part_size) + 77), part_size=part_size)
        client.put("large", u)
        program.ok("get", world.server.url("large"), "-o", tmp_path / "out", "--force")
        assert (tmp_path / "out").read_bytes() == u.plain


# Parts: any order, holes, again


@KNOWN
def test_parts_out_of_order(alice: PrivateIdentity, client: Client, known: bool) -> None:
    u = upload(alice, 9, size_known=known)
    client.put("shuffled", u, order=[4, 0, 8, 1, 7, 3, 5, 2, 6])
    assert client.get("shuffled").plain == u.plain


def acknowledged(s: Session, count: int) -> Held:
    held = Held()
    held.add(s.reply.ranges)
    while len(held.parts) < count:
        held.take(s.recv())
    return held


@pytest.mark.parametrize("first", [[0, 3, 5], [5], [1, 2, 4], [0, 1, 2, 3, 4, 5], []], ids=str)
@KNOWN
def test_resume(
    alice: PrivateIdentity,
    client: Client,
    request: pytest.FixtureRequest,
    known: bool,
    first: list[int],
) -> None:
    u, name = upload(alice, 6, size_known=known), request.node.name
    with client.begin(name, u) as s:
        for i in first:
            u.send_part(s, i)
        acknowledged(s, len(first))
    with client.resume(name, u) as s:
        held = {i for a, n in s.reply.ranges for i in range(a, a + n)}
        assert held == set(first)
        client.finish(s, u)
    assert client.get(name).plain == u.plain


def test_resume_after_the_server_was_killed(
    world: World, alice: PrivateIdentity, client: Client
) -> None:
    """What `durable` covered is there again."""
    u = upload(alice, 6)
    with client.begin("killed", u) as s:
        for i in (0, 1, 2, 4):
            u.send_part(s, i)
        held = Held()
        while held.durable < 3:
            held.take(s.recv())
        world.server.kill()
    world.server.start()
    with client.resume("killed", u) as s:
        assert s.reply.ranges[0][0] == 0 and s.reply.ranges[0][1] >= 3
        client.finish(s, u)
    assert client.get("killed").plain == u.plain


def test_a_lost_receipt_can_be_had_again(alice: PrivateIdentity, client: Client) -> None:
    u = upload(alice)
    first = client.put("committed", u)
    with client.resume("committed", u) as s:
        assert u.receipt(s.reply, client.server_id).receipt == first.receipt


def test_the_window_is_kept_open(alice: PrivateIdentity, client: Client) -> None:
    """More parts than the window: ACKs move it."""
    u = Upload(alice, b"")
    with client.begin("window", u) as s:
        window = s.reply.window
    u = upload(alice, window + 40)
    client.put("window", u)
    assert client.get("window").manifest == u.manifest


# Receipts


def test_receipts_verify_offline(
    world: World, alice: PrivateIdentity, client: Client, tmp_path: Path
) -> None:
    program = world.program(alice)
    made = client.put("witnessed", upload(alice))
    path = tmp_path / "receipt"
    path.write_text(made.to_pem())
    words = ["receipt", "--verify", path, "--server", world.server.id, "--sender"]
    told = program.json(*words, alice.public.id.hex())
    assert told["valid"] and told["parts"] == 3
    program.fails(REFUSED, *words, world.server.id)

    again = program.ok("receipt", world.server.url("witnessed"), "-o", "-").out
    assert again == made.to_pem() == client.receipt("witnessed").to_pem()


# Lists


def test_lists_have_pages(world: World, alice: PrivateIdentity, client: Client) -> None:
    program = world.program(alice)
    long = "/".join(["x" * 200] * 15)
    names = {f"list/{i}/{long}" for i in range(25)}
    for name in names:
        client.put(name, Upload(alice, b""))
    client.put("listed/not", Upload(alice, b"other"))
    pages = list(client.pages("list/"))
    assert len(pages) > 1
    entries = [e for page in pages for e in page]
    assert len(entries) == len(names) and {e.name for e in entries} == names
    assert {(e.size, e.owner) for e in entries} == {(0, alice.public.id)}
    printed = program.ok("list", "--json", world.server.url("list/")).objects
    assert {o["name"] for o in printed} == names
    assert client.list("list/absent") == []


# The rest


def test_stat_and_delete(
    world: World, alice: PrivateIdentity, client: Client, tmp_path: Path
) -> None:
    u = upload(alice)
    client.put("short/lived", u)
    told = client.stat("short/lived")
    assert (told.size, told.header) == (len(u.plain), u.header.encode())
    assert told.manifest == u.manifest
    client.delete("short/lived")
    with pytest.raises(Failed):
        client.stat("short/lived")
    program = world.program(alice)
    url = world.server.url("short/lived")
    program.fails(ABSENT, "get", url, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_old_version_can_be_read_to_the_end(alice: PrivateIdentity, client: Client) -> None:
    one, two = upload(alice, 2), upload(alice, 3)
    client.put("versions", one)
    assert client.get("versions", file_id=one.header.file_id).plain == one.plain
    with client.open("versions") as s:
        client.put("versions", two)
        for i in range(2):
            s.send(pqp.FETCH, ranges=[(i, 1)])
            assert s.recv().sealed == one.parts[i]  # type: ignore[union-attr]
    with pytest.raises(Failed):
        client.get("versions", file_id=one.header.file_id)
    assert client.get("versions").plain == two.plain


# The program against pqp_server.py


@pytest.mark.parametrize("suite", SUITES)
@KNOWN
def test_the_program_as_a_client(tmp_path: Path, suite: int, known: bool) -> None:
    server, me = Server(PrivateIdentity.generate(suite)), PrivateIdentity.generate(suite)
    program = program_of(me, tmp_path / "me")
    program.ok("trust", "add", server.address, server.id.hex())
    url = f"pqc://{server.address}/x"
    try:
        for size in SIZES:
            data = text(size)
            (tmp_path / "in").write_bytes(data)
            source = [tmp_path / "in"] if known else ["-"]
            program.ok("send", "--part-size", "64K", *source, url, stdin=data)
            program.ok("get", url, "-o", tmp_path / "out", "--force")
            assert (tmp_path / "out").read_bytes() == data
            assert [o["size"] for o in program.ok("list", "--json", url).objects] == [size]
        program.ok("receipt", url, "-o", "-")
        program.ok("delete", url)
        until(lambda: not server.names, "the object to go")
        assert server.broken == []
    finally:
        program.end()
        server.end()
