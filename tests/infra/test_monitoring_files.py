"""The files of infra/monitoring agree with Prometheus, with Alertmanager, with each other, with the
program's metrics and with docs/runbooks.md."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import TOP
from judges import MONITORING, Prometheus, faster, tool
from names import Selector, metrics, mistakes, reference, selectors

RUNBOOKS = TOP / "docs" / "runbooks.md"
GRAFANA = MONITORING / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))


def run(*words: str | Path, cwd: Path = MONITORING) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True,
                          timeout=280)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """All rules, as Prometheus understands them."""
    prometheus = Prometheus(tmp_path_factory.mktemp("rules") / "prometheus", None, speed=False)
    yield prometheus.rules()
    prometheus.end()


@pytest.fixture
def alerts(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for rule in rules if rule["type"] == "alerting"]


@pytest.fixture
def recorded(rules: list[dict[str, Any]]) -> set[str]:
    return {rule["name"] for rule in rules if rule["type"] == "recording"}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield f"{path.name}: {panel['title']}", panel


def expressions() -> Iterator[tuple[str, str]]:
    """Those of the dashboards, with their variables filled in."""
    for title, panel in panels():
        for target in panel["targets"]:
            yield title, (target["expr"].replace("$instance", ".*")
                          .replace("$__rate_interval", "1m"))


# ---- the judges' own checks ----

def test_prometheus_takes_the_configuration() -> None:
    run(tool("promtool"), "check", "config", "prometheus-config.yml")


def test_alertmanager_takes_its_configuration() -> None:
    run(tool("amtool"), "check-config", "alertmanager.yml")


def test_alerts_fire_when_they_should_and_else_not() -> None:
    run(tool("promtool"), "test", "rules", "pqc_alerts_test.yml")


def test_the_two_jobs(tmp_path: Path) -> None:
    text = (MONITORING / "prometheus-config.yml").read_text()
    jobs = re.findall(r"job_name: (\S+)\n +metrics_path: (\S+)\n +scrape_interval: (\S+)", text)
    assert jobs == [("pqc-secure-transfer", "/metrics", "15s"),
                    ("pqc-performance", "/performance-metrics", "15s")]


# ---- alerts ----

def test_alerts_say_what_is_needed(alerts: list[dict[str, Any]]) -> None:
    assert len(alerts) > 40
    for alert in alerts:
        name, notes = alert["name"], alert["annotations"]
        assert re.fullmatch(r"Pqc([A-Z][a-z]+)+", name)
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(notes) == {"summary", "description", "runbook_url"}, name
        assert "First " in notes["description"], f"{name} does not say what to do first"
        assert notes["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    grades = [(alert["name"], alert["labels"]["severity"]) for alert in alerts]
    assert len(grades) == len(set(grades))


def test_each_alert_has_a_runbook_and_each_runbook_an_alert(alerts: list[dict[str, Any]]) -> None:
    text = RUNBOOKS.read_text()
    sections = dict(re.findall(r"^## (Pqc\w+)\n(.*?)(?=^##? |\Z)", text, re.M | re.S))
    assert set(sections) == {alert["name"] for alert in alerts}
    assert len(re.findall(r"^## ", text, re.M)) == len(sections)
    for name, section in sections.items():
        parts = re.findall(r"^(Means|Look at|Do|Heals): ", section, re.M)
        assert parts == ["Means", "Look at", "Do", "Heals"], name
        assert "`" in section.split("Look at:")[1].split("\nDo:")[0], f"{name}: nothing to look at"


def test_runbooks_speak_of_what_there_is(alerts: list[dict[str, Any]], recorded: set[str]) -> None:
    text = RUNBOOKS.read_text()
    known = set(metrics()) | recorded
    named = set(re.findall(r"\b(?:instance:)?(?:pqc|process|file_transfer)_[\w:]+", text))
    named -= {"pqc_alerts", "process_start"}
    assert named <= known, named - known
    assert set(re.findall(r"\b(Pqc[A-Z]\w+)", text)) <= {alert["name"] for alert in alerts}
    events = set(re.findall(r"`logs ([a-z_.]+)", text)) - {"transfer"}
    events |= set(re.findall(r"`((?:put|get|server|store|handshake|request)\.[a-z_]+)`", text))
    missing = {event for event in events if f"`{event}`" not in reference()}
    assert not missing, missing


def test_each_alert_is_seen_to_fire_and_to_be_silent(alerts: list[dict[str, Any]]) -> None:
    text = (MONITORING / "pqc_alerts_test.yml").read_text()
    checks = re.findall(r"- expr: 'ALERTS\{alertname=\"(\w+)\", severity=\"(\w+)\"([^}]*)\}'\n"
                        r" +eval_time: \S+\n +exp_samples:( \[\])?", text)
    for alert in alerts:
        mine = [(state, empty) for name, severity, state, empty in checks
                if (name, severity) == (alert["name"], alert["labels"]["severity"])]
        assert any("firing" in state and not empty for state, empty in mine), alert["name"]
        assert any(empty and "firing" not in state for state, empty in mine), alert["name"]
        if alert["duration"] > 0:
            assert any(empty and "firing" in state for state, empty in mine), \
                f"{alert['name']}: nothing shows that it waits"


def test_annotations_use_labels_that_the_alert_has(alerts: list[dict[str, Any]]) -> None:
    text = (MONITORING / "pqc_alerts_test.yml").read_text()
    fired: dict[str, set[str]] = {}
    for labels in re.findall(r"labels: 'ALERTS\{(.*)\}'", text):
        found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        fired[found["alertname"]] = set(found)
    for alert in alerts:
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
        assert used <= fired[alert["name"]], alert["name"]


def test_rules_ask_for_metrics_that_there_are(rules: list[dict[str, Any]],
                                              recorded: set[str]) -> None:
    wrong = {rule["name"]: found for rule in rules if (found := mistakes(rule["query"], recorded))}
    assert not wrong


def test_recorded_is_asked_for(rules: list[dict[str, Any]], recorded: set[str]) -> None:
    queries = [rule["query"] for rule in rules] + [text for _, text in expressions()]
    asked = {one.name for query in queries for one in selectors(query)}
    assert recorded <= asked, recorded - asked


def test_metrics_in_the_tests_are_there(recorded: set[str]) -> None:
    text = (MONITORING / "pqc_alerts_test.yml").read_text()
    series = re.findall(r"- series: '(.*)'", text)
    wrong = {one: found for one in series if (found := mistakes(one, recorded))}
    assert not wrong


# ---- dashboards ----

def test_dashboards_are_what_the_script_writes(tmp_path: Path) -> None:
    run(GRAFANA / "make-dashboards", tmp_path)
    assert [path.name for path in DASHBOARDS] == sorted(p.name for p in tmp_path.iterdir())
    for path in DASHBOARDS:
        assert path.read_text() == (tmp_path / path.name).read_text(), \
            f"{path.name}: run make-dashboards"


def test_dashboards_are_complete() -> None:
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert [path.stem for path in DASHBOARDS] == ["capacity", "crypto", "overview", "security",
                                                  "transfers"]
    for what in ("uid", "title"):
        assert len({board[what] for board in boards}) == len(boards)
    for title, panel in panels():
        assert panel["title"] and panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert panel["targets"], title
    for board in boards:
        titles = [panel["title"] for panel in board["panels"]]
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles) and len(set(ids)) == len(ids)
        cells = [(x, y) for at in (panel["gridPos"] for panel in board["panels"])
                 for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])]
        assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24, board["title"]


def test_dashboards_ask_for_metrics_that_there_are(recorded: set[str]) -> None:
    wrong = {title: found for title, text in expressions() if (found := mistakes(text, recorded))}
    assert not wrong


def test_queries_of_dashboards_parse(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": text} for n, (_, text) in enumerate(expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))   # is YAML
    run(tool("promtool"), "check", "rules", path)


def test_every_metric_is_on_a_dashboard_or_has_an_alert(rules: list[dict[str, Any]]) -> None:
    queries = [rule["query"] for rule in rules] + [text for _, text in expressions()]
    asked = {one.name for query in queries for one in selectors(query)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    unseen = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics()} - families
    # What a person looks at with a query of their own.
    assert unseen <= {"pqc_parts_total", "pqc_part_write_seconds", "process_virtual_memory_bytes",
                      "pqc_window_bytes_per_second", "pqc_window_transfers_per_second",
                      "pqc_window_handshakes_per_second", "pqc_window_quantile_seconds"}, unseen


def test_provisioning_points_at_what_there_is() -> None:
    readme = (MONITORING / "README.md").read_text()
    path = re.search(r"path: (\S+)", (GRAFANA / "provisioning/dashboards/pqc.yml").read_text())
    source = (GRAFANA / "provisioning/datasources/prometheus.yml").read_text()
    assert path and path.group(1) in readme
    assert "type: prometheus" in source and "127.0.0.1:9090" in source


# ---- what these tests stand on ----

def test_selectors_are_found() -> None:
    text = ('sum by (a, b) (rate(x_total{r=~"p|q", s!="t"}[5m])) / ignoring (a) group_left () '
            'level:x:rate5m > 14.4 * 0.001 and on (job) time() - y_seconds{job="j"} > 1e9')
    assert selectors(text) == [Selector("x_total", [("r", "=~", "p|q"), ("s", "!=", "t")]),
                               Selector("level:x:rate5m", []),
                               Selector("y_seconds", [("job", "=", "j")])]


def test_mistakes_are_found() -> None:
    assert mistakes("sum(pqc_nothing)", set()) == ["no metric pqc_nothing"]
    assert mistakes('pqc_transfers_total{reason="done"}', set()) == \
        ["pqc_transfers_total has no label reason"]
    assert mistakes('pqc_transfers_total{result=~"done|lost"}', set()) == \
        ["pqc_transfers_total has no result=lost"]
    assert mistakes("pqc_fsync_duration_seconds", set()) != []


def test_faster() -> None:
    assert faster("for: 5m\n") == "for: 20s\n"
    assert faster("  scrape_timeout: 10s") == "  scrape_timeout: 1s"
    assert faster("expr: rate(x:rate5m[1h]) > 5 # 5m") == "expr: rate(x:rate5m[240s]) > 5 # 5m"
    with pytest.raises(AssertionError):
        faster("for: 10s")
