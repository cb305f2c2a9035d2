"""`pqc ping --ready`, as a container's health check runs it: no home, nothing to write to, little time."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_monitor import Fake
from harness import (CONFIG, FAILED, INTEGRITY, NOT_FOUND, OK, PROGRAM, REFUSED, TEMPORARY, USAGE, Done)

pytestmark = pytest.mark.asan


def probe(*words: Any, env: dict[str, str] | None = None, **more: Any) -> Done:
    """In an environment with nothing in it, and no file may be written."""

    def bare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run([str(PROGRAM), "ping", "--ready", *map(str, words)], env=env or {}, cwd="/",
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          preexec_fn=bare, **more)
    return Done(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def fake() -> Iterator[Callable[[Any], str]]:
    """fake(answer to /ready): a URL where nothing else is answered."""
    fakes: list[Fake] = []

    def make(answer: Any) -> str:
        fakes.append(Fake())
        fakes[-1].answers = {"/ready": fakes[-1].hang if answer == "hang" else answer}
        return fakes[-1].url.replace("http://", "pqc://")

    yield make
    for one in fakes:
        one.close()


def test_ready(server):
    done = probe(server.url())
    assert (done.code, done.err) == (OK, "")
    line, = done.out.splitlines()
    assert line.startswith(f"{server.address}: ready, Kyber768, no TLS, answered in ")
    assert probe("--quiet", server.url()).stdout == b""


def test_ready_as_json(server):
    only, = probe("--json", server.url()).objects
    assert only["event"] == "ready" and only["server_id"] == server.id
    assert only["server"] == server.address and only["seconds"] < 60


def test_any_suite(make_server):
    assert "Kyber1024" in probe(make_server("--suite", "Kyber1024").start().url()).out


def test_without_any_place_to_write(server):
    """The places it could use are there by name only; it does not look at them."""
    nowhere = {"HOME": "/proc/none", "PQC_HOME": "/proc/none", "XDG_CONFIG_HOME": "/proc/none"}
    assert probe(server.url(), env=nowhere).code == OK
    assert not server.events("handshake.failed")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_as_a_user_without_an_entry(server):
    """A container's user often has no name and no home."""
    assert probe(server.url(), user=54321, group=54321, extra_groups=[]).code == OK


def test_read_only_file_system(server):
    script = 'mount -o remount,bind,ro / && ! touch /tmp/x && exec "$@"'
    words = ["unshare", "--mount", "--map-root-user", "--user", "sh", "-c", script, "sh"]
    if subprocess.run([*words, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    done = subprocess.run([*words, PROGRAM, "ping", "--ready", server.url()], env={"PATH": os.environ["PATH"]},
                          capture_output=True, timeout=60)
    assert done.returncode == OK, done.stderr


def test_tls(make_server, tls):
    server = make_server(tls=tls).start()
    done = probe("--ca", tls.ca, server.url())
    assert done.code == OK and "X25519MLKEM768" in done.out
    refused = probe(server.url())
    assert refused.code == REFUSED and "certificate" in refused.err
    assert probe(server.url(scheme="pqc")).code not in (OK, FAILED)


def test_the_identity_counts_only_when_it_is_named(server, alice):
    alice.ok("trust", "add", server.address, "ab" * 32)
    assert probe(server.url(), env=alice.env()).code == OK
    assert probe("--server-id", server.pub, server.url()).code == OK
    assert probe("--server-id", "ab" * 32, server.url()).code == REFUSED
    assert probe("--known-servers", alice.home / "known_servers", server.url()).code == REFUSED


@pytest.mark.parametrize("answer, code, says", [
    ((503, {"status": "not ready", "reason": "draining"}), TEMPORARY, "not ready: draining"),
    ((503, {"status": "not ready", "reason": None}), TEMPORARY, "does not say why"),
    ((503, {"reason": "a\x1b[2Jb\u202e"}), TEMPORARY, "not ready: a?[2Jb?"),
    ((503, []), TEMPORARY, "does not say why"),
    ((404, {}), INTEGRITY, "expected status 200 or 503, found 404"),
    (b" " * 70000, 7, "larger than"),
    ({"status": "ready"}, INTEGRITY, ""),   # but it is no server of ours
])
def test_not_ready(fake, answer, code, says):
    done = probe(fake(answer))
    assert done.code == code and done.stdout == b"", done
    assert says in done.err and done.err.count("\n") == 1


def test_not_ready_as_json(fake):
    error, = probe("--json", fake((503, {"reason": "draining"}))).objects
    assert error["event"] == "error" and error["exit"] == TEMPORARY
    assert error["message"].endswith("not ready: draining")


def test_nobody_there(server):
    url = server.url()
    server.stop()
    assert probe(url).code == TEMPORARY


def test_no_answer(fake):
    start = time.monotonic()
    assert probe("--timeout", "300ms", fake("hang")).code == TEMPORARY
    assert time.monotonic() - start < 20


def test_mistakes():
    assert probe("http://127.0.0.1:1").code == USAGE
    assert probe().code == USAGE
    assert probe("--server-id", "short", "pqc://127.0.0.1:1").code in (USAGE, NOT_FOUND, CONFIG)
