"""keygen, seal, open, rewrap, inspect: what works, and that what fails damages nothing."""

import fcntl
import os
import pty
import shutil
import signal
import stat
import subprocess
import termios

import pytest
from conftest import (CONFIG, FAILED, INTEGRITY, INTERRUPTED, NOT_FOUND, QUOTA, REFUSED, USAGE,
                      random_file)

pytestmark = pytest.mark.asan

SIZE = 300_000  # a few parts of the smallest size
PARTS = ("--part-size", "64K")


def secret(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def tree(directory):
    """Everything in a directory: names, modes and contents."""
    return {p.relative_to(directory): (stat.S_IMODE(p.lstat().st_mode),
                                       p.read_bytes() if p.is_file() else None)
            for p in directory.rglob("*")}


@pytest.fixture
def plain(tmp_path):
    return random_file(tmp_path / "plain", SIZE)


@pytest.fixture
def sealed(alice, bob, plain):
    """Signed by alice, for bob."""
    alice.ok("seal", "-r", bob.pub, "--sign", *PARTS, plain)
    return plain.with_name("plain.pqx")


# ---- keygen ----

def test_keygen_makes_two_files(pqc):
    pqc.keygen()
    assert len(pqc.id) == 64 and int(pqc.id, 16)
    assert stat.S_IMODE(pqc.key.stat().st_mode) == 0o600
    assert pqc.pub.read_text().startswith("pqc-identity-v1 ")
    assert stat.S_IMODE(pqc.home.stat().st_mode) == 0o700


@pytest.mark.parametrize("suite", ["Kyber768", "kyber1024", "ML-KEM-768", "ML-KEM-1024"])
def test_keygen_suites(pqc, suite):
    made, = pqc.ok("keygen", "-o", "k", "--suite", suite, "--json").objects
    assert made["suite"] == ("Kyber1024" if "1024" in suite else "Kyber768")
    assert (pqc.cwd / made["private_key"]).exists() and (pqc.cwd / made["public_key"]).exists()


@pytest.mark.parametrize("how", ["flag", "variable", "old variable"])
def test_unknown_suites_name_the_accepted_ones(pqc, how):
    words = ["keygen"] + (["--suite", "Kyber512"] if how == "flag" else [])
    env = {"variable": {"PQC_SUITE": "Kyber512"},
           "old variable": {"PQC_ALGORITHM": "Kyber512"}}.get(how, {})
    said = pqc.fails(CONFIG, *words, env=env)
    assert "Kyber768" in said and "Kyber1024" in said and "Kyber512" in said
    assert not pqc.home.exists() or tree(pqc.home) == {}


def test_old_variables(pqc, tmp_path):
    made, = pqc.ok("keygen", "--json", env={
        "PQC_HOME": "", "PQC_KEY_STORE_PATH": str(tmp_path / "store"),
        "PQC_ALGORITHM": "Kyber1024"}).objects
    assert made["suite"] == "Kyber1024" and made["private_key"] == f"{tmp_path}/store/identity"
    done = pqc.ok("seal", "--raw-key-file", secret(tmp_path / "k", "ab" * 32), "-o", "out", "-",
                  env={"STREAM_CHUNK_SIZE": "100000"})
    assert "STREAM_CHUNK_SIZE=100000" in done.err and "128.00 KiB" in done.err
    shown, = pqc.ok("inspect", "out", "--json").objects
    assert shown["part_size"] == 131072


def test_keygen_overwrites_nothing(alice):
    before = tree(alice.home)
    alice.fails(REFUSED, "keygen")
    alice.key.unlink()
    del before[alice.key.relative_to(alice.home)]
    alice.fails(REFUSED, "keygen")  # identity.pub is there
    assert tree(alice.home) == before


def test_keygen_bad_comment(pqc):
    for comment in ("", "two\nlines", "x" * 200, "\u202egnp"):
        assert pqc.run("keygen", "--comment", comment).code == USAGE
    assert not pqc.key.exists()


# ---- modes and passphrases of keys ----

def test_wide_keys_are_refused(alice, bob, plain, sealed, tmp_path):
    bob.key.chmod(0o644)
    assert "chmod 600" in bob.fails(REFUSED, "open", sealed, "-o", "out")
    for name, option in (("pass", "--passphrase-file"), ("raw", "--raw-key-file")):
        path = secret(tmp_path / name, "ab" * 32)
        path.chmod(0o640)
        assert "chmod 600" in alice.fails(REFUSED, "seal", option, path, plain, "-o", "out")
    assert not (bob.cwd / "out").exists() and not (alice.cwd / "out").exists()


def test_protected_key(person, bob, plain, tmp_path):
    carol = person("carol")
    good = secret(tmp_path / "good", "correct horse\nsecond line\n")
    bad = secret(tmp_path / "bad", "wrong\n")
    empty = secret(tmp_path / "empty", "\n")
    long = secret(tmp_path / "long", "x" * 2000)
    carol.fails(REFUSED, "keygen", "--passphrase-file", empty)
    carol.fails(QUOTA, "keygen", "--passphrase-file", long)
    carol.fails(NOT_FOUND, "keygen", "--passphrase-file", tmp_path / "missing")
    carol.keygen("--passphrase-file", good)
    seal = ("seal", "-r", bob.pub, "--sign", plain, "-o", "out")
    carol.fails(REFUSED, *seal, "--key-passphrase-file", bad)
    said = carol.fails(REFUSED, *seal, start_new_session=True)  # no terminal to ask at
    assert "--key-passphrase-file" in said
    assert not (carol.cwd / "out").exists()
    carol.ok(*seal, "--key-passphrase-file", good)


# ---- seal and open ----

def test_round_trip(alice, bob, plain, sealed):
    assert sealed.exists()
    done = bob.ok("open", sealed, "-o", "out", "--from", alice.id)
    assert alice.id in done.err
    assert (bob.cwd / "out").read_bytes() == plain.read_bytes()
    plain.rename(plain.with_name("original"))
    bob.ok("open", sealed)  # IN without .pqx
    assert plain.read_bytes() == plain.with_name("original").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_480, 65_481, 1_000_000])
