"""A Flower federation on this machine: python run.py

Needs `pip install flwr`. A real SuperLink and a real SuperNode for each client, all on loopback, each a
process; `flwr run` gives them the app. What Flower would report about its use is switched off.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from place import CLIENTS, DIRECTORY, make_members, name_of

from pqc_secure_transfer import PublicIdentity, Server

HERE = Path(__file__).resolve().parent
LEARNING = HERE.parent / "federated"        # model.py and update.py: the same as without Flower
COUNT = 3
SECONDS = 180                               # that all of it may take


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "127.0.0.1:%d" % listener.getsockname()[1]


def wait_for(address: str) -> None:
    """Until somebody listens there."""
    host, port = address.split(":")
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def environment(directory: Path, superlink: str) -> "dict[str, str]":
    """For Flower's processes: where we are, and a home of its own."""
    home = directory / "flower-home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{superlink}"\n'
        'insecure = true\n')
    return {**os.environ, DIRECTORY: str(directory), CLIENTS: str(COUNT),
            "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(LEARNING), os.environ.get("PYTHONPATH", "")])}


def federation(directory: Path, stack: contextlib.ExitStack) -> int:
    superlink = free_address()
    env = environment(directory, superlink)

    def start(program: str, *words: str) -> None:
        log = stack.enter_context(open(directory / f"{program}.log", "ab"))
        process = subprocess.Popen([program, "--insecure", *words], env=env, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)

    host, port = superlink.split(":")
    start("flower-superlink", "--disable-runtime-dependency-installation",
          "--host", host, "--port", port)
    wait_for(superlink)
    for number in range(COUNT):
        start("flower-supernode", "--superlink", superlink, "--port", free_address().split(":")[1],
              "--node-config", f"partition-id={number}")
    done = subprocess.run(["flwr", "run", str(HERE), "here", "--stream"], env=env,
                          timeout=SECONDS)
    if done.returncode != 0:
        for log in sorted(directory.glob("*.log")):
            print(f"---- {log.name}\n{log.read_text()}", file=sys.stderr)
    return done.returncode


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="flower-") as tmp, contextlib.ExitStack() as stack:
        directory = Path(tmp)
        make_members(directory, COUNT)
        server = stack.enter_context(Server(directory / "server"))
        (directory / "address").write_text(server.address)
        (directory / "server.pub").write_text(server.public.text + "\n")
        for number in range(-1, COUNT):
            public = PublicIdentity.load(directory / name_of(number) / "identity.pub")
            if number < 0:
                server.allow(public, "all")
            else:
                server.allow(public, "get", "round-*/model")
                server.allow(public, "put", "round-*/update-{id}")
        return federation(directory, stack)


if __name__ == "__main__":
    sys.exit(main())
