"""Sealing a window: from then on it exists, and it never changes."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from schemas.durable import flush
from schemas.errors import StoreError
from schemas.record import RECORD_VERSION
from schemas.spec import Spec, spec_digest
from schemas.windows.counts import total
from schemas.windows.manifest import BuildInfo, FileEntry, Manifest
from schemas.windows.manifest_file import read_manifest
from schemas.windows.names import BUILD, MANIFEST, window_name
from schemas.windows.publish import draft


def seal(
    root: Path,
    window_start_ms: int,
    cut_ms: int,
    spec: Spec,
    entries: Iterable[FileEntry],
    build: BuildInfo,
    *,
    shards: int,
) -> Manifest:
    """Write `_BUILD.json` and then, by rename, `_MANIFEST.json` of one window under `root`.

    Entries without records, and repeated ones, do not matter; nor does their order. Sealing again
    with equal content changes nothing. With other content the first manifest stands and is what
    comes back, with `divergent` true. Raises StoreError if a file is not there as its entry says,
    or if there is nothing to seal.
    """
    folder = root / window_name(window_start_ms)
    files = _files(folder, entries)
    manifest = Manifest(
        window_start_ms=window_start_ms,
        window_end_ms=window_start_ms + spec.window.length_ms,
        cut_ms=cut_ms,
        spec_name=spec.name,
        spec_digest=spec_digest(spec),
        record_version=RECORD_VERSION,
        shards=shards,
        files=tuple(entry.sealed() for entry in files),
        counts=total(entry.counts for entry in files),
    )
    return _standing(folder, manifest) or _publish(folder, manifest, build)


def _standing(folder: Path, manifest: Manifest) -> Manifest | None:
    """The manifest that stands already, marked if it is another one."""
    stands = read_manifest(folder)
    if stands is None:
        return None
    mine = replace(manifest, counts=manifest.counts.as_counted_by(stands.counts))
    return replace(stands, divergent=stands.digest != mine.digest)


def _publish(folder: Path, manifest: Manifest, build: BuildInfo) -> Manifest:
    text = json.dumps(asdict(build), sort_keys=True, ensure_ascii=False, indent=1) + "\n"
    with draft(folder / BUILD) as file:
        file.write(text.encode())
        file.replace()
    flush(folder)
    with draft(folder / MANIFEST) as file:
        file.write(manifest.to_text().encode())
        published = file.publish_once()
    flush(folder)
    flush(folder.parent)
    return manifest if published else _standing(folder, manifest) or manifest


def _files(folder: Path, entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The entries that have files, each once, by name."""
    files: dict[str, FileEntry] = {}
    for entry in entries:
        if entry.records == 0:
            continue
        if files.setdefault(entry.name, entry) != entry:
            raise _unsealable(folder / entry.name, "one entry", "two that differ")
        _expect(folder, entry)
    if not files:
        raise _unsealable(folder, "at least one request or revision", "none")
    return tuple(files[name] for name in sorted(files))


def _expect(folder: Path, entry: FileEntry) -> None:
    for file in (entry, entry.index):
        path = folder / (file.name if file else entry.name)
        size = path.stat().st_size if path.is_file() else None
        if file is None or size != file.bytes:
            expected = f"a file of {file.bytes} bytes" if file else "a block index"
            raise _unsealable(path, expected, "none" if size is None else f"{size} bytes")


def _unsealable(path: Path, expected: str, received: str) -> StoreError:
    return StoreError(
        f"{path}: expected {expected} to seal the window, received {received}. The window is not "
        "sealed; write its shards again and seal it with the entries that this returns."
    )
