"""mypy --strict over the package, and over a program that uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

import pqc_secure_transfer as pqc

pytest.importorskip("mypy")

PACKAGE = Path(pqc.__file__).parent

GOOD = """
import array, asyncio, io, mmap
from pathlib import Path
from typing import Optional
import pqc_secure_transfer as pqc
from pqc_secure_transfer import aio

me: pqc.Identity = pqc.Identity.generate("Kyber1024")
path = Path("x")
client = pqc.Client(me, retry_for=0.5, server_id=me.public)

def progress(p: pqc.Progress) -> None:
    fraction: Optional[float] = p.fraction

with open("x", "rb") as source, open("y", "wb") as sink:
    sealed: pqc.Sealed = pqc.seal(source, sink, recipients=[me.public], progress=progress)
pqc.seal(path, io.BytesIO(), passphrase=b"x")
pqc.seal(b"content", bytearray(10), key=memoryview(b""))
pqc.seal(array.array("d"), mmap.mmap(-1, 10), key=bytearray(32))
text: bytes = pqc.open_bytes(b"", sender=me.public)
transfer: pqc.Transfer = client.send(path, "pqc://h/x", progress=lambda p: print(p.done))
names: list[str] = [entry.name for entry in client.list("pqc://h/")]

class Own:
    def read(self, size: int) -> bytes:
        return b""

    def write(self, data: bytes) -> None: ...

pqc.seal(Own(), Own(), key=b"")

async def main() -> None:
    t: pqc.Transfer = await aio.send(b"x", "pqc://h/x", part_size=1, progress=progress)
    data: bytes = await aio.Client(me).get_bytes("pqc://h/x", sender=b"")

try:
    pass
except pqc.PqcError as error:
    code: str = error.code
    number: int = error.exit_code
    if error.transfer is not None:
        trace: str = error.transfer.trace_id
"""

NUMPY = """
import numpy as np
import pqc_secure_transfer as pqc

weights = np.zeros((3, 4), np.float32)
pqc.send(weights, "pqc://h/x")
pqc.get("pqc://h/x", weights)
pqc.seal(weights, weights, key=weights)
pqc.seal_bytes(weights, key=b"")
"""

BAD = """
import pqc_secure_transfer as pqc
from pqc_secure_transfer import aio

pqc.seal(7, "x")
pqc.seal("x", None)
pqc.seal_bytes("text", key=b"")
pqc.seal("x", "y", recipients=["bob"])
pqc.seal("x", "y", passphrase=7)
pqc.seal("x", "y", progress=lambda a, b: None)
pqc.Client("me")
pqc.send("x", "pqc://h/x", replace=True)
aio.send("x", part_size="1")
aio.Client().get("pqc://h/x")
"""


def mypy(path: Path, *options: str) -> List[str]:
    """Its complaints, a line each."""
    cache = f"--cache-dir={path.parent / 'cache'}" if path != PACKAGE else "--cache-dir=/dev/null"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", cache, *options, str(path)],
        capture_output=True, text=True, env={"MYPYPATH": str(PACKAGE.parent), "PATH": ""},
        cwd=path.parent, check=False,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_package() -> None:
    assert mypy(PACKAGE) == []


def test_program(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(GOOD)
    assert mypy(program) == []
    program.write_text(BAD)
    lines = {int(line.split(":")[1]) for line in mypy(program)}
    assert lines == {n for n, line in enumerate(BAD.splitlines(), 1) if "(" in line}


def test_program_with_numpy(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    program = tmp_path / "program.py"
    program.write_text(NUMPY)
    assert mypy(program) == []
