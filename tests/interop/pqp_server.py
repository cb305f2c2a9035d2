"""A server of the transfer protocol, in memory, to try clients on.

Honest as it stands. A test that wants a liar overrides the method that is to lie: there is one for
every step. Sections named in the comments are those of docs/protocol.md.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import pqp
from identity import SUITES, PrivateIdentity, identity_id, verify
from pqp import BrokenProtocol, Channel, Frame, Message, Offer, Ranges, Share, demand
from pqx import Header, Manifest, tree_root
from primitives import PqxError, extract
from receipt import ReceiptLog

HANDLE, WINDOW = 0, 64
TURN = 20_000  # milliseconds that a place in the queue is said to take
PING = 0.1  # seconds between the pings of a client that waits


class Done(Exception):
    """The connection has served its purpose."""


def ranges_of(parts: set[int]) -> Ranges:
    """Ascending, disjoint, not adjacent."""
    ranges: list[tuple[int, int]] = []
    for i in sorted(parts):
        if ranges and sum(ranges[-1]) == i:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((i, 1))
    return ranges


@dataclass
class Stored:
    """An object, or as much of it as came."""

    header: Header
    dek: bytes
    parts: dict[int, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    receipt: bytes = b""

    def sealed(self) -> list[bytes]:
        return [self.parts[i] for i in range(len(self.parts))]


@dataclass
class Peer:
    """The server's end of a connection after M3."""

    ws: ServerConnection
    keys: Channel
    suite: int
    client_id: bytes
    request: Message
    sent: int = 0
    received: int = 0
    frames_sent: int = 0
    frames_received: int = 0

    def send_bytes(self, message: bytes) -> None:
        aad = self.keys.th4 if self.sent == 0 else pqp.CONTROL
        self.ws.send(pqp.CONTROL + self.keys.s_ctl.seal(self.sent, message, aad))
        self.sent += 1

    def send(self, kind: int, **fields: Any) -> None:
        self.send_bytes(pqp.encode_message(kind, **fields))

    def reply(self, **fields: Any) -> None:
        self.send(pqp.REPLY, status=pqp.ACCEPTED, **fields)

    def queued(self, position: int, **fields: Any) -> None:
        self.send(pqp.REPLY, status=pqp.QUEUED, position=position, **fields)

    def refuse(self, code: int, text: str) -> None:
        self.send(pqp.REPLY, status=pqp.FAILED, code=code, text=text)
        raise Done

    def part(self, i: int, sealed: bytes, final: bool, handle: int = 0) -> None:
        f = Frame(handle, i, self.frames_sent, len(sealed), final)
        self.ws.send(f.encode() + sealed)
        self.frames_sent += 1

    def recv(self) -> Message | tuple[Frame, bytes]:
        data = self.ws.recv()
        demand(isinstance(data, bytes), "text after the handshake")
        data = bytes(data)  # type: ignore[arg-type]
        if data[:1] == pqp.CONTROL:
            plain = self.keys.c_ctl.open(self.received, data[1:], pqp.CONTROL)
            self.received += 1
            return pqp.decode_message(plain)
        f, sealed, tag = Frame.decode(data[:32]), data[32:-16], data[-16:]
        demand(f.sequence == self.frames_received and f.length == len(sealed), "frame header")
        aad = f.encode() + pqp.leaf(self.suite, f.part, sealed)
        demand(self.keys.c_frame.seal(f.sequence, b"", aad) == tag, "frame tag")
        self.frames_received += 1
        return f, sealed


