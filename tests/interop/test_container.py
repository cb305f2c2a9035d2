"""The pqc program against pqx.py: each opens what the other seals, and refuses what it must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pqc_cli
from faults import FAULTS
from forge import PHRASE, RAW, THREE_PARTS, Fault, person
from identity import SUITES, PrivateIdentity, PublicIdentity
from pqc_cli import DAMAGED, OK, REFUSED, Done, Pqc
from pqx import UNKNOWN_SIZE, UNSIGNED, Writer, capacity, open_container, rewrite
from stanza import END_TO_END, Lock, Passphrase, RawKey

Opener = PrivateIdentity | Passphrase | RawKey

needs_pqc = pytest.mark.skipif(
    not pqc_cli.PROGRAM.exists(), reason=f"no pqc program at {pqc_cli.PROGRAM}"
)
PART_SIZES = (1 << 16, 1 << 20)
CASES = [
    (part_size, size)
    for part_size in PART_SIZES
    for p in [capacity(part_size)]
    for size in (0, 1, 16383, 16384, 16385, p - 1, p, p + 1, 2 * p, 2 * p + 1000)
]


def text(size: int) -> bytes:
    return (THREE_PARTS * (size // len(THREE_PARTS) + 1))[:size]


def openers() -> dict[str, Opener]:
    """One of every kind that has an option of its own. There is none for a KEK stanza."""
    people = {f"recipient-{s}": person(f"reader {s}", s) for s in SUITES}
    return {"raw": RAW, "passphrase": PHRASE, **people}


def lock_of(key: Opener) -> Lock:
    return key.public if isinstance(key, PrivateIdentity) else key


def check(done: Done, code: int = OK) -> None:
    assert done.returncode == code, done.stderr.decode(errors="replace")


@pytest.fixture
def pqc(tmp_path: Path) -> Pqc:
    work = tmp_path / "work"
    work.mkdir()
    return Pqc(work)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where plaintexts and containers are, and nothing else."""
    path = tmp_path / "files"
    path.mkdir()
    return path


# What pqc seals, pqx.py opens


@needs_pqc
@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize(("part_size", "size"), CASES)
def test_pqc_seals_every_size(
    pqc: Pqc, files: Path, part_size: int, size: int, piped: bool
) -> None:
    plain, sealed = files / "plain", files / "sealed.pqx"
    plain.write_bytes(text(size))
    check(pqc.seal(plain.read_bytes() if piped else plain, sealed, [RAW], part_size=part_size))
    opened = open_container(sealed.read_bytes(), RAW)
    assert opened.plaintext == text(size)
    assert opened.header.part_size == part_size
    assert opened.header.plain_size in ((UNKNOWN_SIZE, size) if piped else (size,))
    assert opened.header.sender_id == UNSIGNED


@needs_pqc
@pytest.mark.parametrize("signer_suite", [None, *SUITES])
@pytest.mark.parametrize("kind", openers())
def test_pqc_seals_for_every_kind(
    pqc: Pqc, files: Path, kind: str, signer_suite: int | None
) -> None:
    plain, sealed, key = files / "plain", files / "sealed.pqx", openers()[kind]
    plain.write_bytes(THREE_PARTS)
    signer = person("signer", signer_suite) if signer_suite else None
    check(pqc.seal(plain, sealed, [key], signer))
    opened = open_container(sealed.read_bytes(), key)
    assert opened.plaintext == THREE_PARTS
    if signer:
        assert opened.header.suite == signer.public.suite
        assert opened.manifest.sig_pk == signer.public.sig_pk
    else:
        assert opened.manifest.auth == 0


@needs_pqc
def test_pqc_seals_for_many(pqc: Pqc, files: Path) -> None:
    plain, sealed = files / "plain", files / "sealed.pqx"
    plain.write_bytes(b"for many")
    keys = [key for name, key in openers().items() if name != "passphrase"]
    check(pqc.seal(plain, sealed, keys))
    for key in keys:
        assert open_container(sealed.read_bytes(), key).plaintext == b"for many"


# What pqx.py seals, pqc opens


@needs_pqc
@pytest.mark.parametrize("known", [True, False], ids=["size-known", "size-unknown"])
@pytest.mark.parametrize(("part_size", "size"), CASES)
def test_pqc_opens_every_size(
    pqc: Pqc, files: Path, part_size: int, size: int, known: bool
) -> None:
    sealed, out = files / "sealed.pqx", files / "out"
    writer = Writer([RAW], part_size=part_size, size_known=known)
    sealed.write_bytes(writer.seal(text(size)))
    check(pqc.open(sealed, out, RAW))
    assert out.read_bytes() == text(size)


@needs_pqc
@pytest.mark.parametrize("known", [True, False], ids=["size-known", "size-unknown"])
@pytest.mark.parametrize("size", [0, 1, len(THREE_PARTS)])
def test_pqc_opens_from_a_pipe(pqc: Pqc, files: Path, size: int, known: bool) -> None:
    check(pqc.open(Writer([RAW], size_known=known).seal(text(size)), files / "out", RAW))
    assert (files / "out").read_bytes() == text(size)


