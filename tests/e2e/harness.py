"""What the end to end tests share: people and servers, each the real program in a home of its own,
and a proxy to stand in between.

    def test_something(alice, bob, server, tmp_path):
        server.allow(alice)
        alice.knows(server)
        alice.ok("send", tmp_path / "file", server.url("file"))

PQC_BIN names the program, default build/pqc. Ports are free ones, and nothing waits for a fixed time:
`until` polls for what is to come true, with a bound.
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import os
import queue
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOP = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("PQC_BIN") or TOP / "build" / "pqc")
TIMEOUT = 120   # seconds that anything may take on a loaded machine
SANITIZED = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|: runtime error:")

# Exit codes (base/err.h)
OK, FAILED, USAGE, NOT_FOUND, REFUSED, TEMPORARY, INTEGRITY, QUOTA, CONFIG = range(9)
INTERRUPTED = 130
ABSENT = REFUSED  # of an object: absent and not allowed are one answer (docs/protocol.md, Rights)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def until(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT) -> Any:
    """Poll until condition() is true; returns what it returned."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout} s for {what}")
        time.sleep(0.005)
    return found


def random_file(path: Path, size: int) -> Path:
    with path.open("wb") as f:
        while size > 0:
            f.write(os.urandom(min(size, 1 << 20)))
            size -= 1 << 20
    return path


def same(a: Path, b: Path) -> bool:
    """Are two files the same, byte by byte?"""
    if a.stat().st_size != b.stat().st_size:
        return False
    with a.open("rb") as f, b.open("rb") as g:
        while x := f.read(MIB):
            if x != g.read(MIB):
                return False
    return True


def capacity(part_size: int) -> int:
    """Plaintext bytes of a full part (docs/container.md)."""
    chunks, rest = divmod(part_size - 56 - 16, 16400)
    return chunks * 16384 + min(rest, 16383)


