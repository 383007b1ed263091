"""`millstream demo --world tiny`: simulated, processed and learned for real, and interrupted."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import models
from learner.journal import Journal
from millstream.demo.place import Place, with_baseline
from millstream.demo.processes import commands
from millstream.report import tabulate
from pipelines.drivers.direct import DirectSettings
from pipelines.drivers.direct import run as run_direct
from schemas.labels import TIERS
from schemas.spec import load
from schemas.windows import WindowStore

ROOT = Path(__file__).parents[2]
SPEC = load(ROOT / "schemas" / "specs" / "simulated.toml")
MODELS = ("mtfm", "dlrm_mlp")
OTHERS = sorted(set(models.names()) - set(MODELS))
START = """
import pathlib, sys
from millstream.local_mlflow import local_mlflow
with local_mlflow(pathlib.Path(sys.argv[1])):
    pass
"""


def start(*words: str | Path) -> "subprocess.Popen[str]":
    """Python with these words, as at a terminal of its own."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Until it is true; the process must still run then."""
    deadline = time.monotonic() + 600
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name a folder."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return [line for line in lines if str(folder) in line]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "work"


@pytest.fixture(scope="module")
def report(work: Path) -> str:
    """What the demo says in the end, after it was interrupted once the first window was sealed."""
    demo = ("-m", "millstream", "demo", "--world", "tiny", "--work", work)
    first = start(*demo)
    wait_until(lambda: any(work.glob("windows/*/_MANIFEST.json")), first)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=300)
    assert (first.returncode, out) == (130, ""), err
    assert processes_of(work) == []
    assert any(len(learned(work, model)) < len(windows(work)) for model in MODELS)
    second = start(*demo)
    out, err = second.communicate(timeout=600)
    assert second.returncode == 0, err
    assert processes_of(work) == []
    return out


def windows(work: Path) -> list[Path]:
    """The manifests of all windows."""
    return sorted(work.glob("windows/*/_MANIFEST.json"))


def learned(work: Path, model: str) -> list[int]:
    """The starts of the windows that a learner has trained on, in order."""
    entries = (one for one, _ in Journal(work / f"learner-{model}" / "metrics.jsonl").since(0))
    return [one.window_start_ms for one in entries if "train/loss" in one.metrics]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_interrupted_demo_goes_on_to_what_an_undisturbed_one_reaches(
    report: str, work: Path, tmp_path: Path
) -> None:
    """The same windows as the pipeline alone, each learned once by each model."""
    store = WindowStore(work / "windows")
    settings = DirectSettings(
        SPEC, work / "events", tmp_path / "windows", tmp_path / "state", shards=4, final=True
    )
    run_direct(settings)
    alone = [one.digest for one in WindowStore(tmp_path / "windows").windows()]
    assert [one.digest for one in store.windows()] == alone
    assert len(alone) > 12
    starts = [one.window_start_ms for one in store.windows()]
    for model in MODELS:
        assert learned(work, model) == starts


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_report_tells_what_is_in_the_store(report: str, work: Path) -> None:
    counts = [one.counts for one in WindowStore(work / "windows").windows()]
    said = dict(re.findall(r"^ *(\S.*?) {2,}([\d,]+)$", report, re.MULTILINE))
    told = {name: int(count.replace(",", "")) for name, count in said.items()}
    assert told["windows"] == len(counts)
    assert told["samples"] == sum(one.samples for one in counts)
    for origin in ("exposed", "unexposed", "searchified_positive", "searchified_negative"):
        assert told[origin] == sum(one.origins[origin] for one in counts) > 0
    paths = sum(told[path] for path in ("own", "co_occurrence", "nearest", "none"))
    assert paths == told["searchified_positive"]
    assert told["dead letters"] == told["dead/click/unknown_scenario"] > 0
    tables = tabulate(WindowStore(work / "windows"))
    for tier in TIERS:
        (row,) = re.findall(rf"^  {tier} +([\d,]+) +([\d,]+) +([\d,]+)$", report, re.MULTILINE)
        labels = [
            tables.credits.filter(task=task, tier=tier)["labels"].sum()
            for task in ("cart", "click", "conversion")
        ]
        assert [int(cell.replace(",", "")) for cell in row] == labels


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_report_quotes_every_scorer_day_by_day(report: str) -> None:
    """Three days, two tasks, search and elsewhere: two models and the counter of items."""
    number = r"0\.\d{4}"
    scores = rf"^  (\w.*?) +{number} +{number} +({number})  ({number}) \[({number}), ({number})\]$"
    rows = re.findall(scores, report, re.MULTILINE)
    assert [name for name, *_ in rows] == ["mtfm", "dlrm_mlp", "item CTR so far"] * 4
    for _, last, mean, low, high in rows:
        assert last == mean
        assert float(low) <= float(mean) <= float(high)
    for group in ("click in search", "conversion in search", "click in feed and shop"):
        assert f"\n{group} " in report


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_report_names_versions_plots_and_the_way_to_the_ui(report: str, work: Path) -> None:
    told = re.findall(
        r"^  simulated-(\w+) version \d: (?:challenger|the gate refused)", report, re.M
    )
    assert told == ["mtfm", "dlrm_mlp"]
    assert f"millstream demo --ui --work {work}" in report
    assert report.endswith(f"Plots of the windows: {work}/report/report.html\n")
    assert len(list((work / "report").glob("*.png"))) == 8


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "others",
    [
        pytest.param(["infnet"], id="one"),
        pytest.param(OTHERS, id="all", marks=pytest.mark.soak),
    ],
)
def test_other_models_learn_the_windows_of_an_earlier_demo(
    report: str, work: Path, others: list[str]
) -> None:
    """The simulated world once more with models of one's own choice: nothing is made anew."""
    sealed = [manifest.stat().st_mtime_ns for manifest in windows(work)]
    demo = start("-m", "millstream", "demo", "--world", "tiny", "--work", work, "--model", *others)
    out, err = demo.communicate(timeout=900)
    assert demo.returncode == 0, err
    assert [manifest.stat().st_mtime_ns for manifest in windows(work)] == sealed
    starts = [one.window_start_ms for one in WindowStore(work / "windows").windows()]
    for model in others:
        assert learned(work, model) == starts
        assert f"simulated-{model} version" in out
    rows = re.findall(r"^  (\w.*?) +0\.", out, re.MULTILINE)
    assert rows == [*others, "dlrm_mlp", "item CTR so far"] * 4
    assert "simulated-mtfm" not in out


