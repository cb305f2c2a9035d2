"""libpqc as another program meets it: installed, found by pkg-config alone, and beside the real
`pqc` and `pqc serve`. What its functions do is in tests/unit/test_lib_*.c."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (INTERRUPTED, MIB, NOT_FOUND, PROGRAM, TIMEOUT, TOP, Pqc, Proxy, Server,
                     clean_environment, random_file, same, sanitized, until)

EXAMPLES = ("memory", "seal", "send", "stream")
RECEIVED = 'pqc_parts_total{direction="received"}'

pytestmark = [
    pytest.mark.skipif(sanitized(), reason="a program without the sanitizer does not load this library"),
    pytest.mark.skipif(shutil.which("pkg-config") is None or shutil.which("cc") is None,
                       reason="needs cc and pkg-config"),
]


class Installed:
    """The built tree, installed into a directory of its own, and programs built against that."""

    def __init__(self, root: Path):
        self.root = root
        subprocess.run(["meson", "install", "-C", PROGRAM.parent, "--no-rebuild", "--quiet",
                        "--destdir", root], check=True, capture_output=True)
        self.lib = next(root.rglob("libpqc.so")).parent
        self.env = clean_environment(PKG_CONFIG_PATH=str(self.lib / "pkgconfig"),
                                     PKG_CONFIG_SYSROOT_DIR=str(root),
                                     LD_LIBRARY_PATH=str(self.lib))
        self.bin = root / "examples"
        shutil.copytree(TOP / "examples" / "c", self.bin,
                        ignore=lambda d, names: [n for n in names if n in EXAMPLES])

    def sh(self, *words: str | Path, **more: str) -> str:
        done = subprocess.run([str(w) for w in words], env={**self.env, **more}, cwd=self.bin,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, who: Pqc, example: str, *words: str | Path) -> subprocess.Popen[bytes]:
        """An example, as a person with a home of his own."""
        return subprocess.Popen([str(self.bin / example), *map(str, words)], cwd=who.cwd,
                                env={**self.env, "PQC_HOME": str(who.home)},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, who: Pqc, example: str, *words: str | Path) -> tuple[int, bytes, str]:
        process = self.start(who, example, *words)
        out, err = process.communicate(timeout=TIMEOUT)
        return process.returncode, out, err.decode()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    there = Installed(tmp_path_factory.mktemp("installed"))
    there.sh("make", "-s", CFLAGS="-O1 -Wall -Wextra -Wpedantic -Werror")
    return there


# ---- what is installed ----

def test_pkg_config_is_enough(installed: Installed) -> None:
    """Nothing but our own directories, and no package that its user would need besides."""
    flags = installed.sh("pkg-config", "--cflags", "--libs", "libpqc").split()
    assert flags[-1] == "-lpqc"
    assert all(f[:2] in ("-I", "-L", "-l") for f in flags), flags
    assert [f for f in flags if f.startswith("-l")] == ["-lpqc"]
    version = installed.sh("pkg-config", "--modversion", "libpqc").strip()
    assert f"pqc {version}" in subprocess.run([PROGRAM, "--version"], capture_output=True,
                                              text=True, check=True).stdout


def test_library_is_versioned(installed: Installed) -> None:
    dynamic = installed.sh("readelf", "-d", installed.lib / "libpqc.so")
    assert re.search(r"SONAME.*\[libpqc\.so\.0\]", dynamic)
    assert (installed.lib / "libpqc.so").resolve().name.startswith("libpqc.so.0.")
    assert (installed.lib / "libpqc.so.0").exists()


def test_library_exports_the_header_and_nothing_else(installed: Installed) -> None:
    symbols = {line.split()[-1] for line in installed.sh(
        "nm", "-D", "--defined-only", installed.lib / "libpqc.so").splitlines()}
    header = (TOP / "include" / "pqc.h").read_text()
    declared = set(re.findall(r"^PQC_API [^;]*?\b\*?(pqc_\w+)\(", header, re.M))
    assert len(declared) > 40
    assert symbols == declared
    assert symbols == set((TOP / "scripts" / "exports.txt").read_text().split())


def test_library_brings_its_openssl_along(installed: Installed) -> None:
    """Where the system's OpenSSL is too old ours is inside, and never mixed with it."""
    found = installed.sh("ldd", installed.lib / "libpqc.so")
    assert "not found" not in found
    if (TOP / ".deps" / "root" / "lib" / "libcrypto.a").exists():
        assert "libcrypto" not in found and "libssl" not in found


