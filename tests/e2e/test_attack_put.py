"""Uploads attacked over the wire: parts, COMMIT, manifests, superseding connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pqp
import pytest
from attack import Field, acknowledged, drain, fields, refused, silent, with_file_id
from forge import flip
from pqp_client import Closed, Failed, Session, Upload
from pqp_program import P, upload
from pqx import Manifest, seal_part

pytestmark = pytest.mark.asan

Attack = Callable[[Session, Upload], None]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    yield from fields(tmp_path_factory.mktemp("field"))


def attacked(field: Field, attack: Attack, *codes: int, known: bool = True) -> tuple[str, Upload]:
    """An upload of three parts; the attack must end it with one of the codes."""
    u, name = upload(field.alice, size_known=known), field.name()
    with field.client(field.alice).begin(name, u) as s, refused(*codes):
        attack(s, u)
        drain(s)
    return name, u


# Data frames


def raw(change: Callable[[bytes], bytes]) -> Attack:
    """A frame header changed, under a tag that fits."""

    def attack(s: Session, u: Upload) -> None:
        header = change(s.frame(0, u.parts[0], False).encode())
        tag = s.keys.c_frame.seal(0, b"", header + pqp.leaf(1, 0, u.parts[0]))
        s.wire.send(header + u.parts[0] + tag)

    return attack


def wire(change: Callable[[bytes], bytes]) -> Attack:
    """A good message changed on its way."""

    def attack(s: Session, u: Upload) -> None:
        f = s.frame(0, u.parts[0], False)
        s.wire.send(change(f.encode() + u.parts[0] + s.tag(f, u.parts[0])))

    return attack


def as_part(i: int, j: int, final: bool) -> Attack:
    """Part j sent as part i."""
    return lambda s, u: s.part(i, u.parts[j], final)


def in_turn(*attacks: Attack) -> Attack:
    def attack(s: Session, u: Upload) -> None:
        for each in attacks:
            each(s, u)

    return attack


def header(**other: int) -> Attack:
    return lambda s, u: u.send_part(s, 0, **other)


def sequence_again(s: Session, u: Upload) -> None:
    u.send_part(s, 0)
    u.send_part(s, 1, sequence=0)


def replayed(s: Session, u: Upload) -> None:
    f = s.frame(0, u.parts[0], False)
    for _ in range(2):
        s.wire.send(f.encode() + u.parts[0] + s.tag(f, u.parts[0]))


def tag_of_another_leaf(s: Session, u: Upload) -> None:
    f = s.frame(0, u.parts[0], False)
    s.wire.send(f.encode() + u.parts[0] + s.tag(f, u.parts[1]))


BAD_FRAMES: dict[str, Attack] = {
    "the tag flipped": wire(lambda d: flip(d, -1)),
    "the part flipped": wire(lambda d: flip(d, 1000)),
    "the number of the part flipped": wire(lambda d: flip(d, 15)),
    "the tag of another part": tag_of_another_leaf,
    "no tag": wire(lambda d: d[:-16]),
    "a byte more": wire(lambda d: d + b"\0"),
    "a byte less": wire(lambda d: d[:-1]),
    "sequence 1": header(sequence=1),
    "sequence 2^64-1": header(sequence=2**64 - 1),
    "a sequence again": sequence_again,
    "replayed": replayed,
    "another handle": header(handle=1),
    "handle 2^32-1": header(handle=2**32 - 1),
    "above the file": header(part=3),
    "part 2^32": header(part=2**32),
    "part 2^64-1": header(part=2**64 - 1),
    "a length that is not so": header(length=65535),
    "length 0": header(length=0),
    "length 2^32-1": header(length=2**32 - 1),
    "an unknown flag": raw(lambda h: h[:1] + b"\2" + h[2:]),
    "reserved bytes in front": raw(lambda h: flip(h, 2)),
    "reserved bytes behind": raw(lambda h: flip(h, 31)),
    "a part too short": lambda s, u: s.part(0, u.parts[0][:-1], False),
    "a part too long": lambda s, u: s.part(0, u.parts[0] + b"x", False),
    "final before the end": as_part(0, 0, True),
    "final and short before the end": as_part(0, 2, True),
    "not final at the end": as_part(2, 2, False),
    "full at the end": as_part(2, 0, True),
    "empty at the end": lambda s, u: s.part(2, b"", True),
    "a length that no part has": lambda s, u: s.part(2, bytes(71), True),
    "another length than the size says": lambda s, u: s.part(2, u.parts[2] + b"x", True),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_a_frame_that_breaks_the_protocol(field: Field, what: str) -> None:
    field.whole_after_all(*attacked(field, BAD_FRAMES[what], pqp.PROTOCOL))


@pytest.mark.parametrize("length", [1, 31, 32, 47])
def test_a_frame_that_is_too_short_for_one(field: Field, length: int) -> None:
    u, name = upload(field.alice), field.name()
    with field.client(field.alice).begin(name, u) as s:
        s.wire.send(s.frame(0, b"", False).encode().ljust(48, b"\0")[:length])
        with pytest.raises((Closed, Failed)):
            drain(s)
    field.whole_after_all(name, u)


BAD_STREAMS: dict[str, Attack] = {
    "above the window": lambda s, u: s.part(s.reply.window, u.parts[0], False),
    "part 2^32": lambda s, u: s.part(2**32, u.parts[0], False),
    "an empty part behind another": lambda s, u: s.part(
        1, seal_part(u.keys.part, 1, True, b""), True
    ),
    "a final part that is no length": lambda s, u: s.part(1, bytes(56 + 16400 + 15), True),
    "two final parts": in_turn(as_part(2, 2, True), as_part(1, 2, True)),
    "a part behind the final one": in_turn(as_part(1, 1, True), as_part(2, 0, False)),
    "a final part before one that is there": in_turn(as_part(1, 1, False), as_part(0, 0, True)),
}


@pytest.mark.parametrize("what", BAD_STREAMS)
def test_a_stream_that_breaks_the_protocol(field: Field, what: str) -> None:
    name, u = attacked(field, BAD_STREAMS[what], pqp.PROTOCOL, known=False)
    field.whole_after_all(name, u)


def test_a_part_is_written_once(field: Field) -> None:
    """Other bytes for a part that is held, sealed by its owner: refused, also later."""

    def other(s: Session, u: Upload) -> None:
        s.part(0, seal_part(u.keys.part, 0, False, u.plain[:P]), False)

    def at_once(s: Session, u: Upload) -> None:
        u.send_part(s, 0)
        other(s, u)

    def later(s: Session, u: Upload) -> None:
        u.send_part(s, 0)
        acknowledged(s, 1)
        other(s, u)

    for attack in (at_once, later):
        name, u = attacked(field, attack, pqp.PROTOCOL)
        with field.client(field.alice).resume(name, u) as s, refused(pqp.PROTOCOL):
            other(s, u)
            drain(s)
        field.whole_after_all(name, u)


def test_the_same_part_again_is_fine(field: Field) -> None:
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    with client.begin(name, u) as s:
        for i in (0, 0, 1, 0, 2, 2, 1):
            u.send_part(s, i)
        client.commit(s, u)
    assert client.get(name).plain == u.plain


def test_a_part_before_m4_harms_nothing(field: Field) -> None:
    """Whether it is read before M3 was understood or after, no other byte than sent is stored."""
    u, name = upload(field.alice), field.name()
    request = pqp.encode_message(pqp.REQUEST, op=pqp.PUT, name=name, **u.fields())
    session = field.client(field.alice).ask_bytes(request)
    session.reply = pqp.Message(pqp.REPLY, {"handle": 0})
    with session as s, pytest.raises((Closed, Failed)):
        u.send_part(s, 0)
        s.read_reply()
        s.send(pqp.MORE, cursor=b"end")
        drain(s)
    with field.client(field.alice).begin(field.name(), upload(field.alice)) as s:
        assert s.reply.window > 0


# COMMIT


def test_commit_before_all_parts(field: Field) -> None:
    for sent in ([], [0], [0, 2], [1, 2]):

        def commit(s: Session, u: Upload, sent: list[int] = sent) -> None:
            for i in sent:
                u.send_part(s, i)
            s.send(pqp.COMMIT, manifest=u.manifest)

        field.whole_after_all(*attacked(field, commit, pqp.PROTOCOL))


def all_parts(s: Session, u: Upload) -> None:
    for i in range(len(u.parts)):
        u.send_part(s, i)


def commit_twice(s: Session, u: Upload) -> None:
    all_parts(s, u)
    s.send(pqp.COMMIT, manifest=u.manifest)
    s.send(pqp.COMMIT, manifest=u.manifest)


def part_after_commit(s: Session, u: Upload) -> None:
    all_parts(s, u)
    s.send(pqp.COMMIT, manifest=u.manifest)
    u.send_part(s, 0)


@pytest.mark.parametrize("attack", [commit_twice, part_after_commit])
def test_after_commit_nothing_is_expected(field: Field, attack: Attack) -> None:
    """The object is there or can be finished, whichever came first: error or receipt."""
    u, name = upload(field.alice), field.name()
    with field.client(field.alice).begin(name, u) as s, pytest.raises((Closed, Failed)):
        attack(s, u)
        drain(s)
    field.whole_after_all(name, u)


def test_a_commit_can_be_repeated(field: Field) -> None:
    """On a new connection, which gets the receipt at once; on the same one nothing is said."""
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    with client.begin(name, u) as s:
        receipt = client.finish(s, u).receipt
        with pytest.raises((Closed, Failed)):
            s.send(pqp.COMMIT, manifest=u.manifest)
            drain(s)
    with client.resume(name, u) as s:
        assert u.receipt(s.reply, field.id).receipt == receipt


Change = Callable[[Manifest, Upload, Field], Manifest | bytes]
BAD_MANIFESTS: dict[str, Change] = {
    "another root": lambda m, u, f: replace(m, root=bytes(32)),
    "another n": lambda m, u, f: replace(m, n=2),
    "one part less": lambda m, u, f: replace(m, n=2, plain_size=2 * P),
    "n = 0": lambda m, u, f: replace(m, n=0),
    "n = 2^64-1": lambda m, u, f: replace(m, n=2**64 - 1),
    "another size": lambda m, u, f: replace(m, plain_size=m.plain_size - 1),
    "another header": lambda m, u, f: replace(m, hc=bytes(64)),
    "another suite": lambda m, u, f: replace(m, suite=2, root=bytes(48)),
    "another sender": lambda m, u, f: replace(m, sig_pk=f.mallory.public.sig_pk),
    "signed by another": lambda m, u, f: m.signed(f.mallory).encode(),
    "another sender, signed so": lambda m, u, f: replace(m, sig_pk=f.mallory.public.sig_pk)
    .signed(f.mallory)
    .encode(),
    "a mac": lambda m, u, f: replace(m, auth=0).authenticated(u.keys).encode(),
    "the signature flipped": lambda m, u, f: flip(u.manifest, -1),
    "its Ed25519 part missing": lambda m, u, f: replace(m, proof=m.proof[:3309]).encode(),
    "signed for another purpose": lambda m, u, f: replace(
        m, proof=f.alice.sign(m.body(), b"pqx1 client auth")
    ).encode(),
    "cut": lambda m, u, f: u.manifest[:-1],
    "something behind": lambda m, u, f: u.manifest + b"\0",
    "one byte": lambda m, u, f: b"p",
    "8192 bytes": lambda m, u, f: bytes(8192),
}


@pytest.mark.parametrize("what", BAD_MANIFESTS)
def test_a_manifest_that_does_not_fit(field: Field, what: str) -> None:
    def attack(s: Session, u: Upload) -> None:
        all_parts(s, u)
        m = BAD_MANIFESTS[what](Manifest.decode(u.manifest), u, field)
        s.send(pqp.COMMIT, manifest=m if isinstance(m, bytes) else m.signed(field.alice).encode())

    field.whole_after_all(*attacked(field, attack, pqp.INTEGRITY, pqp.PROTOCOL))


def test_the_name_appears_with_the_receipt(field: Field) -> None:
    """Not before; and the old object is there until then."""
    client, name = field.client(field.alice), field.name()
    old, new = upload(field.alice, 2), upload(field.alice, 3)
    for u, before in ((old, None), (new, old)):
        with client.begin(name, u) as s:
            for i in range(len(u.parts)):
                u.send_part(s, i)
            acknowledged(s, len(u.parts))
            if before is None:
                with refused(pqp.REFUSED):
                    client.get(name)
            else:
                assert client.get(name).plain == before.plain
            client.commit(s, u)
        assert client.get(name).plain == u.plain


# Connections that supersede each other


def test_a_newer_connection_supersedes(field: Field) -> None:
    """The older gets ERROR temporary; nothing that was acknowledged is lost."""
    client, u, name = field.client(field.alice), upload(field.alice, 40), field.name()
    sessions = [client.begin(name, u)]
    known: set[int] = set()
    for first in range(0, 40, 10):
        s = sessions[-1]
        for i in range(first, first + 10):
            u.send_part(s, i)
        known |= acknowledged(s, len(known) + 5).parts
        sessions.append(client.resume(name, u))
        held = {i for a, n in sessions[-1].reply.ranges for i in range(a, a + n)}
        assert known <= held <= set(range(first + 10))
        known = held
        with refused(pqp.TEMPORARY):
            while True:
                late = s.recv_type(pqp.ACK).ranges
                known |= {i for a, n in late for i in range(a, a + n)}
        assert known == held
        silent(lambda s=s: s.recv())
    client.finish(sessions[-1], u)
    for s in sessions:
        s.wire.close()
    assert client.get(name).plain == u.plain


def test_nobody_else_supersedes(field: Field) -> None:
    """Who knows the file id of an upload and is not its owner does not so much as disturb it."""
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    theirs = with_file_id(field.mallory, u.header.file_id)
    with client.begin(name, u) as s:
        u.send_part(s, 0)
        held = acknowledged(s, 1)
        for ask in (field.client(field.mallory).resume, field.client(field.mallory).begin):
            for at in (name, field.name()):
                with pytest.raises((Failed, Closed)):
                    ask(at, theirs)
        for i in range(1, len(u.parts)):
            u.send_part(s, i)
        client.commit(s, u, held)
    assert client.get(name).plain == u.plain
