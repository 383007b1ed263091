"""Files of already encoded datums."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.by_hand.arrays import Ints
from schemas.windows import window_name
from schemas.windows.container import (
    SYNC_BYTES,
    block_cuts,
    compressor,
    encode_block,
    encode_header,
)


@dataclass
class Writer:
    """Avro container files, one after the other, and their digests."""

    root: Path
    schema: Any
    digests: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"compress": 0.0, "files": 0.0})

    def __post_init__(self) -> None:
        self.header, self.compress = encode_header(self.schema), compressor()

    def write(self, start_ms: int, name: str, slices: Iterator[tuple[Any, Ints]]) -> None:
        """One file of already encoded datums."""
        parts = [self.header]
        for body, offsets in slices:
            for first, last in pairwise(block_cuts(offsets)):
                started = time.thread_time()
                frame = self.compress(memoryview(body)[offsets[first] : offsets[last]])
                self.seconds["compress"] += time.thread_time() - started
                parts.append(encode_block(last - first, frame, self.header[-SYNC_BYTES:]))
        started = time.thread_time()
        path = self.root / window_name(start_ms) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(parts)
        path.write_bytes(data)
        self.digests[f"{path.parent.name}/{name}"] = hashlib.sha256(data).hexdigest()
        self.seconds["files"] += time.thread_time() - started
