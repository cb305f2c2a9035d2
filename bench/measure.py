"""Run servers and commands, and tell what they took."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 20       # seconds for a server to start, or to be done with a client that has left
LOOK = 0.2          # seconds between looks at the memory of a server's processes


class Failure(Exception):
    """A peer that does not work as expected. It is left out, and its name and this are shown."""


@dataclass
class Sample:
    """What one run took. Received: the command ended. Durable: the file would survive a power cut."""
    received: float         # seconds
    durable: float          # seconds, from the same beginning
    client_cpu: float       # seconds, of the command and what it started
    client_kib: int         # peak memory of the largest process of the command
    server_cpu: float = 0.0
    server_kib: int = 0

    def asdict(self):
        return asdict(self)


# ---- processes ----

def processes():
    """Yield (pid, parent's pid, CPU ticks of it and of the children it has waited for)."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text()
                fields = stat[stat.rindex(")") + 2:].split()
                yield int(entry.name), int(fields[1]), sum(map(int, fields[11:15]))


def tree(root):
    """{pid: ticks} of a process and all below it."""
    seen = {pid: (parent, ticks) for pid, parent, ticks in processes()}
    found = {}
    todo = [root]
    while todo:
        pid = todo.pop()
        if pid in seen:
            found[pid] = seen[pid][1]
            todo += [child for child, (parent, _) in seen.items() if parent == pid]
    return found


def peak_kib(pid):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def forget_peak(pid):
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


class Watch:
    """CPU time and peak memory of a server's processes while a client is at it."""

    def __init__(self, root):
        self.root = root
        self.peak = 0
        before = tree(root)
        for pid in before:
            forget_peak(pid)
        self.at_rest = set(before)
        self.ticks = sum(before.values())

    def look(self):
        self.peak = max([self.peak, *map(peak_kib, tree(self.root))])

    def end(self):
        """Returns (seconds, KiB), once the processes made for the client have gone."""
        self.look()
        deadline = time.monotonic() + PATIENCE
        while True:
            now = tree(self.root)
            if set(now) <= self.at_rest or time.monotonic() > deadline:
                return (sum(now.values()) - self.ticks) / TICK, self.peak
            time.sleep(0.01)


# ---- servers ----

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listening(port):
    """Without connecting: to some servers that would be a client that fails."""
    with open("/proc/net/tcp") as table:
        next(table)
        return any(int(row[1].split(":")[1], 16) == port and row[3] == "0A"
                   for row in map(str.split, table))


class Server:
    """A process of ours that listens on a port. Started when first needed, ended with the bench."""

    def __init__(self, name, directory, command, port, env=None):
        self.name, self.command, self.port, self.env = name, command, port, env
        self.log = directory / f"{name}.log"
        self.process = None

    def start(self):
        if self.process is not None:
            return
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                list(map(str, self.command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(self.env or {})}, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while not listening(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.name} does not start: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self):
        return last_line(self.log.read_text(errors="replace"))

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- commands ----

def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def call(*command, **options):
    """Run a command that prepares something; returns what it printed."""
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600,
                              check=False, **options)
    except OSError as error:
        raise Failure(str(error)) from error
    if done.returncode != 0:
        raise Failure(f"{Path(command[0]).name}: {last_line(done.stderr.decode(errors='replace'))}")
    return done.stdout.decode(errors="replace")


def await_end(process, watch):
    """Wait for the process, with a look at the server now and then."""
    end = os.pidfd_open(process.pid)
    try:
        while not select.select([end], [], [], LOOK)[0]:
            if watch is not None:
                watch.look()
    finally:
        os.close(end)
    process.wait()


def measure(spent, directory, command, *, sync=None, server=None, env=None, stdout=None):
    """
    Run a command to its end, then make the file `sync` durable; returns a Sample and the file
    that its standard output went to.
    """
    report, out, err = (directory / f"command.{name}" for name in ("report", "out", "err"))
    out = stdout or out
    report.unlink(missing_ok=True)
    watch = Watch(server.process.pid) if server is not None else None
    with open(out, "wb") as out_file, open(err, "wb") as err_file:
        process = subprocess.Popen(list(map(str, [spent, report, sync or "-", *command])),
                                   stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            await_end(process, watch)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    took = json.loads(report.read_text()) if report.exists() else {"status": process.returncode}
    if process.returncode != 0 or took["status"] != 0:
        raise Failure(f"exit status {took['status']}: "
                      f"{last_line(err.read_text(errors='replace'))}")
    sample = Sample(took["seconds"], took["durable"], took["cpu"], took["kib"])
    if watch is not None:
        sample.server_cpu, sample.server_kib = watch.end()
    return sample, out