def test_pipes(alice, size):
    data = os.urandom(size)
    container = alice.ok("seal", "-r", alice.pub, "--sign", *PARTS, stdin=data).stdout
    assert alice.ok("open", "--from", alice.pub, stdin=container).stdout == data
    assert alice.fails(INTEGRITY, "open", "-o", "out", "-", stdin=container[:-1])
    assert not (alice.cwd / "out").exists()


def test_each_kind_of_key(alice, bob, person, plain, tmp_path):
    passphrase = secret(tmp_path / "pass", "correct horse\n")
    raw = secret(tmp_path / "raw", "AB" * 32 + "\n")
    suite2 = person("dora").keygen("--suite", "Kyber1024")
    for how in ((alice, "-r", alice.pub), (suite2, "-r", suite2.pub),
                (bob, "--passphrase-file", passphrase), (bob, "--raw-key-file", raw)):
        who, option, value = how
        opener = (option, value) if option != "-r" else ()
        who.ok("seal", option, value, plain, "-o", "c", "--force")
        assert who.ok("open", *opener, "c", "-o", "-").stdout == plain.read_bytes()
        alice.fails(REFUSED, "open", tmp_path / who.cwd.name / "c", "-o", "x", "--raw-key-file",
                    secret(tmp_path / "other", "cd" * 32))
    assert not (alice.cwd / "x").exists()


def test_wrong_passphrase(alice, plain, tmp_path):
    right, wrong = secret(tmp_path / "r", "right"), secret(tmp_path / "w", "wrong")
    alice.ok("seal", "--passphrase-file", right, plain, "-o", "c")
    alice.fails(REFUSED, "open", "--passphrase-file", wrong, "c", "-o", "x")
    alice.fails(REFUSED, "open", "c", "-o", "x")  # with the identity
    assert not (alice.cwd / "x").exists()


