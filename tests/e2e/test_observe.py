"""What a server tells of itself: metrics as real parsers read them, lines that belong together,
and clients who try to write into all that."""

import re
import socket

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from harness import MIB, OK, QUOTA, REFUSED, TOP, random_file, until

pytestmark = pytest.mark.asan

# what issue and design call by name, with the type
NAMED = {
    "pqc_key_exchanges": "counter", "pqc_key_exchange_duration_seconds": "histogram",
    "pqc_encryption_throughput_mbps": "gauge", "file_transfer_size_bytes": "histogram",
    "file_transfer_duration_seconds": "histogram", "active_transfers": "gauge",
    "failed_authentications": "counter", "key_rotation_events": "counter",
}
# All that a name may hold; control characters and backslashes are refused before anything is logged.
HOSTILE = 'a"} 1 {"level":"error","event":"x"}<script>,{x="'


@pytest.fixture
def watched(make_server, alice):
    server = make_server("--metrics-listen", "127.0.0.1:0").allow(alice, reload=False).start()
    alice.knows(server)
    return server


def families(server, kind="text/plain"):
    _, headers, body = server.http("/metrics", headers={"Accept": kind}, monitor=True)
    parse = openmetrics if "openmetrics" in headers["Content-Type"] else prometheus
    return {family.name: family for family in parse(body.decode())}


def test_both_formats_as_others_read_them(watched, alice, shelf):
    alice.ok("send", random_file(shelf / "source", 3 * MIB), watched.url("f"))
    text = families(watched)
    for kind in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        found = families(watched, kind)
        for name, type_ in NAMED.items():
            assert found[name].type == type_, name
        assert set(found) == set(text)
    assert all(s.exemplar is None for s in text["file_transfer_duration_seconds"].samples)


def test_an_exemplar_leads_to_the_transfer(watched, alice, shelf):
    sent = alice.json("send", random_file(shelf / "source", 3 * MIB), watched.url("f"))
    found = families(watched, "application/openmetrics-text")["file_transfer_duration_seconds"]
    traces = {s.exemplar.labels["trace_id"] for s in found.samples if s.exemplar}
    assert traces == {sent["trace_id"]}


def test_everything_of_one_transfer_has_one_id(watched, alice, shelf):
    sent = alice.json("send", random_file(shelf / "source", 3 * MIB), watched.url("f"))
    line = watched.wait_for("transfer")
    assert line["trace_id"] == sent["trace_id"]
    assert line["client_id"] == alice.id and line["transfer_id"] == sent["file_id"]
    assert line["file_size"] == 3 * MIB and line["result"] == "done" and line["direction"] == "put"
    assert line["bytes_transferred"] >= 3 * MIB and line["throughput_mbps"] > 0
    assert line["pqc_algorithm"] == "Kyber768" and line["code"] is None
    assert "name" not in line, "names are people's: only with --log-names"
    of_it = [l for l in watched.events() if l.get("trace_id") == sent["trace_id"]]
    assert {"put.begun", "put.done", "transfer"} <= {l["event"] for l in of_it}
    assert not any("name" in l for l in watched.events())


def test_who_was_refused_and_why(make_server, alice, bob, shelf):
    server = make_server("--max-size", "1M", "--metrics-listen", "127.0.0.1:0")
    server.allow(alice, reload=False).start()
    alice.knows(server), bob.knows(server)
    alice.fails(QUOTA, "send", random_file(shelf / "large", 2 * MIB), server.url("f"))
    line = server.wait_for("transfer")
    assert (line["result"], line["code"]) == ("refused", "quota")
    bob.fails(REFUSED, "send", random_file(shelf / "small", 10), server.url("g"))
    assert server.metric('pqc_requests_refused_total{reason="unknown_identity"}') == 1
    assert server.metric("failed_authentications_total") == 1
    assert server.metric('pqc_quota_refusals_total{scope="size"}') == 1
    assert server.metric('pqc_transfers_total{direction="put",result="refused"}') == 1
    alice.fails(REFUSED, "get", server.url("absent"), "--out", shelf / "out")
    assert server.metric('pqc_transfers_total{direction="get",result="refused"}') == 1


def test_a_clients_quota(make_server, alice, bob, shelf, tmp_path):
    """Reserved when an upload is accepted, given back when it goes."""
    server = make_server("--metrics-listen", "127.0.0.1:0").allow(bob, reload=False)
    server._operator.ok("trust", "allow", "--data-dir", server.data, "--rights", "all",
                        "--quota", "5M", alice.pub)
    server.start()
    alice.knows(server), bob.knows(server)
    source = random_file(shelf / "source", 3 * MIB)
    alice.ok("send", source, server.url("a"))
    said = alice.fails(QUOTA, "send", source, server.url("b"))
    assert "quota" in said and "3.00 MiB" in said and "5.00 MiB" in said
    assert server.metric('pqc_quota_refusals_total{scope="client"}') == 1
    bob.ok("send", source, server.url("c"))
    alice.ok("delete", server.url("a"))
    alice.ok("send", source, server.url("b"))
    # of unknown length: found out on the way
    assert "quota" in alice.fails(QUOTA, "send", "-", server.url("s"), stdin=bytes(8 * MIB))


def test_the_clients_port_is_not_for_operators(watched):
    assert watched.http("/health")[0] == watched.http("/ready")[0] == 200
    for path in ("/metrics", "/performance-metrics", "/transfers"):
        assert watched.http(path)[0] == 404
        assert watched.http(path, monitor=True)[0] == 200
    with socket.create_connection(("127.0.0.1", int(watched.monitor.rsplit(":", 1)[1]))) as s:
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 404")