@pytest.mark.slow
def test_an_interrupted_start_leaves_no_server_behind(tmp_path: Path) -> None:
    starting = start("-c", START, tmp_path)
    wait_until(lambda: len(processes_of(tmp_path)) > 1, starting)
    starting.send_signal(signal.SIGINT)
    starting.communicate(timeout=60)
    assert processes_of(tmp_path) == []


def test_a_folder_of_another_demo_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("kuairand")
    answer = run("demo", "--world", "tiny", "--work", tmp_path)
    assert (answer.code, answer.out) == (1, "")
    assert f"{tmp_path}: expected an empty folder or one where the demo of the world tiny" in (
        answer.err
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_world_that_is_not_shown_is_wrong_usage(run) -> None:
    answer = run("demo", "--world", "dmo")
    assert (answer.code, answer.out) == (2, "")
    assert "unknown 'dmo' (did you mean 'demo'?)" in answer.err


@pytest.mark.parametrize(
    ("named", "learners"),
    [
        (["mtfm"], ["mtfm", "dlrm_mlp"]),
        (["hhsft", "mdl", "hhsft"], ["hhsft", "mdl", "dlrm_mlp"]),
        (["dlrm_mlp"], ["dlrm_mlp"]),
    ],
)
def test_the_baseline_learns_beside_the_models_and_once(
    named: list[str], learners: list[str], tmp_path: Path
) -> None:
    place = Place(tmp_path, tmp_path / "spec.toml", with_baseline(named))
    started = commands(place, "http://127.0.0.1:1")
    assert list(started) == ["pipeline", *learners]
    for name in learners:
        words = started[name]
        assert words[words.index("--model") + 1] == name
        assert words[words.index("--state") + 1] == str(tmp_path / f"learner-{name}")


def test_a_model_that_does_not_exist_is_wrong_usage_and_starts_nothing(run, tmp_path: Path) -> None:
    answer = run("demo", "--model", "hhsf", "--work", tmp_path / "work")
    assert (answer.code, answer.out) == (2, "")
    assert "--model: expected the name of a model, received 'hhsf'" in answer.err
    assert "(did you mean 'hhsft'?)" in answer.err
    assert not (tmp_path / "work").exists()
