"""A client of the transfer protocol: connections, and one method for every request.

Sections named in the comments are those of docs/protocol.md. Everything a test wants to get wrong
is a method of Hello to override, or a parameter of Session.part.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

import pqp
from identity import PrivateIdentity
from pqp import Channel, Frame, Message, Offer, demand
from pqx import Header, Keys, Manifest, Writer, open_part, plain_len
from primitives import extract, u8
from receipt import Bundle, Receipt
from stanza import Lock

PATIENCE = 20.0  # seconds for any one answer
FETCH_PARTS = 64


class Closed(Exception):
    """The peer ended the connection."""


class Failed(Exception):
    """The server said no: in a reply, in an ERROR, or in the JSON of the handshake."""

    def __init__(self, code: int | str, text: str, retry_after: int | None = None) -> None:
        super().__init__(f"code {code}: {text}")
        self.code, self.text, self.retry_after = code, text, retry_after

    @property
    def answer(self) -> tuple[int | str, str, int | None]:
        return self.code, self.text, self.retry_after


# Connections


class Wire(Protocol):
    """Whole messages. recv raises Closed or TimeoutError."""

    def send(self, message: str | bytes) -> None: ...
    def recv(self, timeout: float = PATIENCE) -> str | bytes: ...
    def close(self) -> None: ...


class WebSocket:
    """A Wire over the websockets package."""

    def __init__(self, address: str) -> None:
        options: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}
        limits: dict[str, Any] = {"max_size": 1 << 26, "open_timeout": PATIENCE}
        self._open = ExitStack()
        try:
            ws = connect(f"ws://{address}/", close_timeout=1, **options, **limits)
            self._ws: ClientConnection = self._open.enter_context(ws)
        except (InvalidHandshake, OSError, EOFError) as e:
            raise Closed(str(e)) from None

    def send(self, message: str | bytes) -> None:
        try:
            self._ws.send(message)
        except ConnectionClosed as e:
            raise Closed(str(e)) from None

    def recv(self, timeout: float = PATIENCE) -> str | bytes:
        try:
            message = self._ws.recv(timeout)
        except ConnectionClosed as e:
            raise Closed(str(e)) from None
        return message if isinstance(message, str) else bytes(message)

    def close(self) -> None:
        self._open.close()


# Handshake ("Handshake")


class Hello:
    """The client's side of the handshake. One method per piece, to make one wrong."""

    def __init__(self, me: PrivateIdentity, server_id: bytes) -> None:
        self.me, self.server_id = me, server_id
        self.suite = me.public.suite

    def m1(self) -> str:
        words = {"action": "transfer_file", "v": 1, "suites": [self.suite]}
        return json.dumps(words | {"nonce": pqp.b64(os.urandom(32))})

    def offer(self, m2: str) -> tuple[Offer, bytes]:
        """What M2 offers, checked, and the KEM key in it."""
        words = pqp.parse_json(m2)
        if words.get("status") == "error":
            raise Failed(*pqp.exactly(words, "status", "code", "error")[1:])
        _, keys, nonce = pqp.exactly(words, "status", "session_key", "nonce")
        demand(words["status"] == "ready" and len(pqp.unb64(nonce)) == 32, "M2")
        bundle, sig, pk = map(pqp.unb64, pqp.exactly(keys, "bundle", "sig", "server_pk"))
        offer = Offer.decode(bundle)
        return offer, offer.check(pk, sig, self.server_id, self.suite, time.time())

    def client_pk(self) -> bytes:
        return self.me.public.sig_pk

    def signature(self, th3: bytes, request: bytes) -> bytes:
        signed = pqp.client_auth(th3, self.server_id, self.me.public.id, request)
        return self.me.sign(signed, b"pqx1 client auth")

    def sealed(self, key: pqp.Key, th3: bytes, request: bytes) -> bytes:
        plain = self.client_pk() + self.signature(th3, request) + request
        return key.seal(0, plain, th3)

    def encapsulate(self, share: bytes) -> tuple[bytes, bytes]:
        return pqp.encapsulate(self.suite, share)

    def m3(self, ct: bytes, sealed: bytes) -> bytes:
        return pqp.M3 + u8(self.suite) + ct + sealed

    def finish(self, m1: str, m2: str, request: bytes) -> tuple[bytes, Channel]:
        """M3, and the keys that follow from it."""
        _, share = self.offer(m2)
        ss, ct = self.encapsulate(share)
        th3 = pqp.transcript(self.suite, m1.encode(), m2.encode(), ct)
        prk = extract(th3, ss)
        m3 = self.m3(ct, self.sealed(pqp.Key.derive(prk, b"pqx1 c hs"), th3, request))
        return m3, Channel.derive(prk, th3, m3)


