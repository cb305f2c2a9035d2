"""Federated learning on one machine, with what goes wrong in it: a straggler and a killed client.

    python run.py                       three rounds, four clients, a model of 8 MB
    python run.py --megabytes 500

Everything is real: the aggregator and each client are processes of their own. One client is too late
in round 1. Another is on a bad link that stops in the middle of its update; there it is killed
(SIGKILL), started again, and goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from pqc_secure_transfer import Identity, PublicIdentity, verify_receipt

HERE = Path(__file__).resolve().parent
CLIENTS = 4


class BadLink:
    """A port that leads to another one, until so many bytes have gone up; then nothing moves."""

    def __init__(self, target: Tuple[str, int], stop_after: int) -> None:
        self.target, self.left = target, stop_after
        self.stopped, self.mended = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            for pair in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if up and self.left <= 0 and not self.mended.is_set():
                    self.stopped.set()
                    self.mended.wait()
                self.left -= len(data) if up else 0
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def start(script: str, *args: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, str(HERE / script), *map(str, args)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def events(process: "subprocess.Popen[str]") -> Iterator[Dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--deadline", type=float, default=4, help="seconds a round may take")
    parser.add_argument("--json", action="store_true", help="print what the processes say")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="federated-") as tmp, contextlib.ExitStack() as stack:
        federation(Path(tmp), args, stack)


def federation(tmp: Path, args: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    def launch(script: str, *words: object) -> "subprocess.Popen[str]":
        process = start(script, *words)
        stack.callback(process.kill)
        return process

    # What people do once: each client makes a key and gives its public half to the aggregator.
    (tmp / "clients").mkdir()
    homes = [tmp / f"client{i}" for i in range(1, CLIENTS + 1)]
    who: Dict[str, str] = {}
    for home in homes:
        home.mkdir()
        identity = Identity.generate()
        identity.save(home / "identity", comment=home.name)
        (tmp / "clients" / f"{home.name}.pub").write_text(identity.public.text + "\n")
        who[identity.id.hex()[:8]] = home.name

    aggregator = launch("aggregator.py", "--home", tmp / "aggregator", "--clients",
                        tmp / "clients", "--rounds", args.rounds, "--deadline", args.deadline,
                        "--megabytes", args.megabytes)
    news = events(aggregator)
    listening = next(news)
    (tmp / "server.pub").write_text(listening["server"] + "\n")
    host, _, port = listening["address"].rpartition(":")
    link = BadLink((host, int(port)), stop_after=int(args.megabytes * 2**20 / 2))

    def client(i: int, *more: object) -> "subprocess.Popen[str]":
        address = link.address if i == CLIENTS - 1 else listening["address"]
        return launch("client.py", "--home", homes[i], "--server", tmp / "server.pub",
                      "--address", address, "--seed", i + 1, *more)

    processes = [client(i, *(["--straggle", 1] if i == 0 else [])) for i in range(CLIENTS)]
    if not link.stopped.wait(60):
        sys.exit("the bad link was never used")
    processes[-1].kill()        # in the middle of its update
    processes[-1].wait()
    link.mended.set()
    processes[-1] = client(CLIENTS - 1)
    print(f"{homes[-1].name} was killed in the middle of its first update, and started again")

    print(f"{'round':>5}  {'accuracy':>8}  in time, and who was missing")
    for happened in news:
        if args.json:
            print(json.dumps(happened))
        elif happened["event"] == "round":
            print(f"{happened['round']:>5}  {happened['accuracy']:>8.2%}  "
                  f"{', '.join(sorted(who[c] for c in happened['clients']))}"
                  f"; missing: {', '.join(sorted(who[c] for c in happened['missing'])) or 'nobody'}")
        elif happened["event"] in ("late", "refused"):
            print(f"       {who.get(happened['client'], happened['client'])} was "
                  f"{happened['event']} in round {happened['round']}: "
                  f"{happened.get('reason', 'its update is left out')}")
        if happened["event"] == "done":
            break
    report(args, homes, processes, PublicIdentity.load(tmp / "server.pub"))
    aggregator.communicate("\n", timeout=60)
    if aggregator.returncode != 0:
        sys.exit(f"the aggregator failed: {aggregator.returncode}")


def report(args: argparse.Namespace, homes: List[Path],
           processes: "List[subprocess.Popen[str]]", server: PublicIdentity) -> None:
    receipts = 0
    for home, process in zip(homes, processes):
        sent = [happened for happened in events(process) if happened["event"] == "sent"]
        if process.wait(60) != 0:
            sys.exit(f"{home.name} failed: {process.returncode}")
        resumed = sum(happened["resumed"] for happened in sent)
        if args.json:
            print(json.dumps({"event": "client", "client": home.name, "sent": len(sent),
                              "resumed": resumed}))
        elif resumed:
            print(f"{home.name} went on after {resumed / 2**20:.1f} MiB that the server had")
        sender = Identity.load(home / "identity").public
        for path in home.glob("*.receipt"):
            verify_receipt(path.read_bytes(), server=server, sender=sender)
            receipts += 1
    print(f"{receipts} receipts verified")


if __name__ == "__main__":
    main()
