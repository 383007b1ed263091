"""A version's ancestry in words: weights, windows, and how far each source was read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.offsets import read_before
from schemas.windows.manifest import Manifest
from schemas.windows.names import window_name

if TYPE_CHECKING:
    from learner.ancestry import Ancestry

Offsets = Mapping[int, Mapping[str, int | None]]
"""By window start: file or partition → the position that was read up to when it was sealed."""

_SHOWN = (
    ("lineage", "lineage_id"),
    ("parent", "parent_lineage_id"),
    ("model", "model"),
    ("preset", "preset"),
    ("spec digest", "spec_digest"),
    ("code version", "code_version"),
    ("gate", "gate"),
    ("because", "gate_reason"),
    ("promoted", "promoted_at"),
    ("by", "promoted_by"),
)


def offsets_of(state: Path, store: Sequence[Manifest]) -> dict[int, Mapping[str, int | None]]:
    """How far events were read when each window was sealed, from a pipeline's state folder."""
    return {one.window_start_ms: read_before(state, one.cut_ms) for one in store}


def as_json(ancestry: "Ancestry", offsets: Offsets) -> dict[str, Any]:
    """Everything, for a machine."""
    values = asdict(ancestry)
    for window in values["windows"]:
        window["window"] = window_name(window["start_ms"])
        window["read_before"] = dict(offsets.get(window["start_ms"], {}))
    return values


def as_lines(name: str, ancestry: "Ancestry", offsets: Offsets) -> list[str]:
    """Everything, for a person."""
    tags = ancestry.tags
    lines = [f"{name} version {ancestry.version}"]
    lines += [f"  {label:13} {tags[key]}" for label, key in _SHOWN if tags.get(key)]
    if ancestry.grown_from:
        lines.append(f"  {'grown from':13} {ancestry.grown_from}")
    proof = "their digests, hashed again, give this lineage"
    if not ancestry.proven:
        proof = "BUT THEIR DIGESTS DO NOT GIVE THIS LINEAGE: the record was changed"
    skipped = sum(window.skipped for window in ancestry.windows)
    passed = f", skipped {skipped}" if skipped else ""
    lines.append(f"learned {len(ancestry.windows) - skipped} windows{passed}; {proof}")
    for window in ancestry.windows:
        standing = f"  {window.standing}" if window.standing else ""
        skip = "  skipped by a rewind" if window.skipped else ""
        lines.append(f"  {window_name(window.start_ms)}  {window.digest}{standing}{skip}")
        for source, position in offsets.get(window.start_ms, {}).items():
            end = "its end" if position is None else f"position {position}"
            lines.append(f"      {source} up to {end}")
    return lines
