"""A server that lies after the handshake, about what it has or what it was given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pqp
import pytest
from forge import flip, person
from harness import INTEGRITY, OK, REFUSED, TEMPORARY, Done
from liar import HASTE, PATIENCE, Victim, ended, harmless, lying, running, silence, store
from pqp import Frame
from pqp_client import Upload
from pqp_program import P, upload
from pqp_server import HANDLE, WINDOW, Peer, Server, Stored
from pqx import Manifest, seal_part
from primitives import sha512
from receipt import Receipt, ReceiptLog

ME = "server"
Lie = Callable[..., Any]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    yield made
    made.pqc.end()


def getting(victim: Victim, kind: type[Server], *words: str | Path) -> Done:
    with running(kind, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", upload(victim.me, 4))
        return victim.get(server, *words)


def sending(victim: Victim, kind: type[Server], *words: str) -> Done:
    with running(kind, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        return victim.send(server, *words)


# Get: what is said about the object


def other_object(p: Peer, count: int = 4) -> Upload:
    return upload(person("alice", 1), count)


def described(change: Callable[[dict[str, Any], Stored], dict[str, Any]]) -> type[Server]:
    """The reply changed."""

    def describe(self: Server, p: Peer, x: Stored) -> None:
        size = Manifest.decode(x.manifest).plain_size
        said = {"header": x.header.encode(), "manifest": x.manifest, "receipt": x.receipt}
        p.reply(**change(said | {"dek": x.dek, "size": size}, x))

    return lying(describe=describe)


def manifested(change: Callable[[Manifest], Manifest | bytes]) -> type[Server]:
    """Another manifest, signed by the sender."""

    def manifest(said: dict[str, Any], x: Stored) -> dict[str, Any]:
        m = change(Manifest.decode(x.manifest))
        made = m if isinstance(m, bytes) else m.signed(person("alice", 1)).encode()
        return said | {"manifest": made}

    return described(manifest)


def headed(**other: Any) -> type[Server]:
    """Another header, which fits the key."""

    def header(said: dict[str, Any], x: Stored) -> dict[str, Any]:
        return said | {"header": replace(x.header, **other).committed(x.dek).encode()}

    return described(header)


def them() -> Any:
    return person("another", 1)


BAD_DESCRIPTIONS = {
    "no header": described(lambda s, x: s | {"header": None}),
    "no dek": described(lambda s, x: s | {"dek": None}),
    "no manifest": described(lambda s, x: s | {"manifest": None}),
    "another dek": described(lambda s, x: s | {"dek": bytes(32)}),
    "a header without a sender": headed(sender_id=bytes(32)),
    "a header with another sender": headed(sender_id=b"\1" * 32),
    "a header with another file id": headed(file_id=bytes(32)),
    "a header with a bit flipped": described(lambda s, x: s | {"header": flip(s["header"], 20)}),
    "a header with another part size": headed(part_size=1 << 25),
    "a header that is none": described(lambda s, x: s | {"header": bytes(128)}),
    "a manifest of another object": described(
        lambda s, x: s | {"manifest": upload(them()).manifest}
    ),
    "a manifest with another root": manifested(lambda m: replace(m, root=bytes(32))),
    "a manifest with another n": manifested(lambda m: replace(m, n=3)),
    "a manifest with another size": manifested(lambda m: replace(m, plain_size=3 * P)),
    "a manifest without a signature": manifested(lambda m: replace(m, proof=b"").encode()),
    "a manifest with a bit flipped": manifested(lambda m: flip(m.encode(), -1)),
    "a manifest with something behind": manifested(lambda m: m.encode() + b"\0"),
    "a manifest with a mac": manifested(lambda m: replace(m, auth=0, proof=bytes(32)).encode()),
    "a manifest by another sender": manifested(
        lambda m: replace(m, sig_pk=them().public.sig_pk).signed(them()).encode()
    ),
    "a manifest signed by another": manifested(lambda m: m.signed(them()).encode()),
    "a manifest that is none": manifested(lambda m: sha512(b"noise")),
}


@pytest.mark.parametrize("what", BAD_DESCRIPTIONS)
def test_what_is_said_about_an_object(victim: Victim, what: str) -> None:
    ended(getting(victim, BAD_DESCRIPTIONS[what]), INTEGRITY)
    victim.got_nothing()


def test_an_object_of_another_sender(victim: Victim) -> None:
    """Good in everything, but not from whom it should be."""
    with running(Server, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", upload(them()))
        ended(victim.get(server, "--from", victim.me.public.id.hex()), REFUSED)
        victim.got_nothing()
        assert victim.get(server, "--from", them().public.id.hex()).code == OK


# Get: the parts


def parted(send: Callable[[Peer, Stored, int], Any]) -> type[Server]:
    """Another way to send a part."""
    return lying(send_part=lambda self, p, x, i: send(p, x, i))


def at(number: int, lie: Callable[[Peer, Stored], Any]) -> type[Server]:
    """One part of four is a lie."""

    def send(p: Peer, x: Stored, i: int) -> None:
        if i == number:
            lie(p, x)
        else:
            p.part(i, x.parts[i], i == len(x.parts) - 1)

    return parted(send)


def resealed(i: int, final: bool) -> Callable[[Peer, Stored], None]:
    """Sealed anew by somebody who has the key: it opens, but the sender did not sign it."""

    def lie(p: Peer, x: Stored) -> None:
        u = upload(person("alice", 1), 4)
        key = type(u.keys).derive(x.header, x.dek).part
        length = 100 if i == 3 else P
        p.part(i, seal_part(key, i, final, bytes(length)), final)

    return lie


def framed(**other: Any) -> Callable[[Peer, Stored], None]:
    """A frame header that is not so."""

    def lie(p: Peer, x: Stored) -> None:
        f = replace(Frame(0, 1, p.frames_sent, len(x.parts[1])), **other)
        p.ws.send(f.encode() + x.parts[1])
        p.frames_sent += 1

    return lie


def more_than_asked(p: Peer, x: Stored, i: int) -> None:
    for _ in range(1000):
        p.part(i, x.parts[i], i == len(x.parts) - 1)


BAD_PARTS = {
    "the first flipped": at(0, lambda p, x: p.part(0, flip(x.parts[0], 70), False)),
    "its salt flipped": at(0, lambda p, x: p.part(0, flip(x.parts[0], 0), False)),
    "its commitment flipped": at(0, lambda p, x: p.part(0, flip(x.parts[0], 30), False)),
    "the last flipped": at(3, lambda p, x: p.part(3, flip(x.parts[3], -1), True)),
    "the last cut": at(3, lambda p, x: p.part(3, x.parts[3][:-1], True)),
    "two exchanged": parted(lambda p, x, i: p.part(i, x.parts[[1, 0, 2, 3][i]], i == 3)),
    "one twice": at(2, lambda p, x: p.part(2, x.parts[1], False)),
    "of another object": at(1, lambda p, x: p.part(1, other_object(p).parts[1], False)),
    "sealed anew": at(1, resealed(1, False)),
    "the last sealed anew": at(3, resealed(3, True)),
    "zeros": at(1, lambda p, x: p.part(1, bytes(65536), False)),
    "empty": at(1, lambda p, x: p.part(1, b"", False)),
    "too short": at(1, lambda p, x: p.part(1, x.parts[1][:-1], False)),
    "too long": at(1, lambda p, x: p.part(1, x.parts[1] + b"x", False)),
    "much too long": at(1, lambda p, x: p.part(1, bytes(1 << 25), False)),
    "final before the end": at(1, lambda p, x: p.part(1, x.parts[1], True)),
    "not final at the end": at(3, lambda p, x: p.part(3, x.parts[3], False)),
    "not asked for": at(1, lambda p, x: p.part(2**40, x.parts[1], False)),
    "in another order": parted(lambda p, x, i: p.part(3 - i, x.parts[3 - i], i == 0)),
    "another sequence": at(1, framed(sequence=0)),
    "another length": at(1, framed(length=65535)),
    "much more than asked for": parted(more_than_asked),
    "text": at(1, lambda p, x: p.ws.send("part")),
    "an unknown kind": at(1, lambda p, x: p.ws.send(b"\x30" + bytes(65567))),
    "half a frame header": at(1, lambda p, x: p.ws.send(pqp.DATA + bytes(15))),
    "a control message instead": at(1, lambda p, x: p.send(pqp.ACK, ranges=[], durable=0)),
    "noise instead": at(1, lambda p, x: p.ws.send(pqp.CONTROL + bytes(100))),
}


@pytest.mark.parametrize("what", BAD_PARTS)
def test_a_part(victim: Victim, what: str) -> None:
    ended(getting(victim, BAD_PARTS[what]), INTEGRITY)
    victim.got_nothing()


def test_parts_to_a_pipe(victim: Victim) -> None:
    """Nothing behind the bad part comes out, and the exit code says that it is not all."""
    victim.out = Path("-")
    done = getting(victim, at(2, lambda p, x: p.part(2, flip(x.parts[2], 70), False)))
    assert done.code == INTEGRITY
    assert len(done.stdout) in (0, P, 2 * P)
    assert upload(victim.me, 4).plain[: 2 * P].startswith(done.stdout)


def endless_controls(self: Server, p: Peer, x: Stored) -> None:
    """Messages that open, and mean nothing here."""
    Server.describe(self, p, x)
    while True:
        p.send(pqp.ACK, ranges=[], durable=0)


def endless_pings(self: Server, p: Peer, *_: Any) -> None:
    while True:
        p.ws.ping(os.urandom(100))
        time.sleep(0.002)


def vanishing(self: Server, p: Peer, *_: Any) -> None:
    p.ws.close()


def silent(self: Server, p: Peer, *_: Any) -> None:
    silence(p)


def error_ends_it(self: Server, p: Peer, *_: Any) -> None:
    p.send(pqp.ERROR, code=pqp.REFUSED, text="no more\x1b[2J")
    silence(p)


GIVING_UP = {
    "silence": (silent, TEMPORARY),
    "pings": (endless_pings, TEMPORARY),
    "closing": (vanishing, TEMPORARY),
    "an error": (error_ends_it, REFUSED),
}


@pytest.mark.parametrize("what", GIVING_UP)
def test_fetch_is_answered_by(victim: Victim, what: str) -> None:
    lie, code = GIVING_UP[what]
    ended(getting(victim, lying(fetch=lie), *HASTE), code)
    victim.got_nothing()


def test_a_flood_of_control_messages(victim: Victim) -> None:
    ended(getting(victim, lying(describe=endless_controls)), INTEGRITY)
    victim.got_nothing()


# Put: what the server says it has


def accepting(**other: Any) -> type[Server]:
    """Another reply to a put."""

    def accept(self: Server, p: Peer, x: Stored) -> None:
        said = {"handle": HANDLE, "window": WINDOW, "ranges": [], "dek": x.dek}
        p.reply(**(said | other))

    return lying(accept=accept)


BAD_ACCEPTS = {
    "no handle": {"handle": None},
    "no window": {"window": None},
    "no ranges": {"ranges": None},
    "window 0": {"window": 0},
    "window 4097": {"window": 4097},
    "parts that were never sent": {"ranges": [(0, 2)]},
    "all parts": {"ranges": [(0, 4)]},
    "parts that do not exist": {"ranges": [(4, 1)]},
    "parts without end": {"ranges": [(0, 2**64 - 1)]},
    "ranges out of order": {"ranges": [(2, 1), (0, 1)]},
    "ranges that overflow": {"ranges": [(2**64 - 1, 2)]},
}


@pytest.mark.parametrize("what", BAD_ACCEPTS)
def test_what_a_put_is_answered(victim: Victim, what: str) -> None:
    ended(sending(victim, accepting(**BAD_ACCEPTS[what])), INTEGRITY)
    victim.got_nothing()


def acking(lie: Callable[[Peer, int], Any]) -> type[Server]:
    return lying(ack=lambda self, p, x, i: lie(p, i))


def growing_then_less(p: Peer, i: int) -> None:
    p.send(pqp.ACK, ranges=[(i, 1)], durable=i + 1)
    p.send(pqp.ACK, ranges=[], durable=0)


BAD_ACKS = {
    "parts never sent": acking(lambda p, i: p.send(pqp.ACK, ranges=[(100, 1)], durable=0)),
    "parts without end": acking(lambda p, i: p.send(pqp.ACK, ranges=[(0, 2**63)], durable=0)),
    "durable above": acking(lambda p, i: p.send(pqp.ACK, ranges=[(i, 1)], durable=2**32)),
    "durable one above": acking(lambda p, i: p.send(pqp.ACK, ranges=[(i, 1)], durable=5)),
    "durable shrinking": acking(growing_then_less),
    "a receipt instead": acking(lambda p, i: p.send(pqp.RECEIPT, manifest=b"m", receipt=b"r")),
    "entries instead": acking(lambda p, i: p.send(pqp.ENTRIES, entries=[])),
    "a part instead": acking(lambda p, i: p.part(0, bytes(65536), False)),
    "text instead": acking(lambda p, i: p.ws.send("ack")),
    "noise instead": acking(lambda p, i: p.ws.send(pqp.CONTROL + sha512(b"noise"))),
    "the same message again": acking(
        lambda p, i: [p.ws.send(pqp.CONTROL + p.keys.s_ctl.seal(1, b"", b"")) for _ in "12"]
    ),
}


@pytest.mark.parametrize("what", BAD_ACKS)
def test_ack(victim: Victim, what: str) -> None:
    ended(sending(victim, BAD_ACKS[what]), INTEGRITY)
    victim.got_nothing()


def receipted(make: Callable[[Server, Peer, Stored, bytes], tuple[bytes, bytes]]) -> type[Server]:
    """Another answer to COMMIT: (manifest, receipt)."""

    def commit(self: Server, p: Peer, x: Stored, manifest: bytes) -> None:
        said, receipt = make(self, p, x, manifest)
        p.send(pqp.RECEIPT, manifest=said, receipt=receipt)
        silence(p)

    return lying(commit=commit)


def issued(**other: Any) -> Callable[[Server, Peer, Stored, bytes], tuple[bytes, bytes]]:
    """A receipt with other contents, signed by the server."""

    def make(self: Server, p: Peer, x: Stored, manifest: bytes) -> tuple[bytes, bytes]:
        r = Receipt.decode(Server.receipt(self, p, x, manifest))
        r = replace(r, **other)
        return manifest, replace(r, signature=self.me.sign(r.body(), b"pqx1 receipt")).encode()

    return make


def by_another(self: Server, p: Peer, x: Stored, manifest: bytes) -> tuple[bytes, bytes]:
    receipt = ReceiptLog(them()).issue(x.header, manifest, p.client_id, 1_800_000_000)
    return manifest, receipt.encode()


def later(manifest: bytes) -> bytes:
    m = Manifest.decode(manifest)
    return replace(m, time=m.time + 1).encode()


BAD_RECEIPTS = {
    "by another server": receipted(by_another),
    "for another manifest": receipted(issued(manifest_hash=bytes(64))),
    "for another header": receipted(issued(hc=bytes(64))),
    "for another client": receipted(issued(client_id=bytes(32))),
    "in another's name": receipted(issued(server_id=bytes(32))),
    "with a bit flipped": receipted(
        lambda self, p, x, m: (m, flip(Server.receipt(self, p, x, m), -1))
    ),
    "cut": receipted(lambda self, p, x, m: (m, Server.receipt(self, p, x, m)[:-1])),
    "with something behind": receipted(
        lambda self, p, x, m: (m, Server.receipt(self, p, x, m) + b"\0")
    ),
    "that is none": receipted(lambda self, p, x, m: (m, sha512(b"noise"))),
    "with another manifest": receipted(
        lambda self, p, x, m: (later(m), Server.receipt(self, p, x, later(m)))
    ),
}


@pytest.mark.parametrize("what", BAD_RECEIPTS)
def test_a_receipt(victim: Victim, what: str) -> None:
    ended(sending(victim, BAD_RECEIPTS[what]), INTEGRITY)
    victim.got_nothing()


def test_a_receipt_at_once(victim: Victim) -> None:
    """As if this had been put before: but by whom, and what?"""

    def put(self: Server, p: Peer) -> None:
        u = upload(person("alice", 1), 4)
        receipt = self.log.issue(u.header, u.manifest, p.client_id, 1_800_000_000)
        p.reply(manifest=u.manifest, receipt=receipt.encode())
        silence(p)

    ended(sending(victim, lying(put=put)), INTEGRITY)
    victim.got_nothing()


@pytest.mark.parametrize("where", ["part", "commit"])
@pytest.mark.parametrize("what", GIVING_UP)
def test_a_put_is_left_alone(victim: Victim, what: str, where: str) -> None:
    lie, code = GIVING_UP[what]
    ended(sending(victim, lying(**{where: lie}), *HASTE), code)
    victim.got_nothing()


def test_the_handle_of_the_reply_is_used(victim: Victim) -> None:
    handles: list[int] = []

    def part(self: Server, p: Peer, x: Stored, f: Frame, sealed: bytes) -> None:
        handles.append(f.handle)
        Server.part(self, p, x, replace(f, handle=HANDLE), sealed)

    def accept(self: Server, p: Peer, x: Stored) -> None:
        p.reply(handle=0xC0FFEE, window=WINDOW, ranges=[], dek=x.dek)

    assert sending(victim, lying(part=part, accept=accept)).code == OK
    assert set(handles) == {0xC0FFEE}


# Lists


def listed(*names: str | bytes) -> type[Server]:
    def entries(self: Server, p: Peer) -> None:
        made = [pqp.Entry(1, 1, bytes(32), n) for n in names]  # type: ignore[arg-type]
        p.reply(entries=made)
        silence(p)

    return lying(list=entries)


def raw_list(data: bytes) -> type[Server]:
    def entries(self: Server, p: Peer) -> None:
        p.reply(entries=data)
        silence(p)

    return lying(list=entries)


def endless_pages(self: Server, p: Peer) -> None:
    p.reply(entries=[], cursor=b"more")
    while True:
        p.recv()
        p.send(pqp.ENTRIES, entries=[], cursor=b"more")


BAD_LISTS = {
    "a name that leads out": listed("../../out"),
    "an absolute name": listed("/etc/out"),
    "a name that steers": listed("x\x1b[2J"),
    "an empty name": listed(""),
    "half an entry": raw_list(bytes(47)),
    "an entry longer than all": raw_list(bytes(48) + b"\xff\xff\xff\xff"),
    "a name that is not UTF-8": raw_list(bytes(48) + b"\0\0\0\1\xff"),
}


@pytest.mark.parametrize("what", BAD_LISTS)
def test_a_list(victim: Victim, what: str) -> None:
    with running(BAD_LISTS[what], person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        ended(victim.list(server), INTEGRITY)


def test_a_list_without_end(victim: Victim) -> None:
    """Empty pages are no progress."""
    with running(lying(list=endless_pages), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        ended(victim.list(server, *HASTE), INTEGRITY, TEMPORARY)


@pytest.mark.parametrize(
    "name",
    ["../out", "below/../../out", "/out", "out", "below", "below/.", "below//x", "below/a\\b"],
)
def test_a_directory_is_not_left(victim: Victim, name: str) -> None:
    """`get` of everything below a name: whatever the server says there is."""
    with running(listed(name), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, name, upload(victim.me, 1))
        url = f"pqc://{server.address}/below/"
        inside = victim.files / "inside"
        done = victim.run("get", url, "-o", inside, *PATIENCE)
        harmless(done)
        assert done.code != OK
        outside = [p for p in victim.files.rglob("*") if inside not in p.parents and p != inside]
        assert outside == []
        assert not inside.exists() or list(inside.iterdir()) == []
