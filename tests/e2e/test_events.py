"""Events of transfers, as a webhook and a command get them. The signature is judged by the
Standard Webhooks library, not by us."""

import base64
import http.server
import json
import os
import threading

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness import CONFIG, MIB, OK, QUOTA, random_file, until

pytestmark = pytest.mark.asan


class Receiver:
    """A webhook: keeps what it gets, and answers as it is told."""

    def __init__(self):
        self.got, self.answers = [], []     # answers: status codes to give first; then 204
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.got.append((status, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self, kind):
        """Those that were taken."""
        return [json.loads(body) for status, _, body in self.got
                if status == 204 and json.loads(body)["type"] == kind]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "webhook.secret"
    path.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode() + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def hooked(make_server, alice, receiver, secret):
    server = make_server("--webhook-url", receiver.url, "--webhook-secret-file", secret,
                         "--max-size", "4M").allow(alice, reload=False).start()
    alice.knows(server)
    return server


def test_received_and_receipt(hooked, alice, receiver, secret, shelf):
    source = random_file(shelf / "source", 3 * MIB)
    sent = alice.json("send", source, hooked.url("round-1/update.bin"))
    until(lambda: receiver.events("transfer.receipt"), "the event of the receipt")
    until(lambda: receiver.events("transfer.received"), "the event")
    event, = receiver.events("transfer.received")
    assert set(event) == {"type", "timestamp", "data"}
    data = event["data"]
    assert data["name"] == "round-1/update.bin" and data["size"] == 3 * MIB
    assert data["file_id"] == sent["file_id"] and data["client_id"] == alice.id
    assert data["trace_id"] == sent["trace_id"] and data["direction"] == "put"
    receipt, = receiver.events("transfer.receipt")
    (shelf / "r").write_text(receipt["data"]["receipt"])
    alice.ok("receipt", "--verify", shelf / "r", "--server", hooked.pub, "--sender", alice.pub)
    hook = Webhook(secret.read_text().strip())
    for _, headers, body in receiver.got:
        hook.verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            hook.verify(body.replace(b"put", b"get"), headers)


def test_a_refused_transfer_is_told(hooked, alice, receiver, shelf):
    alice.fails(QUOTA, "send", random_file(shelf / "large", 5 * MIB), hooked.url("large"))
    until(lambda: receiver.events("transfer.failed"), "the event")
    data = receiver.events("transfer.failed")[0]["data"]
    assert data["code"] == "quota" and data["result"] == "refused" and data["name"] == "large"


def test_tried_again_with_the_same_id_and_over_a_restart(hooked, alice, receiver, shelf):
    receiver.answers = [500, 503]
    alice.ok("send", random_file(shelf / "source", 1000), hooked.url("f"))
    until(lambda: len(receiver.got) >= 2, "two attempts")
    hooked.kill()
    hooked.start()
    until(lambda: receiver.events("transfer.received") and receiver.events("transfer.receipt"),
          "both events")
    ids = {}
    for _, headers, body in receiver.got:
        ids.setdefault(json.loads(body)["type"], set()).add(headers["webhook-id"])
    assert all(len(seen) == 1 for seen in ids.values()), ids
    until(lambda: not list((hooked.data / "events").glob("*.json")), "an empty spool")


def test_a_dead_webhook_holds_nobody_up(hooked, alice, receiver, shelf):
    receiver.close()
    source = random_file(shelf / "source", 1000)
    for i in range(5):
        alice.ok("send", source, hooked.url(f"f{i}"), timeout=20)
    assert hooked.health()["status"] == "healthy"
    assert hooked.stop() == OK
    assert len(list((hooked.data / "events").glob("*.json"))) == 10


def test_a_command(make_server, alice, shelf, tmp_path):
    script = tmp_path / "hook"
    script.write_text('#!/bin/sh\ncat > "%s/$PQC_EVENT_ID.tmp"\n'
                      'mv "%s/$PQC_EVENT_ID.tmp" "%s/$PQC_EVENT"\n' % ((shelf,) * 3))
    script.chmod(0o755)
    server = make_server("--event-command", script).allow(alice, reload=False).start()
    alice.knows(server)
    alice.ok("send", random_file(shelf / "source", 1000), server.url("; rm -rf $HOME"))
    got = until(lambda: (shelf / "transfer.received").exists() and shelf / "transfer.received",
                "the command")
    assert json.loads(got.read_text())["data"]["name"] == "; rm -rf $HOME"
    until(lambda: server.metric('pqc_events_delivered_total{result="delivered"}') == 2, "both")


def test_options_that_cannot_work(make_server, alice, tmp_path, secret, pqc):
    secret.chmod(0o644)
    for words in (["--webhook-url", "http://127.0.0.1:1/"],
                  ["--webhook-url", "gopher://x/", "--webhook-secret-file", secret],
                  ["--event-command", "not/absolute"]):
        pqc.fails(CONFIG, "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "d", *words,
                  timeout=20)
    said = pqc.run("serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "d",
                   "--webhook-url", "http://127.0.0.1:1/", "--webhook-secret-file", secret,
                   timeout=20)
    assert said.code == 4 and "webhook.secret" in said.err
