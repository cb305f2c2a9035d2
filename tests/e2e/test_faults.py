"""What goes wrong says what, ends with its exit code, and leaves what was there as it was."""

import os
import signal
import subprocess
from subprocess import PIPE

import pytest

from harness import (ABSENT, CONFIG, INTEGRITY, INTERRUPTED, KIB, MIB, NOT_FOUND, OK, QUOTA,
                     REFUSED, TEMPORARY, TIMEOUT, USAGE, capacity, random_file, same, until)

PART = 64 * KIB


def names(who, server):
    return sorted(o["name"] for o in who.ok("list", "--json", server.url()).objects)


def check_serves(who, server, shelf):
    """The server does what it is for."""
    source = random_file(shelf / "after", 100)
    who.ok("send", source, server.url("after"))
    who.ok("get", server.url("after"), "--out", shelf / "after.back", "--force")
    assert same(source, shelf / "after.back")


# ---- full disks and read-only directories, in a mount namespace of their own ----

def mounts(*commands):
    """Words to put before a program: it runs with these mounts, which nobody else sees."""
    words = ["unshare", "-m", "sh", "-ec", "; ".join([*commands, 'exec "$@"']), "sh"]
    try:
        probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"],
                               capture_output=True, text=True, timeout=TIMEOUT)
    except OSError as error:
        pytest.skip(f"a small disk needs a mount namespace: {error}")
    if probe.returncode != 0:
        pytest.skip(f"a small disk needs a mount namespace: {probe.stderr.strip()}")
    return words


@pytest.fixture
def small_server(make_server, alice, tmp_path):
    """A server whose data directory is a disk of 24 MiB, kept as long as it runs."""
    access = tmp_path / "access"
    access.touch(0o600)
    data = tmp_path / "server" / "data"
    server = make_server("--min-free", "0", access=access, prefix=mounts(
        f"mkdir -p {data}", f"mount -t tmpfs -o size=24m none {data}"))
    server.allow(alice, reload=False).start()
    (tmp_path / "server.id").write_text(server.id)
    alice.ok("trust", "add", server.address, server.id)
    return server


def test_no_room_for_a_file(small_server, alice, shelf):
    """The server says so before a byte is sent."""
    source = random_file(shelf / "source", 30 * MIB)
    said = alice.fails(QUOTA, "send", source, small_server.url("x"))
    assert "room" in said or "space" in said
    assert names(alice, small_server) == []
    check_serves(alice, small_server, shelf)


def test_the_disk_fills_up_under_a_stream(small_server, alice, shelf):
    kept = random_file(shelf / "kept", 3 * MIB)
    alice.ok("send", kept, small_server.url("kept"))
    said = alice.fails(QUOTA, "send", "-", small_server.url("x"), stdin=bytes(40 * MIB))
    assert "space" in said or "room" in said
    assert names(alice, small_server) == ["kept"]
    alice.ok("get", small_server.url("kept"), "--out", shelf / "back")
    assert same(kept, shelf / "back")
    assert small_server.running() and small_server.http("/health")[0] == 200
    # What the failed stream took is given back.
    check_serves(alice, small_server, shelf)


def test_no_room_for_a_get(known, alice, tmp_path, shelf):
    source = random_file(shelf / "source", 30 * MIB)
    alice.ok("send", source, known.url("x"))
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = mounts(f"mount -t tmpfs -o size=16m none {disk}", f"echo precious > {disk}/x",
                    f"trap 'ls -A {disk}; cat {disk}/x' EXIT", '"$@" || exit')
    said = alice.run("get", known.url("x"), "--out", disk / "x", "--force", prefix=prefix)
    assert said.code == QUOTA, said
    assert "No space" in said.err and "x" in said.err
    assert said.out == "x\nprecious\n", "nothing but what was there is there"


def test_a_full_disk_under_a_stream_to_a_file(known, alice, shelf):
    """A size that the disk refuses while it is written: /dev/full is always full."""
    alice.ok("send", random_file(shelf / "source", 100), known.url("x"))
    with open("/dev/full", "wb") as full:
        said = alice.run("get", known.url("x"), "--out", "-", stdout=full)
    assert said.code == QUOTA, said
    assert "No space" in said.err