def test_without_a_monitor_listener(known):
    assert known.http("/metrics")[0] == 200
    assert known.http("/transfers")[0] == 404, "who is sending is not for everybody"
    run = known.data / "run"
    sockets = list(run.glob("*.sock"))
    assert len(sockets) == 1 and sockets[0].stat().st_mode & 0o777 == 0o600
    assert run.stat().st_mode & 0o777 == 0o700
    assert known.stop() == OK
    assert not list(run.glob("*.sock"))


def test_the_socket_of_a_killed_server_goes(known):
    run = known.data / "run"
    known.kill()
    dead = set(run.glob("*.sock"))
    assert len(dead) == 1
    known.start()
    assert len(set(run.glob("*.sock"))) == 1 and not set(run.glob("*.sock")) & dead


def test_a_directory_that_has_no_sockets(make_server, alice, shelf):
    """Some shared file systems have none: transfers need none."""
    server = make_server()
    server.data.mkdir(mode=0o700)
    (server.data / "run").write_text("in the way")
    server.allow(alice, reload=False).start()
    assert "run" in server.events("socket.failed")[0]["reason"]
    alice.knows(server).ok("send", random_file(shelf / "source", 1000), server.url("f"))


def test_health_says_what_is_wrong(make_server, alice, tmp_path):
    config = tmp_path / "server.conf"
    config.write_text("min-free = 1M\n")
    server = make_server("--config", config, "--metrics-listen", "127.0.0.1:0")
    server.allow(alice, reload=False).start()
    health = server.health()
    assert health["status"] == "healthy" and health["reason"] is None
    assert {c["name"] for c in health["checks"]} == \
        {"storage", "space", "key", "bundle", "clock", "queue"}
    assert all(c["status"] == "healthy" for c in health["checks"])
    config.write_text("min-free = 1000T\n")
    server.reload()
    server.wait_for("health.changed", match=lambda line: line["status"] == "degraded")
    health = server.health()
    assert health["status"] == "degraded" and "no room" in health["reason"]
    assert server.metric('pqc_health_status{check="space"}') == 1
    assert server.http("/ready")[0] == 200      # downloads work
    config.write_text("min-free = 1M\n")
    server.reload()
    server.wait_for("health.changed", match=lambda line: line["status"] == "healthy")


@pytest.mark.parametrize("names", [False, True])
def test_hostile_names_write_no_line(make_server, alice, shelf, names):
    """An object's name and a client's display name hold quotes, braces and newlines of other scripts."""
    server = make_server("--metrics-listen", "127.0.0.1:0", *(["--log-names"] if names else []))
    server.allow(alice, reload=False).start()
    alice.knows(server)
    before = server.http("/metrics", monitor=True)[2].decode()
    url = server.url() + "".join(f"%{b:02x}" for b in HOSTILE.encode())
    alice.ok("send", random_file(shelf / "source", 1000), url)
    line = server.wait_for("transfer")
    assert line.get("name") == (HOSTILE if names else None)
    assert not [l for l in server.events() if l["event"] == "text"], "a line that is no JSON"
    after = server.http("/metrics", monitor=True)[2].decode()

    def series(text):
        return {l.rsplit(" ", 1)[0] for l in text.splitlines() if not l.startswith("#")}
    assert series(after) == series(before), "a client made a series"


def test_hostile_traceparents(watched, alice, shelf):
    """They come encrypted from an authorised client, and are bytes like any other."""
    source = random_file(shelf / "source", 1000)
    for bad in ("00-" + "0" * 32 + "-" + "1" * 16 + "-01", "x" * 55, '"' * 55,
                "00-" + "A" * 32 + "-" + "1" * 16 + "-01"):
        alice.ok("send", source, watched.url("f"), env={"TRACEPARENT": bad})
    for line in watched.events("transfer"):
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"]) and set(line["trace_id"]) != {"0"}


def test_no_metrics(make_server, alice, shelf):
    server = make_server("--no-metrics", "--metrics-listen", "127.0.0.1:0")
    server.allow(alice, reload=False).start()
    alice.knows(server)
    alice.ok("send", random_file(shelf / "source", MIB), server.url("f"))
    assert server.http("/metrics", monitor=True)[2] == b""
    assert server.health()["status"] == "healthy"


def test_every_series_is_documented(watched):
    text = (TOP / "docs" / "observability.md").read_text()
    for path in ("/metrics", "/performance-metrics"):
        for name in re.findall(r"^# TYPE (\S+)", watched.http(path, monitor=True)[2].decode(), re.M):
            assert f"`{name}`" in text, name


def test_transfers_tells_who_is_sending(watched, alice, make_proxy, shelf):
    proxy = make_proxy(watched)
    alice.ok("trust", "add", proxy.address, watched.pub)
    proxy.hold("up", 2 * MIB)
    sending = alice.begin("send", random_file(shelf / "source", 4 * MIB),
                          watched.url("slow", through=proxy), "--json")
    assert proxy.held.wait(60)
    one, = until(lambda: watched.transfers()["active"], "the transfer")
    assert one["client_id"] == alice.id and one["direction"] == "put" and one["state"] == "transfer"
    assert one["file_size"] == 4 * MIB and "name" not in one
    proxy.release()
    done = sending.done()
    assert done.code == OK and done.objects[-1]["trace_id"] == one["trace_id"]
    assert watched.transfers()["active"] == []


def test_a_listener_that_cannot_be(make_server, pqc, tmp_path):
    said = pqc.fails(8, "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "d",
                     "--metrics-listen", "nonsense", timeout=20)
    assert "nonsense" in said
