"""The transfer protocol, version 1, in Python: its bytes. Connections are in pqp_client.py.

A second implementation, written from docs/protocol.md alone, as pqx.py is from docs/container.md:
where it and the C one agree the document is right. Sections named in the comments are those of
docs/protocol.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP384R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from identity import SUITES, identity_id, p384_point, verify
from primitives import Cursor, L, PqxError, expand, extract, sha512, u8, u16, u32, u64

CONTROL, DATA, M3 = b"\x10", b"\x20", b"\x03"
FRAME_HEADER_LEN, TAG_LEN = 32, 16
JSON_MAX = 16384
LIFE, SKEW = 60, 600  # seconds: of a bundle, and that a clock may be wrong

PUT, GET, LIST, STAT, DELETE, RECEIPT_OF = 1, 2, 3, 4, 5, 6  # op
ACCEPTED, QUEUED, FAILED = 0, 1, 2  # status
REFUSED, TEMPORARY, INTEGRITY, QUOTA, PROTOCOL, EXISTS, INTERNAL, SUITE, NAME = range(1, 10)  # code
REQUEST, REPLY, ACK, COMMIT, RECEIPT, FETCH, MORE, ENTRIES, ERROR = range(1, 10)  # message type


class BrokenProtocol(Exception):
    """The peer broke the protocol. `rule` names the rule, for tests."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"the peer broke the protocol: {rule}")
        self.rule = rule


def demand(holds: bool, rule: str) -> None:
    if not holds:
        raise BrokenProtocol(rule)


# Handshake KEMs ("Keys"; draft-ietf-tls-ecdhe-mlkem)


class Share:
    """The key pair a server offers in its bundle. X25519MLKEM768: ML-KEM first, in all three."""

    def __init__(self, suite: int) -> None:
        self.suite = suite
        if suite == 1:
            self._m768, self._x = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
            mlkem = self._m768.public_key().public_bytes_raw()
            self.public = mlkem + self._x.public_key().public_bytes_raw()
        else:
            self._m1024 = MLKEM1024PrivateKey.generate()
            self._ec = generate_private_key(SECP384R1())
            mlkem = self._m1024.public_key().public_bytes_raw()
            self.public = p384_point(self._ec.public_key()) + mlkem

    def decapsulate(self, ct: bytes) -> bytes:
        if self.suite == 1:
            ss = self._m768.decapsulate(ct[:1088])
            return ss + self._x.exchange(X25519PublicKey.from_public_bytes(ct[1088:]))
        point = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), ct[:97])
        return self._ec.exchange(ECDH(), point) + self._m1024.decapsulate(ct[97:])


SHARE_LEN = {1: 1184 + 32, 2: 97 + 1568}
CT_LEN = {1: 1088 + 32, 2: 97 + 1568}


def encapsulate(suite: int, share: bytes) -> tuple[bytes, bytes]:
    """(shared secret, ciphertext)"""
    demand(len(share) == SHARE_LEN[suite], "length of the KEM key")
    if suite == 1:
        ss, ct = MLKEM768PublicKey.from_public_bytes(share[:1184]).encapsulate()
        x = X25519PrivateKey.generate()
        ss += x.exchange(X25519PublicKey.from_public_bytes(share[1184:]))
        return ss, ct + x.public_key().public_bytes_raw()
    ec = generate_private_key(SECP384R1())
    ss, ct = MLKEM1024PublicKey.from_public_bytes(share[97:]).encapsulate()
    point = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), share[:97])
    return ec.exchange(ECDH(), point) + ss, p384_point(ec.public_key()) + ct


# Keys ("Keys")


