"""Whether a sealed window is what its manifest says, and in the order of rule 12."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.durable import sha256_of
from schemas.errors import StoreError
from schemas.hashing import hash_strings, shard_of
from schemas.windows.counts import Counts, count_revisions, count_users, total
from schemas.windows.manifest import FileDigest, Manifest, SealedFile
from schemas.windows.manifest_file import read_manifest
from schemas.windows.names import BUILD, MANIFEST, is_revisions, shard_of_name
from schemas.windows.order import broken_revision_rules, broken_user_rules, in_order
from schemas.windows.packed import pack
from schemas.windows.shard import ShardFile, open_shard

CHECK_RECORDS = 1024

Found = tuple[list[str], Counts]


def verify_window(folder: Path) -> list[str]:
    """All that is wrong with a window, a sentence each; empty if all is well.

    Reads everything: digests, sizes, counts, order, shards, and files that nobody named.
    """
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return [str(error)]
    if manifest is None:
        return [f"{folder}: expected a sealed window, received a folder without {MANIFEST}."]
    problems, counts = _files(folder, manifest)
    problems += _extra_files(folder, manifest)
    if not problems and counts.as_counted_by(manifest.counts) != manifest.counts:
        problems.append(
            f"{folder}: the manifest counts {manifest.counts}, the files hold {counts}."
        )
    return problems


def _files(folder: Path, manifest: Manifest) -> Found:
    found = [_file(folder, file, manifest) for file in manifest.files]
    problems = [problem for part, _ in found for problem in part]
    return problems, total(counts for _, counts in found)


def _file(folder: Path, file: SealedFile, manifest: Manifest) -> Found:
    """Check one file and its index; what it holds is counted only if it is whole."""
    problems = _digests(folder, [file, file.index] if file.index else [file])
    if problems:
        return problems, Counts()
    try:
        shard = open_shard(folder, file)
        check = _revisions if is_revisions(file.name) else _users
        found, counts = check(shard, shard_of_name(file.name), manifest)
    except StoreError as error:
        return [str(error)], Counts()
    if len(shard.index) != file.records:
        found.append(f"expected {file.records} records, received {len(shard.index)}")
    return [f"{shard.path}: {problem}." for problem in found], counts


def _digests(folder: Path, files: Iterable[SealedFile | FileDigest]) -> list[str]:
    problems = []
    for file in files:
        path = folder / file.name
        if not path.is_file():
            problems.append(f"{path}: the manifest names this file, but it is missing.")
        elif path.stat().st_size != file.bytes:
            problems.append(f"{path}: expected {file.bytes} bytes, received {path.stat().st_size}.")
        elif (received := sha256_of(path)) != file.sha256:
            problems.append(f"{path}: expected SHA-256 {file.sha256}, received {received}.")
    return problems


def _users(shard: ShardFile, number: int, manifest: Manifest) -> Found:
    broken: Counter[str] = Counter()
    counts, user_ids = [], []
    for batch in shard.batches(CHECK_RECORDS):
        counts.append(count_users(batch))
        user_ids.append(batch.column("user_id"))
        window = manifest.window_start_ms, manifest.window_end_ms
        broken.update(broken_user_rules(pack(batch), *window))
        broken.update(_misplaced(batch, number, manifest.shards))
    users = pa.concat_arrays(user_ids)
    broken["users in the order of their ids"] = int(
        np.count_nonzero(~in_order([users], strict=True))
    )
    broken["an index of these users"] = int(
        np.count_nonzero(hash_strings(users) != shard.index.user)
    )
    return _told(broken), total(counts)


def _revisions(shard: ShardFile, number: int, manifest: Manifest) -> Found:
    table = pa.Table.from_batches(list(shard.batches(CHECK_RECORDS)))
    broken = Counter(broken_revision_rules(table, manifest.window_start_ms))
    for batch in table.to_batches():
        broken.update(_misplaced(batch, number, manifest.shards))
    return _told(broken), total(map(count_revisions, table.to_batches()))


def _misplaced(batch: pa.RecordBatch, number: int, shards: int) -> dict[str, int]:
    """How many users do not have the hash of their id, or do not lie in its shard."""
    users = np.asarray(batch.column("user"))
    hashes = hash_strings(batch.column("user_id"))
    return {
        "each user's hash to be that of the id": int(np.count_nonzero(users != hashes)),
        f"users of shard {number} of {shards}": int(
            np.count_nonzero(shard_of(users, shards) != number)
        ),
    }


def _told(broken: Mapping[str, int]) -> list[str]:
    return [
        f"expected {rule}, received {rows} rows that break it"
        for rule, rows in broken.items()
        if rows
    ]


def _extra_files(folder: Path, manifest: Manifest) -> list[str]:
    """Files beside those that the manifest names; unfinished ones of a crash are hidden."""
    known = {MANIFEST, BUILD}
    for file in manifest.files:
        known |= {file.name, file.index.name} if file.index else {file.name}
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return [
        f"{folder / name}: no manifest names this file; remove it, or find out who put it there."
        for name in found
        if name not in known
    ]
