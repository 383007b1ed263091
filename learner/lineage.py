"""Lineage: which windows, in which order, made a model state."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def initial_lineage(identity: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of what a state starts from: model, configuration, spec digest, seed."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def lineage_past(previous: str, manifest_digest: str) -> str:
    """The lineage after a window that was skipped: no other chain of windows has this one."""
    return next_lineage(previous, f"skipped\0{manifest_digest}")


def next_lineage(previous: str, manifest_digest: str) -> str:
    """The lineage after a window: `H(previous lineage, manifest digest)`, SHA-256 in hex."""
    return hashlib.sha256(f"{previous}\0{manifest_digest}".encode()).hexdigest()
