"""Medians, ratios, and what machine it was."""

import os
import platform
import re
import subprocess
from pathlib import Path
from statistics import median

KINDS = ("send", "get", "seal", "open")


def machine(place):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    return {"cpu": cpu[1] if cpu else platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(int(memory[1]) / 2**20),
            "kernel": platform.release(),
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
            "file_system": file_system(place.dir),
            "openssl": pqc_openssl(place.pqc)}


def file_system(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE, check=False)
    return done.stdout.decode().strip() or "?"


def pqc_openssl(pqc):
    """The OpenSSL in pqc, or the one that it loads: every libcrypto contains its version as text."""
    done = subprocess.run(["ldd", pqc], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False)
    libraries = re.findall(r"libcrypto\S* => (\S+)", done.stdout.decode(errors="replace"))
    for file in map(Path, [pqc, *libraries]):
        found = re.search(rb"OpenSSL \d+\.\d+\.\d+", file.read_bytes()) if file.exists() else None
        if found:
            return found[0].decode()
    return "unknown OpenSSL"


def medians(samples):
    return {key: median(getattr(sample, key) for sample in samples)
            for key in ("received", "durable", "client_cpu", "server_cpu", "client_kib",
                        "server_kib")}


def cpu(sample):
    return sample.client_cpu + sample.server_cpu


RATIO_HEAD = (f"{'':24}{'received':>9}{'durable':>9}{'CPU':>9}\n"
              f"{'':24}{'times as fast':>18}{'times less':>13}")
HEAD = (f"{'':14}{'MB/s':>9}{'MB/s':>9}{'seconds':>10}{'seconds':>9}{'CPU s/GB':>10}"
        f"{'CPU s/GB':>9}{'MiB':>9}{'MiB':>8}\n"
        f"{'':14}{'received':>9}{'durable':>9}{'received':>10}{'durable':>9}{'client':>10}"
        f"{'server':>9}{'client':>9}{'server':>8}")


def row(name, samples, size, has_server):
    m = medians(samples)
    gigabytes = size / 1e9
    server = ((f"{m['server_cpu'] / gigabytes:9.2f}", f"{m['server_kib'] / 1024:8.1f}")
              if has_server else (f"{'-':>9}", f"{'-':>8}"))
    return (f"{name:14}{size / 1e6 / m['received']:9.0f}{size / 1e6 / m['durable']:9.0f}"
            f"{m['received']:10.2f}{m['durable']:9.2f}{m['client_cpu'] / gigabytes:10.2f}"
            f"{server[0]}{m['client_kib'] / 1024:9.1f}{server[1]}")


def tables(cases, samples, size):
    """The cases that have samples, one table a kind; a case of two kinds is in both."""
    for kind in KINDS:
        measured = [case for case in cases if kind in case.kinds and samples.get(case.name)]
        if measured:
            yield f"\n{kind}\n{HEAD}"
            for case in measured:
                yield row(case.name, samples[case.name], size, case.server is not None)


def ratios(cases, samples):
    """Ours against each peer: medians over the rounds of the ratio within a round."""
    for kind in KINDS:
        peers = [case.name for case in cases
                 if kind in case.kinds and case.name != kind and samples.get(case.name)]
        for name in peers if samples.get(kind) else []:
            rounds = [(peer.received / our.received, peer.durable / our.durable,
                       cpu(peer) / cpu(our)) for our, peer in zip(samples[kind], samples[name])]
            received, durable, work = map(median, zip(*rounds))
            yield f"{kind + ' vs ' + name + ':':24}{received:8.2f}x{durable:8.2f}x{work:8.2f}x"


def legend(cases):
    for case in cases:
        yield f"{case.name:14}{case.what}"


def machine_line(m):
    return (f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Linux "
            f"{m['kernel']}, {m['file_system']}, pqc with {m['openssl']}")