def test_a_directory_that_cannot_be_written(known, alice, tmp_path, shelf):
    alice.ok("send", random_file(shelf / "source", 100), known.url("x"))
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "x").write_text("precious")
    prefix = ()
    if os.geteuid() == 0:
        prefix = mounts(f"mount --bind {locked} {locked}",
                        f"mount -o remount,ro,bind {locked}")
    else:
        locked.chmod(0o555)
    for options in ([], ["--force"]):
        said = alice.fails(REFUSED, "get", known.url("x"), "--out", locked / "new", *options,
                           prefix=prefix)
        assert "locked" in said
    alice.fails(REFUSED, "get", known.url("x"), "--out", locked / "x", "--force", prefix=prefix)
    assert [p.name for p in locked.iterdir()] == ["x"]
    assert (locked / "x").read_text() == "precious"


def test_the_home_cannot_be_written(known, alice, shelf):
    """No journal, no transfer: what is sent must be noted."""
    prefix = mounts(f"mount --bind {alice.home} {alice.home}",
                    f"mount -o remount,ro,bind {alice.home}")
    source = random_file(shelf / "source", 100)
    said = alice.fails(REFUSED, "send", source, known.url("x"), prefix=prefix)
    assert str(alice.home) in said
    assert names(alice, known) == []


# ---- sources that change ----

CHANGES = {
    "appended": lambda path: path.open("ab").write(b"more"),
    "truncated": lambda path: os.truncate(path, 3 * MIB),
    "rewritten": lambda path: path.open("r+b").write(b"other"),
    "removed": lambda path: path.unlink(),
    "replaced": lambda path: random_file(path.with_name("new"), 8 * MIB).rename(path),
}


@pytest.mark.asan
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_while_it_is_sent(known, alice, make_proxy, shelf, change):
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    old, source = random_file(shelf / "old", 1000), random_file(shelf / "source", 8 * MIB)
    alice.ok("send", old, known.url("x"))
    proxy.hold("up", MIB)
    sending = alice.begin("send", source, known.url("x", through=proxy), "--part-size", PART)
    assert proxy.held.wait(TIMEOUT)
    CHANGES[change](source)
    proxy.release()
    done = sending.done()
    assert done.code == INTEGRITY, done
    assert "source" in done.err and "changed" in done.err
    # What the name meant before, it means now.
    alice.ok("get", known.url("x"), "--out", shelf / "back")
    assert same(old, shelf / "back")
    assert alice.journals == []

    if not source.exists():
        random_file(source, MIB)
    sent = alice.json("send", source, known.url("x", through=proxy))
    assert sent["resumed_bytes"] == 0
    alice.ok("get", known.url("x"), "--out", shelf / "back", "--force")
    assert same(source, shelf / "back")


def test_a_source_that_changes_between_two_runs(known, alice, make_proxy, shelf):
    """The parts that the server holds are of another file now: everything is sent again."""
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    source = random_file(shelf / "source", 8 * MIB)
    proxy.hold("up", 4 * MIB)
    sending = alice.begin("send", source, known.url("x", through=proxy), "--part-size", PART)
    assert proxy.held.wait(TIMEOUT)
    sending.kill()
    proxy.release()
    before = source.stat()
    with source.open("r+b") as f:
        f.write(b"other")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))   # it looks the same
    sent = alice.json("send", source, known.url("x", through=proxy), "--part-size", PART)
    assert sent["resumed_bytes"] == 0 and sent["parts_sent"] == sent["parts"]
    alice.ok("get", known.url("x"), "--out", shelf / "back")
    assert same(source, shelf / "back")


def test_a_source_that_is_not_there(known, alice, shelf):
    said = alice.fails(NOT_FOUND, "send", shelf / "absent", known.url("x"))
    assert "absent" in said
    assert names(alice, known) == []


# ---- names that escape ----

BAD_NAMES = ["../x", "a/../../x", "..", ".", "a//b", "a/./b", "%2e%2e/x", "a%5cb", "C:x", "a%0ab",
             "%e2%80%aex", "%ff", "a%00b", "x/%2e%2e", "/x", "b" * 256, "c/" * 2100 + "c"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: name[:12])
