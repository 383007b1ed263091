"""Once labels are closed, the predictions of their window are judged again."""

import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor

from learner import scoring
from learner.closing import Closing
from learner.journal import Entry, Journal
from learner.predictions import Placed
from learner.settings import LearnerSettings
from models.batch import UserBatch
from schemas.hashing import hash_one
from schemas.record import revision_schema, user_window_schema
from schemas.spec import Spec, load
from schemas.windows.names import window_name
from schemas.windows.store import WindowStore
from tests.learner.runs import learn, shop
from tests.learner.settling import Rows, settle, spec_of, write_changing_world
from tests.learner.world import HOUR_MS, SPEC, START_MS, records, revision, seal_parts, write_window

HALF_OPEN = 'horizon = "{}", retraction_horizon = "{}"'


def by_position(batch: UserBatch) -> Tensor:
    """Logits 2, 1, 0, -1, … down the list, for both tasks."""
    return (2.0 - batch.position.float())[:, None].repeat(1, 2)


def by_item(batch: UserBatch) -> Tensor:
    """Logits that follow from the item, exact in float32; columns are buy and click."""
    score = (batch.item % 16).float() / 4 - 2
    return torch.stack([score - 1, score], dim=1)


def one_list(start_ms: int, clicks: list[float]) -> Rows:
    """One user with one search request of four items, none of them bought."""
    [user] = records(np.random.default_rng(0), start_ms, np.arange(1)).to_pylist()
    request = user["requests"][0] | {"scenario": "search", "domain": "search"}
    candidates = {
        name: values[:1] * 4 for name, values in request["candidates"].items() if name != "labels"
    }
    label = {"tier": [None] * 4, "event_id": [None] * 4, "time_ms": [None] * 4, "open": [True] * 4}
    request["candidates"] = candidates | {
        "item_id": [f"i{n}" for n in range(4)],
        "item": [hash_one(f"i{n}") for n in range(4)],
        "position": list(range(4)),
        "labels": {"click": label | {"value": clicks}, "buy": label | {"value": [0.0] * 4}},
    }
    return [user | {"requests": [request]}]


def seal_lists(root: Path, hour: int, clicks: list[float], revised: Rows, spec: Spec) -> Rows:
    """Seal a window of `one_list`; its records."""
    start_ms = START_MS + hour * HOUR_MS
    users = one_list(start_ms, clicks)
    batch = pa.RecordBatch.from_pylist(users, schema=user_window_schema(spec))
    seal_parts(root, start_ms, [batch], [pa.Table.from_pylist(revised, revision_schema())], spec)
    return users


def change(users: Rows, place: int, task: str, value: float) -> dict[str, object]:
    return revision(users[0], users[0]["requests"][0], place, task, value)


def test_metrics_by_hand_of_labels_that_changed_after_the_cut(tmp_path: Path) -> None:
    """The click moves from the first place to the third, and the second item is bought."""
    users = seal_lists(tmp_path / "w", 0, [1.0, 0.0, 0.0, 0.0], [], SPEC)
    moved = [
        change(users, 0, "click", 0.0),
        change(users, 1, "buy", 1.0),
        change(users, 2, "click", 1.0),
    ]
    seal_lists(tmp_path / "w", 1, [0.0] * 4, moved, SPEC)
    [entry], placed = settle(tmp_path / "w", tmp_path / "kept", SPEC, by_position)
    assert placed == Placed(3, 0)
    assert (entry.step, entry.window_start_ms, entry.time_ms) == (0, START_MS, START_MS + HOUR_MS)
    found = entry.metrics
    assert found["settled/click/all/auc"] == pytest.approx(1 / 3)  # above the last alone
    assert found["settled/buy/search/auc"] == pytest.approx(2 / 3)  # below the first alone
    assert found["settled/click/all/label_share_changed"] == 2 / 4
    assert found["settled/buy/all/label_share_changed"] == 1 / 4
    expected = 0.880797 + 0.731059 + 0.5 + 0.268941
    assert found["settled/click/search/calibration"] == pytest.approx(expected, abs=1e-5)
    assert found["settled/click/all/samples"] == 4


def test_of_several_revisions_of_a_label_the_latest_wins(tmp_path: Path) -> None:
    spec = spec_of(click='horizon = "2h"', buy='horizon = "2h"')
    users = seal_lists(tmp_path / "w", 0, [1.0, 0.0, 0.0, 0.0], [], spec)
    seal_lists(tmp_path / "w", 1, [0.0] * 4, [change(users, 3, "click", 1.0)], spec)
    again = [change(users, 0, "click", 0.0), change(users, 3, "click", 0.0)]
    seal_lists(tmp_path / "w", 2, [0.0] * 4, again, spec)
    [entry], _ = settle(tmp_path / "w", tmp_path / "kept", spec, by_position)
    assert entry.window_start_ms == START_MS
    assert entry.metrics["settled/click/all/label_share_changed"] == 1 / 4
    assert "settled/click/all/auc" not in entry.metrics  # no click is left


