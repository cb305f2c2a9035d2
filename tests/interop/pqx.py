"""The PQX container, version 1, in Python.

A second implementation, written from docs/container.md alone: it shares no code with the C one, so
that where the two agree the document is right. It keeps whole files in memory and makes no attempt
to be quick. Sections named in the comments are those of docs/container.md.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from identity import PrivateIdentity, identity_id, suite_of, verify
from primitives import (
    Cursor,
    L,
    PqxError,
    expand,
    extract,
    hmac32,
    require,
    sha512,
    u8,
    u16,
    u32,
    u64,
)
from stanza import END_TO_END, Key, Lock, Stanza, check_stanzas

MAGIC = b"\x89PQX\r\n\x1a\n"
HEADER_LEN = 128
BODY_OFFSET = 65536
KEY_BLOCK_MAX = BODY_OFFSET - HEADER_LEN
TRAILER_LEN = 8
UNKNOWN_SIZE = 2**64 - 1
UNSIGNED = bytes(32)
PART_SIZES = tuple(1 << b for b in range(16, 26))
MAX_PARTS = 2**32


# Header ("Core header")


@dataclass(frozen=True)
class Header:
    suite: int
    part_size: int
    plain_size: int
    flags: int
    file_id: bytes
    sender_id: bytes
    commit: bytes = bytes(32)
    version: int = 1
    magic: bytes = MAGIC

    def encode(self) -> bytes:
        fields = self.magic + u16(self.version) + u16(self.suite) + u32(self.part_size)
        fields += u64(self.plain_size) + u64(self.flags)
        return fields + self.file_id + self.sender_id + self.commit

    @staticmethod
    def decode(data: bytes) -> Header:
        c = Cursor(data, "header")
        magic, version, suite = c.take(8), c.uint(2), c.uint(2)
        sizes = c.uint(4), c.uint(8), c.uint(8)
        h = Header(suite, *sizes, c.take(32), c.take(32), c.take(32), version, magic)
        c.end()
        require(h.magic == MAGIC, "magic")
        require(h.version == 1, "version")
        suite_of(h.suite)
        require(h.part_size in PART_SIZES, "part_size")
        require(h.flags & ~END_TO_END == 0, "flags")
        require(h.plain_size == UNKNOWN_SIZE or h.parts() <= MAX_PARTS, "plain_size")
        return h

    def parts(self, plain_size: int | None = None) -> int:
        """n for a plaintext of that length, or of the length in the header."""
        size = self.plain_size if plain_size is None else plain_size
        return max(1, -(-size // capacity(self.part_size)))

    def expected_commit(self, dek: bytes) -> bytes:
        info = b"pqx1 commit\0" + self.encode()[:96]
        return expand(extract(self.file_id, dek), info, 32)

    def committed(self, dek: bytes) -> Header:
        return replace(self, commit=self.expected_commit(dek))

    @property
    def hc(self) -> bytes:
        return sha512(self.encode())


@dataclass(frozen=True)
class Keys:
    """All keys of one file."""

    dek: bytes
    hc: bytes
    part: bytes
    keyblock: bytes
    meta: bytes

    @staticmethod
    def derive(header: Header, dek: bytes) -> Keys:
        prk, hc = extract(header.file_id, dek), header.hc

        def key(label: bytes) -> bytes:
            return expand(prk, label + b"\0" + hc, 32)

        return Keys(dek, hc, key(b"pqx1 part"), key(b"pqx1 keyblock"), key(b"pqx1 meta"))


# Parts ("Parts")


def sealed_len(p: int) -> int:
    return 56 + p + 16 * (p // 16384 + 1)


def plain_len(sealed: int) -> int:
    """The inverse of sealed_len."""
    full, rest = divmod(sealed - 56, 16384 + 16)
    require(sealed >= sealed_len(0) and rest >= 16, "part length")
    return full * 16384 + rest - 16


def capacity(part_size: int) -> int:
    return plain_len(part_size)


def part_context(i: int, final: bool, length: int) -> bytes:
    return b"pqx1 part\0" + u64(i) + u8(final) + u32(length)


def seal_part(key: bytes, i: int, final: bool, plain: bytes) -> bytes:
    e = Cobblestone256Encryptor(key, part_context(i, final, len(plain)))
    return bytes(e.update(plain) + e.finalize())


def open_part(key: bytes, i: int, final: bool, sealed: bytes) -> bytes:
    d = Cobblestone256Decryptor(key, part_context(i, final, plain_len(len(sealed))))
    try:
        return bytes(d.update(sealed) + d.finalize())
    except (InvalidTag, ValueError):
        raise PqxError("part") from None


# Key block ("Key block"); its stanzas are in stanza.py


@dataclass(frozen=True)
class KeyBlock:
    generation: int
    stanzas: Sequence[Stanza]
    signed: bytes = b""  # all bytes before the mac, as read
    mac: bytes = b""

    def encode(self, keys: Keys) -> bytes:
        inner = u32(self.generation) + u8(len(self.stanzas)) + bytes(3)
        inner += b"".join(s.encode() for s in self.stanzas)
        signed = u32(len(inner) + 32) + inner
        return signed + hmac32(keys.keyblock, keys.hc + signed)

    @staticmethod
    def decode(data: bytes, flags: int) -> tuple[KeyBlock, int]:
        """Reads the block at the start of `data`: the block, and how many bytes it took."""
        length = 4 + Cursor(data, "key block").uint(4)
        require(length <= KEY_BLOCK_MAX, "key block length")
        c = Cursor(data[:length], "key block")
        c.uint(4)
        generation, count, reserved = c.uint(4), c.uint(1), c.take(3)
        require(generation >= 1, "generation")
        require(1 <= count <= 32, "stanza count")
        require(reserved == bytes(3), "key block reserved bytes")
        stanzas = [Stanza(c.uint(2), c.take(c.uint(2))) for _ in range(count)]
        signed, mac = c.taken(), c.take(32)
        c.end()
        check_stanzas(stanzas, flags)
        return KeyBlock(generation, stanzas, signed, mac), length

    def unlock(self, header: Header, key: Key) -> Keys:
        deks = (key.dek_of(s, header.hc) for s in self.stanzas)
        dek = next((d for d in deks if d is not None), None)
        if dek is None:
            raise PqxError("no stanza opens")
        require(hmac.compare_digest(header.expected_commit(dek), header.commit), "commit")
        keys = Keys.derive(header, dek)
        mac = hmac32(keys.keyblock, keys.hc + self.signed)
        require(hmac.compare_digest(mac, self.mac), "key block mac")
        return keys


# Content tree ("Content tree")


def tree_root(hash_: Callable[[bytes], bytes], entries: Sequence[bytes]) -> bytes:
    """The root over leaves H(00 | u64 i | entry i)."""
    return subtree(hash_, [hash_(b"\0" + u64(i) + e) for i, e in enumerate(entries)])


def subtree(hash_: Callable[[bytes], bytes], nodes: Sequence[bytes]) -> bytes:
    if len(nodes) < 2:
        return nodes[0] if nodes else hash_(b"")
    k = 1 << (len(nodes) - 1).bit_length() - 1
    return hash_(b"\1" + subtree(hash_, nodes[:k]) + subtree(hash_, nodes[k:]))


# Manifest ("Manifest")


@dataclass(frozen=True)
class Manifest:
    suite: int
    hc: bytes
    n: int
    plain_size: int
    root: bytes
    time: int
    auth: int
    sig_pk: bytes = b""
    proof: bytes = b""  # the signature, or the mac
    magic: bytes = b"pqxm"

    def body(self) -> bytes:
        """What is signed or authenticated."""
        fields = self.magic + u16(self.suite) + self.hc + u64(self.n) + u64(self.plain_size)
        fields += self.root + u64(self.time) + u8(self.auth)
        return fields + (L(self.sig_pk) if self.auth == 1 else b"")

    def encode(self) -> bytes:
        return self.body() + (L(self.proof) if self.auth == 1 else self.proof)

    def signed(self, signer: PrivateIdentity) -> Manifest:
        return replace(self, proof=signer.sign(self.body(), b"pqx1 manifest"))

    def authenticated(self, keys: Keys) -> Manifest:
        return replace(self, proof=hmac32(keys.meta, b"pqx1 manifest\0" + self.body()))

    @staticmethod
    def decode(data: bytes) -> Manifest:
        c = Cursor(data, "manifest")
        magic = c.take(4)
        require(magic == b"pqxm", "manifest magic")
        suite = suite_of(c.uint(2))
        hc, n, plain_size = c.take(64), c.uint(8), c.uint(8)
        root, when, auth = c.take(suite.hash_len), c.uint(8), c.uint(1)
        m = Manifest(suite.number, hc, n, plain_size, root, when, auth)
        require(m.auth in (0, 1), "manifest auth")
        if m.auth == 1:
            m = replace(m, sig_pk=c.block(), proof=c.block())
        else:
            m = replace(m, proof=c.take(32))
        c.end()
        return m

    def check_signature(self, header: Header) -> None:
        """What can be said without the DEK; what a receipt needs."""
        require(self.suite == header.suite, "manifest suite")
        require(self.hc == header.hc, "manifest HC")
        require((self.auth == 0) == (header.sender_id == UNSIGNED), "manifest auth")
        if self.auth == 1:
            require(identity_id(self.sig_pk) == header.sender_id, "sender_id")
            good = verify(self.suite, self.sig_pk, self.proof, self.body(), b"pqx1 manifest")
            require(good, "manifest signature")
        known = header.plain_size in (UNKNOWN_SIZE, self.plain_size)
        require(known and self.plain_size != UNKNOWN_SIZE, "manifest plain_size")
        require(self.n == header.parts(self.plain_size) <= MAX_PARTS, "manifest n")

    def check(self, header: Header, keys: Keys, plain_size: int, parts: Sequence[bytes]) -> None:
        if self.auth == 0 and header.sender_id == UNSIGNED:
            good = hmac.compare_digest(self.authenticated(keys).proof, self.proof)
            require(good, "manifest mac")
        self.check_signature(header)
        require(self.plain_size == plain_size, "manifest plain_size")
        require(self.root == tree_root(suite_of(self.suite).hash, parts), "manifest root")


# Files ("Layout")


@dataclass(frozen=True)
class Pieces:
    """A container taken apart, nothing decrypted."""

    header: Header
    key_block: KeyBlock
    parts: Sequence[bytes]
    manifest: bytes


def assemble(header: bytes, key_block: bytes, parts: Iterable[bytes], manifest: bytes) -> bytes:
    head = (header + key_block).ljust(BODY_OFFSET, b"\0")
    return head + b"".join(parts) + manifest + u32(len(manifest)) + b"PQXM"


def split(data: bytes) -> Pieces:
    require(len(data) >= BODY_OFFSET + TRAILER_LEN, "file truncated")
    header = Header.decode(data[:HEADER_LEN])
    key_block, length = KeyBlock.decode(data[HEADER_LEN:BODY_OFFSET], header.flags)
    require(not any(data[HEADER_LEN + length : BODY_OFFSET]), "padding")
    require(data[-4:] == b"PQXM", "trailer magic")
    manifest_len = int.from_bytes(data[-8:-4], "big")
    end = len(data) - TRAILER_LEN - manifest_len
    require(end >= BODY_OFFSET, "manifest length")
    parts = split_body(header, data[BODY_OFFSET:end])
    return Pieces(header, key_block, parts, data[end:-TRAILER_LEN])


def split_body(header: Header, body: bytes) -> list[bytes]:
    parts = [body[i : i + header.part_size] for i in range(0, len(body), header.part_size)]
    require(1 <= len(parts) <= MAX_PARTS, "number of parts")
    last = plain_len(len(parts[-1]))
    require(last > 0 or len(parts) == 1, "empty last part")
    if header.plain_size != UNKNOWN_SIZE:
        size = (len(parts) - 1) * capacity(header.part_size) + last
        require(size == header.plain_size, "body length")
    return parts


@dataclass(frozen=True)
class Opened:
    plaintext: bytes
    header: Header
    manifest: Manifest
    key_block: KeyBlock


def open_container(data: bytes, key: Key) -> Opened:
    p = split(data)
    keys = p.key_block.unlock(p.header, key)
    last = len(p.parts) - 1
    plain = b"".join(open_part(keys.part, i, i == last, c) for i, c in enumerate(p.parts))
    manifest = Manifest.decode(p.manifest)
    manifest.check(p.header, keys, len(plain), p.parts)
    return Opened(plain, p.header, manifest, p.key_block)


@dataclass
class Writer:
    """Seals files. One method per piece, so that a test can make any single one wrong."""

    locks: Sequence[Lock]
    suite: int = 1
    signer: PrivateIdentity | None = None
    part_size: int = 65536
    size_known: bool = True
    flags: int = 0
    generation: int = 1
    dek: bytes = field(default_factory=lambda: os.urandom(32))

    def header(self, plaintext: bytes) -> Header:
        sender = self.signer.public.id if self.signer else UNSIGNED
        size = len(plaintext) if self.size_known else UNKNOWN_SIZE
        return Header(self.suite, self.part_size, size, self.flags, os.urandom(32), sender)

    def commit(self, header: Header) -> Header:
        return header.committed(self.dek)

    def stanzas(self, keys: Keys) -> list[Stanza]:
        return [lock.stanza(self.dek, keys.hc) for lock in self.locks]

    def key_block(self, keys: Keys) -> bytes:
        return KeyBlock(self.generation, self.stanzas(keys)).encode(keys)

    def parts(self, keys: Keys, plaintext: bytes) -> list[bytes]:
        step = capacity(self.part_size)
        pieces = [plaintext[i : i + step] for i in range(0, len(plaintext), step)] or [b""]
        last = len(pieces) - 1
        return [seal_part(keys.part, i, i == last, p) for i, p in enumerate(pieces)]

    def manifest(self, keys: Keys, size: int, parts: Sequence[bytes]) -> Manifest:
        root = tree_root(suite_of(self.suite).hash, parts)
        pk = self.signer.public.sig_pk if self.signer else b""
        now, auth = int(time.time()), int(self.signer is not None)
        return Manifest(self.suite, keys.hc, len(parts), size, root, now, auth, pk)

    def prove(self, manifest: Manifest, keys: Keys) -> Manifest:
        return manifest.signed(self.signer) if self.signer else manifest.authenticated(keys)

    def encode_manifest(self, manifest: Manifest) -> bytes:
        return manifest.encode()

    def seal(self, plaintext: bytes) -> bytes:
        header = self.commit(self.header(plaintext))
        keys = Keys.derive(header, self.dek)
        parts = self.parts(keys, plaintext)
        manifest = self.prove(self.manifest(keys, len(plaintext), parts), keys)
        encoded = self.encode_manifest(manifest)
        return assemble(header.encode(), self.key_block(keys), parts, encoded)


def rewrite(
    data: bytes, key: Key, add: Sequence[Lock] = (), remove: Callable[[Stanza], bool] | None = None
) -> bytes:
    """Adds and removes stanzas: the key block changes, nothing else does."""
    p = split(data)
    keys = p.key_block.unlock(p.header, key)
    stanzas = [s for s in p.key_block.stanzas if remove is None or not remove(s)]
    stanzas += [lock.stanza(keys.dek, keys.hc) for lock in add]
    require(1 <= len(stanzas) <= 32, "stanza count")
    check_stanzas(stanzas, p.header.flags)
    block = KeyBlock(p.key_block.generation + 1, stanzas).encode(keys)
    return (data[:HEADER_LEN] + block).ljust(BODY_OFFSET, b"\0") + data[BODY_OFFSET:]