def test_a_raw_key_bound_to_data(alice, plain, tmp_path):
    """Who opens must have the very data: none, other data and the data alone are refused alike."""
    raw = secret(tmp_path / "k", "ab" * 32)
    data, other, empty = tmp_path / "data", tmp_path / "other", tmp_path / "empty"
    data.write_bytes(b"round 7\0")
    other.write_bytes(b"round 7")
    empty.touch()
    bound = ("--raw-key-file", raw, "--associated-data-file")
    alice.ok("seal", *bound, data, *PARTS, "-o", "c", plain)
    alice.ok("open", *bound, data, "-o", "copy", "c")
    assert (alice.cwd / "copy").read_bytes() == plain.read_bytes()
    alice.fails(REFUSED, "open", *bound, other, "-o", "x", "c")
    alice.fails(REFUSED, "open", "--raw-key-file", raw, "-o", "x", "c")
    alice.ok("seal", "--raw-key-file", raw, *PARTS, "-o", "free", plain)
    alice.fails(REFUSED, "open", *bound, data, "-o", "x", "free")
    assert not (alice.cwd / "x").exists()
    assert "is empty" in alice.fails(USAGE, "seal", *bound, empty, plain)
    assert "goes with --raw-key-file" in alice.fails(
        USAGE, "seal", "-r", alice.pub, "--associated-data-file", data, plain)
    data.write_bytes(bytes(64 * 1024 + 1))
    alice.fails(QUOTA, "seal", *bound, data, plain)


def test_a_key_encryption_key(alice, bob, plain, tmp_path):
    kek = secret(tmp_path / "kek", f"pqc-kek-v1 {'01' * 16} 3 {'cd' * 32}\n")
    older = secret(tmp_path / "older", f"pqc-kek-v1 {'01' * 16} 2 {'ce' * 32}\n")
    alice.ok("seal", "--kek-file", kek, *PARTS, "-o", "c", plain)
    alice.ok("open", "--kek-file", kek, "-o", "copy", "c")
    assert (alice.cwd / "copy").read_bytes() == plain.read_bytes()
    alice.fails(REFUSED, "open", "--kek-file", older, "-o", "x", "c")
    alice.ok("rewrap", "--kek-file", kek, "--add", bob.pub, "c")
    bob.ok("open", alice.cwd / "c", "-o", tmp_path / "bobs")
    kek.chmod(0o644)
    alice.fails(REFUSED, "open", "--kek-file", kek, "-o", "x", "c")
    secret(tmp_path / "bad", "pqc-kek-v1 nonsense")
    assert "expected 'pqc-kek-v1" in alice.fails(
        CONFIG, "seal", "--kek-file", tmp_path / "bad", plain)


def test_bad_raw_keys(alice, plain, tmp_path):
    for text in ("", "ab" * 31, "ab" * 33, "xy" * 32, " " + "ab" * 32):
        key = tmp_path / "key"
        key.unlink(missing_ok=True)
        said = alice.fails(CONFIG, "seal", "--raw-key-file", secret(key, text), plain)
        assert "ab" * 20 not in said  # a key is not repeated
    assert not plain.with_name("plain.pqx").exists()


def test_seal_for_whom(alice, bob, plain, tmp_path):
    passphrase = secret(tmp_path / "pass", "x")
    assert "for whom" in alice.fails(USAGE, "seal", plain)
    alice.fails(USAGE, "seal", "-r", bob.pub, "--passphrase-file", passphrase, plain)
    alice.fails(NOT_FOUND, "seal", "-r", tmp_path / "missing.pub", plain)
    broken = tmp_path / "broken.pub"
    broken.write_text(bob.pub.read_text()[:-100])
    alice.fails(INTEGRITY, "seal", "-r", broken, plain)
    alice.fails(NOT_FOUND, "seal", "-r", bob.pub, tmp_path / "missing")
    assert not plain.with_name("plain.pqx").exists()


def test_wrong_sender_and_no_key(alice, bob, person, sealed, plain):
    eve = person("eve").keygen()
    bob.fails(REFUSED, "open", sealed, "-o", "x", "--from", bob.pub)
    eve.fails(REFUSED, "open", sealed, "-o", "x")
    person("nobody").fails(NOT_FOUND, "open", sealed, "-o", "x")
    bob.ok("seal", "-r", bob.pub, plain, "-o", "unsigned")
    bob.fails(REFUSED, "open", "unsigned", "-o", "x", "--from", bob.pub)
    for who in (bob, eve):
        assert not (who.cwd / "x").exists()


