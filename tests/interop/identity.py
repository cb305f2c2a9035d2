"""Suites and identities: signature and KEM key pairs ("Suites" in docs/container.md).

The lattice schemes are those of the cryptography package; only their combinations are made here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
    MLDSA87PrivateKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from primitives import Cursor, PqxError, require, sha512, u8
from stanza import P384_MLKEM1024, XWING, Stanza, unwrap, wrap

COMPOSITE_LABEL = b"COMPSIG-MLDSA65-Ed25519-SHA512"
XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")


@dataclass(frozen=True)
class Suite:
    number: int
    sig_pk_len: int
    sig_len: int
    kem_pk_len: int
    hash: Callable[[bytes], bytes]
    hash_len: int
    stanza_type: int


SUITES = {
    1: Suite(1, 1984, 3373, 1216, lambda x: blake3(x).digest(), 32, XWING),
    2: Suite(2, 2592, 4627, 1665, lambda x: hashlib.sha384(x).digest(), 48, P384_MLKEM1024),
}


def suite_of(number: int) -> Suite:
    require(number in SUITES, "suite")
    return SUITES[number]


def identity_id(sig_pk: bytes) -> bytes:
    return sha512(sig_pk)[:32]


def composite_message(message: bytes, context: bytes) -> bytes:
    """M' of draft-ietf-lamps-pq-composite-sigs for id-MLDSA65-Ed25519-SHA512."""
    prefix = b"CompositeAlgorithmSignatures2025" + COMPOSITE_LABEL
    return prefix + u8(len(context)) + context + sha512(message)


def verify(suite: int, sig_pk: bytes, signature: bytes, message: bytes, context: bytes) -> bool:
    s = SUITES[suite]
    if len(sig_pk) != s.sig_pk_len or len(signature) != s.sig_len:
        return False
    try:
        if suite == 2:
            MLDSA87PublicKey.from_public_bytes(sig_pk).verify(signature, message, context)
            return True
        m = composite_message(message, context)
        mldsa = MLDSA65PublicKey.from_public_bytes(sig_pk[:1952])
        mldsa.verify(signature[:3309], m, COMPOSITE_LABEL)
        Ed25519PublicKey.from_public_bytes(sig_pk[1952:]).verify(signature[3309:], m)
        return True
    except (InvalidSignature, ValueError):
        return False


def xwing_combine(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + XWING_LABEL).digest()


def p384_point(key: EllipticCurvePublicKey) -> bytes:
    uncompressed = serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(serialization.Encoding.X962, uncompressed)


def encapsulate(suite: int, kem_pk: bytes) -> tuple[bytes, bytes]:
    """(shared secret, ciphertext) for the KEM public key of a suite's identity."""
    if suite == 1:
        ss_m, ct_m = MLKEM768PublicKey.from_public_bytes(kem_pk[:1184]).encapsulate()
        x, pk_x = X25519PrivateKey.generate(), kem_pk[1184:]
        ct_x = x.public_key().public_bytes_raw()
        ss_x = x.exchange(X25519PublicKey.from_public_bytes(pk_x))
        return xwing_combine(ss_m, ss_x, ct_x, pk_x), ct_m + ct_x
    point = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), kem_pk[:97])
    e = generate_private_key(SECP384R1())
    ss_m, ct_m = MLKEM1024PublicKey.from_public_bytes(kem_pk[97:]).encapsulate()
    return e.exchange(ECDH(), point) + ss_m, p384_point(e.public_key()) + ct_m


@dataclass(frozen=True)
class PublicIdentity:
    suite: int
    sig_pk: bytes
    kem_pk: bytes

    @property
    def id(self) -> bytes:
        return identity_id(self.sig_pk)

    def stanza(self, dek: bytes, hc: bytes) -> Stanza:
        ss, ct = encapsulate(self.suite, self.kem_pk)
        kind = SUITES[self.suite].stanza_type
        return Stanza(kind, self.id + ct + wrap(kind, ss, self.kem_pk, ct, dek, hc))

    @staticmethod
    def parse(line: str) -> PublicIdentity:
        """`pqc-identity-v1 <base64> [comment]`, as in FILE.pub."""
        words = line.split(maxsplit=2)
        require(len(words) >= 2 and words[0] == "pqc-identity-v1", "identity line")
        try:
            c = Cursor(base64.b64decode(words[1], validate=True), "identity")
        except ValueError:
            raise PqxError("identity base64") from None
        s = suite_of(c.uint(1))
        public = PublicIdentity(s.number, c.take(s.sig_pk_len), c.take(s.kem_pk_len))
        signed, signature = c.taken(), c.take(s.sig_len)
        c.end()
        good = verify(s.number, public.sig_pk, signature, signed, b"pqx1 identity")
        require(good, "identity signature")
        return public


PrivateKey = (
    MLDSA65PrivateKey
    | MLDSA87PrivateKey
    | Ed25519PrivateKey
    | MLKEM768PrivateKey
    | MLKEM1024PrivateKey
    | X25519PrivateKey
    | EllipticCurvePrivateKey
)


