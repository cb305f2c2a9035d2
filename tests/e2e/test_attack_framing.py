"""WebSocket frames that break RFC 6455 or the profile of docs/protocol.md."""

from __future__ import annotations

from collections.abc import Iterator

import pqp
import pytest
from attack import Field, fields
from pqp_client import Closed, Failed, Hello, Session
from pqp_program import upload
from pqp_raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    RawSocket,
    encode_frame,
)

pytestmark = pytest.mark.asan
M1 = b'{"action":"transfer_file"}'


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    yield from fields(tmp_path_factory.mktemp("field"))


def fails(field: Field, data: bytes) -> str:
    """The server closes after these bytes; why, if it says."""
    with RawSocket(field.server.address) as s:
        assert s.status == 101
        s.write(data)
        with pytest.raises(Closed) as found:
            s.recv()
        return str(found.value)


BAD_FRAMES = {
    "not masked": encode_frame(TEXT, M1, masked=False),
    "RSV1": encode_frame(TEXT, M1, rsv=4),
    "RSV2": encode_frame(TEXT, M1, rsv=2),
    "RSV3": encode_frame(TEXT, M1, rsv=1),
    **{f"opcode {i}": encode_frame(i, M1) for i in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a length of 16 bits that fits 7": encode_frame(TEXT, M1, form=3),
    "a length of 64 bits that fits 16": encode_frame(TEXT, M1, form=9),
    "a length with its top bit": encode_frame(TEXT, M1, length=2**63, form=9),
    "a length of 2^62": encode_frame(TEXT, M1, length=2**62),
    "a length just above the limit": encode_frame(TEXT, b"", length=16385),
    "a ping of 126 bytes": encode_frame(PING, bytes(126)),
    "a ping in pieces": encode_frame(PING, b"", fin=False),
    "a pong in pieces": encode_frame(PONG, b"", fin=False),
    "a close in pieces": encode_frame(CLOSE, b"", fin=False),
    "a close of one byte": encode_frame(CLOSE, b"\x03"),
    "a close with a reserved status": encode_frame(CLOSE, (1005).to_bytes(2, "big")),
    "a close with status 0": encode_frame(CLOSE, bytes(2)),
    "a close that is not UTF-8": encode_frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"),
    "a continuation of nothing": encode_frame(CONTINUATION, M1),
    "text in text": encode_frame(TEXT, b"{", fin=False) + encode_frame(TEXT, b"}"),
    "binary in text": encode_frame(TEXT, b"{", fin=False) + encode_frame(BINARY, b"}"),
    "text that is not UTF-8": encode_frame(TEXT, b"\xff" + M1),
    "text that ends in a character": encode_frame(TEXT, M1 + b"\xc3"),
    "pieces above the limit": encode_frame(TEXT, bytes(16000), fin=False)
    + encode_frame(CONTINUATION, bytes(16000), fin=False),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_a_frame_that_breaks_the_rules(field: Field, what: str) -> None:
    fails(field, BAD_FRAMES[what])


def test_a_flood_of_empty_pieces(field: Field) -> None:
    """They add up to nothing: no memory is taken, and others are served meanwhile."""
    with RawSocket(field.server.address) as s:
        s.write(encode_frame(TEXT, b"", fin=False))
        for _ in range(10):
            s.write(encode_frame(CONTINUATION, b"", fin=False) * 10000)
        field.still_serves()


def test_pings_are_answered_also_between_pieces(field: Field) -> None:
    with RawSocket(field.server.address) as s:
        s.write(encode_frame(TEXT, M1[:5], fin=False) + encode_frame(PING, b"there?"))
        assert s.recv_frame() == (PONG, b"there?")
        s.write(encode_frame(PONG, b"unasked") + encode_frame(CONTINUATION, M1[5:]))
        assert '"ready"' in str(s.recv())


def greeted(field: Field, request: bytes, pieces: int) -> Session:
    """The handshake in pieces."""
    hello = Hello(field.alice, field.id)
    s, m1 = RawSocket(field.server.address), hello.m1()
    s.send_in_pieces(m1, pieces)
    m3, keys = hello.finish(m1, str(s.recv()), request)
    s.send_in_pieces(m3, pieces)
    session = Session(s, keys, field.suite)
    session.read_reply()
    return session


def test_messages_may_come_in_pieces(field: Field) -> None:
    request = pqp.encode_message(pqp.REQUEST, op=pqp.STAT, name="good")
    with greeted(field, request, 100) as s:
        assert s.reply.size > 0


@pytest.mark.parametrize("first", [1, 33, 65536 + 32])
def test_a_part_may_not(field: Field, first: int) -> None:
    u, name = upload(field.alice), field.name()
    request = pqp.encode_message(pqp.REQUEST, op=pqp.PUT, name=name, **u.fields())
    with greeted(field, request, 16384) as s:
        f = s.frame(0, u.parts[0], False)
        data = f.encode() + u.parts[0] + s.tag(f, u.parts[0])
        assert isinstance(s.wire, RawSocket)
        s.wire.write(encode_frame(BINARY, data[:first], fin=False))
        with pytest.raises((Closed, Failed)):
            s.wire.write(encode_frame(CONTINUATION, data[first:]))
            while True:
                s.recv()
    field.whole_after_all(name, u)


def test_an_honest_close_is_answered(field: Field) -> None:
    assert fails(field, encode_frame(CLOSE, (1000).to_bytes(2, "big") + b"bye")) == "status 1000"
    assert fails(field, encode_frame(CLOSE)).startswith(("status", "the connection"))


# The upgrade


def without(name: str) -> list[tuple[str, str]]:
    return [h for h in UPGRADE if h[0] != name]


BAD_UPGRADES = {
    "from another origin": ([*UPGRADE, ("Origin", "https://evil.example")], 403),
    "from no origin": ([*UPGRADE, ("Origin", "null")], 403),
    "from this origin": ([*UPGRADE, ("Origin", "http://127.0.0.1")], 403),
    "no key": (without("Sec-WebSocket-Key"), 400),
    "a key of 15 bytes": ([*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "AAAA" * 5)], 400),
    "no version": (without("Sec-WebSocket-Version"), 400),
    "version 8": ([*without("Sec-WebSocket-Version"), ("Sec-WebSocket-Version", "8")], 426),
}


@pytest.mark.parametrize("what", BAD_UPGRADES)
def test_an_upgrade_that_is_refused(field: Field, what: str) -> None:
    headers, status = BAD_UPGRADES[what]
    with RawSocket(field.server.address, headers) as s:
        assert s.status in (status, 400)


def test_nothing_offered_is_accepted(field: Field) -> None:
    more = [("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Protocol", "chat")]
    with RawSocket(field.server.address, [*UPGRADE, *more]) as s:
        assert s.status == 101
        assert b"sec-websocket-extensions" not in s.head.lower()
        assert b"sec-websocket-protocol" not in s.head.lower()
