"""A collector of traces, as far as a test needs one: OTLP over HTTP, JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str  # empty: a root
    kind: int
    start: float  # seconds
    end: float
    attributes: dict[str, Any]
    error: str | None
    service: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


def value_of(v: dict[str, Any]) -> Any:
    (kind, value), = v.items()
    return {"intValue": int, "doubleValue": float, "stringValue": str}[kind](value)


def attributes_of(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {a["key"]: value_of(a["value"]) for a in listed}


def spans_of(request: dict[str, Any]) -> Iterator[Span]:
    for of_resource in request["resourceSpans"]:
        service = attributes_of(of_resource["resource"]["attributes"])["service.name"]
        for of_scope in of_resource["scopeSpans"]:
            for s in of_scope["spans"]:
                status = s.get("status", {})
                assert len(s["traceId"]) == 32 and len(s["spanId"]) == 16
                times = (int(s[k]) / 1e9 for k in ("startTimeUnixNano", "endTimeUnixNano"))
                yield Span(s["name"], s["traceId"], s["spanId"], s.get("parentSpanId", ""),
                           s["kind"], *times, attributes_of(s["attributes"]),
                           status["message"] if status.get("code") == 2 else None, service)


class Sink:
    """Keeps what it gets; status: what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.spans: list[Span] = []
        self.requests = 0
        self.lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with sink.lock:
                    sink.requests += 1
                    if self.path.endswith("/v1/traces") and status == 200:
                        sink.spans += spans_of(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def trace(self, number: int = 0) -> Trace:
        """Of the traces that have come, in order of time."""
        ids = list(dict.fromkeys(s.trace for s in sorted(self.spans, key=lambda s: s.start)))
        return Trace([s for s in self.spans if s.trace == ids[number]])


class Trace:
    def __init__(self, spans: list[Span]) -> None:
        self.spans = sorted(spans, key=lambda s: (s.start, s.end))
        assert len({s.id for s in spans}) == len(spans), "an id twice"

    def named(self, name: str) -> Span:
        found = [s for s in self.spans if s.name == name]
        assert len(found) == 1, f"{name}: {[s.name for s in self.spans]}"
        return found[0]

    def below(self, parent: Span) -> list[Span]:
        """Its children, in order of time."""
        return [s for s in self.spans if s.parent == parent.id]


@contextmanager
def collecting(status: int = 200) -> Iterator[Sink]:
    sink = Sink(status)
    thread = threading.Thread(target=sink.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.http.shutdown()
        sink.http.server_close()
        thread.join()
