"""pqp_client.py against pqp_server.py. Needs no pqc program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import pqp
from forge import P, THREE_PARTS, flip, person
from identity import SUITES
from pqp import BrokenProtocol, Message, Share, decode_message, encode_fields, encode_message
from pqp_client import Client, Closed, Failed, Upload
from pqp_server import Server

PUT = {"op": pqp.PUT, "name": "n", "size": 1, "file_id": bytes(32), "header": bytes(128)}


@pytest.fixture(params=SUITES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(person("server", request.param))
    yield made
    made.end()


@pytest.mark.parametrize("suite", SUITES)
def test_shares(suite: int) -> None:
    share = Share(suite)
    ss, ct = pqp.encapsulate(suite, share.public)
    assert share.decapsulate(ct) == ss
    assert (len(share.public), len(ct)) == (pqp.SHARE_LEN[suite], pqp.CT_LEN[suite])
    assert len(ss) == {1: 64, 2: 80}[suite]


def test_a_round_trip(server: Server) -> None:
    me = person("me", server.suite)
    client = Client(server.address, server.id, me)
    for known in (True, False):
        u = Upload(me, THREE_PARTS, size_known=known)
        b = client.put("a name", u, order=[2, 0, 1])
        assert client.get("a name").plain == THREE_PARTS
        assert client.receipt("a name").receipt == b.receipt
        assert [(e.name, e.size) for e in client.list("a")] == [("a name", len(THREE_PARTS))]
        with client.resume("a name", u) as s:
            u.receipt(s.reply, server.id)
    client.delete("a name")
    with pytest.raises(Failed):
        client.get("a name")
    assert server.broken == []


def test_resume(server: Server) -> None:
    me = person("me", server.suite)
    client, u = Client(server.address, server.id, me), Upload(me, THREE_PARTS)
    with client.begin("x", u) as s:
        u.send_part(s, 1)
        s.recv_type(pqp.ACK)
    with client.resume("x", u) as s:
        assert s.reply.ranges == [(1, 1)]
        client.finish(s, u)
    assert client.get("x").plain == THREE_PARTS


def test_the_bundle_is_checked() -> None:
    me, other = person("server", 1), person("me", 1)
    good = pqp.Offer(me.public.id, 1000, 1060, [(1, Share(1).public)])
    pk, pin = me.public.sig_pk, me.public.id

    def check(offer: pqp.Offer, now: float = 1000, pinned: bytes = pin, suite: int = 1) -> None:
        signature = me.sign(offer.encode(), b"pqx1 bundle")
        pqp.Offer.decode(offer.encode()).check(pk, signature, pinned, suite, now)

    for now in (400, 1660):
        check(good, now)
    for now in (399, 1661):
        with pytest.raises(BrokenProtocol, match="dates"):
            check(good, now)
    for rule, bad in {
        "server_pk": replace(good, server_id=other.public.id),
        "dates": replace(good, not_after=1061),
        "version": replace(good, version=2, minimum=2),
        "suite": replace(good, shares=[(2, good.shares[0][1])]),
    }.items():
        with pytest.raises(BrokenProtocol, match=rule):
            check(bad)
    with pytest.raises(BrokenProtocol, match="pinned"):
        check(good, pinned=other.public.id)
    signature = me.sign(good.encode(), b"pqx1 bundle")
    with pytest.raises(BrokenProtocol, match="signature"):
        good.check(pk, flip(signature, 0), pin, 1, 1000)


def test_messages() -> None:
    assert decode_message(encode_message(pqp.REQUEST, **PUT)) == Message(pqp.REQUEST, PUT)
    ranges = [(0, 1), (2, 3)]
    assert decode_message(encode_message(pqp.FETCH, ranges=ranges)).ranges == ranges
    entry = pqp.Entry(1, 2, bytes(32), "é")
    assert decode_message(encode_message(pqp.ENTRIES, entries=[entry])).entries == [entry]


BAD_MESSAGES = {
    "message truncated": b"",
    "type of a message": b"\0",
    "a field is missing": encode_message(pqp.ACK, durable=0),
    "a field too many": encode_message(pqp.COMMIT, manifest=b"m", durable=0),
    "unknown tag": encode_fields(pqp.COMMIT, [(18, b"m"), (22, b"")]),
    "order of tags": encode_fields(pqp.COMMIT, [(18, b"m"), (18, b"m")]),
    "length of manifest": encode_message(pqp.COMMIT, manifest=bytes(8193)),
    "length of cursor": encode_message(pqp.MORE, cursor=b""),
    "length of durable": encode_fields(pqp.ACK, [(9, b""), (17, bytes(7))]),
    "value of durable": encode_message(pqp.ACK, ranges=[], durable=2**32 + 1),
    "length of ranges": encode_fields(pqp.FETCH, [(9, bytes(15))]),
    "count of a range": encode_message(pqp.FETCH, ranges=[(0, 0)]),
    "order of ranges": encode_message(pqp.FETCH, ranges=[(0, 1), (1, 1)]),
    "UTF-8": encode_message(pqp.ERROR, code=1, text=b"\xff"),
    "NUL in text": encode_message(pqp.ERROR, code=1, text=b"\0"),
    "truncated": encode_message(pqp.COMMIT, manifest=b"m")[:-1],
}


@pytest.mark.parametrize("rule", BAD_MESSAGES)
def test_bad_messages(rule: str) -> None:
    with pytest.raises(BrokenProtocol, match=rule):
        decode_message(BAD_MESSAGES[rule])


def test_the_server_refuses_what_is_wrong() -> None:
    made, me = Server(person("server", 1)), person("me", 1)
    client, u = Client(made.address, made.id, me), Upload(me, bytes(P + 1))
    attacks = {
        "frame header": lambda s: u.send_part(s, 0, sequence=1),
        "frame": lambda s: u.send_part(s, 0, handle=1),
        "manifest root": lambda s: (s.part(0, u.parts[1], True), client.commit(s, u)),
    }
    for attack in attacks.values():
        with client.begin("x", u) as s, pytest.raises(Closed):
            attack(s)
            while True:
                s.recv()
    made.end()
    assert made.broken == list(attacks)
