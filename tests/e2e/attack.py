"""What the attacks on a server share: the server, who attacks, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from identity import PrivateIdentity
from pqp_client import Closed, Failed, Held, Session, Upload
from pqp_program import World, sanitized, upload
from pqx import KeyBlock, Keys

ROOM_KIB = 96 * 1024  # how much a server may have grown, whatever was done to it

Answer = tuple[int | str, str, int | None]


class Field(World):
    """A server that many attacks are tried on. mallory has the same rights as alice."""

    def __init__(self, directory: Path, suite: int = 1, *options: str) -> None:
        super().__init__(directory, suite, "--drain-timeout", "0", *options)
        self.start()
        self.alice, self.mallory = self.person(), self.person()
        self.reader = self.person("get", "shared/**")
        self.nobody = self.stranger()
        self.count = 0
        self.still_serves()
        self.began_with = self.resident_kib()

    def name(self) -> str:
        self.count += 1
        return f"attacked/{self.count}"

    def still_serves(self) -> None:
        """A good client is served, and the server has not grown."""
        client, u = self.client(self.alice), upload(self.alice, 2)
        client.put("good", u)
        assert client.get("good").plain == u.plain
        assert self.server.metric("pqc_open_connections") >= 1
        if hasattr(self, "began_with") and not sanitized():
            assert self.resident_kib() < self.began_with + ROOM_KIB

    def whole_after_all(self, name: str, u: Upload) -> None:
        """The upload that was attacked can be finished, and is what its owner made."""
        client = self.client(u.owner)
        with client.resume(name, u) as s:
            if s.reply.receipt is None:
                client.finish(s, u)
        assert client.get(name).plain == u.plain


def fields(directory: Path, suite: int = 1, *options: str) -> Iterator[Field]:
    """For a fixture."""
    field = Field(directory, suite, *options)
    yield field
    field.still_serves()
    field.end()


def drain(s: Session) -> None:
    """Read until there is no more: raises what ended it."""
    while True:
        s.recv()


@contextmanager
def refused(*codes: int) -> Iterator[None]:
    """The server answers with one of these codes."""
    with pytest.raises(Failed) as found:
        yield
    assert found.value.code in codes, found.value
    assert found.value.text


def answer(ask: Callable[[], Any]) -> Answer:
    """How the server says no."""
    with pytest.raises(Failed) as found:
        ask()
    return found.value.answer


def silent(ask: Callable[[], Any]) -> None:
    """The server closes without a word."""
    with pytest.raises(Closed):
        ask()


def acknowledged(s: Session, count: int) -> Held:
    held = Held()
    held.add(s.reply.ranges)
    while len(held.parts) < count:
        held.take(s.recv())
    return held


def with_file_id(who: PrivateIdentity, file_id: bytes) -> Upload:
    """An upload right in everything, with a file id of somebody else's."""
    u = upload(who)
    u.header = replace(u.header, file_id=file_id).committed(u.keys.dek)
    u.keys = Keys.derive(u.header, u.keys.dek)
    u.key_block = KeyBlock(1, [who.public.stanza(u.keys.dek, u.keys.hc)]).encode(u.keys)
    return u