def test_the_systems_openssl_configuration_is_left_alone(installed: Installed, tmp_path: Path) -> None:
    """It may want what our OpenSSL has not, and is not about it."""
    if not (TOP / ".deps" / "root" / "lib" / "libcrypto.a").exists():
        pytest.skip("the system's OpenSSL is new enough")
    configuration = tmp_path / "openssl.cnf"
    configuration.write_text("openssl_conf = init\n[init]\nalg_section = algorithms\n"
                             "[algorithms]\ndefault_properties = fips=yes\n")
    source = tmp_path / "identity.c"
    source.write_text('#include <pqc.h>\nint main(void) { struct pqc_identity *id;'
                      ' return pqc_identity_generate(0, &id, 0) != PQC_OK; }\n')
    flags = installed.sh("pkg-config", "--cflags", "--libs", "libpqc").split()
    installed.sh("cc", source, "-o", tmp_path / "identity", *flags)
    installed.sh(tmp_path / "identity", OPENSSL_CONF=str(configuration))
    installed.sh(PROGRAM, "keygen", "-o", tmp_path / "key",
                 OPENSSL_CONF=str(configuration))


@pytest.mark.parametrize("compiler", [
    ["cc", "-x", "c", "-std=c11"], ["cc", "-x", "c", "-std=c17"], ["c++", "-x", "c++", "-std=c++17"],
    ["clang", "-x", "c", "-std=c11"], ["clang++", "-x", "c++", "-std=c++17"],
], ids=lambda words: f"{words[0]} {words[-1]}")
def test_header_compiles_alone(installed: Installed, compiler: list[str], tmp_path: Path) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no {compiler[0]}")
    source = tmp_path / "alone.txt"
    source.write_text('#include <pqc.h>\n#include <pqc.h>\n'
                      'int main(void) { struct pqc_seal_options o = PQC_INIT(o);'
                      ' return o.struct_size == sizeof(o) && o.kek == 0 ? 0 : 1; }\n')
    cflags = installed.sh("pkg-config", "--cflags", "libpqc").split()
    installed.sh(*compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", *cflags,
                 source, "-o", tmp_path / "alone")
    installed.sh(tmp_path / "alone")


