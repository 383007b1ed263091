"""The tiny world, written once, and its tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipelines.simulate.simulate import simulate
from pipelines.simulate.world import World
from pipelines.simulate.world_file import load
from pipelines.simulate.writer import Writer
from schemas.spec import Spec
from schemas.spec import load as load_spec
from schemas.windows import WindowStore

ROOT = Path(__file__).resolve().parents[2]
SPEC = load_spec(ROOT / "schemas" / "specs" / "simulated.toml")


@dataclass(frozen=True)
class Written:
    """A world and where it was written."""

    world: World
    out: Path
    spec: Spec = SPEC

    def events(self, stream: str) -> pl.DataFrame:
        """A stream's events in order of arrival, copies and unusable ones among them."""
        return pl.concat(pl.read_parquet(file) for file in self.files(stream))

    def files(self, stream: str) -> list[Path]:
        """A stream's files in order of arrival."""
        return sorted((self.out / "events" / stream).glob("*.parquet"))

    def truth(self, name: str) -> pl.DataFrame:
        """A truth table."""
        one = self.out / "truth" / f"{name}.parquet"
        files = [one] if one.exists() else sorted((self.out / "truth" / name).glob("*.parquet"))
        return pl.concat(pl.read_parquet(file) for file in files)

    def candidates(self) -> pl.DataFrame:
        """One row a candidate: what truth says of it, its position, and P(click) where it is."""
        lists = ["item", "attraction", "conversion", "position"]
        requests = self.truth("requests").with_columns(
            position=pl.int_ranges(pl.col("item").list.len())
        )
        flat = requests.explode(lists).join(self.truth("examination"), on=["domain", "position"])
        shown = pl.col("position") < pl.col("exposed")
        items = self.truth("items").select("item_id", number=pl.col("number").cast(pl.Int32))
        return flat.join(items, left_on="item", right_on="number").with_columns(
            shown=shown, click=pl.col("attraction") * pl.col("examination") * shown
        )


def write(world: World, out: Path, **options: str) -> Written:
    """Write a world."""
    simulate(world, Writer.open(out, SPEC, **options))
    return Written(world, out)


def users_of(store: WindowStore, spec: Spec = SPEC) -> Iterator[pl.DataFrame]:
    """The user records of all windows, a batch at a time."""
    for manifest in store.windows():
        for batch in store.read_users(manifest.window_start_ms, spec):
            yield pl.DataFrame(pl.from_arrow(batch))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The shipped tiny world."""
    return write(load("tiny"), tmp_path_factory.mktemp("simulate") / "tiny")


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, bytes]]:
    """What is in every file below a folder."""
    return lambda folder: {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
