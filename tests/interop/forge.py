"""A Writer that makes one thing wrong and everything after it (commit, macs, signatures) fit.

So only the one broken rule is left to refuse the file. The faults themselves are in faults.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from identity import PrivateIdentity
from pqx import Header, Keys, Manifest, Writer, capacity
from primitives import hmac32
from stanza import Kek, Key, Lock, Passphrase, RawKey, Stanza

P = capacity(65536)
THREE_PARTS = (bytes(range(251)) * 600)[: 2 * P + 1000]
RAW = RawKey(bytes(range(32)))
PHRASE = Passphrase("correct horse, Ünïcödé".encode(), m=8192, t=1, p=1)
A_KEK = Kek(bytes(range(16)), 7, bytes(range(32, 64)))


@cache
def person(name: str, suite: int) -> PrivateIdentity:
    """An identity for the length of the test run."""
    return PrivateIdentity.generate(suite)


def same(x: Any) -> Any:
    return x


def flip(data: bytes, at: int) -> bytes:
    """One bit of byte `at` changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@dataclass
class Forger(Writer):
    """A Writer whose pieces can be changed on the way, each before what depends on it is made."""

    on_header: Callable[[Header], Header] = same
    on_commit: Callable[[Header], Header] = same
    on_stanzas: Callable[[list[Stanza]], list[Stanza]] = same
    on_key_block: Callable[[bytes], bytes] = same  # before the mac
    on_mac: Callable[[bytes], bytes] = same
    on_parts: Callable[[Keys, bytes, list[bytes]], list[bytes]] = lambda k, p, parts: parts
    on_manifest: Callable[[Manifest], Manifest] = same
    on_proof: Callable[[Manifest, Keys], Manifest] = lambda m, k: m
    on_manifest_bytes: Callable[[bytes], bytes] = same
    on_file: Callable[[bytes], bytes] = same

    def header(self, plaintext: bytes) -> Header:
        return self.on_header(super().header(plaintext))

    def commit(self, header: Header) -> Header:
        return self.on_commit(super().commit(header))

    def stanzas(self, keys: Keys) -> list[Stanza]:
        return self.on_stanzas(super().stanzas(keys))

    def key_block(self, keys: Keys) -> bytes:
        signed = self.on_key_block(super().key_block(keys)[:-32])
        return signed + self.on_mac(hmac32(keys.keyblock, keys.hc + signed))

    def parts(self, keys: Keys, plaintext: bytes) -> list[bytes]:
        return self.on_parts(keys, plaintext, super().parts(keys, plaintext))

    def manifest(self, keys: Keys, size: int, parts: Sequence[bytes]) -> Manifest:
        return self.on_manifest(super().manifest(keys, size, parts))

    def prove(self, manifest: Manifest, keys: Keys) -> Manifest:
        return self.on_proof(super().prove(manifest, keys), keys)

    def encode_manifest(self, manifest: Manifest) -> bytes:
        return self.on_manifest_bytes(super().encode_manifest(manifest))

    def seal(self, plaintext: bytes) -> bytes:
        return self.on_file(super().seal(plaintext))


@dataclass(frozen=True)
class Fault:
    name: str
    rules: tuple[str, ...]  # what pqx.py must give as the reason: one of these
    hooks: dict[str, Any]
    key: Callable[[], Key] = lambda: RAW
    locks: Callable[[], Sequence[Lock]] = lambda: [RAW]
    signer: Callable[[], PrivateIdentity | None] = lambda: None
    options: dict[str, Any] = field(default_factory=dict)
    plaintext: bytes = THREE_PARTS
    wrong_key: bool = False  # a reader cannot tell this from having the wrong key

    def _writer(self, **hooks: Any) -> Forger:
        return Forger(self.locks(), signer=self.signer(), **self.options, **hooks)

    def bad(self) -> bytes:
        return self._writer(**self.hooks).seal(self.plaintext)

    def control(self) -> bytes:
        """The same without the fault: must open, or refusing the bad one says nothing."""
        return self._writer().seal(self.plaintext)


def fault(name: str, *rules: str, **kw: Any) -> Fault:
    hooks = {k: kw.pop(k) for k in list(kw) if k.startswith("on_")}
    return Fault(name, rules, hooks, **kw)
