"""The examples run, do what they say, and refuse what they should."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from conftest import TIMEOUT, TOP

import pqc_secure_transfer as pqc

np = pytest.importorskip("numpy")

EXAMPLES = TOP / "examples"
NOBODY = bytes(range(32))     # an id


def run(script: Path, *args: object) -> str:
    package = str(Path(pqc.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, str(script), *map(str, args)], text=True,
                          env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_seal_and_open() -> None:
    assert "alice cannot" in run(EXAMPLES / "python" / "seal_and_open.py")


def test_send_and_get() -> None:
    said = run(EXAMPLES / "python" / "send_and_get.py")
    assert "the server has signed for 50000000 bytes" in said
    assert "elsewhere alice may not" in said


def test_numpy_array() -> None:
    said = run(EXAMPLES / "python" / "numpy_array.py", 8)
    assert "got 8 MiB" in said and "ascontiguousarray" in said


# ---- federated learning ----

def test_a_federation_with_a_straggler_and_a_killed_client() -> None:
    happened: List[Dict[str, Any]] = []
    for line in run(EXAMPLES / "federated" / "run.py", "--json", "--deadline", 8).splitlines():
        if line.startswith("{"):
            happened.append(json.loads(line))
    rounds = [h for h in happened if h["event"] == "round"]
    assert [r["round"] for r in rounds] == [1, 2, 3]
    late = [h for h in happened if h["event"] == "late"]
    assert [h["round"] for h in late] == [1]
    assert rounds[0]["missing"] == [late[0]["client"]]
    assert len(rounds[0]["clients"]) == 3, "the killed client was there all the same"
    assert len(rounds[2]["clients"]) == 4
    assert rounds[2]["accuracy"] > 0.9      # by chance it is 0.5
    clients = [h for h in happened if h["event"] == "client"]
    assert [c["client"] for c in clients if c["resumed"] > 0] == ["client4"]
    assert all(c["sent"] == 3 for c in clients)


@pytest.fixture
def federated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tuple[Any, Any]]:
    """The example's modules aggregator and update."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "federated"))
    import aggregator
    import update
    yield aggregator, update
    for name in ("aggregator", "update", "model"):
        sys.modules.pop(name, None)


def test_updates_that_are_not_what_they_should_be(federated: Tuple[Any, Any], tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    aggregator, update = federated
    alice, mallory, chief = (pqc.Identity.generate() for _ in range(3))
    arrived: "queue.SimpleQueue[pqc.Received]" = queue.SimpleQueue()
    size = 1000
    with pqc.Server(tmp_path / "server", on_received=arrived.put) as server:
        who = aggregator.Aggregator(server, arrived, chief, [alice.public], size)
        client = pqc.Client(alice, server_id=server.public, known_servers=tmp_path / "known",
                            state_dir=tmp_path / "state")
        place = server.url(f"round-1/update-{alice.id.hex()}")

        def refused(size: int, fill: float, **about: Any) -> str:
            """What is said of such an update."""
            bad = update.Update.empty(size)
            bad.weights[:] = fill
            bad.seal_header(**about)
            client.send(bad.buffer, place)
            with pytest.raises(update.BadUpdate) as why:
                who.fetch(arrived.get(timeout=TIMEOUT), 1)
            return str(why.value)

        assert "finite" in refused(size, float("nan"), round=1, samples=10)
        assert "bytes" in refused(size + 1, 0.5, round=1, samples=10)
        assert "round 2" in refused(size, 0.5, round=2, samples=10)
        assert "samples" in refused(size, 0.5, round=1, samples=-10)
        assert "moved" in refused(size, 1e6, round=1, samples=10)
        client.send(bytes(update.HEADER + 4 * size), place)
        good = update.Update.empty(size)
        good.weights[:] = 0.5
        good.seal_header(round=1, samples=10)
        client.send(good.buffer, place)
        assert who.collect(1, deadline=TIMEOUT) == {alice.id}
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [s["reason"] for s in said] == ["a newer one has taken its place"]

        stranger = pqc.Client(mallory, server_id=server.public, known_servers=tmp_path / "known",
                              state_dir=tmp_path / "state")
        with pytest.raises(pqc.RefusedError):
            stranger.send(b"x", place)
        with pytest.raises(pqc.RefusedError):
            client.send(b"x", server.url(f"round-1/update-{mallory.id.hex()}"))
        with pytest.raises(pqc.RefusedError):
            client.get_bytes(place)     # not even one's own: only models may be read
    assert np.all(who.global_model.weights == np.float32(0.5))


def test_an_update_in_anothers_name(federated: Tuple[Any, Any], tmp_path: Path) -> None:
    """The log's line is believed in nothing that the manifest's signature does not say too."""
    aggregator, update = federated
    alice, bob, chief = (pqc.Identity.generate() for _ in range(3))
    with pqc.Server(tmp_path / "server") as server:
        who = aggregator.Aggregator(server, queue.SimpleQueue(), chief,
                                    [alice.public, bob.public], 1000)
        right = update.Update.empty(1000)
        right.seal_header(round=1, samples=1)
        name = f"round-1/update-{bob.id.hex()}"
        client = pqc.Client(bob, server_id=server.public, known_servers=tmp_path / "known",
                            state_dir=tmp_path / "state")
        sent = client.send(right.buffer, server.url(name))

        def received(name: str, sender: bytes) -> pqc.Received:
            return pqc.Received(name=name, size=right.buffer.size, sender_id=sender,
                                file_id=sent.file_id, seconds=0)

        with pytest.raises(update.BadUpdate):
            who.fetch(received(name, NOBODY), 1)
        with pytest.raises(update.BadUpdate):
            who.fetch(received(name, alice.id), 1)
        assert who.fetch(received(name, bob.id), 1).about["samples"] == 1
