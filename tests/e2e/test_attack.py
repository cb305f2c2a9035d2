"""The handshake and the messages of docs/protocol.md, attacked over the wire."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pqp
import pytest
from attack import Field, drain, fields, refused, silent
from forge import flip
from pqp_client import Closed, Failed, Hello, Session, Upload, WebSocket
from pqp_program import upload
from primitives import u8

pytestmark = pytest.mark.asan


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    yield from fields(tmp_path_factory.mktemp("field"))


# M1

HELLO = {"action": "transfer_file", "v": 1, "suites": [1], "nonce": pqp.b64(bytes(32))}


def hello(**other: Any) -> str:
    return json.dumps(HELLO | other)


BAD_HELLOS = {
    "nothing": ("", "protocol"),
    "no JSON": ("transfer_file", "protocol"),
    "an array": ("[]", "protocol"),
    "no action": ("{}", "protocol"),
    "another action": (hello(action="delete_file"), "protocol"),
    "an unknown key": (hello(key=1), "protocol"),
    "a key twice": ('{"action":"transfer_file","action":"transfer_file"}', "protocol"),
    "another version": (hello(v=2), "protocol"),
    "a version that is true": (hello(v=True), "protocol"),
    "a version that is text": (hello(v="1"), "protocol"),
    "another suite": (hello(suites=[2]), "suite"),
    "no suite": (hello(suites=[]), "suite"),
    "suites that are text": (hello(suites=["1"]), "protocol"),
    "suites that are none": (hello(suites=1), "protocol"),
    "a short nonce": (hello(nonce=pqp.b64(bytes(31))), "protocol"),
    "a long nonce": (hello(nonce=pqp.b64(bytes(33))), "protocol"),
    "a nonce not in base64": (hello(nonce="?" * 44), "protocol"),
    "a size that is text": (hello(size="1"), "protocol"),
    "a file name that is a number": (hello(filename=1), "protocol"),
    "depth 5": (hello(filename=[[[[]]]]), "protocol"),
    "something behind": (hello() + "x", "protocol"),
    "two": (hello() + hello(), "protocol"),
    "NUL": (hello().replace("transfer_file", "transfer_file\\u0000"), "protocol"),
}


@pytest.mark.parametrize("what", BAD_HELLOS)
def test_m1(field: Field, what: str) -> None:
    text, code = BAD_HELLOS[what]
    wire = WebSocket(field.server.address)
    wire.send(text)
    said = json.loads(wire.recv())
    assert set(said) == {"status", "code", "error"}
    assert (said["status"], said["code"]) == ("error", code)
    silent(wire.recv)


@pytest.mark.parametrize(
    "m1",
    [hello().encode(), hello(filename="x" * 16384), "x" * 20000],
    ids=["binary", "large", "long"],
)
def test_m1_that_is_not_even_answered(field: Field, m1: str | bytes) -> None:
    wire = WebSocket(field.server.address)
    wire.send(m1)
    silent(wire.recv)


def test_m1_with_all_that_is_allowed(field: Field) -> None:
    trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    more = {"filename": "x", "size": 2**40, "traceparent": trace}
    for m1 in (hello(**more), '{"action":"transfer_file"}', " " + hello() + "\n"):
        wire = WebSocket(field.server.address)
        wire.send(m1)
        assert json.loads(wire.recv())["status"] == "ready"
        wire.close()


# M3


class Stat(Hello):
    """Asks for something harmless."""

    request = pqp.encode_message(pqp.REQUEST, op=pqp.STAT, name="good")


def greet(field: Field, hello: type[Hello], request: bytes = Stat.request) -> Session:
    session = field.client(field.alice, hello).ask_bytes(request)
    session.read_reply()
    return session


def test_the_greeting_that_is_attacked_is_good(field: Field) -> None:
    with greet(field, Hello) as s:
        assert s.reply.size > 0


CT = 2 + pqp.CT_LEN[1]  # where the AEAD begins
FLIPS = {
    "kind": 0,
    "suite": 1,
    "ML-KEM ciphertext, first byte": 2,
    "ML-KEM ciphertext, last byte": 2 + 1087,
    "X25519 share, first byte": 2 + 1088,
    "X25519 share, last byte but the ignored bit": CT - 2,
    "client_pk, first byte": CT,
    "client_pk, Ed25519": CT + 1960,
    "sigC": CT + 1984,
    "sigC, Ed25519": CT + 1984 + 3320,
    "request": CT + 1984 + 3373,
    "tag": -1,
}


@pytest.mark.parametrize("what", FLIPS)
def test_m3_with_a_bit_flipped(field: Field, what: str) -> None:
    class Flipped(Hello):
        def m3(self, ct: bytes, sealed: bytes) -> bytes:
            return flip(super().m3(ct, sealed), FLIPS[what])

    silent(lambda: greet(field, Flipped))


@pytest.mark.parametrize("length", [0, 1, 2, CT, CT + 16, 6000, -1])
def test_m3_cut(field: Field, length: int) -> None:
    class Cut(Hello):
        def m3(self, ct: bytes, sealed: bytes) -> bytes:
            return super().m3(ct, sealed)[:length]

    silent(lambda: greet(field, Cut))


@pytest.mark.parametrize("more", [1, 65536, 100000])
def test_m3_longer(field: Field, more: int) -> None:
    class Long(Hello):
        def m3(self, ct: bytes, sealed: bytes) -> bytes:
            return super().m3(ct, sealed) + bytes(more)

    silent(lambda: greet(field, Long))


def test_an_x25519_share_of_small_order(field: Field) -> None:
    """The exchange with it is all zero: like a wrong secret."""

    class Zero(Hello):
        def encapsulate(self, share: bytes) -> tuple[bytes, bytes]:
            ss, ct = super().encapsulate(share)
            return ss[:32] + bytes(32), ct[:1088] + bytes(32)

    silent(lambda: greet(field, Zero))


class Signed(Hello):
    """sigC over something else than the truth."""

    th3: bytes | None = None
    other_server: bytes | None = None
    other_client: bytes | None = None
    context = b"pqx1 client auth"
    suffix = b""

    def signature(self, th3: bytes, request: bytes) -> bytes:
        server, client = self.other_server or self.server_id, self.other_client or self.me.public.id
        signed = pqp.client_auth(self.th3 or th3, server, client, request + self.suffix)
        return self.me.sign(signed, self.context)


BAD_SIGNATURES: dict[str, dict[str, bytes]] = {
    "another transcript": {"th3": bytes(64)},
    "another server": {"other_server": bytes(32)},
    "another client": {"other_client": bytes(32)},
    "another request": {"suffix": b"x"},
    "another context": {"context": b"pqx1 manifest"},
}


@pytest.mark.parametrize("what", BAD_SIGNATURES)
def test_sigc_over_something_else(field: Field, what: str) -> None:
    silent(lambda: greet(field, type("Other", (Signed,), BAD_SIGNATURES[what])))
    greet(field, Signed).wire.close()


def test_the_client_cannot_be_exchanged(field: Field) -> None:
    """Neither with his own signature under her key, nor with her signature under his."""

    class HerKey(Hello):
        def client_pk(self) -> bytes:
            return field.alice.public.sig_pk

    class HisKey(Hello):
        def client_pk(self) -> bytes:
            return field.mallory.public.sig_pk

    silent(lambda: field.client(field.mallory, HerKey).stat("good"))
    silent(lambda: field.client(field.alice, HisKey).stat("good"))


def test_an_identity_of_another_suite(field: Field) -> None:
    """Its key and signature are longer: what is read in their places verifies nothing."""
    other = type(field.alice).generate(2)

    class Longer(Hello):
        def __init__(self, me: Any, server_id: bytes) -> None:
            super().__init__(me, server_id)
            self.suite = 1

    silent(lambda: field.client(other, Longer).stat("good"))


def test_m3_replayed(field: Field) -> None:
    """On a new connection M2 has another nonce."""
    hello = Hello(field.alice, field.id)
    m1 = hello.m1()
    wire = WebSocket(field.server.address)
    wire.send(m1)
    m3, keys = hello.finish(m1, str(wire.recv()), Stat.request)
    wire.send(m3)
    first = Session(wire, keys, 1)
    first.read_reply()
    wire.close()
    for again in (m3, flip(m3, CT - 1)):
        wire = WebSocket(field.server.address)
        wire.send(m1)
        wire.recv()
        wire.send(again)
        silent(wire.recv)


def test_two_m3(field: Field) -> None:
    """One is tried; the second is not a message any more."""
    session = field.client(field.alice).ask_bytes(Stat.request)
    with session, pytest.raises((Closed, Failed)):
        session.wire.send(pqp.M3 + bytes(7000))
        session.read_reply()
        drain(session)


def test_a_bundle_that_is_no_more(field: Field) -> None:
    """What was encapsulated to a key that the server has erased opens nothing."""
    hello = Hello(field.alice, field.id)
    wire = WebSocket(field.server.address)
    wire.send(hello.m1())
    _, stale = hello.offer(str(wire.recv()))
    wire.close()
    field.server.kill()
    field.server.start()
    field.began_with = 1 << 30
    field.still_serves()
    field.began_with = field.resident_kib()

    class Stale(Hello):
        def encapsulate(self, share: bytes) -> tuple[bytes, bytes]:
            assert share != stale
            return super().encapsulate(stale)

    silent(lambda: greet(field, Stale))


NOT_M3: dict[str, Callable[[str], str | bytes]] = {
    "M1 again": lambda m1: m1,
    "text": lambda m1: "x" * 7000,
    "nothing": lambda m1: b"",
    "a control message": lambda m1: pqp.CONTROL + bytes(100),
    "a part": lambda m1: pqp.Frame(0, 0, 0, 65536).encode() + bytes(65536 + 16),
    "zeros": lambda m1: bytes(7000),
}


@pytest.mark.parametrize("what", NOT_M3)
def test_something_else_than_m3(field: Field, what: str) -> None:
    wire = WebSocket(field.server.address)
    wire.send(hello())
    wire.recv()
    wire.send(NOT_M3[what](hello()))
    silent(wire.recv)


GOOD_REQUEST = [(1, u8(pqp.STAT)), (2, b"good")]
BAD_REQUESTS = {
    "nothing": b"",
    "not a request": pqp.encode_message(pqp.REPLY, status=0),
    "an unknown type": u8(10),
    "no op": pqp.encode_fields(1, GOOD_REQUEST[1:]),
    "op 0": pqp.encode_fields(1, [(1, u8(0)), (2, b"good")]),
    "op 7": pqp.encode_fields(1, [(1, u8(7)), (2, b"good")]),
    "op of two bytes": pqp.encode_fields(1, [(1, bytes([0, 4])), (2, b"good")]),
    "no name": pqp.encode_fields(1, GOOD_REQUEST[:1]),
    "an unknown field": pqp.encode_fields(1, [*GOOD_REQUEST, (22, b"")]),
    "a field of a reply": pqp.encode_fields(1, [*GOOD_REQUEST, (10, b"\0")]),
    "a field of another request": pqp.encode_fields(1, [*GOOD_REQUEST, (6, bytes(32))]),
    "a field twice": pqp.encode_fields(1, [*GOOD_REQUEST, (2, b"good")]),
    "fields out of order": pqp.encode_fields(1, GOOD_REQUEST[::-1]),
    "a short file_id": pqp.encode_fields(1, [*GOOD_REQUEST, (4, bytes(31))]),
    "a long traceparent": pqp.encode_fields(1, [*GOOD_REQUEST, (8, bytes(56))]),
    "a length that runs over the end": pqp.encode_fields(1, GOOD_REQUEST)[:-1],
    "something behind": pqp.encode_fields(1, GOOD_REQUEST) + b"\0",
    "a name that is not UTF-8": pqp.encode_fields(1, [(1, u8(4)), (2, b"\xc3\x28")]),
    "a name with NUL": pqp.encode_fields(1, [(1, u8(4)), (2, b"go\0od")]),
    "a name too long": pqp.encode_fields(1, [(1, u8(4)), (2, b"x" * 4097)]),
    "a put without a header": pqp.encode_fields(1, [(1, u8(1)), (2, b"x"), (3, bytes(8))]),
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_a_request_that_breaks_the_protocol(field: Field, what: str) -> None:
    silent(lambda: greet(field, Hello, BAD_REQUESTS[what]))


# Control messages

GARBAGE = {
    "nothing": b"",
    "type 0": u8(0),
    "an unknown type": u8(10),
    "COMMIT of nothing": u8(pqp.COMMIT),
    "COMMIT with an unknown field": pqp.encode_fields(4, [(18, b"m"), (22, b"")]),
    "COMMIT with too many fields": pqp.encode_fields(4, [(12, b"t"), (18, b"m")]),
    "COMMIT with fields out of order": pqp.encode_fields(4, [(18, b"m"), (12, b"t")]),
    "COMMIT twice in one": pqp.encode_fields(4, [(18, b"m"), (18, b"m")]),
    "COMMIT of an empty manifest": pqp.encode_message(pqp.COMMIT, manifest=b""),
    "COMMIT of too large a manifest": pqp.encode_message(pqp.COMMIT, manifest=bytes(8193)),
    "COMMIT cut": pqp.encode_message(pqp.COMMIT, manifest=b"manifest")[:-3],
    "FETCH": pqp.encode_message(pqp.FETCH, ranges=[(0, 1)]),
    "MORE": pqp.encode_message(pqp.MORE, cursor=b"c"),
    "ACK": pqp.encode_message(pqp.ACK, ranges=[], durable=0),
    "REPLY": pqp.encode_message(pqp.REPLY, status=0),
    "REQUEST": Stat.request,
    "RECEIPT": pqp.encode_message(pqp.RECEIPT, manifest=b"m", receipt=b"r"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_message_that_breaks_the_protocol(field: Field, what: str) -> None:
    u, name = upload(field.alice), field.name()
    with field.client(field.alice).begin(name, u) as s, refused(pqp.PROTOCOL):
        u.send_part(s, 0)
        s.send_bytes(GARBAGE[what])
        drain(s)
    field.whole_after_all(name, u)


def sent_again(s: Session, u: Upload) -> None:
    """A message that was good when it had its number."""
    u.send_part(s, 0)
    message = pqp.CONTROL + s.keys.c_ctl.seal(0, pqp.encode_message(pqp.MORE, cursor=b"c"), b"\x10")
    s.wire.send(message)
    s.wire.send(message)


def reflected(s: Session, u: Upload) -> None:
    """The server's own message, back to it."""
    u.send_part(s, 0)
    s.wire.send(s.wire.recv())
    s.received += 1


