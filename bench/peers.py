"""The programs that ours is compared with: how each is set up and started, at its best."""

import getpass
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from measure import Failure, Server, call, free_port

SSH_KEX = ("mlkem768x25519-sha256", "sntrup761x25519-sha512@openssh.com")   # the first there is
SSH_CIPHERS = {"": None, "-aes": "aes256-gcm@openssh.com"}
LARGE = {"scp": ["-X", "buffer=261120", "-X", "nrequests=64"],
         "sftp": ["-B", "261120", "-R", "64"]}


@dataclass
class Case:
    """One thing that is measured."""
    name: str
    kinds: tuple            # of send, get, seal, open: what it is compared with
    what: str               # for the legend
    command: list
    reads: Path             # its input, in the page cache before each run
    makes: Path             # made durable after each run if `sync`, and removed
    equals: Path = None     # what that must be equal to
    server: Server = None
    sync: bool = True       # False: the command itself does what makes the file durable
    env: dict = field(default_factory=dict)
    clean: Callable = None          # called after each run, to remove more than `makes`
    refine: Callable = None         # (sample, file of its standard output): corrects the sample
    to_stdout: bool = False         # `makes` is its standard output


@dataclass
class Place:
    """What the cases have to do with."""
    top: Path               # of the checkout
    dir: Path               # for everything that is made
    source: Path            # the file to move
    tools: Path             # where spent and tcpcopy are
    pqc: Path
    stack: object           # contextlib.ExitStack of the whole bench

    def subdir(self, name):
        path = self.dir / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def server(self, name, command, port, env=None):
        server = Server(name, self.dir, command, port, env)
        self.stack.callback(server.stop)
        return server


