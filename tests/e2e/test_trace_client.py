"""The traces of the program as a client: spans, trace ids, and collectors that are of no use."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pqp
import pytest
from conftest import random_file
from forge import person
from harness import CONFIG, INTERRUPTED, OK, REFUSED, TEMPORARY, Done, Pqc, Server, until
from liar import PATIENCE, Victim, lying, running, silence, store
from otlp_sink import Sink, Span, Trace, collecting
from pqp import Frame
from pqp_program import upload
from pqp_server import Done as Over
from pqp_server import Peer, Stored
from pqp_server import Server as Fake

pytestmark = pytest.mark.asan

ME = "server"
PARENT = "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01"


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    yield made
    made.pqc.end()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with collecting() as made:
        yield made


def adds_up(trace: Trace, parent: Span) -> list[str]:
    """Children follow on one another from its beginning to its end; their names."""
    children = trace.below(parent)
    assert sum(s.seconds for s in children) == pytest.approx(parent.seconds, rel=0.05)
    for a, b in zip(children, children[1:], strict=False):
        assert b.start == pytest.approx(a.end, abs=1e-6)
    for s in children:
        assert s.trace == parent.trace and parent.start <= s.start <= s.end <= parent.end
    return [s.name for s in children]


def works(trace: Trace, transfer: Span, *names: str, parts: int) -> None:
    """The work on the parts of a transfer lies within it."""
    assert {s.name for s in trace.below(transfer)} == set(names)
    for s in trace.below(transfer):
        assert transfer.start <= s.start <= s.end <= transfer.end and s.seconds > 0
        assert s.attributes["pqc.parts"] == parts and s.kind == 1
        assert 0 < s.attributes["pqc.busy_seconds"]


# ---- with the real server ----


def test_a_put_and_a_get(alice: Pqc, known: Server, sink: Sink, tmp_path: Path) -> None:
    file = random_file(tmp_path / "file", 20_000_000)
    sent = alice.json("send", file, known.url("f"), "--otlp-endpoint", sink.url)
    got = alice.json("get", known.url("f"), "--otlp-endpoint", sink.url + "/")
    put, get = sink.trace(0), sink.trace(1)
    for trace, result, name in (put, sent, "pqc send"), (get, got, "pqc get"):
        root = trace.named(name)
        assert root.trace == result["trace_id"] and root.parent == "" and root.kind == 3
        assert root.service == "pqc" and root.error is None
        assert adds_up(trace, root) == ["connect", "handshake", "transfer", "commit"]
        assert root.attributes == {
            "pqc.file_id": sent["file_id"],
            "pqc.server_id": known.id,
            "pqc.bytes": 20_000_000,
            "pqc.reconnects": 0,
            "pqc.result": "done",
        }
        assert 0 < root.seconds <= result["seconds"] + 0.01
        assert abs(root.end - time.time()) < 60
    works(put, put.named("transfer"), "seal", "send", parts=sent["parts"])
    works(get, get.named("transfer"), "receive", "open", parts=sent["parts"])
    assert len(put.spans) == len(get.spans) == 7


def test_an_empty_file_and_several(alice: Pqc, known: Server, sink: Sink, tmp_path: Path) -> None:
    """Each file is a trace."""
    for name in "ab":
        (tmp_path / name).write_bytes(b"")
    done = alice.ok("send", tmp_path / "a", tmp_path / "b", known.url(), "--json",
                    env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url})
    ids = [o["trace_id"] for o in done.objects]
    assert len(set(ids)) == 2 and {s.trace for s in sink.spans} == set(ids)
    for i in range(2):
        adds_up(sink.trace(i), sink.trace(i).named("pqc send"))


# ---- what a server is told ----


def requests_of(victim: Victim, env: dict[str, str], *words: str) -> tuple[list[str], list[Done]]:
    """The traceparents of one request of each kind."""
    seen: list[str] = []

    def answer(self: Fake, p: Peer) -> None:
        seen.append((p.request.traceparent or b"").decode())
        Fake.answer(self, p)

    with running(lying(answer=answer), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", upload(victim.me, 4))
        url = f"pqc://{server.address}/"
        more = [*PATIENCE, "--json", *words]
        done = [
            victim.pqc.run(*command, *more, env=env)
            for command in (
                ["send", victim.source, url + "y"],
                ["get", url + "x", "-o", victim.out, "--force"],
                ["list", url],
                ["receipt", url + "x"],
                ["delete", url + "x"],
            )
        ]
        assert [d.code for d in done] == [OK] * 5, [d.err for d in done]
        assert server.broken == []
    return seen, done


def test_every_request_has_a_trace(victim: Victim) -> None:
    """Also without a collector; then it is not sampled."""
    seen, done = requests_of(victim, {})
    assert len(seen) == 5 and all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", t) for t in seen)
    assert len({t[3:35] for t in seen}) == 5
    for t, d in zip(seen, done, strict=True):
        assert {o["trace_id"] for o in d.objects} == {t[3:35]}


def test_with_a_collector_it_is_sampled(victim: Victim, sink: Sink) -> None:
    seen, _ = requests_of(victim, {"PQC_OTLP_ENDPOINT": sink.url,
                                   "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert all(t.endswith("-01") for t in seen)
    roots = [s for s in sink.spans if not s.parent]
    assert {f"00-{s.trace}-{s.id}-01" for s in roots} == set(seen[:2])
    assert {s.trace for s in sink.spans} == {t[3:35] for t in seen[:2]}  # of transfers only


def test_it_is_part_of_a_trace(victim: Victim, sink: Sink) -> None:
    seen, done = requests_of(victim, {"TRACEPARENT": PARENT}, "--otlp-endpoint", sink.url)
    assert all(t.startswith(PARENT[:36]) and t.endswith("-01") for t in seen)
    assert len(set(seen)) == 5 and PARENT not in seen
    roots = [s for s in sink.spans if s.name in ("pqc send", "pqc get")]
    assert [s.parent for s in roots] == [PARENT[36:52]] * 2
    assert {s.trace for s in sink.spans} == {PARENT[3:35]}
    assert all(d.objects[-1]["trace_id"] == PARENT[3:35] for d in done)


def test_a_parent_decides_what_is_sampled(victim: Victim, sink: Sink) -> None:
    seen, _ = requests_of(victim, {"TRACEPARENT": PARENT})
    assert all(t.endswith("-01") for t in seen)
    seen, _ = requests_of(victim, {"TRACEPARENT": PARENT[:-1] + "0"}, "--otlp-endpoint", sink.url)
    assert all(t.startswith(PARENT[:36]) and t.endswith("-00") for t in seen)
    assert sink.requests == 0


@pytest.mark.parametrize(
    "text",
    [PARENT[:-1], PARENT + "0", PARENT.upper(), "00-" + "0" * 32 + PARENT[35:], "ff" + PARENT[2:], "x"],
)
def test_a_malformed_parent(victim: Victim, text: str) -> None:
    seen, done = requests_of(victim, {"TRACEPARENT": text})
    assert all(t.endswith("-00") and PARENT[3:35] not in t for t in seen)
    assert all("TRACEPARENT is malformed" in d.err for d in done)
    assert "TRACEPARENT" not in requests_of(victim, {"TRACEPARENT": ""})[1][0].err


# ---- queues, reconnections, failures ----


def sending(victim: Victim, sink: Sink | None, *more: str, **methods: Callable[..., Any]) -> Done:
    with running(lying(**methods), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        words = ["--json", *more] + (["--otlp-endpoint", sink.url] if sink else [])
        return victim.send(server, "--retry-for", "20s", *words)


def test_a_queue_is_a_phase(victim: Victim, sink: Sink) -> None:
    def admit(self: Fake, p: Peer) -> None:
        p.queued(1)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            p.queued(1)
            time.sleep(0.02)

    done = sending(victim, sink, admit=admit)
    trace = sink.trace()
    root = trace.named("pqc send")
    assert adds_up(trace, root) == ["connect", "handshake", "queue", "transfer", "commit"]
    queue_seconds = done.objects[-1]["queue_seconds"]
    assert trace.named("queue").seconds == pytest.approx(queue_seconds, abs=0.1)
    assert 0.25 < queue_seconds < root.seconds


def test_a_reconnection_repeats_the_phases(victim: Victim, sink: Sink) -> None:
    """The first is cut while it transfers, the second while it waits, the third before M2."""
    random_file(victim.source, 24_000_000)  # more than sockets hold: there is no COMMIT before
    count = [0]

    def handshake(self: Fake, ws: Any) -> Peer:
        count[0] += 1
        if count[0] == 3:
            raise Over
        return Fake.handshake(self, ws)

    def admit(self: Fake, p: Peer) -> None:
        if count[0] == 2:
            p.queued(1)
            raise Over

    def ack(self: Fake, p: Peer, x: Stored, i: int) -> None:
        if count[0] == 1:
            raise Over
        Fake.ack(self, p, x, i)

    done = sending(victim, sink, handshake=handshake, admit=admit, ack=ack)
    assert done.code == OK and done.objects[-1]["reconnects"] == 3, done.err
    trace = sink.trace()
    root = trace.named("pqc send")
    assert adds_up(trace, root) == [
        "connect", "handshake", "transfer",
        "backoff", "connect", "handshake", "queue",
        "backoff", "connect", "handshake",
        "backoff", "connect", "handshake", "transfer", "commit",
    ]  # fmt: skip
    failed = [s.name for s in trace.below(root) if s.error is not None]
    assert failed == ["transfer", "queue", "handshake"] and root.error is None
    assert root.attributes["pqc.reconnects"] == 3 and root.attributes["pqc.result"] == "done"
    assert done.err.count(f"(trace {root.trace})") == 3
    first, last = (s for s in trace.below(root) if s.name == "transfer")
    for transfer in first, last:
        assert {s.name for s in trace.below(transfer)} == {"seal", "send"}


def test_the_last_64_connections_are_kept(victim: Victim, sink: Sink) -> None:
    """One part a connection; a trace does not grow without bound."""
    parts = 70

    def send_part(self: Fake, p: Peer, x: Stored, i: int) -> None:
        p.part(i, x.parts[i], i == parts - 1)
        raise Over

    with running(lying(send_part=send_part), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        store(server, "x", upload(victim.me, parts))
        url = f"pqc://{server.address}/x"
        done = victim.pqc.run("get", url, "-o", victim.out, "--json", "--otlp-endpoint", sink.url)
    assert done.code == OK, done.err
    reconnects = done.objects[-1]["reconnects"]
    assert reconnects >= parts - 1
    trace = sink.trace()
    root = trace.named("pqc get")
    children = trace.below(root)
    assert root.attributes["pqc.reconnects"] == reconnects
    assert [s.name for s in children].count("connect") == 64
    assert children[0].name == "backoff" and children[-1].name == "commit"
    assert children[-1].end == pytest.approx(root.end, abs=1e-6)
    assert root.start < children[0].start and len(trace.spans) <= 64 * 7 + 1
    known = {s.id for s in trace.spans}
    assert all(s.parent in known for s in trace.spans if s is not root)


def test_a_refusal(victim: Victim, sink: Sink) -> None:
    done = sending(victim, sink, answer=lambda self, p: p.refuse(pqp.REFUSED, "no"))
    trace = sink.trace()
    root = trace.named("pqc send")
    assert done.code == REFUSED and root.error == "refused"
    assert adds_up(trace, root) == ["connect", "handshake"]
    assert trace.named("handshake").error == "refused"
    assert root.attributes["pqc.result"] == "failed"
    error = done.objects[-1]
    assert error["event"] == "error" and error["message"].endswith(f"no (trace {root.trace})")


def test_an_interruption(victim: Victim, sink: Sink) -> None:
    came: list[Frame] = []

    def part(self: Fake, p: Peer, x: Stored, f: Frame, sealed: bytes) -> None:
        came.append(f)
        silence(p)

    with running(lying(part=part), person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        url = f"pqc://{server.address}/x"
        run = victim.pqc.begin("send", victim.source, url, "--otlp-endpoint", sink.url)
        until(lambda: came, "a part")
        run.signal(signal.SIGINT)
        done = run.done()
    root = sink.trace().named("pqc send")
    assert done.code == INTERRUPTED and "trace" not in done.err
    assert root.attributes["pqc.result"] == "interrupted" and root.error == "interrupted"
    assert adds_up(sink.trace(), root) == ["connect", "handshake", "transfer", "commit"]


def test_a_failure_names_the_trace(victim: Victim) -> None:
    """A long message is cut rather than the id; one that no server saw has none."""
    done = sending(victim, None, answer=lambda self, p: p.refuse(pqp.QUOTA, "é" * 256))
    assert re.search(r"\(trace [0-9a-f]{32}\)$", done.objects[-1]["message"])
    gone = victim.pqc.run("list", "pqc://127.0.0.1:1/", "--retry-for", "0")
    assert gone.code == TEMPORARY and "trace" not in gone.err


# ---- collectors that are of no use ----


def refusing() -> socket.socket:
    """An address where nothing listens."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s