def with_number(number: int) -> Callable[[Session, Upload], None]:
    def attack(s: Session, u: Upload) -> None:
        s.sent = number
        s.send(pqp.COMMIT, manifest=u.manifest)

    return attack


BAD_SEALS: dict[str, Callable[[Session, Upload], None]] = {
    "another aad": lambda s, u: s.send_bytes(u8(pqp.COMMIT), aad=b"\x20"),
    "the aad of M4": lambda s, u: s.send_bytes(u8(pqp.COMMIT), aad=s.keys.th4),
    "number 1": with_number(1),
    "number 2^64-1": with_number(2**64 - 1),
    "sent again": sent_again,
    "reflected": reflected,
    "text": lambda s, u: s.wire.send("a control message"),
    "empty": lambda s, u: s.wire.send(b""),
    "only its kind": lambda s, u: s.wire.send(pqp.CONTROL),
    "less than a tag": lambda s, u: s.wire.send(pqp.CONTROL + bytes(15)),
    "an unknown kind": lambda s, u: s.wire.send(b"\x11" + bytes(100)),
    "too long": lambda s, u: s.wire.send(pqp.CONTROL + bytes(131072)),
}


@pytest.mark.parametrize("what", BAD_SEALS)
def test_a_message_that_does_not_open(field: Field, what: str) -> None:
    u, name = upload(field.alice), field.name()
    with field.client(field.alice).begin(name, u) as s, pytest.raises((Failed, Closed)) as found:
        BAD_SEALS[what](s, u)
        drain(s)
    assert isinstance(found.value, Closed) or found.value.code == pqp.PROTOCOL
    field.whole_after_all(name, u)


