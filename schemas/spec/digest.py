"""The spec's fingerprint: what of it decides a window's bytes."""

import dataclasses
import hashlib
import json

from schemas.spec.model import Spec


def spec_digest(spec: Spec) -> str:
    """SHA-256, in hex, of everything that decides windows; model and learner sections do not."""
    values = dataclasses.asdict(spec)
    for name in ("models", "learner", "source"):
        del values[name]
    for stream in values["streams"].values():
        del stream["topic"]
    for feature in values["features"].values():
        del feature["table"]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
