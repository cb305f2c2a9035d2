"""The Flower ServerApp: publishes models and fetches updates as objects of ours.

A Flower message holds a name, the sender's id and the file id, never a weight. So Flower's own links
and whoever runs them see none, and a message of 200 bytes is all that gRPC has to carry.
"""

from __future__ import annotations

import os
import time
from typing import List, Set

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

import model
from place import CLIENTS, Member
from pqc_secure_transfer import PqcError
from update import HEADER, BadUpdate, Update

ROUNDS, SIZE = 3, 262144       # float32 numbers: a model of 1 MiB
SECONDS = 60.0                  # that a round may take

app = ServerApp()


class Aggregator:
    def __init__(self, allowed: Set[bytes]) -> None:
        self.member, self.allowed = Member(-1), allowed
        self.model = Update.empty(SIZE)
        self.incoming = np.empty(HEADER + 4 * SIZE, dtype=np.uint8)

    def publish(self, number: int) -> str:
        self.model.seal_header(round=number)
        name = f"round-{number}/model"
        self.member.client.send(self.model.buffer, self.member.url(name))
        return name

    def fetch(self, answer: ConfigRecord, number: int) -> Update:
        """The update that an answer names: sent by whom it says, and the very one it means."""
        sender = bytes(answer["sender"])  # type: ignore[arg-type]
        if sender not in self.allowed:
            raise BadUpdate("its sender is no client of ours")
        name = f"round-{number}/update-{sender.hex()}"
        got = self.member.client.get(self.member.url(name), self.incoming, sender=sender)
        if got.file_id != answer["file_id"]:
            raise BadUpdate("it is another one than the message means")
        return Update.read(self.incoming, SIZE)


@app.main()
def main(grid: Grid, context: Context) -> None:
    nodes = wait_for_nodes(grid, int(os.environ[CLIENTS]))
    aggregator = Aggregator(allowed_clients(len(nodes)))
    test = model.make_data(seed=0, samples=2000)
    for number in range(1, ROUNDS + 1):
        job = RecordDict({"job": ConfigRecord({"round": number,
                                               "model": aggregator.publish(number)})})
        total, weight, present = np.zeros(SIZE, dtype=np.float32), 0, 0
        messages = [Message(content=job, message_type=MessageType.TRAIN, dst_node_id=node)
                    for node in nodes]
        for reply in grid.send_and_receive(messages, timeout=SECONDS):
            if reply.has_error():
                print(f"round {number}: a client failed: {reply.error.reason}", flush=True)
                continue
            try:
                update = aggregator.fetch(reply.content.config_records["update"], number)
            except (BadUpdate, PqcError) as problem:
                print(f"round {number}: an update is refused: {problem}", flush=True)
                continue
            total += update.about["samples"] * update.weights
            weight += update.about["samples"]
            present += 1
        if weight > 0:
            np.divide(total, weight, out=aggregator.model.weights)
        print(f"round {number}: {present} of {len(nodes)} updates, accuracy "
              f"{model.accuracy(aggregator.model.weights, test):.2%}", flush=True)


def wait_for_nodes(grid: Grid, count: int) -> List[int]:
    """Flower tells nobody when a node has come: it has to be asked."""
    until = time.monotonic() + SECONDS
    while len(nodes := list(grid.get_node_ids())) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(nodes)} nodes of {count} after {SECONDS:.0f} s")
        time.sleep(0.2)
    return nodes


def allowed_clients(count: int) -> Set[bytes]:
    return {Member(number).identity.id for number in range(count)}
