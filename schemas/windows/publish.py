"""Files that appear whole or not at all, and that stand once they are there."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from schemas.durable import sha256_of
from schemas.errors import StoreError


@dataclass
class Draft:
    """A file under a temporary name, hashed while it is written.

    A name that was taken lasts through a crash once its folder is flushed.
    """

    path: Path
    temporary: Path
    file: BinaryIO
    size: int = 0
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """The digest, in hex, of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append some bytes."""
        self.file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def publish_once(self) -> bool:
        """Take the name if it is free. False if other bytes stand there; they stay."""
        self._flush()
        try:
            os.link(self.temporary, self.path)
        except FileExistsError:
            return sha256_of(self.path) == self.sha256
        return True

    def replace(self) -> None:
        """Take the name, whatever stood there."""
        self._flush()
        self.temporary.replace(self.path)

    def _flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())


@contextmanager
def draft(path: Path) -> Iterator[Draft]:
    """A draft of a file; its folder is made if need be, its temporary name always goes away.

    Raises StoreError if the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield Draft(path, temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: expected to write this file, received: {error.strerror or error}. Give the "
            "folder room and write permission, then run again: what was written stands."
        ) from error
