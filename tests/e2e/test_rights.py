"""Who may do what: identities, rights and patterns, and what a refusal does not tell."""

from subprocess import PIPE

import pytest

from harness import ABSENT, CONFIG, MIB, OK, random_file, same, until

RIGHTS = ["put", "get", "list", "delete", "put,delete", "get,list", "all"]


@pytest.fixture
def carol(person):
    return person("carol").keygen()


@pytest.fixture
def file(shelf):
    return random_file(shelf / "file", 1000)


@pytest.fixture
def place(known, alice, carol, file):
    """Objects of alice and of carol within and outside in/; carol has no right any more."""
    known.allow(carol)
    carol.knows(known)
    for who, name in ((alice, "alice"), (carol, "carol")):
        who.ok("send", file, known.url(f"in/{name}"))
        who.ok("send", file, known.url(f"out/{name}"))
    return known.deny(carol)


def listed(who, server, prefix=""):
    return sorted(o["name"] for o in who.ok("list", "--json", server.url(prefix)).objects)


def may(who, server, verb, name, *operands):
    """Was it done? If not, it must be refused as what does not exist is."""
    done = who.run(verb, *operands, server.url(name))
    if done.code == OK:
        return True
    assert done.code == ABSENT, done
    absent = who.run(verb, *operands, server.url("in/absent" if verb != "send" else "out/absent"))
    assert (done.code, done.said) == (absent.code, absent.said)
    return False


@pytest.mark.asan
@pytest.mark.parametrize("rights", RIGHTS)
def test_rights(place, alice, carol, file, shelf, rights):
    place.allow(carol, rights, "in/**")
    has = set(rights.split(",")) if rights != "all" else {"put", "get", "list", "delete"}

    sees = has & {"get", "list"}
    assert listed(carol, place) == (["in/alice", "in/carol"] if sees else [])
    assert listed(carol, place, "out/") == []

    out = ("--out", shelf / "got", "--force")
    for name, expected in {"in/alice": "get" in has, "in/carol": "get" in has,
                           "out/alice": False, "out/carol": False, "in": False}.items():
        assert may(carol, place, "get", name, *out) == expected, name
    for name, expected in {"in/carol": "get" in has, "in/alice": False,
                           "out/carol": False}.items():
        assert may(carol, place, "receipt", name, "--out", shelf / "receipt") == expected, name
    for name, expected in {"in/new": "put" in has, "in/deep/er": "put" in has,
                           "in/carol": "put" in has, "in/alice": False, "in": False,
                           "out/new": False, "out/carol": False}.items():
        assert may(carol, place, "send", name, file) == expected, name
    for name, expected in {"in/carol": "delete" in has, "in/alice": False, "out/carol": False,
                           "in/absent": False}.items():
        assert may(carol, place, "delete", name) == expected, name

    left = {"in/alice", "in/carol", "out/alice", "out/carol"}
    left |= {"in/new", "in/deep/er"} if "put" in has else set()
    left -= {"in/carol"} if "delete" in has else set()
    assert set(listed(alice, place)) == left
    alice.ok("get", place.url("in/alice"), "--out", shelf / "untouched")
    assert same(file, shelf / "untouched")


def test_without_any_right(place, alice, carol, bob, file, shelf):
    """One whose rights were taken and one who never had any hear the same."""
    bob.knows(place)
    for who in (carol, bob):
        who.fails(ABSENT, "list", place.url())
        for verb, operands in (("get", ["--out", shelf / "no"]), ("send", [file]), ("delete", []),
                               ("receipt", ["--out", shelf / "no"])):
            answers = {who.run(verb, *operands, place.url(name)).said
                       for name in ("in/alice", "out/carol", "in/absent")}
            assert len(answers) == 1, answers
    reasons = {line["client_id"]: line["reason"] for line in place.events("request.refused")}
    assert reasons[bob.id] == "unknown identity"
    assert not (shelf / "no").exists()
    assert len(listed(alice, place)) == 4


PATTERNS = {
    "**": ["a", "a/b", "a/b/c", "ab/d.txt", "x.txt"],
    "a/**": ["a/b", "a/b/c"],
    "a/*": ["a/b"],
    "*": ["a", "x.txt"],
    "*.txt": ["x.txt"],
    "*/*.txt": ["ab/d.txt"],
    "a*/**": ["a/b", "a/b/c", "ab/d.txt"],
    "a/b": ["a/b"],
    "a/*/c": ["a/b/c"],
    "b": [],
}