def test_cplusplus_links(installed: Installed, tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no c++")
    source = tmp_path / "version.cc"
    source.write_text('#include <pqc.h>\n#include <cstdio>\nint main() { std::puts(pqc_version()); }\n')
    flags = installed.sh("pkg-config", "--cflags", "--libs", "libpqc").split()
    installed.sh("c++", source, "-o", tmp_path / "version", *flags)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", installed.sh(tmp_path / "version"))


# ---- the examples ----

def test_seal_is_opened_by_pqc(installed: Installed, alice: Pqc, tmp_path: Path) -> None:
    plain = random_file(tmp_path / "plain", 5 * MIB + 7)
    code, out, err = installed.run(alice, "seal", "seal", alice.pub, plain, tmp_path / "plain.pqx")
    assert code == 0, err
    assert b"sealed: 5242887 bytes" in out and "100 %" in err
    alice.ok("open", "-o", tmp_path / "back", tmp_path / "plain.pqx")
    assert same(plain, tmp_path / "back")


def test_seal_opens_what_pqc_sealed(installed: Installed, alice: Pqc, tmp_path: Path) -> None:
    plain = random_file(tmp_path / "plain", 3 * MIB)
    alice.ok("seal", "--sign", "-r", alice.pub, "-o", tmp_path / "sealed", plain)
    code, out, err = installed.run(alice, "seal", "open", alice.key, tmp_path / "sealed",
                                   tmp_path / "back")
    assert code == 0, err
    assert b"3145728 bytes, signed" in out
    assert same(plain, tmp_path / "back")


def test_seal_says_why_and_exits_as_pqc(installed: Installed, alice: Pqc, tmp_path: Path) -> None:
    code, _, err = installed.run(alice, "seal", "seal", alice.pub, tmp_path / "absent",
                                 tmp_path / "out")
    assert code == NOT_FOUND and "absent" in err and "(not-found)" in err
    assert not (tmp_path / "out").exists()


def test_seal_ends_at_ctrl_c(installed: Installed, alice: Pqc, tmp_path: Path) -> None:
    """While it waits for a pipe that brought a little and then nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = installed.start(alice, "seal", "seal", alice.pub, pipe, tmp_path / "out")
    with pipe.open("wb", buffering=0) as feed:  # opens when the example has opened it
        feed.write(bytes(MIB))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == INTERRUPTED, err
    assert b"(interrupted)" in err
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".pqc", "out"))] == []


def test_send_is_got_by_pqc(installed: Installed, known: Server, alice: Pqc, tmp_path: Path) -> None:
    plain = random_file(tmp_path / "plain", 3 * MIB + 1)
    code, out, err = installed.run(alice, "send", plain, known.url("from/library"))
    assert code == 0, err
    facts = dict(line.split(None, 1) for line in out.decode().splitlines())
    assert facts["server"] == known.id and facts["sender"] == alice.id
    assert facts["size"] == str(3 * MIB + 1)
    alice.ok("get", "-o", tmp_path / "back", known.url("from/library"))
    assert same(plain, tmp_path / "back")


def test_send_goes_on_where_it_stopped(installed: Installed, known: Server, alice: Pqc,
                                       make_proxy: Callable[[Server], Proxy],
                                       tmp_path: Path) -> None:
    """Killed midway; `pqc send` of the same file goes on, for both keep the same journal."""
    plain = random_file(tmp_path / "plain", 24 * MIB)
    proxy = make_proxy(known)
    alice.knows(known, proxy.address)
    proxy.hold("up", 12 * MIB)
    process = installed.start(alice, "send", plain, known.url("half", through=proxy))
    assert proxy.held.wait(TIMEOUT)
    until(lambda: alice.journals and known.metric(RECEIVED) >= 8, "a third of it there")
    process.kill()
    process.communicate()
    proxy.release()
    done = alice.json("send", plain, known.url("half", through=proxy))
    assert done["resumed_bytes"] > 0


def test_send_says_whom_it_does_not_know(installed: Installed, server: Server, alice: Pqc,
                                         tmp_path: Path) -> None:
    plain = random_file(tmp_path / "plain", 1000)
    code, _, err = installed.run(alice, "send", plain, server.url("x"))
    assert code != 0 and "(unknown-server)" in err


def test_memory_there_and_back(installed: Installed, known: Server, alice: Pqc,
                               tmp_path: Path) -> None:
    code, out, err = installed.run(alice, "memory", known.url("array"), "1000000")
    assert code == 0, err
    assert b"got 4000000 bytes, the same" in out
    alice.ok("get", "-o", tmp_path / "array", known.url("array"))
    assert (tmp_path / "array").stat().st_size == 4_000_000


def test_stream_is_opened_by_pqc(installed: Installed, alice: Pqc, tmp_path: Path) -> None:
    code, out, err = installed.run(alice, "stream", alice.pub, "300000")
    assert code == 0, err
    (tmp_path / "sealed").write_bytes(out)
    plain = alice.ok("open", "-o", "-", tmp_path / "sealed").stdout
    assert plain == b"".join(b"%d\n" % i for i in range(1, 300001))


def test_stream_into_a_full_disk_fails(installed: Installed, alice: Pqc) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([installed.bin / "stream", alice.pub, "100"], stdout=full,
                              stderr=subprocess.PIPE, env=installed.env, check=False)
    assert done.returncode == 1 and done.stderr
