"""The whole chain on real programs: a server in trouble, Prometheus with our rules, Alertmanager
with our routes, and a receiver that is told when it begins and when it is over. Prometheus and
Alertmanager run 15 times faster than they are set to (judges.py)."""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import MIB, OK, REFUSED, Pqc, Proxy, Server, random_file, until
from judges import Alertmanager, Prometheus, Sink
from names import metrics

Alert = dict[str, Any]


@pytest.fixture
def watch(tmp_path: Path, sink: Sink) -> Iterator[Callable[[Server], Prometheus]]:
    """watch(server) has it watched from now on; what is amiss comes to the sink."""
    judges: list[Alertmanager | Prometheus] = []

    def start(server: Server) -> Prometheus:
        alertmanager = Alertmanager(tmp_path / "alertmanager", sink)
        judges.append(alertmanager)
        prometheus = Prometheus(tmp_path / "prometheus", alertmanager.address, server.monitor)
        judges.append(prometheus)
        until(lambda: len(prometheus.query("up == 1")) == 2, "both jobs to be scraped")
        return prometheus

    yield start
    for one in reversed(judges):
        one.end()


@contextmanager
def load(who: Pqc, server: Server, source: Path) -> Iterator[None]:
    """Small transfers all the while, which must all succeed."""
    stop, codes = threading.Event(), []

    def work() -> None:
        while not stop.is_set():
            codes.append(who.run("send", source, server.url(f"load/{len(codes)}"), "-q").code)
            stop.wait(0.2)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert codes and set(codes) == {OK}


def told(sink: Sink, receiver: str, name: str, status: str) -> Alert:
    """The alert, once the receiver is told that it fires or is resolved."""
    def match(path: str, _: dict[str, str], body: Any) -> Alert | None:
        if path != f"/{receiver}":
            return None
        return next((one for one in body["alerts"] if one["labels"]["alertname"] == name
                     and one["status"] == status), None)

    return sink.wait_for(f"{receiver}: {name} {status}", match)


def told_of(sink: Sink) -> set[str]:
    """The alerts that anybody was told of so far."""
    return {one["labels"]["alertname"] for _, _, body in sink.posts for one in body["alerts"]}


def text_of(server: Server, path: str, accept: str = "text/plain") -> str:
    request = urllib.request.Request(f"http://{server.monitor}{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Type"].split(";")[0] == accept.split(";")[0]
        return str(answer.read().decode())


def test_a_flood_of_strangers(alice: Pqc, person: Callable[[str], Pqc], sink: Sink, tmp_path: Path,
                              monitored: Callable[..., Server],
                              watch: Callable[[Server], Prometheus]) -> None:
    server = monitored()
    mallory = person("mallory").knows(server)
    watch(server)
    stop = threading.Event()

    def attack() -> None:
        while not stop.is_set():
            mallory.run("get", server.url("x"), "--retry-for", "0s", "-q")

    attackers = [threading.Thread(target=attack) for _ in range(2)]
    with load(alice, server, random_file(tmp_path / "small", 100_000)):
        for thread in attackers:
            thread.start()
        try:
            alert = told(sink, "ticket", "PqcAuthenticationFlood", "firing")
        finally:
            stop.set()
            for thread in attackers:
                thread.join()
        told(sink, "ticket", "PqcAuthenticationFlood", "resolved")
    assert alert["labels"]["instance"] == server.monitor
    assert alert["annotations"]["runbook_url"] == "docs/runbooks.md#pqcauthenticationflood"
    assert server.monitor in alert["annotations"]["summary"]
    # The strangers had no right either; nothing else is amiss.
    assert told_of(sink) <= {"PqcAuthenticationFlood", "PqcRequestsRefused"}


def test_no_room_on_the_disk(alice: Pqc, sink: Sink, tmp_path: Path,
                             monitored: Callable[..., Server],
                             watch: Callable[[Server], Prometheus]) -> None:
    config = tmp_path / "server.conf"
    config.write_text("min-free = 1M\n")
    server = monitored("--config", config)
    prometheus = watch(server)
    space = os.statvfs(server.data)
    config.write_text(f"min-free = {space.f_frsize * space.f_blocks}\n")    # all of the disk
    server.reload()
    alert = told(sink, "page", "PqcNoRoom", "firing")
    assert alert["labels"]["severity"] == "critical"
    assert prometheus.query('pqc_health_status{check="space"} > 0')
    refused = alice.run("send", random_file(tmp_path / "small", 1000), server.url("x"),
                        "--retry-for", "0s")
    assert refused.code != OK
    config.write_text("min-free = 1M\n")
    server.reload()
    told(sink, "page", "PqcNoRoom", "resolved")
    alice.ok("send", tmp_path / "small", server.url("x"))