def status_of(pid: int, field: str) -> int | None:
    """A number of /proc/PID/status, such as VmHWM in KiB; None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = re.search(rf"^{field}:\s+(\d+)", text, re.M)
    return int(found.group(1)) if found else None


def sanitized() -> bool:
    """Is the program built with AddressSanitizer?"""
    return b"__asan_init" in PROGRAM.read_bytes()


def clean_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("PQC_") and k not in ("STREAM_CHUNK_SIZE", "XDG_CONFIG_HOME")}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


@dataclass
class Done:
    """What a finished command left."""

    code: int
    stdout: bytes
    err: str  # standard error, as text

    def __post_init__(self) -> None:
        assert not SANITIZED.search(self.err), self.err

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def said(self) -> str:
        """Standard error without what differs each time: the id of the trace."""
        return re.sub(r" \(trace [0-9a-f]{32}\)", "", self.err)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as JSON objects, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A command under way."""

    def __init__(self, words: Sequence[str | Path], popen: subprocess.Popen[bytes]):
        self.words, self.popen, self.pid = words, popen, popen.pid
        self.stdin = popen.stdin

    def running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        self.popen.kill()
        self.popen.wait(TIMEOUT)

    def close_stdin(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.popen.stdin = None

    def done(self, timeout: float = TIMEOUT) -> Done:
        """Wait for its end."""
        try:
            out, err = self.popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            out, err = self.popen.communicate()
            pytest.fail(f"not done after {timeout} s: {self.words}\n{err[-4000:].decode()}")
        return Done(self.popen.returncode, out or b"", (err or b"").decode(errors="replace"))


class Pqc:
    """The program as one person uses it: own PQC_HOME, own working directory, maybe a key."""

    def __init__(self, home: Path):
        self.home = home / "home"
        self.cwd = home
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.started: list[subprocess.Popen[bytes]] = []

    @property
    def key(self) -> Path:
        return self.home / "identity"

    @property
    def pub(self) -> Path:
        return self.home / "identity.pub"

    @property
    def id(self) -> str:
        return self._id

    @property
    def journals(self) -> list[Path]:
        """Transfers that could be taken up again."""
        state = self.home / "state"
        return [p for p in state.iterdir() if p.is_file()] if state.is_dir() else []

    def keygen(self, *words: str | Path) -> Pqc:
        self._id = self.ok("keygen", *words).out.strip()
        return self

    def env(self, **more: str) -> dict[str, str]:
        return clean_environment(**{"PQC_HOME": str(self.home), "HOME": str(self.cwd), **more})

    def popen(self, *words: str | Path, env: dict[str, str] | None = None,
              prefix: Sequence[str | Path] = (), **more: Any) -> subprocess.Popen[bytes]:
        """Start it and leave it running; it is killed at the end of the test if it still is."""
        more.setdefault("cwd", self.cwd)
        process = subprocess.Popen([*map(str, prefix), str(PROGRAM), *map(str, words)],
                                   env=self.env(**(env or {})), **more)
        self.started.append(process)
        return process

    def begin(self, *words: str | Path, **more: Any) -> Running:
        """Start it with its output kept; it reads nothing unless stdin is given."""
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE, **more}
        return Running(words, self.popen(*words, **more))

    def run(self, *words: str | Path, stdin: bytes | None = b"",
            env: dict[str, str] | None = None, timeout: float = TIMEOUT, **more: Any) -> Done:
        more.setdefault("stdout", subprocess.PIPE)
        process = self.popen(*words, env=env, stderr=subprocess.PIPE,
                             **({"stdin": subprocess.PIPE} if stdin is not None else {}), **more)
        out, err = process.communicate(stdin, timeout=timeout)
        return Done(process.returncode, out or b"", err.decode(errors="replace"))

    def ok(self, *words: str | Path, **more: Any) -> Done:
        done = self.run(*words, **more)
        assert done.code == 0, f"{words}: exit {done.code}\n{done.err}"
        return done

    def json(self, *words: str | Path, **more: Any) -> dict[str, Any]:
        """It must do, with --json; returns the last object it printed."""
        return self.ok(*words, "--json", **more).objects[-1]

    def fails(self, code: int, *words: str | Path, **more: Any) -> str:
        """It must fail with this exit code; returns what it said."""
        done = self.run(*words, **more)
        assert done.code == code, f"{words}: exit {done.code}, not {code}\n{done.err}"
        assert re.search("^pqc", done.err, re.M), f"no message: {done.err!r}"
        return done.err

    def knows(self, server: Server, address: str | None = None) -> Pqc:
        self.ok("trust", "add", address or server.address, server.pub)
        return self

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass


