"""The plan of the next epoch, from what is there and what was read."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.drivers.direct.files_planner import FilesPlanner
from pipelines.drivers.direct.journal import Commit, Plan
from pipelines.sources.files import FilesSource
from pipelines.sources.raw import Range, SourceFile
from schemas.spec import load
from tests.pipeline.small_world import SPEC_TOML


@dataclass(frozen=True)
class Watched(FilesSource):
    """A files source that tells which files it looked into."""

    looked: list[str] = field(default_factory=list)

    def ranges(
        self, file: SourceFile, start_offset: int, max_rows_hint: int, final: bool = False
    ) -> list[Range]:
        self.looked.append(file.name)
        return super().ranges(file, start_offset, max_rows_hint, final)


def planner(folder: Path) -> tuple[FilesPlanner, Watched]:
    """A planner over two files of one line each."""
    (folder / "spec.toml").write_text(SPEC_TOML)
    spec = load(folder / "spec.toml")
    (folder / "events" / "click").mkdir(parents=True)
    for name in ("a", "b"):
        write(folder, name, lines=1)
    source = Watched(folder / "events", spec)
    return FilesPlanner(spec, source, epoch_rows=1000, final=False), source


def write(folder: Path, name: str, lines: int) -> None:
    line = json.dumps({"time_ms": 5}) + "\n"
    (folder / "events" / "click" / f"{name}.jsonl").write_text(line * lines)


def after(commit: Commit, plan: Plan) -> Commit:
    """What a driver commits of a plan."""
    read = {one.name: one.stop for one in plan.ranges}
    return replace(commit, epoch=plan.epoch, offsets={**commit.offsets, **read})


def test_a_file_is_looked_into_again_only_when_it_grew_or_was_read(tmp_path: Path) -> None:
    plans, source = planner(tmp_path)
    begun = Commit(cut=0)
    first = plans.next(begun, lambda: 0)
    assert first is not None
    assert [one.name for one in first.ranges] == ["click/a.jsonl", "click/b.jsonl"]
    assert plans.standing(begun, lambda: 0).lag["click"] == 2
    assert source.looked == ["click/a.jsonl", "click/b.jsonl"]

    read = after(begun, first)
    assert plans.next(read, lambda: 0) is None
    assert not any(plans.standing(read, lambda: 0).lag.values())
    assert source.looked[2:] == ["click/a.jsonl", "click/b.jsonl"]

    write(tmp_path, "b", lines=3)
    grown = plans.next(read, lambda: 0)
    assert grown is not None
    assert [(one.name, one.start) for one in grown.ranges] == [("click/b.jsonl", 15)]
    assert source.looked[4:] == ["click/b.jsonl"]
