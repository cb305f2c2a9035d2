"""HybridCrypto: two parties, one secret; and bundles that are none."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
from typing import Any

import pytest
from pqc_secure_transfer import HybridCrypto
from pqc_secure_transfer.hybrid_crypto import QuantumSafeRandom

NAMES = ["Kyber768", "Kyber1024", "ML-KEM-768", "ML-KEM-1024", "kyber768"]


@pytest.mark.parametrize("name", NAMES)
def test_two_parties_one_secret(name: str) -> None:
    alice, bob = HybridCrypto(name), HybridCrypto(name)
    assert alice.pqc_algorithm == name
    public, private = bob.generate_keypair()
    secret, encapsulated = alice.encapsulate_key(public)
    assert isinstance(secret, bytes) and len(secret) == 32
    assert bob.decapsulate_key(encapsulated) == secret
    assert alice.decapsulate_key(encapsulated, private) == secret
    assert alice.decapsulate_key(encapsulated.decode("ascii"), private.decode("ascii")) == secret
    assert alice.encapsulate_key(public)[0] != secret


def test_bundles_are_ascii() -> None:
    crypto = HybridCrypto()
    public, private = crypto.generate_keypair()
    for bundle in (public, private, crypto.encapsulate_key(public)[1]):
        assert isinstance(bundle, bytes)
        assert json.loads(bundle.decode("ascii"))["algorithm"] == "Kyber768"


def test_the_peers_algorithm_counts() -> None:
    public, private = HybridCrypto("Kyber1024").generate_keypair()
    secret, encapsulated = HybridCrypto("Kyber768").encapsulate_key(public)
    assert HybridCrypto("Kyber768").decapsulate_key(encapsulated, private) == secret


def test_the_last_pair_counts() -> None:
    crypto = HybridCrypto()
    old_public, old_private = crypto.generate_keypair()
    secret, encapsulated = crypto.encapsulate_key(old_public)
    crypto.generate_keypair()
    assert crypto.decapsulate_key(encapsulated) != secret
    assert crypto.decapsulate_key(encapsulated, old_private) == secret


@pytest.mark.parametrize("name", ["", "Kyber512", "RSA", "Kyber768\0", None, 768])
def test_unknown_algorithms(name: Any) -> None:
    with pytest.raises(ValueError, match="none of Kyber768"):
        HybridCrypto(name)


def test_nothing_to_decapsulate_with() -> None:
    public, _ = HybridCrypto().generate_keypair()
    _, encapsulated = HybridCrypto().encapsulate_key(public)
    with pytest.raises(ValueError, match="no private key"):
        HybridCrypto().decapsulate_key(encapsulated)


def test_the_private_key_is_not_shown() -> None:
    crypto = HybridCrypto()
    crypto.generate_keypair()
    assert repr(crypto) == "HybridCrypto('Kyber768')"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(crypto)


def changed(bundle: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(bundle), **fields}).encode()


def without(bundle: bytes, field: str) -> bytes:
    fields = json.loads(bundle)
    del fields[field]
    return json.dumps(fields).encode()


def test_malformed_public_keys() -> None:
    crypto = HybridCrypto()
    public, private = crypto.generate_keypair()
    data = base64.b64decode(json.loads(public)["data"])
    for bundle, what in (
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{", "not JSON"),
        ("\udcff", "not JSON"),
        (b"[" * 60_000, "not JSON|not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b" " * 70_000, "too many"),
        (private, "type"),
        (crypto.encapsulate_key(public)[1], "type"),
        (b"{}", "type"),
        (without(public, "algorithm"), "algorithm"),
        (without(public, "data"), "'data'"),
        (changed(public, algorithm="Kyber512"), "algorithm"),
        (changed(public, algorithm=["Kyber768"]), "algorithm"),
        (changed(public, data=5), "'data'"),
        (changed(public, data="*"), "Base64"),
        (changed(public, data=json.loads(public)["data"] + "\n"), "Base64"),
        (changed(public, data=""), "."),
        (changed(public, algorithm="Kyber1024"), "."),
        (changed(public, data=base64.b64encode(data[:-1]).decode()), "."),
        (changed(public, data=base64.b64encode(data + b"x").decode()), "."),
    ):
        with pytest.raises(ValueError, match=what):
            crypto.encapsulate_key(bundle)


def test_malformed_private_and_encapsulated_keys() -> None:
    crypto = HybridCrypto()
    public, private = crypto.generate_keypair()
    _, encapsulated = crypto.encapsulate_key(public)
    for bad in (
        b"",
        b"{}",
        public,
        changed(private, data=""),
        changed(private, data="AAAA"),
        changed(private, algorithm="Kyber1024"),
    ):
        with pytest.raises(ValueError):
            crypto.decapsulate_key(encapsulated, bad)
    for bad in (
        b"",
        b"{}",
        public,
        changed(encapsulated, data=""),
        changed(encapsulated, data="AAAA"),
        changed(encapsulated, algorithm="Kyber1024"),
    ):
        with pytest.raises(ValueError):
            crypto.decapsulate_key(bad)
    with pytest.raises(TypeError):
        crypto.decapsulate_key(5)  # type: ignore[arg-type]


def test_a_changed_encapsulated_key_gives_another_secret() -> None:
    crypto = HybridCrypto()
    public, _ = crypto.generate_keypair()
    secret, encapsulated = crypto.encapsulate_key(public)
    data = bytearray(base64.b64decode(json.loads(encapsulated)["data"]))
    for _ in range(20):
        place = random.randrange(len(data))
        data[place] ^= 1 << random.randrange(8)
        bad = changed(encapsulated, data=base64.b64encode(data).decode())
        try:
            assert crypto.decapsulate_key(bad) != secret, f"byte {place}"
        except ValueError:
            pass  # what is not even a ciphertext


def test_bundles_of_the_first_version() -> None:
    old = json.dumps(
        {
            "classical": base64.b64encode(os.urandom(32)).decode(),
            "pqc": base64.b64encode(os.urandom(1184)).decode(),
            "algorithm": "Kyber768",
        }
    ).encode()
    with pytest.raises(ValueError, match="first version"):
        HybridCrypto().encapsulate_key(old)


def test_random_bytes() -> None:
    for length in (0, 1, 32, 33, 100_000):
        assert len(QuantumSafeRandom.generate_bytes(length)) == length
    assert QuantumSafeRandom.generate_bytes(32) != QuantumSafeRandom.generate_bytes(32)
    with pytest.raises(ValueError):
        QuantumSafeRandom.generate_bytes(-1)