@dataclass(frozen=True)
class Key:
    """An AES-256-GCM key and its iv, for messages with numbers."""

    key: bytes
    iv: bytes

    @staticmethod
    def derive(prk: bytes, label: bytes) -> Key:
        okm = expand(prk, label + b"\0", 44)
        return Key(okm[:32], okm[32:])

    def _nonce(self, number: int) -> bytes:
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + u64(number), strict=True))

    def seal(self, number: int, plaintext: bytes, aad: bytes) -> bytes:
        return AESGCM(self.key).encrypt(self._nonce(number), plaintext, aad)

    def open(self, number: int, sealed: bytes, aad: bytes) -> bytes:
        try:
            return AESGCM(self.key).decrypt(self._nonce(number), sealed, aad)
        except InvalidTag:
            raise BrokenProtocol("AEAD") from None


def transcript(suite: int, m1: bytes, m2: bytes, ct: bytes) -> bytes:
    """TH3"""
    return sha512(b"pqx1 handshake\0" + u8(suite) + L(m1) + L(m2) + L(ct))


def client_auth(th3: bytes, server_id: bytes, client_id: bytes, request: bytes) -> bytes:
    """What sigC signs."""
    return th3 + server_id + client_id + sha512(request)


@dataclass(frozen=True)
class Channel:
    """The keys of a connection, once M3 is there."""

    th4: bytes
    c_ctl: Key
    s_ctl: Key
    c_frame: Key

    @staticmethod
    def derive(prk_h: bytes, th3: bytes, m3: bytes) -> Channel:
        th4 = sha512(b"pqx1 app\0" + th3 + L(m3))
        prk = extract(th4, expand(prk_h, b"pqx1 derived\0", 64))
        labels = (b"pqx1 c ctl", b"pqx1 s ctl", b"pqx1 c frame")
        return Channel(th4, *(Key.derive(prk, label) for label in labels))


# The bundle, and M2 ("Handshake")


@dataclass(frozen=True)
class Offer:
    """The bundle a server signs every minute."""

    server_id: bytes
    not_before: int
    not_after: int
    shares: Sequence[tuple[int, bytes]]
    version: int = 1
    minimum: int = 1

    def encode(self) -> bytes:
        fixed = u16(self.version) + u16(self.minimum) + self.server_id
        fixed += u64(self.not_before) + u64(self.not_after) + u8(len(self.shares))
        return fixed + b"".join(u8(suite) + L(share) for suite, share in self.shares)

    @staticmethod
    def decode(data: bytes) -> Offer:
        c = Cursor(data, "bundle")
        version, minimum, server_id = c.uint(2), c.uint(2), c.take(32)
        dates, count = (c.uint(8), c.uint(8)), c.uint(1)
        demand(count in (1, 2), "number of keys in the bundle")
        shares = [(c.uint(1), c.block()) for _ in range(count)]
        c.end()
        return Offer(server_id, *dates, shares, version, minimum)

    def check(self, pk: bytes, sig: bytes, pinned: bytes, suite: int, now: float) -> bytes:
        """In the order of the document. Returns the KEM key of the suite."""
        demand(identity_id(pk) == self.server_id, "server_pk is not server_id's")
        demand(self.server_id == pinned, "not the pinned server")
        signers = [s.number for s in SUITES.values() if s.sig_pk_len == len(pk)]
        good = signers and verify(signers[0], pk, sig, self.encode(), b"pqx1 bundle")
        demand(bool(good), "signature of the bundle")
        demand(self.not_after - self.not_before == LIFE, "dates of the bundle")
        demand(self.not_before - SKEW <= now <= self.not_after + SKEW, "dates of the bundle")
        demand(self.minimum <= 1 <= self.version, "version")
        found = [share for number, share in self.shares if number == suite]
        demand(len(found) == 1 and signers == [suite], "suite")
        return found[0]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: Any) -> bytes:
    demand(isinstance(text, str), "base64")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise BrokenProtocol("base64") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    demand(len({k for k, _ in pairs}) == len(pairs), "a key twice")
    return dict(pairs)


def parse_json(text: str) -> dict[str, Any]:
    demand(len(text.encode()) <= JSON_MAX, "length of the JSON")
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        raise BrokenProtocol("JSON") from None
    demand(isinstance(value, dict), "JSON")
    return value  # type: ignore[no-any-return]


