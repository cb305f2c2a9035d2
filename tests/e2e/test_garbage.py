"""Anything may arrive on the port: the server answers in words or closes, stays small, and goes on."""

import base64
import json
import os
import random
import socket
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness import MIB, random_file, same, sanitized, status_of, until

UPGRADE = ("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n")


def upgrade(more="", key=None):
    return UPGRADE.format(key=key or base64.b64encode(os.urandom(16)).decode(), more=more).encode()


def exchange(server, data, finish=True):
    """Send, then read to the server's end; an abrupt end is an end."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), 60) as s:
        try:
            s.sendall(data)
            if finish:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def status_line(answer):
    return answer.split(b"\r\n", 1)[0].decode()


def web_socket(server, **more):
    return connect(f"ws://{server.address}/", open_timeout=30, close_timeout=30,
                   ping_interval=None, **more)


@pytest.fixture
def works(known, alice, shelf):
    """Afterwards the server still does its work."""
    yield known
    assert known.running()
    assert known.health()["status"] == "healthy"
    source = random_file(shelf / "still", MIB)
    alice.ok("send", source, known.url("still"))
    alice.ok("get", known.url("still"), "--out", shelf / "there")
    assert same(source, shelf / "there")


@pytest.mark.asan
def test_plain_websocket_client(works):
    """The message of the first version of this system."""
    with web_socket(works) as ws:
        ws.send('{"action":"transfer_file","filename":"test_file.dat","size":1048576}')
        answer = json.loads(ws.recv(timeout=30))
    assert answer["status"] == "ready"
    assert set(answer["session_key"]) == {"bundle", "sig", "server_pk"}
    assert len(base64.b64decode(answer["nonce"])) == 32


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.asan
def test_random_bytes(works, seed):
    rng = random.Random(seed)
    for _ in range(20):
        exchange(works, rng.randbytes(rng.randrange(1, 5000)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.asan
def test_random_bytes_after_the_upgrade(works, seed):
    rng = random.Random(seed)
    for _ in range(20):
        answer = exchange(works, upgrade() + rng.randbytes(rng.randrange(1, 5000)))
        assert status_line(answer).startswith("HTTP/1.1 101")


@pytest.mark.parametrize("data, status", [
    (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"POST /health HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET /health HTTP/1.1\r\n\r\n", 400),
    (b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", 400),
    (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
    (b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Much: " + b"a" * 30000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n", 400),
    (upgrade().replace(b"GET / ", b"GET /elsewhere "), 404),
    (upgrade().replace(b"Version: 13", b"Version: 8"), 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
], ids=lambda v: v[:24].decode(errors="replace") if isinstance(v, bytes) else str(v))
def test_http(works, data, status):
    answer = exchange(works, data)
    assert status_line(answer).startswith(f"HTTP/1.1 {status}") or not answer


def test_head_has_no_body(works):
    answer = exchange(works, b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_line(answer).startswith("HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1"])
@pytest.mark.asan
def test_other_origins_are_refused(works, origin):
    with pytest.raises(InvalidStatus) as refused, web_socket(works, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_an_allowed_origin(make_server):
    server = make_server("--allow-origin", "https://good.example").start()
    with web_socket(server, origin="https://good.example") as ws:
        ws.send('{"action":"transfer_file"}')
        assert json.loads(ws.recv(timeout=30))["status"] == "ready"
    with pytest.raises(InvalidStatus), web_socket(server, origin="https://good.example.evil"):
        pass


def test_compression_is_not_accepted(works):
    answer = exchange(works, upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    assert status_line(answer).startswith("HTTP/1.1 101")
    assert b"extensions" not in answer.split(b"\r\n\r\n")[0].lower()


def close_code(server, frames):
    """What the close frame says that answers these bytes."""
    answer = exchange(server, upgrade() + frames)
    frames = answer.split(b"\r\n\r\n", 1)[1]
    assert frames[:1] == b"\x88", frames[:40]
    return struct.unpack(">H", frames[2:4])[0]


def masked(opcode, payload, fin=True):
    n = len(payload)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n)
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


@pytest.mark.parametrize("frames, code", [
    (b"\x81\x02{}", 1002),                                  # not masked
    (b"\xc1\x82" + bytes(4) + b"{}", 1002),                 # RSV1 without an extension
    (b"\x83\x82" + bytes(4) + b"{}", 1002),                 # unknown opcode
    (b"\x09\x80" + bytes(4), 1002),                         # fragmented ping
    (b"\x89\xfe\x00\x7e" + bytes(4) + bytes(126), 1002),    # ping of 126 bytes
    (masked(0, b"{}"), 1002),                               # continuation of nothing
    (masked(1, b"\xff\xfe"), 1007),                         # text that is not UTF-8
    (b"\x81\xff" + struct.pack(">Q", 1 << 40) + bytes(4), 1009),
    (b"\x82\xff" + struct.pack(">Q", 1 << 62) + bytes(5), 1009),
    (b"\x82\xff" + struct.pack(">Q", 1 << 63) + bytes(4), 1002),
    (masked(8, struct.pack(">H", 999)), 1002),              # a close code that may not be sent
], ids=range(11))
@pytest.mark.asan
def test_websocket_violations(works, frames, code):
    assert close_code(works, frames) == code


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"action":"transfer_file","action":"transfer_file"}',
    '{"action":"other"}', '{"action":"transfer_file","v":2}', '{"action":"transfer_file","x":1}',
    '{"action":"transfer_file","suites":[]}', '{"action":"transfer_file","suites":[2]}',
    '{"action":"transfer_file","suites":"1"}', '{"action":"transfer_file","size":"1"}',
    '{"action":"transfer_file","nonce":"AAAA"}', '{"action":"transfer_file","size":1e3}',
    '{"action":"transfer_file"}x', "[" * 8000,
    '{"action":"transfer_file","filename":{"a":{"b":{"c":{"d":1}}}}}',
], ids=range(17))
def test_bad_hello_is_answered_and_closed(works, text):
    with web_socket(works) as ws:
        ws.send(text)
        answer = json.loads(ws.recv(timeout=30))
        assert answer["status"] == "error" and answer["error"] and answer["code"]
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=30)


def test_hello_of_more_than_16_kib(works):
    with web_socket(works) as ws:
        ws.send('{"action":"transfer_file","filename":"' + "a" * 16384 + '"}')
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=30)
    assert closed.value.rcvd.code == 1009


def test_a_trickle_is_cut_after_ten_seconds(works):
    """One byte now and then keeps nothing open: the handshake has ten seconds in all."""
    with socket.create_connection(("127.0.0.1", works.port), 60) as s:
        s.settimeout(0.5)
        data = iter(upgrade())

        def ended():
            try:
                s.sendall(bytes([next(data)]))
                return s.recv(100) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        until(ended, "the server to close the connection", timeout=30)


@pytest.mark.asan
def test_many_bad_connections_leave_nothing_behind(works):
    def flood(n):
        for i in range(n):
            exchange(works, upgrade() + os.urandom(64) if i % 2 else os.urandom(200))

    flood(100)
    before = status_of(works.pid, "VmRSS")
    flood(400)
    until(lambda: works.metric("pqc_open_connections") == 1, "the connections to be gone")
    if not sanitized():     # which keeps what is freed
        assert status_of(works.pid, "VmRSS") - before < 2048
    files = len(os.listdir(f"/proc/{works.pid}/fd"))
    assert files < 40


def test_connections_that_say_nothing_do_not_shut_others_out(make_server, alice, shelf):
    server = make_server("--max-connections", "20").allow(alice, reload=False).start()
    alice.knows(server)
    idle = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(30)]
    source = random_file(shelf / "source", 1000)
    alice.ok("send", source, server.url("a"))   # once the silent ones have had their ten seconds
    for s in idle:
        s.close()
    assert server.metric("pqc_connections_rejected_total") > 0
