"""The program as a client that a server lets wait (docs/protocol.md, Queueing)."""

from __future__ import annotations

import json
import os
import pty
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pqp
import pytest
from forge import person
from harness import INTEGRITY, INTERRUPTED, OK, QUOTA, REFUSED, TEMPORARY, Running, until
from liar import PATIENCE, Victim, ended, harmless, lying, running, store
from pqp_program import upload
from pqp_server import TURN, Done, Peer, Server

pytestmark = pytest.mark.asan

ME = "server"
ADMIT = Callable[[Server, Peer], None]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    made = Victim(tmp_path)
    yield made
    made.pqc.end()


def words_of(victim: Victim, op: str, server: Server) -> list[str | Path]:
    """A command line that does this."""
    url = f"pqc://{server.address}/"
    receipt = victim.files / "receipt"
    return {
        "send": ["send", "--part-size", "64K", "--receipt", receipt, victim.source, url + "y"],
        "get": ["get", url + "x", "-o", victim.out],
        "list": ["list", url],
        "delete": ["delete", url + "x"],
        "receipt": ["receipt", url + "x", "-o", receipt],
    }[op]


OPS = ["send", "get", "list", "delete", "receipt"]


def begin(victim: Victim, op: str, server: Server, *more: str | Path, **how: Any) -> Running:
    words = words_of(victim, op, server)
    return victim.pqc.begin(*words, *PATIENCE, "--retry-for", "1m", *more, **how)


def prepared(victim: Victim, server: Server) -> Server:
    """Known to the victim, with an object of his on it."""
    victim.trust(server.address, person(ME, 1))
    store(server, "x", upload(victim.me, 4))
    return server


def next_event(run: Running) -> dict[str, Any]:
    """The next JSON line, as soon as it is there."""
    assert run.popen.stdout is not None
    line = run.popen.stdout.readline()
    assert line, run.done().err
    return dict(json.loads(line))


def waited(run: Running) -> list[dict[str, Any]]:
    """It must end well; the places it reported, the same one once."""
    done = run.done()
    assert done.code == OK, done.err
    harmless(done)
    return [o for o in done.objects if o["event"] == "queued"]