def test_damage(bob, sealed, tmp_path):
    whole = sealed.read_bytes()
    bad = tmp_path / "bad.pqx"
    last = len(whole) - 1

    def flipped(at):
        return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]

    cases = [b"", whole[:100], whole[:65536], whole[:65536 * 2], whole[:-1], whole + b"x",
             b"x" * len(whole), whole[:65536] + whole[131072:], *map(flipped, (
                 0, 9, 40, 70, 100, 140, 1000, 65535, 65536, 65600, 200_000, last - 3000, last))]
    for data in cases:
        bad.write_bytes(data)
        before = tree(bob.cwd)
        assert bob.run("open", bad).code in (INTEGRITY, REFUSED)
        assert bob.run("open", bad, "-o", "out").code in (INTEGRITY, REFUSED)
        assert tree(bob.cwd) == before and not (tmp_path / "bad").exists()
        assert bad.read_bytes() == data
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".pqc-tmp-")] == []


def test_existing_output(bob, sealed, plain):
    there = bob.cwd / "out"
    there.write_text("precious")
    assert "--force" in bob.fails(REFUSED, "open", sealed, "-o", there)
    assert "--force" in bob.fails(REFUSED, "seal", "-r", bob.pub, plain, "-o", there)
    truncated = sealed.with_name("truncated")
    truncated.write_bytes(sealed.read_bytes()[:-10])
    bob.fails(INTEGRITY, "open", truncated, "-o", there, "--force")
    assert there.read_text() == "precious"
    bob.ok("open", sealed, "-o", there, "--force")
    assert there.read_bytes() == plain.read_bytes()


def test_dangling_link_is_not_written_through(bob, sealed, tmp_path):
    link = bob.cwd / "out"
    link.symlink_to(tmp_path / "elsewhere")
    bob.fails(REFUSED, "open", sealed, "-o", link)
    bob.ok("open", sealed, "-o", link, "--force")
    assert not link.is_symlink() and not (tmp_path / "elsewhere").exists()