@needs_pqc
@pytest.mark.parametrize("flags", [0, END_TO_END])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("kind", openers())
def test_pqc_opens_every_kind(
    pqc: Pqc, files: Path, kind: str, suite: int, signed: bool, flags: int
) -> None:
    sealed, out, key = files / "sealed.pqx", files / "out", openers()[kind]
    signer = person("signer", suite) if signed else None
    sealed.write_bytes(Writer([lock_of(key)], suite, signer, flags=flags).seal(THREE_PARTS))
    check(pqc.open(sealed, out, key, signer))
    assert out.read_bytes() == THREE_PARTS


@needs_pqc
def test_pqc_opens_after_rewriting(pqc: Pqc, files: Path) -> None:
    sealed, out = files / "sealed.pqx", files / "out"
    late = person("reader 2", 2)
    first = Writer([RAW]).seal(THREE_PARTS)
    second = rewrite(first, RAW, add=[late.public], remove=lambda s: s.type == 5)
    sealed.write_bytes(second)
    check(pqc.open(sealed, out, late))
    assert out.read_bytes() == THREE_PARTS


# Keys


@needs_pqc
@pytest.mark.parametrize("suite", SUITES)
def test_keygen(pqc: Pqc, files: Path, suite: int) -> None:
    done, private, public = pqc.keygen("me", suite)
    check(done)
    me = PrivateIdentity.from_pem(private.read_bytes())
    assert me.public.suite == suite
    assert PublicIdentity.parse(public.read_text()) == me.public
    assert private.stat().st_mode & 0o777 == 0o600

    sealed, out = files / "sealed.pqx", files / "out"
    sealed.write_bytes(Writer([me.public], suite, me).seal(THREE_PARTS))
    check(pqc.run("open", "-i", private, "--from", public, "-o", out, sealed))
    assert out.read_bytes() == THREE_PARTS


@needs_pqc
@pytest.mark.parametrize("suite", SUITES)
def test_inspect(pqc: Pqc, files: Path, suite: int) -> None:
    sealed = files / "sealed.pqx"
    sealed.write_bytes(Writer([RAW], suite, person("signer", suite)).seal(THREE_PARTS))
    done = pqc.inspect(sealed)
    check(done)
    assert isinstance(json.loads(done.stdout), dict)


# What must be refused


def refused(done: Done, files: Path, codes: tuple[int, ...]) -> None:
    assert done.returncode in codes, done.stderr.decode(errors="replace")
    assert list(files.iterdir()) == []
    assert done.stdout == b""


@needs_pqc
@pytest.mark.parametrize("f", FAULTS, ids=lambda f: f.name)
def test_pqc_refuses(pqc: Pqc, files: Path, f: Fault) -> None:
    sealed, sender = pqc.work / "sealed.pqx", f.signer()
    sealed.write_bytes(f.bad())
    # Another sender than --from named is not damage but a refusal.
    codes = (DAMAGED, REFUSED) if f.wrong_key or "sender" in f.name else (DAMAGED,)
    refused(pqc.open(sealed, files / "out", f.key(), sender), files, codes)

    sealed.write_bytes(f.control())
    check(pqc.open(sealed, files / "out", f.key(), sender))
    assert (files / "out").read_bytes() == f.plaintext


@needs_pqc
@pytest.mark.parametrize(
    "f", [f for f in FAULTS if f.name.startswith(("file-", "part-"))], ids=lambda f: f.name
)
def test_pqc_refuses_from_a_pipe(pqc: Pqc, files: Path, f: Fault) -> None:
    refused(pqc.open(f.bad(), files / "out", f.key(), f.signer()), files, (DAMAGED,))


@needs_pqc
@pytest.mark.parametrize("kind", openers())
def test_pqc_refuses_the_wrong_key(pqc: Pqc, files: Path, kind: str) -> None:
    wrong: dict[str, Opener] = {
        "raw": RawKey(bytes(32)),
        "passphrase": Passphrase(PHRASE.text + b"!"),
        "recipient-1": person("stranger", 1),
        "recipient-2": person("stranger", 2),
    }
    sealed = Writer([lock_of(openers()[kind])]).seal(b"text")
    (pqc.work / "sealed.pqx").write_bytes(sealed)
    done = pqc.open(pqc.work / "sealed.pqx", files / "out", wrong[kind])
    refused(done, files, (DAMAGED, REFUSED))


@needs_pqc
@pytest.mark.parametrize("suite", SUITES)
def test_pqc_refuses_another_sender(pqc: Pqc, files: Path, suite: int) -> None:
    sealed = pqc.work / "sealed.pqx"
    for signer in (person("somebody else", suite), None):
        sealed.write_bytes(Writer([RAW], suite, signer).seal(b"text"))
        done = pqc.open(sealed, files / "out", RAW, person("signer", suite))
        refused(done, files, (DAMAGED, REFUSED))
