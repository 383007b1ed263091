"""What the learner does with windows: in order, each scored before it is trained on."""

import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from learner.journal import Journal
from learner.lineage import initial_lineage, next_lineage
from learner.lock import locked
from learner.plot import plot
from schemas.errors import SpecError, StoreError, UserError
from schemas.windows.store import WindowStore
from tests.learner.runs import SMALL, assert_same_state, learn, newest, restored, shop
from tests.learner.world import SPEC_TEXT, write_window


def test_once_consumes_what_is_sealed_and_goes_on_from_there(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=2)
    assert learn(settings).windows == 2
    assert learn(settings).windows == 0
    write_window(settings.windows, 2)
    summary = learn(settings)
    assert summary.windows == 1
    assert [json.loads(line)["step"] for line in journal_lines(settings.state)] == [
        *(0, 0),
        *(0, 1, 1),  # labels of window 0 are closed at the cut of window 1
        *(1, 2, 2),
    ]


def test_lineage_is_the_chain_of_window_digests(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=3)
    summary = learn(settings)
    lineage = initial_lineage(newest(settings).state["identity"])
    for manifest in WindowStore(settings.windows).windows():
        lineage = next_lineage(lineage, manifest.digest)
    assert summary.lineage_id == lineage


def test_a_window_is_scored_with_the_weights_from_before_it(tmp_path: Path) -> None:
    """The first window's score knows nothing of its labels: it is that of fresh weights."""
    settings = shop(tmp_path, windows=1, users=200)
    learn(settings)
    entry, _ = next(Journal(settings.state / "metrics.jsonl").since(0))
    assert abs(entry.metrics["click/all/auc"] - 0.5) < 0.1
    assert abs(entry.metrics["baseline_item_ctr/click/all/auc"] - 0.5) < 1e-9


def test_the_model_and_the_baseline_learn_from_earlier_windows(tmp_path: Path) -> None:
    rates = "\n[learner]\nbatch_users = 8\noptimiser = { dense_rate = 0.01, sparse_rate = 0.2 }\n"
    settings = shop(tmp_path, windows=8, users=60, learner=rates)
    learn(settings)
    entries = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    last = [entry for entry in entries if "click/all/auc" in entry.metrics][-1].metrics
    assert last["click/all/auc"] > 0.7
    assert last["baseline_item_ctr/click/all/auc"] > 0.75


def test_follow_takes_new_windows_and_ends_with_the_final_marker(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)

    def pipeline() -> None:
        time.sleep(0.3)
        write_window(settings.windows, 1)
        time.sleep(0.2)
        write_window(settings.windows, 2)
        (settings.windows / "_FINAL").touch()

    thread = threading.Thread(target=pipeline)
    thread.start()
    summary = learn(settings, mode="follow", until_final=True)
    thread.join()
    assert summary.windows == 3


def test_a_window_from_before_the_cursor_is_refused(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=0)
    for index in (1, 2):
        write_window(settings.windows, index)
    learn(settings)
    write_window(settings.windows, 0)
    with pytest.raises(StoreError, match="sealed in order of time"):
        learn(settings)


def test_a_corrupt_window_stops_the_learner_with_its_state_untorn(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=3)
    calm = replace(settings, state=tmp_path / "calm")
    learn(calm)
    store = WindowStore(settings.windows)
    manifest = store.windows()[1]
    path = store.folder(manifest.window_start_ms) / manifest.files[0].name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="was not trained on"):
        learn(settings, register_every_windows=100)
    assert newest(settings).state["progress"]["consumed"] == [store.windows()[0].window_start_ms]
    path.write_bytes(whole)
    learn(settings)
    assert newest(settings).parts.keys() == newest(calm).parts.keys()
    assert (
        newest(settings).state["progress"]["lineage"] == newest(calm).state["progress"]["lineage"]
    )


def test_a_second_learner_on_the_same_state_is_refused(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=1)
    with locked(settings.state), pytest.raises(UserError, match="that no learner uses"):
        learn(settings)


def test_batches_without_a_number_for_a_loss_are_skipped_counted_and_then_too_many(
    tmp_path: Path,
) -> None:
    wild = "\n[learner]\nmax_bad_batches = 1\n[learner.optimiser]\ndense_rate = 1e38\n"
    settings = shop(tmp_path, windows=3, learner=wild)
    with pytest.raises(UserError, match="losses and gradients that are numbers"):
        learn(settings)


def test_a_full_table_is_named_with_the_remedy_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = shop(
        tmp_path, windows=2, learner=SMALL + "[models.dlrm_mlp]\ntables = { rows = 5 }\n"
    )
    assert learn(settings).windows == 2
    assert "expected room in table tables.by_name.table_item for every id" in caplog.text
    assert "under [models.dlrm_mlp.tables]" in caplog.text
    [*_, last] = [entry for entry, _ in Journal(settings.state / "metrics.jsonl").since(0)]
    assert last.metrics["tables/refused"] > 0
    assert last.metrics["tables/rows"] <= 5 * 4  # of segment, brand, tag and item


def test_what_a_window_lacks_is_named_and_counts_as_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = shop(tmp_path, windows=1)
    spec = SPEC_TEXT.replace("price = {", 'maker = { owner = "item", type = "id" }\nprice = {')
    settings.spec.write_text(spec + SMALL)
    assert learn(settings).windows == 1
    assert "received some without requests.candidates.maker: missing in all" in caplog.text
    table = restored(settings).tables["tables.by_name.table_maker"]
    assert table.counts["rows"] == 0
    assert table.square_sum[0] > 0  # the row of what is missing has learned


def test_an_unknown_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'mtfm'"):
        learn(shop(tmp_path, windows=0), model="mtmf")


def test_a_slip_in_the_learners_section_names_the_file(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=0, learner="\n[learner]\nbatch_user = 3\n")
    with pytest.raises(SpecError, match=r"shop\.toml: learner\.batch_user"):
        learn(settings)


def test_the_plot_is_drawn_from_the_journal(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=3)
    learn(settings)
    assert plot(Journal(settings.state / "metrics.jsonl"), tmp_path / "gauc.png")
    assert (tmp_path / "gauc.png").read_bytes().startswith(b"\x89PNG")
    assert not plot(Journal(tmp_path / "none.jsonl"), tmp_path / "none.png")


def test_two_learners_with_the_same_windows_end_in_the_same_state(tmp_path: Path) -> None:
    settings = shop(tmp_path, windows=2)
    other = replace(settings, state=tmp_path / "other")
    assert learn(settings).lineage_id == learn(other).lineage_id
    assert_same_state(settings, other)


def journal_lines(folder: Path) -> list[str]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert all(math.isfinite(v) for line in lines for v in json.loads(line)["metrics"].values())
    return lines
