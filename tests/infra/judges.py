"""The real Prometheus, Alertmanager and OpenTelemetry collector, each with files and a port of its
own, and a sink for what they send.

They run our configuration 15 times faster than it says: `faster` divides every duration in it by
15, so 15 s between scrapes become 1 s, `for: 5m` becomes 20 s and `[1h]` becomes 4 minutes.
Thresholds stay as they are. A judge that is not installed skips the test, and says what to run.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from harness import TIMEOUT, TOP, until

MONITORING = TOP / "infra" / "monitoring"
SPEED = 15
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def tool(name: str) -> str:
    """The path of an installed judge."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not here: run scripts/setup infra")
    return found


def collector() -> Path:
    """The path of the collector that scripts/setup built."""
    modules = (TOP / "tests" / "infra" / "collector" / "go.mod").read_text()
    found = re.search(r"go\.opentelemetry\.io/collector/otelcol v(\S+)", modules)
    assert found
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(cache) / "pqc-judges" / f"collector-{found.group(1)}" / "collector"
    if not path.exists():
        pytest.skip("no OpenTelemetry collector is here: run scripts/setup infra, which needs Go")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        return int(s.getsockname()[1])


def faster(text: str) -> str:
    """A configuration or rules, with every duration divided by SPEED."""
    def divided(found: re.Match[str]) -> str:
        seconds, rest = divmod(int(found.group(1)) * SECONDS[found.group(2)], SPEED)
        assert rest == 0, f"{found.group()} is no multiple of {SPEED} s"
        return f"{seconds}s"

    def line(text: str) -> str:
        if re.match(r" *(for|\w+_(interval|wait|timeout)):", text):
            return re.sub(r"\b(\d+)([smhd])\b", divided, text)
        return re.sub(r"(?<=\[)(\d+)([smhd])(?=\])", divided, text)

    # A scrape may take as long as the interval; 10 s is no multiple.
    text = re.sub(r"scrape_timeout: .*", "scrape_timeout: 15s", text)
    return "\n".join(map(line, text.split("\n")))


def get_json(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


class Sink:
    """Takes every POST of a JSON body; what came is in .posts as (path, headers, body)."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        self._came: queue.Queue[tuple[str, dict[str, str], Any]] = queue.Queue()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink._came.put((self.path, dict(self.headers), body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, what: str, match: Callable[[str, dict[str, str], Any], Any],
                 timeout: float = TIMEOUT) -> Any:
        """What match() makes of the first post, of those still to come, that it likes."""
        end = time.monotonic() + timeout
        while True:
            try:
                post = self._came.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"waited {timeout} s for {what}; came: {self.posts}")
            self.posts.append(post)
            if found := match(*post):
                return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Judge:
    """A program under way; .log is what it says."""

    def __init__(self, directory: Path, name: str, words: list[str | Path],
                 ready: Callable[[], bool]) -> None:
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([str(word) for word in words], cwd=directory,
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(lambda: self._process.poll() is not None or ready(), f"{name} to be ready")
            assert self._process.poll() is None, self.log.read_text()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Alertmanager(Judge):
    """With our routes and inhibitions; it tells a sink, at /page, /ticket and /digest."""

    def __init__(self, directory: Path, sink: Sink) -> None:
        directory.mkdir()
        text = faster((MONITORING / "alertmanager.yml").read_text())
        text = text.replace("http://127.0.0.1:9099", sink.url)
        text = text.replace("/etc/prometheus/secrets", str(directory))
        for name in ("page", "ticket", "digest"):
            (directory / f"{name}.token").write_text(f"token of {name}")
        config = directory / "alertmanager.yml"
        config.write_text(text)
        self.address = f"127.0.0.1:{free_port()}"
        super().__init__(directory, "alertmanager", [
            tool("prometheus-alertmanager"), f"--config.file={config}",
            f"--storage.path={directory / 'data'}", f"--web.listen-address={self.address}",
            "--cluster.listen-address="], lambda: answers(f"http://{self.address}/-/ready"))

    def alerts(self) -> list[dict[str, Any]]:
        return list(get_json(f"http://{self.address}/api/v2/alerts"))


class Prometheus(Judge):
    """With our jobs and rules."""

    def __init__(self, directory: Path, alertmanager: str | None, *targets: str,
                 speed: bool = True) -> None:
        directory.mkdir()
        (directory / "targets").mkdir()
        render = faster if speed else str
        for name in ("pqc_recording.yml", "pqc_alerts.yml", "prometheus-config.yml"):
            text = render((MONITORING / name).read_text())
            (directory / name).write_text(
                text.replace("127.0.0.1:9093", alertmanager or "127.0.0.1:9"))
        # JSON is YAML
        (directory / "targets" / "pqc.yml").write_text(json.dumps([{"targets": list(targets)}]))
        self.url = f"http://127.0.0.1:{free_port()}"
        super().__init__(directory, "prometheus", [
            tool("prometheus"), f"--config.file={directory / 'prometheus-config.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}"],
            lambda: answers(f"{self.url}/-/ready"))

    def rules(self) -> list[dict[str, Any]]:
        """As Prometheus understands them: name, query, duration, labels, annotations."""
        groups = get_json(f"{self.url}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def query(self, expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        return list(get_json(f"{self.url}/api/v1/query?{query}")["data"]["result"])


class Collector(Judge):
    """Takes OTLP over HTTP at .endpoint and hands it to a sink as OTLP in JSON, at /v1/traces."""

    def __init__(self, directory: Path, sink: Sink, endpoint: str | None = None) -> None:
        directory.mkdir()
        self.endpoint = endpoint or f"http://127.0.0.1:{free_port()}"
        port = int(self.endpoint.rsplit(":", 1)[1])
        config = directory / "collector.yml"
        config.write_text(json.dumps({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"otlphttp": {"endpoint": sink.url, "encoding": "json",
                                       "compression": "none"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}}},
        }))
        super().__init__(directory, "collector", [collector(), f"--config={config}"],
                         lambda: listens(port))
