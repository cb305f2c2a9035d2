"""pqx.py against itself, its own faults, and published vectors. Needs no pqc program."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from faults import FAULTS
from forge import A_KEK, PHRASE, RAW, THREE_PARTS, Fault, P, flip, person
from identity import SUITES, Identity1, PrivateIdentity, PublicIdentity, verify
from pqx import (
    BODY_OFFSET,
    HEADER_LEN,
    PART_SIZES,
    UNKNOWN_SIZE,
    Manifest,
    Writer,
    capacity,
    open_container,
    plain_len,
    rewrite,
    sealed_len,
    split,
    tree_root,
)
from primitives import Cursor, PqxError, u64
from receipt import Bundle, Receipt, ReceiptLog
from stanza import BODY_LENGTHS, END_TO_END, Kek, Key, RawKey, Stanza

TOP = Path(__file__).resolve().parents[2]
VECTORS = Path(os.environ.get("PQC_VECTORS") or TOP.parent / "shared" / "vectors")
SIZES = (0, 1, 16383, 16384, 16385, P - 1, P, P + 1, 2 * P, 2 * P + 1000)


def vectors(path: str) -> Any:
    if not (VECTORS / path).exists():
        pytest.skip(f"no vectors at {VECTORS / path}")
    return json.loads((VECTORS / path).read_text())


def test_xwing_vectors() -> None:
    for v in vectors("xwing/test-vectors.json"):
        expanded = hashlib.shake_256(bytes.fromhex(v["seed"])).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x = X25519PrivateKey.from_private_bytes(expanded[64:])
        who = Identity1(MLDSA65PrivateKey.generate(), Ed25519PrivateKey.generate(), mlkem, x)
        assert who.public.kem_pk.hex() == v["pk"]
        assert who.decapsulate(bytes.fromhex(v["ct"])).hex() == v["ss"]


def test_composite_signature_vectors() -> None:
    v = vectors("composite/testvectors.json")
    name = "id-MLDSA65-Ed25519-SHA512"
    t = {k: base64.b64decode(x) for k, x in v["tests"][14].items() if k != "tcId"}
    assert v["tests"][14]["tcId"] == name
    message, context = base64.b64decode(v["m"]), base64.b64decode(v["ctx"])
    assert verify(1, t["pk"], t["s"], message, b"")
    assert verify(1, t["pk"], t["sWithContext"], message, context)
    assert not verify(1, t["pk"], t["s"], message, context)
    for at in (0, 3308, 3309, 3372):
        assert not verify(1, t["pk"], flip(t["s"], at), message, b"")


def test_capacity() -> None:
    assert capacity(1 << 20) == 1047496
    assert all(sealed_len(capacity(size)) == size for size in PART_SIZES)
    with pytest.raises(PqxError):
        capacity(1 << 26)
    for p in (0, 1, 16383, 16384, 16385, 32767, 32768, P):
        assert plain_len(sealed_len(p)) == p


def test_tree_is_that_of_rfc_9162() -> None:
    def h(x: bytes) -> bytes:
        return hashlib.sha384(x).digest()

    a, b, c, d, e = (h(b"\0" + u64(i) + b"%d" % i) for i in range(5))
    left, right = h(b"\1" + a + b), h(b"\1" + c + d)
    entries = [b"%d" % i for i in range(5)]
    assert tree_root(h, entries[:1]) == a
    assert tree_root(h, entries[:3]) == h(b"\1" + left + c)
    assert tree_root(h, entries) == h(b"\1" + h(b"\1" + left + right) + e)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: int, known: bool) -> None:
    plain = THREE_PARTS[:size]
    sealed = Writer([RAW], size_known=known).seal(plain)
    opened = open_container(sealed, RAW)
    assert opened.plaintext == plain
    assert opened.header.plain_size == (size if known else UNKNOWN_SIZE)
    assert opened.manifest.plain_size == size


@pytest.mark.parametrize("part_size", PART_SIZES[:6])
def test_part_sizes(part_size: int) -> None:
    plain = os.urandom(capacity(part_size) + 5)
    sealed = Writer([RAW], part_size=part_size).seal(plain)
    assert len(split(sealed).parts[0]) == part_size
    assert open_container(sealed, RAW).plaintext == plain


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("suite", SUITES)
def test_every_lock(suite: int, signed: bool) -> None:
    people = [person(f"reader {s}", s) for s in (1, 2)]
    signer = person("signer", suite) if signed else None
    writer = Writer([RAW, A_KEK, *(p.public for p in people)], suite, signer)
    sealed = writer.seal(THREE_PARTS)
    keys: list[Key] = [RAW, A_KEK, *people]
    for key in keys:
        assert open_container(sealed, key).plaintext == THREE_PARTS
    old_kek = Kek(A_KEK.kek_id, 8, A_KEK.key)
    strangers: list[Key] = [PHRASE, RawKey(bytes(32)), old_kek, person("stranger", 1)]
    for key in strangers:
        with pytest.raises(PqxError, match="no stanza opens"):
            open_container(sealed, key)


@pytest.mark.parametrize("suite", SUITES)
def test_passphrase(suite: int) -> None:
    sealed = Writer([PHRASE], suite, flags=END_TO_END).seal(b"text")
    assert open_container(sealed, PHRASE).plaintext == b"text"


def test_stanzas_of_strangers_are_ignored() -> None:
    class Foreign:
        def __init__(self, kind: int) -> None:
            self._stanza = Stanza(kind, bytes(BODY_LENGTHS[kind]))

        def stanza(self, dek: bytes, hc: bytes) -> Stanza:
            return self._stanza

    sealed = Writer([*map(Foreign, (1, 2, 3, 5)), RAW]).seal(b"text")
    assert open_container(sealed, RAW).plaintext == b"text"


@pytest.mark.parametrize("f", FAULTS, ids=lambda f: f.name)
def test_fault_is_refused_for_its_own_reason(f: Fault) -> None:
    assert open_container(f.control(), f.key()).plaintext == f.plaintext
    with pytest.raises(PqxError) as refusal:
        open_container(f.bad(), f.key())
    assert refusal.value.rule in f.rules


def test_fault_names_differ() -> None:
    assert len({f.name for f in FAULTS}) == len(FAULTS)


def test_rewrite() -> None:
    reader, late = person("reader 1", 1), person("reader 2", 2)
    first = Writer([RAW, reader.public]).seal(THREE_PARTS)
    second = rewrite(first, reader, add=[late.public])
    third = rewrite(second, late, remove=lambda s: s.body[:32] == reader.public.id)
    assert [split(x).key_block.generation for x in (first, second, third)] == [1, 2, 3]
    assert open_container(third, late).plaintext == THREE_PARTS
    with pytest.raises(PqxError, match="no stanza opens"):
        open_container(third, reader)
    for x in (second, third):
        assert x[:HEADER_LEN] == first[:HEADER_LEN]
        assert x[BODY_OFFSET:] == first[BODY_OFFSET:]
    with pytest.raises(PqxError, match="not alone"):
        rewrite(first, RAW, add=[PHRASE])
    with pytest.raises(PqxError, match="stanza count"):
        rewrite(first, RAW, remove=lambda s: True)


@pytest.mark.parametrize("suite", SUITES)
def test_identity_files(suite: int) -> None:
    who = PrivateIdentity.generate(suite)
    assert PrivateIdentity.from_pem(who.to_pem()).public == who.public
    line = who.public_line("somebody @ somewhere")
    assert PublicIdentity.parse(line) == who.public
    word, blob, *_ = line.split()
    raw = base64.b64decode(blob)
    for at in (0, 1, 2000, len(raw) - 1):
        with pytest.raises(PqxError):
            PublicIdentity.parse(f"{word} {base64.b64encode(flip(raw, at)).decode()}")
    for bad in (raw + b"\0", raw[:-1]):
        with pytest.raises(PqxError):
            PublicIdentity.parse(f"{word} {base64.b64encode(bad).decode()}")
    for bad_line in ("", word, blob, f"pqc-identity-v2 {blob}", f"{word} {blob[:-1]}"):
        with pytest.raises(PqxError):
            PublicIdentity.parse(bad_line)


def bundle(file_suite: int, log: ReceiptLog) -> Bundle:
    sealed = Writer([RAW], file_suite, person("signer", file_suite)).seal(b"text")
    p = split(sealed)
    receipt = log.issue(p.header, p.manifest, person("signer", file_suite).public.id, 1_800_000_000)
    return Bundle(p.header, p.manifest, receipt.encode())


@pytest.mark.parametrize("file_suite", SUITES)
@pytest.mark.parametrize("server_suite", SUITES)
def test_receipt(server_suite: int, file_suite: int) -> None:
    server = person("server", server_suite)
    log = ReceiptLog(server)
    for index in range(3):
        b = bundle(file_suite, log)
        receipt = Bundle.from_pem(b.to_pem()).verify(server.public.id)
        assert receipt.log_index == index
    assert receipt.log_root == tree_root(SUITES[server_suite].hash, log.entries)
    with pytest.raises(PqxError, match="server_id"):
        b.verify(person("signer", file_suite).public.id)


def test_bad_receipts() -> None:
    server = person("server", 1)
    one, two = (bundle(1, ReceiptLog(server)) for _ in range(2))
    r = Receipt.decode(one.receipt)
    c = Cursor(one.receipt, "receipt")
    c.take(4 + 2 + 64 + 64 + 32 + 32 + 8)
    assert c.taken() == r.entry()
    for at in range(0, len(r.entry()), 7):
        with pytest.raises(PqxError):
            Bundle(one.header, one.manifest, flip(one.receipt, at)).verify(server.public.id)
    mixed = {
        "receipt HC": Bundle(two.header, two.manifest, one.receipt),
        "manifest HC": Bundle(two.header, one.manifest, one.receipt),
        "has bytes left over": Bundle(one.header, one.manifest, one.receipt + b"\0"),
        "receipt truncated": Bundle(one.header, one.manifest, one.receipt[:-1]),
        "manifest signature": Bundle(one.header, flip(one.manifest, -1), one.receipt),
    }
    for rule, bad in mixed.items():
        with pytest.raises(PqxError, match=rule):
            bad.verify(server.public.id)
    m = Manifest.decode(one.manifest)
    short = replace(r, log_root=r.log_root[:-1])
    short = replace(short, signature=server.sign(short.body(), b"pqx1 receipt"))
    with pytest.raises(PqxError, match="log root length"):
        Bundle(one.header, one.manifest, short.encode()).verify(server.public.id)
    later = replace(m, time=m.time + 1).signed(person("signer", 1)).encode()
    with pytest.raises(PqxError, match="receipt manifest hash"):
        Bundle(one.header, later, one.receipt).verify(server.public.id)


def test_receipt_for_an_unsigned_file() -> None:
    server = person("server", 1)
    p = split(Writer([RAW]).seal(b"text"))
    receipt = ReceiptLog(server).issue(p.header, p.manifest, bytes(32), 1_800_000_000)
    with pytest.raises(PqxError, match="manifest auth"):
        Bundle(p.header, p.manifest, receipt.encode()).verify(server.public.id)
