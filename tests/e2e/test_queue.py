"""Admission: more clients than slots. Everybody is served, in a fair order, and told how long it takes."""

import signal

from harness import MIB, OK, TEMPORARY, random_file, until


def hold(alice, server, make_proxy, source, name="slow"):
    """An upload that takes a slot and stands still; returns it and the proxy that holds it."""
    proxy = make_proxy(server)
    alice.ok("trust", "add", proxy.address, server.pub)
    proxy.hold("up", 2 * MIB)
    sending = alice.begin("send", source, server.url(name, through=proxy), "--json")
    assert proxy.held.wait(60)
    return sending, proxy


def test_who_waits_is_told_and_served(make_server, alice, bob, make_proxy, shelf):
    server = make_server("--max-transfers", "1").allow(alice).allow(bob).start()
    alice.knows(server), bob.knows(server)
    first, proxy = hold(alice, server, make_proxy, random_file(shelf / "source", 8 * MIB))
    small = random_file(shelf / "small", 1000)
    waiting = [bob.begin("send", small, server.url(f"b{i}"), "--json") for i in range(3)]
    until(lambda: server.metric("pqc_queue_length") == 3, "three in the queue")
    assert server.metric("active_transfers") == 1 and server.metric("pqc_transfer_slots") == 1
    proxy.release()
    assert first.done().code == OK
    told = []
    for one in waiting:
        done = one.done()
        assert done.code == OK, done.err
        queued = [o for o in done.objects if o["event"] == "queued"]
        assert queued, "it was not told that it waits"
        told.append(queued[0]["position"])
        assert done.objects[-1]["queue_seconds"] > 0
    assert sorted(told) == [1, 2, 3]
    assert server.metric("pqc_queue_length") == 0
    assert server.metric("pqc_queue_admitted_total") == 3


def test_a_download_waits_too(make_server, alice, make_proxy, shelf):
    server = make_server("--max-transfers", "1").allow(alice).start()
    alice.knows(server)
    small = random_file(shelf / "small", 1000)
    alice.ok("send", small, server.url("small"))
    first, proxy = hold(alice, server, make_proxy, random_file(shelf / "source", 8 * MIB))
    getting = alice.begin("get", server.url("small"), "--out", shelf / "out")
    until(lambda: server.metric("pqc_queue_length") == 1, "the download in the queue")
    alice.ok("list", server.url(), timeout=20)      # what is no transfer does not wait
    proxy.release()
    assert first.done().code == getting.done().code == OK
    assert (shelf / "out").read_bytes() == small.read_bytes()


def test_a_vanished_client_leaves_the_queue(make_server, alice, bob, make_proxy, shelf):
    server = make_server("--max-transfers", "1").allow(alice).allow(bob).start()
    alice.knows(server), bob.knows(server)
    first, proxy = hold(alice, server, make_proxy, random_file(shelf / "source", 8 * MIB))
    small = random_file(shelf / "small", 1000)
    gone = bob.begin("send", small, server.url("gone"))
    until(lambda: server.metric("pqc_queue_length") == 1, "one in the queue")
    stays = bob.begin("send", small, server.url("stays"), "--json")
    until(lambda: server.metric("pqc_queue_length") == 2, "two in the queue")
    gone.kill()
    until(lambda: server.metric("pqc_queue_length") == 1, "one left")
    assert server.metric('pqc_queue_left_total{reason="vanished"}') == 1
    interrupted = bob.begin("send", small, server.url("interrupted"))
    until(lambda: server.metric("pqc_queue_length") == 2, "two in the queue")
    interrupted.signal(signal.SIGINT)
    assert interrupted.done(20).code == 130
    proxy.release()
    assert first.done().code == stays.done().code == OK
    assert server.metric("pqc_queue_length") == 0


def test_a_full_queue_says_come_back(make_server, alice, bob, make_proxy, shelf):
    server = make_server("--max-transfers", "1", "--max-queued", "1").allow(alice).allow(bob)
    server.start()
    alice.knows(server), bob.knows(server)
    first, proxy = hold(alice, server, make_proxy, random_file(shelf / "source", 8 * MIB))
    small = random_file(shelf / "small", 1000)
    waiting = bob.begin("send", small, server.url("b"))
    until(lambda: server.metric("pqc_queue_length") == 1, "one in the queue")
    message = bob.fails(TEMPORARY, "send", small, server.url("c"), "--retry-for", "0s")
    assert "busy" in message
    assert server.metric('pqc_queue_left_total{reason="refused"}') == 1
    patient = bob.begin("send", small, server.url("c"))
    proxy.release()
    assert first.done().code == waiting.done().code == patient.done().code == OK


def test_drain_sends_the_queue_elsewhere(make_server, alice, bob, make_proxy, shelf):
    """SIGTERM: who waits goes to the other process of the directory, and what runs is finished."""
    one = make_server("--max-transfers", "1", "--reuse-port").allow(alice).allow(bob).start()
    alice.knows(one), bob.knows(one)
    first, proxy = hold(alice, one, make_proxy, random_file(shelf / "source", 8 * MIB))
    small = random_file(shelf / "small", 1000)
    waiting = bob.begin("send", small, one.url("b"), "--json")
    until(lambda: one.metric("pqc_queue_length") == 1, "one in the queue")
    other = make_server("--reuse-port", name="other", beside=one).start()
    one.signal(signal.SIGTERM)
    one.wait_for("server.draining")
    done = waiting.done(60)
    assert done.code == OK and done.objects[-1]["reconnects"] >= 1
    assert other.running()
    proxy.release()
    assert first.done().code == OK
    assert one.wait() == OK


def test_round_end_200_clients_10_slots(make_server, alice, person, make_proxy, shelf):
    """200 wait for 10 slots, half of them one greedy client's: all are served, nobody times out, and it waits for itself."""
    server = make_server("--max-transfers", "10", "--metrics-listen", "127.0.0.1:0").start()
    people = [person(f"c{i}").keygen() for i in range(20)]
    greedy = person("greedy").keygen()
    for one in (*people, greedy, alice):
        server.allow(one, reload=False)
        one.knows(server)
    server.reload()
    source = random_file(shelf / "source", 4 * MIB)
    held = [hold(alice, server, make_proxy, source, f"held{i}") for i in range(10)]
    sending = [greedy.begin("send", source, server.url(f"greedy{i}"), "--json")
               for i in range(100)]
    until(lambda: len(server.transfers()["queue"]) == 100, "all of the greedy one's in the queue")
    for k in range(5):
        sending += [one.begin("send", source, server.url(f"r{k}-{i}"), "--json")
                    for i, one in enumerate(people)]
    until(lambda: len(server.transfers()["queue"]) == 200, "everybody in the queue")
    for _, proxy in held:
        proxy.release()
    results = [one.done(240) for one in sending] + [one.done() for one, _ in held]
    assert [r.code for r in results] == [OK] * 210, {r.err for r in results if r.code}
    assert all(r.objects[-1]["reconnects"] == 0 for r in results), "somebody was sent away"
    order = [line["client_id"] for line in server.events("transfer")
             if line["client_id"] != alice.id]
    assert len(order) == 200
    # Rounds of 21, one turn each: when the others' five are done so are five of the greedy one's, and at most the
    # ten that were under way with them.
    last_other = max(i for i, who in enumerate(order) if who != greedy.id)
    assert order[:last_other].count(greedy.id) <= 15
    for one in people:
        assert order.count(one.id) == 5