def silent() -> socket.socket:
    """Takes connections and says nothing."""
    return socket.create_server(("127.0.0.1", 0))


def full() -> socket.socket:
    """Does not even take them."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    return s


@pytest.mark.parametrize("kind", [refusing, silent, full])
@pytest.mark.parametrize("good", [True, False], ids=["put", "refused put"])
def test_a_collector_of_no_use(
    victim: Victim, kind: Callable[[], socket.socket], good: bool
) -> None:
    def answer(self: Fake, p: Peer) -> None:
        if not good:
            p.refuse(pqp.REFUSED, "no")
        Fake.answer(self, p)

    def timed(*words: str) -> tuple[float, Done]:
        began = time.monotonic()
        done = sending(victim, None, *words, answer=answer)
        return time.monotonic() - began, done

    with kind() as collector:
        fillers = [socket.socket() for _ in range(4)] if kind is full else []
        for s in fillers:
            s.setblocking(False)
            s.connect_ex(collector.getsockname())
        without, plain = timed()
        took, done = timed("--otlp-endpoint", "http://%s:%d" % collector.getsockname())
        for s in fillers:
            s.close()
    assert done.code == plain.code == (OK if good else REFUSED)
    assert done.objects[-1]["event"] == plain.objects[-1]["event"]
    assert took < without + 1.5
    assert "traces" not in done.err


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_collector_that_refuses(victim: Victim, status: int) -> None:
    with collecting(status) as sink:
        began = time.monotonic()
        assert sending(victim, sink).code == OK
        assert sink.requests >= 1 and time.monotonic() - began < 4


@pytest.mark.parametrize("url", ["grpc://collector:4317", "collector:4317", "http://", "http://h:x"])
def test_an_address_that_is_none(victim: Victim, url: str) -> None:
    """Ours must be one; that of all programs here need not concern us."""
    with running(Fake, person(ME, 1)) as server:
        victim.trust(server.address, person(ME, 1))
        assert victim.send(server, "--otlp-endpoint", url).code == CONFIG
        victim.got_nothing()
        words = ["send", victim.source, f"pqc://{server.address}/x"]
        assert victim.pqc.run(*words, env={"PQC_OTLP_ENDPOINT": url}).code == CONFIG
        done = victim.pqc.run(*words, env={"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert done.code == OK and "no traces" in done.err


def test_secrets_stay_out_of_traces(victim: Victim, sink: Sink) -> None:
    """No name, path or address: ids only."""
    sending(victim, sink)
    said = repr(sink.spans)
    assert str(victim.source) not in said and "127.0.0.1" not in said and os.uname()[1] not in said
