"""Receipts, the log they are taken from, and the bundle they are handed out in ("Receipt")."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace

from identity import SUITES, PrivateIdentity, identity_id, suite_of, verify
from pqx import HEADER_LEN, Header, Manifest, tree_root
from primitives import Cursor, L, PqxError, require, sha512, u16, u64


@dataclass(frozen=True)
class Receipt:
    suite: int
    hc: bytes
    manifest_hash: bytes
    server_id: bytes
    client_id: bytes
    time: int
    log_index: int
    log_root: bytes
    server_pk: bytes
    signature: bytes = b""

    def entry(self) -> bytes:
        """What goes into the log: everything up to and including `time`."""
        fields = b"pqxr" + u16(self.suite) + self.hc + self.manifest_hash
        return fields + self.server_id + self.client_id + u64(self.time)

    def body(self) -> bytes:
        return self.entry() + u64(self.log_index) + L(self.log_root) + L(self.server_pk)

    def encode(self) -> bytes:
        return self.body() + L(self.signature)

    @staticmethod
    def decode(data: bytes) -> Receipt:
        c = Cursor(data, "receipt")
        require(c.take(4) == b"pqxr", "receipt magic")
        suite = suite_of(c.uint(2))
        hashes, ids = (c.take(64), c.take(64)), (c.take(32), c.take(32))
        numbers = c.uint(8), c.uint(8)
        r = Receipt(suite.number, *hashes, *ids, *numbers, c.block(), c.block(), c.block())
        c.end()
        require(len(r.log_root) == suite.hash_len, "log root length")
        return r


@dataclass
class ReceiptLog:
    """A server's log: it issues receipts, and every receipt's root covers those before it."""

    server: PrivateIdentity
    entries: list[bytes] = field(default_factory=list)

    def issue(self, header: Header, manifest: bytes, client_id: bytes, now: int) -> Receipt:
        suite, pk = self.server.public.suite, self.server.public.sig_pk
        hashes, ids = (header.hc, sha512(manifest)), (self.server.public.id, client_id)
        r = Receipt(suite, *hashes, *ids, now, len(self.entries), b"", pk)
        self.entries.append(sha512(r.entry()))
        r = replace(r, log_root=tree_root(SUITES[suite].hash, self.entries))
        return replace(r, signature=self.server.sign(r.body(), b"pqx1 receipt"))


@dataclass(frozen=True)
class Bundle:
    """A receipt and what it speaks of."""

    header: Header
    manifest: bytes
    receipt: bytes

    def to_pem(self) -> str:
        blob = self.header.encode() + L(self.manifest) + L(self.receipt)
        text = base64.b64encode(blob).decode()
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PQC RECEIPT-----", *lines, "-----END PQC RECEIPT-----", ""])

    @staticmethod
    def from_pem(pem: str) -> Bundle:
        found = re.search(r"-----BEGIN PQC RECEIPT-----(.*?)-----END PQC RECEIPT-----", pem, re.S)
        if found is None:
            raise PqxError("receipt PEM")
        try:
            blob = base64.b64decode("".join(found[1].split()), validate=True)
        except ValueError:
            raise PqxError("receipt base64") from None
        c = Cursor(blob, "receipt bundle")
        bundle = Bundle(Header.decode(c.take(HEADER_LEN)), c.block(), c.block())
        c.end()
        return bundle

    def verify(self, server_id: bytes) -> Receipt:
        r, m = Receipt.decode(self.receipt), Manifest.decode(self.manifest)
        good = verify(r.suite, r.server_pk, r.signature, r.body(), b"pqx1 receipt")
        require(good, "receipt signature")
        require(identity_id(r.server_pk) == r.server_id == server_id, "server_id")
        require(m.auth == 1, "manifest auth")
        m.check_signature(self.header)
        require(r.hc == self.header.hc, "receipt HC")
        require(r.manifest_hash == sha512(self.manifest), "receipt manifest hash")
        return r