def test_a_task_settles_at_the_first_cut_at_which_none_of_its_labels_can_be_open() -> None:
    """A window of an hour, cut 10 minutes after its end; the last sample is 1 ms before it."""
    hour = HOUR_MS
    spec = spec_of('horizon = "10m"', 'horizon = "40m", retraction_horizon = "40m"', "10m")
    closing = Closing(spec)
    assert closing.open_tasks == ("buy",)  # the click's horizon is over at the window's own cut
    assert closing.closed_ms("buy", 0) == hour - 1 + 80 * 60_000
    cuts = [spec.window.cut(start) for start in (0, hour, 2 * hour)]
    assert closing.due([0], cuts[0], cuts[1]) == []
    assert closing.due([0, hour], cuts[1], cuts[2]) == [(0, ("buy",))]
    assert closing.due([0, 5 * hour], cuts[1], cuts[2] + 9 * hour) == [(0, ("buy",)), (1, ("buy",))]


@pytest.mark.parametrize(("extra_ms", "open_tasks"), [(0, ()), (1, ()), (2, ("click",))])
def test_a_label_that_closes_at_the_cut_is_not_open(
    extra_ms: int, open_tasks: tuple[str, ...]
) -> None:
    """Rule 6: open if t_s + horizon > C, and t_s is at most one millisecond before the end."""
    click = f'horizon = "{600_000 + extra_ms}ms"'
    assert Closing(spec_of(click, 'horizon = "1m"', "10m")).open_tasks == open_tasks


def slowly(root: Path, spec: Spec) -> dict[tuple[int, str], dict[str, float]]:
    """Metrics of all closed labels, from all windows and all revisions read at the end."""
    store = WindowStore(root)
    labels: dict[tuple[int, str], dict[tuple[str, str, str], float]] = defaultdict(dict)
    for manifest in store.windows():
        start_ms = manifest.window_start_ms
        for user in (u for part in store.read_users(start_ms, spec) for u in part.to_pylist()):
            for request in user["requests"]:
                for task, label in request["candidates"]["labels"].items():
                    for item, value in zip(
                        request["candidates"]["item_id"], label["value"], strict=True
                    ):
                        if value is not None:
                            key = user["user_id"], request["id"], item
                            labels[start_ms, task][key] = value
    for manifest in store.windows():
        for row in store.read_revisions(manifest.window_start_ms).to_pylist():
            cells = labels[row["window_start_ms"], row["task"]]
            cells[row["user_id"], row["request_id"], row["item_id"]] = row["new_value"]
    last_cut_ms = store.windows()[-1].cut_ms
    found = {}
    for (start_ms, task), cells in labels.items():
        one = spec.tasks[task]
        closed_ms = start_ms + HOUR_MS - 1 + one.horizon_ms + one.retraction_horizon_ms
        if spec.window.cut(start_ms) < closed_ms <= last_cut_ms:
            found[start_ms, task] = _judged(task, cells)
    return found


def _judged(task: str, cells: dict[tuple[str, str, str], float]) -> dict[str, float]:
    logit = np.array([hash_one(item) % 16 / 4 - 2 - (task == "buy") for _, _, item in cells])
    label = np.array([value > 0 for value in cells.values()])
    user = np.array([user for user, _, _ in cells])
    values = {"samples": float(len(label))}
    if label.any():
        values["calibration"] = (1 / (1 + np.exp(-logit))).sum() / label.sum()
    if label.any() and not label.all():
        rate = label.mean()
        entropy = log_loss(label, np.full(len(label), rate))
        values["normalised_entropy"] = log_loss(label, 1 / (1 + np.exp(-logit))) / entropy
    groups = [user == one for one in np.unique(user) if 0 < label[user == one].mean() < 1]
    if groups:
        aucs = [roc_auc_score(label[one], logit[one]) for one in groups]
        values["gauc"] = float(np.average(aucs, weights=[one.sum() for one in groups]))
    return values