class Server:
    """`pqc serve` on a free port of 127.0.0.1, with a data directory that outlives restarts.

    tls: a Tls, to serve with its certificate. prefix: words before the program's name. The access
    file is the data directory's unless access says where it is. beside: another server, started
    already, whose directory it shares; with --reuse-port its port too.
    """

    def __init__(self, directory: Path, *options: str | Path, tls: Tls | None = None,
                 prefix: Sequence[str | Path] = (), access: Path | None = None,
                 beside: Server | None = None):
        self.data = beside.data if beside else directory / "data"
        self.beside = beside
        self.options = list(options)
        self.tls, self.prefix, self.access = tls, prefix, access
        if tls:
            self.options += ["--tls-cert", tls.cert, "--tls-key", tls.key]
        if access:
            self.options += ["--access-file", access]
        self.port_file = directory / "port"
        self.address = self.monitor = ""
        self.log: list[dict[str, Any]] = []  # of all starts
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._operator = Pqc(directory / "operator")

    @property
    def pub(self) -> Path:
        return self.data / "identity.pub"

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def id(self) -> str:
        return str(self.health()["server_id"])

    def url(self, name: str = "", scheme: str | None = None, through: Proxy | None = None) -> str:
        address = through.address if through else self.address
        return f"{scheme or ('pqcs' if self.tls else 'pqc')}://{address}/{name}"

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *more: str | Path, env: dict[str, str] | None = None) -> Server:
        """Start, or start again on the same port; returns when it listens."""
        assert self._process is None
        self.port_file.unlink(missing_ok=True)
        if self.beside and "--reuse-port" in self.options:
            self.address = self.beside.address
        self._process = subprocess.Popen(
            [*map(str, self.prefix), str(PROGRAM), "serve", "--listen", self.address or "127.0.0.1:0",
             "--data-dir", str(self.data), "--port-file", str(self.port_file),
             "--log-format", "json", *map(str, self.options), *map(str, more)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=self._operator.env(**(env or {})))
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stderr, self._lines),
                         daemon=True).start()
        self.wait_for("server.listening")
        lines = self.port_file.read_text().splitlines()
        self.address = lines[0]
        self.monitor = next((line.split()[1] for line in lines if line.startswith("monitor ")), "")
        return self

    @staticmethod
    def _read(stream: Any, lines: queue.Queue[dict[str, Any] | None]) -> None:
        with stream:
            for line in stream:
                try:
                    lines.put(json.loads(line))
                except ValueError:
                    lines.put({"event": "text", "text": line.decode(errors="replace")})
        lines.put(None)

    def wait_for(self, event: str, timeout: float = 60,
                 match: Callable[[dict[str, Any]], bool] = lambda line: True) -> dict[str, Any]:
        """The next log line of this event (that matches)."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event} within {timeout} s: {self.log}") from None
            assert line is not None, f"the server ended before {event}: {self.log}"
            self.log.append(line)
            if line["event"] == event and match(line):
                return line

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines logged so far, of all starts; of one event, if it is given."""
        try:
            while (line := self._lines.get_nowait()) is not None:
                self.log.append(line)
            self._lines.put(None)
        except queue.Empty:
            pass
        return [line for line in self.log if event in (None, line["event"])]

    def http(self, path: str, method: str = "GET", headers: dict[str, str] | None = None,
             monitor: bool = False) -> tuple[int, dict[str, str], bytes]:
        """A plain request to the clients' port, or the monitor listener: status, headers, body."""
        connection: http.client.HTTPConnection
        if monitor:
            connection = http.client.HTTPConnection("127.0.0.1",
                                                    int(self.monitor.rsplit(":", 1)[1]),
                                                    timeout=TIMEOUT)
        elif self.tls:
            context = ssl.create_default_context(cafile=self.tls.ca)
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=TIMEOUT,
                                                     context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        return dict(json.loads(self.http("/health")[2]))

    def metric(self, name: str) -> int:
        text = self.http("/metrics", monitor=bool(self.monitor))[2].decode()
        lines = [line.rsplit(" ", 1) for line in text.splitlines()]
        return next(int(float(words[1])) for words in lines if words[0] == name)

    def transfers(self) -> dict[str, Any]:
        return dict(json.loads(self.http("/transfers", monitor=True)[2]))

    def allow(self, who: Pqc | Path | str, rights: str = "all", path: str = "**",
              reload: bool = True) -> Server:
        subject = who.pub if isinstance(who, Pqc) else who
        self._operator.ok("trust", "allow", *self._access_option(), "--rights", rights,
                          "--path", path, subject)
        if reload and self._process is not None:
            self.reload()
        return self

    def deny(self, who: Pqc | Path | str) -> Server:
        subject = who.pub if isinstance(who, Pqc) else who
        self._operator.ok("trust", "deny", *self._access_option(), subject)
        if self._process is not None:
            self.reload()
        return self

    def _access_option(self) -> list[str | Path]:
        return ["--access-file", self.access] if self.access else ["--data-dir", self.data]

    def reload(self, event: str = "reload.done") -> dict[str, Any]:
        self.signal(signal.SIGHUP)
        return self.wait_for(event)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM and wait; returns the exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        return self._reap(timeout)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end; returns the exit code."""
        return self._reap(timeout)

    def kill(self) -> None:
        """SIGKILL: what a crash does."""
        if self._process is not None:
            self._process.kill()
            self._reap(60)

    def _reap(self, timeout: float) -> int:
        assert self._process is not None
        code = self._process.wait(timeout)
        self._process = None
        while (line := self._lines.get(timeout=timeout)) is not None:
            self.log.append(line)
        return code

    def end(self) -> None:
        try:
            self.stop(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._operator.end()
        said = "\n".join(line.get("text", "") for line in self.log)
        assert not SANITIZED.search(said), said


class Proxy:
    """Stands between client and server, counts bytes, and does something at a given count.

    at(direction, n, action) calls action once n more bytes went "up" (to the server) or "down";
    hold(direction, n) lets n more bytes through and no more until release();
    freeze() leaves the connections there are open and silent for good, as a dead network does.
    """

    def __init__(self, port: int):
        self.target = port
        self.count = {"up": 0, "down": 0}
        self.limit: dict[str, int | None] = {"up": None, "down": None}
        self.actions: list[tuple[str, int, Callable[[], Any]]] = []
        self.state = threading.Condition()
        self.held = threading.Event()
        self.sockets: list[socket.socket] = []
        self.connections = self.frozen = 0
        self.closed = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def at(self, direction: str, n: int, action: Callable[[], Any]) -> None:
        with self.state:
            self.actions.append((direction, self.count[direction] + n, action))

    def hold(self, direction: str, n: int) -> None:
        with self.state:
            self.held.clear()
            self.limit[direction] = self.count[direction] + n

    def release(self) -> None:
        with self.state:
            self.limit = {"up": None, "down": None}
            self.state.notify_all()

    def freeze(self) -> None:
        with self.state:
            self.frozen = self.connections

    def cut(self) -> None:
        """Break every connection there is."""
        with self.state:
            sockets, self.sockets = self.sockets, []
        self._end(*sockets)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)    # a thread may wait in it: close alone does nothing
            except OSError:
                pass
            s.close()

    def close(self) -> None:
        self.closed = True
        self.listener.shutdown(socket.SHUT_RDWR)    # wakes accept; close alone does not
        self.listener.close()
        self.frozen = 0
        self.release()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), TIMEOUT)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.state:
                self.connections += 1
                number = self.connections
                self.sockets += [near, far]
            for source, sink, direction in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pipe, args=(source, sink, direction, number),
                                 daemon=True).start()

    def _room(self, direction: str, number: int, wanted: int) -> int:
        """How much may pass now; waits while it is nothing. Called with the lock held."""
        while not self.closed:
            limit = self.limit[direction]
            if number > self.frozen:
                if limit is None:
                    return wanted
                if limit > self.count[direction]:
                    return min(wanted, limit - self.count[direction])
                self.held.set()
            self.state.wait(1)
        return 0

    def _pipe(self, source: socket.socket, sink: socket.socket, direction: str,
              number: int) -> None:
        try:
            while data := source.recv(65536):
                while data:
                    with self.state:
                        n = self._room(direction, number, len(data))
                        if n == 0:
                            return
                    sink.sendall(data[:n])
                    data = data[n:]
                    self._passed(direction, n)
            if number > self.frozen:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(source, sink)

    def _passed(self, direction: str, n: int) -> None:
        with self.state:
            self.count[direction] += n
            due = [a for a in self.actions if a[0] == direction and a[1] <= self.count[direction]]
            self.actions = [a for a in self.actions if a not in due]
        for _, _, action in due:
            action()


class Tls:
    """A certificate authority of one's own, and a server certificate for 127.0.0.1."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True)
        self.ca, self.cert, self.key = (directory / n for n in ("ca.pem", "cert.pem", "key.pem"))
        now = datetime.datetime.now(datetime.timezone.utc)

        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        def make(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey,
                 signer: ec.EllipticCurvePrivateKey, ca: bool) -> x509.Certificate:
            builder = (x509.CertificateBuilder().subject_name(name(subject))
                       .issuer_name(name(issuer)).public_key(key.public_key())
                       .serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=1))
                       .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
            if not ca:
                address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
                builder = builder.add_extension(x509.SubjectAlternativeName([address]), False)
            return builder.sign(signer, hashes.SHA256())

        authority, mine = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        pem = serialization.Encoding.PEM
        self.ca.write_bytes(make("ca", "ca", authority, authority, True).public_bytes(pem))
        self.cert.write_bytes(make("server", "ca", mine, authority, False).public_bytes(pem))
        self.key.write_bytes(mine.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                serialization.NoEncryption()))
        self.key.chmod(0o600)
