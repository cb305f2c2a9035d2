"""`pqc top` against monitor listeners that tell the truth, lie, hang and die; and against the real one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_monitor import Fake, degraded, figures, health, point, transfer, transfers, waiting
from harness import FAILED, MIB, OK, USAGE, Pqc, random_file, until

pytestmark = pytest.mark.asan

# What the program may send to a terminal, beside text: everything else in a frame is an error.
SEQUENCES = re.compile(rb"\x1b\[(?:H|K|J|\?1049[hl]|\?25[hl]|\?7[hl]|[0-9;]*m)|\r+\n")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e"
                     r"\u2060-\u206f\ufeff]")
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\r\n\u202egpj.exe\u200b\x00\x08\ufeff\u2028end"


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    """fake() listens at a port, fake(path) at a socket."""
    all_of_them: list[Fake] = []

    def make(at: Path | None = None) -> Fake:
        all_of_them.append(Fake(at))
        return all_of_them[-1]

    yield make
    for one in all_of_them:
        one.close()


def once(pqc: Pqc, fake: Fake, *more: str, code: int = OK) -> str:
    done = pqc.run("top", fake.url, *more)
    assert done.code == code, f"{done.out}\n{done.err}"
    assert not CONTROL.search(done.out) and not CONTROL.search(done.err), done.out
    return done.out


# ---- what is shown ----

def test_page(pqc, fake):
    text = once(pqc, fake())
    lines = text.splitlines()
    assert lines[0] == "healthy: nothing to do"
    for word in ("pqc 9.8.7", "Kyber768", "up 1d02h03m"):
        assert word in lines[1]
    assert "2 of 64 slots busy, 1 waiting, the longest for 12.3s; 5 connections" in text
    assert "in 120.0 MB/s, out 3.0 MB/s" in text and "handshakes 2.5 a second" in text
    assert "90 done, 6 failed, 0 broken off a minute" in text
    assert "slowed by  the disk, in writes and fsync (80 % of the time)\n" in text
    assert "700.00 GiB used, 300.00 GiB free; full in 44m" in text
    assert re.search(r"median +0\.4 ms +12 ms +8\.0 ms +20 ms\n", text)
    assert re.search(r"p95 +0\.9 ms +40 ms +30 ms +3\.2s\n", text)
    rows = [line.split() for line in lines if re.match("[0-9a-f]{16} ", line)]
    assert [row[0] for row in rows] == ["c2" * 8, "c1" * 8, "d1" * 8]     # the fastest first
    assert rows[0][1:] == ["put", "transfer", "1.00", "GiB", "50", "%", "80.0", "MB/s", "1m03s"]
    assert rows[2][1:] == ["get", "1", "12.3s", "?"]
    assert all(len(line) <= 80 or "; see docs" in line for line in lines)


def test_asks_for_json(pqc, fake):
    monitor = fake()
    once(pqc, monitor)
    assert [path for path, _ in monitor.asked] == ["/health", "/performance-metrics", "/transfers"]
    assert all(headers["Accept"] == "application/json" for _, headers in monitor.asked)


def test_names_are_shown_when_told(pqc, fake):
    monitor = fake()
    monitor.answers["/transfers"] = transfers([transfer(name="Bücher/käse.tar"), transfer("c2")])
    text = once(pqc, monitor)
    assert "Bücher/käse.tar" in text and text.count(" name") == 1


@pytest.mark.parametrize("check, message, advice", [
    ("space", "no room for new uploads", "add space or delete objects; see docs/runbooks.md"),
    ("clock", "the clock jumped by 12 s", "set the clock"),
    ("queue", "nothing moves", "--max-transfers"),
])
def test_degraded_says_what_to_do(pqc, fake, check, message, advice):
    monitor = fake()
    monitor.answers["/health"] = degraded(check, message)
    first = once(pqc, monitor).splitlines()[0]
    assert first.startswith(f"degraded: {message} - ") and advice in first


def test_unhealthy_is_exit_code_1(pqc, fake):
    monitor = fake()
    body = degraded("clock", "the clock is off")
    body["checks"][0].update(status="unhealthy", message="the disk is gone")
    body["status"], body["reason"] = "unhealthy", "the disk is gone"
    monitor.answers["/health"] = (503, body)
    text = once(pqc, monitor, code=FAILED)
    assert text.splitlines()[0].startswith("unhealthy: the disk is gone - ")
    assert text.splitlines()[1].startswith("degraded: the clock is off - ")


def test_draining_has_its_own_words(pqc, fake):
    monitor = fake()
    monitor.answers["/health"] = health(status="degraded", reason="draining")
    assert once(pqc, monitor).startswith("degraded: draining - wait")


def test_what_is_not_told_is_not_made_up(pqc, fake):
    """The main port has no /transfers, an older server few keys; null is as good as nothing."""
    monitor = fake()
    monitor.answers = {"/health": {"status": "healthy", "reason": None, "version": None}}
    text = once(pqc, monitor)
    assert "who is sending is told at --metrics-listen" in text
    assert "traffic" not in text and "storage" not in text and "slots" not in text
    monitor.answers["/performance-metrics"] = [point("pqc_window_bytes_per_second", None,
                                                     direction="received"), {}]
    monitor.answers["/transfers"] = {}
    text = once(pqc, monitor)
    assert "in 0.0 B/s" in text and "no transfer is under way" in text and "full in" not in text
    assert re.search(r"median +- +- +- +-\n", text)


@pytest.mark.parametrize("share, advised", [(0.8, True), (0.08, False), (None, True)])
def test_bottleneck(pqc, fake, share, advised):
    monitor = fake()
    points = [p for p in figures() if p["name"] != "pqc_busy_ratio"]
    monitor.answers["/performance-metrics"] = [*points, point("pqc_busy_ratio", share, resource="disk")]
    text = once(pqc, monitor)
    assert "slowed by  the disk" in text and ("a faster disk" in text) == advised
    monitor.answers["/performance-metrics"] = figures(bottleneck="none")
    assert "slowed by  nothing\n" in once(pqc, monitor)


# ---- as JSON ----

def test_json(pqc, fake):
    monitor = fake()
    monitor.answers["/transfers"] = transfers([transfer(name="a\x1b[31m\u202eb", file_size=None)])
    one = pqc.json("top", monitor.url, "--once")
    assert one["event"] == "top" and one["status"] == "healthy" and one["problems"] == []
    assert one["slots"] == 64 and one["queue_length"] == 1 and one["oldest_wait_seconds"] == 12.3
    assert one["figures"]["received_bytes_per_second"] == 120e6
    assert one["figures"]["seconds"]["key_exchange"] == {"p50": 0.0004, "p95": 0.0009}
    assert one["figures"]["busy_ratio"]["disk"] == 0.8 and one["bottleneck"] == "disk"
    assert one["storage"]["free_bytes"] == 300 << 30 and one["storage"]["seconds_until_full"] > 0
    assert [p["pid"] for p in one["processes"]] == [4711]
    only, = one["active"]
    assert only["client_id"] == "c1" * 32 and only["trace_id"] == "12" * 16
    assert only["name"] == "a?[31m?b" and only["file_size"] is None
    assert only["bytes_per_second"] == 10e6
    assert one["queue"][0]["estimate_seconds"] is None


def test_json_tells_a_failure_too(pqc, fake):
    monitor = fake()
    monitor.answers["/health"] = b"{"
    done = pqc.run("top", monitor.url, "--once", "--json")
    first, error = done.objects
    assert done.code == FAILED and error["event"] == "error"
    assert first["status"] == "unreachable" and "expected JSON" in first["processes"][0]["error"]


def test_json_goes_on_until_it_is_told_to_stop(pqc, fake):
    running = pqc.begin("top", fake().url, "--json", "--interval", "200ms")
    lines = [json.loads(running.popen.stdout.readline()) for _ in range(3)]
    assert [line["event"] for line in lines] == ["top"] * 3
    running.signal(signal.SIGTERM)
    assert running.done().code == OK


def test_json_ends_when_nobody_reads(pqc, fake):
    running = pqc.begin("top", fake().url, "--json", "--interval", "200ms")
    assert running.popen.stdout.readline()
    running.popen.stdout.close()
    assert running.popen.wait(30) not in (OK, -signal.SIGPIPE)


# ---- what cannot be trusted ----

def test_hostile_texts(pqc, fake):
    monitor = fake()
    body = degraded("space", HOSTILE, version=HOSTILE, pqc_algorithm=HOSTILE, server_id=HOSTILE)
    body["checks"].append({"name": HOSTILE, "status": "degraded", "message": HOSTILE * 100})
    monitor.answers["/health"] = json.dumps(body).replace("\\u0000", "").encode()
    rows = [transfer(HOSTILE, name=HOSTILE, state=HOSTILE, direction=HOSTILE),
            transfer("\U0001f600" * 8, name="\u0301" * 500, mbps=1e300, duration_seconds=1e300)]
    monitor.answers["/transfers"] = json.dumps(transfers(rows, [waiting(HOSTILE)])).replace(
        "\\u0000", "").encode()
    text = once(pqc, monitor)       # which looks for control characters
    assert "gpj.exe" in text
    assert not CONTROL.search(json.dumps(pqc.json("top", monitor.url, "--once"), ensure_ascii=False))


@pytest.mark.parametrize("path, body, says", [
    ("/health", b"", "/health: expected JSON"),
    ("/health", b"\x1b[2J\xff\xfe", "/health: expected JSON"),
    ("/health", b"[" * 100000, "/health: expected JSON"),
    ("/health", b'{"status":"healthy","status":"unhealthy"}', "/health: expected JSON"),
    ("/health", b'{"status":"healthy","pid":1e999}', "/health: expected JSON"),
    ("/health", [], "/health: answer: expected an object, found an array"),
    ("/health", {}, "/health: status: expected 'healthy', 'degraded' or 'unhealthy', found nothing"),
    ("/health", health(status="great"), "status: expected 'healthy'"),
    ("/health", health(uptime_seconds="long"), "uptime_seconds: expected a number, found a text"),
    ("/health", health(pid=-1), "pid: expected a number that is not negative"),
    ("/health", health(version=7), "version: expected a text, found a number"),
    ("/health", health(reason=[]), "reason: expected a text, found an array"),
    ("/health", health(checks={}), "checks: expected an array, found an object"),
    ("/health", health(checks=[7]), "checks: expected objects, found a number"),
    ("/health", health(checks=[{"name": "x", "status": 1}]), "checks[0]: status: expected 'healthy'"),
    ("/health", health(checks=[{"status": "healthy"}] * 17), "checks: expected at most 16, found 17"),
    ("/performance-metrics", {}, "answer: expected an array, found an object"),
    ("/performance-metrics", [None], "expected objects, found null"),
    ("/performance-metrics", [{"name": 1}], "point[0]: name: expected a text, found a number"),
    ("/performance-metrics", [{"name": "a", "value": "1"}], "value: expected a number, found a text"),
    ("/performance-metrics", [{"name": "a", "labels": "1"}], "labels: expected an object"),
    ("/transfers", [], "/transfers: answer: expected an object, found an array"),
    ("/transfers", transfers(slots=True), "slots: expected a number, found true"),
    ("/transfers", transfers(active=7), "active: expected an array, found a number"),
    ("/transfers", transfers(active=[transfer(), transfer(client_id=1)]), "active[1]: client_id"),
    ("/transfers", transfers(queue=[waiting(waited_seconds=None, position="1")]),
     "queue[0]: position: expected a number, found a text"),
    ("/transfers", b'{"active":[' + b"{}," * 65536 + b"{}]}", "expected at most 65536, found 65537"),
    ("/transfers", (500, {}), "/transfers: expected status 200, found 500"),
    ("/health", (404, {}), "/health: expected status 200 or 503, found 404"),
])
def test_answers_that_are_not_understood(pqc, fake, path, body, says):
    monitor = fake()
    monitor.answers[path] = body
    text = once(pqc, monitor, code=FAILED)
    assert says in text.splitlines()[0], text


def test_large_numbers(pqc, fake):
    monitor = fake()
    big = (1 << 63) - 1
    monitor.answers["/health"] = health(uptime_seconds=1e300, active_transfers=big,
                                        queue_length=1e300, open_connections=big,
                                        storage_free_bytes=big, storage_total_bytes=big)
    monitor.answers["/performance-metrics"] = figures(1e300, -1e300, scale=1e200)
    monitor.answers["/transfers"] = transfers(
        [transfer(mbps=1e308, bytes_transferred=big, resumed_bytes=big, file_size=big,
                  duration_seconds=-5), transfer(file_size=0)], slots=big)
    text = once(pqc, monitor)
    assert "100 %" in text and ">999d" in text
    pqc.json("top", monitor.url, "--once")


def test_very_large_answer(pqc, fake):
    monitor = fake()
    monitor.answers["/health"] = b" " * (40 * MIB)
    assert "larger than" in once(pqc, monitor, code=FAILED)


def test_many_transfers(pqc, fake):
    monitor = fake()
    monitor.answers["/transfers"] = transfers([transfer("%02x" % (i % 256), i) for i in range(3000)])
    assert once(pqc, monitor).count(" put ") == 3000
    assert len(pqc.json("top", monitor.url, "--once")["active"]) == 3000


# ---- servers that do not answer ----

def test_no_answer(pqc, fake):
    monitor = fake()
    monitor.answers["/transfers"] = monitor.hang
    start = time.monotonic()
    assert "unreachable: http://" in once(pqc, monitor, "--timeout", "300ms", code=FAILED)
    assert time.monotonic() - start < 30


def test_answer_that_breaks_off(pqc, fake):
    monitor = fake()

    def half(handler: Any) -> bool:
        handler.answer(200, b'{"status":', 1000)
        return False

    monitor.answers["/health"] = half
    assert "unreachable" in once(pqc, monitor, code=FAILED)


def test_nobody_there(pqc, fake):
    monitor = fake()
    monitor.close()
    text = once(pqc, monitor, code=FAILED)
    assert text.startswith("unreachable: " + monitor.url)


@pytest.mark.parametrize("url, says", [
    ("pqc://127.0.0.1:8765", "http://"), ("127.0.0.1:1", "http://"), ("http://", "host"),
    ("http://127.0.0.1:1/?a=b", "expected nothing behind"), ("http://a b/", ""),
    ("http://127.0.0.1:99999", "port"),
])
def test_usage(pqc, url, says):
    assert says in pqc.fails(USAGE, "top", url)


# ---- several processes of a data directory ----

def sockets(directory: Path, *pids: int) -> list[Path]:
    return [directory / "run" / f"host-1-{pid}.sock" for pid in pids]


def test_processes_together(pqc, fake, tmp_path):
    one, two = (fake(at) for at in sockets(tmp_path, 101, 202))
    one.answers["/health"] = health(pid=101, uptime_seconds=60)
    two.answers["/health"] = health(pid=202)
    two.answers["/performance-metrics"] = figures(240e6, 1e6, "crypto", scale=2)
    (tmp_path / "run" / "notes.txt").touch()
    (tmp_path / "run" / "host-1-303.sock.old").touch()
    (tmp_path / "run" / ".sock").touch()
    text = pqc.ok("top", "--data-dir", tmp_path).out
    assert "2 of 2 processes" in text and "up 1m00s" in text
    assert "4 of 128 slots busy, 2 waiting" in text and "in 360.0 MB/s, out 4.0 MB/s" in text
    assert "300.00 GiB free" in text                # one disk
    assert re.search(r"median +0\.8 ms +24 ms", text)      # the slower one
    assert "slowed by  the processor" in text       # of the one that moves more
    both = pqc.json("top", "--once", env={"PQC_DATA_DIR": str(tmp_path)})
    assert [p["pid"] for p in both["processes"]] == [101, 202]
    assert sorted(t["pid"] for t in both["active"]) == [101, 101, 202, 202]


def test_worst_process_counts(pqc, fake, tmp_path):
    one, two = (fake(at) for at in sockets(tmp_path, 101, 202))
    one.answers["/health"] = degraded("space", "no room: 12 MiB free")
    two.answers["/health"] = degraded("space", "no room: 11 MiB free")
    only, = pqc.json("top", "--once", "--data-dir", tmp_path)["problems"]
    assert only["check"] == "space" and only["text"] == "no room: 12 MiB free"
    two.answers["/health"] = two.hang
    done = pqc.run("top", "--data-dir", tmp_path, "--timeout", "300ms")
    assert done.code == FAILED and done.out.startswith("unreachable: process host-1-202: ")
    assert "degraded: no room" in done.out and "1 of 2 processes" in done.out
    assert "2 of 64 slots" in done.out


def test_sockets_of_dead_processes_are_ignored(pqc, fake, tmp_path):
    dead, alive = (fake(at) for at in sockets(tmp_path, 101, 202))
    dead.close()
    assert (tmp_path / "run" / "host-1-101.sock").exists()
    text = pqc.ok("top", "--data-dir", tmp_path).out
    assert text.startswith("healthy") and "process host-1-202" in text
    alive.close()
    done = pqc.run("top", "--data-dir", tmp_path)
    assert done.code == FAILED and f"no server runs on {tmp_path}" in done.out


def test_names_of_sockets(pqc, fake, tmp_path):
    for name in ("123", "a-99999999999999999999", "nobody", "x\x1b[2J-5"):
        fake(tmp_path / "run" / f"{name}.sock").answers["/health"] = health(pid=None)
    found = pqc.json("top", "--once", "--data-dir", tmp_path)["processes"]
    assert [(p["from"], p["pid"]) for p in found] == [
        ("process a-99999999999999999999", None), ("process nobody", None),
        ("process x?[2J-5", 5), ("process 123", 123)]


def test_no_server_at_all(pqc, tmp_path):
    assert "no server runs" in pqc.fails(FAILED, "top", "--data-dir", tmp_path / "none")
    assert str(pqc.home / "server") in pqc.fails(FAILED, "top")


def test_long_directory(pqc, fake, tmp_path):
    """A socket's address holds 107 bytes; a path may be longer."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    fake(*sockets(deep, 7))
    assert "process host-1-7" in pqc.ok("top", "--data-dir", deep).out


