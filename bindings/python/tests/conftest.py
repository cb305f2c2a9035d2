"""Fixtures: the real program and library, people with homes of their own, a server, a gate.

PQC_BIN and PQC_LIB name the built program and library; without them they are those of build/ at the
top of the tree. Ports are free ones, and nothing waits for a fixed time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import pytest

TOP = Path(__file__).resolve().parents[3]
BIN = Path(os.environ.get("PQC_BIN") or TOP / "build" / "pqc")
os.environ.setdefault("PQC_LIB", str(TOP / "build" / "libpqc.so.0"))
for name in [n for n in os.environ if n.startswith("PQC_") and n not in ("PQC_BIN", "PQC_LIB")]:
    del os.environ[name]
if importlib.util.find_spec("pqc_secure_transfer") is None:
    sys.path.insert(0, str(TOP / "bindings" / "python"))

import pqc_secure_transfer as pqc  # noqa: E402

TIMEOUT = 120  # seconds that anything may take on a loaded machine
MIB = 1 << 20
Word = Union[str, Path]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: large and long; run with -m soak")


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    if "soak" not in (config.option.markexpr or ""):
        skip = pytest.mark.skip(reason="large and long; run with -m soak")
        for item in items:
            if "soak" in item.keywords:
                item.add_marker(skip)


class Cli:
    """The program `pqc`, as somebody with a home of his own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def env(self) -> Dict[str, str]:
        return {**os.environ, "PQC_HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    def run(self, *words: Word, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(BIN), *map(str, words)], env=self.env(), input=stdin, capture_output=True,
            timeout=TIMEOUT, check=False,
        )

    def __call__(self, *words: Word, stdin: bytes = b"") -> bytes:
        """Run it; it must do. Returns what it printed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stderr.decode()}"
        return done.stdout


class Served:
    """A running `pqc serve`."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        directory.mkdir()
        self.cli = Cli(directory / "operator")
        self._lines: queue.Queue[Optional[Dict[str, Any]]] = queue.Queue()
        port_file = directory / "port"
        self._process = subprocess.Popen(
            [str(BIN), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data),
             "--port-file", str(port_file), "--log-format", "json", "--log-level", "debug"],
            env=self.cli.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("server.listening")
        self.address = port_file.read_text().split()[0]
        self.public = pqc.PublicIdentity.load(self.data / "identity.pub")

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                try:
                    self._lines.put(json.loads(line))
                except ValueError:
                    self._lines.put({"event": "text", "text": line.decode(errors="replace")})
        self._lines.put(None)

    def wait_for(self, event: str) -> Dict[str, Any]:
        """The next line of this event in the server's log."""
        seen: List[Dict[str, Any]] = []
        while True:
            line = self._lines.get(timeout=TIMEOUT)
            assert line is not None, f"the server ended before {event}: {seen}"
            seen.append(line)
            if line["event"] == event:
                return line

    def wait_for_durable(self) -> None:
        """Some parts of an upload are there and will stay; the server says so half a second after."""
        while not self.wait_for("put.acknowledged")["durable_parts"]:
            pass

    def allow(self, who: pqc.PublicIdentity, rights: str = "all") -> None:
        file = self.directory / f"{who.id.hex()}.pub"
        file.write_text(who.text + "\n")
        self.cli("trust", "allow", "--data-dir", self.data, "--rights", rights, "--path", "**", file)
        self._process.send_signal(signal.SIGHUP)
        self.wait_for("reload.done")

    def url(self, name: str = "", address: Optional[str] = None) -> str:
        return f"pqc://{address or self.address}/{name}"

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()


class Gate:
    """Stands in front of a server; lets so many bytes of each direction through, then none. Once it
    is opened those connections are cut, and new ones pass."""

    def __init__(self, address: str, limit: int) -> None:
        host, port = address.rsplit(":", 1)
        self._target, self._limit = (host, int(port)), limit
        self._open = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._sockets: List[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def open(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                thread = threading.Thread(target=self._carry, args=(one, other))
                self._threads.append(thread)
                thread.start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        passed = 0
        try:
            while data := one.recv(4096):
                passed += len(data)
                if passed > self._limit and not self._open.is_set():
                    self._open.wait(TIMEOUT)
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            self._end(end)

    @staticmethod
    def _end(one: socket.socket) -> None:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self._open.set()
        for one in self._sockets:
            self._end(one)
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()
        for one in self._sockets:
            one.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$PQC_HOME of this test; empty."""
    path = tmp_path / "home"
    monkeypatch.setenv("PQC_HOME", str(path))
    return path


@pytest.fixture
def cli(home: Path) -> Cli:
    """The program `pqc` with this test's home."""
    return Cli(home)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The real server, running; knows nobody yet."""
    server = Served(tmp_path / "server")
    yield server
    server.end()


@pytest.fixture
def me(home: Path) -> pqc.Identity:
    """The default identity, made."""
    return pqc.Identity.default(create=True)


@pytest.fixture
def known(served: Served, me: pqc.Identity) -> Served:
    """The server; it lets `me` do everything, and is pinned."""
    served.allow(me.public)
    pqc.Client(me).trust(served.address, served.public)
    return served


@pytest.fixture
def gate(known: Served) -> Iterator[Callable[[int], Gate]]:
    """gate(limit): one in front of the server, pinned too."""
    gates: List[Gate] = []

    def make(limit: int) -> Gate:
        gates.append(Gate(known.address, limit))
        pqc.Client().trust(gates[-1].address, known.public)
        return gates[-1]

    yield make
    for one in gates:
        one.close()


def child(script: str, *words: Word, **more: Any) -> subprocess.Popen[bytes]:
    """A Python of its own that runs script with the package, warnings as errors."""
    path = os.path.dirname(os.path.dirname(pqc.__file__))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, words)], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )


def ended(process: subprocess.Popen[bytes], code: int = 0) -> str:
    """Wait for a child's end; what it printed."""
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, f"exit {process.returncode}\n{err.decode()}"
    return out.decode()


def journals(home: Path) -> Sequence[Path]:
    """Transfers that can be taken up again."""
    state = home / "state"
    return [p for p in state.iterdir() if p.is_file()] if state.is_dir() else []
