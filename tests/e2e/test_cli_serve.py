"""serve: configuration from everywhere, what the first start makes, reload, bad keys and files."""

import os
import signal
import stat
import subprocess

import pytest
from conftest import CONFIG, FAILED, NOT_FOUND, REFUSED, USAGE, random_file

pytestmark = pytest.mark.asan


def values(done):
    """What --print-config printed: {name: (value, origin)}."""
    found, origin = {}, ""
    for line in done.out.splitlines():
        if line.startswith("# ") and "=" not in line:
            origin = line[2:]
        elif not line.startswith("#"):
            name, value = line.split(" = ", 1)
            found[name] = (value.strip('"'), origin)
    return found


# ---- configuration ----

def test_precedence(pqc, tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("max-transfers = 7\nmax-connections = 70\nlog-level = debug\n")
    shown = values(pqc.ok("serve", "--config", conf, "--log-level", "error", "--print-config",
                          env={"PQC_MAX_CONNECTIONS": "50", "PQC_LOG_LEVEL": "warn"}))
    assert shown["max-transfers"] == ("7", f"{conf}:1")
    assert shown["max-connections"] == ("50", "PQC_MAX_CONNECTIONS")
    assert shown["log-level"] == ("error", "--log-level")
    assert shown["drain-timeout"] == ("30s", "default")


def test_what_is_printed_can_be_read(pqc, tmp_path):
    data = tmp_path / 'odd "name" #1'
    words = ("--data-dir", data, "--listen", "127.0.0.1:1", "--listen", "[::1]:2")
    conf = tmp_path / "conf"
    conf.write_bytes(pqc.ok("serve", *words, "--print-config").stdout)
    again = values(pqc.ok("serve", "--config", conf, "--print-config"))
    assert again["listen"][0] == "127.0.0.1:1,[::1]:2"
    assert again["data-dir"][0] == str(data).replace('"', '\\"')
    assert not data.exists()


@pytest.mark.parametrize("text, says", [
    ("max-transfers = many", ":1: max-transfers: expected a number"),
    ("\nmax-transfer = 1", ":2: there is no key 'max-transfer'"),
    ("log-level = info\nlog-level = warn", ":2: 'log-level' is given already in line 1"),
    ("config = other", ":1: there is no key 'config'"),
    ("suite = Kyber512", ":1: suite:"),
    ("min-free = 1M # little", ":1: a comment has a line of its own"),
    ("tls-cert = /some/file", "go together"),
    ("just words", ":1: expected 'key = value'"),
])
def test_bad_configuration(pqc, tmp_path, text, says):
    conf = tmp_path / "conf"
    conf.write_text(text)
    assert says in pqc.fails(CONFIG, "serve", "--config", conf, "--data-dir", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_bad_environment_and_missing_file(pqc, tmp_path):
    assert "PQC_MAX_SIZE" in pqc.fails(CONFIG, "serve", env={"PQC_MAX_SIZE": "large"})
    pqc.fails(NOT_FOUND, "serve", "--config", tmp_path / "missing")
    pqc.fails(USAGE, "serve", *["--listen=:1"] * 9)


# ---- the first start ----

def test_first_start(make_server, alice):
    server = make_server().start()
    made = next(line for line in server.log if line["event"] == "identity.made")
    empty = server.wait_for("access.empty")
    assert empty["run"] == f"pqc trust allow --data-dir {server.data} FILE.pub"
    for name in ("identity", "kek"):
        assert stat.S_IMODE((server.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    listening = next(line for line in server.log if line["event"] == "server.listening")
    assert listening["server_id"] == made["id"] and listening["suite"] == "Kyber768"
    assert server.stop() == 0
    kek = (server.data / "kek").read_text()
    server.start()
    assert [line["event"] for line in server.log].count("identity.made") == 1
    assert (server.data / "kek").read_text() == kek


def test_first_start_of_suite_2(make_server, person):
    server = make_server().start(env={"PQC_ALGORITHM": "ML-KEM-1024"})
    dora = person("dora").keygen("--suite", "Kyber1024")
    server.allow(dora)
    dora.knows(server)
    assert dora.ok("ping", server.url(), "--json").objects[0]["suite"] == "Kyber1024"


def test_where_it_listens(make_server):
    server = make_server("--listen", "[::1]:0")
    try:
        server.start()
    except AssertionError as error:
        if "::1" in str(error):
            pytest.skip("no IPv6 here")
        raise
    lines = server.port_file.read_text().splitlines()
    assert lines[0].startswith("127.0.0.1:") and lines[1].startswith("[::1]:")
    assert not any(line.endswith(":0") for line in lines)


def test_port_in_use(server, pqc, tmp_path):
    done = pqc.run("serve", "--listen", server.address, "--data-dir", tmp_path / "other",
                   "--port-file", tmp_path / "p")
    assert done.code == CONFIG and server.address in done.err.splitlines()[-1]
    assert not (tmp_path / "p").exists()


def test_pid_file(make_server, tmp_path):
    server = make_server("--pid-file", tmp_path / "pid").start()
    assert int((tmp_path / "pid").read_text()) == server.pid
    server.stop()
    assert not (tmp_path / "pid").exists()


def test_no_core_dumps(server):
    limits = subprocess.run(["prlimit", "--core", "--noheadings", "-o", "SOFT,HARD", "--pid",
                             str(server.pid)], capture_output=True, text=True)
    if limits.returncode != 0:
        pytest.skip("no prlimit here")
    assert limits.stdout.split() == ["0", "0"]


# ---- keys ----

@pytest.mark.parametrize("text, says", [
    ("", "there is no key"),
    ("# nothing\n", "there is no key"),
    ("pqc-kek-v1 00 1 00\n", ":1: expected"),
    (f"pqc-kek-v2 {'0' * 32} 1 {'0' * 64}\n", ":1: expected"),
    (f"pqc-kek-v1 {'0' * 32} 0 {'0' * 64}\n", ":1: expected"),
    (f"pqc-kek-v1 {'0' * 32} 1 {'0' * 64} more\n", ":1: expected"),
    (f"pqc-kek-v1 {'0' * 32} 1 {'0' * 64}\n" * 2, ":2: there is a key in line 1"),
])
def test_bad_kek(server, text, says, pqc):
    server.stop()
    kek = server.data / "kek"
    kek.write_text(text)
    said = pqc.fails(CONFIG, "serve", "--data-dir", server.data, "--listen", "127.0.0.1:0")
    assert says in said and "0" * 64 not in said
    assert kek.read_text() == text


def test_wide_keys(server, pqc):
    server.stop()
    for name in ("kek", "identity"):
        (server.data / name).chmod(0o640)
        said = pqc.fails(REFUSED, "serve", "--data-dir", server.data, "--listen", "127.0.0.1:0")
        assert f"chmod 600 {server.data / name}" in said
        (server.data / name).chmod(0o600)
    server.start()


def test_damaged_identity(server, pqc):
    server.stop()
    key = server.data / "identity"
    key.write_text(key.read_text()[:-50])
    assert pqc.run("serve", "--data-dir", server.data, "--listen", "127.0.0.1:0").code == 6


# ---- reload ----

def test_reload_of_the_configuration(make_server, tmp_path, alice):
    conf = tmp_path / "conf"
    conf.write_text("max-size = 1M\n")
    server = make_server("--config", conf).start()
    server.allow(alice)
    alice.knows(server)
    file = random_file(tmp_path / "f", 2_000_000)
    assert alice.run("send", file, server.url("f")).code == 7
    conf.write_text("max-size = 1M\nmax-size = 9M\n")
    assert f"{conf}:2" in server.reload("reload.failed")["reason"]
    assert alice.run("send", file, server.url("f")).code == 7
    conf.write_text("max-size = 3M\nsuite = Kyber1024\n")
    server.signal(signal.SIGHUP)
    assert server.wait_for("reload.needs_restart")["option"] == "suite"
    server.wait_for("reload.done")
    alice.ok("send", file, server.url("f"))


def test_reload_of_the_access_file(server, alice, tmp_path):
    alice.knows(server)
    file = random_file(tmp_path / "f", 10)
    alice.fails(REFUSED, "send", file, server.url("f"))
    server.allow(alice)
    alice.ok("send", file, server.url("f"))
    access = server.data / "authorized"
    good = access.read_text()
    access.write_text(good + "nonsense\n")
    assert f"{access}:2" in server.reload("reload.failed")["reason"]
    alice.ok("send", file, server.url("f"))  # as before
    access.write_text(good)
    server.deny(alice)
    alice.fails(REFUSED, "send", file, server.url("f"))


def test_text_log(pqc, tmp_path):
    process = pqc.popen("serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "d",
                        "--log-format", "text", stderr=subprocess.PIPE)
    for line in process.stderr:
        assert not line.startswith(b"{")
        if b"server.listening" in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(60) == 0 and b"server.stopped" in rest


def test_bad_places(pqc, tmp_path):
    file = random_file(tmp_path / "file", 1)
    assert pqc.run("serve", "--data-dir", file, "--listen", "127.0.0.1:0").code in (FAILED, REFUSED)
    done = pqc.run("serve", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0",
                   "--port-file", tmp_path / "no" / "port")
    assert done.code == NOT_FOUND and "no/port" in done.err
    assert file.stat().st_size == 1