def test_names_that_are_not_allowed(known, alice, shelf, name):
    source = random_file(shelf / "source", 10)
    for command in (["send", source], ["get"], ["delete"], ["receipt"]):
        alice.fails(USAGE, *command, known.url(name), cwd=shelf)
    assert names(alice, known) == []
    assert [p.name for p in shelf.iterdir()] == ["source"]
    assert not list(shelf.parent.glob("x"))


def test_links_in_the_destination_are_not_followed(known, alice, tmp_path, shelf):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    source = random_file(shelf / "source", 1000)
    for name in ("d/sub/new", "d/sub/precious", "d/file", "d/fine"):
        alice.ok("send", source, known.url(name))
    into = shelf / "into"
    into.mkdir()
    (into / "sub").symlink_to(outside)
    (into / "file").symlink_to(outside / "precious")

    for options in ([], ["--force"]):
        alice.fails(REFUSED, "get", known.url("d/"), "--out", into, *options)
        assert [p.name for p in outside.iterdir()] == ["precious"]
        assert (outside / "precious").read_text() == "precious"
    # The others arrived; with --force the link itself was replaced, not what it points to.
    assert same(source, into / "fine")
    assert not (into / "file").is_symlink() and same(source, into / "file")
    assert (into / "sub").is_symlink()


def test_a_link_in_place_of_the_temporary_file(known, alice, make_proxy, tmp_path, shelf):
    """Whoever may write into the directory plants a link where a get would go on writing."""
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    alice.ok("send", random_file(shelf / "source", 8 * MIB), known.url("x"), "--part-size", PART)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    into = shelf / "into"
    into.mkdir()
    command = ["get", known.url("x", through=proxy), "--out", into / "x"]
    proxy.hold("down", 4 * MIB)
    getting = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    getting.kill()
    proxy.release()
    temporary, = into.iterdir()
    temporary.unlink()
    temporary.symlink_to(precious)
    alice.fails(REFUSED, *command)
    assert precious.read_text() == "precious"
    assert not (into / "x").exists()


# ---- what is there already ----

@pytest.mark.asan
def test_an_existing_destination_is_left_alone(known, alice, bob, shelf):
    source, target = random_file(shelf / "source", 3 * MIB), shelf / "target"
    alice.ok("send", source, known.url("x"))
    target.write_text("precious")
    said = alice.fails(REFUSED, "get", known.url("x"), "--out", target)
    assert "--force" in said and "target" in said
    alice.fails(REFUSED, "get", known.url("x"), "--out", target, "--force", "--from", bob.pub)
    alice.fails(ABSENT, "get", known.url("absent"), "--out", target, "--force")
    damage(known)
    said = alice.fails(INTEGRITY, "get", known.url("x"), "--out", target, "--force")
    assert target.read_text() == "precious"
    assert sorted(p.name for p in shelf.iterdir()) == ["source", "target"]
    assert alice.journals == []


