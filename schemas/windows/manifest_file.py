"""The manifest as it stands in a window's folder."""

import json
from pathlib import Path

from schemas.errors import StoreError
from schemas.record import RECORD_VERSION
from schemas.windows.container import damaged
from schemas.windows.manifest import BuildInfo, Manifest, parse_manifest
from schemas.windows.names import BUILD, MANIFEST, window_name


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a window's folder; None if it has none: then the window does not exist.

    Raises StoreError if it is damaged, of another window, or of a newer version than this.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(str(path), "a readable manifest", f"{error}") from error
    manifest = parse_manifest(text, str(path))
    name = window_name(manifest.window_start_ms)
    if name != folder.name:
        raise damaged(str(path), f"the manifest of window {folder.name}", f"that of {name}")
    if manifest.record_version > RECORD_VERSION:
        raise StoreError(
            f"{path}: expected records of version {RECORD_VERSION} or older, received version "
            f"{manifest.record_version}. Read the window with the version of millstream that "
            "wrote it, or a newer one."
        )
    return manifest


def read_build(folder: Path) -> BuildInfo | None:
    """How a window came to be; None where nobody can tell, for no digest covers it."""
    try:
        return BuildInfo(**json.loads((folder / BUILD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