def exactly(value: Any, *keys: str) -> list[Any]:
    demand(isinstance(value, dict) and set(value) == set(keys), "keys of the JSON")
    return [value[k] for k in keys]


# Control messages ("Messages after the handshake")


@dataclass(frozen=True)
class Entry:
    size: int
    time: int
    owner: bytes
    name: str

    def encode(self) -> bytes:
        return u64(self.size) + u64(self.time) + self.owner + L(self.name.encode())


Ranges = Sequence[tuple[int, int]]  # (first, count)

Rule = tuple[str, str]  # the fields that must be there, the fields that may be
OF_A_NAME: Rule = ("op name", "file_id traceparent")
REQUESTS: dict[int, Rule] = {
    PUT: ("op name size file_id header", "dek keyblock traceparent"),
    GET: OF_A_NAME,
    LIST: ("op name", "traceparent cursor"),
    STAT: OF_A_NAME,
    DELETE: OF_A_NAME,
    RECEIPT_OF: OF_A_NAME,
}
REPLIES: dict[int, Rule] = {
    ACCEPTED: (
        "status",
        "size header dek keyblock ranges handle window manifest receipt entries cursor",
    ),
    QUEUED: ("status position", "text retry_after"),
    FAILED: ("status code text", "retry_after"),
}
OTHERS: dict[int, Rule] = {
    ACK: ("ranges durable", ""),
    COMMIT: ("manifest", ""),
    RECEIPT: ("manifest receipt", ""),
    FETCH: ("ranges", ""),
    MORE: ("cursor", ""),
    ENTRIES: ("entries", "cursor"),
    ERROR: ("code text", "retry_after"),
}
UINTS = {"op": 1, "status": 1, "code": 1} | {"size": 8, "durable": 8}
UINTS |= {"retry_after": 4, "position": 4, "handle": 4, "window": 4}
FIXED = {"file_id": 32, "header": 128, "dek": 32, "traceparent": 55}
AT_MOST = {"keyblock": 65408, "manifest": 8192, "receipt": 8192, "cursor": 4096}
TEXTS = {"name": 4096, "text": 512}
MAX_RANGES, MAX_ENTRIES, MAX_WINDOW, MAX_PARTS = 4096, 65536, 4096, 2**32
TAGS = dict(
    enumerate(
        "op name size file_id header dek keyblock traceparent ranges status code text retry_after"
        " position handle window durable manifest receipt entries cursor".split(),
        1,
    )
)
NUMBERS = {name: tag for tag, name in TAGS.items()}


def encode_ranges(ranges: Ranges) -> bytes:
    return b"".join(u64(first) + u64(count) for first, count in ranges)


def decode_ranges(data: bytes) -> Ranges:
    demand(len(data) % 16 == 0 and len(data) <= 16 * MAX_RANGES, "length of ranges")
    c, ranges = Cursor(data, "ranges"), []
    while c.left():
        ranges.append((c.uint(8), c.uint(8)))
        demand(ranges[-1][1] >= 1 and sum(ranges[-1]) < 2**64, "count of a range")
    for (first, count), (after, _) in zip(ranges, ranges[1:], strict=False):
        demand(first + count < after, "order of ranges")
    return ranges


def decode_entries(data: bytes) -> list[Entry]:
    demand(len(data) <= MAX_ENTRIES, "length of entries")
    c, entries = Cursor(data, "entries"), []
    while c.left():
        entries.append(Entry(c.uint(8), c.uint(8), c.take(32), c.block().decode()))
    return entries


def encode_value(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):  # as it is, however wrong
        return value
    if name in UINTS:
        return int(value).to_bytes(UINTS[name], "big")
    if name == "ranges":
        return encode_ranges(value)
    if name == "entries":
        return b"".join(e.encode() for e in value)
    return str(value).encode()


