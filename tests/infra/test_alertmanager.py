"""Who is told what: the routes and inhibitions of alertmanager.yml, in the real Alertmanager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import until
from judges import MONITORING, Alertmanager, Sink, get_json, tool


@pytest.fixture
def alertmanager(tmp_path: Path, sink: Sink) -> Iterator[Alertmanager]:
    one = Alertmanager(tmp_path / "alertmanager", sink)
    yield one
    one.end()


def alert(name: str, severity: str, instance: str = "a:1", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "instance": instance, **labels}


# Posted last: when the second is inhibited, all before them have been looked at.
LAST = [alert("PqcLast", "critical", "z:1"), alert("PqcLast", "info", "z:1")]


def post(alertmanager: Alertmanager, *alerts: dict[str, str]) -> None:
    get_json(f"http://{alertmanager.address}/api/v2/alerts", [{"labels": one} for one in alerts])


def silenced(alertmanager: Alertmanager, *alerts: dict[str, str]) -> list[dict[str, str]]:
    """Those of the alerts that are inhibited, in the order given."""
    post(alertmanager, *alerts, *LAST)

    def looked_at() -> list[dict[str, str]] | None:
        found = [one["labels"] for one in alertmanager.alerts() if one["status"]["inhibitedBy"]]
        return found if LAST[1] in found else None

    found = until(looked_at, "the last alert to be inhibited")
    return [one for one in alerts if one in found]


@pytest.mark.parametrize("severity, receiver", [
    ("critical", "page"), ("warning", "ticket"), ("info", "digest"), ("unheard-of", "ticket")])
def test_routes(severity: str, receiver: str) -> None:
    said = subprocess.run(
        [tool("amtool"), "config", "routes", "test", "--config.file",
         MONITORING / "alertmanager.yml", "alertname=PqcNoRoom", "instance=a:1",
         f"severity={severity}"], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == [receiver]


def test_told_once_for_each_alert_and_instance(alertmanager: Alertmanager, sink: Sink) -> None:
    post(alertmanager, alert("PqcHealth", "critical", check="key"),
         alert("PqcHealth", "critical", check="bundle"),
         alert("PqcHealth", "critical", "b:1", check="key"))
    groups = [sink.wait_for("a page", lambda path, _, body: path == "/page" and body)
              for _ in range(2)]
    assert {(one["commonLabels"]["instance"], len(one["alerts"])) for one in groups} == \
        {("a:1", 2), ("b:1", 1)}
    assert all(headers["Authorization"] == "Bearer token of page" for _, headers, _ in sink.posts)


def test_critical_silences_the_same_alert(alertmanager: Alertmanager) -> None:
    warning = alert("PqcLoopLag", "warning")
    assert silenced(alertmanager, alert("PqcLoopLag", "critical"), warning,
                    alert("PqcSlowFsync", "warning"),
                    alert("PqcLoopLag", "warning", "b:1")) == [warning]


def test_one_check_does_not_silence_another(alertmanager: Alertmanager) -> None:
    storage = alert("PqcHealth", "warning", check="storage")
    assert silenced(alertmanager, alert("PqcHealth", "critical", check="storage"), storage,
                    alert("PqcHealth", "warning", check="clock")) == [storage]


def test_a_server_that_is_gone_silences_the_rest_of_it(alertmanager: Alertmanager) -> None:
    rest = [alert("PqcScrapeGone", "warning"), alert("PqcNoRoom", "critical"),
            alert("PqcIdentityOld", "info")]
    assert silenced(alertmanager, alert("PqcScrapeGone", "critical"), *rest,
                    alert("PqcRestarts", "warning", "b:1")) == rest


def test_no_room_explains_what_follows_from_it(alertmanager: Alertmanager) -> None:
    follows = [alert("PqcDiskFilling", "critical"), alert("PqcHealth", "warning", check="space"),
               alert("PqcQuotaRefusals", "warning", scope="disk")]
    assert silenced(alertmanager, alert("PqcNoRoom", "critical"), *follows,
                    alert("PqcSlowCommit", "warning"),
                    alert("PqcQuotaRefusals", "warning", scope="client")) == follows
