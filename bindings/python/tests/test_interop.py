"""What Python writes `pqc` reads, and the reverse: containers of every kind, transfers, receipts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import MIB, Cli, Served

import pqc_secure_transfer as pqc

DATA = os.urandom(MIB + 17)
KEY = bytes(range(32))
SUITES = ["Kyber768", "Kyber1024"]


class Person:
    """An identity that both have."""

    def __init__(self, directory: Path, name: str, suite: str) -> None:
        self.file = directory / name
        self.identity = pqc.Identity.generate(suite)
        self.identity.save(self.file)
        self.pub = f"{self.file}.pub"
        self.public = self.identity.public


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


class Case:
    """One way to seal: options of `pqc seal` and `pqc open`, arguments of seal() and open()."""

    def __init__(self) -> None:
        self.seal_words: List[Any] = []
        self.open_words: List[List[Any]] = []
        self.seal: Dict[str, Any] = {}
        self.open: List[Dict[str, Any]] = []


def case(kind: str, tmp_path: Path) -> Case:
    c = Case()
    if kind.startswith("recipients"):
        suite = kind.split()[1]
        people = [Person(tmp_path, f"{suite}-{n}", suite) for n in range(3)]
        c.seal_words = [word for one in people for word in ("-r", one.pub)] + ["--suite", suite]
        c.open_words = [["-i", one.file] for one in people]
        c.seal = {"recipients": [one.public for one in people], "suite": suite}
        c.open = [{"identity": one.identity} for one in people]
    elif kind == "passphrase":
        file = secret_file(tmp_path / "passphrase", "pässword")
        c.seal_words = ["--passphrase-file", file]
        c.open_words = [["--passphrase-file", file]]
        c.seal, c.open = {"passphrase": "pässword"}, [{"passphrase": "pässword"}]
    elif kind.startswith("key"):
        file = secret_file(tmp_path / "key", KEY.hex())
        c.seal_words, c.open_words = ["--raw-key-file", file], [["--raw-key-file", file]]
        c.seal, c.open = {"key": KEY}, [{"key": KEY}]
        if kind == "key with associated data":
            data = tmp_path / "associated"
            data.write_bytes(b"round 7")
            c.seal_words += ["--associated-data-file", data]
            c.open_words[0] += ["--associated-data-file", data]
            c.seal["associated_data"] = c.open[0]["associated_data"] = b"round 7"
    elif kind == "kek":
        file = secret_file(tmp_path / "kek", f"pqc-kek-v1 {bytes(16).hex()} 3 {KEY.hex()}")
        c.seal_words, c.open_words = ["--kek-file", file], [["--kek-file", file]]
        c.seal, c.open = {"kek": pqc.Kek.load(file)}, [{"kek": pqc.Kek(bytes(16), 3, KEY)}]
    return c


KINDS = ["recipients Kyber768", "recipients Kyber1024", "passphrase", "key",
         "key with associated data", "kek"]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_python_seals(cli: Cli, tmp_path: Path, kind: str, signed: bool) -> None:
    c = case(kind, tmp_path)
    signer = Person(tmp_path, "signer", c.seal.get("suite", "Kyber768"))
    sealed = tmp_path / "x.pqx"
    result = pqc.seal(DATA, sealed, **c.seal, sign=signer.identity if signed else None)
    found = json.loads(cli("inspect", "--json", sealed))
    assert found["file_id"] == result.file_id.hex()
    assert found == pqc.inspect(sealed)
    sender: List[Any] = ["--from", signer.pub] if signed else []
    for words in c.open_words:
        assert cli("open", *words, *sender, "-o", "-", sealed) == DATA


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pqc_seals(cli: Cli, tmp_path: Path, kind: str, signed: bool) -> None:
    c = case(kind, tmp_path)
    signer = Person(tmp_path, "signer", c.seal.get("suite", "Kyber768"))
    sealed = tmp_path / "x.pqx"
    words: List[Any] = ["--sign-with", signer.file] if signed else []
    cli("seal", *c.seal_words, *words, "--part-size", "64K", "-o", sealed, stdin=DATA)
    container = sealed.read_bytes()
    for keys in c.open:
        keys = {**keys, "sender": signer.public} if signed else keys
        assert pqc.open_bytes(container, **keys) == DATA
        got = tmp_path / "got"
        opened = pqc.open(sealed, got, **keys, replace=True)
        assert got.read_bytes() == DATA and opened.is_signed == signed
        assert opened.suite == c.seal.get("suite", "Kyber768")
        assert opened.file_id.hex() == pqc.inspect(sealed)["file_id"]


def test_rewrap(cli: Cli, tmp_path: Path) -> None:
    alice, bob = (Person(tmp_path, name, "Kyber768") for name in ("alice", "bob"))
    sealed = tmp_path / "x.pqx"
    pqc.seal(DATA, sealed, recipients=[alice.public])
    cli("rewrap", "-i", alice.file, "--add", bob.pub, "--remove", alice.pub, sealed)
    assert pqc.open_bytes(sealed.read_bytes(), identity=bob.identity) == DATA
    pqc.rewrap(sealed, identity=bob.identity, add_recipients=[alice.public], remove=[bob.public])
    assert cli("open", "-i", alice.file, "-o", "-", sealed) == DATA
    assert cli.run("open", "-i", bob.file, "-o", "-", sealed).returncode == 4


@pytest.mark.parametrize("suite", SUITES)
def test_encrypted_identities(cli: Cli, tmp_path: Path, suite: str) -> None:
    words = secret_file(tmp_path / "words", "pässword")
    ours = pqc.Identity.generate(suite)
    ours.save(tmp_path / "ours", "pässword")
    sealed = pqc.seal_bytes(DATA, recipients=[ours.public])
    assert cli("open", "-i", tmp_path / "ours", "--key-passphrase-file", words, "-o", "-", "-",
               stdin=sealed) == DATA
    cli("keygen", "--suite", suite, "--out", tmp_path / "theirs", "--passphrase-file", words)
    theirs = pqc.Identity.load(tmp_path / "theirs", "pässword")
    assert theirs.suite == suite
    with pytest.raises(pqc.PassphraseError):
        pqc.Identity.load(tmp_path / "theirs", "password")


def test_exit_codes_are_those_of_the_program(cli: Cli, tmp_path: Path, me: pqc.Identity) -> None:
    sealed = tmp_path / "x.pqx"
    pqc.seal(DATA, sealed, key=KEY)
    absent = tmp_path / "absent"
    for path in (sealed, absent, tmp_path / "home" / "identity.pub"):
        with pytest.raises(pqc.PqcError) as caught:
            pqc.open(path, tmp_path / "out", identity=me)
        done = cli.run("open", path, "--json", "-o", tmp_path / "out")
        said = json.loads((done.stdout or done.stderr).splitlines()[-1])
        assert (done.returncode, said["code"]) == (caught.value.exit_code, caught.value.code)


def test_python_sends_and_pqc_gets(
    cli: Cli, known: Served, me: pqc.Identity, tmp_path: Path
) -> None:
    sent = pqc.send(DATA, known.url("x"))
    assert cli("get", known.url("x"), "-o", "-", "--from", me.id.hex()) == DATA
    receipt = tmp_path / "receipt"
    receipt.write_bytes(sent.receipt)
    proof = json.loads(cli("receipt", "--verify", "--json", receipt, "--sender", me.id.hex(),
                           "--server", known.data / "identity.pub"))
    assert proof["valid"] and proof["file_id"] == sent.file_id.hex()
    assert proof["size"] == len(DATA)
    cli("receipt", known.url("x"), "-o", tmp_path / "again")
    assert pqc.verify_receipt((tmp_path / "again").read_bytes()) == pqc.verify_receipt(sent.receipt)
    listed = json.loads(cli("list", "--json", known.url()).splitlines()[0])
    entry = pqc.Client().list(known.url())[0]
    assert (listed["name"], listed["size"]) == (entry.name, entry.size)


def test_pqc_sends_and_python_gets(
    cli: Cli, known: Served, me: pqc.Identity, tmp_path: Path
) -> None:
    receipt = tmp_path / "receipt"
    cli("send", "--receipt", receipt, "-", known.url("x"), stdin=DATA)
    room = bytearray(len(DATA))
    got = pqc.get(known.url("x"), room, sender=me.public)
    assert room == DATA and got.sender_id == me.id
    proof = pqc.verify_receipt(receipt.read_bytes(), server=known.public, sender=me.id)
    assert (proof.file_id, proof.size) == (got.file_id, len(DATA))
    assert pqc.verify_receipt(pqc.Client().receipt(known.url("x"))) == proof
    pqc.Client().delete(known.url("x"))
    assert cli("list", "--json", known.url()) == b""


def test_what_one_began_the_other_ends(
    cli: Cli, known: Served, gate: Any, tmp_path: Path, home: Path
) -> None:
    """The state directory is common: `pqc send` takes up what Python left."""
    path = tmp_path / "plain"
    path.write_bytes(DATA)
    closing = gate(8 << 16)

    def progress(p: pqc.Progress) -> None:
        if p.done:
            known.wait_for_durable()
            raise KeyError

    url = f"pqc://{closing.address}/x"
    with pytest.raises(KeyError):
        pqc.send(path, url, part_size=1 << 16, progress=progress)
    closing.open()
    said = json.loads(cli("send", "--json", "--part-size", "64K", path, url).splitlines()[-1])
    assert said["resumed_bytes"] > 0
    assert pqc.Client().get_bytes(known.url("x")) == DATA
