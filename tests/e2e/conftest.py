"""Fixtures of the end to end tests; harness.py says what they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import *  # noqa: F403  (for "from conftest import ...")
from harness import Pqc, Proxy, Server, Tls


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Callable[..., Pqc]]:
    """person("name") makes somebody without a key; .keygen() gives one."""
    people: list[Pqc] = []

    def make(name: str) -> Pqc:
        people.append(Pqc(tmp_path / name))
        return people[-1]

    yield make
    for one in people:
        one.end()


@pytest.fixture
def pqc(person: Callable[..., Pqc]) -> Pqc:
    """Somebody without a key."""
    return person("somebody")


@pytest.fixture
def alice(person: Callable[..., Pqc]) -> Pqc:
    return person("alice").keygen("--comment", "Alice")


@pytest.fixture
def bob(person: Callable[..., Pqc]) -> Pqc:
    return person("bob").keygen("--comment", "Bob")


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """make_server(option, ...) makes one that is not started yet."""
    servers: list[Server] = []

    def make(*options: str | Path, name: str = "server", **more: Any) -> Server:
        directory = tmp_path / name
        directory.mkdir()
        servers.append(Server(directory, *options, **more))
        return servers[-1]

    yield make
    for one in servers:
        one.end()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """Running; knows nobody yet."""
    return make_server().start()


@pytest.fixture
def known(make_server: Callable[..., Server], alice: Pqc) -> Server:
    """Running; alice knows it and may do everything."""
    running = make_server().allow(alice, reload=False).start()
    alice.knows(running)
    return running


@pytest.fixture
def make_proxy() -> Iterator[Callable[[Server], Proxy]]:
    """make_proxy(server) puts a proxy in front of it."""
    proxies: list[Proxy] = []

    def make(server: Server) -> Proxy:
        proxies.append(Proxy(server.port))
        return proxies[-1]

    yield make
    for one in proxies:
        one.close()


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path / "tls")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """A directory for the files of a test, which may be large: removed at once."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)
