"""The demo from start to end: replay, run, watch, report."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from millstream import console
from millstream.demo import processes
from millstream.demo.place import MODELS, Place, shipped_data
from millstream.demo.report import report
from millstream.local_mlflow import local_mlflow
from schemas.spec import Spec, load
from schemas.windows.names import MANIFEST

POLL_S = 2.0


def run(root: Path) -> str:
    """Run the demo in a folder, or go on where it stopped; the closing report as text."""
    place = Place(root)
    spec = load(place.spec)
    _replay(place, spec)
    total = _windows_to_come(place, spec)
    with local_mlflow(place.mlflow) as uri, processes.running(place, uri) as started:
        _watch(started, place, total)
    return report(place, spec)


def _replay(place: Place, spec: Spec) -> None:
    if place.replayed.exists():
        return
    from pipelines.replay import kuairand

    kuairand.replay(shipped_data(), place.events, spec, overwrite=True)
    place.replayed.touch()


def _windows_to_come(place: Place, spec: Spec) -> int:
    """How many windows hold an exposure."""
    exposures = pl.scan_parquet(place.events / "exposure" / "*.parquet")
    start = pl.col("time_ms") // spec.window.length_ms
    return int(exposures.select(start.n_unique()).collect().item())


def _watch(started: processes.Processes, place: Place, total: int) -> None:
    """Bars for the pipeline and each learner until all processes are done."""
    with console.progress_of(("windows sealed", *(f"{m} learned" for m in MODELS)), total) as show:
        while not processes.all_done(started, place):
            show(_done(place))
            time.sleep(POLL_S)
        show(_done(place))


def _done(place: Place) -> Mapping[str, int]:
    sealed = sum(1 for _ in place.windows.glob(f"*/{MANIFEST}"))
    learned = {f"{model} learned": _learned(place, model) for model in MODELS}
    return {"windows sealed": sealed, **learned}


def _learned(place: Place, model: str) -> int:
    """How many windows the learner has scored: the step of its journal's last whole line."""
    journal = place.learner_state(model) / "metrics.jsonl"
    lines = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    return json.loads(lines.rpartition(b"\n")[2])["step"] + 1 if lines else 0