class Server:
    """Listens on a free port of 127.0.0.1 from the beginning; `end` ends it.

    slots: so many requests at once, the others wait in the order they came.
    """

    def __init__(self, me: PrivateIdentity, slots: int = 1_000) -> None:
        self.free = slots
        self.waiting: list[Peer] = []
        self.turn = threading.Condition()  # guards both
        self.me, self.suite = me, me.public.suite
        self.share = Share(self.suite)
        self.log = ReceiptLog(me)
        self.names: dict[str, Stored] = {}
        self.uploads: dict[bytes, Stored] = {}
        self.broken: list[str] = []  # what clients did wrong
        self._listener = serve(
            self._connection, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=1 << 26
        )
        self.address = "127.0.0.1:%d" % self._listener.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)
        self._thread.start()

    @property
    def id(self) -> bytes:
        return self.me.public.id

    def end(self) -> None:
        self._listener.shutdown()
        self._thread.join()

    def _connection(self, ws: ServerConnection) -> None:
        try:
            self.serve(self.handshake(ws))
        except (BrokenProtocol, PqxError) as e:
            self.broken.append(e.rule)
        except (Done, ConnectionClosed, ConnectionError, TimeoutError):
            pass

    # Handshake ("Handshake")

    def offer(self) -> Offer:
        now = int(time.time())
        return Offer(self.id, now, now + pqp.LIFE, [(self.suite, self.share.public)])

    def bundle(self) -> tuple[bytes, bytes, bytes]:
        """bundle, sig, server_pk"""
        bundle = self.offer().encode()
        return bundle, self.me.sign(bundle, b"pqx1 bundle"), self.me.public.sig_pk

    def m2(self) -> str | bytes:
        keys = dict(zip(("bundle", "sig", "server_pk"), map(pqp.b64, self.bundle()), strict=True))
        nonce = pqp.b64(os.urandom(32))
        return json.dumps({"status": "ready", "session_key": keys, "nonce": nonce})

    def hello(self, m1: str) -> None:
        """A client that does not offer our suite is none of ours."""
        demand(self.suite in pqp.parse_json(m1)["suites"], "M1")

    def handshake(self, ws: ServerConnection) -> Peer:
        m1 = ws.recv()
        demand(isinstance(m1, str), "M1")
        self.hello(str(m1))
        m2 = self.m2()
        ws.send(m2)
        m3 = ws.recv()
        demand(isinstance(m3, bytes) and m3[:2] == pqp.M3 + bytes([self.suite]), "M3")
        sent = m2.encode() if isinstance(m2, str) else m2
        return self.third(ws, str(m1).encode(), sent, bytes(m3))  # type: ignore[arg-type]

    def third(self, ws: ServerConnection, m1: bytes, m2: bytes, m3: bytes) -> Peer:
        ct, sealed = m3[2 : 2 + pqp.CT_LEN[self.suite]], m3[2 + pqp.CT_LEN[self.suite] :]
        th3 = pqp.transcript(self.suite, m1, m2, ct)
        prk = extract(th3, self.share.decapsulate(ct))
        plain = pqp.Key.derive(prk, b"pqx1 c hs").open(0, sealed, th3)
        s = SUITES[self.suite]
        pk, rest = plain[: s.sig_pk_len], plain[s.sig_pk_len :]
        sig, request = rest[: s.sig_len], rest[s.sig_len :]
        client_id = identity_id(pk)
        signed = pqp.client_auth(th3, self.id, client_id, request)
        demand(verify(self.suite, pk, sig, signed, b"pqx1 client auth"), "sigC")
        keys = Channel.derive(prk, th3, m3)
        message = pqp.decode_message(request)
        demand(message.type == pqp.REQUEST, "request")
        return Peer(ws, keys, self.suite, client_id, message)

    # Queue ("Queueing")

    def serve(self, p: Peer) -> None:
        self.admit(p)
        try:
            self.answer(p)
        finally:
            with self.turn:
                self.free += 1
                self.turn.notify_all()

    def admit(self, p: Peer) -> None:
        """Wait for a slot, telling the client its place; who has gone away loses it."""
        told = 0
        with self.turn:
            self.waiting.append(p)
            try:
                while (place := self.waiting.index(p) + 1 - self.free) > 0:
                    if place != told:
                        p.queued(place, text="busy", retry_after=place * TURN)
                        told = place
                    if not self.turn.wait(PING):
                        p.ws.ping()
                self.free -= 1
            finally:
                self.waiting.remove(p)
                self.turn.notify_all()

    # Requests

    def answer(self, p: Peer) -> None:
        match p.request.op:
            case pqp.PUT:
                self.put(p)
            case pqp.GET:
                self.get(p)
            case pqp.LIST:
                self.list(p)
            case pqp.RECEIPT_OF:
                x = self.find(p)
                p.reply(header=x.header.encode(), manifest=x.manifest, receipt=x.receipt)
            case pqp.DELETE:
                self.find(p)
                del self.names[p.request.name]
                p.reply()
            case _:
                p.refuse(pqp.REFUSED, "not here")

    def find(self, p: Peer) -> Stored:
        if p.request.name not in self.names:
            p.refuse(pqp.REFUSED, "no such object")
        return self.names[p.request.name]

    # Put ("Put")

    def begin(self, p: Peer) -> Stored:
        h, r = Header.decode(p.request.header), p.request
        demand(h.sender_id == p.client_id and h.file_id == r.file_id, "header")
        if r.dek is None:
            if h.file_id not in self.uploads:
                p.refuse(pqp.REFUSED, "no such upload")
            return self.uploads[h.file_id]
        demand(h.expected_commit(r.dek) == h.commit, "commit")
        self.uploads[h.file_id] = Stored(h, r.dek)
        return self.uploads[h.file_id]

    def put(self, p: Peer) -> None:
        x = self.begin(p)
        if x.receipt:
            p.reply(manifest=x.manifest, receipt=x.receipt)
            raise Done
        self.accept(p, x)
        while not isinstance(m := p.recv(), Message):
            self.part(p, x, *m)
        demand(m.type == pqp.COMMIT, "type of a message")
        self.commit(p, x, m.manifest)

    def accept(self, p: Peer, x: Stored) -> None:
        p.reply(handle=HANDLE, window=WINDOW, ranges=ranges_of(set(x.parts)), dek=x.dek)

    def durable(self, x: Stored) -> int:
        return next(i for i in range(len(x.parts) + 1) if i not in x.parts)

    def part(self, p: Peer, x: Stored, f: Frame, sealed: bytes) -> None:
        demand(f.handle == HANDLE and f.part < self.durable(x) + WINDOW, "frame")
        demand(x.parts.get(f.part, sealed) == sealed, "other bytes for a part held")
        x.parts[f.part] = sealed
        self.ack(p, x, f.part)

    def ack(self, p: Peer, x: Stored, i: int) -> None:
        p.send(pqp.ACK, ranges=[(i, 1)], durable=self.durable(x))

    def commit(self, p: Peer, x: Stored, manifest: bytes) -> None:
        m = Manifest.decode(manifest)
        m.check_signature(x.header)
        demand(m.root == tree_root(SUITES[self.suite].hash, x.sealed()), "manifest root")
        x.manifest, x.receipt = manifest, self.receipt(p, x, manifest)
        self.names[p.request.name] = x
        p.send(pqp.RECEIPT, manifest=manifest, receipt=x.receipt)

    def receipt(self, p: Peer, x: Stored, manifest: bytes) -> bytes:
        return self.log.issue(x.header, manifest, p.client_id, int(time.time())).encode()

    # Get ("Get")

    def get(self, p: Peer) -> None:
        x = self.find(p)
        self.describe(p, x)
        while isinstance(m := p.recv(), Message):
            demand(m.type == pqp.FETCH, "type of a message")
            self.fetch(p, x, m.ranges)

    def describe(self, p: Peer, x: Stored) -> None:
        size = Manifest.decode(x.manifest).plain_size
        about = {"header": x.header.encode(), "manifest": x.manifest, "receipt": x.receipt}
        p.reply(dek=x.dek, size=size, **about)

    def fetch(self, p: Peer, x: Stored, ranges: Ranges) -> None:
        for i in (i for first, count in ranges for i in range(first, first + count)):
            self.send_part(p, x, i)

    def send_part(self, p: Peer, x: Stored, i: int) -> None:
        p.part(i, x.parts[i], i == len(x.parts) - 1)

    # List ("List, stat, delete, receipt")

    def entries(self, prefix: str) -> Sequence[pqp.Entry]:
        found = [(n, x) for n, x in sorted(self.names.items()) if n.startswith(prefix)]
        sizes = [(n, x, Manifest.decode(x.manifest)) for n, x in found]
        return [pqp.Entry(m.plain_size, m.time, x.header.sender_id, n) for n, x, m in sizes]

    def list(self, p: Peer) -> None:
        p.reply(entries=self.entries(p.request.name))