def test_odd_outputs(bob, sealed, tmp_path):
    bob.fails(FAILED, "open", sealed, "-o", tmp_path)
    bob.fails(NOT_FOUND, "open", sealed, "-o", tmp_path / "no" / "such")
    assert "-o FILE" in bob.fails(USAGE, "open", shutil.copy(sealed, bob.cwd / "nosuffix"))
    bob.fails(QUOTA, "open", sealed, "-o", "/dev/full")
    bob.ok("open", sealed, "-o", "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_output_in_place_of_the_input(bob, sealed, plain):
    bob.ok("open", sealed, "-o", sealed, "--force")
    assert sealed.read_bytes() == plain.read_bytes()


def test_standard_output_full(bob, sealed):
    with open("/dev/full", "wb") as full:
        bob.fails(QUOTA, "open", sealed, "-o", "-", stdout=full)
        bob.fails(QUOTA, "help", "--man", stdout=full)
        bob.fails(QUOTA, "inspect", sealed, stdout=full)


def test_reader_goes_away(bob, sealed):
    process = bob.popen("open", sealed, "-o", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == 5  # closed, and not killed by SIGPIPE


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", path],
                             capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small tmpfs here")
    yield path
    subprocess.run(["umount", path], check=True)


def test_full_disk(bob, sealed, plain, small_disk):
    (small_disk / "out").write_text("precious")
    for words in (("open", sealed), ("seal", "-r", bob.pub, plain)):
        bob.fails(QUOTA, *words, "-o", small_disk / "out", "--force")
        bob.fails(QUOTA, *words, "-o", small_disk / "new")
    assert [p.name for p in small_disk.iterdir()] == ["out"]
    assert (small_disk / "out").read_text() == "precious"


def test_read_only_directory(bob, sealed, tmp_path):
    directory = tmp_path / "read-only"
    directory.mkdir()
    directory.chmod(0o500)
    if os.geteuid() == 0:  # whom modes do not stop
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", directory],
                          capture_output=True).returncode != 0:
            pytest.skip("root, and cannot mount a read-only file system here")
    try:
        bob.fails(REFUSED, "open", sealed, "-o", directory / "x")
        bob.fails(REFUSED, "keygen", "-o", directory / "key")
        assert list(directory.iterdir()) == []
    finally:
        if os.path.ismount(directory):
            subprocess.run(["umount", directory], check=True)


# ---- terminals ----

def on_terminal(who, *words, typed=(), **streams):
    """Run it with a new terminal as its controlling one, and as the streams named. Returns the
    exit code and what the terminal showed. typed: (what to wait for, what to type)."""
    controller, terminal = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    process = who.popen(*words, preexec_fn=own_terminal, pass_fds=(terminal,),
                        **{name: terminal if value is True else value
                           for name, value in streams.items()})
    os.close(terminal)
    shown = b""

    def read():
        try:
            return os.read(controller, 4096)
        except OSError:  # the last one closed it
            return b""

    for prompt, answer in typed:
        while prompt not in shown:
            chunk = read()
            assert chunk, f"no prompt {prompt!r}: {shown!r}"
            shown += chunk
        shown = shown[shown.index(prompt) + len(prompt):]
        os.write(controller, answer)
    while chunk := read():
        shown += chunk
    code = process.wait(60)
    os.close(controller)
    return code, shown.decode(errors="replace")


def test_binary_is_not_written_to_a_terminal(bob, sealed, plain):
    for words in (("open", sealed, "-o", "-"), ("seal", "-r", bob.pub, plain, "-o", "-")):
        code, shown = on_terminal(bob, *words, stdin=subprocess.DEVNULL, stdout=True, stderr=True)
        assert code == USAGE and "terminal" in shown and "\x1b" not in shown


def test_nothing_is_read_from_a_terminal(bob):
    code, shown = on_terminal(bob, "seal", "-r", bob.pub, stdin=True, stdout=subprocess.DEVNULL,
                              stderr=True)
    assert code == USAGE and "standard input is a terminal" in shown


def test_passphrase_is_asked_for(alice, plain):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": True}
    twice = [(b"New passphrase: ", b"correct horse\n"), (b"again: ", b"correct horse\n")]
    code, shown = on_terminal(alice, "seal", "--passphrase", plain, "-o", "c", typed=twice, **quiet)
    assert code == 0 and "horse" not in shown
    code, shown = on_terminal(alice, "open", "-p", "c", "-o", "x",
                              typed=[(b"Passphrase: ", b"correct horse\n")], **quiet)
    assert code == 0 and (alice.cwd / "x").read_bytes() == plain.read_bytes()
    differ = [twice[0], (b"again: ", b"other\n")]
    code, shown = on_terminal(alice, "seal", "-p", plain, "-o", "d", typed=differ, **quiet)
    assert code == REFUSED and "differ" in shown
    code, shown = on_terminal(alice, "seal", "-p", plain, "-o", "d",
                              typed=[(b"New passphrase: ", b"\n")], **quiet)
    assert code == REFUSED and "empty" in shown
    code, shown = on_terminal(alice, "seal", "-p", plain, "-o", "d",
                              typed=[(b"New passphrase: ", b"abc\x03")], **quiet)  # Ctrl-C
    assert code == INTERRUPTED
    assert not (alice.cwd / "d").exists()


def test_protected_key_is_asked_for(person, tmp_path, plain):
    carol = person("carol")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": True}
    code, _ = on_terminal(carol, "keygen", "--passphrase", typed=[
        (b"New passphrase: ", b"secret\n"), (b"again: ", b"secret\n")], **quiet)
    assert code == 0
    code, shown = on_terminal(carol, "seal", "-r", carol.pub, "-s", plain, "-o", "c",
                              typed=[(b"identity: ", b"secret\n")], **quiet)
    assert code == 0 and "secret" not in shown


def test_control_characters_do_not_reach_the_terminal(alice, bob, tmp_path):
    name = "\x1b]0;owned\x07\u202efdp"
    file = random_file(tmp_path / name, 10)
    done = alice.ok("seal", "-r", bob.pub, file)
    assert "\x1b" not in done.err and "\u202e" not in done.err and "owned" in done.err
    done = bob.ok("inspect", f"{file}.pqx")
    assert "\x1b" not in done.out and "\u202e" not in done.out
    said = bob.fails(NOT_FOUND, "open", f"{file}.missing.pqx")
    assert "\x1b" not in said and "\u202e" not in said


# ---- interruption ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(alice, number):
    process = alice.popen("seal", "-r", alice.pub, "-", "-o", "out", *PARTS,
                          stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(os.urandom(1_000_000))  # more than a pipe holds: it has begun
    process.stdin.flush()
    process.send_signal(number)
    try:
        process.stdin.write(os.urandom(1_000_000))
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(60) == INTERRUPTED
    assert b"interrupted" in process.stderr.read()
    assert [p.name for p in alice.cwd.iterdir()] == ["home"]


# ---- rewrap ----

def opens(who, path, *words):
    return who.run("open", path, "-o", "-", *words).code


def test_add_and_remove_recipients(alice, bob, person, sealed, tmp_path):
    carol = person("carol").keygen("--suite", "Kyber1024")
    body = sealed.read_bytes()[65536:]
    assert opens(carol, sealed) == REFUSED
    bob.ok("rewrap", "--add", carol.pub, "-a", alice.pub, sealed)
    assert [opens(p, sealed) for p in (alice, bob, carol)] == [0, 0, 0]
    carol.ok("rewrap", "--remove", bob.id, "--remove", alice.pub, sealed)
    assert [opens(p, sealed) for p in (alice, bob, carol)] == [REFUSED, REFUSED, 0]
    shown, = alice.ok("inspect", "--json", sealed).objects
    assert shown["generation"] == 3 and [o["id"] for o in shown["opens_for"]] == [carol.id]
    assert sealed.read_bytes()[65536:] == body
    assert [p.name for p in tmp_path.iterdir() if "keyblock" in p.name] == []


def test_rewrap_passphrase(bob, sealed, plain, tmp_path):
    one, two = secret(tmp_path / "one", "one"), secret(tmp_path / "two", "two")
    bob.ok("rewrap", "--add-passphrase-file", one, sealed)
    assert opens(bob, sealed) == REFUSED
    assert opens(bob, sealed, "--passphrase-file", one) == 0
    bob.ok("rewrap", "--passphrase-file", one, "--add-passphrase-file", two, sealed)
    assert opens(bob, sealed, "--passphrase-file", one) == REFUSED
    bob.ok("rewrap", "--passphrase-file", two, "--remove-passphrase", "--add", bob.pub, sealed)
    assert opens(bob, sealed) == 0


def test_rewrap_refuses(alice, bob, sealed, tmp_path):
    before = sealed.read_bytes()
    passphrase = secret(tmp_path / "p", "x")
    bob.fails(USAGE, "rewrap", sealed)
    bob.fails(USAGE, "rewrap", "--remove-all", sealed)
    bob.fails(USAGE, "rewrap", "--add", alice.pub, "--add-passphrase-file", passphrase, sealed)
    bob.fails(NOT_FOUND, "rewrap", "--remove", alice.id, sealed)
    bob.fails(NOT_FOUND, "rewrap", "--remove", "not-an-id", sealed)
    assert bob.run("rewrap", "--remove", bob.id, sealed).code != 0  # nobody would be left
    alice.fails(REFUSED, "rewrap", "--add", alice.pub, sealed)      # cannot open it
    bob.fails(NOT_FOUND, "rewrap", "--add", alice.pub, tmp_path / "missing")
    bob.fails(INTEGRITY, "rewrap", "--add", alice.pub, passphrase)
    assert sealed.read_bytes() == before


# ---- inspect ----

def test_inspect(alice, bob, sealed):
    shown, = bob.ok("inspect", "--json", sealed).objects
    assert shown["sender_id"] == alice.id and shown["manifest"] == "signed"
    assert shown["size"] == SIZE and shown["suite"] == "Kyber768" and shown["end_to_end"] is True
    assert shown["opens_for"] == [{"kind": "recipient", "kem": "X-Wing", "id": bob.id}]
    text = bob.ok("inspect", sealed).out
    assert alice.id in text and bob.id in text
    with sealed.open("rb") as pipe:
        shown, = bob.ok("inspect", "-", "--json", stdin=pipe.read()).objects
    assert shown["manifest"] == "unseen"


def test_inspect_damaged(bob, sealed, tmp_path):
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-1])
    assert "damaged" in bob.fails(INTEGRITY, "inspect", sealed)
    sealed.write_bytes(whole[:1000])
    bob.fails(INTEGRITY, "inspect", sealed)
    bob.fails(NOT_FOUND, "inspect", tmp_path / "missing")
    assert bob.run("inspect", tmp_path).code == FAILED
