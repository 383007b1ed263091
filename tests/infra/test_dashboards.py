"""Rules and dashboard: Prometheus's own checker takes them, endpoints have what they ask for."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.grafana import DASHBOARD
from infra.prometheus import FOLDER, promtool
from tests.real_servers import skipped_without

RULES = (FOLDER / "recorded.yml", FOLDER / "alerts.yml")
OURS = re.compile(r"\b(?:millstream_[a-z0-9_:]+|process_[a-z_]+)\b(?!\()")


@pytest.fixture(scope="module")
def checker() -> str:
    """The path of promtool."""
    with skipped_without("promtool"):
        return promtool()


def checked(*command: str | Path) -> str:
    """What it says; it must be content."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """What the dashboard asks Prometheus."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def code(path: Path) -> str:
    """A file of rules without its comments and texts for people."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith(("#", "summary:")))


def test_rules_and_configuration_pass_prometheus_s_own_check(checker: str) -> None:
    assert "SUCCESS: 5 rules found" in checked(checker, "check", "rules", *RULES)
    assert "SUCCESS" in checked(checker, "check", "config", FOLDER / "prometheus.yml")


def test_series_written_by_hand_raise_the_alerts_that_they_should(checker: str) -> None:
    assert "SUCCESS" in checked(checker, "test", "rules", FOLDER / "alerts_test.yml")


def test_every_alert_fires_in_some_test_and_says_what_to_do() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES[1].read_text(encoding="utf-8"))
    tested = (FOLDER / "alerts_test.yml").read_text(encoding="utf-8")
    assert len(alerts) == len(set(alerts)) == 15
    assert [name for name in alerts if not re.search(rf"\b{name}\b", tested)] == []
    assert RULES[1].read_text(encoding="utf-8").count("action:") == len(alerts)


def test_the_page_on_alerts_names_all_with_their_severity() -> None:
    page = (FOLDER.parents[1] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in page.splitlines() if row.startswith("| `Millstream")]
    said = {name: row[3].strip() for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    rules = RULES[1].read_text(encoding="utf-8")
    alerts = re.findall(r"alert: (\w+).*?severity: (\w+)", rules, re.DOTALL)
    assert said == dict(alerts)


def test_every_query_of_the_dashboard_is_one(checker: str, tmp_path: Path) -> None:
    """As rules, so that Prometheus's own parser reads them."""
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$instance", ".*")}
        for number, query in enumerate(queries())
    ]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    assert f"{len(rules)} rules found" in checked(checker, "check", "rules", path)


def test_panels_have_their_own_place_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["description"]
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_whatever_is_asked_for_is_what_the_endpoints_tell(tmp_path: Path) -> None:
    told = set(pipeline_names(tmp_path)) | set(learner_names())
    recorded = set(re.findall(r"record: (\S+)", RULES[0].read_text(encoding="utf-8")))
    asked = {name for text in (*queries(), *map(code, RULES)) for name in OURS.findall(text)}
    assert len(asked) > 30
    assert asked - recorded - told == set()
    assert recorded <= asked


def pipeline_names(folder: Path) -> Iterator[str]:
    """Of a pipeline that has counted something of each kind, over HTTP."""
    from millstream.monitor import Board
    from tests.monitor.test_pipeline_metrics import scraped, served, status_of

    status = status_of(folder)
    kinds = ("accepted/click", "dead/click/late", "late/click", "duplicate", "windows")
    counts = dict.fromkeys((*kinds, "divergent", "revisions"), 1)
    board: Any = Board()
    board.put(replace(status, commit=replace(status.commit, counts=counts)))
    with served(board) as address:
        yield from (name for name, _ in scraped(address))


def learner_names() -> Iterator[str]:
    """Of a learner that knows all there is to know, over HTTP."""
    from learner.status import Status, Table
    from millstream.monitor import Board, serving
    from millstream.monitor import learner_metrics as metrics
    from tests.monitor.test_pipeline_metrics import scraped

    board: Any = Board()
    board.put(
        Status(
            learned_until_ms=1, loss=0.5, saved_at_s=1.0, tables={"t": Table(1, 4)}, champion="1"
        )
    )
    registry = metrics.registry_of(board)
    with serving(registry, lambda: metrics.health_of(board), "127.0.0.1", 0) as address:
        yield from (name for name, _ in scraped(address))
