"""The `pqc` program, as the interoperability tests call it. All its arguments are made here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from identity import PrivateIdentity
from stanza import Key, Lock, Passphrase, RawKey

TOP = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("PQC_BIN") or TOP / "build" / "pqc")
TIMEOUT = 120

# Exit codes
OK = 0
REFUSED = 4
DAMAGED = 6

SUITE_NAMES = {1: "Kyber768", 2: "Kyber1024"}
Done = subprocess.CompletedProcess[bytes]


@dataclass
class Pqc:
    """Calls in a directory of their own, where key files are put too."""

    work: Path

    def run(self, *words: str | Path, stdin: bytes = b"") -> Done:
        command = [str(PROGRAM), *map(str, words)]
        env = {k: v for k, v in os.environ.items() if not k.startswith("PQC_")}
        env |= {"HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}
        return subprocess.run(
            command, input=stdin, capture_output=True, timeout=TIMEOUT, cwd=self.work, env=env
        )

    def secret(self, name: str, content: bytes) -> Path:
        path = self.work / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    def identity_files(self, who: PrivateIdentity) -> tuple[Path, Path]:
        private = self.secret(who.public.id[:8].hex(), who.to_pem())
        public = private.with_suffix(".pub")
        public.write_text(who.public_line("made by pqx.py"))
        return private, public

    def _secret_words(self, key: Key | Lock) -> list[str | Path]:
        match key:
            case Passphrase():
                return ["--passphrase-file", self.secret("passphrase", key.text + b"\n")]
            case RawKey():
                return ["--raw-key-file", self.secret("raw-key", key.key.hex().encode() + b"\n")]
        raise TypeError(key)

    def keygen(self, name: str, suite: int) -> tuple[Done, Path, Path]:
        private = self.work / name
        done = self.run("keygen", "--out", private, "--suite", SUITE_NAMES[suite])
        return done, private, private.with_name(name + ".pub")

    def seal(
        self,
        plaintext: bytes | Path,
        out: Path,
        keys: Sequence[PrivateIdentity | Passphrase | RawKey],
        signer: PrivateIdentity | None = None,
        part_size: int = 65536,
    ) -> Done:
        """A plaintext given as bytes goes through a pipe, so that its size is not known."""
        words: list[str | Path] = ["seal"]
        for key in keys:
            if isinstance(key, PrivateIdentity):
                words += ["-r", self.identity_files(key)[1]]
            else:
                words += self._secret_words(key)
        if signer is not None:
            words += ["--sign-with", self.identity_files(signer)[0]]
        words += ["--part-size", f"{part_size >> 10}K", "-o", out]
        if isinstance(plaintext, bytes):
            return self.run(*words, "-", stdin=plaintext)
        return self.run(*words, plaintext)

    def open(
        self,
        container: bytes | Path,
        out: Path,
        key: Key,
        sender: PrivateIdentity | None = None,
    ) -> Done:
        words: list[str | Path] = ["open"]
        if isinstance(key, PrivateIdentity):
            words += ["-i", self.identity_files(key)[0]]
        else:
            words += self._secret_words(key)
        if sender is not None:
            words += ["--from", self.identity_files(sender)[1]]
        words += ["-o", out]
        if isinstance(container, bytes):
            return self.run(*words, "-", stdin=container)
        return self.run(*words, container)

    def inspect(self, container: Path) -> Done:
        return self.run("inspect", "--json", container)
