"""What the command line adds to a transfer: names, directories, reports, receipts, prefixes."""

import json
from pathlib import Path

import pytest
from conftest import INTEGRITY, NOT_FOUND, REFUSED, TEMPORARY, USAGE, random_file

pytestmark = pytest.mark.asan


@pytest.fixture
def known(alice, bob, server):
    """A server that alice and bob may use and know."""
    server.allow(alice, reload=False).allow(bob, "get,list")
    alice.knows(server)
    bob.knows(server)
    return server


def test_send_get(alice, bob, known, tmp_path):
    file = random_file(tmp_path / "file.bin", 3_000_000)
    done = alice.ok("send", file, known.url("up/"), "--json")
    sent, = done.objects
    assert sent["event"] == "sent" and sent["name"] == "up/file.bin" and sent["size"] == 3_000_000
    assert sent["sender_id"] == alice.id and Path(sent["receipt"]).exists()
    assert (sent["parts"], sent["parts_sent"], sent["resumed_bytes"]) == (3, 3, 0)
    got, = bob.ok("get", known.url("up/file.bin"), "--json", "--from", alice.pub).objects
    assert got["path"] == "file.bin" and got["sender_id"] == alice.id
    assert (bob.cwd / "file.bin").read_bytes() == file.read_bytes()
    assert bob.ok("get", known.url("up/file.bin"), "-o", "-").stdout == file.read_bytes()


def test_get_keeps_what_is_there(alice, known, tmp_path):
    alice.ok("send", random_file(tmp_path / "f", 10), known.url("f"))
    there = alice.cwd / "f"
    there.write_text("precious")
    assert "--force" in alice.fails(REFUSED, "get", known.url("f"))
    assert there.read_text() == "precious"
    alice.fails(REFUSED, "get", known.url("f"), "--force", "--from", "00" * 32)
    assert there.read_text() == "precious"
    alice.ok("get", known.url("f"), "--force")
    assert there.read_bytes() == (tmp_path / "f").read_bytes()
    assert sorted(p.name for p in alice.cwd.iterdir()) == ["f", "home"]


def test_standard_input_needs_a_name(alice, known):
    assert "needs a name" in alice.fails(USAGE, "send", "-", known.url("d/"), stdin=b"x")
    alice.ok("send", "-", known.url("d/x"), stdin=b"hello")
    assert alice.ok("get", known.url("d/x"), "-o", "-").stdout == b"hello"


