"""The Flower ClientApp: its update travels as an object of ours; Flower carries only its name."""

from __future__ import annotations

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

import model
from place import Member
from update import HEADER, Update

SAMPLES = 200

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Fetch the model that the message names, train, send the update, answer with its name."""
    job = message.content["job"]
    number, round_number = int(str(context.node_config["partition-id"])), int(str(job["round"]))
    me = Member(number)
    data = np.frombuffer(
        me.client.get_bytes(me.url(str(job["model"])), sender=me.aggregator), dtype=np.uint8)
    current = Update.read(data, (data.size - HEADER) // 4)

    update = Update.empty(current.weights.size)
    update.weights[:] = current.weights
    model.train(update.weights, model.make_data(number + 1, SAMPLES))
    update.seal_header(round=round_number, samples=SAMPLES)

    name = f"round-{round_number}/update-{me.identity.id.hex()}"
    sent = me.client.send(update.buffer, me.url(name))
    answer = ConfigRecord({"name": name, "sender": me.identity.id, "file_id": sent.file_id,
                           "bytes": sent.size})
    return Message(content=RecordDict({"update": answer}), reply_to=message)
