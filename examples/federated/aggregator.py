"""The aggregator: publishes a model, takes what clients make of it, averages, and again.

    python aggregator.py --home DIR --clients DIR_OF_PUB_FILES --rounds 3 --deadline 10

It is the server too. Each client may read models and write its own update, nothing else:

    round-N/model           ours
    round-N/update-ID       that of the client with this id

A round ends when all clients' updates are there or its deadline has passed; who comes later is
late, and that round goes on without it. Prints a line of JSON for each thing that happens.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import time
from pathlib import Path
from typing import Any, Dict, List, Set

import numpy as np

import model
from pqc_secure_transfer import Client, Identity, PqcError, PublicIdentity, Received, Server
from update import HEADER, BadUpdate, Update

LARGEST_STEP = 100.0    # an update whose model moved farther than this is not believed


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Aggregator:
    def __init__(self, server: Server, arrived: queue.SimpleQueue[Received], identity: Identity,
                 clients: List[PublicIdentity], size: int) -> None:
        self.server, self.arrived, self.size = server, arrived, size
        self.names: Dict[bytes, str] = {}
        self.global_model = Update.empty(size)
        self.incoming = np.empty(HEADER + 4 * size, dtype=np.uint8)     # used for all, in turn
        server.allow(identity.public, "all")
        for public in clients:
            self.names[public.id] = public.id.hex()[:8]
            server.allow(public, "get", "round-*/model")
            server.allow(public, "put", "round-*/update-{id}")
        self.client = Client(identity, server_id=server.public)

    def publish(self, number: int, final: bool) -> None:
        self.global_model.seal_header(round=number, final=final)
        self.client.send(self.global_model.buffer, self.server.url(f"round-{number}/model"))

    def fetch(self, received: Received, number: int) -> Update:
        """An update, if it is what its client was to send, by itself, for this round."""
        if received.sender_id not in self.names:
            raise BadUpdate("its sender is no client of this round")
        if received.name != f"round-{number}/update-{received.sender_id.hex()}":
            raise BadUpdate("it is in another's place")
        if received.size != self.incoming.size:
            raise BadUpdate(f"{received.size} bytes; expected {self.incoming.size}")
        got = self.client.get(self.server.url(received.name), self.incoming,
                              sender=received.sender_id)
        if got.file_id != received.file_id:
            raise BadUpdate("a newer one has taken its place")
        update = Update.read(self.incoming, self.size)
        if update.about.get("round") != number:
            raise BadUpdate(f"it says that it is of round {update.about.get('round')}")
        samples = update.about.get("samples")
        if not isinstance(samples, int) or not 0 < samples < 10**9:
            raise BadUpdate(f"so many samples: {samples}")
        step = np.linalg.norm(update.weights[:model.WEIGHTS]
                              - self.global_model.weights[:model.WEIGHTS])
        if step > LARGEST_STEP:
            raise BadUpdate(f"it moved the model by {step:.3g}; at most {LARGEST_STEP} is believed")
        return update

    def collect(self, number: int, deadline: float) -> Set[bytes]:
        """FedAvg: the mean of what comes in time, weighted by samples. Who was in it."""
        total, weight = np.zeros(self.size, dtype=np.float32), 0
        present: Set[bytes] = set()
        until = time.monotonic() + deadline
        while len(present) < len(self.names):
            try:
                received = self.arrived.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            found = re.match(r"round-(\d+)/update-", received.name or "")
            if found is None:
                continue    # a model of ours
            who = self.names.get(received.sender_id, received.sender_id.hex()[:8])
            if int(found.group(1)) < number:
                say("late", round=int(found.group(1)), client=who)
                continue
            try:
                update = self.fetch(received, number)
            except (BadUpdate, PqcError) as problem:
                say("refused", round=number, client=who, reason=str(problem))
                continue
            if received.sender_id not in present:
                samples = update.about["samples"]
                total += samples * update.weights
                weight += samples
                present.add(received.sender_id)
        if weight > 0:
            np.divide(total, weight, out=self.global_model.weights)
        return present

    def run(self, rounds: int, deadline: float) -> None:
        test = model.make_data(seed=0, samples=2000)
        for number in range(1, rounds + 1):
            self.publish(number, final=False)
            present = self.collect(number, deadline)
            say("round", round=number, clients=sorted(self.names[id] for id in present),
                missing=sorted(name for id, name in self.names.items() if id not in present),
                accuracy=round(model.accuracy(self.global_model.weights, test), 4))
        self.publish(rounds + 1, final=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="for keys and what is received")
    parser.add_argument("--clients", type=Path, required=True, help="a directory of .pub files")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deadline", type=float, default=30, help="seconds a round may take")
    parser.add_argument("--megabytes", type=float, default=1, help="size of the model")
    args = parser.parse_args()

    args.home.mkdir(mode=0o700, exist_ok=True)
    key = args.home / "identity"
    if key.exists():
        identity = Identity.load(key)
    else:
        identity = Identity.generate()
        identity.save(key)
    clients = [PublicIdentity.load(path) for path in sorted(args.clients.glob("*.pub"))]
    size = max(model.WEIGHTS, int(args.megabytes * 2**20) // 4)
    arrived: queue.SimpleQueue[Received] = queue.SimpleQueue()
    with Server(args.home / "server", args.listen, on_received=arrived.put) as server:
        aggregator = Aggregator(server, arrived, identity, clients, size)
        say("listening", address=server.address, server=server.public.text)
        aggregator.run(args.rounds, args.deadline)
        say("done", waiting="for a line on standard input, while clients fetch the last model")
        input()


if __name__ == "__main__":
    main()
