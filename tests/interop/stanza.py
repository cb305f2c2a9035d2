"""Stanzas: the DEK under each kind of key ("Key block" in docs/container.md).

A Lock makes a stanza, a Key opens one. Identities are both, in identity.py.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from primitives import expand, extract, require, sha512, u16, u32

XWING, P384_MLKEM1024, KEK, PASSPHRASE, RAW_KEY = 1, 2, 3, 4, 5
BODY_LENGTHS = {XWING: 1232, P384_MLKEM1024: 1777, KEK: 132, PASSPHRASE: 124, RAW_KEY: 112}
ARGON2_BOUNDS = ((8192, 1048576), (1, 16), (1, 16))  # m in KiB, t, p
END_TO_END = 1  # header flag


def wrap_keys(kind: int, ikm: bytes, h1: bytes, h2: bytes) -> tuple[bytes, bytes, bytes]:
    info = b"pqx1 wrap\0" + u16(kind) + sha512(h1) + sha512(h2)
    okm = expand(extract(b"pqx1 wrap", ikm), info, 76)
    return okm[:32], okm[32:44], okm[44:]


def wrap(kind: int, ikm: bytes, h1: bytes, h2: bytes, dek: bytes, hc: bytes) -> bytes:
    """`h1` and `h2` are what the table calls so, before hashing."""
    wk, iv, wc = wrap_keys(kind, ikm, h1, h2)
    return wc + AESGCM(wk).encrypt(iv, dek, hc)


def unwrap(kind: int, ikm: bytes, h1: bytes, h2: bytes, wrapped: bytes, hc: bytes) -> bytes | None:
    wk, iv, wc = wrap_keys(kind, ikm, h1, h2)
    if not hmac.compare_digest(wc, wrapped[:32]):
        return None
    try:
        return AESGCM(wk).decrypt(iv, wrapped[32:], hc)
    except InvalidTag:
        return None


@dataclass(frozen=True)
class Stanza:
    type: int
    body: bytes

    def encode(self) -> bytes:
        return u16(self.type) + u16(len(self.body)) + self.body


class Lock(Protocol):
    """Whoever a file is sealed for: PublicIdentity, Kek, Passphrase, RawKey."""

    def stanza(self, dek: bytes, hc: bytes) -> Stanza: ...


class Key(Protocol):
    """Whatever opens a file: PrivateIdentity, Kek, Passphrase, RawKey."""

    def dek_of(self, stanza: Stanza, hc: bytes) -> bytes | None: ...


@dataclass(frozen=True)
class Kek:
    kek_id: bytes
    version: int
    key: bytes

    def stanza(self, dek: bytes, hc: bytes) -> Stanza:
        salt, name = os.urandom(32), self.kek_id + u32(self.version)
        return Stanza(KEK, name + salt + wrap(KEK, self.key, name, salt, dek, hc))

    def dek_of(self, stanza: Stanza, hc: bytes) -> bytes | None:
        b, name = stanza.body, self.kek_id + u32(self.version)
        if stanza.type != KEK or b[:20] != name:
            return None
        return unwrap(KEK, self.key, name, b[20:52], b[52:], hc)


@dataclass(frozen=True)
class Passphrase:
    text: bytes
    m: int = 65536
    t: int = 3
    p: int = 4

    def _stretch(self, salt: bytes) -> bytes:
        kdf = Argon2id(salt=salt, length=32, iterations=self.t, lanes=self.p, memory_cost=self.m)
        return kdf.derive(self.text)

    def _costs(self) -> bytes:
        return u32(self.m) + u32(self.t) + u32(self.p)

    def stanza(self, dek: bytes, hc: bytes) -> Stanza:
        salt = os.urandom(32)
        wrapped = wrap(PASSPHRASE, self._stretch(salt), self._costs(), salt, dek, hc)
        return Stanza(PASSPHRASE, self._costs() + salt + wrapped)

    def dek_of(self, stanza: Stanza, hc: bytes) -> bytes | None:
        if stanza.type != PASSPHRASE:
            return None
        same = Passphrase(self.text, *struct.unpack(">III", stanza.body[:12]))
        salt, wrapped = stanza.body[12:44], stanza.body[44:]
        return unwrap(PASSPHRASE, same._stretch(salt), same._costs(), salt, wrapped, hc)


@dataclass(frozen=True)
class RawKey:
    key: bytes

    def stanza(self, dek: bytes, hc: bytes) -> Stanza:
        salt = os.urandom(32)
        return Stanza(RAW_KEY, salt + wrap(RAW_KEY, self.key, b"", salt, dek, hc))

    def dek_of(self, stanza: Stanza, hc: bytes) -> bytes | None:
        if stanza.type != RAW_KEY:
            return None
        return unwrap(RAW_KEY, self.key, b"", stanza.body[:32], stanza.body[32:], hc)


def check_stanzas(stanzas: Sequence[Stanza], flags: int) -> None:
    types = [s.type for s in stanzas]
    require(set(types) <= set(BODY_LENGTHS), "stanza type")
    require(all(len(s.body) == BODY_LENGTHS[s.type] for s in stanzas), "stanza length")
    require(PASSPHRASE not in types or len(types) == 1, "passphrase stanza not alone")
    require(KEK not in types or not flags & END_TO_END, "KEK stanza in an end-to-end file")
    for s in stanzas:
        if s.type == PASSPHRASE:
            costs = struct.unpack(">III", s.body[:12])
            in_bounds = all(lo <= x <= hi for x, (lo, hi) in zip(costs, ARGON2_BOUNDS, strict=True))
            require(in_bounds, "Argon2id bounds")
