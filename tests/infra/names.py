"""The metrics the program has, as it says itself, and those that a PromQL expression asks for."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache

from harness import PROGRAM, clean_environment

# Made by Prometheus itself.
OF_PROMETHEUS = {"up": {}, "ALERTS": {}}
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right",
         "bool", "offset", "inf", "nan"}
OF_TARGETS = {"job", "instance", "le"}


@dataclass
class Metric:
    kind: str
    labels: dict[str, set[str]] = field(default_factory=dict)     # a label's values; none: any


@cache
def reference() -> str:
    """The text of `pqc help --observability`."""
    done = subprocess.run([str(PROGRAM), "help", "--observability"], capture_output=True, text=True,
                          env=clean_environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def labels(cell: str) -> dict[str, set[str]]:
    """From "direction (put, get); window (1m, 5m)"."""
    found = re.findall(r"([a-z_]+)(?: \(([^)]*)\))?(?:; |$)", cell)
    return {name: set(values.split(", ")) if values else set() for name, values in found}


@cache
def metrics() -> dict[str, Metric]:
    """Every name that may stand in a query."""
    found: dict[str, Metric] = {}
    for line in reference().splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) != 4 or row[1] not in ("counter", "gauge", "histogram", "summary"):
            continue
        name = row[0].strip("`")
        if row[1] == "histogram":
            found |= {name + end: Metric("counter") for end in ("_bucket", "_sum", "_count")}
        else:
            found[name] = Metric(row[1], labels(row[3]))
    assert len(found) > 60, sorted(found)
    return found


@dataclass
class Selector:
    name: str
    matchers: list[tuple[str, str, str]]    # label, operator, value


def selectors(expression: str) -> list[Selector]:
    """The metrics a PromQL expression asks for. It is known to parse."""
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)", " ", expression)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    found = []
    for match in re.finditer(r'([a-zA-Z_:][\w:]*)\s*(\{[^}]*\}|\()?|"[^"]*"|[\d.]+(?:e\d+)?', text):
        name, rest = match.group(1), match.group(2)
        if not name or name.lower() in WORDS or rest == "(":
            continue
        found.append(Selector(name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', rest or "")))
    return found


def mistakes(expression: str, recorded: set[str]) -> list[str]:
    """Metrics, labels and values that an expression asks for and that are not there."""
    found = []
    for one in selectors(expression):
        if one.name in recorded or one.name in OF_PROMETHEUS:
            continue
        metric = metrics().get(one.name)
        if metric is None:
            found.append(f"no metric {one.name}")
            continue
        for label, operator, value in one.matchers:
            if label in OF_TARGETS:
                continue
            if label not in metric.labels:
                found.append(f"{one.name} has no label {label}")
            elif operator in ("=", "=~") and metric.labels[label]:
                wanted = set(value.split("|")) if operator == "=~" else {value}
                found += [f"{one.name} has no {label}={v}"
                          for v in sorted(wanted - metric.labels[label])]
    return found
