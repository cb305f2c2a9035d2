"""pqc: send and get through a server, seal and open of files."""

import json
import shutil
from dataclasses import replace

from measure import Failure, call, free_port
from peers import Case


class Pqc:
    """A client with a home of its own; servers are made as needed."""

    def __init__(self, place):
        if not place.pqc.exists():
            raise Failure(f"no {place.pqc}: run make")
        self.place = place
        self.dir = place.subdir("pqc")
        self.home = self.dir / "home"
        self.env = {"PQC_HOME": str(self.home)}
        if not self.home.exists():
            self("keygen")

    def __call__(self, *words):
        return call(self.place.pqc, *words, env=self.env)

    def serve(self, name, *options, store=None):
        """A server with an empty store, or that of another one: (Server, directory, URL for an object)."""
        data, port = self.dir / (store or name), free_port()
        server = self.place.server(f"pqc-{name}", [
            self.place.pqc, "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", data,
            *options], port, self.env)
        if not data.exists():
            data.mkdir(mode=0o700)
            self("trust", "allow", "--data-dir", data, self.home / "identity.pub", "--rights",
                 "all", "--path", "**")
        server.start()
        self("trust", "add", f"127.0.0.1:{port}", data / "identity.pub")
        return server, data, f"pqc://127.0.0.1:{port}/file"


def received_earlier(sample, out):
    """The command ends when everything is durable; it tells when everything had arrived."""
    said = json.loads(out.read_text().strip().splitlines()[-1])
    syncing = said["seconds"] - said.get("seconds_received", said["seconds"])
    return replace(sample, received=sample.received - syncing)


def empty(store):
    """Remove the objects behind the server's back, so that it meets each name for the first time."""
    for part in ("objects", "names"):
        for shard in (store / part).iterdir():
            shutil.rmtree(shard)


def send_case(place, name, what, *options):
    """All to one store: where on a disk a file comes to lie makes a difference of some per cent."""
    pqc = Pqc(place)
    server, data, url = pqc.serve(name, *options, store="send")
    return Case(name, ("send",), what, [place.pqc, "send", place.source, url, "--json"],
                place.source, pqc.dir / "nothing", None, server, sync=False, env=pqc.env,
                clean=lambda: empty(data), refine=received_earlier)


def send_cases(place):
    yield send_case(place, "send", "pqc, one connection, durable by itself")
    yield send_case(place, "no-metrics", "the same to a server that counts and times nothing",
                    "--no-metrics")


def get_cases(place):
    pqc = Pqc(place)
    server, data, url = pqc.serve("get")
    pqc("send", place.source, url)
    stored = next(data.glob("objects/*/*/body"))
    made = pqc.dir / "copy"
    yield Case("get", ("get",), "pqc, one connection, durable by itself",
               [place.pqc, "get", url, "-o", made, "--json"], stored, made, place.source,
               server, sync=False, env=pqc.env, refine=received_earlier)


def file_cases(place):
    """To standard output, as that is not made durable by pqc itself: so it is for all alike."""
    pqc = Pqc(place)
    sealed, made = pqc.dir / "sealed", pqc.dir / "made"
    to = ["-r", pqc.home / "identity.pub"]
    pqc("seal", *to, "-o", sealed, place.source)
    yield Case("seal", ("seal",), "pqc, to a recipient, > FILE",
               [place.pqc, "seal", *to, "-o", "-", place.source], place.source, made,
               env=pqc.env, to_stdout=True)
    yield Case("open", ("open",), "pqc, with an identity, > FILE",
               [place.pqc, "open", "-o", "-", sealed], sealed, made, place.source,
               env=pqc.env, to_stdout=True)