# Time


def test_a_handshake_has_ten_seconds(field: Field) -> None:
    """Whatever it consists of so far: nothing, half a head, a head, M2, or a byte every second."""
    host, port = field.server.address.split(":")
    half = f"GET / HTTP/1.1\r\nHost: {host}\r\n".encode()
    key = pqp.b64(os.urandom(16))
    rest = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head = half + f"{rest}Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    text = hello().encode()
    m1 = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
    began = time.monotonic()
    sockets = {}
    beginnings = {"nothing": b"", "half": half, "head": head, "M1": head + m1, "slow": half}
    for what, first in beginnings.items():
        s = socket.create_connection((host, int(port)))
        s.sendall(first)
        sockets[s] = what
    ended = {}
    slow = next(s for s, what in sockets.items() if what == "slow")
    while len(ended) < len(sockets):
        waiting = [s for s in sockets if s not in ended]
        ready, _, _ = select.select(waiting, [], [], 1)
        assert time.monotonic() < began + 20, [sockets[s] for s in waiting]
        for s in ready:
            try:
                data = s.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                ended[s] = time.monotonic() - began
        if slow not in ended:
            try:
                slow.sendall(b"X")
            except OSError:
                pass
    for s, seconds in ended.items():
        assert 8 < seconds < 15, (sockets[s], seconds)
        s.close()
