"""Small tools under the container: the one error, integers, HKDF, a bounded reader."""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


class PqxError(Exception):
    """Not a valid container, or not for this key. `rule` names the broken rule, for tests."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"this is not a valid container, or not for this key ({rule})")
        self.rule = rule


def require(holds: bool, rule: str) -> None:
    if not holds:
        raise PqxError(rule)


def u8(x: int) -> bytes:
    return struct.pack(">B", x)


def u16(x: int) -> bytes:
    return struct.pack(">H", x)


def u32(x: int) -> bytes:
    return struct.pack(">I", x)


def u64(x: int) -> bytes:
    return struct.pack(">Q", x)


def L(x: bytes) -> bytes:
    return u32(len(x)) + x


def sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def hmac32(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha512")[:32]


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, ikm, "sha512")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA512(), length, info).derive(prk)


class Cursor:
    """A bounded reader: running past the end is a PqxError, and so is stopping before it."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._at, self._what = data, 0, what

    def take(self, n: int) -> bytes:
        require(n <= len(self._data) - self._at, f"{self._what} truncated")
        self._at += n
        return self._data[self._at - n : self._at]

    def uint(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")

    def block(self) -> bytes:
        return self.take(self.uint(4))

    def taken(self) -> bytes:
        return self._data[: self._at]

    def left(self) -> int:
        return len(self._data) - self._at

    def end(self) -> None:
        require(self.left() == 0, f"{self._what} has bytes left over")