# After the handshake ("Messages after the handshake")


@dataclass(frozen=True)
class Part:
    """A data frame from the server."""

    frame: Frame
    sealed: bytes


@dataclass
class Session:
    """A connection after M3. Numbers count by themselves unless a test gives others."""

    wire: Wire
    keys: Channel
    suite: int
    sent: int = 0  # control messages
    received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    reply: Message = field(default_factory=lambda: Message(pqp.REPLY, {}))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def read_reply(self) -> Message:
        """M4: after it the session is open. Failed when the server says no."""
        m4 = self.wire.recv()
        demand(isinstance(m4, bytes) and m4[:1] == pqp.CONTROL, "M4")
        plain = self.keys.s_ctl.open(0, m4[1:], self.keys.th4)  # type: ignore[arg-type]
        self.received, self.reply = 1, pqp.decode_message(plain)
        demand(self.reply.type == pqp.REPLY, "M4")
        if self.reply.status == pqp.FAILED:
            raise Failed(self.reply.code, self.reply.text, self.reply.retry_after)
        demand(self.reply.status == pqp.ACCEPTED, "status")
        return self.reply

    def send_bytes(self, message: bytes, aad: bytes = pqp.CONTROL) -> None:
        self.wire.send(pqp.CONTROL + self.keys.c_ctl.seal(self.sent, message, aad))
        self.sent += 1

    def send(self, kind: int, **fields: Any) -> None:
        self.send_bytes(pqp.encode_message(kind, **fields))

    def frame(self, i: int, sealed: bytes, final: bool, **other: int) -> Frame:
        f = Frame(self.reply.handle, i, self.frames_sent, len(sealed), final)
        return replace(f, **other)  # type: ignore[arg-type]

    def tag(self, f: Frame, sealed: bytes) -> bytes:
        aad = f.encode() + pqp.leaf(self.suite, f.part, sealed)
        return self.keys.c_frame.seal(f.sequence, b"", aad)

    def part(self, i: int, sealed: bytes, final: bool, **other: int) -> None:
        """`other`: fields of the frame header to be wrong, under a tag that fits."""
        f = self.frame(i, sealed, final, **other)
        self.wire.send(f.encode() + sealed + self.tag(f, sealed))
        self.frames_sent += 1

    def recv(self, timeout: float = PATIENCE) -> Message | Part:
        data = self.wire.recv(timeout)
        demand(isinstance(data, bytes), "text after the handshake")
        assert isinstance(data, bytes)
        if data[:1] == pqp.DATA:
            f, sealed = Frame.decode(data[:32]), data[32:]
            demand(f.sequence == self.frames_received, "sequence")
            demand(f.length == len(sealed) and f.handle == (self.reply.handle or 0), "frame")
            self.frames_received += 1
            return Part(f, sealed)
        demand(data[:1] == pqp.CONTROL, "kind of a message")
        plain = self.keys.s_ctl.open(self.received, data[1:], pqp.CONTROL)
        self.received += 1
        message = pqp.decode_message(plain)
        if message.type == pqp.ERROR:
            raise Failed(message.code, message.text, message.retry_after)
        return message

    def recv_type(self, kind: int) -> Message:
        message = self.recv()
        demand(isinstance(message, Message) and message.type == kind, "type of a message")
        assert isinstance(message, Message)
        return message


