"""Memory: peak resident size of every side stays under 48 MiB and does not grow with the file."""

import os
import threading
import time

import pytest

from harness import GIB, KIB, MIB, Running, status_of

LIMIT = 48 * 1024   # KiB
GROWTH = 4 * 1024   # KiB that the second half of a transfer may add to the first


def big_file(path, size):
    """Holes read as zeros: as much to seal and send as anything else, and quick to make."""
    with path.open("wb") as f:
        f.truncate(size)
        f.write(os.urandom(MIB))
    return path


class Watch:
    """Samples VmHWM and VmRSS of processes until they end or it is stopped."""

    def __init__(self, *pids):
        self.samples = {pid: [] for pid in pids}
        self.peak = dict.fromkeys(pids, 0)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopped.is_set():
            for pid, samples in self.samples.items():
                rss, peak = status_of(pid, "VmRSS"), status_of(pid, "VmHWM")
                if rss and peak:
                    samples.append(rss)
                    self.peak[pid] = max(self.peak[pid], peak)
            time.sleep(0.01)    # the rate of sampling, not a wait for anything

    def check(self):
        self.stopped.set()
        self.thread.join()
        for pid, samples in self.samples.items():
            assert len(samples) > 8, "too short to say anything"
            assert self.peak[pid] < LIMIT, f"peak {self.peak[pid]} KiB"
            quarter, half = len(samples) // 4, len(samples) // 2
            assert max(samples[half:]) - max(samples[quarter:half]) < GROWTH, samples[::20]


def transfer(alice, server, shelf, size):
    source = big_file(shelf / "source", size)
    sending = alice.begin("send", source, server.url("big"), "--quiet")
    watch = Watch(sending.pid, server.pid)
    assert sending.done(3600).code == 0
    watch.check()
    getting = alice.begin("get", server.url("big"), "--out", shelf / "target", "--quiet")
    watch = Watch(getting.pid, server.pid)
    assert getting.done(3600).code == 0
    watch.check()


def offline(alice, shelf, size):
    source = big_file(shelf / "source", size)
    for words in (("seal", "-r", alice.pub, "--out", shelf / "sealed", source),
                  ("open", "--out", shelf / "opened", shelf / "sealed")):
        running: Running = alice.begin(*words)
        watch = Watch(running.pid)
        assert running.done(3600).code == 0
        watch.check()


def test_transfer_of_a_gigabyte(known, alice, shelf):
    transfer(alice, known, shelf, GIB)


def test_seal_and_open_of_a_gigabyte(alice, shelf):
    offline(alice, shelf, GIB)


@pytest.mark.parametrize("clients", [4])
def test_several_uploads_at_once(known, alice, shelf, clients):
    """Each upload under way adds its few parts to the server, and no more."""
    source = big_file(shelf / "source", 256 * MIB)
    before = status_of(known.pid, "VmHWM")
    running = [alice.begin("send", source, known.url(f"n{i}"), "--quiet") for i in range(clients)]
    for one in running:
        # the same source under several names: journals differ, so they do not meet
        assert one.done(600).code == 0
    assert status_of(known.pid, "VmHWM") - before < clients * 9 * KIB


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_transfer_of_20_gib(known, alice, shelf):
    transfer(alice, known, shelf, 20 * GIB)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_seal_and_open_of_20_gib(alice, shelf):
    offline(alice, shelf, 20 * GIB)
