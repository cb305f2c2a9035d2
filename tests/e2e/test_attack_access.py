"""Requests that must be refused: rights, names, headers, keys, FETCH; and what that gives away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pqp
import pytest
from attack import Field, answer, drain, fields, refused, silent, with_file_id
from forge import PHRASE, RAW, flip
from pqp_client import Client, Closed, Failed, Part, Session, Upload
from pqp_program import upload
from pqx import KeyBlock, Keys
from primitives import hmac32, sha512
from stanza import END_TO_END, Stanza

pytestmark = pytest.mark.asan


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    yield from fields(tmp_path_factory.mktemp("field"))


# "No such object" and "not allowed" are one answer

OPS: dict[str, Callable[[Client, str], Any]] = {
    "get": lambda c, name: c.get(name),
    "stat": lambda c, name: c.stat(name),
    "receipt": lambda c, name: c.receipt(name),
    "delete": lambda c, name: c.delete(name),
}


@pytest.mark.parametrize("op", OPS)
def test_absent_and_forbidden_are_one_answer(field: Field, op: str) -> None:
    ask, name = OPS[op], field.name()
    field.client(field.alice).put(name, upload(field.alice))
    absent = answer(lambda: ask(field.client(field.alice), name + "/absent"))
    assert absent[0] == pqp.REFUSED
    for who in (field.reader, field.nobody):
        for at in (name, name + "/absent", "shared/absent"):
            assert answer(lambda at=at, who=who: ask(field.client(who), at)) == absent
    mine = field.client(field.mallory)  # may do everything, but it is not hers
    if op in ("receipt", "delete"):
        assert answer(lambda: ask(mine, name)) == absent
    assert answer(lambda: ask(mine, name + "/absent")) == absent
    assert field.client(field.alice).get(name)


def test_what_is_allowed_is_possible(field: Field) -> None:
    u = upload(field.alice)
    field.client(field.alice).put("shared/x", u)
    client = field.client(field.reader)
    assert client.get("shared/x").plain == u.plain
    assert client.stat("shared/x").manifest == u.manifest
    assert [e.name for e in client.list("")] == ["shared/x"]
    for op in ("receipt", "delete"):
        with refused(pqp.REFUSED):
            OPS[op](client, "shared/x")


def test_a_list_shows_what_may_be_seen(field: Field) -> None:
    field.client(field.alice).put(name := field.name(), upload(field.alice, 1))
    assert name in {e.name for e in field.client(field.mallory).list("")}
    assert field.client(field.reader).list("attacked/") == []
    for prefix in ("", "attacked/", "absent/"):
        try:
            assert field.client(field.nobody).list(prefix) == []
        except Failed as e:
            assert e.code == pqp.REFUSED


def test_another_file_id_than_there_is(field: Field) -> None:
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    client.put(name, u)
    absent = answer(lambda: client.get(name + "/absent", file_id=bytes(32)))
    for file_id in (bytes(32), flip(u.header.file_id, 31)):
        assert answer(lambda i=file_id: client.get(name, file_id=i)) == absent


# Somebody else's names and uploads


def test_a_name_of_another_owner(field: Field) -> None:
    u, name = upload(field.alice), field.name()
    field.client(field.alice).put(name, u)
    theirs, other = upload(field.mallory), upload(field.reader)
    taken = answer(lambda: field.client(field.mallory).put(name, theirs))
    assert taken == answer(lambda: field.client(field.reader).put(name, other))
    assert taken[0] == pqp.REFUSED
    assert field.client(field.alice).get(name).plain == u.plain


def test_a_name_that_another_takes_meanwhile(field: Field) -> None:
    """Whose COMMIT is first has it; the other is refused at its end."""
    name = field.name()
    mine, theirs = upload(field.alice), upload(field.mallory)
    mallory = field.client(field.mallory)
    with mallory.begin(name, theirs) as s:
        field.client(field.alice).put(name, mine)
        with refused(pqp.REFUSED):
            mallory.finish(s, theirs)
    assert field.client(field.alice).get(name).plain == mine.plain


def test_resuming_what_is_another_s(field: Field) -> None:
    """The same answer as for what is not there, under way or done."""
    alice, mallory = field.client(field.alice), field.client(field.mallory)
    absent = answer(lambda: mallory.resume(field.name(), upload(field.mallory)))
    assert absent[0] == pqp.REFUSED
    u, name = upload(field.alice), field.name()
    with alice.begin(name, u) as s:
        u.send_part(s, 0)
        s.recv()
    theirs = with_file_id(field.mallory, u.header.file_id)
    for at in (name, field.name()):
        assert answer(lambda at=at: mallory.resume(at, theirs)) == absent
    field.whole_after_all(name, u)
    for at in (name, field.name()):
        assert answer(lambda at=at: mallory.resume(at, theirs)) == absent
    assert alice.get(name).plain == u.plain


def test_resuming_with_another_header(field: Field) -> None:
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    with client.begin(name, u) as s:
        u.send_part(s, 0)
        s.recv()
    other = with_file_id(field.alice, u.header.file_id)
    with refused(pqp.REFUSED):
        client.resume(name, other)
    field.whole_after_all(name, u)


def test_a_file_id_is_used_once(field: Field) -> None:
    client, u, name = field.client(field.alice), upload(field.alice), field.name()
    client.put(name, u)
    for owner in (field.alice, field.mallory):
        other = with_file_id(owner, u.header.file_id)
        with refused(pqp.EXISTS, pqp.REFUSED):
            field.client(owner).put(field.name(), other)
    assert client.get(name).plain == u.plain


# Names

BAD_NAMES = {
    "empty": "",
    "absolute": "/etc/passwd",
    "ends with /": "a/",
    "an empty component": "a//b",
    "only /": "/",
    ".": ".",
    "..": "..",
    ". inside": "a/./b",
    ".. inside": "a/../b",
    ".. at the end": "a/..",
    "C0": "a\x1fb",
    "a line end": "a\nb",
    "an escape": "a\x1b[2J",
    "DEL": "a\x7fb",
    "C1": "a\x85b",
    "last of C1": "a\x9fb",
    "a backslash": "a\\b",
    "U+200B": "a\u200bb",
    "U+200F": "a\u200fb",
    "U+202A": "a\u202ab",
    "U+202E": "a\u202eb",
    "U+2060": "a\u2060b",
    "U+2069": "a\u2069b",
    "U+FEFF": "\ufeffa",
    "U+061C": "a\u061cb",
    "a drive": "C:",
    "a path on a drive": "c:/a",
    "relative to a drive": "z:a",
    "a component of 256 bytes": "x" * 256,
    "a component of 256 bytes in 128 characters": "é" * 128,
}
UNSPEAKABLE = {
    "NUL": b"a\0b",
    "a lone continuation byte": b"a\x80",
    "overlong": b"a\xc0\xafb",
    "a surrogate": b"a\xed\xa0\x80",
    "above U+10FFFF": b"a\xf4\x90\x80\x80",
    "cut": b"a\xe2\x80",
    "4097 bytes": b"x" * 4097,
}


@pytest.mark.parametrize("what", BAD_NAMES)
def test_a_name_that_breaks_the_rules(field: Field, what: str) -> None:
    client, name = field.client(field.alice), BAD_NAMES[what]
    with refused(pqp.NAME):
        client.begin(name, upload(field.alice, 1))
    for ask in OPS.values():
        with refused(pqp.NAME):
            ask(client, name)


@pytest.mark.parametrize("what", UNSPEAKABLE)
def test_a_name_that_is_none(field: Field, what: str) -> None:
    client = field.client(field.alice)
    silent(lambda: client.ask(pqp.STAT, name=UNSPEAKABLE[what]))
    silent(lambda: client.ask(pqp.LIST, name=UNSPEAKABLE[what]))


def test_names_at_the_edge_are_good(field: Field) -> None:
    client = field.client(field.alice)
    names = ["x" * 255, "é" * 127, "/".join(["x" * 255] * 16), "...", ".a", "a..b", "CC:"]
    for name in names:
        client.put(name, u := upload(field.alice, 1))
        assert client.get(name).plain == u.plain
        client.delete(name)


# Header, DEK and key block of a put


def headed(**changes: Any) -> Callable[[Field], Upload]:
    """An upload with another header, that commit and all keys fit."""

    def make(field: Field) -> Upload:
        u = upload(field.alice)
        values = {k: v(field) if callable(v) else v for k, v in changes.items()}
        u.header = replace(u.header, **values).committed(u.keys.dek)
        u.keys = Keys.derive(u.header, u.keys.dek)
        u.key_block = KeyBlock(1, [RAW.stanza(u.keys.dek, u.keys.hc)]).encode(u.keys)
        return u

    return make


BAD_HEADERS: dict[str, tuple[Callable[[Field], Upload], tuple[int, ...]]] = {
    "magic": (headed(magic=b"\x89PQX\r\n\x1a\r"), ()),
    "version": (headed(version=2), ()),
    "an unknown suite": (headed(suite=3), ()),
    "another suite": (headed(suite=2), ()),
    "an unknown flag": (headed(flags=2), ()),
    "end to end": (headed(flags=END_TO_END), ()),
    "an odd part size": (headed(part_size=65537), ()),
    "too small a part size": (headed(part_size=32768), ()),
    "too large a part size": (headed(part_size=1 << 26), ()),
    "a part size above the server's maximum": (headed(part_size=1 << 23), (pqp.QUOTA,)),
    "a size above the server's maximum": (headed(plain_size=1 << 41), (pqp.QUOTA,)),
    "a size of 2^64-2": (headed(plain_size=2**64 - 2), (pqp.QUOTA, pqp.PROTOCOL)),
    "another sender": (headed(sender_id=lambda f: f.mallory.public.id), ()),
    "no sender": (headed(sender_id=bytes(32)), ()),
}


@pytest.mark.parametrize("what", BAD_HEADERS)
def test_a_header_that_is_not_taken(field: Field, what: str) -> None:
    make, codes = BAD_HEADERS[what]
    u, name = make(field), field.name()
    with refused(*(codes or (pqp.PROTOCOL, pqp.SUITE))):
        field.client(field.alice).begin(name, u)
    with refused(*(codes or (pqp.PROTOCOL, pqp.SUITE))):
        field.client(field.alice).resume(name, u)


def test_an_upload_made_by_another(field: Field) -> None:
    """All of it, dek included, is good; only she is not who asks."""
    u = upload(field.alice)
    with refused(pqp.PROTOCOL, pqp.REFUSED):
        field.client(field.mallory).begin(field.name(), u)


def test_a_request_that_contradicts_its_header(field: Field) -> None:
    client, u = field.client(field.alice), upload(field.alice)
    for other in ({"size": len(u.plain) - 1}, {"size": 2**64 - 1}, {"file_id": bytes(32)}):
        with refused(pqp.PROTOCOL):
            client.begin(field.name(), u, **other)


def test_a_dek_that_is_another(field: Field) -> None:
    for dek in (bytes(32), b"\xff" * 32):
        with refused(pqp.PROTOCOL):
            field.client(field.alice).begin(field.name(), upload(field.alice), dek=dek)


def test_a_dek_without_key_block(field: Field) -> None:
    client, u = field.client(field.alice), upload(field.alice)
    for missing in ("dek", "keyblock"):
        with refused(pqp.PROTOCOL, pqp.REFUSED):
            client.begin(field.name(), u, **{missing: None})


def blocked(stanzas: Callable[[Upload, Field], list[Stanza]]) -> Callable[[Upload, Field], bytes]:
    return lambda u, f: KeyBlock(1, stanzas(u, f)).encode(u.keys)


def with_mac(u: Upload, signed: bytes) -> bytes:
    return signed + hmac32(u.keys.keyblock, u.keys.hc + signed)


def raw_stanza(u: Upload, f: Field) -> Stanza:
    return RAW.stanza(u.keys.dek, u.keys.hc)


BAD_KEY_BLOCKS: dict[str, Callable[[Upload, Field], bytes]] = {
    "zeros": lambda u, f: bytes(1000),
    "noise": lambda u, f: sha512(b"noise") * 20,
    "one byte": lambda u, f: b"\0",
    "the largest": lambda u, f: bytes(65408),
    "a wrong mac": lambda u, f: flip(u.key_block, -1),
    "a bit flipped inside": lambda u, f: flip(u.key_block, 100),
    "cut": lambda u, f: u.key_block[:-1],
    "something behind": lambda u, f: u.key_block + b"\0",
    "generation 0": lambda u, f: KeyBlock(0, [raw_stanza(u, f)]).encode(u.keys),
    "no stanza": blocked(lambda u, f: []),
    "an unknown stanza": blocked(lambda u, f: [Stanza(6, bytes(112))]),
    "a stanza too long": blocked(lambda u, f: [Stanza(5, bytes(113))]),
    "a count too high": lambda u, f: with_mac(u, u.key_block[:8] + b"\x02" + u.key_block[9:-32]),
    "of another file": lambda u, f: upload(f.alice).key_block,
    "33 stanzas": blocked(lambda u, f: [raw_stanza(u, f)] * 33),
    "32 stanzas and no room for one more": blocked(lambda u, f: [raw_stanza(u, f)] * 32),
    "a passphrase, which bears no other": blocked(
        lambda u, f: [PHRASE.stanza(u.keys.dek, u.keys.hc)]
    ),
    "Argon2id out of bounds": blocked(
        lambda u, f: [Stanza(4, b"\xff" * 12 + PHRASE.stanza(u.keys.dek, u.keys.hc).body[12:])]
    ),
}


@pytest.mark.parametrize("what", BAD_KEY_BLOCKS)
def test_a_key_block_that_is_not_taken(field: Field, what: str) -> None:
    u = upload(field.alice)
    block = BAD_KEY_BLOCKS[what](u, field)
    with refused(pqp.PROTOCOL, pqp.INTEGRITY, pqp.QUOTA):
        field.client(field.alice).begin(field.name(), u, keyblock=block)


@pytest.mark.parametrize("length", [0, 65409, 100000])
def test_a_key_block_of_no_length(field: Field, length: int) -> None:
    u = upload(field.alice)
    silent(lambda: field.client(field.alice).begin(field.name(), u, keyblock=bytes(length)))


def test_key_blocks_with_many_recipients(field: Field) -> None:
    client = field.client(field.alice)
    people = [field.alice.public, field.mallory.public, field.reader.public]
    u = Upload(field.alice, b"for many", locks=[p for p in people for _ in range(10)] + [RAW])
    client.put(name := field.name(), u)
    assert client.get(name).plain == b"for many"


# FETCH

BAD_FETCHES: dict[str, list[tuple[int, int]] | bytes] = {
    "nothing": [],
    "a part that is not there": [(3, 1)],
    "over the end": [(2, 2)],
    "part 2^32": [(2**32, 1)],
    "everything there is": [(0, 2**64 - 1)],
    "the last number": [(2**64 - 2, 1)],
    "an overflow": [(2**64 - 1, 2)],
    "count 0": [(0, 0)],
    "descending": [(2, 1), (0, 1)],
    "overlapping": [(0, 2), (1, 1)],
    "adjacent": [(0, 1), (1, 1)],
    "15 bytes": bytes(15),
    "more than 4096 ranges": [(2 * i, 1) for i in range(4097)],
    "good and bad": [(0, 1), (2, 1), (4, 1)],
}


def fetched(field: Field, attack: Callable[[Session], Any]) -> None:
    client = field.client(field.alice)
    u = upload(field.alice)
    client.put("fetched", u)
    with client.open("fetched") as s, refused(pqp.PROTOCOL):
        attack(s)
        while True:
            got = s.recv()
            assert isinstance(got, Part) and got.sealed == u.parts[got.frame.part]
    assert client.get("fetched").plain == u.plain


@pytest.mark.parametrize("what", BAD_FETCHES)
def test_a_fetch_of_what_is_not_there(field: Field, what: str) -> None:
    fetched(field, lambda s: s.send(pqp.FETCH, ranges=BAD_FETCHES[what]))


NOT_FETCHES: dict[str, Callable[[Session], Any]] = {
    "a part": lambda s: s.part(0, bytes(65536), False, handle=0),
    "COMMIT": lambda s: s.send(pqp.COMMIT, manifest=b"m"),
    "MORE": lambda s: s.send(pqp.MORE, cursor=b"c"),
    "ACK": lambda s: s.send(pqp.ACK, ranges=[], durable=0),
}


@pytest.mark.parametrize("what", NOT_FETCHES)
def test_something_else_than_fetch(field: Field, what: str) -> None:
    fetched(field, NOT_FETCHES[what])


def test_fetch_while_one_is_under_way(field: Field) -> None:
    """Unless all was sent before the server read it."""
    client, u = field.client(field.alice), upload(field.alice, 40)
    client.put("fetched", u)
    with client.open("fetched") as s, pytest.raises((Failed, TimeoutError)) as found:
        got: list[int] = []
        for _ in range(2):
            s.send(pqp.FETCH, ranges=[(0, 40)])
        while True:
            part = s.recv(2)
            assert isinstance(part, Part) and part.sealed == u.parts[part.frame.part]
            got.append(part.frame.part)
    if isinstance(found.value, Failed):
        assert found.value.code == pqp.PROTOCOL and got == list(range(len(got)))
    else:
        assert got == 2 * list(range(40))


def test_one_fetch_of_a_part_after_the_other(field: Field) -> None:
    client, u = field.client(field.alice), upload(field.alice)
    client.put("fetched", u)
    with client.open("fetched") as s:
        for i in (0, 0, 2, 1):
            s.send(pqp.FETCH, ranges=[(i, 1)])
            got = s.recv()
            assert isinstance(got, Part) and got.sealed == u.parts[i]


# Lists


def test_a_cursor_that_is_not_the_servers(field: Field) -> None:
    client, long = field.client(field.alice), "/".join(["x" * 250] * 16)
    for i in range(18):
        client.put(f"{i:02}/{long}", Upload(field.alice, b""))
    for cursor in (b"x", bytes(4096), b"\xff" * 32):
        with client.ask(pqp.LIST, name="") as s, refused(pqp.PROTOCOL):
            assert s.reply.cursor is not None
            s.send(pqp.MORE, cursor=cursor)
            drain(s)
    with client.ask(pqp.LIST, name="") as s, refused(pqp.PROTOCOL):
        s.send(pqp.MORE, cursor=s.reply.cursor)
        s.send(pqp.MORE, cursor=s.reply.cursor)
        s.recv()
        drain(s)


def test_more_when_there_is_no_more(field: Field) -> None:
    with field.client(field.alice).ask(pqp.LIST, name="absent/") as s:
        assert s.reply.cursor is None
        with pytest.raises((Closed, Failed)):
            s.send(pqp.MORE, cursor=b"c")
            drain(s)
