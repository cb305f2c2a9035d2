"""Several server processes on one port and one directory."""

import shutil
import signal
import statistics
import threading

import pytest

from harness import MIB, OK, TEMPORARY, random_file, same, status_of, until

COUNT, PROCESSES = 100, 4
MEMORY = 256 * 1024     # KiB, of all processes together


@pytest.fixture
def fleet(make_server, alice):
    """PROCESSES servers of one directory on one port; alice may do everything."""
    first = make_server("--reuse-port").allow(alice, reload=False).start()
    servers = [first] + [make_server("--reuse-port", name=f"server{i}", beside=first).start()
                         for i in range(1, PROCESSES)]
    alice.knows(first)
    yield servers
    shutil.rmtree(first.data / "objects")   # gigabytes


class Killer(threading.Thread):
    """Kills one after another, one a second, and starts it again; notes the most memory of all."""

    def __init__(self, servers):
        super().__init__(daemon=True)
        self.servers, self.stop, self.kills, self.peak = servers, threading.Event(), 0, 0
        self.failed = None

    def run(self):
        try:
            while not self.stop.wait(1):
                self.peak = max(self.peak, sum(status_of(s.pid, "VmRSS") or 0
                                               for s in self.servers))
                victim = self.servers[self.kills % len(self.servers)]
                victim.kill()
                victim.start()
                self.kills += 1
        except Exception as problem:    # a test must not hang because of it
            self.failed = problem


def test_100_transfers_over_4_processes_one_killed_every_second(fleet, alice, shelf):
    size = 48 * MIB
    source = random_file(shelf / "source", size)
    killer = Killer(fleet)
    # Each second the killer ends a quarter of all connections: a client needs the patience.
    sending = [alice.begin("send", source, fleet[0].url(f"f{i}"), "--json") for i in range(COUNT)]
    killer.start()
    results = [one.done(280) for one in sending]
    killer.stop.set()
    killer.join(60)
    assert killer.failed is None, killer.failed
    assert not [(r.code, r.err) for r in results if r.code != OK]
    assert killer.kills >= 3, "it was over before anything happened"
    assert killer.peak < MEMORY
    rates = [size / r.objects[-1]["seconds"] for r in results]
    print(f"{killer.kills} kills, {killer.peak >> 10} MiB, slowest {min(rates) / 1e6:.1f}, "
          f"median {statistics.median(rates) / 1e6:.1f} MB/s")
    assert min(rates) >= statistics.median(rates) / 2
    assert sum(r.objects[-1]["reconnects"] for r in results) > 0
    for i in range(COUNT):
        alice.ok("get", fleet[0].url(f"f{i}"), "--out", shelf / "copy", "--force")
        assert same(source, shelf / "copy")
    listed = [line for line in alice.ok("list", fleet[0].url(), "--json").objects]
    assert len([o for o in listed if o.get("name", "").startswith("f")]) == COUNT


# ---- one upload, two processes ----

@pytest.fixture
def pair(make_server, alice, make_proxy):
    """Two servers of one directory, each with a port of its own, and a proxy that leads to the first."""
    one = make_server().allow(alice, reload=False).start()
    two = make_server(name="two", beside=one).start()
    proxy = make_proxy(one)
    alice.ok("trust", "add", proxy.address, one.pub)
    return one, two, proxy


def begin(alice, one, proxy, source, *more):
    proxy.hold("up", 8 * MIB)
    sending = alice.begin("send", source, one.url("f", through=proxy), "--json", *more)
    assert proxy.held.wait(60)
    return sending


def lead_to(proxy, server):
    proxy.target = server.port
    proxy.release()


def check(alice, server, source, shelf):
    alice.knows(server).ok("get", server.url("f"), "--out", shelf / "copy")
    assert same(source, shelf / "copy")


@pytest.mark.asan
def test_another_process_goes_on(pair, alice, shelf):
    one, two, proxy = pair
    source = random_file(shelf / "source", 24 * MIB)
    sending = begin(alice, one, proxy, source)
    one.kill()
    lead_to(proxy, two)
    done = sending.done()
    assert done.code == OK and done.objects[-1]["reconnects"] >= 1
    two.wait_for("put.resumed")
    check(alice, two, source, shelf)