def test_patterns(known, alice, carol, file):
    for name in PATTERNS["**"]:
        alice.ok("send", file, known.url(name))
    carol.knows(known)
    for pattern, names in PATTERNS.items():
        known.allow(carol, "list", pattern)
        assert listed(carol, known) == names, pattern
        known.deny(carol)
    known.allow(carol, "list", "a/b", reload=False).allow(carol, "get", "x.*")
    assert listed(carol, known) == ["a/b", "x.txt"], "several lines add up"


@pytest.mark.asan
def test_a_role_gives_each_a_place_of_their_own(known, alice, bob, carol, file, shelf):
    """One role for all hospitals: each writes and sees its own directory in every round."""
    access = known.data / "authorized"
    access.write_text(access.read_text() + "role hospital put,list round-*/{name}/**\n"
                      "role hospital get,list round-*/model\n"
                      f"{bob.id} @hospital north\n{carol.id} @hospital south quota=1M\n"
                      f"{carol.id} get,list {{id}}/*\n")
    known.reload()
    for who in (bob, carol):
        who.knows(known)
    alice.ok("send", file, known.url("round-1/model"))
    alice.ok("send", file, known.url(f"{carol.id}/x"))
    for who, own, other in ((bob, "north", "south"), (carol, "south", "north")):
        assert may(who, known, "send", f"round-1/{own}/update", file)
        assert may(who, known, "send", f"round-2/{own}/deep/er", file)
        for name in (f"round-1/{other}/more", "round-1/{name}/x", f"round-1/{own}", "round-1/model",
                     f"round-1/{own}er/x", f"{own}/x", f"{carol.id}/new"):
            assert not may(who, known, "send", name, file), name
        out = ("--out", shelf / "got", "--force")
        assert may(who, known, "get", "round-1/model", *out)
        assert not may(who, known, "get", f"round-1/{own}/update", *out), "the role has no get"
    assert listed(bob, known) == ["round-1/model", "round-1/north/update", "round-2/north/deep/er"]
    assert listed(carol, known) == sorted(
        [f"{carol.id}/x", "round-1/model", "round-1/south/update", "round-2/south/deep/er"])


@pytest.mark.asan
def test_a_reload_does_not_disturb_a_transfer(known, alice, file, shelf):
    data = random_file(shelf / "data", 4 * MIB).read_bytes()
    sending = alice.begin("send", "-", known.url("stream"), stdin=PIPE)
    sending.stdin.write(data[:MIB])
    sending.stdin.flush()
    until(lambda: known.metric("active_transfers") == 1, "the transfer")
    known.deny(alice)
    alice.fails(ABSENT, "send", file, known.url("x"))
    sending.stdin.write(data[MIB:])
    sending.close_stdin()
    done = sending.done()
    assert done.code == OK, done
    alice.fails(ABSENT, "get", known.url("stream"), "--out", shelf / "back")
    known.allow(alice)
    alice.ok("get", known.url("stream"), "--out", shelf / "back")
    assert (shelf / "back").read_bytes() == data


BROKEN = {
    "an id that is none": "zz all **",
    "an unknown right": f"{'0' * 64} fly **",
    "no pattern": f"{'0' * 64} all",
    "a pattern that escapes": f"{'0' * 64} all ../**",
    "'**' in the middle": f"{'0' * 64} all a/**/b",
    "a role that is not defined": f"{'0' * 64} @ghost",
    "a role without a pattern": "role sender put",
    "{name} without a name": f"{'0' * 64} put {{name}}/**",
    "a name that is no component": f"{'0' * 64} put {{name}}/** a/b",
    "a quota that is none": f"{'0' * 64} put ** someone quota=lots",
    "a quota in the middle": f"{'0' * 64} put ** quota=1G someone",
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_access_file(known, alice, file, what):
    """On reload the old one stays; at the start it is an error. Both name file and line."""
    access = known.data / "authorized"
    good, bad = access.read_bytes(), BROKEN[what]
    access.write_bytes(good + (bad if isinstance(bad, bytes) else bad.encode()) + b"\n")
    failure = known.reload("reload.failed")
    line = len(good.splitlines()) + 1
    assert f"{access}:{line}" in failure["reason"] or str(access) in failure["reason"]
    alice.ok("send", file, known.url("x"))
    assert listed(alice, known) == ["x"]

    known.stop()
    said = alice.fails(CONFIG, "serve", "--data-dir", known.data, "--listen", "127.0.0.1:0")
    assert str(access) in said
    if isinstance(bad, str):
        assert f"{access}:{line}" in said
    access.write_bytes(good)
    known.start()


def test_no_access_file(known, alice, file):
    """Removing the file is removing every right."""
    (known.data / "authorized").unlink()
    known.reload()
    alice.fails(ABSENT, "send", file, known.url("x"))
    known.allow(alice)
    alice.ok("send", file, known.url("x"))
