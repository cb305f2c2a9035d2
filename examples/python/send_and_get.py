"""A server in this process, a file sent to it and fetched again, with progress and a receipt.

    python send_and_get.py [FILE]
"""

import sys
import tempfile
from pathlib import Path

import pqc_secure_transfer as pqc


def show(progress: pqc.Progress) -> None:
    if progress.total:
        print(f"\r{progress.done / progress.total:6.1%}", end="", file=sys.stderr)


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp:
        directory = Path(tmp)
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else directory / "update.bin"
        if len(sys.argv) == 1:
            source.write_bytes(bytes(50_000_000))
        alice = pqc.Identity.generate()

        with pqc.Server(directory / "server") as server:
            server.allow(alice.public, "put,get", "alice/**")
            client = pqc.Client(alice, server_id=server.public,
                                known_servers=directory / "known_servers",
                                state_dir=directory / "state")

            sent = client.send(source, server.url("alice/update.bin"), progress=show)
            print(f"\nsent {sent.size} bytes in {sent.seconds:.2f} s")
            receipt = pqc.verify_receipt(sent.receipt, server=server.public, sender=alice.public)
            print(f"the server has signed for {receipt.size} bytes, entry {receipt.log_index}")

            got = client.get(server.url("alice/update.bin"), directory / "copy.bin",
                             sender=alice.public)
            print(f"got {got.size} bytes in {got.seconds:.2f} s")

            try:
                client.send(source, server.url("bob/update.bin"))
            except pqc.RefusedError as problem:
                print(f"elsewhere alice may not: {problem} ({problem.code})")


if __name__ == "__main__":
    main()
