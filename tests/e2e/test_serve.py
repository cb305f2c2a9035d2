"""The server as its operator sees it: signals, health, metrics, reload, what it sweeps."""

import json
import os
import re
import signal
import time

import pytest

from harness import (CONFIG, MIB, OK, QUOTA, REFUSED, TEMPORARY, random_file, same, until)


def slow_send(alice, server, make_proxy, source, after=4 * MIB):
    """A send that stands still once `after` bytes went up; returns it and the proxy that holds it."""
    proxy = make_proxy(server)
    alice.ok("trust", "add", proxy.address, server.pub)
    proxy.hold("up", after)
    sending = alice.begin("send", source, server.url("slow", through=proxy), "--json")
    assert proxy.held.wait(60)
    return sending, proxy


@pytest.mark.asan
def test_health_ready_and_metrics(known):
    status, headers, body = known.http("/health")
    health = json.loads(body)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    assert health["status"] == "healthy" and health["pqc_algorithm"] == "Kyber768"
    assert health["active_transfers"] == 0 and health["storage_free_bytes"] > 0
    status, _, body = known.http("/ready")
    assert (status, json.loads(body)["status"]) == (200, "ready")
    status, headers, body = known.http("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    names = set(re.findall(r"^# TYPE (\w+) (?:counter|gauge|histogram)$", body.decode(), re.M))
    assert {"pqc_key_exchanges_total", "failed_authentications_total", "active_transfers",
            "key_rotation_events_total", "pqc_storage_free_bytes"} <= names
    for line in body.decode().splitlines():
        assert line.startswith("#") or re.fullmatch(r"\w+(\{[^}]*\})? \d+(\.\d+)?", line), line


def test_metrics_count_what_happens(known, alice, bob, shelf):
    source = random_file(shelf / "source", 3 * MIB)
    exchanges = known.metric("pqc_key_exchanges_total")
    alice.ok("send", source, known.url("a"))
    assert known.metric('pqc_transfers_total{direction="put",result="done"}') == 1
    assert known.metric('pqc_part_bytes_total{direction="received"}') > 3 * MIB
    alice.ok("get", known.url("a"), "--out", shelf / "out")
    until(lambda: known.metric('pqc_transfers_total{direction="get",result="done"}') == 1,
          "the end of the get")
    assert known.metric("pqc_key_exchanges_total") == exchanges + 2
    bob.knows(known)
    bob.fails(REFUSED, "get", known.url("a"), "--out", shelf / "b")
    assert known.metric("failed_authentications_total") == 1
    assert known.metric("active_transfers") == 0


def test_sigterm_lets_a_transfer_finish(known, alice, make_proxy, shelf):
    source = random_file(shelf / "source", 12 * MIB)
    sending, proxy = slow_send(alice, known, make_proxy, source)
    assert known.metric("active_transfers") == 1
    known.signal(signal.SIGTERM)
    known.wait_for("server.draining")
    alice.fails(TEMPORARY, "ping", known.url(), "--retry-for", "0s")  # nobody new
    proxy.release()
    sent = sending.done()
    assert sent.code == OK and sent.objects[-1]["reconnects"] == 0
    assert known.wait() == OK
    known.start()
    alice.ok("get", known.url("slow"), "--out", shelf / "out")
    assert same(source, shelf / "out")


def test_drain_timeout_cuts_and_the_client_resumes(make_server, alice, make_proxy, shelf):
    server = make_server("--drain-timeout", "200ms").allow(alice, reload=False).start()
    alice.knows(server)
    source = random_file(shelf / "source", 12 * MIB)
    sending, proxy = slow_send(alice, server, make_proxy, source)
    server.signal(signal.SIGTERM)
    assert server.wait() == TEMPORARY
    server.start()
    proxy.release()
    sent = sending.done()
    assert sent.code == OK and sent.objects[-1]["reconnects"] >= 1
    alice.ok("get", server.url("slow"), "--out", shelf / "out")
    assert same(source, shelf / "out")


def test_second_sigterm_does_not_wait(known, alice, make_proxy, shelf):
    sending, _ = slow_send(alice, known, make_proxy, random_file(shelf / "source", 12 * MIB))
    known.signal(signal.SIGTERM)
    known.wait_for("server.draining")
    known.signal(signal.SIGTERM)
    assert known.wait(10) == TEMPORARY  # drain-timeout is 30 s
    sending.kill()


def test_idle_server_stops_at_once(known):
    assert known.stop(5) == OK


def test_reload_refuses_a_broken_list_and_keeps_the_old_one(known, alice, shelf):
    source = random_file(shelf / "source", 100)
    access = known.data / "authorized"
    good = access.read_text()
    access.write_text(good + "not an identity\n")
    line = known.reload("reload.failed")
    assert "authorized" in line["reason"] and str(good.count("\n") + 1) in line["reason"]
    alice.ok("send", source, known.url("a"))
    access.write_text("")
    known.reload()
    alice.fails(REFUSED, "send", source, known.url("b"))


def test_reload_does_not_disturb_a_transfer(known, alice, bob, make_proxy, shelf):
    source = random_file(shelf / "source", 12 * MIB)
    sending, proxy = slow_send(alice, known, make_proxy, source)
    known.allow(bob)
    known.deny(alice)   # what has begun goes on; the next request is refused
    proxy.release()
    assert sending.done().code == OK
    alice.fails(REFUSED, "get", known.url("slow"), "--out", shelf / "out")
    bob.knows(known)
    bob.ok("get", known.url("slow"), "--out", shelf / "out")
    assert same(source, shelf / "out")


def test_configuration_file_and_reload(make_server, alice, shelf, tmp_path):
    config = tmp_path / "serve.conf"
    config.write_text("# limits\nmax-size = 1M\n")
    server = make_server("--config", config).allow(alice, reload=False).start()
    alice.knows(server)
    source = random_file(shelf / "source", 2 * MIB)
    message = alice.fails(QUOTA, "send", source, server.url("a"))
    assert str(MIB) in message
    config.write_text("max-size = 4M\n")
    server.reload()
    alice.ok("send", source, server.url("a"))
    config.write_text("max-sise = 4M\n")
    line = server.reload("reload.failed")
    assert "max-sise" in line["reason"] and ":1" in line["reason"]
    alice.ok("get", server.url("a"), "--out", shelf / "out")


def bodies(objects):
    """How many objects there are, while some may be going."""
    try:
        return len(list(objects.rglob("body")))
    except FileNotFoundError:
        return None


def test_abandoned_uploads_are_swept(known, alice, make_proxy, shelf):
    kept = random_file(shelf / "kept", 100)
    alice.ok("send", kept, known.url("kept"))
    sending, _ = slow_send(alice, known, make_proxy, random_file(shelf / "source", 12 * MIB))
    sending.kill()
    known.stop()
    objects = known.data / "objects"
    assert bodies(objects) == 2
    week_ago = time.time() - 7 * 86400 - 60     # --upload-ttl is 7 days
    for path in [*objects.rglob("*"), objects]:
        os.utime(path, (week_ago, week_ago))
    known.start()
    until(lambda: bodies(objects) == 1, "the sweep")
    alice.ok("get", known.url("kept"), "--out", shelf / "out")
    assert same(kept, shelf / "out")


def test_full_disk_margin_degrades_health(make_server, alice, shelf):
    server = make_server("--min-free", "1000T").allow(alice, reload=False).start()
    alice.knows(server)
    health = server.health()
    assert health["status"] == "degraded" and "room" in health["reason"]
    source = random_file(shelf / "source", 10)
    assert "room" in alice.fails(QUOTA, "send", source, server.url("a"))


@pytest.mark.parametrize("words, named", [
    (["--listen", "127.0.0.1:99999"], "99999"),
    (["--max-size", "lots"], "lots"),
    (["--tls-cert", "/nonexistent/cert.pem", "--tls-key", "/nonexistent/key.pem"], "cert.pem"),
    (["--log-level", "loud"], "loud"),
])
def test_bad_configuration_is_named(pqc, tmp_path, words, named):
    done = pqc.run("serve", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:0", *words, timeout=20)
    assert done.code in (CONFIG, 2)
    assert named in done.err


def test_port_in_use(known, pqc, tmp_path):
    done = pqc.run("serve", "--data-dir", tmp_path / "other", "--listen", known.address, timeout=20)
    assert done.code == CONFIG
    assert known.address in done.err and "in use" in done.err


def test_several_servers_for_a_directory(known, make_server, alice, tmp_path):
    second = make_server(name="second", beside=known).start()
    alice.knows(second)
    for first, then in (known, second), (second, known):
        source = random_file(tmp_path / "source", 100_000)
        alice.ok("send", source, first.url("same"))
        assert alice.ok("get", then.url("same"), "-o", "-").stdout == source.read_bytes()
