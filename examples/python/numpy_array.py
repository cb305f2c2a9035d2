"""An array sent straight from its memory, and fetched into an array that is there already.

    python numpy_array.py [MEGABYTES]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import pqc_secure_transfer as pqc


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    weights = np.random.default_rng(1).random(megabytes * 2**20 // 4, dtype=np.float32)
    with tempfile.TemporaryDirectory() as tmp:
        directory = Path(tmp)
        alice = pqc.Identity.generate()
        with pqc.Server(directory / "server") as server:
            server.allow(alice.public)
            client = pqc.Client(alice, server_id=server.public,
                                known_servers=directory / "known_servers",
                                state_dir=directory / "state")

            sent = client.send(weights, server.url("weights.f32"))
            print(f"sent {sent.size >> 20} MiB in {sent.seconds:.2f} s, without a copy")

            copy = np.empty_like(weights)
            got = client.get(server.url("weights.f32"), copy)
            print(f"got {got.size >> 20} MiB in {got.seconds:.2f} s, into the array")
            assert np.array_equal(weights, copy)

            every_second = weights[::2]
            try:
                client.send(every_second, server.url("half.f32"))
            except pqc.UsageError as problem:
                print(f"not every array is one piece of memory: {problem}")
            client.send(np.ascontiguousarray(every_second), server.url("half.f32"))


if __name__ == "__main__":
    main()
