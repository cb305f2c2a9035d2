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
    assert not any("role" in o or "quota" in o for o in listed)
    alice.ok("trust", "deny", *where, bob.pub)
    assert alice.ok("trust", "clients", *where).out == f"{alice.id} put,get,list ** Alice\n"
    alice.fails(NOT_FOUND, "trust", "deny", *where, bob.pub)


def test_roles(alice, bob, tmp_path):
    where = ("--data-dir", tmp_path / "data")
    alice.ok("trust", "role", *where, "sender", "--rights", "put,list", "--path", "in/{name}/**")
    alice.ok("trust", "role", *where, "sender", "--rights", "get", "--path", "out/*")
    alice.ok("trust", "role", *where, "all")
    alice.ok("trust", "allow", *where, "--role", "sender", "--quota", "1.5g", alice.pub)
    alice.ok("trust", "allow", *where, bob.id, "--role", "sender", "--name", "Bob B.")
    alice.ok("trust", "allow", *where, bob.id, "--rights", "delete", "--quota", "0")
    assert (tmp_path / "data" / "authorized").read_text() == (
        "role sender put,list in/{name}/**\nrole sender get out/*\nrole all put,get,list **\n"
        f"{alice.id} @sender Alice quota=1.5g\n{bob.id} @sender Bob B.\n"
        f"{bob.id} delete ** quota=0\n")

    roles = alice.ok("trust", "roles", *where, "--json").objects
    assert [(o["event"], o["role"], o["rights"], o["path"]) for o in roles] == [
        ("role", "sender", "put,list", "in/{name}/**"), ("role", "sender", "get", "out/*"),
        ("role", "all", "put,get,list", "**")]
    assert alice.ok("trust", "roles", *where).out.splitlines()[1] == "sender get out/*"

    clients = alice.ok("trust", "clients", *where, "--json").objects
    assert clients == [
        {"event": "client", "id": alice.id, "role": "sender", "name": "Alice", "quota": 3 << 29},
        {"event": "client", "id": bob.id, "role": "sender", "name": "Bob B."},
        {"event": "client", "id": bob.id, "rights": "delete", "path": "**", "name": "",
         "quota": 0}]
    assert alice.ok("trust", "clients", *where).out == (
        f"{alice.id} @sender Alice quota=1.5g\n{bob.id} @sender Bob B.\n"
        f"{bob.id} delete ** quota=0\n")
    alice.ok("trust", "deny", *where, bob.id)
    assert len(alice.ok("trust", "clients", *where).out.splitlines()) == 1
    assert len(alice.ok("trust", "roles", *where).out.splitlines()) == 3


def test_bad_roles(alice, tmp_path):
    file = tmp_path / "access"
    where = ("--access-file", file)
    alice.ok("trust", "role", *where, "own", "--rights", "put", "--path", "{name}/**")
    alice.ok("trust", "allow", *where, A, "--rights", "get", "--path", "x", "--quota", "5G")
    before = file.read_text()
    for words, said in (
            ((B, "--role", "none"), f"{file}:3:"), ((B, "--role", "own"), "{name}"),
            ((B, "--role", "own", "--name", "a/b"), "one component"),
            ((B, "--role", "own", "--name", "*"), "one component"),
            ((B, "--role", "own", "--name", "b", "--rights", "put"), "--rights"),
            ((B, "--role", "own", "--name", "b", "--path", "**"), "--path"),
            ((B, "--role", "o n", "--name", "b"), "role's name"),
            ((B, "--path", "{nom}"), "{nom}"), ((B, "--quota", "5X"), "--quota"),
            ((B, "--name", "quota=1G"), "quota="), ((A, "--quota", "6G"), "line 2")):
        assert said in alice.fails(USAGE, "trust", "allow", *where, *words), words
    for words in (("a b",), ("",), ("@x",), ("x", "--rights", "fly"), ("x", "--path", "/x")):
        alice.fails(USAGE, "trust", "role", *where, *words)
    assert file.read_text() == before
    file.write_text(before + "role own\n")
    for words in (("allow", B), ("deny", A), ("clients",), ("roles",), ("role", "x")):
        assert f"{file}:3:" in alice.fails(CONFIG, "trust", words[0], *where, *words[1:])


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
    assert pqc.ok("trust", "roles", "--data-dir", tmp_path).out == ""
    assert pqc.ok("trust", "list").out == ""
