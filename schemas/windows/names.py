"""The names of folders and files in a window store."""

import re
from datetime import UTC, datetime, timedelta

MANIFEST = "_MANIFEST.json"
BUILD = "_BUILD.json"
FINAL_MARK = "_FINAL"
"""Stands in the window store once the input was declared complete and all is sealed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOW = re.compile(r"(\d{8}T\d{6})(?:\.(\d{3}))?Z")


def window_name(start_ms: int) -> str:
    """The folder of a window; milliseconds show only where there are any.

    >>> window_name(1651370400000), window_name(1651370400250)
    ('20220501T020000Z', '20220501T020000.250Z')
    """
    moment = _EPOCH + timedelta(milliseconds=start_ms)
    part = f".{start_ms % 1000:03d}" if start_ms % 1000 else ""
    return f"{moment:%Y%m%dT%H%M%S}{part}Z"


def window_start(name: str) -> int | None:
    """The start of the window of that name; None if it is no window's name.

    >>> window_start("20220501T020000.250Z"), window_start("dead_letters")
    (1651370400250, None)
    """
    match = _WINDOW.fullmatch(name)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    start_ms = (moment - _EPOCH) // timedelta(milliseconds=1) + int(match[2] or 0)
    return start_ms if window_name(start_ms) == name else None


def shard_name(shard: int) -> str:
    """The file of a shard's user records."""
    return f"shard-{shard:05d}.avro"


def revisions_name(shard: int) -> str:
    """The file of a shard's revisions."""
    return f"revisions-{shard:05d}.avro"


def is_revisions(data_name: str) -> bool:
    """Whether a file holds revisions; else it holds users."""
    return data_name.startswith("revisions-")


def index_name(data_name: str) -> str:
    """The block index beside an Avro file."""
    return data_name.removesuffix(".avro") + ".index"


def shard_of_name(data_name: str) -> int:
    """The shard whose users or revisions a file holds."""
    return int(data_name.removesuffix(".avro").rpartition("-")[2])