# Requests


class Upload:
    """An object as its owner makes it, in memory."""

    def __init__(
        self,
        owner: PrivateIdentity,
        plain: bytes,
        locks: Sequence[Lock] = (),
        writer: type[Writer] = Writer,
        **options: Any,
    ) -> None:
        self.owner, self.plain = owner, plain
        suite = options.pop("suite", owner.public.suite)
        w = writer(locks or [owner.public], suite, owner, **options)
        self.header = w.commit(w.header(plain))
        self.keys = Keys.derive(self.header, w.dek)
        self.key_block = w.key_block(self.keys)
        self.parts = w.parts(self.keys, plain)
        manifest = w.manifest(self.keys, len(plain), self.parts)
        self.manifest = w.encode_manifest(w.prove(manifest, self.keys))

    def fields(self, **other: Any) -> dict[str, Any]:
        """Those of a put, beside the name."""
        h = self.header
        first = {"size": h.plain_size, "file_id": h.file_id, "header": h.encode()}
        return first | {"dek": self.keys.dek, "keyblock": self.key_block} | other

    def resume_fields(self) -> dict[str, Any]:
        return self.fields(dek=None, keyblock=None)

    def final(self, i: int) -> bool:
        return i == len(self.parts) - 1

    def send_part(self, s: Session, i: int, **other: int) -> None:
        s.part(i, self.parts[i], self.final(i), **other)

    def receipt(self, m: Message, server_id: bytes) -> Bundle:
        """The receipt in a message, verified."""
        demand(m.manifest == self.manifest, "receipt for another manifest")
        bundle = Bundle(self.header, m.manifest, m.receipt)
        bundle.verify(server_id)
        return bundle


@dataclass
class Held:
    """Which parts the server has acknowledged."""

    parts: set[int] = field(default_factory=set)
    durable: int = 0

    def add(self, ranges: Iterable[tuple[int, int]]) -> None:
        for first, count in ranges:
            fresh = set(range(first, first + count))
            demand(not fresh & self.parts, "a part acknowledged twice")
            self.parts |= fresh

    def lowest_missing(self) -> int:
        return next(i for i in range(len(self.parts) + 1) if i not in self.parts)

    def take(self, m: Message | Part) -> None:
        demand(isinstance(m, Message) and m.type == pqp.ACK, "ACK expected")
        assert isinstance(m, Message)
        demand(m.durable >= self.durable, "durable shrank")
        self.add(m.ranges)
        self.durable = m.durable
        demand(self.durable <= self.lowest_missing(), "durable above what was acknowledged")


@dataclass(frozen=True)
class Download:
    header: Header
    manifest: bytes = field(repr=False)
    receipt: bytes = field(repr=False)
    plain: bytes = field(repr=False)


