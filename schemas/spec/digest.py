"""The spec's fingerprint: what of it decides a window's bytes."""

import dataclasses
import hashlib
import json
from typing import Any

from schemas.spec.model import Spec


def spec_values(spec: Spec) -> dict[str, Any]:
    """Everything that decides windows, as JSON can hold it; model and learner sections do not."""
    values = dataclasses.asdict(spec)
    for name in ("models", "learner", "source"):
        del values[name]
    for stream in values["streams"].values():
        del stream["topic"]
    for feature in values["features"].values():
        del feature["table"]
    return values


def spec_digest(spec: Spec) -> str:
    """SHA-256, in hex, of those values."""
    text = json.dumps(spec_values(spec), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
