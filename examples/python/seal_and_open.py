"""Seal a file for somebody, open it as they would; what a wrong key gets.

    python seal_and_open.py
"""

import tempfile
from pathlib import Path

import pqc_secure_transfer as pqc


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp:
        directory = Path(tmp)
        alice, bob = pqc.Identity.generate(), pqc.Identity.generate()
        report = directory / "report.bin"
        report.write_bytes(bytes(range(256)) * 40_000)

        sealed = pqc.seal(report, directory / "report.pqx", recipients=[bob.public], sign=alice)
        print(f"sealed: {sealed.size} bytes became {sealed.sealed_size}")

        opened = pqc.open(directory / "report.pqx", directory / "copy.bin",
                          identity=bob, sender=alice.public)
        assert opened.sender_id == alice.id
        print(f"opened: {opened.size} bytes, signed by {alice.id.hex()[:16]}...")
        assert (directory / "copy.bin").read_bytes() == report.read_bytes()

        try:
            pqc.open(directory / "report.pqx", directory / "no.bin", identity=alice)
        except pqc.NoKeyError as problem:
            print(f"alice cannot: {problem} ({problem.code})")
        assert not (directory / "no.bin").exists()


if __name__ == "__main__":
    main()