def need(program, extra="/usr/sbin:/sbin"):
    """The path of a program, or a Failure that says it is missing."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{extra}")
    if path is None:
        raise Failure(f"no {program} (scripts/setup bench installs what can be had)")
    return path


# ---- OpenSSH ----

class Ssh:
    """One OpenSSH: that of scripts/setup, version 10, or else the system's."""

    def __init__(self, place):
        own = place.top / ".deps/ssh10/bin"
        self.dir = place.subdir("ssh")
        self.bin = own if (own / "sshd").exists() else None
        self.version = self.banner()
        self.kex = self.best_kex()
        self.port = free_port()
        self.make_keys()
        config = self.dir / "sshd_config"
        config.write_text(self.config())
        self.server = place.server("sshd", [self.program("sshd"), "-D", "-e", "-f", config],
                                   self.port)

    def program(self, name):
        return self.bin / name if self.bin else need(name)

    def banner(self):
        done = subprocess.run([self.program("ssh"), "-V"], stderr=subprocess.PIPE, check=False)
        return ssh_version(done.stderr.decode(errors="replace"))

    def best_kex(self):
        have = call(self.program("ssh"), "-Q", "kex").split()
        for kex in SSH_KEX:
            if kex in have:
                return kex
        raise Failure(f"{self.version} has no quantum-safe key exchange")

    def make_keys(self):
        for name in ("host", "user"):
            call(self.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", self.dir / name)
        public = (self.dir / "host.pub").read_text()
        (self.dir / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")
        shutil.copy(self.dir / "user.pub", self.dir / "authorized_keys")

    def config(self):
        lines = ["ListenAddress 127.0.0.1", f"Port {self.port}", f"HostKey {self.dir}/host",
                 f"AuthorizedKeysFile {self.dir}/authorized_keys", "StrictModes no",
                 "PasswordAuthentication no", "PidFile none", f"KexAlgorithms {self.kex}",
                 "ForceCommand internal-sftp"]      # no shell that reads the user's startup files
        if self.bin is None:
            lines += ["UsePAM no", "Subsystem sftp internal-sftp"]
        return "\n".join(lines) + "\n"

    def client(self, tool, cipher):
        options = [f"KexAlgorithms={self.kex}", f"IdentityFile={self.dir}/user",
                   "IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes",
                   f"UserKnownHostsFile={self.dir}/known_hosts", "StrictHostKeyChecking=yes"]
        if cipher is not None:
            options.append(f"Ciphers={cipher}")
        return [self.program(tool), "-q", "-F", "/dev/null", "-P", str(self.port), *LARGE[tool],
                *(word for option in options for word in ("-o", option))]


def ssh_version(banner):
    """OpenSSH_10.0p2 Debian-7, OpenSSL 3.5.1 1 Jul 2025 -> OpenSSH 10.0p2, OpenSSL 3.5.1"""
    found = re.match(r"OpenSSH_(\S+?),? .*?(OpenSSL \S+)", banner)
    return f"OpenSSH {found[1]}, {found[2]}" if found else banner.strip()


def ssh_cases(place):
    ssh = Ssh(place)
    here = f"{getpass.getuser()}@127.0.0.1"
    made = ssh.dir / "copy"
    for suffix, cipher in SSH_CIPHERS.items():
        what = f"{ssh.version}, {ssh.kex}, {cipher or 'default cipher'}"
        scp, sftp = ssh.client("scp", cipher), ssh.client("sftp", cipher)
        for direction, kind in (("", "send"), ("-get", "get")):
            ends = ([place.source, f"{here}:{made}"] if kind == "send" else
                    [f"{here}:{place.source}", made])
            yield Case(f"scp{direction}{suffix}", (kind,), what, [*scp, *ends], place.source, made,
                       place.source, ssh.server)
            batch = ssh.dir / f"batch-{kind}"
            batch.write_text(f"{'put' if kind == 'send' else 'get'} {place.source} {made}\n")
            yield Case(f"sftp{direction}{suffix}", (kind,), what, [*sftp, "-b", batch, here],
                       place.source, made, place.source, ssh.server)


# ---- HTTPS ----

NGINX = """
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
	log_format tls '$ssl_protocol $ssl_cipher $ssl_curve';
	access_log {dir}/access.log tls;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	client_max_body_size 0;
	client_body_buffer_size 1m;
	sendfile on;
	server {{
		listen 127.0.0.1:{port} ssl;
		ssl_certificate {dir}/cert.pem;
		ssl_certificate_key {dir}/key.pem;
		ssl_protocols TLSv1.3;
		root {dir}/root;
		location / {{ dav_methods PUT; dav_access user:rw; }}
	}}
}}
"""
GROUPS = {"0x11ec": "X25519MLKEM768"}       # names of groups that an older nginx does not know


def newer_openssl(place):
    """
    What to put in front of a program so that it runs with OpenSSL 3.5, which is quantum-safe and
    faster, where the system's is older but scripts/setup has unpacked a newer one for OpenSSH.
    """
    version = call(need("openssl"), "version").split()[1]
    if tuple(map(int, re.findall(r"\d+", version)[:2])) >= (3, 5):
        return []
    for loader in (place.top / ".deps/ssh10/usr/lib").glob("*/ld-linux*.so.*"):
        return [loader, "--library-path", loader.parent]
    return []


def https_cases(place):
    nginx, curl = need("nginx"), need("curl")
    directory = place.subdir("https")
    place.subdir("https/root")
    os.link(place.source, directory / "root/source")
    call(need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", directory / "key.pem", "-out", directory / "cert.pem")
    port = free_port()
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    (directory / "nginx.conf").write_text(NGINX.format(dir=directory, port=port, user=user))
    loader = newer_openssl(place)
    server = place.server("nginx", [*loader, nginx, "-c", directory / "nginx.conf"], port)
    url = f"https://127.0.0.1:{port}"
    client = [*loader, curl, "-sS", "--fail", "--noproxy", "*", "--tlsv1.3", "--cacert",
              directory / "cert.pem"]
    server.start()
    call(*client, "-r", "0-0", "-o", directory / "probe", f"{url}/source")
    what = f"{version_of([*loader, nginx, '-v'])}, {version_of([*loader, curl, '-V'])}, {agreed(directory)}"
    yield Case("https-put", ("send",), what, [*client, "-T", place.source, f"{url}/copy"],
               place.source, directory / "root/copy", place.source, server)
    yield Case("https-get", ("get",), what, [*client, "-o", directory / "copy", f"{url}/source"],
               place.source, directory / "copy", place.source, server)


def agreed(directory):
    """TLS version, cipher and key exchange of the last connection, as nginx logged them."""
    tls, cipher, group = (directory / "access.log").read_text().split("\n")[-2].split()
    return f"{tls} {cipher} {GROUPS.get(group.lower(), group)}"


def version_of(command):
    """Name and version of a program, and of its OpenSSL, from the first line that it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    line = done.stdout.decode(errors="replace").split("\n")[0].removeprefix("nginx version: ")
    found = re.match(r"(\S*?)[ /]?\(?(?:GnuPG\) )?(v?\d\S*)", line)
    openssl = re.search(r"OpenSSL/\S+", line)
    words = [*(found.groups() if found else [line]), openssl[0] if openssl else ""]
    return " ".join(filter(None, words))


# ---- plain TCP ----

def tcp_cases(place):
    directory = place.subdir("tcp")
    port, made, program = free_port(), directory / "copy", place.tools / "tcpcopy"
    server = place.server("tcpcopy", [program, "serve", port, made], port)
    yield Case("tcp", ("send", "get"), "sendfile over plain TCP: the limit",
               [program, "send", port, place.source], place.source, made, place.source, server)


# ---- file encryption ----

def pair(place, names, what, directory, seal, unseal):
    """Sealing, and opening what was sealed once before. seal and unseal: (output, input) -> argv"""
    sealed = directory / "sealed"
    call(*seal(sealed, place.source))
    made = directory / "made"
    yield Case(names[0], ("seal",), what, seal(made, place.source), place.source, made)
    yield Case(names[1], ("open",), what, unseal(made, sealed), sealed, made,
               place.source)


def age_cases(place):
    age, keygen = need("age"), need("age-keygen")
    directory = place.subdir("age")
    key = directory / "key"
    try:
        call(keygen, "-pq", "-o", key)
        kind = "post-quantum recipient"
    except Failure:
        call(keygen, "-o", key)
        kind = "X25519 recipient (this age has no post-quantum ones)"
    recipient = call(keygen, "-y", key).strip()
    yield from pair(place, ("age", "age-open"), f"age {version_of([age, '--version'])}, {kind}",
                    directory, lambda out, file: [age, "-r", recipient, "-o", out, file],
                    lambda out, file: [age, "-d", "-i", key, "-o", out, file])


def gpg_cases(place):
    gpg = need("gpg")
    directory = place.subdir("gpg")
    (directory / "passphrase").write_text("only for the benchmark\n")
    base = [gpg, "--homedir", directory, "--batch", "--quiet", "--no-options", "--pinentry-mode",
            "loopback", "--passphrase-file", directory / "passphrase", "--s2k-count", "65536"]
    place.stack.callback(call, "gpgconf", "--homedir", directory, "--kill", "all")
    yield from pair(place, ("gpg", "gpg-open"),
                    f"{version_of([gpg, '--version'])}, AES256, passphrase, no compression",
                    directory, lambda out, file: [*base, "--cipher-algo", "AES256", "-z", "0",
                                                  "-o", out, "--symmetric", file],
                    lambda out, file: [*base, "-o", out, "--decrypt", file])


SSH_NAMES = [f"{tool}{direction}{suffix}" for direction in ("", "-get") for tool in ("scp", "sftp")
             for suffix in SSH_CIPHERS]
