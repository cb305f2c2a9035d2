"""trust: known servers, and who may use a server."""

import pytest
from conftest import CONFIG, NOT_FOUND, REFUSED, USAGE

pytestmark = pytest.mark.asan

A, B = "aa" * 32, "bb" * 32


def test_servers(alice, pqc):
    alice.ok("trust", "add", "Example.ORG", A)
    alice.ok("trust", "add", "example.org:80", pqc.keygen().pub)
    alice.ok("trust", "add", "[::1]:9", B)
    alice.ok("trust", "add", "pqc://h/", A)
    listed = {o["server"]: o["server_id"] for o in alice.ok("trust", "list", "--json").objects}
    assert listed == {"example.org:8765": A, "example.org:80": pqc.id, "[::1]:9": B, "h:8765": A}
    alice.ok("trust", "remove", "h")
    assert "h:8765" not in alice.ok("trust", "list").out
    alice.fails(NOT_FOUND, "trust", "remove", "h")


def test_a_pin_is_not_replaced(alice):
    alice.ok("trust", "add", "h", A)
    alice.ok("trust", "add", "h", A)
    assert "trust remove" in alice.fails(REFUSED, "trust", "add", "h", B)
    assert alice.ok("trust", "list").out == f"h:8765 {A}\n"


def test_bad_servers(alice):
    for host in ("", "a b", "h:0", "h:99999", "h/x", "user@h", "[::1"):
        assert alice.run("trust", "add", host, A).code == USAGE
    alice.fails(NOT_FOUND, "trust", "add", "h", "missing.pub")
    alice.fails(NOT_FOUND, "trust", "add", "h", A[:-1])
    assert not (alice.home / "known_servers").exists()


def test_damaged_known_servers(alice):
    known = alice.home / "known_servers"
    known.write_text(f"# ours\nh:1 {A}\nh:2 short\n")
    for words in (("list",), ("add", "x", B)):
        assert f"{known}:3:" in alice.fails(CONFIG, "trust", *words)
    assert known.read_text() == f"# ours\nh:1 {A}\nh:2 short\n"


def test_clients(alice, bob, tmp_path):
    where = ("--data-dir", tmp_path / "data")
    alice.ok("trust", "allow", *where, alice.pub)
    alice.ok("trust", "allow", *where, bob.id, "--rights", "get", "--path", "pub/**",
             "--name", "Bob B.")
    alice.ok("trust", "allow", *where, bob.id, "--rights", "all", "--path", "bob/*")
    listed = alice.ok("trust", "clients", *where, "--json").objects
    assert [(o["id"], o["rights"], o["path"], o["name"]) for o in listed] == [
        (alice.id, "put,get,list", "**", "Alice"), (bob.id, "get", "pub/**", "Bob B."),
        (bob.id, "all", "bob/*", "")]
    alice.ok("trust", "deny", *where, bob.pub)
    assert alice.ok("trust", "clients", *where).out == f"{alice.id} put,get,list ** Alice\n"
    alice.fails(NOT_FOUND, "trust", "deny", *where, bob.pub)


def test_comments_of_the_access_file_stay(alice, tmp_path):
    file = tmp_path / "access"
    file.write_text(f"# people\n{A} get **\n\n# end")
    alice.ok("trust", "allow", "--access-file", file, B, "--rights", "put")
    alice.ok("trust", "deny", "--access-file", file, A)
    assert file.read_text() == f"# people\n\n# end\n{B} put **\n"


def test_bad_clients(alice, tmp_path):
    file = tmp_path / "access"
    where = ("--access-file", file)
    alice.ok("trust", "allow", *where, A)
    before = file.read_text()
    for words in ((B, "--rights", "write"), (B, "--rights", "get,"), (B, "--path", "../x"),
                  (B, "--path", "a**"), (B, "--path", "a b"), (B, "--name", "two\nlines")):
        assert alice.run("trust", "allow", *where, *words).code == USAGE, words
    alice.fails(NOT_FOUND, "trust", "allow", *where, tmp_path / "missing.pub")
    assert file.read_text() == before
    file.write_text(before + "nonsense\n")
    for words in (("allow", B), ("deny", A), ("clients",)):
        assert f"{file}:2:" in alice.fails(CONFIG, "trust", words[0], *where, *words[1:])


def test_nobody_yet(pqc, tmp_path):
    assert pqc.ok("trust", "clients", "--data-dir", tmp_path).out == ""
    assert pqc.ok("trust", "list").out == ""
