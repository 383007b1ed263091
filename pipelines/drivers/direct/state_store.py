"""Shard state as files named by epoch. What a step did not change is not written again."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines import packets
from pipelines.durable import read_json, write_json, write_whole

_APART = "segment-"
"""Tables of this prefix never change: each rests in a file of its own."""


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
        files = read_json(folder / _index(max(earlier)))
        return {name: t for file in files for name, t in packets.read(folder / file).items()}

    def save(self, step: str, shard: int, epoch: int, tables: dict[str, pa.Table]) -> None:
        """Keep the state after `epoch`; doing it again writes the same."""
        folder = self._folder(step, shard)
        apart = {name: table for name, table in tables.items() if name.startswith(_APART)}
        rest = {name: table for name, table in tables.items() if name not in apart}
        main = f"{epoch:06d}.tables"
        write_whole(folder / main, packets.encode(rest))
        files = [main]
        for name, table in apart.items():
            files.append(f"{name}.arrow")
            if not (folder / files[-1]).exists():
                write_whole(folder / files[-1], packets.encode({name: table}))
        write_json(folder / _index(epoch), files)

    def shards(self, step: str) -> list[int]:
        """The shards that have a state."""
        folder = self.root / step
        return sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []

    def forget(self, step: str, epoch: int) -> None:
        """Remove what only states older than the newest one up to `epoch` used."""
        for shard in self.shards(step):
            self._forget_shard(step, shard, epoch)

    def _forget_shard(self, step: str, shard: int, epoch: int) -> None:
        folder = self._folder(step, shard)
        newest = max((at for at in self._epochs(step, shard) if at <= epoch), default=None)
        if newest is None:
            return
        needed = {_index(newest), *read_json(folder / _index(newest))}
        for path in folder.iterdir():
            if path.name not in needed:
                path.unlink()

    def _epochs(self, step: str, shard: int) -> list[int]:
        return [int(path.stem) for path in self._folder(step, shard).glob("[0-9]*.json")]

    def _folder(self, step: str, shard: int) -> Path:
        return self.root / step / f"{shard:05d}"


def _index(epoch: int) -> str:
    return f"{epoch:06d}.json"