@dataclass(frozen=True)
class Client:
    address: str
    server_id: bytes
    me: PrivateIdentity
    hello: type[Hello] = Hello

    def ask_bytes(self, request: bytes) -> Session:
        """The handshake up to and including M3."""
        wire, hello = WebSocket(self.address), self.hello(self.me, self.server_id)
        try:
            m1 = hello.m1()
            wire.send(m1)
            m2 = wire.recv()
            demand(isinstance(m2, str), "M2")
            m3, keys = hello.finish(m1, str(m2), request)
            wire.send(m3)
        except BaseException:
            wire.close()
            raise
        return Session(wire, keys, self.me.public.suite)

    def ask(self, op: int, **fields: Any) -> Session:
        session = self.ask_bytes(pqp.encode_message(pqp.REQUEST, op=op, **fields))
        try:
            session.read_reply()
        except BaseException:
            session.wire.close()
            raise
        return session

    def begin(self, name: str, u: Upload, **other: Any) -> Session:
        return self.ask(pqp.PUT, name=name, **u.fields(**other))

    def resume(self, name: str, u: Upload) -> Session:
        return self.ask(pqp.PUT, name=name, **u.resume_fields())

    def put(self, name: str, u: Upload, order: Iterable[int] | None = None) -> Bundle:
        with self.begin(name, u) as s:
            return self.finish(s, u, order)

    def finish(self, s: Session, u: Upload, order: Iterable[int] | None = None) -> Bundle:
        """What is not held, then the rest of a put ("Put")."""
        held = Held()
        held.add(s.reply.ranges)
        for i in range(len(u.parts)) if order is None else order:
            if i in held.parts:
                continue
            while i >= held.lowest_missing() + s.reply.window:
                held.take(s.recv())
            u.send_part(s, i)
        return self.commit(s, u, held)

    def commit(self, s: Session, u: Upload, held: Held | None = None) -> Bundle:
        s.send(pqp.COMMIT, manifest=u.manifest)
        while True:
            m = s.recv()
            if isinstance(m, Message) and m.type == pqp.RECEIPT:
                return u.receipt(m, self.server_id)
            if held is not None:
                held.take(m)

    def open(self, name: str, **fields: Any) -> Session:
        return self.ask(pqp.GET, name=name, **fields)

    def get(self, name: str, **fields: Any) -> Download:
        with self.open(name, **fields) as s:
            header = Header.decode(s.reply.header)
            demand(header.expected_commit(s.reply.dek) == header.commit, "commit")
            keys, manifest = Keys.derive(header, s.reply.dek), Manifest.decode(s.reply.manifest)
            manifest.check_signature(header)
            parts = list(fetch_all(s, header, manifest.n))
        last = manifest.n - 1
        plain = b"".join(open_part(keys.part, i, i == last, p) for i, p in enumerate(parts))
        demand(s.reply.size == len(plain), "size")
        manifest.check(header, keys, len(plain), parts)
        receipt = Receipt.decode(s.reply.receipt)
        Bundle(header, s.reply.manifest, s.reply.receipt).verify(self.server_id)
        demand(receipt.client_id == header.sender_id, "client_id")
        return Download(header, s.reply.manifest, s.reply.receipt, plain)

    def list(self, prefix: str = "") -> list[pqp.Entry]:
        return [e for page in self.pages(prefix) for e in page]

    def pages(self, prefix: str) -> Iterator[Sequence[pqp.Entry]]:
        with self.ask(pqp.LIST, name=prefix) as s:
            page = s.reply
            yield page.entries
            while page.cursor is not None:
                s.send(pqp.MORE, cursor=page.cursor)
                page = s.recv_type(pqp.ENTRIES)
                yield page.entries

    def stat(self, name: str) -> Message:
        with self.ask(pqp.STAT, name=name) as s:
            Manifest.decode(s.reply.manifest).check_signature(Header.decode(s.reply.header))
            return s.reply

    def delete(self, name: str) -> None:
        with self.ask(pqp.DELETE, name=name):
            pass

    def receipt(self, name: str) -> Bundle:
        with self.ask(pqp.RECEIPT_OF, name=name) as s:
            b = Bundle(Header.decode(s.reply.header), s.reply.manifest, s.reply.receipt)
            b.verify(self.server_id)
            return b


def fetch_all(s: Session, header: Header, n: int) -> Iterator[bytes]:
    for first in range(0, n, FETCH_PARTS):
        count = min(FETCH_PARTS, n - first)
        s.send(pqp.FETCH, ranges=[(first, count)])
        for i in range(first, first + count):
            got = s.recv()
            demand(isinstance(got, Part), "a part expected")
            assert isinstance(got, Part)
            demand(got.frame.part == i and got.frame.final == (i == n - 1), "part")
            demand(len(got.sealed) == header.part_size or i == n - 1, "length of a part")
            plain_len(len(got.sealed))
            yield got.sealed
