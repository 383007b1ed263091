"""Shard state as files named by epoch. What a step did not change is not written again."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines import packets
from pipelines.steps.step import SEGMENT
from schemas.durable import flush

_NAMES = "apart"
"""The table that names the segments, each of which rests in a file apart."""


@dataclass(frozen=True)
class StateStore:
    """The states of all shards of all steps, under one folder."""

    root: Path

    def load(self, step: str, shard: int, epoch: int) -> dict[str, pa.Table]:
        """The state before `epoch`: that of the newest earlier epoch, or nothing."""
        earlier = [at for at in self._epochs(step, shard) if at < epoch]
        if not earlier:
            return {}
        folder = self._folder(step, shard)
        tables = packets.read(folder / _main(max(earlier)))
        for name in tables.pop(_NAMES)["name"].to_pylist():
            tables |= packets.read(folder / _apart(name))
        return tables

    def save(self, step: str, shard: int, epoch: int, tables: dict[str, pa.Table]) -> None:
        """Keep the state after `epoch`; doing it again writes the same.

        What only states older than the newest one before `epoch` used is removed.
        """
        folder = self._folder(step, shard)
        self._forget_shard(step, shard, epoch - 1)
        apart = [name for name in tables if name.startswith(SEGMENT)]
        for name in apart:
            if not (folder / _apart(name)).exists():
                packets.write(folder / _apart(name), {name: tables[name]})
        rest = {name: table for name, table in tables.items() if name not in apart}
        names = {_NAMES: pa.table({"name": pa.array(apart, pa.string())})}
        packets.write(folder / _main(epoch), rest | names)
        flush(folder)

    def steps(self) -> list[str]:
        """The steps that have a state."""
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []

    def shards(self, step: str) -> list[int]:
        """The shards that have a state."""
        folder = self.root / step
        return sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []

    def forget(self, epoch: int) -> None:
        """Remove what only states older than the newest one up to `epoch` used."""
        for step in self.steps():
            for shard in self.shards(step):
                self._forget_shard(step, shard, epoch)

    def _forget_shard(self, step: str, shard: int, epoch: int) -> None:
        folder = self._folder(step, shard)
        newest = max((at for at in self._epochs(step, shard) if at <= epoch), default=None)
        if newest is None:
            return
        names = packets.read(folder / _main(newest))[_NAMES]["name"].to_pylist()
        needed = {_main(newest), *map(_apart, names)}
        for path in folder.iterdir():
            if path.name not in needed:
                path.unlink()

    def _epochs(self, step: str, shard: int) -> list[int]:
        return [int(path.stem) for path in self._folder(step, shard).glob("[0-9]*.tables")]

    def _folder(self, step: str, shard: int) -> Path:
        return self.root / step / f"{shard:05d}"


def _main(epoch: int) -> str:
    return f"{epoch:06d}.tables"


def _apart(name: str) -> str:
    return f"{name}.arrow"