def test_directories(alice, bob, known, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    contents = {"one": b"1", "sub/two": b"22", "sub/deep/three": b"", "ü ber": b"4"}
    for name, data in contents.items():
        (tree / name).write_bytes(data)
    (tree / "link").symlink_to("/etc/passwd")
    done = alice.ok("send", tree, known.url("base"), "--json")
    assert {o["name"] for o in done.objects} == {f"base/tree/{n}" for n in contents}
    assert "link: left out" in done.err
    listed = bob.ok("list", known.url("base/"), "--json").objects
    assert {o["name"]: o["size"] for o in listed} == {
        f"base/tree/{n}": len(d) for n, d in contents.items()}
    bob.ok("get", known.url("base/"), "-o", "here")
    for name, data in contents.items():
        assert (bob.cwd / "here" / "tree" / name).read_bytes() == data
    bob.fails(NOT_FOUND, "get", known.url("nothing/here/"), "-o", "nothing")


def test_get_does_not_follow_links(alice, known, tmp_path):
    alice.ok("send", "-", known.url("p/out/file"), stdin=b"content")
    outside = tmp_path / "outside"
    outside.mkdir()
    (alice.cwd / "here").mkdir()
    (alice.cwd / "here" / "out").symlink_to(outside)
    alice.fails(REFUSED, "get", known.url("p/"), "-o", "here")
    assert list(outside.iterdir()) == []


def test_some_fail_others_are_sent(alice, known, tmp_path):
    one, two = random_file(tmp_path / "one", 5), random_file(tmp_path / "two", 5)
    done = alice.run("send", one, tmp_path / "missing", two, known.url(), "--json")
    assert done.code == NOT_FOUND and "missing" in done.err
    events = [o["event"] for o in done.objects]
    assert events == ["sent", "error", "sent", "error"]
    assert done.objects[1]["exit"] == NOT_FOUND


def test_bad_names(alice, known, tmp_path):
    file = random_file(tmp_path / "f", 5)
    for name in ("a/../b", "a//b", "./a", "a%00b", "C:/x", "a%5Cb", "%E2%80%AEx", "x%FF"):
        alice.fails(USAGE, "send", file, known.url(name))
    bad = tmp_path / "tree"
    bad.mkdir()
    (bad / "new\nline").write_text("x")
    (bad / "good").write_text("x")
    assert "\nline" not in alice.fails(USAGE, "send", bad, known.url("t/"))
    assert [o["name"] for o in alice.ok("list", known.url("t/"), "--json").objects] == [
        "t/tree/good"]


def test_delete_and_receipt(alice, bob, known, tmp_path):
    alice.ok("send", random_file(tmp_path / "f", 5), known.url("f"), "--receipt", "kept")
    again, = alice.ok("receipt", known.url("f"), "-o", "again", "--json").objects
    assert (alice.cwd / "again").read_bytes() == (alice.cwd / "kept").read_bytes()
    # "no such object" and "not allowed" are one answer
    bob.fails(REFUSED, "receipt", known.url("f"))
    bob.fails(REFUSED, "delete", known.url("f"))
    alice.ok("delete", known.url("f"))
    alice.fails(REFUSED, "get", known.url("f"))
    assert alice.ok("list", known.url()).out == ""


def test_receipts_offline(alice, bob, known, tmp_path):
    alice.ok("send", random_file(tmp_path / "f", 5), known.url("f"), "--receipt", "r")
    known.stop()
    receipt = alice.cwd / "r"
    text = alice.ok("receipt", "--verify", receipt, "--server", known.pub,
                    "--sender", alice.id).out
    assert text.count("(the one you named)") == 2 and "5 bytes" in text
    found, = alice.ok("receipt", "--verify", receipt, "--json").objects
    assert found["valid"] is True and found["sender_id"] == alice.id
    assert found["server_expected"] is False
    alice.fails(REFUSED, "receipt", "--verify", receipt, "--server", alice.id)
    alice.fails(REFUSED, "receipt", "--verify", receipt, "--sender", bob.pub)
    alice.fails(NOT_FOUND, "receipt", "--verify", "missing")
    whole = receipt.read_text()
    middle = len(whole) // 2
    other = "A" if whole[middle] != "A" else "B"
    for bad in (whole[:-40], "", whole.replace("RECEIPT", "RECIPE"), "x" + whole,
                whole[:middle] + other + whole[middle + 1:]):
        receipt.write_text(bad)
        alice.fails(INTEGRITY, "receipt", "--verify", receipt)


def test_unknown_server(alice, server, tmp_path):
    server.allow(alice)
    file = random_file(tmp_path / "f", 5)
    said = alice.fails(REFUSED, "send", file, server.url("f"))
    assert "pqc trust add" in said
    done = alice.run("ping", server.url(), "--json")
    assert done.code == REFUSED
    pong, error = done.objects
    assert pong["known"] is False and error["code"] == "unknown-server"
    alice.ok("send", file, server.url("f"), "--accept-new")
    assert pong["server_id"] in alice.ok("trust", "list").out
    assert alice.ok("ping", server.url(), "--json").objects[0]["known"] is True


def test_changed_server(alice, server, tmp_path):
    server.allow(alice)
    alice.ok("trust", "add", server.address, "ab" * 32)
    before = (alice.home / "known_servers").read_text()
    file = random_file(tmp_path / "f", 5)
    for extra in ((), ("--accept-new",)):
        assert "HAS CHANGED" in alice.fails(REFUSED, "send", file, server.url("f"), *extra)
    assert (alice.home / "known_servers").read_text() == before
    alice.fails(REFUSED, "send", file, server.url("f"), "--server-id", alice.pub)
    alice.ok("send", file, server.url("f"), "--server-id", server.pub)


def test_unauthorised(alice, bob, server, tmp_path):
    server.allow(bob, "put", "only/here/**")
    file = random_file(tmp_path / "f", 5)
    for who in (alice, bob):
        who.knows(server)
        done = who.run("send", file, server.url("f"), "--json")
        assert done.code == REFUSED and done.objects[-1]["code"] == "refused"
    bob.ok("send", file, server.url("only/here/f"))
    bob.fails(REFUSED, "get", server.url("only/here/f"))


def test_no_server(alice, server):
    address = server.address
    server.stop()
    alice.fails(TEMPORARY, "list", f"pqc://{address}/", "--retry-for", "0", "--accept-new")


def test_no_identity(pqc, server, tmp_path):
    file = random_file(tmp_path / "f", 5)
    assert "pqc keygen" in pqc.fails(NOT_FOUND, "send", file, server.url("f"))
    pqc.fails(REFUSED, "ping", server.url())  # needs none


def test_protected_identity(person, server, tmp_path):
    carol = person("carol")
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    carol.keygen("--passphrase-file", secret)
    server.allow(carol)
    carol.knows(server)
    file = random_file(tmp_path / "f", 5)
    assert "--passphrase-file" in carol.fails(REFUSED, "send", file, server.url("f"),
                                              start_new_session=True)
    carol.ok("send", file, server.url("f"), "--passphrase-file", secret)
    carol.ok("send", file, server.url("f"), env={"PQC_PASSPHRASE_FILE": str(secret)})
    secret.write_text("wrong\n")
    carol.fails(REFUSED, "send", file, server.url("f"), "--passphrase-file", secret)


def test_quiet_and_json_lines(alice, known, tmp_path):
    file = random_file(tmp_path / "f", 5)
    done = alice.ok("send", file, known.url("f"), "--quiet")
    assert (done.stdout, done.err) == (b"", "")
    done = alice.run("get", known.url("missing"), "--json")
    error, = (json.loads(line) for line in done.out.splitlines())
    assert error == {"event": "error", "code": "refused", "exit": REFUSED,
                     "message": error["message"]}
