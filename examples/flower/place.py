"""Where the members of this federation find their keys and the server: a directory of this machine.

In earnest each of them has a directory, and a machine, of its own, with its private key and the
public ones of others.
"""

from __future__ import annotations

import os
from pathlib import Path

from pqc_secure_transfer import Client, Identity, PublicIdentity

DIRECTORY = "PQC_FLOWER_DIRECTORY"      # the environment variable that names it,
CLIENTS = "PQC_FLOWER_CLIENTS"          # and the one that tells how many clients there are


class Member:
    """The aggregator (number -1) or a client: who it is, and the way to the server."""

    def __init__(self, number: int) -> None:
        directory = Path(os.environ[DIRECTORY])
        self.home = directory / name_of(number)
        self.identity = Identity.load(self.home / "identity")
        self.aggregator = PublicIdentity.load(directory / name_of(-1) / "identity.pub")
        self.address = (directory / "address").read_text()
        self.client = Client(self.identity, server_id=PublicIdentity.load(directory / "server.pub"),
                             known_servers=self.home / "known_servers",
                             state_dir=self.home / "state")

    def url(self, name: str) -> str:
        return f"pqc://{self.address}/{name}"


def name_of(number: int) -> str:
    return "aggregator" if number < 0 else f"client-{number}"


def make_members(directory: Path, clients: int) -> None:
    for number in range(-1, clients):
        home = directory / name_of(number)
        home.mkdir()
        Identity.generate().save(home / "identity", comment=home.name)
