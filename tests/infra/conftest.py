"""Fixtures of the tests of monitoring; harness.py and judges.py say what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Proxy, Pqc, Server
from judges import Sink, free_port


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Callable[[str], Pqc]]:
    """person("name") makes somebody with a key."""
    people: list[Pqc] = []

    def make(name: str) -> Pqc:
        people.append(Pqc(tmp_path / name))
        return people[-1].keygen()

    yield make
    for one in people:
        one.end()


@pytest.fixture
def alice(person: Callable[[str], Pqc]) -> Pqc:
    return person("alice")


@pytest.fixture
def monitored(tmp_path: Path, alice: Pqc) -> Iterator[Callable[..., Server]]:
    """monitored(option, ...) starts a server that alice may use; .monitor is where to scrape."""
    servers: list[Server] = []

    def make(*options: str | Path) -> Server:
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        monitor = f"127.0.0.1:{free_port()}"
        server = Server(directory, "--metrics-listen", monitor, *options)
        servers.append(server)
        server.monitor = monitor
        server.allow(alice, reload=False).start()
        alice.knows(server)
        return server

    yield make
    for one in servers:
        one.end()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[Server], Proxy]]:
    proxies: list[Proxy] = []

    def make(server: Server) -> Proxy:
        proxies.append(Proxy(server.port))
        return proxies[-1]

    yield make
    for one in proxies:
        one.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()
