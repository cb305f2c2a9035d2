"""A client: fetches the model of a round, trains on its own data, sends what came of it.

    python client.py --home DIR --server aggregator.pub --address HOST:PORT --seed 1

Killed at any moment and started again with the same arguments it goes on where it was: the parts of
its update that the server has are not sent twice. That works because training here gives the same
numbers again; where yours does not, keep the update in a file (np.memmap) and send its path.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

import model
from pqc_secure_transfer import (Client, Identity, PublicIdentity, RefusedError, TemporaryError,
                                 verify_receipt)
from update import HEADER, Update


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def wait_for_model(client: Client, url: str, patience: float) -> Update:
    """The model as soon as it is there.

    A server does not tell who may not read a name that there is nothing: both are "refused". So we
    ask again, ever more slowly, with jitter: a thousand clients must not ask at the same moment.
    """
    until, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            data = np.frombuffer(client.get_bytes(url), dtype=np.uint8)
            return Update.read(data, (data.size - HEADER) // 4)
        except (RefusedError, TemporaryError):
            if time.monotonic() > until:
                raise
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="has our identity, made if not")
    parser.add_argument("--server", required=True, help="the server's line or FILE.pub")
    parser.add_argument("--address", required=True, help="HOST:PORT")
    parser.add_argument("--seed", type=int, default=1, help="of our data")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for a model")
    parser.add_argument("--straggle", type=int, default=0,
                        help="send the update of this round when the next has begun")
    args = parser.parse_args()

    server = (PublicIdentity.load(args.server) if Path(args.server).exists()
              else PublicIdentity.parse(args.server))
    identity = Identity.load(args.home / "identity")
    client = Client(identity, server_id=server, known_servers=args.home / "known_servers",
                    state_dir=args.home / "state")
    data = model.make_data(args.seed, args.samples)

    def url(name: str) -> str:
        return f"pqc://{args.address}/{name}"

    number = 1
    current = wait_for_model(client, url(f"round-{number}/model"), args.patience)
    while not current.about["final"]:
        update = Update.empty(current.weights.size)
        update.weights[:] = current.weights
        model.train(update.weights, data)
        update.seal_header(round=number, samples=args.samples)
        if args.straggle == number:
            current = wait_for_model(client, url(f"round-{number + 1}/model"), args.patience)
        sent = client.send(update.buffer, url(f"round-{number}/update-{identity.id.hex()}"))
        verify_receipt(sent.receipt, server=server, sender=identity.public)
        (args.home / f"round-{number}.receipt").write_bytes(sent.receipt)
        say("sent", round=number, bytes=sent.size, resumed=sent.resumed_bytes)
        number += 1
        current = wait_for_model(client, url(f"round-{number}/model"), args.patience)
    say("done", rounds=number - 1)


if __name__ == "__main__":
    main()