@hypothesis(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    horizons=st.tuples(*[st.integers(1, 240)] * 4),
    maturity=st.sampled_from([0, 10, 90]),
)
def test_settled_metrics_are_those_of_all_windows_and_revisions_read_at_the_end(
    seed: int, horizons: tuple[int, ...], maturity: int
) -> None:
    click, buy = (HALF_OPEN.format(f"{h}m", f"{r}m") for h, r in (horizons[:2], horizons[2:]))
    spec = spec_of(click, buy, f"{maturity}m")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "FOLD_SAMPLES", 20)
        root = Path(folder) / "windows"
        root.mkdir()
        write_changing_world(root, np.random.default_rng(seed), spec)
        entries, placed = settle(root, Path(folder) / "kept", spec, by_item)
        expected = slowly(root, spec) if entries or placed.revisions else {}
    assert placed.unmatched == 0
    found = {
        (entry.window_start_ms, name.split("/")[1]): entry.metrics
        for entry in entries
        for name in entry.metrics
    }
    assert found.keys() == expected.keys()
    for (start_ms, task), values in expected.items():
        metrics = found[start_ms, task]
        for name in ("samples", "calibration", "normalised_entropy", "gauc"):
            received = metrics.get(f"settled/{task}/all/{name}")
            assert received == (pytest.approx(values[name]) if name in values else None), name


def test_revisions_of_samples_that_were_not_kept_are_counted(tmp_path: Path) -> None:
    users = seal_lists(tmp_path / "w", 0, [0.0] * 4, [], SPEC)
    stranger = change(users, 0, "click", 1.0) | {"request_id": "unheard of"}
    rows = sorted([change(users, 1, "click", 1.0), stranger], key=lambda row: row["request_id"])
    seal_lists(tmp_path / "w", 1, [0.0] * 4, rows, SPEC)
    [entry], placed = settle(tmp_path / "w", tmp_path / "kept", SPEC, by_position)
    assert placed == Placed(2, 1)
    assert entry.metrics["settled/click/all/label_share_changed"] == 1 / 4


def test_where_no_label_is_open_at_its_cut_nothing_is_kept_and_nothing_written(
    tmp_path: Path,
) -> None:
    settings = shop(tmp_path, windows=0)
    spec = settings.spec.read_text().replace('"30m"', '"0s"').replace('"10m"', '"0s"')
    settings.spec.write_text(spec)
    for hour in range(2):
        seal_lists(settings.windows, hour, [1.0, 0.0, 0.0, 0.0], [], load(settings.spec))
    assert learn(settings).windows == 2
    assert list((settings.state / "predictions").iterdir()) == []
    entries = entries_of(settings)
    assert not any("settled" in name for entry in entries for name in entry.metrics)


def test_a_damaged_file_is_named_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = shop(tmp_path, windows=1)
    learn(settings)
    [file] = (settings.state / "predictions").iterdir()
    assert file.name == f"{window_name(START_MS)}-samples.arrow"
    file.write_bytes(file.read_bytes()[:-20])
    write_window(settings.windows, 1)
    assert learn(settings).windows == 1
    assert "received a damaged file" in caplog.text
    entries = entries_of(settings)
    [scored] = [one for one in entries if one.step == 1 and "click/all/auc" in one.metrics]
    assert scored.metrics["window/revisions_unmatched"] == scored.metrics["window/revisions"] > 0
    assert [entry.step for entry in entries] == [0, 0, 1, 1]


def entries_of(settings: LearnerSettings) -> list[Entry]:
    return [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]


def test_a_learner_that_goes_on_from_an_older_checkpoint_settles_the_same(tmp_path: Path) -> None:
    """The newest two are damaged: what the third needs of predictions is still there."""
    settings = shop(tmp_path, windows=0)
    slow = settings.spec.read_text().replace('horizon = "30m"', 'horizon = "3h"')
    settings.spec.write_text(slow)
    calm = replace(settings, state=tmp_path / "calm")
    for index in range(7):
        write_window(settings.windows, index)
    for one in (settings, calm):
        learn(one, register_every_windows=1)
    for folder in sorted((settings.state / "checkpoints").glob("*[0-9]"))[-2:]:
        (folder / "state.json").write_text("{}")
    write_window(settings.windows, 7)
    for one in (settings, calm):
        learn(one, register_every_windows=1)
    assert entries_of(settings) == entries_of(calm)
    last = [one.step for one in entries_of(calm) if "settled/buy/all/samples" in one.metrics]
    assert last == [0, 1, 2, 3, 4]


def test_what_every_kept_checkpoint_has_settled_is_removed(tmp_path: Path) -> None:
    """Labels close one window later; there are two checkpoints a window, and three are kept."""
    settings = shop(tmp_path, windows=9)
    learn(settings, register_every_windows=1)
    stale = settings.state / "predictions" / ".20231114T220000Z-samples.arrow.0123"
    stale.touch()
    write_window(settings.windows, 9)
    learn(settings, register_every_windows=1)
    kept = {path.name for path in (settings.state / "predictions").glob("*-samples.arrow")}
    names = [f"{window_name(START_MS + hour * HOUR_MS)}-samples.arrow" for hour in range(10)]
    assert set(names[8:]) <= kept <= set(names[6:])
    assert not stale.exists()
