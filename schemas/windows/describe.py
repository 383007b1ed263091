"""What the store holds, for people and for programs: rows and values that JSON can hold."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.errors import StoreError
from schemas.hashing import hash_one
from schemas.labels import ORIGINS, QUERY_PATHS, TIERS
from schemas.windows.manifest import Manifest
from schemas.windows.names import window_name
from schemas.windows.packed import pack
from schemas.windows.store import WindowStore

Json = dict[str, Any]


def list_rows(store: WindowStore) -> list[Json]:
    """One row a sealed window, by start."""
    return [_row(manifest) for manifest in store.windows()]


def show(store: WindowStore, start_ms: int, user_id: str | None = None, limit: int = 10) -> Json:
    """One window: its manifest and its first users; or, with an id, that user's whole record.

    Raises StoreError if there is no such window or user.
    """
    manifest = store.manifest(start_ms)
    if user_id is None:
        return {"manifest": manifest.to_json(), "users": _first_users(store, start_ms, limit)}
    batch = store.read_user(start_ms, hash_one(user_id))
    if batch is None:
        raise StoreError(
            f"{store.folder(start_ms)}: expected a record of user {user_id!r}, received none. The "
            "user has no request in this window; `millstream windows show` names users that have."
        )
    return _record(batch)


def rows_text(rows: Sequence[Mapping[str, Any]], none: str = "no sealed window") -> str:
    """Rows as a table of aligned columns, headings first; `none` says that there is no row."""
    if not rows:
        return none
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def shown_text(shown: Mapping[str, Any]) -> str:
    """What `show` gave, as JSON for the eye."""
    return json.dumps(shown, ensure_ascii=False, indent=2)


def _row(manifest: Manifest) -> Json:
    indexes = (file.index.bytes for file in manifest.files if file.index)
    return {
        "window": window_name(manifest.window_start_ms),
        "users": manifest.counts.users,
        "requests": manifest.counts.requests,
        "samples": manifest.counts.samples,
        "searchified": manifest.counts.origins["searchified_positive"],
        "revisions": manifest.counts.revisions,
        "bytes": sum(file.bytes for file in manifest.files) + sum(indexes),
        "spec": manifest.spec_name,
        "digest": manifest.digest[:12],
    }


def _first_users(store: WindowStore, start_ms: int, limit: int) -> list[Json]:
    batch = next(store.read_users(start_ms, None, batch_users=max(limit, 1)), None)
    return [] if batch is None else _user_rows(batch.slice(0, limit))


def _user_rows(batch: pa.RecordBatch) -> list[Json]:
    packed = pack(batch)
    samples = np.diff(packed.samples.offsets[packed.requests.offsets])
    columns = {
        "user_id": packed.user_id.to_pylist(),
        "history": np.diff(packed.history.offsets).tolist(),
        "recent": np.diff(packed.recent.offsets).tolist(),
        "requests": np.diff(packed.requests.offsets).tolist(),
        "samples": samples.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _record(batch: pa.RecordBatch) -> Json:
    """One user's record with names in the place of codes."""
    record: Json = batch.to_pylist()[0]
    for request in record["requests"]:
        if request.get("query_path") is not None:
            request["query_path"] = QUERY_PATHS[request["query_path"]]
        candidates = request["candidates"]
        candidates["origin"] = [ORIGINS[code] for code in candidates["origin"]]
        for label in candidates["labels"].values():
            label["tier"] = [None if code is None else TIERS[code] for code in label["tier"]]
    return record
