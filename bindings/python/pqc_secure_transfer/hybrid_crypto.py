"""Key agreement by the hybrid KEM that protects our containers: X-Wing (ML-KEM-768 with X25519), or
ML-KEM-1024 with P-384. The names are those of the first Python version; its bundles are others.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import json
import os
from typing import NoReturn, Optional, Union

from . import _native

__all__ = ["HybridCrypto", "QuantumSafeRandom"]

Bundle = Union[bytes, bytearray, memoryview, str]

_SUITES = {
    "kyber768": "Kyber768",
    "ml-kem-768": "Kyber768",
    "kyber1024": "Kyber1024",
    "ml-kem-1024": "Kyber1024",
}
_SECRET_SIZE = 32
_MAX_BUNDLE = 64 * 1024  # bytes; the longest has about 9000
_WHAT = {
    "public": "a public key",
    "private": "a private key",
    "encapsulated": "an encapsulated key",
}


def _suite_of(algorithm: object, where: str) -> str:
    suite = _SUITES.get(algorithm.lower()) if isinstance(algorithm, str) else None
    if suite is None:
        raise ValueError(
            f"{where}: algorithm {algorithm!r} is none of Kyber768 (ML-KEM-768) and "
            "Kyber1024 (ML-KEM-1024)"
        )
    return suite


def _pack(kind: str, suite: str, data: bytes) -> bytes:
    return json.dumps(
        {"type": kind, "algorithm": suite, "data": base64.b64encode(data).decode()}
    ).encode()


def _parse(bundle: Bundle, what: str) -> dict[str, object]:
    if isinstance(bundle, str):
        bundle = bundle.encode("utf-8", "surrogatepass")
    elif not isinstance(bundle, (bytes, bytearray, memoryview)):
        raise TypeError(f"{what} is bytes or str, not {type(bundle).__name__}")
    raw = bytes(bundle)
    if len(raw) > _MAX_BUNDLE:
        raise ValueError(f"{len(raw)} bytes are too many for {what}")
    try:
        fields = json.loads(raw.decode("ascii"))
    except (ValueError, RecursionError):
        raise ValueError(f"not {what}: it is not JSON in ASCII") from None
    if not isinstance(fields, dict):
        raise ValueError(f"not {what}: it is not a JSON object")
    return fields


def _unpack(bundle: Bundle, kind: str) -> tuple[str, bytes]:
    """(suite, the library's bytes)"""
    what = _WHAT[kind]
    fields = _parse(bundle, what)
    if "pqc" in fields and "classical" in fields:
        raise ValueError(
            f"not {what} of this version: the first version of pqc_secure_transfer "
            "made it, and the two cannot be used together"
        )
    if fields.get("type") != kind:
        raise ValueError(
            f"not {what}: its type is {str(fields.get('type'))[:40]!r}, " f"not {kind!r}"
        )
    suite = _suite_of(fields.get("algorithm"), what)
    text = fields.get("data")
    if not isinstance(text, str):
        raise ValueError(f"{what}: 'data' is missing or not a string")
    try:
        return suite, base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{what}: 'data' is not Base64") from None


class HybridCrypto:
    """Two parties agree on a secret of 32 bytes.

    One gives away a public key, the other encapsulates a secret for it. It stays secret unless both
    halves of the KEM are broken, the one against quantum computers and the elliptic curve.

    Keys and encapsulated keys are bytes that are ASCII text (JSON), so that they pass where text
    must. They do not authenticate anybody: who gets a public key must know by other means whose it
    is. Where files go from one to another, ``send`` and ``seal`` do all of that.
    """

    def __init__(self, pqc_algorithm: str = "Kyber768") -> None:
        """pqc_algorithm: ``"Kyber768"`` or ``"Kyber1024"``, or ``"ML-KEM-768"``, ``"ML-KEM-1024"``.

        ValueError: another name.
        """
        self._suite = _suite_of(pqc_algorithm, "HybridCrypto")
        self.pqc_algorithm = pqc_algorithm
        self._private_key: Optional[bytes] = None

    def __repr__(self) -> str:
        return f"HybridCrypto({self.pqc_algorithm!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a HybridCrypto may hold a private key and is not to be pickled")

    def generate_keypair(self) -> tuple[bytes, bytes]:
        """(public key, private key). The private one is not encrypted: ``KeyManager`` keeps it."""
        public, private = _native.pqc_buffer(), _native.pqc_buffer()
        error = _native.pqc_error()
        try:
            _native.check(
                _native.lib.pqc_kem_generate(
                    self._suite.encode(),
                    ctypes.byref(public),
                    ctypes.byref(private),
                    ctypes.byref(error),
                ),
                error,
            )
            made = (
                _pack("public", self._suite, _content(public)),
                _pack("private", self._suite, _content(private)),
            )
        finally:
            _native.lib.pqc_buffer_free(ctypes.byref(public))
            _native.lib.pqc_buffer_free(ctypes.byref(private))
        self._private_key = made[1]
        return made

    def encapsulate_key(self, peer_public_key_bundle: Bundle) -> tuple[bytes, bytes]:
        """(secret of 32 bytes, encapsulated key) for whoever has the private key. The algorithm is
        that of the public key. ValueError: it is not a public key; the message says what is wrong.
        """
        suite, key = _unpack(peer_public_key_bundle, "public")
        sealed, error = _native.pqc_buffer(), _native.pqc_error()
        secret = (ctypes.c_uint8 * _SECRET_SIZE)()
        try:
            _native.check(
                _native.lib.pqc_kem_encapsulate(
                    suite.encode(), key, len(key), ctypes.byref(sealed), secret, ctypes.byref(error)
                ),
                error,
            )
            return bytes(secret), _pack("encapsulated", suite, _content(sealed))
        finally:
            _wipe(secret)
            _native.lib.pqc_buffer_free(ctypes.byref(sealed))

    def decapsulate_key(
        self, encapsulated_key: Bundle, private_key: Optional[Bundle] = None
    ) -> bytes:
        """The secret of 32 bytes; without a private key, by that of the last ``generate_keypair``.

        ValueError: malformed, or for another algorithm than the private key's. An encapsulated key
        that is for another key of the same algorithm is no error that could be noticed: the secret
        is one that nobody else has.
        """
        if private_key is None:
            private_key = self._private_key
        if private_key is None:
            raise ValueError("no private key: give one, or call generate_keypair first")
        suite, key = _unpack(private_key, "private")
        sealed_for, sealed = _unpack(encapsulated_key, "encapsulated")
        if sealed_for != suite:
            raise ValueError(f"an encapsulated key for {sealed_for}, and a private key of {suite}")
        error = _native.pqc_error()
        secret = (ctypes.c_uint8 * _SECRET_SIZE)()
        try:
            _native.check(
                _native.lib.pqc_kem_decapsulate(
                    suite.encode(), key, len(key), sealed, len(sealed), secret, ctypes.byref(error)
                ),
                error,
            )
            return bytes(secret)
        finally:
            _wipe(secret)


def _content(buffer: _native.pqc_buffer) -> bytes:
    return ctypes.string_at(buffer.data, buffer.size)


def _wipe(secret: ctypes.Array[ctypes.c_uint8]) -> None:
    ctypes.memset(secret, 0, ctypes.sizeof(secret))


class QuantumSafeRandom:
    """Random bytes for keys. The operating system's generator is all it takes."""

    @staticmethod
    def generate_bytes(length: int) -> bytes:
        """``length`` bytes; ValueError when it is negative."""
        return os.urandom(length)