def damage(server):
    """Change one byte of the stored object."""
    body, = server.data.glob("objects/*/*/body")
    with body.open("r+b") as f:
        f.seek(body.stat().st_size // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))


@pytest.mark.asan
def test_a_damaged_object_is_not_given_out_as_whole(known, alice, shelf):
    alice.ok("send", random_file(shelf / "source", 3 * MIB), known.url("x"))
    damage(known)
    said = alice.fails(INTEGRITY, "get", known.url("x"), "--out", shelf / "back")
    assert "part 1" in said
    done = alice.run("get", known.url("x"), "--out", "-")
    assert done.code == INTEGRITY, done
    assert len(done.stdout) < 3 * MIB
    assert [p.name for p in shelf.iterdir()] == ["source"]


def test_a_truncated_object(known, alice, shelf):
    alice.ok("send", random_file(shelf / "source", 3 * MIB), known.url("x"))
    body, = known.data.glob("objects/*/*/body")
    os.truncate(body, 2 * MIB)
    done = alice.run("get", known.url("x"), "--out", shelf / "back", "--retry-for", "1s")
    assert done.code not in (OK, USAGE) and done.err, done
    assert [p.name for p in shelf.iterdir()] == ["source"]
    assert known.running()


# ---- keys, servers, limits ----

def test_no_identity(known, pqc, shelf):
    pqc.knows(known)
    source = random_file(shelf / "source", 10)
    said = pqc.fails(NOT_FOUND, "send", source, known.url("x"))
    assert str(pqc.key) in said and "keygen" in said
    assert "nobody" in pqc.fails(NOT_FOUND, "send", source, known.url("x"), "--identity", "nobody")


def names_of_store(server):
    return list(server.data.glob("objects/*/*"))


def test_a_damaged_key(known, alice, shelf):
    text = alice.key.read_text()
    alice.key.write_text(text[:len(text) // 2])
    said = alice.run("send", random_file(shelf / "source", 10), known.url("x"))
    assert said.code in (INTEGRITY, CONFIG), said
    assert str(alice.key) in said.err


def test_an_unknown_server(known, bob, shelf):
    source = random_file(shelf / "source", 10)
    said = bob.fails(REFUSED, "send", source, known.url("x"))
    assert known.id in said and "trust add" in said
    assert not (bob.home / "known_servers").exists()
    bob.fails(REFUSED, "ping", known.url())


def test_a_server_of_another_identity(known, alice, shelf):
    source = random_file(shelf / "source", 10)
    was = known.id
    known.stop()
    for file in known.data.glob("identity*"):
        file.unlink()
    known.start()
    for options in ([], ["--accept-new"]):
        said = alice.fails(REFUSED, "send", source, known.url("x"), *options)
        assert "CHANGED" in said and was in said and known.id in said
    assert names_of_store(known) == []
    said = alice.fails(REFUSED, "send", source, known.url("x"), "--server-id", was)
    assert was in said and known.id in said


def test_accept_new(known, bob, shelf):
    source = random_file(shelf / "source", 10)
    known.allow(bob)
    bob.ok("send", source, known.url("x"), "--accept-new")
    bob.ok("send", source, known.url("x"))


def test_a_client_without_rights(known, bob, shelf):
    bob.knows(known)
    source = random_file(shelf / "source", 10)
    for command in (["send", source], ["get"], ["delete"], ["receipt"]):
        bob.fails(ABSENT, *command, known.url("x"), cwd=shelf)
    assert names_of_store(known) == []
    assert all(line["client_id"] == bob.id for line in known.events("request.refused"))
    assert len(known.events("request.refused")) == 4


def test_nobody_listens(alice, known, shelf):
    known.stop()
    source = random_file(shelf / "source", 10)
    said = alice.fails(TEMPORARY, "send", source, known.url("x"), "--retry-for", "300ms")
    assert known.address in said
    assert known.address in alice.fails(TEMPORARY, "list", known.url(), "--retry-for", "0")
    said = alice.fails(TEMPORARY, "get", known.url("x"), "--out", shelf / "x", "--retry-for", "0")
    assert known.address in said
    assert [p.name for p in shelf.iterdir()] == ["source"]


def test_a_host_that_does_not_exist(alice, shelf):
    source = random_file(shelf / "source", 10)
    said = alice.run("send", source, "pqc://no-such-host.invalid/x", "--retry-for", "0")
    assert said.code not in (OK, USAGE) and "no-such-host.invalid" in said.err, said


def test_too_large(make_server, alice, shelf):
    server = make_server("--max-size", "1M", "--max-part-size", "64K").allow(alice, reload=False)
    server.start()
    alice.knows(server)
    source = random_file(shelf / "source", MIB + 1)
    said = alice.fails(QUOTA, "send", source, server.url("x"), "--part-size", "64K")
    assert str(MIB + 1) in said and str(MIB) in said
    said = alice.fails(QUOTA, "send", "-", server.url("x"), "--part-size", "64K",
                       stdin=bytes(2 * MIB))
    assert "more than this server takes" in said
    until(lambda: names_of_store(server) == [], "the stream's bytes to be given back")
    small = random_file(shelf / "small", MIB)
    said = alice.fails(QUOTA, "send", small, server.url("x"), "--part-size", "128K")
    assert "part size" in said
    assert names(alice, server) == []
    alice.ok("send", small, server.url("x"), "--part-size", "64K")


def test_wrong_key_files_of_a_server(make_server, alice):
    server = make_server().start()
    server.stop()
    for name in ("identity", "kek"):
        (server.data / name).chmod(0o644)
        done = alice.run("serve", "--listen", "127.0.0.1:0", "--data-dir", server.data)
        assert done.code == REFUSED, done
        assert name in done.err and "chmod 600" in done.err
        (server.data / name).chmod(0o600)
    server.start()


def test_a_store_without_its_kek(known, alice, shelf):
    """Losing the KEK loses the objects; it must be said, not papered over by a new KEK."""
    source = random_file(shelf / "source", 1000)
    alice.ok("send", source, known.url("x"))
    known.stop()
    (known.data / "kek").unlink()
    known.start()
    done = alice.run("get", known.url("x"), "--out", shelf / "back")
    assert done.code not in (OK, USAGE), done
    assert not (shelf / "back").exists()


# ---- interrupted ----

@pytest.mark.asan
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_send(known, alice, make_proxy, shelf, number):
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    source = random_file(shelf / "source", 8 * MIB)
    command = ["send", source, known.url("x", through=proxy), "--part-size", PART]
    proxy.hold("up", 4 * MIB)
    sending = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    sending.signal(number)
    done = sending.done()
    assert done.code == INTERRUPTED, done
    assert "same command" in done.err
    assert names(alice, known) == []
    proxy.cut()     # with what is still on the way, which may be all the rest
    proxy.release()
    sent = alice.json(*command)
    assert sent["resumed_bytes"] > 0
    assert sent["parts_sent"] < sent["parts"]
    alice.ok("get", known.url("x"), "--out", shelf / "back")
    assert same(source, shelf / "back")


@pytest.mark.asan
def test_an_interrupted_get(known, alice, make_proxy, shelf):
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    source = random_file(shelf / "source", 8 * MIB)
    alice.ok("send", source, known.url("x"), "--part-size", PART)
    target = shelf / "back"
    command = ["get", known.url("x", through=proxy), "--out", target]
    proxy.hold("down", 4 * MIB)
    getting = alice.begin(*command)
    assert proxy.held.wait(TIMEOUT)
    getting.signal(signal.SIGINT)
    done = getting.done()
    assert done.code == INTERRUPTED, done
    assert "same command" in done.err
    assert not target.exists()
    proxy.cut()
    proxy.release()

    # A failure in between does not lose what is here already.
    known.stop()
    alice.fails(TEMPORARY, *command, "--retry-for", "0")
    known.start()
    got = alice.json(*command)
    assert got["resumed_bytes"] > 0
    assert got["parts_fetched"] == got["parts"] - got["resumed_bytes"] // capacity(PART)
    assert same(source, target)
    assert sorted(p.name for p in shelf.iterdir()) == ["back", "source"]


def test_an_interrupted_wait_for_a_server(known, alice, shelf):
    source = random_file(shelf / "source", 10)
    known.stop()
    sending = alice.begin("send", source, known.url("x"))
    line = sending.popen.stderr.readline()
    assert b"reconnect" in line
    sending.signal(signal.SIGINT)
    assert sending.done().code == INTERRUPTED


def test_an_interrupted_stream(known, alice):
    """It cannot be taken up again; it ends at once although nothing comes from the pipe."""
    sending = alice.begin("send", "-", known.url("x"), stdin=PIPE)
    sending.stdin.write(bytes(2 * MIB))
    sending.stdin.flush()
    until(lambda: known.metric("active_transfers") == 1, "the transfer")
    sending.signal(signal.SIGINT)
    until(lambda: not sending.running(), "its end")
    assert sending.done().code == INTERRUPTED
    assert names(alice, known) == []
    assert alice.journals == []


def test_a_reader_that_goes_away(known, alice, shelf):
    """pqc get -o - | head: it ends, and says so."""
    alice.ok("send", random_file(shelf / "source", 8 * MIB), known.url("x"))
    getting = alice.begin("get", known.url("x"), "--out", "-")
    getting.popen.stdout.read(10)
    getting.popen.stdout.close()
    getting.popen.stdout = None
    done = getting.done()
    assert done.code not in (OK, USAGE) and done.err, done
