"""kill -9, of either side or both, at any moment: the same command again ends with the whole file.

What must hold, whatever the moment:
  - the file arrives, bit by bit;
  - what the server acknowledged as durable is never sent again;
  - before the end there is nothing under the name, neither on the server nor at the client;
  - the receipt verifies offline.

A proxy counts bytes and gives the moment; the seed is printed with a failure, and PQC_SEED repeats
it.
"""

import os
import random
from signal import SIGKILL
from subprocess import PIPE
from threading import Event, Thread

import pytest

from harness import ABSENT, KIB, MIB, OK, TEMPORARY, TIMEOUT, capacity, random_file, same, until

PART = 64 * KIB
CAPACITY = capacity(PART)
SIZE = 24 * MIB + 12345
PARTS = -(-SIZE // CAPACITY)
BODY = PARTS * PART     # bytes on the wire, nearly
RECEIVED = 'pqc_parts_total{direction="received"}'

VICTIMS = ["client", "server", "both"]


def seed_of(i):
    base = int(os.environ.get("PQC_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
    seed = base if "PQC_SEED" in os.environ else base + i
    print(f"PQC_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = random_file(tmp_path_factory.mktemp("source") / "source", SIZE)
    yield path
    path.unlink()


@pytest.fixture
def place(make_server, alice, make_proxy):
    """A server that logs what it acknowledges, and a proxy before it."""
    server = make_server("--log-level", "debug").allow(alice, reload=False).start()
    proxy = make_proxy(server)
    alice.knows(server).knows(server, proxy.address)
    return server, proxy


def check_absent(who, server, name, shelf):
    """Nothing of this name, for nobody, by no way."""
    assert who.ok("list", "--json", server.url(name)).objects == []
    who.fails(ABSENT, "get", server.url(name), "--out", shelf / "peek")
    assert not (shelf / "peek").exists()


def check_absent_or_whole(who, server, name, source, shelf):
    """Whole it may be although the client died: what the kernel held of its words still arrives."""
    done = who.run("get", server.url(name), "--out", shelf / "peek", "--force")
    if done.code == OK:
        assert same(source, shelf / "peek")
        return True
    assert done.code == ABSENT, done
    assert not (shelf / "peek").exists()
    return False


class Strike:
    """Kills the victims when called, from the proxy's thread."""

    def __init__(self, victim, client, server):
        self.victim, self.process, self.server_to_kill = victim, client, server
        self.done = Event()
        self.client = self.server = False    # killed?

    def __call__(self):
        if self.victim != "client":
            os.kill(self.server_to_kill.pid, SIGKILL)
            self.server = True
        if self.victim != "server" and self.process.running():
            os.kill(self.process.pid, SIGKILL)
            self.client = True
        self.done.set()

    def wait(self):
        """Until it struck and the victims are gone, or the client came to its end without it."""
        until(lambda: self.done.is_set() or
              (not self.process.running() and self.process.popen.returncode != -SIGKILL),
              "the strike, or the end")
        if self.server:
            self.server_to_kill.kill()
        if self.client:
            self.process.kill()


def check_resumes(server):
    """Everything that was acknowledged as durable is held when the upload is taken up again."""
    durable = {}
    for line in server.events():
        if line["event"] == "put.acknowledged":
            durable[line["file_id"]] = line["durable_parts"]
        elif line["event"] == "put.resumed":
            assert line["held_parts"] >= durable.get(line["file_id"], 0), line


def killed_put(place, alice, source, shelf, victim, rng):
    server, proxy = place
    begun, received = len(server.events("put.begun")), server.metric(RECEIVED)
    acknowledged = len(server.events("put.acknowledged"))
    first = rng.randrange(0, BODY - PART)   # not all is sent then, so nothing may be there
    second = rng.randrange(first, BODY + 2 * PART)
    print(f"kill {victim}: held at {first}, killed at {second} of {BODY} bytes")
    command = ["send", "--json", "--part-size", PART, source, server.url("x", through=proxy)]

    proxy.hold("up", first)
    sending = alice.begin(*command)
    until(lambda: proxy.held.is_set() or not sending.running(), "the first moment")
    if sending.running():
        check_absent(alice, server, "x", shelf)
        if victim != "client" and first > 40 * PART:
            until(lambda: len(server.events("put.acknowledged")) > acknowledged + 1 and
                  server.events("put.acknowledged")[-1]["durable_parts"] > 0, "something durable")

    struck = Strike(victim, sending, server)
    proxy.at("up", second - first, struck)
    proxy.release()
    struck.wait()
    proxy.actions.clear()
    if struck.server:
        server.start()
        received = 0
    done = check_absent_or_whole(alice, server, "x", source, shelf)

    if not struck.client:
        result = sending.done()
        assert result.code == OK, result
        sent = result.objects[-1]
    else:
        sent = alice.json(*command[:1], *command[2:])
        # All that was missing was sent; or nothing, when the server had been able to finish alone.
        assert sent["parts_sent"] * CAPACITY + sent["resumed_bytes"] >= SIZE or \
            sent["parts_sent"] == 0
    assert alice.journals == []

    assert same_object(alice, server, source, shelf)
    proof = alice.json("receipt", "--verify", sent["receipt"], "--server", server.id,
                       "--sender", alice.id)
    assert proof["size"] == SIZE and proof["file_id"] == sent["file_id"]

    check_resumes(server)
    if len(server.events("put.begun")) == begun + 1 and not done:
        # Nothing that was held was sent again: each part was recorded once by this server.
        resumed = [line for line in server.events("put.resumed")
                   if line["file_id"] == sent["file_id"]]
        moved = server.metric(RECEIVED) - received
        held = resumed[-1]["held_parts"] if resumed else 0
        if victim == "client":
            assert moved == PARTS
        elif resumed:
            assert moved == PARTS - held
        assert server.metric("pqc_duplicate_parts_total") == 0
        if victim != "server" and resumed:
            assert sent["parts_sent"] == PARTS - held
            assert sent["resumed_bytes"] == held * CAPACITY


def same_object(who, server, source, shelf):
    who.ok("get", server.url("x"), "--out", shelf / "back", "--force")
    return same(source, shelf / "back")


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("i", range(7))
def test_put(place, alice, source, shelf, victim, i):
    killed_put(place, alice, source, shelf, victim, seed_of(3 * i + VICTIMS.index(victim)))


@pytest.mark.asan
@pytest.mark.parametrize("victim", VICTIMS)
def test_put_once(place, alice, source, shelf, victim):
    killed_put(place, alice, source, shelf, victim, random.Random(f"once {victim}"))


@pytest.mark.soak
@pytest.mark.parametrize("i", range(200))
def test_put_soak(place, alice, source, shelf, i):
    killed_put(place, alice, source, shelf, VICTIMS[i % 3], seed_of(i))


def test_one_upload_killed_again_and_again(place, alice, source, shelf):
    """Progress is kept from kill to kill, so it ends although no run is long enough."""
    server, proxy = place
    command = ["send", "--json", "--part-size", PART, source, server.url("x", through=proxy)]
    for _ in range(12):
        proxy.at("up", BODY // 3, lambda: os.kill(sending.pid, SIGKILL))
        sending = alice.begin(*command)
        sending.popen.wait(TIMEOUT)
        if sending.popen.returncode == 0:
            break
        proxy.actions.clear()
    else:
        pytest.fail("twelve runs of a third each were not enough")
    held = [line["held_parts"] for line in server.events("put.resumed")]
    assert len(held) >= 2 and held == sorted(held)
    assert same_object(alice, server, source, shelf)
    assert server.metric(RECEIVED) == PARTS
    assert server.metric("pqc_duplicate_parts_total") == 0


def feed(pipe, data):
    """Write it from a thread: a pipe's reader may pause."""
    def write():
        try:
            pipe.write(data)
            pipe.close()
        except BrokenPipeError:
            pass
    thread = Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("i", range(4))
def test_a_stream_survives_a_killed_server(place, alice, i):
    server, proxy = place
    rng = seed_of(i)
    data = rng.randbytes(12 * MIB + rng.randrange(PART))
    moment = rng.randrange(len(data)) if i else len(data) * 65 // 64    # at 0: near the end
    sending = alice.begin("send", "-", server.url("x", through=proxy), "--part-size", PART,
                          "--json", stdin=PIPE)
    struck = Strike("server", sending, server)
    proxy.at("up", moment, struck)
    feeder = feed(sending.popen.stdin, data)
    sending.popen.stdin = None
    struck.wait()
    if struck.server:
        server.start()
    result = sending.done()
    feeder.join(TIMEOUT)
    assert result.code == OK, result
    assert alice.ok("get", server.url("x"), "--out", "-").stdout == data
    check_resumes(server)


@pytest.mark.asan
def test_a_stream_survives_broken_connections(place, alice):
    server, proxy = place
    data = os.urandom(8 * MIB + 1)
    for share in range(1, 5):
        proxy.at("up", len(data) * share // 5, proxy.cut)
    sending = alice.begin("send", "-", server.url("x", through=proxy), "--part-size", PART,
                          "--json", stdin=PIPE)
    feed(sending.popen.stdin, data)
    sending.popen.stdin = None
    result = sending.done()
    assert result.code == OK, result
    assert result.objects[-1]["reconnects"] >= 4
    assert alice.ok("get", server.url("x"), "--out", "-").stdout == data


def test_the_answer_to_commit_is_lost(place, alice, source, shelf):
    """The server commits, nobody hears it: the same command again brings the receipt."""
    server, proxy = place
    command = ["send", "--json", "--part-size", PART, source, server.url("x", through=proxy)]
    sending = alice.begin(*command)
    until(lambda: server.metric(RECEIVED) > PARTS // 2, "half of the parts")
    proxy.hold("down", 0)
    # The window is larger than what is left, so all of it goes out without an answer.
    until(lambda: server.events("put.done"), "the commit")
    sending.kill()
    proxy.freeze()
    proxy.release()
    sent = alice.json("send", "--part-size", PART, source, server.url("x", through=proxy))
    assert sent["parts_sent"] == 0
    assert len(server.events("put.done")) == 1
    alice.ok("receipt", "--verify", sent["receipt"])
    assert same_object(alice, server, source, shelf)


def test_a_dead_connection_is_superseded(place, alice, source, shelf):
    """The old connection is still there for the server when the client comes back."""
    server, proxy = place
    proxy.hold("up", BODY // 2)
    sending = alice.begin("send", "--part-size", PART, source, server.url("x", through=proxy))
    assert proxy.held.wait(TIMEOUT)
    proxy.freeze()
    sending.kill()
    proxy.release()
    sent = alice.json("send", "--part-size", PART, source, server.url("x", through=proxy))
    resumed, = server.events("put.resumed")
    assert resumed["held_parts"] > 0
    assert sent["parts_sent"] == PARTS - resumed["held_parts"]
    assert server.metric(RECEIVED) == PARTS
    assert same_object(alice, server, source, shelf)


def test_two_clients_of_one_upload(place, alice, source, shelf):
    """A second run of the same command does not disturb the first."""
    server, proxy = place
    command = ["send", "--part-size", PART, source, server.url("x", through=proxy)]
    proxy.hold("up", BODY // 2)
    sending = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    said = alice.fails(TEMPORARY, *command, "--retry-for", 0)
    assert "another process" in said
    proxy.release()
    assert sending.done().code == OK
    assert same_object(alice, server, source, shelf)


@pytest.mark.asan
def test_a_broken_connection_is_made_again(place, alice, source, shelf):
    server, proxy = place
    for share in (4, 2):
        proxy.at("up", BODY // share, proxy.cut)
    sent = alice.json("send", "--part-size", PART, source, server.url("x", through=proxy))
    assert sent["reconnects"] >= 1
    assert server.metric(RECEIVED) == PARTS
    assert same_object(alice, server, source, shelf)


# ---- get ----

def killed_get(place, alice, source, shelf, victim, rng):
    server, proxy = place
    alice.ok("send", "--part-size", PART, source, server.url("x"))
    moment = rng.randrange(0, BODY + 2 * PART)
    print(f"kill {victim} at {moment} of {BODY} bytes")
    into = shelf / "into"
    into.mkdir()
    target = into / "name"
    command = ["get", server.url("x", through=proxy), "--out", target, "--json"]

    proxy.hold("down", 0)
    getting = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    seen = []
    struck = Strike(victim, getting, server)
    proxy.at("down", moment, lambda: (seen.append(target.exists()), struck()))
    proxy.release()
    struck.wait()
    proxy.actions.clear()
    if target.exists():
        assert same(source, target)
    if struck.server:
        server.start()

    if not struck.client:
        result = getting.done()
        assert result.code == OK, result
        got = result.objects[-1]
        # What had arrived whole is not fetched again.
        assert got["parts_fetched"] == PARTS
    elif not target.exists():
        got = alice.json(*command[:-1])
        assert got["parts_fetched"] + got["resumed_bytes"] // CAPACITY == PARTS
    assert same(source, target)
    # At the very end the strike may come when all is there: then it was whole, as compared above.
    assert seen in ([], [False]) or moment >= BODY - 8 * PART
    assert [p.name for p in into.iterdir()] == ["name"]
    assert alice.journals == []


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("i", range(4))
def test_get(place, alice, source, shelf, victim, i):
    killed_get(place, alice, source, shelf, victim, seed_of(100 + 3 * i + VICTIMS.index(victim)))


@pytest.mark.asan
@pytest.mark.parametrize("victim", VICTIMS)
def test_get_once(place, alice, source, shelf, victim):
    killed_get(place, alice, source, shelf, victim, random.Random(f"get once {victim}"))


@pytest.mark.soak
@pytest.mark.parametrize("i", range(100))
def test_get_soak(place, alice, source, shelf, i):
    killed_get(place, alice, source, shelf, VICTIMS[i % 3], seed_of(i))


def test_a_killed_get_goes_on_where_it_was(place, alice, shelf):
    """Every 512 parts what is on the disk is noted: killed after that, it fetches only the rest."""
    server, proxy = place
    parts = 1100
    source = random_file(shelf / "large", parts * CAPACITY)
    alice.ok("send", "--part-size", PART, source, server.url("x"))
    into = shelf / "into"
    into.mkdir()
    command = ["get", server.url("x", through=proxy), "--out", into / "name"]
    proxy.hold("down", 1000 * PART)
    getting = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    journal = until(lambda: alice.journals, "a journal")[0]
    until(lambda: journal.stat().st_size > 512 * 32, "the first note in the journal")
    assert [p.name for p in into.iterdir() if not p.name.startswith(".")] == []
    getting.kill()
    proxy.release()
    got = alice.json(*command)
    assert got["resumed_bytes"] >= 500 * CAPACITY
    assert got["parts_fetched"] == parts - got["resumed_bytes"] // CAPACITY
    assert same(source, into / "name")