def test_directory_of_another_user(pqc, tmp_path):
    (tmp_path / "run").mkdir(mode=0)
    somebody = ({"user": 54321, "group": 54321, "extra_groups": [], "cwd": "/"}
                if os.geteuid() == 0 else {})      # root may read everything
    assert "as the server's user" in pqc.fails(FAILED, "top", "--data-dir", tmp_path, **somebody)


# ---- on a terminal ----

class Terminal:
    """A pseudo terminal with `pqc top` on it."""

    def __init__(self, pqc: Pqc, *words: str | Path, rows: int = 24, cols: int = 80, **env: str):
        self.master, slave = pty.openpty()
        self.out = b""
        self.resize(rows, cols)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = pqc.popen("top", *words, stdin=slave, stdout=slave, start_new_session=True,
                                 preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                 env={"TERM": "xterm", **env})

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self) -> bytes:
        os.set_blocking(self.master, False)
        try:
            while data := os.read(self.master, 65536):
                self.out += data
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        return self.out

    def wait_for(self, text: str) -> None:
        until(lambda: text.encode() in self.read(), f"{text!r} on the screen", 30)

    def wait_for_frames(self, n: int) -> None:
        until(lambda: self.read().count(b"\x1b[H") >= n and self.out.endswith(b"\x1b[J"),
              f"{n} frames", 30)

    def frame(self) -> list[str]:
        """The lines of the last whole frame, without what a terminal does not show."""
        whole = self.out[:self.out.rindex(b"\x1b[J")]
        text = whole[whole.rindex(b"\x1b[H"):].decode()
        return [re.sub(r"\x1b\[[0-9;]*[mKH]", "", line) for line in re.split("\r+\n", text)]

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        code = self.process.wait(30)
        self.read()
        return code

    def is_restored(self) -> bool:
        self.read()
        return (self.out.endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l") and
                termios.tcgetattr(self.slave) == self.before)

    def is_clean(self) -> bool:
        rest = SEQUENCES.sub(b"", self.read()).decode()
        return not CONTROL.search(rest) and "\n" not in rest

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(pqc: Pqc) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def make(*words: str | Path, **more: Any) -> Terminal:
        terminals.append(Terminal(pqc, *words, **more))
        return terminals[-1]

    yield make
    for one in terminals:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.close()


