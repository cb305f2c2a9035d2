"""The server's log: what it holds of people's names, its forms, and who does not read it."""

import fcntl
import json
import os
import signal

import pytest

from harness import ABSENT, random_file, until

pytestmark = pytest.mark.asan


@pytest.fixture
def file(shelf):
    return random_file(shelf / "file", 1000)


def use(server, alice, bob, file):
    """Everything that a name stands behind in the log: done, and refused."""
    bob.knows(server)
    alice.ok("send", file, server.url("patients/doe.iso"))
    alice.ok("get", server.url("patients/doe.iso"), "--out", "-")
    bob.fails(ABSENT, "get", server.url("patients/doe.iso"), "--out", "-")
    bob.fails(ABSENT, "send", file, server.url("patients/roe.iso"))
    alice.ok("delete", server.url("patients/doe.iso"))
    server.stop()
    return server.events()


def test_names_are_not_logged(known, alice, bob, file):
    lines = use(known, alice, bob, file)
    assert "patients" not in str(lines) and "doe" not in str(lines)
    assert all("name" not in line for line in lines)
    done = next(line for line in lines if line["event"] == "put.done")
    assert len(done["file_id"]) == 64
    refused = [line for line in lines if line["event"] == "request.refused"]
    assert refused and all(line["client_id"] == bob.id for line in refused)


def test_names_are_logged_on_request(make_server, alice, bob, file):
    server = make_server("--log-names").allow(alice, reload=False).start()
    alice.knows(server)
    lines = use(server, alice, bob, file)
    named = {(line["event"], line["name"]) for line in lines if "name" in line}
    assert {("get.begun", "patients/doe.iso"), ("delete.done", "patients/doe.iso"),
            ("request.refused", "patients/doe.iso"),
            ("request.refused", "patients/roe.iso")} <= named


def test_a_reload_takes_names(make_server, alice, file, tmp_path):
    config = tmp_path / "server.conf"
    config.write_text("log-names = no\n")
    server = make_server("--config", config).allow(alice, reload=False).start()
    alice.knows(server)
    alice.ok("send", file, server.url("before"))
    config.write_text("log-names = yes\n")
    server.reload()
    alice.ok("send", file, server.url("after"))
    server.stop()
    assert "after" in str(server.events()) and "before" not in str(server.events())


class Piped:
    """A server whose log goes into a pipe that nobody reads by itself."""

    def __init__(self, pqc, directory, *options, journal=False, size=None):
        self.port_file = directory / "port"
        self.pipe, write = os.pipe()
        if size:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, size)
        stat = os.fstat(write)
        stream = f"{stat.st_dev}:{stat.st_ino}" if journal else "1:1"
        self.process = pqc.popen("serve", "--listen", "127.0.0.1:0", "--data-dir",
                                 directory / "data", "--port-file", self.port_file, *options,
                                 stderr=write, env={"JOURNAL_STREAM": stream})
        os.close(write)
        until(self.port_file.exists, "the port file")
        self.address = self.port_file.read_text().strip()

    def drain(self):
        """What is in the pipe now."""
        os.set_blocking(self.pipe, False)
        found = b""
        try:
            while data := os.read(self.pipe, 65536):
                found += data
        except BlockingIOError:
            pass
        os.set_blocking(self.pipe, True)
        return found.splitlines()

    def lines(self):
        """To its end."""
        self.process.send_signal(signal.SIGTERM)
        with os.fdopen(self.pipe, "rb") as pipe:
            found = pipe.read().splitlines()
        assert self.process.wait(60) == 0
        return found


@pytest.mark.parametrize("options", [(), ("--log-format", "journal")])
def test_the_journal_finds_its_priorities(pqc, tmp_path, options):
    """By itself where $JOURNAL_STREAM is standard error, and on request."""
    server = Piped(pqc, tmp_path, *options, journal=not options)
    lines = server.lines()
    objects = [json.loads(line[3:]) for line in lines]
    levels = {o["event"]: line[:3] for o, line in zip(objects, lines)}
    assert levels["server.listening"] == b"<6>" and levels["access.empty"] == b"<4>"
    assert all(line.startswith((b"<6>{", b"<4>{", b"<3>{")) for line in lines)


def test_another_stream_is_not_the_journal(pqc, tmp_path):
    lines = Piped(pqc, tmp_path).lines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_dead_collector_does_not_stop_the_server(pqc, alice, file, tmp_path):
    """The pipe is full and stays so: work goes on, and the log says later what it lost."""
    server = Piped(pqc, tmp_path, size=4096)
    alice.ok("trust", "allow", "--data-dir", tmp_path / "data", alice.pub)
    alice.ok("trust", "add", server.address, tmp_path / "data" / "identity.pub")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: alice.run("list", f"pqc://{server.address}/").code == 0, "the reload")
    for number in range(12):    # at least two lines each, 200 bytes and more a line
        alice.ok("send", file, f"pqc://{server.address}/{number}")
    lines = [json.loads(line) for line in server.drain() + server.lines()]
    begun = sum(line["event"] == "put.begun" for line in lines)
    lost = sum(line.get("dropped", 0) for line in lines)
    assert begun < 12 and lost >= 12 - begun
    assert lines[0]["event"] == "kek.made" and lines[-1]["event"] == "server.stopped"


def test_a_collector_that_died_does_not_end_the_server(pqc, alice, file, tmp_path):
    server = Piped(pqc, tmp_path)
    os.close(server.pipe)
    alice.ok("trust", "add", server.address, tmp_path / "data" / "identity.pub")
    alice.fails(ABSENT, "send", file, f"pqc://{server.address}/x")    # logged, if anybody heard
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