def test_a_queue_that_stands_still(alice: Pqc, person: Callable[[str], Pqc], sink: Sink,
                                   tmp_path: Path, make_proxy: Callable[[Server], Proxy],
                                   monitored: Callable[..., Server],
                                   watch: Callable[[Server], Prometheus]) -> None:
    server = monitored("--max-transfers", "1")
    bob = person("bob").knows(server)
    server.allow(bob)
    watch(server)
    proxy = make_proxy(server)
    alice.ok("trust", "add", proxy.address, server.pub)
    proxy.hold("up", 4 * MIB)
    first = alice.begin("send", random_file(tmp_path / "large", 12 * MIB),
                        server.url("large", through=proxy), "-q")
    assert proxy.held.wait(60)
    second = bob.begin("send", random_file(tmp_path / "small", 1000), server.url("small"), "-q")
    server.wait_for("queue.entered")
    alert = told(sink, "page", "PqcQueueStalled", "firing")
    assert alert["labels"]["severity"] == "critical"
    assert second.running()
    proxy.release()
    assert first.done().code == OK and second.done().code == OK
    told(sink, "page", "PqcQueueStalled", "resolved")


def test_a_server_that_is_killed(sink: Sink, monitored: Callable[..., Server],
                                 watch: Callable[[Server], Prometheus]) -> None:
    server = monitored()
    watch(server)
    server.kill()
    alert = told(sink, "page", "PqcScrapeGone", "firing")
    assert alert["labels"]["instance"] == server.monitor
    server.start()
    told(sink, "page", "PqcScrapeGone", "resolved")
    assert told_of(sink) == {"PqcScrapeGone"}


@pytest.mark.parametrize("words", [["get"], ["list"], ["delete"], ["receipt"], ["send", "file"]],
                         ids=lambda words: words[0])
def test_every_refusal_counts(words: list[str], person: Callable[[str], Pqc],
                              monitored: Callable[..., Server]) -> None:
    """Whatever a stranger asks for: else a flood of it would go unseen."""
    server = monitored()
    mallory = person("mallory").knows(server)
    random_file(mallory.cwd / "file", 10)
    mallory.fails(REFUSED, *words, server.url("x"), "--retry-for", "0s")
    counted = dict(re.findall(r"^(\S+) (\S+)$", text_of(server, "/metrics"), re.M))
    assert counted["failed_authentications_total"] == "1"
    assert counted['pqc_requests_refused_total{reason="unknown_identity"}'] == "1"


@pytest.mark.parametrize("path", ["/metrics", "/performance-metrics"])
@pytest.mark.parametrize("accept", ["text/plain;version=0.0.4",
                                    "application/openmetrics-text;version=1.0.0"])
def test_what_is_served_is_what_is_asked_for(path: str, accept: str,
                                             monitored: Callable[..., Server]) -> None:
    text = text_of(monitored(), path, accept)
    assert text.endswith("# EOF\n") == accept.startswith("application/")


def test_every_metric_is_scraped(alice: Pqc, tmp_path: Path, monitored: Callable[..., Server],
                                 watch: Callable[[Server], Prometheus]) -> None:
    """What the program says it has is what Prometheus gets, but for what needs TLS."""
    server = monitored()
    prometheus = watch(server)
    alice.ok("send", random_file(tmp_path / "small", 1000), server.url("small"))
    alice.ok("get", server.url("small"), "--out", tmp_path / "out")

    def missing() -> set[str]:
        seen = {one["metric"]["__name__"] for one in
                prometheus.query('{__name__!="", job=~"pqc-.*"}')}
        return set(metrics()) - seen - {"pqc_tls_certificate_expiry_timestamp_seconds"}

    until(lambda: not missing(), f"what is missing: {sorted(missing())}", 60)