class PrivateIdentity:
    """A signature key pair and a KEM key pair. The two suites are the two subclasses."""

    public: PublicIdentity

    def sign(self, message: bytes, context: bytes) -> bytes:
        raise NotImplementedError

    def decapsulate(self, ct: bytes) -> bytes:
        """The shared secret; ValueError for what cannot be a ciphertext."""
        raise NotImplementedError

    def keys(self) -> Sequence[PrivateKey]:
        """In the order of the private key file."""
        raise NotImplementedError

    def dek_of(self, stanza: Stanza, hc: bytes) -> bytes | None:
        mine = SUITES[self.public.suite].stanza_type, self.public.id
        if (stanza.type, stanza.body[:32]) != mine:
            return None
        ct, wrapped = stanza.body[32:-80], stanza.body[-80:]
        try:
            ss = self.decapsulate(ct)
        except ValueError:  # a point that is not on the curve: like a wrong secret
            return None
        return unwrap(stanza.type, ss, self.public.kem_pk, ct, wrapped, hc)

    def public_line(self, comment: str = "") -> str:
        p = self.public
        signed = u8(p.suite) + p.sig_pk + p.kem_pk
        blob = base64.b64encode(signed + self.sign(signed, b"pqx1 identity")).decode()
        return f"pqc-identity-v1 {blob} {comment}".rstrip() + "\n"

    def to_pem(self) -> bytes:
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return b"".join(k.private_bytes(*form, serialization.NoEncryption()) for k in self.keys())

    @staticmethod
    def from_pem(pem: bytes) -> PrivateIdentity:
        blocks = re.findall(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", pem, re.S)
        match [serialization.load_pem_private_key(b, None) for b in blocks]:
            case [
                MLDSA65PrivateKey() as mldsa65,
                Ed25519PrivateKey() as ed,
                MLKEM768PrivateKey() as mlkem768,
                X25519PrivateKey() as x,
            ]:
                return Identity1(mldsa65, ed, mlkem768, x)
            case [
                MLDSA87PrivateKey() as mldsa87,
                MLKEM1024PrivateKey() as mlkem1024,
                EllipticCurvePrivateKey() as ec,
            ]:
                return Identity2(mldsa87, mlkem1024, ec)
        raise PqxError("private key file")

    @staticmethod
    def generate(suite: int) -> PrivateIdentity:
        if suite == 1:
            mldsa65, ed = MLDSA65PrivateKey.generate(), Ed25519PrivateKey.generate()
            return Identity1(
                mldsa65, ed, MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
            )
        mldsa87, mlkem1024 = MLDSA87PrivateKey.generate(), MLKEM1024PrivateKey.generate()
        return Identity2(mldsa87, mlkem1024, generate_private_key(SECP384R1()))


class Identity1(PrivateIdentity):
    """id-MLDSA65-Ed25519-SHA512 and X-Wing."""

    def __init__(
        self,
        mldsa: MLDSA65PrivateKey,
        ed: Ed25519PrivateKey,
        mlkem: MLKEM768PrivateKey,
        x: X25519PrivateKey,
    ) -> None:
        self._mldsa, self._ed, self._mlkem, self._x = mldsa, ed, mlkem, x
        self._pk_x = x.public_key().public_bytes_raw()
        sig_pk = mldsa.public_key().public_bytes_raw() + ed.public_key().public_bytes_raw()
        self.public = PublicIdentity(1, sig_pk, mlkem.public_key().public_bytes_raw() + self._pk_x)

    def sign(self, message: bytes, context: bytes) -> bytes:
        m = composite_message(message, context)
        return self._mldsa.sign(m, COMPOSITE_LABEL) + self._ed.sign(m)

    def decapsulate(self, ct: bytes) -> bytes:
        ct_m, ct_x = ct[:1088], ct[1088:]
        ss_x = self._x.exchange(X25519PublicKey.from_public_bytes(ct_x))
        return xwing_combine(self._mlkem.decapsulate(ct_m), ss_x, ct_x, self._pk_x)

    def keys(self) -> Sequence[PrivateKey]:
        return self._mldsa, self._ed, self._mlkem, self._x


class Identity2(PrivateIdentity):
    """ML-DSA-87, and ML-KEM-1024 with P-384."""

    def __init__(
        self, mldsa: MLDSA87PrivateKey, mlkem: MLKEM1024PrivateKey, ec: EllipticCurvePrivateKey
    ) -> None:
        self._mldsa, self._mlkem, self._ec = mldsa, mlkem, ec
        kem_pk = p384_point(ec.public_key()) + mlkem.public_key().public_bytes_raw()
        self.public = PublicIdentity(2, mldsa.public_key().public_bytes_raw(), kem_pk)

    def sign(self, message: bytes, context: bytes) -> bytes:
        return self._mldsa.sign(message, context)

    def decapsulate(self, ct: bytes) -> bytes:
        point = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), ct[:97])
        return self._ec.exchange(ECDH(), point) + self._mlkem.decapsulate(ct[97:])

    def keys(self) -> Sequence[PrivateKey]:
        return self._mldsa, self._mlkem, self._ec