def pinged_until(p: Peer, condition: Callable[[], Any]) -> None:
    """The client waits, and hears of us."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        p.ws.ping()
        time.sleep(0.02)


# ---- waiting, and getting in ----


@pytest.mark.parametrize("op", OPS)
def test_every_request_can_wait(victim: Victim, op: str) -> None:
    """Three places, each told when the one before was shown; then the request is done."""
    go = threading.Semaphore(0)

    def admit(self: Server, p: Peer) -> None:
        for place in (3, 2, 1):
            p.queued(place, text="busy\x1b[2J", retry_after=place * 40_000)
            assert go.acquire(timeout=60)

    with running(lying(admit=admit), person(ME, 1)) as server:
        run = begin(victim, op, prepared(victim, server), "--json")
        for place in (3, 2, 1):
            event = next_event(run)
            assert (event["event"], event["position"]) == ("queued", place)
            assert event["server"] == server.address
            assert event["name"] == {"send": "y", "list": ""}.get(op, "x")
            assert place * 40 - 20 < event["estimate_seconds"] <= place * 40
            go.release()
        last = run.done().objects[-1]
        assert last["event"] == {"send": "sent", "get": "got", "list": "object"}.get(op, last["event"])
        if op != "list":
            assert 0 < last["queue_seconds"] < 60
        assert server.broken == []


def test_without_a_queue_nothing_is_said_of_it(victim: Victim) -> None:
    with running(Server, person(ME, 1)) as server:
        done = begin(victim, "get", prepared(victim, server), "--json").done()
        assert [o["event"] for o in done.objects] == ["got"] and "waiting" not in done.err
        assert done.objects[0]["queue_seconds"] == 0


def test_a_queue_of_three(victim: Victim, tmp_path: Path) -> None:
    """One slot: they come in one after the other, in the order they came."""
    hold, served = threading.Event(), []

    def answer(self: Server, p: Peer) -> None:
        served.append(p.request.name)
        assert hold.wait(60)
        Server.answer(self, p)

    with running(lying(answer=answer), person(ME, 1)) as server:
        server.free = 1
        prepared(victim, server)
        runs = []
        for name in "abc":
            url = f"pqc://{server.address}/{name}"
            before = len(runs)
            runs.append(victim.pqc.begin("send", victim.source, url, "--json"))
            until(lambda n=before: len(served) + len(server.waiting) == n + 1, "its arrival")
        assert [next_event(r)["position"] for r in runs[1:]] == [1, 2]
        hold.set()
        assert [r.done().code for r in runs] == [OK] * 3
        assert served == ["a", "b", "c"] and set("abc") <= set(server.names)
        assert server.broken == [] and server.waiting == []


def test_who_goes_away_loses_the_place(victim: Victim) -> None:
    with running(Server, person(ME, 1)) as server:
        server.free = 0
        run = begin(victim, "send", prepared(victim, server), "--json")
        assert next_event(run)["estimate_seconds"] <= TURN / 1000
        run.signal(signal.SIGINT)
        assert run.done(10).code == INTERRUPTED
        until(lambda: server.waiting == [], "its place to be free")
        server.free = 1
        done = begin(victim, "send", server, "--json").done()
        assert [o["event"] for o in done.objects] == ["sent"]


def test_each_of_several_files_waits(victim: Victim) -> None:
    def admit(self: Server, p: Peer) -> None:
        p.queued(2)

    with running(lying(admit=admit), person(ME, 1)) as server:
        prepared(victim, server)
        two = victim.files / "two"
        two.write_bytes(b"2")
        done = victim.pqc.run("send", victim.source, two, f"pqc://{server.address}/d/", "--json")
        told = [(o["event"], o["name"]) for o in done.objects]
        assert told == [(e, f"d/{n}") for n in ("source", "two") for e in ("queued", "sent")]
        plain = victim.pqc.run("send", victim.source, two, f"pqc://{server.address}/e/")
        for path in (victim.source, two):
            assert f"{server.address}: {path}: waiting, place 2\n" in plain.err


# ---- what is shown ----


def once(*told: dict[str, Any]) -> type[Server]:
    """Tells these and lets in after a while, in which the client is still there to be pinged."""

    def admit(self: Server, p: Peer) -> None:
        for fields in told:
            p.queued(**fields)
        end = time.monotonic() + 0.5
        pinged_until(p, lambda: time.monotonic() > end)

    return lying(admit=admit)


@pytest.mark.parametrize(
    "told,shown,estimate",
    [
        ({"position": 7, "retry_after": 40_400}, "waiting, place 7, about 40 s", 40.4),
        ({"position": 7, "retry_after": 2**32 - 1}, "waiting, place 7, about 49d17h02m", 4294967.295),
        ({"position": 2**32 - 1}, "waiting, place 4294967295\n", None),
        ({"position": 0, "retry_after": 90_300}, "waiting, about 1m30s", 90.3),
        ({"position": 0}, "waiting\n", None),
        ({"position": 1, "retry_after": 0}, "waiting, place 1\n", 0),
    ],
)
def test_a_place(
    victim: Victim, told: dict[str, Any], shown: str, estimate: float | None
) -> None:
    with running(once(told), person(ME, 1)) as server:
        done = begin(victim, "list", prepared(victim, server)).done()
        assert f"{server.address}: {shown}" in done.err and done.err.count("waiting") == 1
        done = begin(victim, "list", server, "--json").done()
        assert "waiting" not in done.err
        queued, entry = done.objects
        assert queued["position"] == told["position"] and entry["event"] == "object"
        if estimate is None:
            assert queued["estimate_seconds"] is None
        else:
            assert queued["estimate_seconds"] == pytest.approx(estimate, abs=0.25)
        assert begin(victim, "list", server, "--quiet").done().err == ""


def test_standard_output_is_for_the_data(victim: Victim) -> None:
    with running(once({"position": 3}), person(ME, 1)) as server:
        u = upload(victim.me, 4)
        prepared(victim, server)
        url = f"pqc://{server.address}/x"
        done = victim.pqc.run("get", url, "-o", "-", "--json")
        assert done.stdout == u.plain and "waiting, place 3" in done.err
        done = victim.pqc.run("receipt", url, "-o", "-", "--json")
        assert done.out.startswith("-----BEGIN") and "waiting, place 3" in done.err


def test_a_terminal_has_one_line(victim: Victim) -> None:
    near, far = pty.openpty()
    with running(once({"position": 7, "retry_after": 40_000}), person(ME, 1)) as server:
        run = begin(victim, "list", prepared(victim, server), stderr=far)
        os.close(far)
        seen = b""
        try:
            while data := os.read(near, 4096):
                seen += data
        except OSError:  # all writers are gone
            pass
        os.close(near)
        assert run.done().code == OK
    lines = seen.decode().split("\r\x1b[K")
    assert f"{server.address}: waiting, place 7, about 40 s" in lines
    assert len(lines) >= 3 and "\n" not in seen.decode() and lines[-1] == ""


# ---- a long wait ----


@pytest.mark.parametrize("op", OPS)
def test_queued_for_ever(victim: Victim, op: str) -> None:
    """Longer than the idle time, as long as there are pings; Ctrl-C is obeyed at once."""
    inside, enough = threading.Event(), threading.Event()

    def admit(self: Server, p: Peer) -> None:
        if not inside.is_set():
            p.queued(1)
            began = time.monotonic()
            pinged_until(p, lambda: time.monotonic() > began + 1.2)
            inside.set()
            pinged_until(p, enough.is_set)
            raise Done  # whether or not the pings showed that it has gone

    with running(lying(admit=admit), person(ME, 1)) as server:
        prepared(victim, server)
        run = begin(victim, op, server, "--idle-timeout", "300ms")
        assert inside.wait(60) and run.running()
        run.signal(signal.SIGINT)
        done = run.done(5)
        enough.set()
        ended(done, INTERRUPTED)
        assert "run the same command again" in done.err
        victim.got_nothing()
        assert begin(victim, op, server).done().code == OK
        assert server.broken == []


def test_the_wait_counts_towards_no_retry_time(victim: Victim) -> None:
    """The first connection waits longer than --retry-for and then dies: there is a second."""
    seen: list[Peer] = []

    def admit(self: Server, p: Peer) -> None:
        seen.append(p)
        if len(seen) == 1:
            p.queued(1)
            began = time.monotonic()
            pinged_until(p, lambda: time.monotonic() > began + 1.5)
            raise Done

    with running(lying(admit=admit), person(ME, 1)) as server:
        run = begin(victim, "send", prepared(victim, server), "--json", "--retry-for", "1s")
        done = run.done()
        assert done.code == OK and len(seen) == 2, done.err
        assert done.objects[-1]["reconnects"] == 1 and "reconnect" in done.err
        assert 1.4 < done.objects[-1]["queue_seconds"] < done.objects[-1]["seconds"]
        assert server.broken == []


def test_the_wait_is_not_in_the_rate(victim: Victim) -> None:
    with running(once({"position": 1}), person(ME, 1)) as server:
        got = begin(victim, "get", prepared(victim, server), "--json").done().objects[-1]
        seconds = got["seconds"] - got["queue_seconds"]
        assert got["queue_seconds"] > 0.4 and seconds >= 0
        if seconds > 0.02:
            assert got["mb_per_s"] == pytest.approx(got["size"] / seconds / 1e6, rel=0.2)


def test_a_server_that_stops_pinging(victim: Victim) -> None:
    """It is given up after the idle time from its last word, and not before."""
    silent: list[float] = []

    def admit(self: Server, p: Peer) -> None:
        p.queued(1)
        began = time.monotonic()
        pinged_until(p, lambda: time.monotonic() > began + 0.7)
        silent.append(time.monotonic())
        p.ws.recv()

    with running(lying(admit=admit), person(ME, 1)) as server:
        run = begin(victim, "get", prepared(victim, server), "--idle-timeout", "500ms",
                    "--retry-for", "0")
        done = run.done(20)
        ended(done, TEMPORARY)
        assert "does not answer" in done.err
        assert 0.4 < time.monotonic() - silent[0]


@pytest.mark.parametrize("again", [False, True])
def test_places_without_end(victim: Victim, again: bool) -> None:
    """A flood of them fills neither memory nor output, and can be called off."""
    flooded = threading.Event()

    def admit(self: Server, p: Peer) -> None:
        for i in range(1_000_000):
            p.queued(1 if again else i)
            if i == 5_000:
                flooded.set()

    with running(lying(admit=admit), person(ME, 1)) as server:
        run = begin(victim, "list", prepared(victim, server), "--json")
        assert flooded.wait(60)
        run.signal(signal.SIGINT)
        done = run.done(10)
        ended(done, INTERRUPTED)
        assert 1 <= len([o for o in done.objects if o["event"] == "queued"]) < 300


# ---- a server that breaks off, or lies ----


def test_queued_then_refused(victim: Victim) -> None:
    for code, exit_code in {pqp.REFUSED: REFUSED, pqp.QUOTA: QUOTA, pqp.TEMPORARY: TEMPORARY}.items():
        def admit(self: Server, p: Peer, code: int = code) -> None:
            p.queued(1)
            p.refuse(code, "so be it\x1b[2J")

        for op in OPS:
            with running(lying(admit=admit), person(ME, 1)) as server:
                done = begin(victim, op, prepared(victim, server), "--retry-for", "0").done()
                ended(done, exit_code)
                assert "so be it" in done.err
                victim.got_nothing()


def test_an_error_instead_of_a_reply(victim: Victim) -> None:
    def admit(self: Server, p: Peer) -> None:
        p.queued(1)
        p.send(pqp.ERROR, code=pqp.TEMPORARY, text="going down")
        p.ws.recv()

    with running(lying(admit=admit), person(ME, 1)) as server:
        done = begin(victim, "get", prepared(victim, server), "--retry-for", "0").done()
        ended(done, TEMPORARY)
        assert "going down" in done.err


def test_the_connection_dies(victim: Victim) -> None:
    """Each time it is made again; a fresh put stays one, whatever it waited for before."""
    seen: list[pqp.Message] = []

    def admit(self: Server, p: Peer) -> None:
        seen.append(p.request)
        p.queued(len(seen))
        if len(seen) < 3:
            raise Done

    with running(lying(admit=admit), person(ME, 1)) as server:
        done = begin(victim, "send", prepared(victim, server), "--json").done()
        assert done.code == OK and done.objects[-1]["reconnects"] == 2, done.err
        assert len({r.file_id for r in seen}) == 1 and all(r.dek is not None for r in seen)
        assert server.broken == []


def raw(data: bytes) -> ADMIT:
    def lie(self: Server, p: Peer) -> None:
        p.ws.send(data)

    return lie


def message(data: bytes) -> ADMIT:
    return lambda self, p: p.send_bytes(data)


def numbered(number: int) -> ADMIT:
    def lie(self: Server, p: Peer) -> None:
        p.sent = number
        p.queued(1)

    return lie


def m4_again(self: Server, p: Peer) -> None:
    p.sent = 0
    p.queued(1)


QUEUED = {"status": pqp.QUEUED, "position": 1}
LIES: dict[str, ADMIT] = {
    "a part": raw(pqp.Frame(0, 0, 0, 65536).encode() + bytes(65536)),
    "noise": raw(pqp.CONTROL + os.urandom(80)),
    "text": lambda self, p: p.ws.send("queued"),
    "an acknowledgement": message(pqp.encode_message(pqp.ACK, ranges=[], durable=0)),
    "an entry": message(pqp.encode_message(pqp.ENTRIES, entries=[])),
    "a request": message(pqp.encode_message(pqp.REQUEST, op=pqp.GET, name="x")),
    "a number left out": numbered(2),
    "a number again": numbered(0),
    "M4 again": m4_again,
    "no place": message(pqp.encode_message(pqp.REPLY, status=pqp.QUEUED)),
    "a place of 8 bytes": message(pqp.encode_fields(2, [(10, b"\1"), (14, bytes(8))])),
    "a place that is also accepted": message(pqp.encode_message(pqp.REPLY, **QUEUED, window=1)),
    "an unknown field": message(pqp.encode_fields(2, [(10, b"\1"), (14, bytes(4)), (22, b"")])),
    "an estimate of 8 bytes": message(
        pqp.encode_fields(2, [(10, b"\1"), (13, bytes(8)), (14, bytes(4))])
    ),
    "text that is not UTF-8": message(pqp.encode_message(pqp.REPLY, **QUEUED, text=b"\xff")),
}


NO_LIES_AT_FIRST = ("a number again", "M4 again")  # that is what M4 is
CASES = [(what, first) for what in LIES for first in (True, False)
         if not (first and what in NO_LIES_AT_FIRST)]


@pytest.mark.parametrize("what,first", CASES)
def test_a_lie_in_the_queue(victim: Victim, what: str, first: bool) -> None:
    """In M4, or after it."""

    def admit(self: Server, p: Peer) -> None:
        if not first:
            p.queued(1)
        LIES[what](self, p)
        p.ws.recv()

    with running(lying(admit=admit), person(ME, 1)) as server:
        prepared(victim, server)
        for op in ("get", "send", "list"):
            ended(begin(victim, op, server).done(30), *((INTEGRITY, REFUSED) if first else (INTEGRITY,)))
        victim.got_nothing()
        assert not server.uploads


def test_queued_after_accepted(victim: Victim) -> None:
    """In the middle of each kind of request."""

    def describe(self: Server, p: Peer, x: Any) -> None:
        Server.describe(self, p, x)
        p.queued(1)

    def accept(self: Server, p: Peer, x: Any) -> None:
        Server.accept(self, p, x)
        p.queued(1)

    def ack(self: Server, p: Peer, x: Any, i: int) -> None:
        Server.ack(self, p, x, i)
        p.queued(1)

    def pages(self: Server, p: Peer) -> None:
        p.reply(entries=self.entries(p.request.name), cursor=b"more")
        p.recv()
        p.queued(1)
        p.ws.recv()

    lies: Sequence[tuple[str, dict[str, Any]]] = [
        ("get", {"describe": describe}),
        ("send", {"accept": accept}),
        ("send", {"ack": ack}),
        ("list", {"list": pages}),
    ]
    for op, methods in lies:
        with running(lying(**methods), person(ME, 1)) as server:
            done = begin(victim, op, prepared(victim, server)).done(30)
            ended(done, INTEGRITY)
            victim.got_nothing()


def test_a_killed_client_that_waited_asks_anew(victim: Victim) -> None:
    """It had sent nothing, so it does not wait once more to hear that the server has nothing."""
    requests: list[pqp.Message] = []

    def admit(self: Server, p: Peer) -> None:
        requests.append(p.request)
        p.queued(1)
        if len(requests) == 1:
            pinged_until(p, lambda: False)

    with running(lying(admit=admit), person(ME, 1)) as server:
        run = begin(victim, "send", prepared(victim, server), "--json")
        next_event(run)
        run.kill()
        assert begin(victim, "send", server).done().code == OK
        assert len(requests) == 2 and requests[1].dek is not None
        assert server.broken == []
