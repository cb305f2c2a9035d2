"""A server that lies in the handshake: the program ends as documented, and believes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pqp
import pytest
from forge import flip, person
from harness import INTEGRITY, QUOTA, REFUSED, TEMPORARY
from liar import HASTE, Victim, ended, lying, running, silence, store
from pqp import Offer, Share
from pqp_program import upload
from pqp_server import Peer, Server
from primitives import sha512

ME = "server"
Change = Callable[[Any, Any], Any]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    yield made
    made.pqc.end()


def attacked(victim: Victim, kind: type[Server], *codes: int, words: Sequence[str] = ()) -> None:
    """Both directions: nothing is fetched, nothing is sent."""
    with running(kind, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", upload(victim.me))
        ended(victim.get(server, *words), *codes)
        ended(victim.send(server, *words), *codes)
        assert not server.uploads
    victim.got_nothing()


def test_the_liar_can_be_honest(victim: Victim) -> None:
    """Or what is refused below says nothing."""
    with running(Server, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", u := upload(victim.me))
        assert victim.get(server).code == 0 and victim.out.read_bytes() == u.plain
        assert victim.send(server).code == 0
        assert (victim.files / "receipt").exists() and server.broken == []


# Who the server is


def test_a_server_that_is_not_known(victim: Victim) -> None:
    with running(Server, person(ME, 1)) as server:
        ended(victim.get(server), REFUSED)
        ended(victim.send(server), REFUSED)
    victim.got_nothing()


def test_a_server_that_is_another(victim: Victim) -> None:
    with running(Server, person("another", 1)) as server:
        victim.trust(server.address, person(ME, 1))
        ended(victim.get(server), REFUSED)
        ended(victim.send(server), REFUSED)
        ended(victim.get(server, "--accept-new"), REFUSED)
    victim.got_nothing()


def test_a_server_of_another_suite(victim: Victim) -> None:
    """It goes on although the client did not offer it."""
    with running(lying(hello=lambda self, m1: None), person("of suite 2", 2)) as server:
        victim.trust(server.address, person("of suite 2", 2))
        ended(victim.get(server), REFUSED, INTEGRITY)
        ended(victim.send(server), REFUSED, INTEGRITY)
    victim.got_nothing()


# M2


def bundle(change: Callable[[bytes, bytes, bytes], tuple[bytes, bytes, bytes]]) -> type[Server]:
    return lying(bundle=lambda self: change(*Server.bundle(self)))


def offer(**other: Any) -> type[Server]:
    """Another bundle, signed."""

    def changed(self: Server) -> Offer:
        o = Server.offer(self)
        return replace(o, **{k: v(o) if callable(v) else v for k, v in other.items()})

    return lying(offer=changed)


def aged(seconds: int) -> type[Server]:
    return offer(not_before=lambda o: o.not_before - seconds, not_after=lambda o: o.not_after - seconds)


def another_key(self: Server) -> tuple[bytes, bytes, bytes]:
    """Signed by somebody else, who says he is the pinned one."""
    them = person("another", 1)
    made = self.offer().encode()
    return made, them.sign(made, b"pqx1 bundle"), them.public.sig_pk


BAD_BUNDLES = {
    "the signature flipped": bundle(lambda b, s, k: (b, flip(s, 0), k)),
    "its Ed25519 part flipped": bundle(lambda b, s, k: (b, flip(s, -1), k)),
    "the signature cut": bundle(lambda b, s, k: (b, s[:-1], k)),
    "no signature": bundle(lambda b, s, k: (b, b"", k)),
    "the KEM key flipped": bundle(lambda b, s, k: (flip(b, -1), s, k)),
    "the dates flipped": bundle(lambda b, s, k: (flip(b, 43), s, k)),
    "the server's id flipped": bundle(lambda b, s, k: (flip(b, 4), s, k)),
    "the key flipped": bundle(lambda b, s, k: (b, s, flip(k, 0))),
    "the key cut": bundle(lambda b, s, k: (b, s, k[:-1])),
    "no key": bundle(lambda b, s, k: (b, s, b"")),
    "the key of another": lying(bundle=another_key),
    "signed for another purpose": lying(
        bundle=lambda self: (
            b := self.offer().encode(),
            self.me.sign(b, b"pqx1 receipt"),
            self.me.public.sig_pk,
        )
    ),
    "cut": bundle(lambda b, s, k: (b[:-1], s, k)),
    "something behind": bundle(lambda b, s, k: (b + b"\0", s, k)),
    "empty": bundle(lambda b, s, k: (b"", s, k)),
    "of 12 minutes ago": aged(720),
    "of a year ago": aged(365 * 86400),
    "of in 11 minutes": aged(-660),
    "of the end of time": offer(not_before=2**64 - 60, not_after=2**64 - 1),
    "that ends before it begins": offer(not_after=lambda o: o.not_before - 60),
    "that lasts a day": offer(not_after=lambda o: o.not_before + 86400),
    "of version 2": offer(version=2, minimum=2),
    "of version 0": offer(version=0, minimum=0),
    "with a key of suite 2 only": offer(shares=[(2, Share(2).public)]),
    "with a key of suite 2 called 1": offer(shares=[(1, Share(2).public)]),
    "with two keys of suite 1": offer(shares=lambda o: [*o.shares, *o.shares]),
    "with no key": offer(shares=[]),
    "with a short key": offer(shares=lambda o: [(1, o.shares[0][1][:-1])]),
    "with an ML-KEM key out of range": offer(shares=lambda o: [(1, b"\xff" * 1216)]),
}


@pytest.mark.parametrize("what", BAD_BUNDLES)
def test_a_bundle(victim: Victim, what: str) -> None:
    attacked(victim, BAD_BUNDLES[what], REFUSED, INTEGRITY)


def m2(change: Callable[[dict[str, Any]], Any]) -> type[Server]:
    """The JSON changed."""

    def changed(self: Server) -> str:
        words = json.loads(Server.m2(self))
        made = change(words)
        return made if isinstance(made, str | bytes) else json.dumps(made)

    return lying(m2=changed)


BAD_M2 = {
    "no JSON": m2(lambda w: "ready"),
    "nothing": m2(lambda w: ""),
    "an array": m2(lambda w: [w]),
    "not ready": m2(lambda w: w | {"status": "steady"}),
    "no status": m2(lambda w: {k: v for k, v in w.items() if k != "status"}),
    "no nonce": m2(lambda w: {k: v for k, v in w.items() if k != "nonce"}),
    "a short nonce": m2(lambda w: w | {"nonce": pqp.b64(bytes(31))}),
    "an unknown key": m2(lambda w: w | {"more": 1}),
    "an unknown key inside": m2(lambda w: w | {"session_key": w["session_key"] | {"more": "x"}}),
    "a key twice": m2(lambda w: json.dumps(w)[:-1] + ',"status":"ready"}'),
    "something behind": m2(lambda w: json.dumps(w) + "{}"),
    "not base64": m2(lambda w: w | {"nonce": "?" * 44}),
    "too long": m2(lambda w: json.dumps(w) + " " * 16384),
    "deep": m2(lambda w: w | {"nonce": [[[[[]]]]]}),
}


@pytest.mark.parametrize("what", BAD_M2)
def test_m2(victim: Victim, what: str) -> None:
    attacked(victim, BAD_M2[what], INTEGRITY)


def test_m2_in_binary(victim: Victim) -> None:
    attacked(victim, m2(lambda w: json.dumps(w).encode()), INTEGRITY)


STEERING = "\x1b]0;owned\x07\x1b[2J\u202e\r\n"
ERRORS = {
    "refused": REFUSED,
    "temporary": TEMPORARY,
    "quota": QUOTA,
    "protocol": INTEGRITY,
    "suite": REFUSED,
}


@pytest.mark.parametrize("code", [*ERRORS, "no such code"])
def test_an_error_in_m2(victim: Victim, code: str) -> None:
    """It is not signed, so it is only a reason to give up."""
    said = {"status": "error", "code": code, "error": "why" + STEERING}
    codes = [ERRORS[code]] if code in ("temporary", "quota") else [REFUSED, INTEGRITY]
    attacked(victim, m2(lambda w: said), *codes)


# M4


def answer(change: Callable[[Server, Peer], Any]) -> type[Server]:
    return lying(answer=change)


def sealed(number: int = 0, aad: bytes | None = None) -> Callable[[Server, Peer], None]:
    def lie(self: Server, p: Peer) -> None:
        message = pqp.encode_message(pqp.REPLY, status=pqp.ACCEPTED, entries=[])
        ad = p.keys.th4 if aad is None else aad
        p.ws.send(pqp.CONTROL + p.keys.s_ctl.seal(number, message, ad))
        silence(p)

    return lie


def with_bytes(data: bytes | str) -> Callable[[Server, Peer], None]:
    def lie(self: Server, p: Peer) -> None:
        p.ws.send(data)
        silence(p)

    return lie


def with_message(message: bytes) -> Callable[[Server, Peer], None]:
    def lie(self: Server, p: Peer) -> None:
        p.send_bytes(message)
        silence(p)

    return lie


def reflected(self: Server, p: Peer) -> None:
    p.ws.send(pqp.CONTROL + p.keys.c_ctl.seal(0, b"", pqp.CONTROL))
    silence(p)


NOT_OPENING = {
    "noise": with_bytes(pqp.CONTROL + sha512(b"noise") * 3),
    "empty": with_bytes(b""),
    "only its kind": with_bytes(pqp.CONTROL),
    "text": with_bytes("accepted"),
    "M2 again": with_bytes('{"status":"ready"}'),
    "a part": with_bytes(pqp.Frame(0, 0, 0, 65536).encode() + bytes(65536)),
    "another number": sealed(1),
    "another aad": sealed(0, pqp.CONTROL),
    "under the client's key": reflected,
    "too long": with_bytes(pqp.CONTROL + bytes(131073)),
}
MALFORMED = {
    "an empty message": b"",
    "an unknown type": b"\x0a",
    "an ACK": pqp.encode_message(pqp.ACK, ranges=[], durable=0),
    "no status": b"\x02",
    "an unknown status": pqp.encode_fields(2, [(10, b"\3")]),
    "an unknown field": pqp.encode_fields(2, [(10, b"\0"), (22, b"")]),
    "fields out of order": pqp.encode_fields(2, [(18, b"m"), (10, b"\0")]),
    "an error without a code": pqp.encode_fields(2, [(10, b"\2"), (12, b"t")]),
    "nothing that was asked for": pqp.encode_message(2, status=0),
}


@pytest.mark.parametrize("what", NOT_OPENING)
def test_an_m4_that_does_not_open(victim: Victim, what: str) -> None:
    """Not from who signed the bundle."""
    attacked(victim, answer(NOT_OPENING[what]), REFUSED, INTEGRITY)


@pytest.mark.parametrize("what", MALFORMED)
def test_an_m4_that_breaks_the_protocol(victim: Victim, what: str) -> None:
    attacked(victim, answer(with_message(MALFORMED[what])), INTEGRITY)


CODES = {
    pqp.REFUSED: REFUSED,
    pqp.TEMPORARY: TEMPORARY,
    pqp.INTEGRITY: INTEGRITY,
    pqp.QUOTA: QUOTA,
    pqp.PROTOCOL: INTEGRITY,
    pqp.INTERNAL: 1,
    pqp.NAME: 2,
}


@pytest.mark.parametrize("code", CODES)
def test_an_error_in_m4(victim: Victim, code: int) -> None:
    def lie(self: Server, p: Peer) -> None:
        p.send(pqp.REPLY, status=pqp.FAILED, code=code, text="why" + STEERING)
        silence(p)

    attacked(victim, answer(lie), CODES[code])


# Nothing at all


def pinging(p: Peer) -> None:
    """Alive, and of no use."""
    while True:
        p.ws.ping(os.urandom(100))
        time.sleep(0.005)


def no_m2(self: Server, ws: Any) -> Peer:
    while True:
        ws.recv()


SILENT = {
    "after M1": lying(handshake=no_m2),
    "after M3": answer(lambda self, p: silence(p)),
    "but for pings": answer(lambda self, p: pinging(p)),
}


@pytest.mark.parametrize("what", SILENT)
def test_silence(victim: Victim, what: str) -> None:
    attacked(victim, SILENT[what], TEMPORARY, words=HASTE)
