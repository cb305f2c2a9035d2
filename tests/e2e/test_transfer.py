"""Put, get and what goes with them: what was sent is what arrives, whatever its size and way."""

import os
import re
from subprocess import PIPE

import pytest

from harness import (ABSENT, CONFIG, INTEGRITY, KIB, MIB, NOT_FOUND, OK, REFUSED, TEMPORARY,
                     USAGE, Tls, capacity, random_file, same, until)

P64K, P1M = capacity(64 * KIB), capacity(MIB)


def round_trip(who, server, shelf, size, *options):
    source = random_file(shelf / "source", size)
    target = shelf / "target"
    sent = who.json("send", source, server.url("round/trip"), *options)
    got = who.json("get", server.url("round/trip"), "--out", target, "--force")
    assert same(source, target)
    assert sent["size"] == got["size"] == size
    assert sent["sender_id"] == got["sender_id"] == who.id
    assert sent["file_id"] == got["file_id"]
    assert sent["parts_sent"] == sent["parts"] == got["parts"] == got["parts_fetched"]
    assert sent["resumed_bytes"] == got["resumed_bytes"] == 0
    return sent


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, P64K - 1, P64K, P64K + 1, 5 * P64K])
def test_sizes_in_64k_parts(known, alice, shelf, size):
    sent = round_trip(alice, known, shelf, size, "--part-size", "64K")
    assert sent["parts"] == max(1, -(-size // P64K))


@pytest.mark.parametrize("size", [0, P1M - 1, P1M, P1M + 1, 5 * P1M])
def test_sizes_in_1m_parts(known, alice, shelf, size):
    sent = round_trip(alice, known, shelf, size, "--part-size", "1M")
    assert sent["parts"] == max(1, -(-size // P1M))


@pytest.mark.asan
def test_round_trip(known, alice, shelf):
    round_trip(alice, known, shelf, 3 * MIB + 5, "--part-size", "64K")


@pytest.mark.parametrize("suite", ["Kyber768", "Kyber1024"])
@pytest.mark.asan
def test_suites(make_server, person, shelf, suite):
    carol = person("carol").keygen("--suite", suite)
    server = make_server("--suite", suite).allow(carol, reload=False).start()
    carol.knows(server)
    assert server.health()["pqc_algorithm"] == suite
    assert carol.json("ping", server.url())["suite"] == suite
    round_trip(carol, server, shelf, 3 * MIB + 1)


def test_an_identity_of_another_suite_is_refused(known, person, shelf):
    carol = person("carol").keygen("--suite", "Kyber1024")
    carol.knows(known)
    source = random_file(shelf / "source", 10)
    said = carol.run("send", source, known.url("x"))
    assert said.code not in (OK, TEMPORARY), said
    assert re.search("suite|Kyber", said.err), said


# ---- pipes ----

@pytest.mark.parametrize("size", [0, 1, P64K - 1, P64K, P64K + 1, 40 * P64K, 100 * P64K + 17])
def test_standard_input_and_output(known, alice, size):
    data = os.urandom(size)
    sent = alice.json("send", "-", known.url("pipe"), "--part-size", "64K", stdin=data)
    assert sent["size"] == size and sent["parts"] == max(1, -(-size // P64K))
    assert alice.ok("get", known.url("pipe"), "--out", "-").stdout == data


@pytest.mark.asan
def test_a_stream_that_comes_in_pieces(known, alice):
    data = os.urandom(2 * MIB)
    sending = alice.begin("send", "-", known.url("pipe"), "--json", stdin=PIPE)
    for at in range(0, len(data), 37777):
        sending.stdin.write(data[at:at + 37777])
        sending.stdin.flush()
    assert sending.done().code == OK
    assert alice.ok("get", known.url("pipe"), "--out", "-").stdout == data


def test_standard_input_needs_a_name(known, alice):
    assert "name" in alice.fails(USAGE, "send", "-", known.url(), stdin=b"x")
    assert "name" in alice.fails(USAGE, "send", "-", known.url("below/"), stdin=b"x")


# ---- several files, directories ----

def tree(root, files):
    for name, size in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        random_file(root / name, size)
    return root


@pytest.mark.asan
def test_directories(known, alice, shelf):
    files = {"a": 10, "b/c": 70000, "b/d/e f": 0, "b/d/\u00fc\u00df": 3}
    source = tree(shelf / "photos", files)
    (source / "link").symlink_to("a")
    said = alice.ok("send", source, known.url("in/"))
    assert "link" in said.err, "a link that is left out is named"
    names = [o["name"] for o in alice.ok("list", "--json", known.url("in/")).objects]
    assert sorted(names) == sorted(f"in/photos/{name}" for name in files)

    alice.ok("get", known.url("in/"), "--out", shelf / "back")
    for name in files:
        assert same(source / name, shelf / "back" / "photos" / name)
    assert not (shelf / "back" / "photos" / "link").exists()


def test_a_directory_to_a_name_without_a_slash(known, alice, shelf):
    """The rule of one place: the directory's own name is added."""
    source = tree(shelf / "photos", {"a": 10})
    alice.ok("send", source, known.url("in"))
    names = [o["name"] for o in alice.ok("list", "--json", known.url()).objects]
    assert len(names) == 1 and names[0].endswith("/a")


def test_several_files(known, alice, shelf):
    one, two = random_file(shelf / "one", 10), random_file(shelf / "two", 100000)
    objects = alice.ok("send", "--json", one, two, known.url("both")).objects
    assert [o["name"] for o in objects] == ["both/one", "both/two"]
    alice.ok("get", known.url("both/"), "--out", shelf / "back")
    assert same(one, shelf / "back" / "one") and same(two, shelf / "back" / "two")


def test_one_bad_file_does_not_stop_the_others(known, alice, shelf):
    one, two = random_file(shelf / "one", 10), random_file(shelf / "two", 10)
    said = alice.fails(NOT_FOUND, "send", one, shelf / "absent", two, known.url("both/"))
    assert "absent" in said
    names = [o["name"] for o in alice.ok("list", "--json", known.url()).objects]
    assert names and sorted(names) == ["both/one", "both/two"]


def test_get_to_a_directory_and_by_default_here(known, alice, shelf):
    source = random_file(shelf / "source", 1000)
    alice.ok("send", source, known.url("a/b/name"))
    (shelf / "into").mkdir()
    alice.ok("get", known.url("a/b/name"), "--out", shelf / "into")
    assert same(source, shelf / "into" / "name")
    alice.ok("get", known.url("a/b/name"), cwd=shelf)
    assert same(source, shelf / "name")


# ---- the other requests ----

@pytest.mark.asan
def test_list_delete_receipt_ping(known, alice, shelf):
    source = random_file(shelf / "source", 100001)
    sent = alice.json("send", source, known.url("d/x"), "--receipt", shelf / "x.receipt")
    assert sent["receipt"] == str(shelf / "x.receipt")
    entry, = alice.ok("list", "--json", known.url()).objects
    assert (entry["name"], entry["size"], entry["owner_id"]) == ("d/x", 100001, alice.id)
    assert "d/x" in alice.ok("list", known.url()).out
    assert alice.ok("list", "--json", known.url("e")).objects == []

    alice.ok("receipt", known.url("d/x"), "--out", shelf / "again.receipt")
    for receipt in ("x.receipt", "again.receipt"):
        proof = alice.json("receipt", "--verify", shelf / receipt, "--server", known.id,
                           "--sender", alice.pub)
        assert proof["valid"] and proof["size"] == 100001
        assert proof["file_id"] == sent["file_id"] and proof["server_id"] == sent["server_id"]
    assert (shelf / "x.receipt").read_bytes() == (shelf / "again.receipt").read_bytes()

    pong = alice.json("ping", known.url())
    assert pong["known"] and pong["server_id"] == known.id and pong["tls_group"] == ""

    alice.ok("delete", known.url("d/x"))
    assert alice.ok("list", "--json", known.url()).objects == []
    alice.fails(ABSENT, "get", known.url("d/x"), "--out", shelf / "gone")
    assert not (shelf / "gone").exists()
    # The receipt outlives the object.
    alice.ok("receipt", "--verify", shelf / "x.receipt")


def test_an_edited_receipt_is_no_receipt(known, alice, person, shelf):
    source = random_file(shelf / "source", 10)
    alice.ok("send", source, known.url("x"), "--receipt", shelf / "r")
    text = (shelf / "r").read_text()
    lines = text.splitlines()
    middle = len(lines) // 2
    flipped = ("A" if lines[middle][5] != "A" else "B")
    lines[middle] = lines[middle][:5] + flipped + lines[middle][6:]
    (shelf / "bad").write_text("\n".join(lines) + "\n")
    alice.fails(INTEGRITY, "receipt", "--verify", shelf / "bad")
    (shelf / "short").write_text(text[:len(text) // 2])
    alice.fails(INTEGRITY, "receipt", "--verify", shelf / "short")
    # A good one, but not of whom it was asked for.
    other = person("other").keygen()
    alice.fails(REFUSED, "receipt", "--verify", shelf / "r", "--server", other.pub)
    alice.fails(REFUSED, "receipt", "--verify", shelf / "r", "--sender", other.pub)


def test_many_names_are_listed_in_pages(known, alice, shelf):
    """A page is 64 KiB; these names fill several."""
    folder, n = "d" * 255, 60
    source = shelf / "many"
    source.mkdir()
    for i in range(n):
        (source / f"{i:03}{'n' * 250}").write_bytes(b"")
    where = "/".join([folder] * 5)
    alice.ok("send", source, known.url(where + "/"))
    names = [o["name"] for o in alice.ok("list", "--json", known.url()).objects]
    assert len(names) == len(set(names)) == n
    assert sum(map(len, names)) > 65536


def test_replace_by_the_owner(known, alice, shelf):
    old, new = random_file(shelf / "old", 300000), random_file(shelf / "new", 200000)
    first = alice.json("send", old, known.url("x"))
    second = alice.json("send", new, known.url("x"))
    assert first["file_id"] != second["file_id"]
    entry, = alice.ok("list", "--json", known.url()).objects
    assert entry["size"] == 200000
    alice.ok("get", known.url("x"), "--out", shelf / "back")
    assert same(new, shelf / "back")


def test_a_get_under_way_goes_on_with_the_version_it_began(known, alice, make_proxy, shelf):
    old, new = random_file(shelf / "old", 8 * MIB), random_file(shelf / "new", 1000)
    alice.ok("send", old, known.url("x"), "--part-size", "64K")
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    proxy.hold("down", MIB)
    getting = alice.begin("get", known.url("x", through=proxy), "--out", shelf / "back")
    assert proxy.held.wait(60)
    alice.ok("send", new, known.url("x"))
    proxy.release()
    assert getting.done().code == OK
    assert same(old, shelf / "back")


def test_sending_the_same_again_is_harmless(known, alice, shelf):
    source = random_file(shelf / "source", MIB)
    for _ in range(3):
        alice.ok("send", source, known.url("x"))
    assert len(alice.ok("list", "--json", known.url()).objects) == 1
    alice.ok("get", known.url("x"), "--out", shelf / "back")
    assert same(source, shelf / "back")
    assert alice.journals == []


def test_from(known, alice, bob, shelf):
    source = random_file(shelf / "source", 1000)
    alice.ok("send", source, known.url("x"))
    for who in (alice.id, alice.pub):
        alice.ok("get", known.url("x"), "--from", who, "--out", shelf / "back", "--force")
    said = alice.fails(REFUSED, "get", known.url("x"), "--from", bob.pub, "--out", shelf / "no")
    assert "another identity" in said
    assert not (shelf / "no").exists()
    assert sorted(p.name for p in shelf.iterdir()) == ["back", "source"]


def test_everything_is_json_on_standard_output(known, alice, shelf):
    source = random_file(shelf / "source", 100)
    sent = alice.json("send", source, known.url("x"))
    assert sent["event"] == "sent" and sent["name"] == "x"
    for key in ("file_id", "server_id", "sender_id"):
        assert re.fullmatch("[0-9a-f]{64}", sent[key])
    for key in ("size", "parts", "parts_sent", "resumed_bytes", "reconnects"):
        assert isinstance(sent[key], int)
    for key in ("seconds", "seconds_received", "mb_per_s"):
        assert isinstance(sent[key], (int, float))
    got = alice.json("get", known.url("x"), "--out", shelf / "back")
    assert got["event"] == "got" and got["path"] == str(shelf / "back")
    failure = alice.run("get", "--json", known.url("absent"), "--out", shelf / "no").objects[-1]
    assert failure["event"] == "error" and failure["exit"] == REFUSED
    assert failure["message"] and failure["code"] == "refused"
    wrong = alice.run("send", "--json", "--part-size", "12", source, known.url("x"))
    assert wrong.objects[-1]["exit"] == wrong.code == USAGE


def test_quiet_says_nothing(known, alice, shelf):
    source = random_file(shelf / "source", 100)
    said = alice.ok("send", "--quiet", source, known.url("x"))
    assert (said.stdout, said.err) == (b"", "")
    said = alice.ok("get", "--quiet", known.url("x"), "--out", shelf / "back")
    assert (said.stdout, said.err) == (b"", "")


# ---- TLS ----

@pytest.mark.asan
def test_tls(make_server, alice, tls, shelf):
    server = make_server(tls=tls).allow(alice, reload=False).start()
    alice.knows(server)
    source = random_file(shelf / "source", 3 * MIB)
    for scheme in ("pqcs", "wss"):
        url = server.url("x", scheme=scheme)
        pong = alice.json("ping", url, "--ca", tls.ca)
        assert pong["tls_group"] == "X25519MLKEM768"
        alice.ok("send", source, url, "--ca", tls.ca)
        alice.ok("get", url, "--out", shelf / scheme, "--ca", tls.ca)
        assert same(source, shelf / scheme)


def test_tls_of_another_authority(make_server, alice, tls, tmp_path, shelf):
    server = make_server(tls=tls).allow(alice, reload=False).start()
    alice.knows(server)
    other = Tls(tmp_path / "other")
    source = random_file(shelf / "source", 10)
    for ca in (["--ca", other.ca], []):
        said = alice.run("send", source, server.url("x"), "--retry-for", 0, *ca)
        assert said.code not in (OK, TEMPORARY), said
        assert "certificate" in said.err
    assert alice.run("ping", server.url(), "--ca", shelf / "no.pem").code in (NOT_FOUND,
                                                                              CONFIG)
    assert alice.ok("list", "--json", server.url(), "--ca", tls.ca).objects == []


def test_a_plain_client_at_a_tls_port_and_the_reverse(make_server, known, alice, tls, shelf):
    secure = make_server(name="secure", tls=tls).allow(alice, reload=False).start()
    alice.knows(secure)
    source = random_file(shelf / "source", 10)
    said = alice.run("send", source, secure.url("x", scheme="pqc"), "--retry-for", 0)
    assert said.code != OK and said.err, said
    said = alice.run("send", source, known.url("x", scheme="pqcs"), "--retry-for", 0,
                     "--ca", tls.ca)
    assert said.code != OK and said.err, said


def test_websocket_urls(known, alice, shelf):
    source = random_file(shelf / "source", 1000)
    alice.ok("send", source, known.url("x", scheme="ws"))
    alice.ok("get", known.url("x", scheme="ws"), "--out", shelf / "back")
    assert same(source, shelf / "back")


# ---- several at once ----

def test_many_clients_at_once(make_server, person, shelf):
    everyone = [person(f"client{i}").keygen() for i in range(8)]
    server = make_server()
    for who in everyone:
        server.allow(who, reload=False)
    server.start()
    sources = [random_file(shelf / f"source{i}", 6 * MIB + i) for i in range(8)]
    for who in everyone:
        who.knows(server)
    sending = [who.begin("send", source, server.url(f"of/{i}"), "--part-size", "64K")
               for i, (who, source) in enumerate(zip(everyone, sources))]
    for process in sending:
        result = process.done()
        assert result.code == OK, result
    getting = [who.begin("get", server.url(f"of/{(i + 1) % 8}"), "--out", shelf / f"target{i}")
               for i, who in enumerate(everyone)]
    for i, process in enumerate(getting):
        result = process.done()
        assert result.code == OK, result
        assert same(sources[(i + 1) % 8], shelf / f"target{i}")
    until(lambda: server.metric("active_transfers") == 0, "the transfers to be over")
