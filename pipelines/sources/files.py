"""Events in files: a folder for each stream, with JSON Lines, Avro or Parquet files in it.

Names that begin with `.` or `_` or end in `.tmp` are somebody's unfinished business and ignored.
Only plain JSON Lines may grow; any other file must be whole when it appears (write it as `.tmp`,
then rename it) and must never change.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.sources.avro import AvroFile
from pipelines.sources.json_lines import GzipLinesFile, JsonLinesFile
from pipelines.sources.parquet import ParquetFile
from pipelines.sources.raw import Range, RawRows, SourceFile, Unread, Wanted
from pipelines.words import word_columns
from schemas.errors import UserError
from schemas.events import arrow_schema
from schemas.spec import Spec
from schemas.spec.table import near_match


class Format(Protocol):
    """How files of one kind are cut into ranges and read."""

    def ranges(self, unread: Unread) -> list[Range]:
        """The ranges, in order; their offsets are whatever suits the format."""

    def read(self, wanted: Wanted) -> RawRows:
        """What a range holds; columns that nobody wants may be left out."""


FORMATS: dict[str, Format] = {
    ".jsonl": JsonLinesFile(),
    ".ndjson": JsonLinesFile(),
    ".jsonl.gz": GzipLinesFile(),
    ".ndjson.gz": GzipLinesFile(),
    ".avro": AvroFile(),
    ".parquet": ParquetFile(),
}


@dataclass(frozen=True)
class FilesSource:
    """The files below `root`."""

    root: Path
    spec: Spec

    def discover(self) -> list[SourceFile]:
        """All files there are now, by stream, then name.

        Raises UserError for folders and files that no stream and no format accounts for.
        """
        folders = [path for path in self._entries() if path.is_dir()]
        for folder in folders:
            self._check_stream(folder)
        if not folders:
            raise UserError(
                f"{self.root}: expected a folder for each stream "
                f"({', '.join(self.spec.streams)}), received none"
            )
        files = [file for folder in folders for file in self._files(folder)]
        return sorted(files, key=lambda file: (file.stream, file.name))

    def ranges(
        self, file: SourceFile, start_offset: int, max_rows_hint: int, final: bool = False
    ) -> list[Range]:
        """What of a file is still to be read, cut into ranges of about `max_rows_hint` rows.

        `start_offset` is 0 or the `stop` of the last range that was read. A growing file's last
        line is held back until its newline is there, unless the input is `final`.
        """
        path = self.root / file.name
        unread = Unread(path, file, start_offset, max_rows_hint, final)
        return _format(path).ranges(unread)

    def read_range(self, wanted: Range) -> RawRows:
        """Read one range. Damaged content becomes dead letters; OSError is the storage's."""
        path = self.root / wanted.name
        columns = tuple(arrow_schema(self.spec, wanted.stream).names)
        words = word_columns(self.spec, wanted.stream)
        return _format(path).read(Wanted(path, wanted, columns, words))

    def answers(self) -> bool:
        """See `Source.answers`."""
        return self.root.is_dir()

    def close(self) -> None:
        """Nothing is held open."""

    def _entries(self) -> list[Path]:
        if not self.root.is_dir():
            raise UserError(f"{self.root}: expected a folder with a folder for each stream")
        entries = sorted(path for path in self.root.iterdir() if not _is_ignored(path.name))
        for path in entries:
            if path.is_file() and _suffix(path) is not None:
                raise UserError(
                    f"{path}: expected event files in a folder named after their stream "
                    f"({', '.join(self.spec.streams)})"
                )
        return entries

    def _check_stream(self, folder: Path) -> None:
        if folder.name not in self.spec.streams:
            hint = near_match(folder.name, self.spec.streams)
            raise UserError(
                f"{folder}: expected the name of a stream of spec {self.spec.name!r}, "
                f"received {folder.name!r}{hint}"
            )

    def _files(self, folder: Path) -> list[SourceFile]:
        found = []
        for parent, below, names in os.walk(folder):
            below[:] = [name for name in below if not _is_ignored(name)]
            paths = [Path(parent, name) for name in names if not _is_ignored(name)]
            found += [self._file(folder.name, path) for path in paths if path.is_file()]
        return found

    def _file(self, stream: str, path: Path) -> SourceFile:
        name = path.relative_to(self.root).as_posix()
        return SourceFile(stream, name, path.stat().st_size)


def _is_ignored(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(".tmp")


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in FORMATS if path.name.endswith(suffix)), None)


def _format(path: Path) -> Format:
    suffix = _suffix(path)
    if suffix is None:
        raise UserError(f"{path}: expected a file ending in {', '.join(FORMATS)}")
    return FORMATS[suffix]