@pytest.mark.asan
def test_the_older_connection_is_fenced_off(pair, alice, shelf):
    """The old connection is alive as far as its server can tell: a newer one, elsewhere, ends it."""
    one, two, proxy = pair
    source = random_file(shelf / "source", 24 * MIB)
    sending = begin(alice, one, proxy, source, "--idle-timeout", "2s")
    proxy.freeze()
    lead_to(proxy, two)
    one.wait_for("put.superseded")
    done = sending.done()
    assert done.code == OK, done.err
    assert one.metric("pqc_superseded_total") == 1
    assert one.metric("active_transfers") == 0
    check(alice, two, source, shelf)


def test_a_stopped_process_blocks_its_upload_only(pair, alice, shelf):
    """Who holds the lease and does not answer cannot be robbed of it: he might go on writing. But he can be killed."""
    one, two, proxy = pair
    source = random_file(shelf / "source", 24 * MIB)
    sending = begin(alice, one, proxy, source, "--idle-timeout", "2s")
    one.signal(signal.SIGSTOP)
    proxy.freeze()
    lead_to(proxy, two)
    two.wait_for("put.not_opened", match=lambda line: line["code"] == "temporary")
    other = random_file(shelf / "other", 1 * MIB)
    alice.knows(two).ok("send", other, two.url("other"))
    one.kill()
    done = sending.done()
    assert done.code == OK, done.err
    check(alice, two, source, shelf)


def test_a_process_that_wakes_up_writes_nothing(pair, alice, shelf):
    """Stopped while it holds the upload, woken when another claims it: what the other is told stays true."""
    one, two, proxy = pair
    source = random_file(shelf / "source", 24 * MIB)
    sending = begin(alice, one, proxy, source, "--idle-timeout", "2s")
    one.signal(signal.SIGSTOP)
    proxy.freeze()
    lead_to(proxy, two)
    until(lambda: two.metric("active_transfers") == 1, "the claim")
    one.signal(signal.SIGCONT)
    one.wait_for("put.superseded")
    done = sending.done()
    assert done.code == OK, done.err
    check(alice, two, source, shelf)


def test_the_same_file_sent_twice_at_once(pair, alice, bob, shelf):
    """Two processes commit to one name: one of the two is there, whole, and both clients have receipts."""
    one, two, _ = pair
    alice.knows(one).knows(two)
    a, b = (random_file(shelf / n, 6 * MIB) for n in "ab")
    sending = [alice.begin("send", f, s.url("f")) for f, s in ((a, one), (b, two))]
    assert [s.done().code for s in sending] == [OK, OK]
    for server in (one, two):
        alice.ok("get", server.url("f"), "--out", shelf / "copy", "--force")
        assert same(a, shelf / "copy") or same(b, shelf / "copy")


def test_a_drained_process_leaves_the_work_to_the_others(fleet, alice, shelf):
    source = random_file(shelf / "source", 64 * MIB)
    sending = [alice.begin("send", source, fleet[0].url(f"f{i}"), "--json") for i in range(8)]
    until(lambda: sum(len(s.events("put.begun")) for s in fleet) >= 4, "transfers")
    fleet[1].signal(signal.SIGTERM)
    assert fleet[1].wait() in (OK, TEMPORARY)
    assert [s.done().code for s in sending] == [OK] * 8


def test_two_first_starts_at_once(make_server, alice, shelf):
    """One directory, nothing in it, two processes: they have one identity and one key."""
    one = make_server()
    two = make_server(name="two", beside=one)
    threads = [threading.Thread(target=s.start) for s in (one, two)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert one.id == two.id
    one.allow(alice)
    two.reload()
    alice.knows(one).knows(two)
    source = random_file(shelf / "source", 1 * MIB)
    alice.ok("send", source, one.url("f"))
    check(alice, two, source, shelf)
