"""What an MLflow server was told of one learner, and what it should have been told."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from mlflow.tracking import MlflowClient

from learner.day_runs import day_of, headlines
from learner.journal import Journal

Points = Mapping[str, list[tuple[int, int, float]]]
"""Of each `<day or all>/<metric>`: step, time and value of every point, by step."""


def told_mlflow(uri: str, name: str) -> tuple[Points, list[str]]:
    """All metrics of all runs of an experiment; the lineages of a model's versions, by number."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    metrics: dict[str, list[tuple[int, int, float]]] = {}
    for found in client.search_runs([experiment.experiment_id]):
        day = found.data.tags.get("day", "all")
        for key in found.data.metrics:
            history = client.get_metric_history(found.info.run_id, key)
            assert f"{day}/{key}" not in metrics
            metrics[f"{day}/{key}"] = sorted((m.step, m.timestamp, m.value) for m in history)
    return metrics, lineages_of(client, name)


def lineages_of(client: MlflowClient, name: str) -> list[str]:
    """The lineages of a model's versions, by number."""
    versions = client.search_model_versions(f"name='{name}'")
    return [one.tags["lineage_id"] for one in sorted(versions, key=lambda one: int(one.version))]


def told_database(file: Path) -> Points:
    """All metrics of all runs as a server over SQLite holds them; hundreds of times as fast."""
    query = """
        select coalesce(tags.value, 'all') || '/' || metrics.key, step, timestamp, metrics.value
        from metrics left join tags on tags.run_uuid = metrics.run_uuid and tags.key = 'day'
    """
    points = defaultdict(list)
    with closing(sqlite3.connect(file)) as database:
        for name, *point in database.execute(query):
            points[name].append(tuple(point))
    return {name: sorted(some) for name, some in points.items()}


def to_be_told(journal: Journal) -> Points:
    """What a server holds that was told each entry of a journal once."""
    points = defaultdict(list)
    for entry, _ in journal.since(0):
        for day, values in (("all", headlines(entry)), (day_of(entry), entry.metrics)):
            for name, value in values.items():
                points[f"{day}/{name}"].append((entry.step, entry.time_ms, value))
    return {name: sorted(some) for name, some in points.items()}