def test_q_quits(terminal, fake):
    screen = terminal(fake().url)
    screen.wait_for("q quits")
    assert screen.out.startswith(b"\x1b[?1049h") and screen.is_clean()
    assert not termios.tcgetattr(screen.slave)[3] & (termios.ICANON | termios.ECHO)
    screen.type(b"xyzq")
    assert screen.end() == OK and screen.is_restored()


@pytest.mark.parametrize("how", ["ctrl-c", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_restore_the_terminal(terminal, fake, how):
    screen = terminal(fake().url)
    screen.wait_for("q quits")
    if how == "ctrl-c":
        screen.type(b"\x03")
    else:
        screen.process.send_signal(how)
    assert screen.end() == OK and screen.is_restored() and screen.is_clean()


def test_stop_and_go_on(terminal, fake):
    screen = terminal(fake().url)
    screen.wait_for("q quits")
    screen.type(b"\x1a")
    until(lambda: os.waitpid(screen.process.pid, os.WUNTRACED | os.WNOHANG)[0], "the stop", 30)
    assert screen.is_restored()
    at = len(screen.out)
    screen.process.send_signal(signal.SIGCONT)
    until(lambda: b"\x1b[?1049h" in screen.read()[at:] and b"q quits" in screen.out[at:],
          "the screen again", 30)
    screen.type(b"q")
    assert screen.end() == OK and screen.is_restored()


def test_it_follows_what_happens(terminal, fake):
    monitor = fake()
    screen = terminal(monitor.url, "--interval", "200ms")
    screen.wait_for("healthy: nothing to do")
    monitor.answers["/health"] = degraded("space", "no room for new uploads")
    screen.wait_for("degraded: no room for new uploads")
    monitor.close()
    screen.wait_for("unreachable: ")
    screen.type(b"q")
    assert screen.end() == OK


def test_size(terminal, fake):
    """Never more lines or columns than there are: it would scroll, or wrap."""
    monitor = fake()
    name = "\u6f22" * 100       # two columns each
    monitor.answers["/transfers"] = transfers([transfer(name=name)] * 100, [waiting()] * 100)
    screen = terminal(monitor.url, "--interval", "1h", rows=30, cols=100)
    screen.wait_for_frames(1)
    for rows, cols in ((30, 100), (16, 60), (5, 20), (1, 1), (60, 250)):
        before = screen.read().count(b"\x1b[H")
        if (rows, cols) != (30, 100):
            screen.resize(rows, cols)
            screen.wait_for_frames(before + 1)
        lines = screen.frame()
        assert len(lines) <= rows
        for line in lines:
            assert sum(1 if c.isascii() else 2 for c in line) <= cols
        assert rows < 24 or (len(lines) == rows and any(re.match(r"and \d+ more", x) for x in lines))
    assert screen.is_clean()


def test_hostile_texts_on_a_screen(terminal, fake):
    monitor = fake()
    monitor.answers["/health"] = json.dumps(degraded("space", HOSTILE, version=HOSTILE)).replace(
        "\\u0000", "").encode()
    monitor.answers["/transfers"] = json.dumps(transfers([transfer(name=HOSTILE)])).replace(
        "\\u0000", "").encode()
    screen = terminal(monitor.url, rows=40, cols=200)
    screen.wait_for("gpj.exe")
    screen.type(b"q")
    screen.end()
    assert screen.is_clean()
    assert sum("owned" in line and "end" in line for line in screen.frame()) == 2


def test_q_does_not_wait_for_an_answer(terminal, fake):
    monitor = fake()
    screen = terminal(monitor.url, "--interval", "200ms", "--timeout", "1h")
    screen.wait_for("q quits")
    monitor.answers["/health"] = monitor.hang
    n = len(monitor.asked)
    until(lambda: ("/health" in [path for path, _ in monitor.asked[n:]]), "the question", 30)
    screen.type(b"q")
    assert screen.end() == OK and screen.is_restored()


def test_no_color(terminal, fake):
    screen = terminal(fake().url, NO_COLOR="1")
    screen.wait_for("q quits")
    assert not re.search(rb"\x1b\[[0-9;]*m", screen.out)


def test_dumb_terminal_gets_a_page(terminal, fake):
    screen = terminal(fake().url, TERM="dumb")
    assert screen.end() == OK
    assert b"\x1b" not in screen.out and b"healthy" in screen.out


# ---- the real one ----

def test_top_real(known, alice, make_proxy, pqc, shelf):
    """The socket in DIR/run of a server, while somebody sends slowly."""
    proxy = make_proxy(known)
    alice.ok("trust", "add", proxy.address, known.pub)
    proxy.hold("up", 4 * MIB)
    sending = alice.begin("send", random_file(shelf / "source", 12 * MIB),
                          known.url("slow", through=proxy))
    assert proxy.held.wait(60)
    # What the proxy has passed on is on its way: the server need not have a part of it yet.
    until(lambda: known.metric('pqc_parts_total{direction="received"}') > 0, "a part")
    one = pqc.json("top", "--once", "--data-dir", known.data)
    assert one["status"] == "healthy" and one["active_transfers"] == 1
    only, = one["active"]
    assert only["client_id"] == alice.id and only["direction"] == "put" and only["name"] is None
    assert only["file_size"] == 12 * MIB and 0 < only["bytes_transferred"] < 12 * MIB
    assert [p["pid"] for p in one["processes"]] == [known.pid]
    text = pqc.ok("top", "--data-dir", known.data).out
    assert alice.id[:16] in text and "1 of 64 slots busy" in text
    proxy.release()
    assert sending.done().code == OK
    assert pqc.json("top", "--once", "--data-dir", known.data)["active"] == []
