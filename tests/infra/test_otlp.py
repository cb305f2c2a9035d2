"""Traces, as the real OpenTelemetry collector takes them from the client and the server and hands
them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import MIB, Pqc, Server, random_file, same
from judges import Collector, Sink

INTERNAL, SERVER, CLIENT = 1, 2, 3      # span kinds of OTLP
NOBODY = ""


@dataclass
class Span:
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    start: int      # ns
    end: int
    attributes: dict[str, Any]
    failed: bool
    service: str

    @property
    def duration(self) -> int:
        return self.end - self.start


def value(one: dict[str, Any]) -> Any:
    kind, content = next(iter(one.items()))
    return int(content) if kind == "intValue" else content


def attributes(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: value(one["value"]) for one in listed}


def spans_of(body: dict[str, Any]) -> Iterator[Span]:
    for resource in body["resourceSpans"]:
        about = attributes(resource["resource"]["attributes"])
        for scope in resource["scopeSpans"]:
            for one in scope["spans"]:
                yield Span(one["name"], one["traceId"], one["spanId"],
                           one.get("parentSpanId", NOBODY), int(one["kind"]),
                           int(one["startTimeUnixNano"]), int(one["endTimeUnixNano"]),
                           attributes(one.get("attributes", [])),
                           one.get("status", {}).get("code") == 2, about["service.name"])


class Traces:
    def __init__(self, sink: Sink, endpoint: str) -> None:
        self.endpoint, self._sink = endpoint, sink
        self._spans: list[Span] = []

    @property
    def seen(self) -> set[str]:
        """The traces of which anything came so far."""
        return {one.trace for one in self._spans}

    def wait_for(self, *names: str) -> list[Span]:
        """All spans of one trace, once roots or server spans of these names are there."""
        def whole(path: str, _: dict[str, str], body: Any) -> list[Span] | None:
            assert path == "/v1/traces"
            self._spans += spans_of(body)
            for trace in self.seen:
                mine = [one for one in self._spans if one.trace == trace]
                if set(names) <= {one.name for one in mine if one.kind != INTERNAL}:
                    return mine
            return None

        return list(self._sink.wait_for(f"spans {names}", whole))


@pytest.fixture
def traces(tmp_path: Path, sink: Sink) -> Iterator[Traces]:
    one = Collector(tmp_path / "collector", sink)
    yield Traces(sink, one.endpoint)
    one.end()


def children(spans: list[Span], of: Span, *kinds: int) -> list[Span]:
    return sorted((one for one in spans if one.parent == of.id and one.kind in kinds),
                  key=lambda one: one.start)


def one_of(spans: list[Span], name: str, kind: int) -> Span:
    found = [one for one in spans if (one.name, one.kind) == (name, kind)]
    assert len(found) == 1, [f"{one.name} {one.kind}" for one in spans]
    return found[0]


def adds_up(root: Span, parts: list[Span], names: list[str]) -> None:
    """These, one after the other, and within 5 % as long as the root."""
    assert [one.name for one in parts if one.name != "queue"] == names
    for before, after in zip(parts, parts[1:]):
        assert before.end <= after.start
    assert root.start <= parts[0].start and parts[-1].end <= root.end
    total = sum(one.duration for one in parts)
    assert total >= 0.95 * root.duration, {one.name: one.duration / root.duration for one in parts}


def within(spans: list[Span], outer: Span, names: set[str]) -> None:
    """These went on in it, with how busy they were."""
    inner = [one for one in spans if one.parent == outer.id]
    assert {one.name for one in inner} == names
    for one in inner:
        assert outer.start <= one.start <= one.end <= outer.end, one
        assert 0 <= one.attributes["pqc.busy_seconds"]
        assert one.attributes["pqc.parts"] >= 1


def is_one_tree(spans: list[Span]) -> Span:
    """All of one trace, below one root; returns it."""
    assert len({one.id for one in spans}) == len(spans)
    assert len({one.trace for one in spans}) == 1
    ids = {one.id for one in spans}
    roots = [one for one in spans if one.parent == NOBODY]
    assert len(roots) == 1 and roots[0].kind == CLIENT
    assert all(one.parent in ids for one in spans if one is not roots[0])
    assert all(one.start <= one.end for one in spans)
    return roots[0]


def test_a_sent_file_is_one_trace(alice: Pqc, traces: Traces, tmp_path: Path,
                                  monitored: Callable[..., Server]) -> None:
    server = monitored("--otlp-endpoint", traces.endpoint)
    source = random_file(tmp_path / "source", 48 * MIB)
    alice.ok("send", source, server.url("a"), "--otlp-endpoint", traces.endpoint)
    spans = traces.wait_for("pqc send", "put")
    root = is_one_tree(spans)
    assert root.name == "pqc send" and not any(one.failed for one in spans)

    adds_up(root, children(spans, root, INTERNAL, CLIENT),
            ["connect", "handshake", "transfer", "commit"])
    transfer = next(one for one in children(spans, root, INTERNAL, CLIENT)
                    if one.name == "transfer")
    within(spans, transfer, {"seal", "send"})

    put = one_of(spans, "put", SERVER)
    assert put.parent == root.id and put.service != ""
    parts = children(spans, put, INTERNAL, SERVER)
    adds_up(put, parts, ["handshake", "open", "transfer", "commit"])
    within(spans, next(one for one in parts if one.name == "transfer"),
           {"verify", "write", "fsync"})
    # The log leads to the trace.
    line = server.wait_for("transfer")
    assert line["trace_id"] == root.trace and line["result"] == "done"


def test_a_fetched_file_is_one_trace(alice: Pqc, traces: Traces, tmp_path: Path,
                                     monitored: Callable[..., Server]) -> None:
    server = monitored("--otlp-endpoint", traces.endpoint)
    source = random_file(tmp_path / "source", 48 * MIB)
    alice.ok("send", source, server.url("a"))
    alice.ok("get", server.url("a"), "--out", tmp_path / "out", "--otlp-endpoint", traces.endpoint)
    assert same(source, tmp_path / "out")
    spans = traces.wait_for("pqc get", "get")
    root = is_one_tree(spans)
    parts = children(spans, root, INTERNAL, CLIENT)
    adds_up(root, parts, ["connect", "handshake", "transfer", "commit"])
    within(spans, next(one for one in parts if one.name == "transfer"), {"receive", "open"})
    get = one_of(spans, "get", SERVER)
    assert get.parent == root.id
    parts = children(spans, get, INTERNAL, SERVER)
    within(spans, next(one for one in parts if one.name == "transfer"), {"send"})


def test_a_trace_goes_on_from_a_caller(alice: Pqc, traces: Traces, tmp_path: Path,
                                       monitored: Callable[..., Server]) -> None:
    """$TRACEPARENT, from a script that has a trace already, goes through to the server."""
    server = monitored("--otlp-endpoint", traces.endpoint)
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    alice.ok("send", random_file(tmp_path / "source", MIB), server.url("a"),
             "--otlp-endpoint", traces.endpoint, env={"TRACEPARENT": f"00-{trace}-{caller}-01"})
    spans = traces.wait_for("pqc send", "put")
    assert {one.trace for one in spans} == {trace}
    root = one_of(spans, "pqc send", CLIENT)
    assert root.parent == caller and one_of(spans, "put", SERVER).parent == root.id
    assert server.wait_for("transfer")["trace_id"] == trace


def test_a_client_that_does_not_trace_is_not_traced(alice: Pqc, traces: Traces, tmp_path: Path,
                                                    monitored: Callable[..., Server]) -> None:
    """Its trace would have no root. The log has its trace id all the same."""
    server = monitored("--otlp-endpoint", traces.endpoint)
    source = random_file(tmp_path / "source", 1000)
    alice.ok("send", source, server.url("a"))
    quiet = server.wait_for("transfer")["trace_id"]
    alice.ok("send", source, server.url("b"), "--otlp-endpoint", traces.endpoint)
    spoken = server.wait_for("transfer")["trace_id"]
    assert len(quiet) == 32 and quiet != spoken
    traces.wait_for("pqc send", "put")
    assert traces.seen == {spoken}


def test_traces_wait_for_a_collector_that_is_away(alice: Pqc, sink: Sink, tmp_path: Path,
                                                  monitored: Callable[..., Server]) -> None:
    """Transfers do not notice it, and what the server kept is handed on when it comes."""
    collector = Collector(tmp_path / "first", sink)
    endpoint = collector.endpoint
    collector.end()
    server = monitored("--otlp-endpoint", endpoint)
    alice.ok("send", random_file(tmp_path / "source", MIB), server.url("a"),
             "--otlp-endpoint", endpoint)
    again = Collector(tmp_path / "second", sink, endpoint)
    try:
        put = one_of(Traces(sink, endpoint).wait_for("put"), "put", SERVER)
        assert put.trace == server.wait_for("transfer")["trace_id"]
    finally:
        again.end()
