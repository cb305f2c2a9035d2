"""The real server, and people made in Python who talk to it, by pqp_client.py or by the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import PROGRAM, Pqc, Server, status_of

from identity import PrivateIdentity
from pqc_cli import SUITE_NAMES
from pqp_client import Client, Hello, Upload
from pqx import capacity

P = capacity(65536)


def program_of(who: PrivateIdentity, directory: Path) -> Pqc:
    """The program as `who` uses it."""
    pqc = Pqc(directory)
    pqc.home.mkdir(mode=0o700)
    pqc.key.touch(mode=0o600)
    pqc.key.write_bytes(who.to_pem())
    pqc.pub.write_text(who.public_line())
    return pqc


class World:
    """A server of its own; people may do everything on it unless rights say less."""

    def __init__(self, directory: Path, suite: int = 1, *options: str) -> None:
        self.directory, self.suite = directory, suite
        self.server = Server(directory, "--suite", SUITE_NAMES[suite], *options)
        self.programs: list[Pqc] = []

    def start(self) -> World:
        self.server.start()
        self.id = bytes.fromhex(self.server.id)
        return self

    def stranger(self) -> PrivateIdentity:
        return PrivateIdentity.generate(self.suite)

    def person(self, rights: str = "all", pattern: str = "**") -> PrivateIdentity:
        who = self.stranger()
        self.server.allow(who.public.id.hex(), rights, pattern)
        return who

    def client(self, who: PrivateIdentity, hello: type[Hello] = Hello) -> Client:
        return Client(self.server.address, self.id, who, hello)

    def program(self, who: PrivateIdentity) -> Pqc:
        pqc = program_of(who, self.directory / f"user{len(self.programs)}")
        pqc.knows(self.server)
        self.programs.append(pqc)
        return pqc

    def resident_kib(self) -> int:
        return status_of(self.server.pid, "VmRSS") or 0

    def end(self) -> None:
        for pqc in self.programs:
            pqc.end()
        self.server.end()


def sanitized() -> bool:
    """AddressSanitizer keeps freed memory for a while: no bound on memory means anything then."""
    return b"__asan_init" in PROGRAM.read_bytes()


def upload(who: PrivateIdentity, count: int = 3, **options: Any) -> Upload:
    """An object of that many parts, the last of them short."""
    plain = (bytes(range(251)) * (count * P // 251 + 1))[: (count - 1) * P + 100]
    return Upload(who, plain, **options)
