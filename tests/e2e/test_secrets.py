"""Secrets: not in argument lists, logs, error texts or core dumps; key files are for their owner alone."""

import re
from pathlib import Path

import pytest

from harness import MIB, REFUSED, random_file, until

PASSPHRASE = "tr0ub4dor and a three word tail"


def secrets_of(server):
    """The KEK in hex, and the private keys' base64 lines."""
    kek = re.findall(r"[0-9a-f]{64}", (server.data / "kek").read_text())
    assert kek, "the KEK file holds no key"
    return kek + key_lines(server.data / "identity")


def key_lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("-")]


def said(server):
    return "\n".join(str(line) for line in server.events())


@pytest.mark.asan
def test_first_start_makes_keys_for_the_owner_alone(server):
    for name in ("identity", "kek"):
        assert (server.data / name).stat().st_mode & 0o777 == 0o600, name
    assert server.data.stat().st_mode & 0o077 == 0


def test_nothing_secret_is_logged(known, alice, shelf):
    source = random_file(shelf / "source", MIB)
    done = alice.run("send", source, known.url("a"))
    assert done.code == 0
    alice.run("get", known.url("absent"))
    alice.fails(REFUSED, "get", known.url("absent"))
    known.reload()
    text = said(known) + done.out + done.err
    for secret in secrets_of(known) + key_lines(alice.key):
        assert secret not in text


def test_arguments_hold_no_secret(known, alice, shelf, tmp_path):
    """What any user of the machine can read with ps."""
    key = tmp_path / "protected"
    words = tmp_path / "words"
    words.write_text(PASSPHRASE + "\n")
    words.chmod(0o600)
    alice.ok("keygen", "--out", key, "--passphrase-file", words)
    known.allow(Path(f"{key}.pub"))
    source = random_file(shelf / "source", 64 * MIB)
    sending = alice.begin("send", source, known.url("a"), "-i", key, "--passphrase-file", words)
    seen = []

    def look():
        for pid in (sending.pid, known.pid):
            try:
                seen.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                pass
        return not sending.running()

    until(look, "the end of the transfer")
    assert sending.done().code == 0
    assert any("send" in line for line in seen)
    for line in seen:
        assert PASSPHRASE not in line
        assert not any(secret in line for secret in secrets_of(known))


def test_a_passphrase_cannot_be_given_as_an_argument(alice, tmp_path):
    help_text = alice.ok("keygen", "--help").out
    assert "--passphrase-file" in help_text
    assert not re.search(r"--passphrase[ =](?!-)[A-Z]", help_text)


def test_no_core_dumps(known, alice, shelf):
    limits = Path(f"/proc/{known.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
    # A process that may not be dumped belongs to root in /proc, whoever runs it.
    sending = alice.begin("send", "-", known.url("pipe"), stdin=-1)
    try:
        def dump_size():
            text = Path(f"/proc/{sending.pid}/limits").read_text()
            return re.search(r"Max core file size\s+0\s+0\s", text)

        until(dump_size, "core dumps of the client to be off")
    finally:
        sending.close_stdin()
        sending.done()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666])
@pytest.mark.asan
def test_a_key_file_that_others_can_read_is_refused(known, alice, shelf, mode):
    source = random_file(shelf / "source", 10)
    alice.key.chmod(mode)
    message = alice.fails(REFUSED, "send", source, known.url("a"))
    assert str(alice.key) in message and "chmod" in message
    assert f"{mode:o}" in message


def test_a_wrong_passphrase_is_not_repeated(alice, tmp_path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(PASSPHRASE)
    wrong.write_text("not " + PASSPHRASE)
    for path in (right, wrong):
        path.chmod(0o600)
    source = random_file(tmp_path / "source", 100)
    alice.ok("seal", "--passphrase-file", right, "--out", tmp_path / "sealed", source)
    message = alice.fails(REFUSED, "open", "--passphrase-file", wrong, "--out", tmp_path / "opened",
                          tmp_path / "sealed")
    assert PASSPHRASE not in message
    assert not (tmp_path / "opened").exists()


def test_a_stored_object_holds_no_plaintext(known, alice, shelf):
    """What lies on the server's disk is ciphertext, and the file key lies there only wrapped."""
    line = b"the quick brown fox is a confidential informant\n"
    source = shelf / "source"
    source.write_bytes(line * 50000)
    alice.ok("send", source, known.url("a"))
    for path in known.data.rglob("*"):
        if path.is_file():
            assert line.strip() not in path.read_bytes(), path


def test_environment_of_the_server_is_not_its_secret_store(known):
    environment = Path(f"/proc/{known.pid}/environ").read_bytes().decode(errors="replace")
    assert not any(secret in environment for secret in secrets_of(known))
