"""The shipped data sets, replayed once for a run of the tests, and a small official release."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.replay import kuairand, ranklens
from pipelines.replay.writer import ReplaySummary
from schemas.spec import Spec, load

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Replayed:
    """What one replay wrote, read back."""

    out: Path
    spec: Spec
    summary: ReplaySummary

    def files(self, stream: str) -> list[Path]:
        return sorted((self.out / stream).iterdir())

    def table(self, stream: str) -> pa.Table:
        return pa.concat_tables(pq.read_table(file) for file in self.files(stream))

    def frame(self, stream: str, *columns: str) -> pl.DataFrame:
        return pl.read_parquet(self.files(stream), columns=list(columns) or None)


@pytest.fixture(scope="session")
def kuairand_spec() -> Spec:
    return load(ROOT / "schemas/specs/kuairand.toml")


@pytest.fixture(scope="session")
def ranklens_spec() -> Spec:
    return load(ROOT / "schemas/specs/ranklens.toml")


@pytest.fixture(scope="session")
def replayed_kuairand(tmp_path_factory: pytest.TempPathFactory, kuairand_spec: Spec) -> Replayed:
    out = tmp_path_factory.mktemp("kuairand")
    summary = kuairand.replay(ROOT / "examples/kuairand", out, kuairand_spec)
    return Replayed(out, kuairand_spec, summary)


@pytest.fixture(scope="session")
def replayed_ranklens(tmp_path_factory: pytest.TempPathFactory, ranklens_spec: Spec) -> Replayed:
    out = tmp_path_factory.mktemp("ranklens")
    summary = ranklens.replay(ROOT / "examples/ranklens", out, ranklens_spec)
    return Replayed(out, ranklens_spec, summary)


_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,"
    "is_hate,long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,"
    "is_profile_enter,is_rand,tab\n"
)
_START_MS = 1_650_729_600_000
"""2022-04-23 16:00 UTC, midnight of 24 April in Beijing."""


def _row(
    user: int,
    video: int,
    time_ms: int,
    tab: int = 1,
    *,
    click: int = 0,
    like: int = 0,
    long_view: int = 0,
    play_ms: int = 0,
) -> str:
    """One line of an official log."""
    feedback = f"{click},{like},0,0,0,0,{long_view},{play_ms},30000,0,0,0,0"
    return f"{user},{video},20220424,0,{time_ms},{feedback},{tab}\n"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """An official release of four exposures, two users and two videos with features."""
    folder = tmp_path / "official"
    folder.mkdir()
    rows = [
        _row(1, 11, _START_MS + 90_000, 0, click=1, like=1, long_view=1, play_ms=60_000),
        _row(1, 10, _START_MS, click=1, long_view=1, play_ms=7_000),
        _row(2, 12, _START_MS + 1_000, click=1, like=1),
    ]
    (folder / "log_standard_4_22_to_5_08_pure.csv").write_text(_HEADER + "".join(rows))
    random_row = _row(2, 10, _START_MS + 500)
    (folder / "log_random_4_22_to_5_08_pure.csv").write_text(_HEADER + random_row)
    (folder / "user_features_pure.csv").write_text(
        "user_id,user_active_degree,is_video_author,follow_user_num_range,fans_user_num_range,"
        "friend_user_num_range,register_days_range,onehot_feat0\n"
        '1,full_active,1,"(0,10]","[1,10)",0,730+,3\n'
    )
    (folder / "video_features_basic_pure.csv").write_text(
        "video_id,author_id,video_type,upload_dt,upload_type,video_duration,music_type,tag\n"
        '10,77,NORMAL,2022-04-09,Web,87433.0,9.0,"12,65"\n'
        "11,78,NORMAL,2022-04-25,ShortImport,,,\n"
    )
    return folder


@pytest.fixture
def replay_official(official: Path, tmp_path: Path, kuairand_spec: Spec) -> Callable[..., Replayed]:
    """Replays the small release; arguments are those of the replay, `spec` may be another."""

    def replay(spec: Spec = kuairand_spec, **options: object) -> Replayed:
        summary = kuairand.replay(official, tmp_path / "out", spec, **options)
        return Replayed(tmp_path / "out", spec, summary)

    return replay
