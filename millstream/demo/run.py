"""The demo from start to end: events, pipeline and learners, watching, report."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from millstream import console
from millstream.demo import processes
from millstream.demo.data import Data, Versions
from millstream.demo.place import Place, with_baseline
from millstream.local_mlflow import local_mlflow
from schemas.spec import Spec, load
from schemas.windows.names import MANIFEST

POLL_S = 2.0


def run(root: Path, data: Data, models: Sequence[str]) -> str:
    """Run the demo in a folder, or go on where it stopped; the closing report as text.

    Other models in the same folder learn from the windows that are there.
    """
    place = Place(root, data.spec, with_baseline(models))
    spec = load(place.spec)
    place.claim(data.name)
    if not place.written.exists():
        data.write(place, spec)
        place.written.touch()
    total = _windows_to_come(place, spec)
    with local_mlflow(place.mlflow) as uri:
        with processes.running(place, uri) as started:
            _watch(started, place, total)
        versions = _registered(uri, spec, place.models)
    return data.report(place, versions)


def _windows_to_come(place: Place, spec: Spec) -> int:
    """How many windows hold an exposure."""
    exposures = pl.scan_parquet(place.events / "exposure" / "*.parquet")
    start = pl.col("time_ms") // spec.window.length_ms
    return int(exposures.select(start.n_unique()).collect().item())


def _watch(started: processes.Processes, place: Place, total: int) -> None:
    """Bars for the pipeline and each learner until all processes are done."""
    bars = ("windows sealed", *(f"{model} learned" for model in place.models))
    with console.progress_of(bars, total) as show:
        while not processes.all_done(started, place):
            show(_done(place, total))
            time.sleep(POLL_S)
        show(_done(place, total))


def _done(place: Place, total: int) -> Mapping[str, int]:
    """How far each is; windows of nothing but revisions come on top of `total`."""
    sealed = sum(1 for _ in place.windows.glob(f"*/{MANIFEST}"))
    learned = {f"{model} learned": min(_learned(place, model), total) for model in place.models}
    return {"windows sealed": min(sealed, total), **learned}


def _learned(place: Place, model: str) -> int:
    """How many windows the learner has scored: the step of its journal's last whole line."""
    journal = place.learner_state(model) / "metrics.jsonl"
    lines = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    return json.loads(lines.rpartition(b"\n")[2])["step"] + 1 if lines else 0


def _registered(uri: str, spec: Spec, models: Sequence[str]) -> Versions:
    """The newest version of each model, and what the gate said of it."""
    from mlflow.tracking import MlflowClient

    client, found = MlflowClient(uri), {}
    for name in (f"{spec.name}-{model}" for model in models):
        versions = client.search_model_versions(f"name='{name}'")
        if versions:
            newest = max(versions, key=lambda one: int(one.version))
            tags = newest.tags
            passed = tags["gate"] == "passed"
            said = "challenger" if passed else f"the gate refused it, {tags['gate_reason']}"
            found[name] = f"{newest.version}: {said}"
    return found