BOUNDS = {"op": (1, 6), "status": (0, 2), "code": (1, 9)}
BOUNDS |= {"window": (1, MAX_WINDOW), "durable": (0, MAX_PARTS)}


def decode_uint(name: str, value: bytes) -> int:
    demand(len(value) == UINTS[name], f"length of {name}")
    number = int.from_bytes(value, "big")
    low, high = BOUNDS.get(name, (0, number))
    demand(low <= number <= high, f"value of {name}")
    return number


def decode_value(name: str, value: bytes) -> Any:
    if name in UINTS:
        return decode_uint(name, value)
    if name == "ranges":
        return decode_ranges(value)
    if name == "entries":
        return decode_entries(value)
    if name in FIXED:
        demand(len(value) == FIXED[name], f"length of {name}")
        return value
    demand(len(value) <= (AT_MOST | TEXTS)[name], f"length of {name}")
    demand(len(value) > 0 or name in TEXTS, f"length of {name}")
    demand(name not in TEXTS or 0 not in value, f"NUL in {name}")
    return value.decode() if name in TEXTS else value


@dataclass(frozen=True)
class Message:
    """A control message. Its fields are attributes; what was not sent is None."""

    type: int
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name not in NUMBERS:
            raise AttributeError(name)
        return self.fields.get(name)


def encode_fields(kind: int, fields: Sequence[tuple[int, bytes]]) -> bytes:
    """Any tags in any order, for tests that need them wrong."""
    return u8(kind) + b"".join(u8(tag) + L(value) for tag, value in fields)


def encode_message(kind: int, **fields: Any) -> bytes:
    tagged = [(NUMBERS[k], encode_value(k, v)) for k, v in fields.items() if v is not None]
    return encode_fields(kind, sorted(tagged))


def decode_message(data: bytes) -> Message:
    try:
        return _decode_message(data)
    except PqxError as e:
        raise BrokenProtocol(e.rule) from None
    except UnicodeDecodeError:
        raise BrokenProtocol("UTF-8") from None


def rule_of(kind: int, fields: dict[str, Any]) -> Rule:
    if kind in OTHERS:
        return OTHERS[kind]
    choices, by = (REQUESTS, "op") if kind == REQUEST else (REPLIES, "status")
    demand(by in fields, "a field is missing")
    return choices[fields[by]]


def _decode_message(data: bytes) -> Message:
    c = Cursor(data, "message")
    kind, last, fields = c.uint(1), 0, {}
    demand(kind in (REQUEST, REPLY, *OTHERS), "type of a message")
    while c.left():
        tag, value = c.uint(1), c.block()
        demand(tag in TAGS, "unknown tag")
        demand(tag > last, "order of tags")
        last, fields[TAGS[tag]] = tag, decode_value(TAGS[tag], value)
    must, may = (set(names.split()) for names in rule_of(kind, fields))
    demand(must <= set(fields), "a field is missing")
    demand(set(fields) <= must | may, "a field too many")
    return Message(kind, fields)


# Data ("Messages after the handshake")


@dataclass(frozen=True)
class Frame:
    """The 32 bytes before a part."""

    handle: int
    part: int
    sequence: int
    length: int
    final: bool = False

    def encode(self) -> bytes:
        fixed = DATA + u8(self.final) + bytes(2) + u32(self.handle) + u64(self.part)
        return fixed + u64(self.sequence) + u32(self.length) + bytes(4)

    @staticmethod
    def decode(data: bytes) -> Frame:
        c = Cursor(data, "frame header")
        kind, flags, zeros = c.take(1), c.uint(1), c.take(2)
        f = Frame(c.uint(4), c.uint(8), c.uint(8), c.uint(4), bool(flags & 1))
        demand(kind == DATA and flags < 2 and zeros + c.take(4) == bytes(6), "frame header")
        return f


def leaf(suite: int, part: int, sealed: bytes) -> bytes:
    return SUITES[suite].hash(b"\0" + u64(part) + sealed)
