"""A monitor listener that says what a test wants it to say: over TCP, or at a data directory's socket."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Any    # bytes as they are, a function of the handler, or what json.dumps takes


def health(**more: Any) -> dict[str, Any]:
    checks = [{"name": name, "status": "healthy", "message": "fine", "observed_seconds_ago": 1.5,
               "response_time_ms": 0.2}
              for name in ("storage", "space", "key", "bundle", "clock", "queue")]
    return {"status": "healthy", "reason": None, "timestamp": "2026-11-25T02:00:00Z",
            "component": "pqc-secure-transfer", "version": "9.8.7", "pqc_algorithm": "Kyber768",
            "server_id": "ab" * 32, "pid": 4711, "uptime_seconds": 93784, "active_transfers": 2,
            "queue_length": 1, "open_connections": 5, "storage_free_bytes": 300 << 30,
            "storage_total_bytes": 1000 << 30, "checks": checks, **more}


def degraded(check: str, message: str, status: str = "degraded", **more: Any) -> dict[str, Any]:
    body = health(status=status, reason=message, **more)
    for one in body["checks"]:
        if one["name"] == check:
            one.update(status=status, message=message)
    return body


def point(name: str, value: Any, **labels: str) -> dict[str, Any]:
    return {"name": name, "value": value, "timestamp": "2026-11-25T02:00:00Z",
            "labels": {"window": "1m", **labels}, "unit": ""}


def figures(received: float = 120e6, sent: float = 3e6, bottleneck: str = "disk",
            scale: float = 1) -> list[dict[str, Any]]:
    times = {"key_exchange": (0.0004, 0.0009), "transfer_start": (0.012, 0.040),
             "fsync": (0.008, 0.030), "commit": (0.020, 3.2), "transfer": (1, 2)}
    return [
        point("pqc_window_bytes_per_second", received, direction="received"),
        point("pqc_window_bytes_per_second", 1, direction="received", window="5m"),
        point("pqc_window_bytes_per_second", sent, direction="sent"),
        point("pqc_window_handshakes_per_second", 2.5),
        *[point("pqc_window_transfers_per_second", value, result=result)
          for result, value in (("done", 1.5), ("failed", 0.1), ("interrupted", 0))],
        *[point("pqc_window_quantile_seconds", value * scale, metric=metric, quantile=quantile)
          for metric, pair in times.items() for quantile, value in zip(("0.5", "0.95"), pair)],
        *[point("pqc_busy_ratio", value, resource=resource)
          for resource, value in (("crypto", 0.2), ("disk", 0.8), ("network", 0.1), ("client", 0))],
        *[point("pqc_bottleneck", int(resource == bottleneck), resource=resource)
          for resource in ("none", "network", "crypto", "disk", "client")],
    ]


def transfer(client: str = "c1", mbps: float = 10, **more: Any) -> dict[str, Any]:
    return {"trace_id": "12" * 16, "direction": "put", "client_id": client * 32, "state": "transfer",
            "file_size": 1 << 30, "bytes_transferred": 256 << 20, "resumed_bytes": 256 << 20,
            "duration_seconds": 63.0, "throughput_mbps": mbps, **more}


def waiting(client: str = "d1", place: int = 1, waited: float = 12.3, **more: Any) -> dict[str, Any]:
    return {"trace_id": "34" * 16, "direction": "get", "client_id": client * 32, "position": place,
            "waited_seconds": waited, "estimate_seconds": None, **more}


def transfers(active: Any = None, queue: Any = None, **more: Any) -> dict[str, Any]:
    return {"server_id": "ab" * 32, "pid": 4711, "uptime_seconds": 93784, "slots": 64,
            "active": [transfer(), transfer("c2", 80)] if active is None else active,
            "queue": [waiting()] if queue is None else queue, **more}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        fake = self.server.fake
        fake.asked.append((self.path, dict(self.headers)))
        answer = fake.answers.get(self.path)
        if callable(answer):
            answer = answer(self)
        if answer is None:
            self.answer(404, b"not here\n")
        elif isinstance(answer, bytes):
            self.answer(200, answer)
        elif isinstance(answer, tuple):
            self.answer(answer[0], json.dumps(answer[1]).encode())
        elif answer is not False:   # False: it has answered by itself
            self.answer(200, json.dumps(answer).encode())
        self.close_connection = True

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    fake: Fake

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: Any) -> None:
        pass    # a client that gives up


class _UnixServer(_Server):
    address_family = 1  # AF_UNIX


class Fake:
    """answers: path -> what is answered; None: 404. asked: what was, with its headers."""

    def __init__(self, at: Path | None = None):
        self.answers: dict[str, Answer | Callable[..., Answer]] = {
            "/health": health(), "/performance-metrics": figures(), "/transfers": transfers()}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.let_go = threading.Event()     # for answers that wait
        if at is None:
            self._server = _Server(("127.0.0.1", 0), _Handler)
            self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        else:
            at.parent.mkdir(parents=True, exist_ok=True)
            # Through its directory: a socket's address is short.
            directory = os.open(at.parent, os.O_RDONLY)
            try:
                self._server = _UnixServer(f"/proc/self/fd/{directory}/{at.name}", _Handler)
            finally:
                os.close(directory)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def hang(self, *_: Any) -> bool:
        """As an answer: none, until close()."""
        self.let_go.wait(120)
        return False

    def close(self) -> None:
        """A Unix socket stays in its directory: what a killed process leaves."""
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
