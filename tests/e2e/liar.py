"""What the tests with a lying server share: the program as its client, and what must hold."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forge import person
from harness import Done, Pqc
from identity import PrivateIdentity
from pqp_client import Upload
from pqp_program import program_of, upload
from pqp_server import Peer, Server, Stored

HOPELESS = 25  # seconds after which the program counts as hanging
# How long a connection may take, silence may last, and trying again may go on. The first for lies
# that are found out at once, however busy the machine is; the second for those that are not.
PATIENCE = ("--timeout", "20s", "--idle-timeout", "20s", "--retry-for", "0")
HASTE = ("--timeout", "2s", "--idle-timeout", "1s", "--retry-for", "1s")


def store(server: Server, name: str, u: Upload) -> Stored:
    """As if the object had been put there."""
    x = Stored(u.header, u.keys.dek, dict(enumerate(u.parts)), u.manifest)
    receipt = server.log.issue(u.header, u.manifest, u.owner.public.id, 1_800_000_000)
    x.receipt = receipt.encode()
    server.names[name] = x
    return x


class Victim:
    """Somebody whose program trusts a server, and the directory where files would appear."""

    def __init__(self, directory: Path, suite: int = 1) -> None:
        self.me = person("alice", suite)
        self.pqc: Pqc = program_of(self.me, directory / "victim")
        self.files = directory / "files"
        self.files.mkdir()
        self.out = self.files / "out"
        self.source = directory / "source"
        self.source.write_bytes(upload(self.me, 4).plain)

    def trust(self, address: str, who: PrivateIdentity) -> None:
        self.pqc.ok("trust", "add", address, who.public.id.hex())

    def run(self, *words: str | Path) -> Done:
        try:
            return self.pqc.run(*words, timeout=HOPELESS)
        except subprocess.TimeoutExpired:
            self.pqc.end()
            raise AssertionError(f"hangs: {words}") from None

    def get(self, server: Server, *words: str | Path, name: str = "x") -> Done:
        return self.run(
            "get", f"pqc://{server.address}/{name}", "-o", self.out, *PATIENCE, *words
        )

    def send(self, server: Server, *words: str | Path) -> Done:
        receipt = ("--receipt", self.files / "receipt")
        url = f"pqc://{server.address}/x"
        return self.run("send", "--part-size", "64K", *receipt, self.source, url, *PATIENCE, *words)

    def list(self, server: Server, *words: str | Path) -> Done:
        return self.run("list", f"pqc://{server.address}/", *PATIENCE, *words)

    def got_nothing(self) -> None:
        """No file under a final name, and no receipt."""
        assert not self.out.exists()
        assert not (self.files / "receipt").exists()


def harmless(done: Done) -> None:
    """Nothing that a server wrote steers the terminal."""
    said = done.err + done.stdout.decode(errors="replace")
    assert not any(c < " " and c != "\n" or c == "\x7f" or c in "\u202e\u200b" for c in said), said


def ended(done: Done, *codes: int) -> None:
    assert done.code in codes, f"exit {done.code}: {done.err}"
    assert "\npqc" in "\n" + done.err, done.err
    harmless(done)


def lying(**methods: Callable[..., Any]) -> type[Server]:
    """A server with these methods instead of the honest ones."""
    return type("Liar", (Server,), methods)


@contextmanager
def running(kind: type[Server], me: PrivateIdentity) -> Iterator[Server]:
    server = kind(me)
    try:
        yield server
    finally:
        server.end()


def silence(peer: Peer) -> None:
    """Says nothing until the client gives up."""
    while True:
        peer.ws.recv()
