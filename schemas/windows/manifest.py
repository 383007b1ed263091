"""What a sealed window says of itself: files, digests and counts.

Nothing stands in a manifest but what follows from events, spec, record version and number of
shards: its digest is what lineages are made of. What else is worth knowing is `BuildInfo`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from schemas.errors import StoreError
from schemas.windows.counts import Counts

Json = dict[str, Any]


@dataclass(frozen=True)
class FileDigest:
    """One file: its name in the window's folder, its size and the SHA-256 of its bytes, in hex."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SealedFile:
    """One Avro file, its number of records, and its block index (None without a record)."""

    name: str
    bytes: int
    sha256: str
    records: int
    index: FileDigest | None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_json`. Raises KeyError or TypeError for other values."""
        index = values["index"]
        return cls(**{**values, "index": None if index is None else FileDigest(**index)})

    def to_json(self) -> Json:
        """As a value that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class FileEntry(SealedFile):
    """What was written, and what is in it.

    `records` is 0 where there was nothing to write: then there is no file. `divergent` says that
    other bytes stood there first, and still do; the entry describes what stands.
    """

    counts: Counts
    divergent: bool = field(default=False, compare=False)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_json`. Raises KeyError or TypeError for other values."""
        return super().from_json({**values, "counts": Counts(**values["counts"])})

    def sealed(self) -> SealedFile:
        """What of it stands in a manifest."""
        return SealedFile(self.name, self.bytes, self.sha256, self.records, self.index)


@dataclass(frozen=True)
class BuildInfo:
    """How a window came to be; covered by no digest."""

    software: str
    watermark_ms: int | None
    started_at_ms: int
    sealed_at_ms: int


@dataclass(frozen=True)
class Manifest:
    """One sealed window. `divergent`: another manifest stood there first, and this is that one."""

    window_start_ms: int
    window_end_ms: int
    cut_ms: int
    spec_name: str
    spec_digest: str
    record_version: int
    shards: int
    files: tuple[SealedFile, ...]
    counts: Counts
    divergent: bool = field(default=False, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the canonical content."""
        text = json.dumps(
            self._content(), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def entry(self, name: str) -> SealedFile | None:
        """The entry of one file; None if the window has no such file."""
        return next((entry for entry in self.files if entry.name == name), None)

    def to_json(self) -> Json:
        """The content and its digest."""
        return {**self._content(), "digest": self.digest}

    def to_text(self) -> str:
        """The text of the manifest's file, the same for the same content."""
        return json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False, indent=1) + "\n"

    def _content(self) -> Json:
        """What nobody counted is left out, so that manifests of before keep their digests."""
        values = asdict(self)
        del values["divergent"]
        if self.counts.query_paths is None:
            del values["counts"]["query_paths"]
        return values


def parse_manifest(text: str, where: str) -> Manifest:
    """Read a manifest and prove its digest. Raises StoreError if it is damaged."""
    try:
        values = json.loads(text)
        digest = values.pop("digest")
        files = tuple(SealedFile.from_json(entry) for entry in values.pop("files"))
        manifest = Manifest(files=files, counts=Counts(**values.pop("counts")), **values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{where}: expected a window's manifest, received something else ({error!r}). The "
            "file is damaged: restore it from a copy, or remove the window's folder and build the "
            "window again from its events."
        ) from error
    if manifest.digest != digest:
        raise StoreError(
            f"{where}: expected the digest of its content, {manifest.digest}, received {digest!r}. "
            "Someone changed the manifest after the window was sealed: restore it from a copy, or "
            "remove the window's folder and build the window again from its events."
        )
    return manifest
